"""What jobs of the paper's items compute: one file a kind, beside the trainings of `tool/kinds`."""

from directmax.tool import kinds
from directmax.tool.jobs.kind import Kinds
from directmax.tool.paper.kinds.gradients import Gradients
from directmax.tool.paper.kinds.mixture import Fitting
from directmax.tool.paper.kinds.steps import Steps

KINDS: Kinds = {
    **kinds.KINDS,
    "gradients": Gradients(),
    "mixture": Fitting(),
    "steps": Steps(),
}
