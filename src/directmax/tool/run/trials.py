"""Short trainings of the network of q(z|x) alone, each with another distortion; the best is taken.

Which strength is best depends on the images: where faces are aligned and what matters is small,
much distortion hides it, and elsewhere little teaches less. Cross-entropies of the validation
labels differ after some hundred steps as they do at the end.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax.models import AttributeVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import AttributeSplit, ImageStream
from directmax.tool.files import RunError
from directmax.tool.run.calibration import calibrated_cross_entropy
from directmax.tool.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from directmax.tool.run.labelled import told_share
from directmax.tool.run.processes import used_precision
from directmax.tool.run.randomness import Stream, derive_seed

FACTORS = (0.5, 1.0, 2.0)
"""Of `--distortion`."""
READ = 250
"""Images that are read at once for an evaluation."""
FEWEST_LABELS = 100
"""Validation images of which an attribute is known: from fewer nothing is chosen."""
MOST_ODDS = 30.0
WARM_UP, TIMED = 2, 5
"""Steps with which the time of a step is measured; the first ones are not counted."""


class Labelled(NamedTuple):
    """Labelled images and their labels of a step, and the tilt of `label_loss`."""

    of_step: Callable[[int], tuple[Tensor, Tensor]]
    tilt: Tensor | None


class Trials:
    """The networks of the trials. All see the same images, and start with the same weights.

    Args:
        config: of the run.
        fresh: makes an untrained model, each time the same.
        labelled: labelled images by step.
        device: where to train.
    """

    def __init__(
        self,
        config: ResolvedConfig,
        fresh: Callable[[], AttributeVAE],
        labelled: Labelled,
        device: torch.device,
    ) -> None:
        self.config, self.labelled, self.device = config, labelled, device
        self.strengths = strengths(config)
        self.models = [fresh().to(device) for _ in self.strengths]
        self._optimizers = [
            torch.optim.Adam(model.encoder.classifier.parameters(), lr=config.learning_rate)
            for model in self.models
        ]
        seed = derive_seed(config.seed, Stream.TRIALS)
        self._generators = [torch.Generator(device).manual_seed(seed) for _ in self.strengths]
        # 16-mixed scales losses, which is not worth its while here
        self._halved = used_precision(config.precision, device) == "bf16-mixed"

    def step(self, images: Tensor, number: int) -> None:
        """Train each network on the same unlabelled and labelled images.

        Args:
            images: of the mini-batch, on the device.
            number: of the step, from 0.
        """
        labelled, labels = self.labelled.of_step(number)
        c = self.config
        for strength, model, optimizer, generator in zip(
            self.strengths, self.models, self._optimizers, self._generators, strict=True
        ):
            model.follow(min(c.average, number / (number + 1)))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._halved):
                told, known = model.classification_terms(
                    images,
                    labelled,
                    labels,
                    distortion=strength,
                    generator=generator,
                    sharpness=c.sharpness,
                    confidence=c.confidence,
                    patching=c.patching,
                    mixing=c.mixing,
                    tilt=self.labelled.tilt,
                )
            optimizer.zero_grad(set_to_none=True)
            (told_share(number, c.ramp) * told.mean() + known.mean()).backward()
            optimizer.step()

    def scores(self, part: AttributeSplit, rows: Int64[Tensor, " m"]) -> list[float]:
        """Calibrated cross-entropy of the labels of images, by strength, nats per image.

        Infinite where the network has diverged.
        """
        labels, found = part.attributes[rows], []
        for model in self.models:
            odds = log_odds(model, part, rows, self.device)
            right = bool(odds.isfinite().all())
            found.append(calibrated_cross_entropy(odds, labels) if right else math.inf)
        return found


def strengths(config: ResolvedConfig) -> list[float]:
    """The distortions that are tried.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> strengths(TrainConfig(model="attributes", data="celeba", labels=80).resolve())
        [0.25, 0.5, 1.0]
    """
    return [factor * config.distortion for factor in FACTORS]


@torch.no_grad()
def log_odds(
    model: AttributeVAE, part: AttributeSplit, rows: Int64[Tensor, " m"], device: torch.device
) -> Float[Tensor, "m n"]:
    """Log-odds of the attributes of some images before calibration, on the CPU, at most ±30."""
    odds = [torch.zeros(0, model.encoder.num_variables)]
    with ImageStream(part.images, batch_size=READ) as stream:
        for images in stream.batches(rows):
            marginals = model.raw_posterior(images.to(device)).marginals()
            logs = marginals.log().diff(dim=-1).squeeze(-1)
            odds.append(logs.clamp(-MOST_ODDS, MOST_ODDS).cpu())
    return torch.cat(odds)


def run_trials(
    trials: Trials,
    batches: Iterator[Tensor],
    steps: int,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Train for some steps.

    Args:
        trials: the networks.
        batches: at least as many mini-batches as steps.
        steps: how many.
        progress: told of the share that is done.
    """
    for number in range(steps):
        trials.step(next(batches), number)
        if progress is not None:
            progress((number + 1) / steps)


