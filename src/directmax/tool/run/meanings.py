"""What the values of z stand for, where the numbers of a row have names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax.models import DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import ImageData
from directmax.tool.look.content import Table
from directmax.tool.run.codes import inferred
from directmax.tool.run.images import split_images

NUM_ROWS = 2_000
"""Training rows that are encoded, evenly chosen."""
NUM_NAMES = 4
"""Of a value."""
NUM_VALUES = 60
"""Rows of the table."""
LEAST = 0.05
"""Difference of shares that is worth a word."""


@torch.no_grad()
def meanings_table(
    config: ResolvedConfig, model: DiscreteVAE | MixedVAE, data: ImageData
) -> Table | None:
    """The numbers that are far more, or far less, often 1 among the rows of a value than among all.

    Args:
        config: of the run.
        model: with its best weights.
        data: the rows; None is returned where their numbers have no names.
    """
    if not data.number_names:
        return None
    device = next(model.parameters()).device
    step = -(-len(data.train) // NUM_ROWS)
    rows = split_images(config, data, "train")[::step].to(device)
    codes = inferred(model, rows).mode().argmax(-1).cpu()
    classes = data.label_names if config.labels else ()
    return meanings(codes, rows.cpu(), data.number_names, config.values, classes)


def meanings(
    codes: Int64[Tensor, "N n"],
    rows: Float[Tensor, "N d"],
    names: Sequence[str],
    num_values: int,
    classes: Sequence[str] = (),
) -> Table:
    """As `meanings_table`, of codes.

    Args:
        codes: z_i of every row.
        rows: numbers in [0, 1].
        names: d of them.
        num_values: k.
        classes: names of the values, where they have any.

    Example:
        >>> codes, rows = torch.tensor([[0], [0], [1], [1]]), torch.tensor([[0.0, 1.0]] * 4)
        >>> rows[:2, 0] = 1
        >>> [row[1:] for row in meanings(codes, rows, ["wet", "old"], 2).rows]
        [['50.0', 'wet 100 % (50)'], ['50.0', 'wet 0 % (50)']]
    """
    overall = rows.double().mean(0)
    found = []
    for variable in range(codes.shape[1]):
        for value in range(num_values):
            of_value = codes[:, variable] == value
            if bool(of_value.any()):
                own = rows[of_value].double().mean(0)
                title = classes[value] if value < len(classes) else str(value)
                found.append(
                    (of_value.double().mean(), variable, title, _told(own, overall, names))
                )
    left = len(found) - NUM_VALUES
    if codes.shape[1] == 1:  # the most frequent ones
        found = found if classes else sorted(found, key=lambda each: -each[0])
    several = codes.shape[1] > 1
    return Table(
        "what the values of z stand for",
        ["z", "rows, %", "what is so in another share of them (than of all rows)"],
        [
            [f"z{variable + 1} = {title}" if several else title, f"{100 * share:.1f}", text]
            for share, variable, title, text in found[:NUM_VALUES]
        ],
        "Of training rows by their most probable code."
        + (f" {left} more values are left out." if left > 0 else ""),
        words=(2,),
    )


def _told(own: Tensor, overall: Tensor, names: Sequence[str]) -> str:
    """The names whose shares differ most."""
    order = (own - overall).abs().argsort(descending=True, stable=True)[:NUM_NAMES].tolist()
    shown = [
        f"{names[i]} {100 * own[i]:.0f} % ({100 * overall[i]:.0f})"
        for i in order
        if abs(float(own[i] - overall[i])) >= LEAST
    ]
    return ", ".join(shown) or "as all"
