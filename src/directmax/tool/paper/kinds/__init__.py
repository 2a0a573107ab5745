"""What jobs of the paper's items compute: one file a kind."""

from directmax.tool.jobs.kind import Kinds
from directmax.tool.paper.kinds.gradients import Gradients
from directmax.tool.paper.kinds.mixture import Fitting
from directmax.tool.paper.kinds.train import Training

KINDS: Kinds = {"train": Training(), "gradients": Gradients(), "mixture": Fitting()}
