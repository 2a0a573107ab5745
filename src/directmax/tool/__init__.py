"""The tool: data, training runs, measurements, jobs and the paper's tables and figures.

Installed with `pip install 'directmax[tool]'`. Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.tool.compare.comparison import Comparison as Comparison
    from directmax.tool.compare.comparison import compare_runs as compare_runs
    from directmax.tool.config import PRESETS as PRESETS
    from directmax.tool.config import ResolvedConfig as ResolvedConfig
    from directmax.tool.config import TrainConfig as TrainConfig
    from directmax.tool.run.train import train as train

__all__, __getattr__, __dir__ = lazy_names(__name__)
