"""What the authors' slides have and the text of the paper has not: curves, times and table 2.

Curves were read off pictures, to the precision that each names; table 2 is as printed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

SOURCE = (
    "Lorberbom et al. 2019, slides of the talk (neurips19_slides.pdf in "
    "github.com/GuyLor/Direct-VAE, slides 21, 23, 24, 31, 32 and 33)"
)


@dataclass(frozen=True)
class Curve:
    """A published curve, as points read off its picture.

    Attributes:
        x: positions, ascending.
        y: heights.
        x_unit: of the positions.
        y_unit: of the heights.
        precision: to which heights were read, in their unit.
        source: where it stands.

    Example:
        >>> LEARNING["direct"].at(100), LEARNING["direct"].last
        (152.2, 153.5)
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    x_unit: str
    y_unit: str
    precision: float
    source: str = SOURCE

    def at(self, x: float, *, logarithmic: bool = False) -> float | None:
        """The height at a position, on the straight line between the points beside it.

        Args:
            x: the position.
            logarithmic: on a line in logarithmic axes.

        Returns:
            None where nothing was published.

        Example:
            >>> round(LEARNING["direct"].at(35), 2), LEARNING["direct"].at(500)
            (161.9, None)
        """
        points = list(zip(self.x, self.y, strict=True))
        for (left, low), (right, high) in pairwise(points):
            if left <= x <= right:
                if not logarithmic:
                    return low + (high - low) * (x - left) / (right - left)
                share = math.log(x / left) / math.log(right / left)
                return math.exp(math.log(low) + share * math.log(high / low))
        return None

    @property
    def last(self) -> float:
        """The height at the end."""
        return self.y[-1]

    def lowest(self, until: float = math.inf) -> float | None:
        """The lowest height, up to a position; None before the first point.

        Example:
            >>> LEARNING["direct"].lowest(), LEARNING["direct"].lowest(60)
            (151.9, 154.12)
        """
        end = [self.at(until)] if until < self.x[-1] else []
        found = [y for x, y in zip(self.x, self.y, strict=True) if x <= until]
        return min((y for y in (*found, *end) if y is not None), default=None)


def _curves(
    x_unit: str, y_unit: str, precision: float, curves: Mapping[str, Mapping[float, float]]
) -> dict[str, Curve]:
    return {
        name: Curve(tuple(points), tuple(points.values()), x_unit, y_unit, precision)
        for name, points in curves.items()
    }


# fmt: off
DEVIATIONS = {
    **_curves("step ε, 1/nats", "unknown scale", 0.00005, {
        "direct": {0.1: 0.0005, 0.2: 0.00033, 0.4: 0.0002, 1.0: 0.0001},
    }),
    **_curves("temperature τ", "unknown scale", 0.00005, {
        "gumbel-softmax": {
            0.1: 0.0048, 0.2: 0.0034, 0.3: 0.0028, 0.4: 0.0024, 0.6: 0.0019, 0.8: 0.00157,
            1.0: 0.00133,
        },
    }),
}
"""Figure 1: standard deviation of the gradient. Its scale is unknown: only the ratio of the two
curves and their shapes can be compared."""

SECONDS_OF_300_EPOCHS = {
    ("mnist", 10): {"gumbel-softmax": 760.0, "exact": 1080.0, "direct": 1150.0},
    ("omniglot", 10): {"gumbel-softmax": 360.0, "exact": 550.0, "direct": 550.0},
}
"""Figure 2: seconds, by data and k; exact is the paper's "unbiased"."""

CONVERGENCE = {
    ("mnist", 10): (
        "Gumbel-Softmax stays at 208 nats for 20 epochs, falls to 170, and rises to 176 after "
        "epoch 250."
    ),
    ("fashion-mnist", 10): (
        "Gumbel-Softmax is at 231 to 236 nats, with a peak of 247 near epoch 155."
    ),
    ("omniglot", 10): (
        "The unbiased method falls in steps: 174 nats to epoch 32, 168 to 68, 162.5 to 95, 158.5 "
        "to 175, 156.5 from 240. Gumbel-Softmax stays at 174.5 until epoch 170, then at 161.5."
    ),
    ("omniglot", 50): (
        "The unbiased method falls in steps to 156.5 nats at epoch 250; Gumbel-Softmax is at 153 "
        "near epoch 190, then rises."
    ),
}
"""Figure 2: what its curves of the test loss show, read to about 1 nat, by data and k."""

