"""Which epoch's weights are kept: by the validation images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from directmax.tool.run.evaluation import Metrics
from directmax.tool.run.state import Position


def standard_error(shares: Sequence[tuple[float, int]]) -> float:
    """Of a mean of shares, each of so many images, as if they were independent.

    Args:
        shares: (share, number of images) of each.

    Example:
        >>> standard_error([(0.9, 100)]), round(standard_error([(0.9, 100), (0.8, 100)]), 3)
        (0.03, 0.025)
    """
    variance = sum(share * (1 - share) / images for share, images in shares if images)
    return math.sqrt(variance) / max(1, len(shares))


def keep_better(position: Position, validation: Metrics, *, labelled: bool) -> bool:
    """Whether the epoch that ends is the best so far; writes down that it is.

    Without labels the best has the lowest bound. With labels accuracy is what is wanted, but the
    most accurate of many epochs is so by chance as well, and may be an early one. So the best has
    the lowest bound of those whose accuracy is within one standard error of the highest.

    Args:
        position: of the run; `epoch` counts this one already.
        validation: of this epoch.
        labelled: whether the run has labels.

    Example:
        >>> position = Position()
        >>> for epoch, (accuracy, bound) in enumerate([(0.90, 30.0), (0.89, 20.0), (0.80, 10.0)]):
        ...     position.epoch = epoch + 1
        ...     terms = (bound, bound, 0.0, None, None, None, True, accuracy, 0.02)
        ...     _ = keep_better(position, Metrics(*terms), labelled=True)
        >>> position.best_epoch
        2

    Reference: Breiman et al. 1984, Classification and Regression Trees (the 1-SE rule).
    """
    accuracy, error = validation.accuracy, validation.accuracy_error
    if not labelled or accuracy is None:
        score = [validation.bound]
        better = position.best_score is None or score < position.best_score
    else:
        score = [-accuracy, validation.bound]
        highest, best = position.most_accurate, position.best_score
        if highest is None and best is not None:  # a run of before, whose best was the highest
            highest = [-best[0], error or 0.0]
        if highest is None or accuracy > highest[0]:
            highest = [accuracy, error or 0.0]
        position.most_accurate = highest
        least = highest[0] - highest[1]
        # An epoch that rules out the best so far is the most accurate one itself.
        better = best is None or -best[0] < least or (accuracy >= least and score[1] < best[1])
    if better:
        position.best_score, position.best_epoch = score, position.epoch
    return better
