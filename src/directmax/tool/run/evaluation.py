"""The bound on a data set, on the device, in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import sum_dtype
from directmax.distributions import DEFAULT_MAX_STATES, number_of_states
from directmax.models import COUPLED, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.rules import table_cost

VALIDATION_TABLE = 2**24
"""(image, state) pairs at every epoch's validation: with more states, it looks at fewer images."""

FEWEST_IMAGES = 32

QUICK_IMAGES, QUICK_SAMPLES = 250, 10
"""Of a refined model at every epoch's validation, where its states are too many for that."""
SEARCHES = 3
"""Tables of single changes in a search, as a rule."""

NO_BOUND = (
    "“No bound” is the quantity of the authors’ code: the loss of perturb-and-MAP samples and the "
    "KL of the unary potentials alone."
)
"""For people, where that number stands beside a bound."""

MAX_STATES = 2**20
"""The most states that are enumerated; see `most_states`."""


def max_states(config: ResolvedConfig) -> int:
    """States enumerated during and at the end of training.

    More with couplings of any two variables, where samples give no bound.
    """
    return MAX_STATES if config.encoder in COUPLED else DEFAULT_MAX_STATES // table_cost(config)


def most_states(config: ResolvedConfig) -> int:
    """States enumerated when a run is evaluated; beyond, the bound is sampled."""
    return MAX_STATES if config.encoder in COUPLED else MAX_STATES // table_cost(config)