def time_trials(trials: Trials, images: Tensor) -> float:
    """Seconds of a step of all networks, from a few steps on some images."""
    times = []
    for number in range(WARM_UP + TIMED):
        began = time.perf_counter()
        trials.step(images, number)
        times.append(time.perf_counter() - began)
    return statistics.median(times[WARM_UP:])


def save_trials(folder: Path, tried: Sequence[float], scores: Sequence[float]) -> None:
    """Write what was tried and found, so that a run that is resumed goes on with the same.

    Raises:
        RunError: the folder cannot be written.
    """
    tensors = {"distortion": torch.tensor(tried), "cross_entropy": torch.tensor(scores)}
    save_checkpoint(folder, Checkpoint(tensors, {}))


def load_trials(folder: Path, tried: Sequence[float]) -> dict[str, Any]:
    """The strength with the least cross-entropy, and all of them, as the summary has it.

    Raises:
        RunError: damaged, or of other strengths.
    """
    tensors = load_checkpoint(folder).tensors
    there, scores = tensors.get("distortion"), tensors.get("cross_entropy")
    wanted = torch.tensor(tried)
    right = there is not None and there.dtype == wanted.dtype and torch.equal(there, wanted)
    if not right or scores is None or scores.shape != wanted.shape or scores.isnan().any():
        raise RunError(
            f"{folder} must hold the cross-entropies of distortions {', '.join(map(str, tried))}: "
            "restore it, or train into a new folder"
        )
    none = bool(scores.isinf().all())  # what the training itself makes of that, it will say
    chosen = tried[len(tried) // 2 if none else int(scores.argmin())]
    shown = [None if math.isinf(score) else score for score in scores.tolist()]
    by_strength = dict(zip(map("{:g}".format, tried), shown, strict=True))
    return {"chosen": chosen, "cross_entropy": by_strength}


def enough_labels(attributes: Int64[Tensor, "m n"]) -> bool:
    """Whether validation labels are enough to choose by."""
    return int((attributes >= 0).sum(0).min()) >= FEWEST_LABELS


def trials_note(distortion: float, tried: dict[str, Any] | None) -> str:
    """What was chosen, and by what, for people.

    Args:
        distortion: that the run has.
        tried: see `load_trials`; None where there were too few labels to choose by.

    Example:
        >>> trials_note(0.5, {"chosen": 0.5, "cross_entropy": {"0.25": 1.2, "0.5": 1.1}})
        'Distortion 0.5 was chosen by short trainings: cross-entropy of the validation labels \
1.200 with 0.25, 1.100 with 0.5.'
    """
    if tried is None:
        return (
            f"Distortion {distortion:g} was not chosen by short trainings: an attribute is known "
            f"of fewer than {FEWEST_LABELS} validation images."
        )
    found = ", ".join(
        f"{'none' if each is None else f'{each:.3f}'} with {name}"
        for name, each in tried["cross_entropy"].items()
    )
    return (
        f"Distortion {tried['chosen']:g} was chosen by short trainings: cross-entropy of the "
        f"validation labels {found}."
    )
