"""Which epoch is kept, of series of accuracies and bounds."""

from __future__ import annotations

import pytest

from directmax.tool.run.evaluation import Metrics
from directmax.tool.run.selection import keep_better
from directmax.tool.run.state import Position


def kept(series: list[tuple[float, float]], error: float, *, labelled: bool = True) -> list[int]:
    """The best epoch after every epoch, of pairs of accuracy and bound."""
    position, best = Position(), []
    for epoch, (accuracy, bound) in enumerate(series, start=1):
        position.epoch = epoch
        terms = (bound, bound, 0.0, None, None, None, True, accuracy, error)
        better = keep_better(position, Metrics(*terms), labelled=labelled)
        best.append(position.best_epoch)
        assert better == (position.best_epoch == epoch)
    return best


def test_without_labels_the_lowest_bound() -> None:
    assert kept([(0.9, 3.0), (0.5, 2.0), (0.95, 2.5)], 0.1, labelled=False) == [1, 2, 2]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([(0.90, 9), (0.89, 5), (0.87, 1)], [1, 2, 2]),  # the third is too far below the first
        ([(0.90, 9), (0.89, 5), (0.93, 8)], [1, 2, 3]),  # the third rules the second out
        ([(0.90, 9), (0.89, 5), (0.905, 6)], [1, 2, 2]),  # and here does not
        ([(0.90, 5), (0.90, 5), (0.90, 4)], [1, 1, 3]),  # level ones: the lowest bound, the first
        ([(0.5, 9), (0.9, 20), (0.885, 19), (0.91, 30), (0.88, 1)], [1, 2, 3, 4, 4]),
    ],
)
def test_with_labels_within_a_standard_error(
    series: list[tuple[float, float]], expected: list[int]
) -> None:
    assert kept(series, 0.02) == expected


def test_where_all_are_right_the_lowest_bound_of_these() -> None:
    assert kept([(1.0, 5.0), (0.99, 3.0), (1.0, 4.0)], 0.0) == [1, 1, 3]


def test_a_run_of_before_keeps_what_was_more_accurate() -> None:
    """Its checkpoint has the best score alone."""
    position = Position(epoch=6, best_epoch=5, best_score=[-0.8, 9.0])
    terms = (1.0, 1.0, 0.0, None, None, None, True, 0.7, 0.02)
    assert not keep_better(position, Metrics(*terms), labelled=True)
    assert (position.best_epoch, position.most_accurate) == (5, [0.8, 0.02])