def validation_subset(
    images: Float[Tensor, "N d"], states: int, max_states: int, cost: int = 1
) -> Tensor:
    """The first images of the validation set, as many as an exact bound at every epoch allows.

    All of them where the states are few, or too many to enumerate (then the bound is sampled).
    """
    if states > max_states:
        return images
    return images[: max(FEWEST_IMAGES, VALIDATION_TABLE // (states * cost))]


class Validation(NamedTuple):
    """What an epoch's validation looks at.

    Attributes:
        images: the first of the validation images.
        max_states: the most states that are enumerated.
        num_samples: an image, where they are not.
    """

    images: Tensor
    max_states: int
    num_samples: int


def epoch_validation(
    config: ResolvedConfig, images: Float[Tensor, "N d"], num_training: int
) -> Validation:
    """An exact bound of some images; sampled, of a refined model, where that costs less.

    A posterior that was refined is sure of most variables, so few samples do. States are enumerated
    where that, in decoded codes, costs no more than the epoch's training, which decodes every
    single change of a code of every image.

    Args:
        config: of the run.
        images: of the validation set.
        num_training: images in an epoch.
    """
    states, most = number_of_states(config.variables, config.values), max_states(config)
    few = validation_subset(images, states, most, table_cost(config))
    if not config.refine or config.variables == 1:  # whose values are decoded once for all images
        return Validation(few, most, config.eval_samples)
    changes = config.variables * (config.values - 1) + 1
    trained = num_training * changes
    few = few[: max(QUICK_IMAGES, num_training // SEARCHES)]
    # A loss of a pixel of an image and a state costs what a hidden unit does of a decoded pixel.
    if states <= most and states * (1 + len(few) / config.hidden) <= trained:
        return Validation(few, most, config.eval_samples)
    count = max(QUICK_IMAGES, trained // (SEARCHES * changes + QUICK_SAMPLES))
    return Validation(images[:count], min(most, states - 1), QUICK_SAMPLES)


OPTIONAL = frozenset(
    ("accuracy", "accuracy_error", "confusion", "attributes", "majority", "scores", "amortized")
)
"""Metrics that not every model has."""


@dataclass(frozen=True)
class Metrics:
    """Means over images, in nats per image.

    Attributes:
        bound: reconstruction + kl.
        reconstruction: E_q[−log p(x|z)].
        kl: KL(q ‖ prior), which is uniform, but with attributes may be that of the labels.
        nll: exact −log p(x); None where the states were too many to enumerate.
        num_samples: samples an image in `reconstruction`; None where it was enumerated.
        authors: structured encoders: the quantity of the authors' code, no bound; else None.
        valid: False where `bound` is that quantity, for want of anything better.
        accuracy: mixed model: share of the images whose most probable value is their label's; with
            attributes the mean of their accuracies.
        accuracy_error: its standard error, from the number of images, attributes taken for
            independent.
        confusion: mixed model: images by class (rows) and predicted class (columns); a value that
            stands for no class has the last column.
        attributes: share of the images in which the most probable value of an attribute is right,
            by name.
        majority: the same of always the more frequent value; at the end of a run.
        scores: of every attribute, by name, what `scores_of` finds; at the end of a run.
        amortized: of a model with a refined posterior: the bound of the encoder's alone.
    """

    bound: float
    reconstruction: float
    kl: float
    nll: float | None
    num_samples: int | None
    authors: float | None
    valid: bool
    accuracy: float | None = None
    accuracy_error: float | None = None
    confusion: list[list[int]] | None = None
    attributes: dict[str, float] | None = None
    majority: dict[str, float] | None = None
    scores: dict[str, dict[str, Any]] | None = None
    amortized: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary; without what the model has not."""
        absent = {name for name in OPTIONAL if getattr(self, name) is None}
        return {name: value for name, value in self.__dict__.items() if name not in absent}


def mean_metrics(
    reconstruction: float, kl: float, images: float, *, num_samples: int | None
) -> Metrics:
    """Metrics without more, from sums over images.

    Args:
        reconstruction: sum of E_q[−log p(x|z)], nats.
        kl: sum of the KL terms, nats.
        images: how many.
        num_samples: samples an image.

    Raises:
        ValueError: there are no images.
    """
    if images == 0:
        raise ValueError("there are no images to evaluate")
    means = (reconstruction / images, kl / images)
    return Metrics(sum(means), *means, None, num_samples, None, valid=True)


def evaluate_images(
    model: DiscreteVAE | MixedVAE,
    images: Float[Tensor, "N d"],
    *,
    num_samples: int = 100,
    max_states: int = DEFAULT_MAX_STATES,
    seed: int = 0,
    reduce: Callable[[Tensor], Tensor] | None = None,
    progress: Callable[[float], None] | None = None,
    quick: bool = False,
) -> Metrics:
    """Mean bound, its terms and, where enumerable, −log p(x) over images.

    Args:
        model: the model; its mode (train or eval) does not matter.
        images: x `(N, d)`.
        num_samples: samples of z an image, where k^n > `max_states`.
        max_states: the largest number of states to enumerate.
        seed: of those samples.
        reduce: sums a tensor over processes, where each holds a share of the images.
        progress: told of the share that is done, where states are enumerated.
        quick: of a refined model by one search, and without the encoder's own bound.

    Raises:
        ValueError: there are no images.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    settings: dict[str, Any] = {}
    if not isinstance(model, MixedVAE):
        settings = {"max_states": max_states, "quick": quick}
    bound = model.bound(
        images, num_samples=num_samples, generator=generator, progress=progress, **settings
    )
    names = ("nll", "authors", "amortized")
    every = ((name, getattr(bound, name, None)) for name in names)
    optional: dict[str, Tensor] = {name: term for name, term in every if term is not None}
    terms = [bound.reconstruction, bound.kl, *optional.values()]
    sums = torch.stack([term.sum(dtype=sum_dtype(images.device)) for term in terms])
    total = torch.cat([sums, sums.new_tensor([images.shape[0]])])
    if reduce is not None:
        total = reduce(total)
    *means, count = total.tolist()
    if count == 0:
        raise ValueError("there are no images to evaluate")
    reconstruction, kl, *rest = (mean / count for mean in means)
    found = dict(zip(optional, rest, strict=True))
    return Metrics(
        bound=reconstruction + kl,
        reconstruction=reconstruction,
        kl=kl,
        nll=found.get("nll"),
        num_samples=bound.num_samples,
        authors=found.get("authors"),
        valid=bound.valid,
        amortized=found.get("amortized"),
    )
