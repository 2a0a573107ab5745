"""What was given, what it means, and the objects that follow from it. Does not import torch."""

from directmax.tool.config.resolved import ResolvedConfig, digest_of
from directmax.tool.config.setting import flag_of
from directmax.tool.config.settings import VERSION
from directmax.tool.config.train import (
    PRESETS,
    TrainConfig,
    changed,
    extended,
    shortest,
    stored_config,
)

__all__ = [
    "PRESETS",
    "VERSION",
    "ResolvedConfig",
    "TrainConfig",
    "changed",
    "digest_of",
    "extended",
    "flag_of",
    "shortest",
    "stored_config",
]
