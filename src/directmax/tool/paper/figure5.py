"""Figure 5: attributes of images switched on and off, learned from one per cent of the labels."""

from __future__ import annotations

from typing import Any

from directmax.tool.config import TrainConfig
from directmax.tool.jobs.job import Job
from directmax.tool.paper.item import Item, Request, train_job

IMAGES = {"celeba": 162_770, "fashion-mnist": 50_000}
"""Training images, unless the data set at hand says otherwise."""
LABELLED = 0.01
"""Of the training images."""
METHODS: dict[str, dict[str, Any]] = {
    "direct": {"estimator": "direct"},
    "local-expectation": {"estimator": "local-expectation"},
    "pairwise": {"encoder": "pairwise", "estimator": "clamped-argmax"},
}


def training(request: Request, data: str, method: str, seed: int) -> Job:
    """One run."""
    labels = round(LABELLED * request.present.get(data, IMAGES[data]))
    config = TrainConfig(
        data=data,
        model="attributes",
        labels=request.pick(50, labels, labels),
        image_size=request.pick(16, None, None),
        epochs=request.length(1, 10, 40),
        precision="bf16-mixed",
        seed=seed,
        **METHODS[method],
    ).resolve()
    name = f"figure5-{data}-{method}-{seed}"
    return train_job(name, config, method=method, labels=config.labels)


def build(request: Request) -> tuple[Job, ...]:
    """One seed, because it is a picture."""
    return tuple(
        training(request, data, method, request.seeds[0])
        for data in request.data
        for method in METHODS
    )


ITEM = Item(
    "figure5",
    "Figure 5: attributes switched on and off",
    "Test images, decoded with every combination of attributes; one per cent of the training "
    "images have labels.",
    ("fashion-mnist",),
    build,
    embedded=False,
    extra=("celeba",),
)
