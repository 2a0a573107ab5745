"""Published numbers, each with its source. What was published as a curve or a picture says so.

Table 1 is of the paper; table 2 and the curves are of the authors' slides (`slides.py`). Losses are
in nats per image, lower is better; accuracies in per cent.
"""

from __future__ import annotations

from dataclasses import dataclass

from directmax.tool.paper import slides

PAPER = "Lorberbom et al. 2019"
PAPER_TITLE = (
    "Lorberbom, Gane, Jaakkola, Hazan: Direct Optimization through arg max for Discrete "
    "Variational Auto-Encoder, NeurIPS 2019, arXiv 1806.02867"
)
CURVES = "curves, read off the authors' slides"
PICTURE_ONLY = "published as a picture"


@dataclass(frozen=True)
class Published:
    """One published result.

    Attributes:
        value: the number; None where none was published, or none is at hand.
        source: where it stands.
        note: what the number is, or why there is none.
    """

    value: float | None
    source: str
    note: str = ""


VALUES = (10, 20, 30, 40, 50)
"""Values of the variable in table 1, its rows."""

# Table 1: test loss; unbiased (here: exact), direct and Gumbel-Softmax, by k as in `VALUES`.
_TABLE1 = {
    "mnist": {
        "exact": (164.53, 152.31, 149.17, 142.86, 155.37),
        "direct": (165.26, 153.08, 147.38, 143.95, 140.38),
        "gumbel-softmax": (167.88, 156.41, 152.15, 147.56, 146.12),
    },
    "fashion-mnist": {
        "exact": (228.46, 206.40, 205.60, 205.68, 200.88),
        "direct": (222.86, 198.39, 189.44, 184.21, 180.31),
        "gumbel-softmax": (238.37, 211.87, 197.01, 195.22, 191.00),
    },
    "omniglot": {
        "exact": (155.44, 152.05, 152.10, 151.38, 156.84),
        "direct": (155.94, 152.13, 150.14, 150.33, 149.12),
        "gumbel-softmax": (160.13, 166.76, 157.33, 156.09, 164.01),
    },
}
TABLE1_METHODS = ("exact", "direct", "gumbel-softmax")

# Accuracy of other models, to beat: Kingma et al. 2014, table 1, given there as errors.
_KINGMA = "Kingma et al. 2014, table 1"
_LABEL_BASELINES = {
    ("mnist", 100): {"M2": 88.0, "M1+M2": 96.7},
    ("mnist", 600): {"M2": 95.1, "M1+M2": 97.4},
}

OVERTAKES = Published(85.0, f"{PAPER}, section 5")
"""Epoch from which the general encoder is better than the super-modular one."""


def table1(data: str, values: int, method: str) -> Published:
    """The test loss of a cell of table 1, in nats per image.

    Args:
        data: mnist, fashion-mnist or omniglot; the paper has no other.
        values: k of the variable.
        method: exact (the paper's "unbiased"), direct or gumbel-softmax.

    Example:
        >>> table1("mnist", 10, "direct").value
        165.26
        >>> table1("digits", 10, "direct").note
        'not in the paper'
    """
    source = f"{PAPER}, table 1"
    row = _TABLE1.get(data, {}).get(method)
    if row is None or values not in VALUES:
        return Published(None, source, "not in the paper")
    return Published(row[VALUES.index(values)], source)


def best_of_table1(data: str, values: int) -> Published:
    """The lowest of the three methods in a row of table 1.

    Example:
        >>> best_of_table1("mnist", 30).note
        'direct'
    """
    cells = {method: table1(data, values, method) for method in TABLE1_METHODS}
    published = {name: cell.value for name, cell in cells.items() if cell.value is not None}
    if not published:
        return cells["direct"]
    best = min(published, key=lambda name: published[name])
    return Published(published[best], cells[best].source, best)


def table2(data: str, labels: int, method: str, measure: str) -> Published:
    """A cell of table 2: accuracy in per cent or bound in nats per image.

    Args:
        data: mnist or fashion-mnist; the paper has no other.
        labels: labelled images.
        method: direct or gumbel-softmax.
        measure: accuracy or bound.

    Example:
        >>> table2("mnist", 100, "direct", "accuracy").value
        95.4
        >>> table2("digits", 100, "direct", "accuracy").note
        'not in the paper'
    """
    cells = slides.TABLE2.get(data, {}).get(method, {}).get(measure)
    if cells is None or labels not in slides.LABELS:
        return Published(None, f"{PAPER}, table 2", "not in the paper")
    return Published(cells[slides.LABELS.index(labels)], slides.SOURCE)


def slowdown(data: str, values: int, method: str) -> Published:
    """A method's time in that of Gumbel-Softmax: of figure 2, else as the text says of direct.

    Example:
        >>> round(slowdown("mnist", 10, "direct").value, 2), slowdown("digits", 10, "direct").value
        (1.51, 1.5)
    """
    seconds = slides.SECONDS_OF_300_EPOCHS.get((data, values))
    if seconds is not None and method in seconds:
        ratio = seconds[method] / seconds["gumbel-softmax"]
        return Published(ratio, slides.SOURCE, "seconds of 300 epochs, read off figure 2")
    source = f"{PAPER}, section 5"
    if method == "direct":
        return Published(1.5, source, "of no data set by name")
    return Published(None, source, "not in the paper")


def label_baselines(data: str, labels: int) -> dict[str, Published]:
    """Accuracies of other semi-supervised models with as many labels, in per cent.

    Example:
        >>> label_baselines("mnist", 100)["M1+M2"].value
        96.7
    """
    found = _LABEL_BASELINES.get((data, labels), {})
    return {name: Published(value, _KINGMA, "100 − error") for name, value in found.items()}


FIGURES = {
    f"figure{number}": Published(None, f"{PAPER}, figure {number}", note)
    for note, numbers in ((CURVES, (1, 2, 3)), (PICTURE_ONLY, (4, 5)))
    for number in numbers
}
"""What the paper itself shows without numbers, by item, and where there are some."""

CLAIMS = {
    "figure1": ("For small ε the gradient is either zero or very large (section 4).",),
    "figure2": (
        "The direct method takes 1.5 times as long as Gumbel-Softmax, and its test loss is lower "
        "at any time (section 5).",
        "Enumeration takes more epochs to converge; in the end it is similar or better on MNIST "
        "and Omniglot, worse on Fashion-MNIST (section 5).",
    ),
    "figure3": (
        "Structured encoders achieve better bounds than independent ones (section 5).",
        "The general encoder becomes better than the super-modular one in epoch 85; CPLEX is "
        "orders of magnitude slower than max-flow (section 5).",
        "Super-modular encoders with max-flow take about as long as independent ones (section 5).",
    ),
    "figure4": ("Labels let the rows capture the classes (section 5).",),
}
"""What the paper's text says of its figures."""
