"""Values of every setting that are not the default, each where it is used."""

from __future__ import annotations

from typing import Any

USED: dict[str, tuple[dict[str, Any], Any]] = {
    "data": ({}, "mnist"),
    "model": ({}, "mixed"),
    "attributes": ({"data": "celeba", "model": "attributes"}, ("Male", "Young")),
    "image_size": ({"data": "celeba", "model": "attributes"}, 32),
    "likelihood": ({"data": "celeba", "model": "attributes"}, "logistic"),
    "labels": ({"model": "mixed"}, 10),
    "label_weight": ({"model": "mixed", "labels": 10}, 2.0),
    "distortion": ({"model": "mixed", "labels": 10}, 0.2),
    "smoothness": ({"model": "mixed", "labels": 10}, 1.0),
    "shift": ({"model": "mixed", "labels": 10}, 2),
    "gaussian": ({"model": "mixed"}, 5),
    "binarize": ({}, "static"),
    "network": ({}, "conv"),
    "encoder": ({}, "pairwise"),
    "chosen": ({"encoder": "subset"}, 3),
    "solver": ({"encoder": "supermodular"}, "max-flow"),
    "perturbation": ({"encoder": "pairwise"}, "states"),
    "kl": ({"encoder": "pairwise"}, "unary"),
    "candidates": ({"variables": 2}, "full"),
    "estimator": ({}, "exact"),
    "epsilon": ({}, 0.5),
    "epsilon_scale": ({}, 2.0),
    "two_sided": ({}, False),
    "rao_blackwell": ({}, True),
    "covering": ({"estimator": "local-divergence"}, 0.25),
    "refine": ({"estimator": "direct"}, True),
    "moves": ({"variables": 3, "estimator": "local-search"}, 3),
    "temperature": ({"estimator": "gumbel-softmax"}, 0.5),
    "straight_through": ({"estimator": "gumbel-softmax"}, True),
    "baseline": ({"estimator": "score-function"}, "none"),
    "anneal_rate": ({"estimator": "gumbel-softmax"}, 0.0),
    "kl_gradient": ({"estimator": "direct"}, "off"),
    "kl_start": ({}, 3.0),
    "kl_fraction": ({}, 0.25),
    "learning_rate_schedule": ({}, "constant"),
    "precision": ({}, "64-true"),
    "eval_samples": ({"variables": 20, "values": 2}, 7),
}
"""Settings with which it is used, and a value; numbers that are not here: one more."""
