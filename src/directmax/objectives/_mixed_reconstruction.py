"""f(z) = −log p(x|z, rows) + KL of the chosen row: the loss of a discrete choice of Gaussians."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import widened
from directmax._transforms import readable
from directmax._validation import check_flag, check_float_tensor
from directmax.distributions import DEFAULT_MAX_STATES, number_of_states
from directmax.objectives._bernoulli import bernoulli_loss
from directmax.objectives._candidates import Candidates
from directmax.objectives._evaluate import changes_of_one
from directmax.objectives._linear_map import is_factored
from directmax.objectives._reconstruction import FactoredDecoder


class MixedReconstruction:
    r"""f(z) = −log p(x | r_z) + κ_z for one variable z that chooses a row of a matrix.

    r `(b, k, c)` holds a reparameterised Gaussian sample for every value of z, κ `(b, k)` the KL of
    each row's Gaussian to the standard normal. The decoder sees the matrix with all rows zero but
    the chosen one; a relaxed z gives the rows z_j r_j and the KL Σ_j z_j κ_j. Within one call of an
    estimator r is fixed, so f is a deterministic function of z.

    A row touches only its own c columns of the decoder's first layer, so that all k codes cost a
    product of `(b, k, c)` and `(k, c, h)` in place of one with k·c columns.

    Args:
        decoder: a `FactoredDecoder` whose first layer takes k·c numbers.
        images: x `(b, d)` in [0, 1].
        rows: r `(b, k, c)`.
        row_kl: κ `(b, k)`, nats.
        reduced: whether losses that carry no gradient may be decoded in bfloat16 where the device
            is faster with it.

    Raises:
        TypeError: the decoder has no linear `first` layer and no `rest`; a tensor is not floating
            point.
        ValueError: shapes that do not fit.

    Example:
        >>> import torch
        >>> from directmax.models import Decoder
        >>> rows, kl = torch.randn(5, 10, 3), torch.rand(5, 10)
        >>> images = torch.rand(5, 64).round()
        >>> objective = MixedReconstruction(Decoder(10, 3, 64), images, rows, kl)
        >>> objective.state_losses(1, 10).shape, objective(torch.eye(10)[:5].unsqueeze(1)).shape
        (torch.Size([5, 10]), torch.Size([5]))

    Reference: Lorberbom et al. 2019, section 5 (mixed architecture). There f is said for the
    discrete part only; the Gaussian KL belongs into it, because it depends on z.
    """

    def __init__(
        self,
        decoder: FactoredDecoder,
        images: Float[Tensor, "b d"],
        rows: Float[Tensor, "b k c"],
        row_kl: Float[Tensor, "b k"],
        *,
        reduced: bool = True,
    ) -> None:
        if not is_factored(decoder):
            raise TypeError(
                "decoder must have a linear layer `first` and a method `rest`, got "
                f"{type(decoder).__name__}"
            )
        check_float_tensor("images", images, ("batch", "pixels"), finite=False)
        check_float_tensor("rows", rows, ("batch", "values", "dimensions"), finite=False)
        check_float_tensor("row_kl", row_kl, ("batch", "values"), finite=False)
        if len(rows) != len(images) or row_kl.shape != rows.shape[:2]:
            raise ValueError(
                f"rows and row_kl must be for the {len(images)} images, got shapes "
                f"{tuple(rows.shape)} and {tuple(row_kl.shape)}"
            )
        inputs = decoder.first.weight.shape[1]
        if inputs != rows.shape[1] * rows.shape[2]:
            raise ValueError(
                f"the decoder's first layer must take values · dimensions = "
                f"{rows.shape[1] * rows.shape[2]} numbers, got {inputs}"
            )
        self.decoder, self.images = decoder, images
        self.rows, self.row_kl = widened(rows), widened(row_kl)
        self.reduced = check_flag("reduced", reduced)

    def __call__(self, z: Float[Tensor, "*s b 1 k"]) -> Float[Tensor, "*s b"]:
        """f(z), one-hot or relaxed; differentiable with respect to everything.

        Raises:
            ValueError: `z` is for other sizes.
        """
        if z.shape[-3:] != (len(self.rows), 1, self.rows.shape[1]):
            raise ValueError(
                f"z must end in (batch, 1, values) = {(len(self.rows), 1, self.rows.shape[1])}, "
                f"got shape {tuple(z.shape)}"
            )
        weights = z.squeeze(-2)  # (*s, b, k)
        matrix = weights.unsqueeze(-1) * self.rows  # (*s, b, k, c)
        first = self.decoder.first
        pre_activation = first(matrix.flatten(-2).to(first.weight.dtype))
        loss = bernoulli_loss(self.decoder.rest(pre_activation), self.images)
        return loss + (weights * self.row_kl).sum(-1)

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b k"]:
        """f of all k codes, differentiable with respect to everything.

        Raises:
            ValueError: another number of variables or values than the rows are for.
        """
        if (num_variables, num_values) != (1, self.rows.shape[1]):
            raise ValueError(
                f"the objective is for 1 variable with {self.rows.shape[1]} values, got "
                f"{num_variables} with {num_values}"
            )
        number_of_states(1, num_values, max_states)
        logits = self.decoder.rest(self._all_codes())  # (k, b, d)
        return bernoulli_loss(logits, self.images).T + self.row_kl

    @torch.no_grad()
    def single_change_losses(self, z: Float[Tensor, "*s b 1 k"]) -> Float[Tensor, "*s b 1 k"]:
        """f of all values, for any z: of a single variable every value is a single change."""
        return changes_of_one(self, z)

    def losses_and_table(
        self, weights: Float[Tensor, "b k"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b k"]]:
        """Σ_j w_j f(j), differentiable, and f of all k codes, without gradient.

        Only codes with w ≠ 0 are decoded with gradient: for the sampled codes of a confident q
        that is one code an image in place of k. The others are decoded as changes from it.
        """
        weights = weights.detach()
        if not readable(weights):  # nobody can ask which are 0
            codes = weights.shape[1]
            table = self.state_losses(1, codes, max_states=codes)
            return (table * weights).sum(-1), table.detach()
        # Waits for a GPU. One code an image could be found by argmax, but weights do not say how
        # many there are: they are a mean over samples, and may be relaxed.
        image, code = weights.nonzero(as_tuple=True)  # (m,), ordered by image
        columns = self._columns()
        pre_activation = self._decode_pairs(image, code, columns)  # (m, h)
        logits = self.decoder.rest(pre_activation.clone())  # which may write to it
        losses = bernoulli_loss(logits, self.images[image]) + self.row_kl[image, code]
        total = losses.new_zeros(len(weights)).index_add(0, image, losses * weights[image, code])
        with torch.no_grad():
            base = torch.searchsorted(image, torch.arange(len(weights), device=image.device))
            task = Candidates(
                decoder=self.decoder,
                columns=columns,
                values=code[base].unsqueeze(-1),
                pre_activation=pre_activation[base],
                logits=widened(logits[base]),
                images=widened(self.images),
                reduced=self.reduced,
                others=self._all_codes().transpose(0, 1),  # (b, k, h)
            )
            start = losses[base] - self.row_kl[image[base], code[base]]
            table = task.losses(start) + self.row_kl
        return total, table

    def _columns(self) -> Float[Tensor, "k c h"]:
        """The columns of the first layer, those of each row together."""
        return self.decoder.first.weight.T.unflatten(0, self.rows.shape[1:])

    def _all_codes(self) -> Float[Tensor, "k b h"]:
        """The first layer's output for every code of every image."""
        weight = self._columns()
        product = torch.bmm(self.rows.to(weight.dtype).transpose(0, 1), weight)
        bias = self.decoder.first.bias
        return product if bias is None else product + bias

    def _decode_pairs(self, image: Tensor, code: Tensor, columns: Tensor) -> Float[Tensor, "m h"]:
        """The first layer's output for pairs of an image and a code."""
        chosen = torch.zeros(
            len(image), *self.rows.shape[1:], dtype=columns.dtype, device=columns.device
        )
        pair = torch.arange(len(image), device=image.device)
        chosen = chosen.index_put((pair, code), self.rows[image, code].to(columns.dtype))
        output: Tensor = self.decoder.first(chosen.flatten(1))
        return output
