"""The settings of the attributes model alone, a declaration each. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from directmax.tool.config.defaults import RAMP, TRIALS, default_ramp, default_trials
from directmax.tool.config.setting import setting

_MODEL = ("attributes",)


def with_labels(value: Any, otherwise: Any) -> Any:
    """A default of the attributes model with labels, and what it is elsewhere."""
    return lambda c: value if c.model == "attributes" and c.labels else otherwise


def _sharpness(c: Any) -> float:
    labelled = c.model == "attributes" and c.labels
    return 1.5 if labelled and c.given("confidence") is None else 0.0


def _calibration(c: Any) -> str:
    if c.model != "attributes" or not c.labels or c.encoder != "independent":
        return "none"
    return "targets" if c.distortion else "validation"


@dataclass(frozen=True)
class AttributeSettings:
    """Of what labels of attributes do."""

    normalized: bool = setting(
        """Attributes model: layer normalisation before every ReLU of the network of q(z|x).""",
        lambda c: c.model == "attributes",
        "true",
        models=_MODEL,
        since=5,
        before=False,
    )
    prior: str = setting(
        """p(z): uniform; learned (discrete model): a share of every value of every variable; labels
        (attributes model with labels): the shares in which combinations come among the training
        images that the labelled ones are drawn from.""",
        with_labels("labels", "uniform"),
        "labels in the attributes model with labels, else uniform",
        choices=("labels", "uniform", "learned"),
        models=("attributes", "discrete"),
        labels=_MODEL,
        since=4,
        before="uniform",
    )
    average: float = setting(
        """Attributes model with labels: q(z|x) is, but for the gradient, that of a mean of the
        weights over past steps, of which this share stays at every step; 0: of the last ones.""",
        with_labels(0.99, 0.0),
        "0.99",
        range=(0, 0.999999),
        models=_MODEL,
        labels=_MODEL,
        since=4,
        before=0.0,
    )
    calibration: str = setting(
        """Attributes model with labels, independent attributes: after every epoch the log-odds of
        every attribute get slopes and a shift that fit the validation images; targets: also where
        images without label are told what q(z|x) says of them, given 100 validation images with
        labels; validation: in results alone.""",
        _calibration,
        "targets; validation with --distortion 0; none with coupled attributes",
        choices=("targets", "validation", "none"),
        models=_MODEL,
        labels=_MODEL,
        since=4,
        before="none",
    )
    mixing: bool = setting(
        """Attributes model with labels: half of the labelled images are classified as means of two,
        with the mean of their losses.""",
        with_labels(True, False),
        "true with labels",
        models=_MODEL,
        labels=_MODEL,
        since=4,
        before=False,
    )
    sharpness: float = setting(
        """Attributes model with labels: the target of a distorted image without label is
        proportional to q(z|x)^s, s this number; 0: only attributes that are sure.""",
        _sharpness,
        "1.5; 0 where --confidence is given",
        range=(0, 100),
        models=_MODEL,
        labels=_MODEL,
        since=7,
        before=0.0,
    )
    patching: bool = setting(
        """Attributes model with labels: half of the distorted images without label are covered in
        part by another one, with the mean of the losses of both targets.""",
        with_labels(True, False),
        "true with labels",
        models=_MODEL,
        labels=_MODEL,
        since=7,
        before=False,
    )
    confidence: float = setting(
        """Attributes model with labels and --sharpness 0: probability above which an attribute of
        an image without label is taken for known, for its distorted image.""",
        with_labels(0.8, 0.95),
        "0.8",
        range=(0.5, 1),
        models=_MODEL,
        labels=_MODEL,
        since=5,
        before=0.95,
    )
    ramp: int = setting(
        """Attributes model with labels: steps in which the weight of what images without label are
        told rises from 0, as an untrained network says nothing of them; 0: it is whole at once.""",
        default_ramp,
        f"{RAMP}, or a quarter of a shorter training",
        range=(0, 100_000_000),
        models=_MODEL,
        labels=_MODEL,
        since=8,
        before=0,
    )
    trials: int = setting(
        """Attributes model with labels: before the training, networks of q(z|x) alone are trained
        for so many steps with half the --distortion, with it and with twice of it, and the strength
        of the one that fits the validation labels best is taken; 0: --distortion itself.""",
        default_trials,
        f"{TRIALS} where --distortion is not given and the training is ten times as long, else 0",
        range=(0, 1_000_000),
        models=_MODEL,
        labels=_MODEL,
        since=8,
        before=0,
    )
    decoded: int = setting(
        """Attributes model with labels: images of a step's labelled ones of which f(labels) is
        trained too, at most.""",
        with_labels(20, 100),
        "20",
        range=(1, 1_000_000),
        models=_MODEL,
        labels=_MODEL,
        since=4,
        before=100,
    )
    switched: int = setting(
        """Attributes model with labels: images of a step that are also decoded with other
        attributes, which q(z|x) must then see; 0 switches this off.""",
        with_labels(25, 0),
        "25",
        range=(0, 1_000_000),
        models=_MODEL,
        labels=_MODEL,
        since=4,
        before=0,
    )
    switched_share: float = setting(
        """Attributes model with labels: weight of what --switched images must show, as a share of
        --label-weight; three times that where attributes are decided (--decided).""",
        0.1,
        range=(0, 1000),
        models=_MODEL,
        labels=_MODEL,
        since=9,
        before=0.1,
    )
    decided: float = setting(
        """Attributes model with labels: late in the training (--decided-from) images without label
        are reconstructed with attributes of a distribution proportional to q(z|x)^s, s this number,
        which is then the one of the bound, and teaches the decoder alone; 1: q(z|x) itself, with
        the gradient of the estimator.""",
        with_labels(8.0, 1.0),
        "8",
        above_zero_to=1e6,
        models=_MODEL,
        labels=_MODEL,
        since=9,
        before=1.0,
    )
    decided_from: float = setting(
        """Attributes model with labels: share of the run after which attributes are --decided.""",
        lambda c: 2 / 3 if c.decided != 1 else 0.0,
        "two thirds",
        range=(0, 1),
        models=_MODEL,
        labels=_MODEL,
        since=10,
        before=0.0,
    )
    symmetric: bool = setting(
        """Attributes model: an image and its mirror image have the same attributes, so training
        images are mirrored at random; --no-symmetric: for what tells left from right.""",
        True,
        models=_MODEL,
        since=10,
        before=True,
    )
    mirrored: bool = setting(
        """Attributes model with labels: what q(z|x) says of an image is what it says of the mean
        features of the image and its mirror image.""",
        lambda c: c.model == "attributes" and bool(c.labels) and c.symmetric,
        "true with labels, but with --no-symmetric",
        models=_MODEL,
        labels=_MODEL,
        since=9,
        before=False,
    )
