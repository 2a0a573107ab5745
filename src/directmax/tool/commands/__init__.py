"""The commands of the command line, as dataclasses whose fields are flags. torch comes on use."""

from directmax.tool.commands.compare import Compare
from directmax.tool.commands.data import Data
from directmax.tool.commands.explore import Explore
from directmax.tool.commands.gradients import Gradients
from directmax.tool.commands.reproduce import Reproduce
from directmax.tool.commands.runs import Edit, Encode, Evaluate, Export, Sample
from directmax.tool.commands.solvers import Solvers
from directmax.tool.commands.sweep import Sweep
from directmax.tool.commands.train import Train

__all__ = [
    "Compare",
    "Data",
    "Edit",
    "Encode",
    "Evaluate",
    "Explore",
    "Export",
    "Gradients",
    "Reproduce",
    "Sample",
    "Solvers",
    "Sweep",
    "Train",
]
