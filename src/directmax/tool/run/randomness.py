"""Seeds: one stream of randomness for each purpose, all decided by the run's seed."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What randomness is for; no two purposes share a stream."""

    ORDER = 0
    NOISE = 1
    SAMPLES = 2
    TRAIN_IMAGES = 3
    VALIDATION_IMAGES = 4
    TEST_IMAGES = 5
    LABELS = 6
    LABEL_ORDER = 7
    AUGMENTATION = 8
    WEIGHTS = 9
    GROUPS = 10
    TRIALS = 11


def derive_seed(seed: int, stream: Stream, *parts: int) -> int:
    """A seed below 2^63 for a purpose, and for example an epoch and a process.

    Example:
        >>> derive_seed(0, Stream.NOISE, 3) == derive_seed(0, Stream.NOISE, 3)
        True
        >>> derive_seed(0, Stream.NOISE, 3) == derive_seed(0, Stream.ORDER, 3)
        False
    """
    state = np.random.SeedSequence([seed, int(stream), *parts]).generate_state(2, np.uint32)
    return int(state[0]) << 31 | int(state[1]) >> 1
