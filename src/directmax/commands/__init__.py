"""The commands of the command line, as dataclasses whose fields are flags. torch comes on use."""

from directmax.commands.gradients import Gradients
from directmax.commands.reproduce import Reproduce
from directmax.commands.runs import Edit, Evaluate, Sample
from directmax.commands.shared import is_helper
from directmax.commands.solvers import Solvers
from directmax.commands.train import Train

__all__ = ["Edit", "Evaluate", "Gradients", "Reproduce", "Sample", "Solvers", "Train", "is_helper"]
