"""Settings that do nothing beside others, each by one of them. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable

from directmax.tool.config.resolved import ResolvedConfig

ONLY_WITH: dict[str, tuple[Callable[[ResolvedConfig], bool], str]] = {
    "threshold": (lambda c: c.binarize != "threshold", "--binarize threshold; leave it out"),
    "confidence": (lambda c: c.sharpness > 0, "--sharpness 0; leave one of them out"),
    **dict.fromkeys(
        ("trials", "ramp"), (lambda c: not c.distortion, "a --distortion above 0; leave it out")
    ),
    "mirrored": (
        lambda c: not c.symmetric,
        "attributes that are the same on both sides, without --no-symmetric; leave it out",
    ),
    "decided_from": (lambda c: c.decided == 1, "a --decided other than 1; leave it out"),
    "switched_share": (lambda c: not c.switched, "a --switched above 0; leave it out"),
}
"""When a setting does nothing, and what it is for."""
