"""The direct estimator with labels: z^ε is the best assignment that has them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from directmax._validation import check_flag, check_positive
from directmax.distributions import DiscreteDistribution, observed_one_hot
from directmax.estimators._base import Estimate, check_num_samples


class LabelledDirect:
    r"""(∇h(z*) − ∇h(z^label))/ε: the direct gradient of the loss that is 0 at the labels, else ∞.

    z* = argmax_z h(z) + γ(z) is the sample, and z^label = argmax h(z) + γ(z) subject to the labels.
    That is `Direct` with f(z) = 0 where the observed variables have their labels and ∞ elsewhere:
    z^ε = argmax h + γ − ε f is z^label for every ε > 0. Where all variables are observed z^label is
    the label itself; else the solver fills in the others, so that a coupled distribution also
    learns from partly observed z.

    *Expectation.* Let q_γ be the distribution of z*, and c that of z^label. The mean gradient is
    (E_{q_γ}[∇h] − E_c[∇h])/ε. Where z* is a sample of q (`Categorical`, or noise on every state)
    z^label is one of q given the labels, because a maximum over a subset of independent Gumbels is
    Gumbel-Max on that subset. And ∇ log Σ_{z ∈ S} e^{h(z)} = E_{q(z|S)}[∇h], so the mean is

        ∇ (log Σ_z e^{h(z)} − log Σ_{z with the labels} e^{h(z)})/ε = −∇ log q(labels)/ε,

    the gradient of the cross-entropy, divided by ε. For one variable: (softmax(h) − label)/ε.
    `rao_blackwell` takes this mean in place of the two argmaxes: it is cross-entropy.

    Call it as `labelled(q, labels, generator=g)`. It returns an `Estimate`, whose `loss` `(b,)` is
    the mean number of observed variables that z* gets wrong, and with `rao_blackwell`
    −log q(labels)/ε in nats/ε; its gradient is the above. Where no variable is observed both are 0.

    Args:
        epsilon: ε > 0. It only scales the gradient.
        rao_blackwell: the mean over the noise; for `PairwiseBinary` that of the Gibbs distribution
            (n ≤ 24), which with `perturbation="unary"` is not the distribution of z*.
        num_samples: Gumbel draws to average over; unused with `rao_blackwell`.

    Raises:
        TypeError, ValueError: ε ≤ 0, `num_samples` < 1; at the call, labels that do not fit q.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.zeros(2, 1, 2, requires_grad=True)
        >>> labels = torch.tensor([0, -1])  # the second image has none
        >>> estimate = LabelledDirect(rao_blackwell=True)(Categorical(logits), labels)
        >>> estimate.loss.sum().backward()
        >>> logits.grad[:, 0]
        tensor([[-0.5000,  0.5000],
                [ 0.0000,  0.0000]])

    Reference: Lorberbom et al. 2019, eq. 9 and section 5 ("we set the perturbed label to be the
    true label"); McAllester, Hazan and Keshet 2010 (direct loss minimisation).
    """

    def __init__(
        self, epsilon: float = 1.0, *, rao_blackwell: bool = False, num_samples: int = 1
    ) -> None:
        self.epsilon = check_positive("epsilon", epsilon)
        self.rao_blackwell = check_flag("rao_blackwell", rao_blackwell)
        self.num_samples = check_num_samples(num_samples)

    def __call__(
        self,
        q: DiscreteDistribution,
        labels: Int[Tensor, "b n"] | Int[Tensor, " b"] | Float[Tensor, "b n k"],
        *,
        generator: torch.Generator | None = None,
        validate: bool = True,
    ) -> Estimate:
        """Estimate the supervised loss.

        Args:
            q: the distribution.
            labels: indices `(b, n)`, or `(b,)` for one variable, −1 for unobserved, for binary
                variables also bool or floating-point; or one-hot `(b, n, k)` with zero rows for
                unobserved. Those beyond the length of a problem do not count.
            generator: source of the Gumbel noise.
            validate: also look at the values of the labels. Reads them (on a GPU, a
                synchronisation): training loops that made them switch it off.

        Raises:
            TypeError, ValueError: `q` is no distribution, or the labels do not fit it.
        """
        if not isinstance(q, DiscreteDistribution):
            raise TypeError(
                f"q must be a distribution, such as Categorical(logits), got {type(q).__name__}"
            )
        shape = (q.batch_size, q.num_variables, q.num_values)
        observed = observed_one_hot(
            labels, shape, dtype=q.dtype, device=q.device, validate=validate
        )
        present = q.present()
        if present is not None:  # padded labels
            observed = observed * present.unsqueeze(-1)
        if self.rao_blackwell:
            return Estimate(loss=-q.log_prob_given(observed) / self.epsilon, sample=None)
        noise = q.noise(self.num_samples, generator=generator)
        z, right = q.argmax(noise), q.argmax_given(noise, observed)
        wrong = observed.sum((-2, -1)) - (z * observed).sum((-2, -1)).mean(0)
        return Estimate(loss=q.attach(wrong, z, right, 1.0 / self.epsilon), sample=z)

    def __repr__(self) -> str:
        return (
            f"LabelledDirect(epsilon={self.epsilon}, rao_blackwell={self.rao_blackwell}, "
            f"num_samples={self.num_samples})"
        )
