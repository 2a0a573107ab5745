"""How long jobs will take here: measured from a few steps of every distinct configuration, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from directmax.tool.jobs.bench import Bench
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.kind import Estimate, Kinds


def estimate_all(
    jobs: Sequence[Job],
    kinds: Kinds,
    bench: Bench,
    show: Callable[[int], object] = lambda done: None,
) -> dict[str, Estimate]:
    """What jobs take, by name.

    Args:
        jobs: which.
        kinds: that they are of.
        bench: measures and remembers.
        show: called with how many are done.
    """
    found = {}
    for number, job in enumerate(jobs, start=1):
        found[job.name] = kinds[job.kind].estimate(job, bench)
        show(number)
    bench.save()
    return found


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of jobs ends that are taken in turn by some workers.

    Example:
        >>> makespan([3.0, 1.0, 1.0], 2)
        3.0
    """
    free = [0.0] * max(1, workers)
    for each in seconds:
        free.sort()
        free[0] += each
    return max(free)
