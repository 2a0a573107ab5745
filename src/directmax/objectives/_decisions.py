"""Losses of decisions: predict weights or costs, and be judged by the z that is best for them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._randomness import draw
from directmax._validation import check_count, check_place, check_positive, check_real
from directmax.distributions import PerturbedArgmax
from directmax.structures import Listed, Structure


def regret(
    predicted: Float[Tensor, "b ..."], costs: Float[Tensor, "b ..."], structure: Structure
) -> Float[Tensor, " b"]:
    r"""What the decision of predicted costs costs more than the best one: ⟨c, z(ĉ) − z(c)⟩.

    z(ĉ) is the z of the least predicted cost. Without gradient. The usual number, relative, is
    `regret(ĉ, c, Z).sum() / optimum.sum()` with the optima ⟨c, z(c)⟩.

    Args:
        predicted: ĉ `(b, *shape)`.
        costs: c, of the same shape.
        structure: the set of decisions.

    Raises:
        TypeError, ValueError: costs that do not fit it.

    Example:
        >>> from directmax.structures import Subsets
        >>> regret(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 2.5]]), Subsets(2, 1))
        tensor([0.5000])

    Reference: Elmachtoub and Grigas 2022.
    """
    _check_same("predicted", predicted, "costs", costs)
    _check_structure(structure)
    with torch.no_grad():
        chosen, best = structure.argmax(-predicted), structure.argmax(-costs)
        return ((chosen - best) * costs).flatten(1).sum(-1)


def fenchel_young(
    weights: Float[Tensor, "b ..."],
    labels: Float[Tensor, "b ..."],
    structure: Structure,
    *,
    noise: str = "gumbel",
    scale: float = 1.0,
    num_samples: int = 1,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " b"]:
    r"""E_γ[max_{z ∈ Z} h(z) + ⟨γ, z⟩] − h(label): the perturbed Fenchel–Young loss of known z.

    Convex in the weights; its gradient is E[z*] − label, and 0 where the mean of z* is the label.
    With `noise="none"` the structured perceptron's, at least 0 and 0 where the label is best; on a
    `Listed` pool of solutions that is contrastive MAP. `LabelledDirect` has the same gradient, and
    takes labels of some variables. h includes the structure's own potentials, which also learn.

    Args:
        weights: `(b, *shape)`; costs with the sign changed.
        labels: z that should be best, zeros and ones of the same shape.
        structure: the set.
        noise: as in `PerturbedArgmax`: "gumbel", "gaussian", "none" or a function; or
            "multiplicative": weights times exp(scale · n − scale²/2), n normal, which keeps their
            signs (costs above 0 for Dijkstra); the loss is then 0 where all weights are 0.
        scale: of the noise.
        num_samples: draws to average over.
        generator: source of randomness; torch's default one when None.

    Raises:
        TypeError, ValueError: weights, labels or noise that do not fit.

    Example:
        >>> from directmax.structures import Subsets
        >>> weights = torch.tensor([[1.0, 2.0, 0.0]], requires_grad=True)
        >>> label = torch.tensor([[1.0, 0.0, 0.0]])
        >>> fenchel_young(weights, label, Subsets(3, 1), noise="none").sum().backward()
        >>> weights.grad
        tensor([[-1.,  1.,  0.]])

    Reference: Berthet et al. 2020; Blondel, Martins and Niculae 2020; Mulamba et al. 2021 (CMAP);
    Dalle et al. 2022 (multiplicative noise).
    """
    _check_same("weights", weights, "labels", labels)
    _check_structure(structure)
    if isinstance(noise, str) and noise == "multiplicative":
        factor = _lognormal(weights, scale, num_samples, generator)
        every = weights * factor  # (s, b, *shape)
        ahead = structure.score(every, structure.argmax(every.detach())).mean(0)
        return ahead - structure.score(weights, labels)
    q = PerturbedArgmax(weights, structure, noise=noise, scale=scale)
    perturbation = q.noise(check_count("num_samples", num_samples), generator=generator)
    z = q.argmax(perturbation)
    best = q.score(z) + (perturbation * z).sum((-2, -1))  # (s, b)
    return best.mean(0) - structure.score(weights, labels)


def spo_plus(
    predicted: Float[Tensor, "b ..."],
    costs: Float[Tensor, "b ..."],
    structure: Structure,
    *,
    labels: Float[Tensor, "b ..."] | None = None,
    noise: str = "none",
    scale: float = 1.0,
    num_samples: int = 1,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " b"]:
    r"""max_{z ∈ Z} ⟨c − 2ĉ, z⟩ − ⟨c − 2ĉ, z(c)⟩: SPO+, a convex bound of the regret.

    The loss of `fenchel_young` at the weights c − 2ĉ, with the best z of the true costs as the
    label. Without noise it is SPO+; with noise its perturbed form, which is smooth.
    `benchmarks/peers.py` compares them.

    Args:
        predicted: ĉ `(b, *shape)`.
        costs: c, the true ones.
        structure: the set of decisions.
        labels: z(c), found once before training; solved for when None.
        noise: as in `fenchel_young`, as `scale`, `num_samples` and `generator`.
        scale: of the noise.
        num_samples: draws to average over.
        generator: source of randomness.

    Raises:
        TypeError, ValueError: costs that do not fit, or bad noise.

    Example:
        >>> from directmax.structures import Subsets
        >>> costs = torch.tensor([[1.0, 2.0]])
        >>> spo_plus(costs, costs, Subsets(2, 1)), spo_plus(-costs, costs, Subsets(2, 1))
        (tensor([0.]), tensor([3.]))

    Reference: Elmachtoub and Grigas 2022, equation 9; the noise is an addition.
    """
    _check_same("predicted", predicted, "costs", costs)
    _check_structure(structure)
    best = structure.argmax(-costs.detach()) if labels is None else labels
    return fenchel_young(
        costs - 2 * predicted,
        best,
        structure,
        noise=noise,
        scale=scale,
        num_samples=num_samples,
        generator=generator,
    )


def noise_contrastive(
    predicted: Float[Tensor, "b ..."], labels: Float[Tensor, "b ..."], pool: Listed
) -> Float[Tensor, " b"]:
    r"""⟨ĉ, label⟩ − mean_{z in the pool} ⟨ĉ, z⟩: labels should cost less than other solutions.

    Solves nothing. `pool.extended(z)` adds solutions as they are found.

    Args:
        predicted: ĉ `(b, *shape)`.
        labels: the best z.
        pool: known solutions.

    Raises:
        TypeError, ValueError: costs or labels that do not fit.

    Example:
        >>> pool, label = Listed(torch.eye(3)), torch.tensor([[1.0, 0.0, 0.0]])
        >>> noise_contrastive(torch.tensor([[1.0, 2.0, 3.0]]), label, pool)
        tensor([-1.])

    Reference: Mulamba et al. 2021, equation 7.
    """
    _check_same("predicted", predicted, "labels", labels)
    if not isinstance(pool, Listed):
        raise TypeError(f"pool must be a Listed, got {type(pool).__name__}")
    pool.check(predicted)
    mean = pool.states.to(predicted).mean(0)
    return ((labels - mean) * predicted).flatten(1).sum(-1)


def _lognormal(
    like: Tensor, scale: float, num_samples: int, generator: torch.Generator | None
) -> Float[Tensor, "s ..."]:
    """Factors exp(scale · n − scale²/2), of mean 1, for every sample."""
    check_positive("scale", scale)
    shape = (check_count("num_samples", num_samples), *like.shape)
    normal = draw(torch.randn, shape, generator, dtype=like.dtype, device=like.device)
    return (scale * normal - scale**2 / 2).exp()


def _check_structure(structure: object) -> None:
    if not isinstance(structure, Structure):
        raise TypeError(f"structure must be a Structure, got {type(structure).__name__}")


def _check_same(name: str, value: object, other_name: str, other: object) -> None:
    """Two tensors of one shape."""
    for each, tensor in ((name, value), (other_name, other)):
        if not isinstance(tensor, Tensor) or tensor.ndim < 2:
            kind = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{each} must be a tensor (batch, *shape of the structure), got {kind}")
        check_real(each, tensor)
    assert isinstance(value, Tensor)
    assert isinstance(other, Tensor)
    check_place(name, value, other.device, other_name)
    if value.shape != other.shape:
        raise ValueError(
            f"{name} and {other_name} must have one shape, got {tuple(value.shape)} and "
            f"{tuple(other.shape)}"
        )
