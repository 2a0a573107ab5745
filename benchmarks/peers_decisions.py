"""The losses of decisions of `peers.py`: directmax's and PyEPO's, on one task.

`least squares` is the yardstick of what is learned, SPO+ of the time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from directmax import Direct, LabelledDirect, PerturbedArgmax
from directmax.objectives import (
    DecisionTask,
    LinearCost,
    SolutionPool,
    fenchel_young,
    noise_contrastive,
    spo_plus,
)
from directmax.structures import Knapsack

SAMPLES = 3
SHARE = 0.05
"""Of the steps in which a pool of solutions is solved for."""
Loss = Callable[[Tensor, Tensor], Tensor]  # of predictions and the numbers of the examples


def decision_losses(task: DecisionTask, costs: Tensor) -> dict[str, Loss]:
    """directmax's ways to learn from costs."""
    z, best = task.structure, task.structure.argmax(-costs)

    def estimated(estimator: Direct) -> Loss:
        return lambda guess, i: estimator(
            PerturbedArgmax(-guess, z), LinearCost(costs[i], binary=True)
        ).loss.mean()

    labelled = LabelledDirect(num_samples=SAMPLES)
    noisy = {"noise": "gumbel", "num_samples": SAMPLES}
    pools = [SolutionPool(z, best, share=SHARE) for _ in range(2)]
    return {
        "least squares": lambda guess, i: ((guess - costs[i]) ** 2).mean(),
        "directmax: SPO+": lambda guess, i: spo_plus(guess, costs[i], z, labels=best[i]).mean(),
        "directmax: perturbed SPO+": lambda guess, i: spo_plus(
            guess, costs[i], z, labels=best[i], **noisy
        ).mean(),
        "directmax: LabelledDirect, c − 2ĉ": lambda guess, i: labelled(
            PerturbedArgmax(costs[i] - 2 * guess, z), best[i].long()
        ).loss.mean(),
        "directmax: perturbed Fenchel–Young": lambda guess, i: fenchel_young(
            -guess, best[i], z, noise="gaussian", num_samples=SAMPLES
        ).mean(),
        "directmax: Direct()": estimated(Direct(num_samples=SAMPLES)),
        "directmax: noise-contrastive, pool": lambda guess, i: noise_contrastive(
            guess, best[i], pools[0].grown(guess)
        ).mean(),
        "directmax: contrastive MAP, pool": lambda guess, i: fenchel_young(
            -guess, best[i], pools[1].grown(guess), noise="none"
        ).mean(),
    }


def pyepo_losses(task: DecisionTask, features: Tensor, costs: Tensor) -> dict[str, Loss]:
    """PyEPO's, on its own models with OR-Tools."""
    import pyepo.func as func
    from pyepo.data.dataset import optDataset
    from pyepo.model.ort import knapsackModel, shortestPathModel

    structure, sign = task.structure, 1.0
    if isinstance(structure, Knapsack):
        sizes, room = structure.sizes.numpy().reshape(1, -1), structure.capacity.numpy().reshape(1)
        model, sign = knapsackModel(sizes, room), -1.0
    else:
        model = shortestPathModel((5, 5))
    best = structure.argmax(-costs)
    optimum = (best * costs).sum(-1, keepdim=True)
    known = optDataset(model, features.numpy(), np.asarray(sign * costs))
    pool = {"solve_ratio": SHARE, "dataset": known}

    def linear(layer: Callable[[Tensor], Tensor]) -> Loss:
        return lambda guess, i: (layer(sign * guess) * costs[i]).sum(-1).mean()

    def labelled(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
        return lambda guess, i: loss(sign * guess, best[i])

    def from_costs(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
        return lambda guess, i: loss(sign * guess, sign * costs[i])

    plus = func.SPOPlus(model)
    return {
        "PyEPO: SPO+": lambda guess, i: plus(
            sign * guess, sign * costs[i], best[i], sign * optimum[i]
        ),
        "PyEPO: perturbed Fenchel–Young": labelled(
            func.perturbedFenchelYoung(model, n_samples=SAMPLES, sigma=1.0)
        ),
        "PyEPO: adaptive implicit MLE": linear(func.adaptiveImplicitMLE(model, n_samples=SAMPLES)),
        "PyEPO: black-box": linear(func.blackboxOpt(model, lambd=10)),
        "PyEPO: negative identity": linear(func.negativeIdentity(model)),
        "PyEPO: perturbation gradient": from_costs(func.perturbationGradient(model, sigma=0.1)),
        "PyEPO: noise-contrastive, pool": labelled(func.noiseContrastiveEstimation(model, **pool)),
        "PyEPO: contrastive MAP, pool": labelled(func.contrastiveMAP(model, **pool)),
        "PyEPO: listwise ranking, pool": from_costs(func.listwiseLearningToRank(model, **pool)),
    }
