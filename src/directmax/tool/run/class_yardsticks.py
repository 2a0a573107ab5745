"""What anyone would try first on the same labelled images, beside classes found by a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from directmax.tool.run.grouped import class_shares

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse ridges of the regression, of which the validation images choose."""


def class_yardsticks(
    images: Mapping[str, Float[Tensor, "N d"]],
    labels: Mapping[str, Int64[Tensor, " N"]],
    shares: Float[Tensor, " k"],
) -> dict[str, dict[str, float]]:
    """Share of the test images that a logistic regression of the labelled images has right.

    As a model it sees the images binarised; the validation images choose its ridge, by their
    cross-entropy, and where classes are labelled in other shares than they occur, log-odds are
    shifted by the difference.

    Args:
        images: by split: "labelled", "validation" and "test".
        labels: their classes.
        shares: of the classes among all training images.

    Returns:
        By yardstick what it has; {} where one class alone is labelled.

    Example:
        >>> from directmax.tool.data import load_images
        >>> digits = load_images("digits")
        >>> images = {"labelled": digits.train.images[:100], "validation": digits.validation.images}
        >>> labels = {"labelled": digits.train.labels[:100], "validation": digits.validation.labels}
        >>> images["test"], labels["test"] = digits.test.images, digits.test.labels
        >>> class_yardsticks(images, labels, class_shares(digits.train.labels, 10))
        {'regression': {'accuracy': 0.87}}
    """
    from sklearn.linear_model import LogisticRegression

    known, target = images["labelled"].numpy(), labels["labelled"].numpy()
    kinds = np.unique(target)
    if len(kinds) < 2:
        return {}
    drawn = class_shares(labels["labelled"], len(shares))
    shift = np.log(shares.numpy().astype(np.float64) / drawn.numpy())[kinds]
    best, chosen = math.inf, 0.0
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=500).fit(known, target)
        scores = {}
        for split in ("validation", "test"):
            log_prob = fitted.predict_log_proba(images[split].numpy()) + shift
            log_prob -= np.logaddexp.reduce(log_prob, axis=1, keepdims=True)
            truth = labels[split].numpy()
            right = kinds[log_prob.argmax(1)] == truth
            of_truth = np.where(kinds == truth[:, None], log_prob, -np.inf).max(1)
            # Of a class that no labelled image has, nothing is known.
            wrong = -np.maximum(of_truth, math.log(1e-6)).mean()
            scores[split] = (float(wrong), float(right.mean()))
        if scores["validation"][0] < best:
            best, chosen = scores["validation"][0], scores["test"][1]
    return {"regression": {"accuracy": chosen}}


def worse_than_simple(summary: Mapping[str, Any]) -> str:
    """A line where a regression of the labelled images, or the majority, has more right; else "".

    Args:
        summary: of a run with labels.

    Example:
        >>> worse_than_simple(
        ...     {
        ...         "test": {"accuracy": 0.7, "confusion": [[60, 20], [10, 10]]},
        ...         "yardsticks": {"regression": {"accuracy": 0.75}},
        ...     }
        ... )
        'Worse than what is simpler: 70.00 % right on the test images, logistic regression on the \
labelled ones 75.00 %, the majority 80.00 %.'
    """
    own, confusion = summary["test"]["accuracy"], summary["test"]["confusion"]
    total = sum(map(sum, confusion))
    others = {"the majority": max(map(sum, confusion)) / max(1, total)}
    if found := summary.get("yardsticks", {}).get("regression"):
        others = {"logistic regression on the labelled ones": found["accuracy"], **others}
    if own >= max(others.values()):
        return ""
    simpler = ", ".join(f"{name} {100 * each:.2f} %" for name, each in others.items())
    return f"Worse than what is simpler: {100 * own:.2f} % right on the test images, {simpler}."
