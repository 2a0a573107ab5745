"""The score function with a control variate that is differentiated: REBAR and RELAX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._precision import widened
from directmax._transforms import refuse_in_transforms, uncompiled
from directmax._validation import LARGEST, check_count, check_number, check_positive
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_independent,
    check_num_samples,
)
from directmax.gumbel import conditional_gumbel
from directmax.objectives import Objective, evaluate

FORBIDDEN = 1e6
"""Below the largest potential: a relaxed sample has exactly 0 there, and derivatives are finite."""


class Rebar(Estimator):
    r"""∇E_q[f] = E[(f(z) − c(s̃)) ∇log q(z) + ∇_h c(s) − ∇_h c(s̃)], with c(s) = η f(s).

    z = argmax h + γ is the sample, s = softmax((h + γ)/τ) its relaxation, and s̃ the same of fresh
    noise γ̃ | z, drawn given the argmax and reparameterised. Given z, s̃ and s have the same
    distribution: the terms with c cancel on average, for every c. As c(s̃) resembles f(z), they
    take variance away. Unbiased; f must be differentiable between the vertices. Three evaluations
    of f a sample (at z, s, s̃), two of them with the derivative with respect to the relaxed sample.

    τ and η are parameters, `log_temperature` and `scale`. In training mode every fourth call
    (`learn_every`) gives them the gradient of the estimator's own variance, the mean over problems
    of the squared norm of the gradient, in the backward pass of `loss`; the other calls, which save
    the second derivatives, give them zero. Pass `estimator.parameters()` to the optimizer. Their
    gradients have the scale of variances, to which Adam is indifferent; a clipped global norm is
    not, so clip the model's gradients alone.

    Args:
        temperature: τ at the start.
        scale: η at the start.
        learn_every: how often τ and η are trained; 0 for never.
        num_samples: draws to average over.

    Raises:
        TypeError, ValueError: τ ≤ 0, `scale` no number, a wrong count; at the call, variables
            that are not independent, an f that is not differentiable, or a torch.func transform.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(50, 2, 3, requires_grad=True)
        >>> estimator = Rebar()
        >>> optimizer = torch.optim.Adam([logits, *estimator.parameters()])
        >>> estimator(Categorical(logits), lambda z: z[..., 0].prod(-1)).loss.mean().backward()
        >>> optimizer.step()

    Reference: Tucker et al. 2017, REBAR. The authors' code takes for γ̃ the γ that was drawn, so
    that s̃ and s differ in their derivatives only; here γ̃ is fresh.
    """

    unbiased: ClassVar[bool] = True
    needs_derivative: ClassVar[bool] = True

    def __init__(
        self,
        temperature: float = 0.5,
        *,
        scale: float = 1.0,
        learn_every: int = 4,
        num_samples: int = 1,
    ) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)
        check_positive("temperature", temperature)
        check_number("scale", scale)
        self.learn_every = check_count("learn_every", learn_every, minimum=0, maximum=LARGEST)
        learn = self.learn_every > 0
        with torch.inference_mode(False):  # where the estimator may be made
            self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)), learn)
            self.scale = nn.Parameter(torch.tensor(float(scale)), learn)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """Three a sample: at z, s and s̃."""
        return 3 * self.num_samples

    def _has_state(self) -> bool:
        return bool(self.learn_every)

    @uncompiled  # differentiates inside, which the compiler cannot trace
    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        name = type(self).__name__
        q = check_independent(name, q, "; use ClampedArgmax")
        refuse_in_transforms(
            f"{name}, which differentiates f itself,", "use backward(), or another estimator"
        )
        noise = q.noise(self.num_samples, generator=generator)
        z = q.argmax(noise)
        losses = evaluate(objective, z)  # (s, b)
        loss = average(losses)
        if not (torch.is_grad_enabled() and q.logits.requires_grad):
            return Estimate(loss=loss, sample=z)
        learned: list[nn.Parameter] = []
        if self.training and self.learn_every:
            learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        learns = bool(learned) and self.step % self.learn_every == 0
        gradient = self._gradient(q, objective, noise, z, losses.detach(), learns, generator)
        loss = q.with_gradient(loss, gradient.detach())
        if learned:
            slopes: Sequence[Tensor | None] = [torch.zeros_like(p) for p in learned]
            if learns:
                variance = gradient.square().sum()
                slopes = torch.autograd.grad(variance, learned, allow_unused=True)
            loss = _with_parameters(loss, learned, slopes)
        return Estimate(loss=loss, sample=z)

    def _gradient(
        self,
        q: Categorical,
        objective: Objective,
        noise: Tensor,
        z: Tensor,
        losses: Tensor,
        learns: bool,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "b n k"]:
        """The estimate; if it `learns`, a differentiable function of the estimator's parameters."""
        logits = q.logits.detach()
        lowest = logits.amax(-1, keepdim=True) - FORBIDDEN
        logits = torch.where(logits == -torch.inf, lowest, logits).requires_grad_()
        temperature = self.log_temperature.exp().to(logits.dtype)
        fresh = q.noise(self.num_samples, generator=generator)
        conditional = conditional_gumbel(logits, z, noise=fresh)
        perturbed = torch.stack([logits + noise, conditional])
        relaxed = (perturbed / temperature).softmax(-1)  # (2, s, b, n, k)
        control, slope = self._control(objective, relaxed, learns)  # (2, s, b), its derivative
        signed = torch.stack([slope[0], -slope[1]])
        (difference,) = torch.autograd.grad(relaxed, logits, signed, create_graph=learns)
        weight = (losses - control[1])[..., None, None]  # (s, b, 1, 1)
        probs = q.probs.detach()
        return average(weight * (z - probs)) + difference / self.num_samples

    def _control(
        self, objective: Objective, relaxed: Float[Tensor, "2 s b n k"], learns: bool
    ) -> tuple[Float[Tensor, "2 s b"], Float[Tensor, "2 s b n k"]]:
        """c and its derivative at relaxed samples."""
        losses, slope = self._relaxed_losses(objective, relaxed, learns)
        scale = self.scale.to(relaxed.dtype)
        return losses * scale, slope * scale

    def _relaxed_losses(
        self, objective: Objective, relaxed: Tensor, learns: bool
    ) -> tuple[Tensor, Tensor]:
        """f and its derivative, refused where there is none: it would leave a bias."""
        losses, slope = evaluate(objective, relaxed), None
        if losses.requires_grad:
            slope = _derivative(losses, relaxed, learns)
        if slope is None:
            raise TypeError(f"{type(self).__name__} needs an f that is differentiable in z")
        return losses, slope

    def latest(self) -> dict[str, float]:
        """τ and η; reads them."""
        if not self.step:
            return {}
        return {"temperature": math.exp(self.log_temperature.item()), "scale": self.scale.item()}

    def extra_repr(self) -> str:
        """The settings, for `repr`."""
        if self.scale.is_meta:
            return f"learn_every={self.learn_every}, num_samples={self.num_samples}"
        return (
            f"temperature={math.exp(self.log_temperature.item()):.4g}, "
            f"scale={self.scale.item():.4g}, "
            f"learn_every={self.learn_every}, num_samples={self.num_samples}"
        )


