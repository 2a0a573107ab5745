"""Defaults that follow from other settings and the number of images. Does not import torch."""

from __future__ import annotations

import math
from typing import Any

from directmax.estimators import ESTIMATORS
from directmax.models import ENCODERS
from directmax.objectives import BERNOULLI
from directmax.tool.config.setting import By

FEWEST_START_EPOCHS = 5
"""With fewer, one start is as good as another."""
_OF_DIRECT = {"epsilon": "auto", "epsilon_scale": 1.0, "two_sided": True, "rao_blackwell": False}
"""Settings of direct alone, and their defaults."""
FROM_POSTERIOR = ("local-search", "local-divergence")
"""Estimators that take f for −log p(x|z), and look at the posterior."""
LENGTH = 20_000
"""Steps of a training with one variable: what annealing takes, however many images."""
LENGTH_OF_SEVERAL = 60_000
"""The same with several variables, where the bound falls for longer."""
LENGTH_OF_MIXED, MOST_EPOCHS_OF_MIXED = 10_000, 400
"""At least 40 epochs, with fewer images so many steps, and of very few so many epochs."""
LENGTH_OF_ATTRIBUTES = 4_000
"""At least, with attributes: on few photographs 40 epochs would end while accuracy still rises."""
RAMP = 300
"""Steps, with attributes, in which images without label come to be told what q says of them."""
TRIALS = 400
"""Steps, with attributes, after which cross-entropies of distortions differ as at the end."""
FEWEST_EPOCHS = 120
"""With other estimators, whose gradients are noisier."""
FEWEST_PATIENCE = 20
"""Epochs: validation bounds of so few are no pause."""
MOST_EPOCHS = 500
"""Of few images a longer training only overfits."""
_NUM_IMAGES = 50_000
"""Where nobody knows better."""


ANNEALED_TO = 0.1
"""Where ε and τ stop falling."""


def falling_epochs(fraction: float, epochs: int) -> int:
    """Epochs that a share of a run takes part in."""
    return math.ceil(fraction * epochs - 1e-9)


def has_one_variable(c: Any) -> bool:
    return c.model == "discrete" and c.variables == 1


def default_variables(c: Any) -> int:
    return len(c.attributes) if c.model == "attributes" else ENCODERS[c.encoder].variables


def default_likelihood(c: Any) -> str | None:
    if c.model != "discrete":
        return "gaussian" if c.model == "attributes" else None
    coloured = getattr(c, "channels", 1) > 1 and c.given("binarize") in (None, "none")
    return "logistic" if coloured else BERNOULLI


def default_binarize(c: Any) -> str:
    levels = c.model == "discrete" and c.likelihood != BERNOULLI
    return "none" if levels else "threshold"


def default_batch_size(c: Any) -> int:
    most = 200 if c.model == "mixed" else 100
    return min(most, c.num_images or most)


def default_distortion(c: Any) -> float | None:
    if c.model == "discrete":
        return None
    return 0.5 if default_shift(c) else 0.0


def default_shift(c: Any) -> int:
    """Pictures are moved; a resolved configuration does not know its images any more."""
    return 0 if getattr(c, "rows", False) and c.labels else 1


def default_values(c: Any) -> int:
    if c.model == "mixed" and c.labels and c.num_classes > 1:  # a class a value
        return int(c.num_classes)
    return 2 if c.model == "attributes" else ENCODERS[c.encoder].values(c.variables)


def default_estimator(c: Any) -> str:
    if c.encoder == "independent":
        if c.model == "discrete":
            asked = any(c.given(name) not in (None, value) for name, value in _OF_DIRECT.items())
            alone = "local-divergence" if c.variables == 1 else "local-search"
            return "direct" if asked else alone
        return "direct" if c.variables == 1 else "local-expectation"
    if ENCODERS[c.encoder].structure:
        return "score-function"
    if c.model == "discrete" and c.kl == "gibbs":
        return "local-search"
    return "clamped-argmax" if c.perturbation == "unary" else "direct"


def default_num_samples(c: Any) -> int:
    if c.estimator == "score-function":
        return 1 if c.given("baseline") == "running-mean" else 4
    return 8 if c.estimator in ("direct", *FROM_POSTERIOR) and has_one_variable(c) else 1


def if_from_posterior(c: Any) -> float:
    return 1.0 if c.model == "discrete" and c.estimator in FROM_POSTERIOR else 0.0


def default_kl_start(c: Any) -> float | str:
    alone = c.encoder == "independent" and c.variables == 1
    coupled = c.encoder != "independent" and not ENCODERS[c.encoder].structure
    falls = alone or (coupled and c.estimator not in FROM_POSTERIOR)
    return "auto" if c.model != "discrete" or falls else 1.0


def default_kl_fraction(c: Any) -> float:
    if not has_one_variable(c):
        return 2 / 3
    return 1 / 2 if c.estimator in FROM_POSTERIOR else 1 / 6


def default_starts(c: Any) -> int:
    if c.estimator in FROM_POSTERIOR:
        return 1
    falls = c.given("kl_fraction") is None and c.kl_start != 1
    few = falling_epochs(c.kl_fraction, c.epochs) < FEWEST_START_EPOCHS
    return 4 if has_one_variable(c) and falls and not few else 1


def default_epochs(c: Any) -> int:
    steps = math.ceil((c.num_images or _NUM_IMAGES) / c.batch_size)
    if c.model == "mixed":
        return min(MOST_EPOCHS_OF_MIXED, max(40, math.ceil(LENGTH_OF_MIXED / steps)))
    if c.model == "attributes":
        return min(MOST_EPOCHS, max(40, math.ceil(LENGTH_OF_ATTRIBUTES / steps)))
    fewest = 1 if c.estimator in FROM_POSTERIOR else FEWEST_EPOCHS
    length = LENGTH if c.variables == 1 else LENGTH_OF_SEVERAL
    return min(MOST_EPOCHS, max(fewest, math.ceil(length / steps)))


def default_patience(c: Any) -> int:
    """With one variable, once the KL term has its weight, a pause of a tenth of the run is the end
    of it (docs/defaults.md)."""
    if not has_one_variable(c) or c.estimator not in FROM_POSTERIOR:
        return 0
    return max(FEWEST_PATIENCE, math.ceil(c.epochs / 10))


def default_ramp(c: Any) -> int:
    labelled = c.model == "attributes" and c.labels and c.distortion
    return min(RAMP, _steps(c) // 4) if labelled else 0


def default_trials(c: Any) -> int:
    if c.model != "attributes" or not (c.labels and c.distortion):
        return 0
    if c.given("distortion") is not None:
        return 0
    return TRIALS if _steps(c) >= 10 * TRIALS else 0


def default_num_variables(c: Any) -> int:
    """One decoded attribute an image tells as much as all do, for less (docs/attributes.md)."""
    if c.model != "attributes" or not c.labels or c.encoder != "independent":
        return 0
    return 1 if c.variables > 1 and "num_variables" in ESTIMATORS[c.estimator].uses else 0


def _steps(c: Any) -> int:
    return int(c.epochs * math.ceil((c.num_images or _NUM_IMAGES) / c.batch_size))


def if_used(name: str, value: By) -> By:
    def default(c: Any) -> Any:
        row = ESTIMATORS[c.estimator]
        return value(c) if name in (*row.uses, *row.timed) else None

    return default
