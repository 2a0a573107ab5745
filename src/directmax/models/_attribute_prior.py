"""p(z) of attributes: from labels, in the KL term, and where labels are drawn in other shares."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from directmax._validation import check_has_numbers, check_integers
from directmax.distributions import DiscreteDistribution, enumerate_states

PSEUDO_COUNT = 0.5
"""Of either value of an attribute that labels are counted with (Krichevsky and Trofimov 1981)."""
LEAST_SHARE = 1e-30
"""Of a combination of independent attributes: what many rare ones make of it is no float32."""


def attribute_prior(labels: Int[Tensor, "m n"]) -> Float[Tensor, " states"]:
    r"""log p(z) of all 2^n combinations of attributes, estimated from labels.

    With N(z) of N images that are wholly labelled, and p_i the share of attribute i among those
    whose value is known, both values counted half an image more,

        p(z) = (N(z) + Π_i p_i(z_i)) / (N + 1):

    one image more, of independent attributes, so that no combination is impossible.

    Args:
        labels: 0 or 1, −1 where unknown.

    Returns:
        In the order of `enumerate_states`, nats.

    Example:
        >>> attribute_prior(torch.tensor([[0], [0], [0], [1], [-1]])).exp()
        tensor([0.7400, 0.2600])
    """
    if check_integers("labels", labels).ndim != 2:
        raise ValueError(f"labels must be (images, attributes), got shape {tuple(labels.shape)}")
    check_has_numbers("labels", labels)
    if bool((labels > 1).any()):
        raise ValueError(f"labels must be 0 or 1, or −1 where unknown, got {int(labels.max())}")
    known = (labels >= 0).sum(0)
    share = ((labels > 0).sum(0) + PSEUDO_COUNT) / (known + 2 * PSEUDO_COUNT)  # (n,)
    bits = enumerate_states(labels.shape[1], 2, device=labels.device)[..., 1]  # (K, n)
    independent = torch.where(bits > 0, share, 1 - share).prod(-1).clamp(min=LEAST_SHARE)
    whole = labels[(labels >= 0).all(-1)]
    place = 2 ** torch.arange(labels.shape[1] - 1, -1, -1, device=labels.device)
    counts = torch.bincount((whole * place).sum(-1), minlength=len(bits))
    return ((counts + independent) / (len(whole) + 1)).log()


def kl_to_prior(
    q: DiscreteDistribution, log_prior: Float[Tensor, " states"] | None
) -> Float[Tensor, " b"]:
    """KL(q ‖ p) in nats; p is uniform without `log_prior`."""
    kl = q.kl_to_uniform()
    if log_prior is None:
        return kl
    uniform = q.num_variables * math.log(2)
    return kl - uniform - (q.log_prob_table().exp() * log_prior.to(q.dtype)).sum(-1)


def label_loss(
    q: DiscreteDistribution,
    observed: Float[Tensor, "m n 2"],
    tilt: Float[Tensor, " states"],
) -> Float[Tensor, " m"]:
    r"""−log r(labels | x), r(z|x) ∝ q(z|x) w(z): cross-entropy of labels drawn in other shares.

    Where images are labelled that have z in shares s(z), and z has the shares p(z) among all
    images, w = s/p and r is what an observer of the labelled images alone should believe, if q is
    right. So q is fitted for all images, as logistic regression is in case-control studies.

    Args:
        q: of the labelled images.
        observed: one-hot, zero rows where unobserved.
        tilt: log w(z).

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.log(torch.tensor([[[0.9, 0.1]]])))
        >>> tilt = torch.log(torch.tensor([0.5 / 0.9, 0.5 / 0.1]))
        >>> label_loss(q, torch.tensor([[[0.0, 1.0]]]), tilt).exp()  # both as often: 1/2
        tensor([2.])

    Reference: Prentice and Pyke 1979; Menon et al. 2021 (logit adjustment).
    """
    table = q.log_prob_table() + tilt.to(q.dtype)  # (m, K)
    bits = enumerate_states(q.num_variables, 2, dtype=q.dtype, device=q.device)
    agreeing = torch.einsum("mnk,snk->ms", observed, bits) >= observed.sum((-2, -1)).unsqueeze(-1)
    right = table.masked_fill(~agreeing, -torch.inf).logsumexp(-1)
    return table.logsumexp(-1) - right