class Surrogate(nn.Module):
    """A small network r(s) for `Relax`: s `(…, n, k)` → linear → tanh → linear → `(…)`, in nats.

    Its last layer starts at zero, so that RELAX starts as REBAR.

    Args:
        num_variables: n.
        num_values: k.
        hidden: units of the hidden layer.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> Surrogate(15, 2)(torch.zeros(5, 15, 2)).shape
        torch.Size([5])

    Reference: Grathwohl et al. 2018 (ten hidden units in their code).
    """

    def __init__(self, num_variables: int, num_values: int, *, hidden: int = 10) -> None:
        super().__init__()
        size = check_count("num_variables", num_variables) * check_count(
            "num_values", num_values, minimum=2
        )
        self.first = nn.Linear(size, check_count("hidden", hidden))
        self.last = nn.Linear(hidden, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, relaxed: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """r(s), computed in the type of the weights.

        Raises:
            ValueError: s is of another size.
        """
        flat = (2 * relaxed - 1).flatten(-2).to(self.first.weight.dtype)
        if flat.shape[-1] != self.first.in_features:
            raise ValueError(
                f"the surrogate is for variables · values = {self.first.in_features}, got z of "
                f"shape {tuple(relaxed.shape)}"
            )
        value: Tensor = self.last(torch.tanh(self.first(flat))).squeeze(-1)
        return value


class Relax(Rebar):
    r"""REBAR with a control variate that is learned: c(s) = η f(s) + r(s), or r(s) alone.

    r is a network, trained together with τ and η on the estimator's variance in the backward pass
    of `loss`. Unbiased for every r. The networks of `Surrogate` see the sample only; one that also
    sees the input can be passed, as long as it maps `(*s, b, n, k)` to `(*s, b)` and can be
    differentiated twice.

    With `scale=None` the control variate is r alone: f may be a black box, and is evaluated once a
    sample.

    Args:
        surrogate: r, such as `Surrogate(num_variables, num_values)`.
        temperature: τ at the start.
        scale: η at the start, None for a black box; the paper has η = 1 throughout.
        learn_every: how often all of them are trained; 0 for never, which also freezes the
            surrogate's parameters.
        num_samples: draws to average over.

    Raises:
        TypeError, ValueError: as `Rebar`, and a surrogate that is no module.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(50, 2, 3, requires_grad=True)
        >>> estimator = Relax(Surrogate(2, 3))
        >>> estimator(Categorical(logits), lambda z: z[..., 0].prod(-1)).loss.mean().backward()
        >>> bool(estimator.surrogate.last.weight.grad.abs().sum() > 0)
        True

    Reference: Grathwohl et al. 2018, Backpropagation through the void.
    """

    def __init__(
        self,
        surrogate: nn.Module,
        temperature: float = 0.5,
        *,
        scale: float | None = 1.0,
        learn_every: int = 4,
        num_samples: int = 1,
    ) -> None:
        super().__init__(
            temperature,
            scale=0.0 if scale is None else scale,
            learn_every=learn_every,
            num_samples=num_samples,
        )
        if not isinstance(surrogate, nn.Module):
            raise TypeError(
                "surrogate must be a module, such as Surrogate(num_variables, num_values), got "
                f"{type(surrogate).__name__}"
            )
        self.surrogate = surrogate
        if not learn_every:
            surrogate.requires_grad_(False)
        self.black_box = scale is None
        self.needs_derivative = not self.black_box  # type: ignore[misc]
        if self.black_box:
            with torch.inference_mode(False):
                self.scale = nn.Parameter(torch.zeros(()), requires_grad=False)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """Three a sample, at z, s and s̃; one with a black box."""
        return self.num_samples if self.black_box else 3 * self.num_samples

    def _control(
        self, objective: Objective, relaxed: Tensor, learns: bool
    ) -> tuple[Tensor, Tensor]:
        control = self.surrogate(relaxed.clone())  # which may write to it
        if control.shape != relaxed.shape[:-2]:
            raise ValueError(
                f"the surrogate must return one number per assignment, {tuple(relaxed.shape[:-2])} "
                f"for shape {tuple(relaxed.shape)}, got {tuple(control.shape)}"
            )
        control = control.to(relaxed.dtype)
        slope = _derivative(control, relaxed, learns) if control.requires_grad else None
        if slope is None:
            slope = torch.zeros_like(relaxed)  # a surrogate that is constant
        if self.black_box:
            return control, slope
        losses, loss_slope = super()._control(objective, relaxed, learns)
        return control + losses, slope + loss_slope


def _derivative(values: Tensor, at: Tensor, create: bool) -> Tensor | None:
    """Of the sum of `values`; None where they do not depend on `at`. Keeps the graph of `at`."""
    (slope,) = torch.autograd.grad(
        values.sum(), at, retain_graph=True, create_graph=create, allow_unused=True
    )
    result: Tensor | None = slope
    return result


def _with_parameters(
    loss: Tensor, parameters: Sequence[nn.Parameter], slopes: Sequence[Tensor | None]
) -> Tensor:
    """`loss`, with these gradients of its sum with respect to parameters, shared by its entries.

    The slopes are numbers, so no graph of this call outlives its backward pass. They may be too
    large for half precision, which must not reach the loss.
    """
    terms = [
        (widened(parameter) * widened(slope.detach())).sum()
        for parameter, slope in zip(parameters, slopes, strict=True)
        if slope is not None
    ]
    total = torch.stack(terms).sum().to(loss.dtype) / max(1, loss.numel())
    return loss + (total - total.detach())