LEARNING = _curves("epoch, the first is 0", "nats per image", 0.3, {
    "direct": {
        0: 208.1, 1: 204.2, 20: 174.0, 30: 165.3, 40: 158.5, 50: 155.0, 75: 152.8, 100: 152.2,
        125: 151.9, 150: 152.1, 200: 152.7, 250: 153.0, 295: 153.5,
    },
    "rebar": {
        0: 214.7, 1: 208.4, 5: 194.8, 10: 185.4, 20: 177.9, 30: 172.2, 40: 168.9, 50: 168.4,
        75: 165.5, 100: 163.7, 125: 162.4, 150: 160.9, 200: 160.7, 250: 160.2, 295: 159.2,
    },
    "relax": {
        0: 223.5, 1: 219.2, 5: 200.5, 10: 187.5, 20: 180.5, 30: 172.9, 40: 171.5, 50: 167.8,
        75: 163.7, 100: 162.0, 125: 160.4, 150: 159.7, 200: 158.5, 250: 157.6, 295: 156.0,
    },
    "arm": {
        0: 189.4, 1: 187.0, 5: 177.2, 10: 174.1, 20: 167.1, 30: 165.3, 40: 163.3, 50: 162.9,
        75: 161.4, 100: 159.7, 125: 159.6, 150: 158.2, 200: 157.5, 250: 157.1, 295: 156.5,
    },
})
"""Figure 3, left: test loss (one sample, and the KL term) on Fashion-MNIST by threshold, fifteen
binary variables, independent encoder, structured decoder; the curves are smoothed."""

STEPS = _curves("binary variables n", "seconds a step", 0.005, {
    "gumbel-softmax": {
        5: 0.02, 8: 0.05, 10: 0.15, 11: 0.37, 12: 0.6, 13: 1.25, 14: 2.6, 15: 5.95,
    },
    "direct": {5: 0.03, 15: 0.04},
})
"""Figure 3, middle: a structured encoder; Gumbel-Softmax over all 2^n states, and direct."""


@dataclass(frozen=True)
class End:
    """Where a curve by wall-clock time ends.

    Attributes:
        loss: nats per image, the authors' quantity: the KL term is that of the unary softmax, no
            bound for structured encoders; read to about 0.5.
        seconds: when.
        source: where it stands.
    """

    loss: float
    seconds: float
    source: str = SOURCE


ENDS = {
    "independent": End(153.0, 2_000.0),
    "supermodular": End(148.5, 20_000.0),
    "pairwise": End(145.0, 250_000.0),
}
"""Figure 3, right: the last test loss of every encoder, with the direct estimator; super-modular
by max-flow, pairwise (any sign) by CPLEX."""

LABELS = (50, 100, 300, 600, 1200)
"""Labelled images in table 2, its rows."""
TABLE2 = {
    "mnist": {
        "direct": {
            "accuracy": (92.6, 95.4, 96.4, 96.7, 96.8),
            "bound": (90.24, 90.93, 90.39, 90.78, 90.45),
        },
        "gumbel-softmax": {
            "accuracy": (84.7, 88.4, 91.7, 92.3, 92.7),
            "bound": (91.23, 90.64, 90.01, 89.77, 90.37),
        },
    },
    "fashion-mnist": {
        "direct": {
            "accuracy": (63.3, 67.2, 70.0, 72.1, 73.7),
            "bound": (129.66, 130.822, 130.653, 130.81, 130.921),
        },
        "gumbel-softmax": {
            "accuracy": (61.2, 64.2, 69.3, 71.6, 73.2),
            "bound": (129.813, 129.054, 130.371, 129.973, 130.063),
        },
    },
}
"""Table 2: test accuracy in per cent and bound in nats per image, by labels as in `LABELS`. The
authors' code has 30 Gaussian dimensions, Adam at 8e-4, 1,200 epochs of labelled images only, then
400."""
# fmt: on
