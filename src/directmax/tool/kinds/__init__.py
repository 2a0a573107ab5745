"""The kinds of jobs that are not of the paper alone."""

from directmax.tool.jobs.kind import Kinds
from directmax.tool.kinds.train import Training

KINDS: Kinds = {"train": Training()}
