"""Figure 5: faces by attributes. Waits for the model of several attributes."""

from __future__ import annotations

from directmax.experiments.jobs import Item, Job, Request


def build(request: Request) -> tuple[Job, ...]:
    """Nothing yet."""
    return ()


ITEM = Item(
    "figure5",
    "Figure 5: attributes of faces",
    "Faces of CelebA decoded with attributes switched on and off.",
    ("celeba",),
    build,
    needs="figure5 needs CelebA (or a folder in its layout) and the model of attributes, "
    "which this version does not have",
)
