"""The paper's encoders and decoder: one hidden layer each."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._transforms import in_transforms
from directmax._validation import check_count, check_flag, check_real, check_tensor
from directmax.distributions import Gibbs, PairwiseBinary
from directmax.objectives import LinearMap
from directmax.solvers import PairwiseSolver, choose_solver
from directmax.structures import Structure


def check_pixels(images: object, num_pixels: int, like: nn.Module) -> None:
    """Refuse, as what an encoder is given, what are no rows of so many pixels, or not of its type.

    Args:
        images: what came.
        num_pixels: d.
        like: the encoder.
    """
    pixels = check_real("images", images)
    check_tensor("images", pixels, (num_pixels,), "pixels")
    check_like("images", pixels, like, "encoder")


def check_like(name: str, value: Tensor, module: nn.Module, what: str) -> None:
    """Refuse a tensor of another type, or elsewhere, than a network's weights."""
    if torch.compiler.is_compiling() or in_transforms():
        return
    weights = _first_weights(module)
    if weights is None or (value.dtype, value.device) == (weights.dtype, weights.device):
        return
    if value.device != weights.device or not torch.is_autocast_enabled(value.device.type):
        raise TypeError(
            f"{name} must be {weights.dtype} on {weights.device}, as the {what}, got "
            f"{value.dtype} on {value.device}; convert with .to()"
        )


def _first_weights(module: nn.Module) -> nn.Parameter | None:
    """`next(module.parameters(), None)` in a tenth of the time; encoders ask at every call."""
    for parameter in module._parameters.values():
        if parameter is not None:
            return parameter
    for inside in module._modules.values():
        found = None if inside is None else _first_weights(inside)
        if found is not None:
            return found
    return None


def check_codes(z: object, num_variables: int, num_values: int, like: nn.Module) -> None:
    """Refuse, as what a decoder is given, what are no codes of these sizes, or not of its type."""
    codes = check_real("z", z)
    check_tensor("z", codes, (num_variables, num_values), "variables, values")
    check_like("z", codes, like, "decoder")


def trunk_layers(trunk: object, num_pixels: int, hidden: int) -> list[nn.Module]:
    """What makes `hidden` features of an image: the trunk, or linear → ReLU where it is None."""
    check_count("num_pixels", num_pixels)
    check_count("hidden", hidden)
    if trunk is None:
        return [nn.Linear(num_pixels, hidden), nn.ReLU()]
    if not isinstance(trunk, nn.Module):
        raise TypeError(f"trunk must be a torch.nn.Module, got {type(trunk).__name__}")
    return [Trunk(trunk, hidden)]


class Trunk(nn.Module):
    """A network of the caller's, with what it returns checked.

    Args:
        network: images `(b, d)` to features `(b, hidden)`.
        hidden: features that are expected.
    """

    def __init__(self, network: nn.Module, hidden: int) -> None:
        super().__init__()
        self.network, self.num_features = network, hidden

    def forward(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b h"]:
        """Features.

        Raises:
            ValueError: the network returned something else.
        """
        features = self.network(images)
        expected = (images.shape[0], self.num_features)
        if not isinstance(features, Tensor) or features.shape != expected:
            shape = getattr(features, "shape", None)
            got = type(features).__name__ if shape is None else tuple(shape)
            raise ValueError(f"trunk must return features (batch, hidden) = {expected}, got {got}")
        return features


class Encoder(nn.Module):
    """x → linear → ReLU → linear → logits of n variables with k values.

    Args:
        num_pixels: d, the size of an image.
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        hidden: units of the hidden layer.
        trunk: in place of the first linear → ReLU: any module from `(b, d)` to `(b, hidden)`,
            such as an `ImageTrunk`.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> Encoder(64, 1, 10)(torch.zeros(5, 64)).shape
        torch.Size([5, 1, 10])

    Reference: Lorberbom et al. 2019, section 5.
    """

    def __init__(
        self,
        num_pixels: int,
        num_variables: int,
        num_values: int,
        *,
        hidden: int = 300,
        trunk: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_pixels = num_pixels
        self.num_variables = check_count("num_variables", num_variables)
        self.num_values = check_count("num_values", num_values, minimum=2)
        self.own_trunk = trunk is not None
        self.layers = nn.Sequential(
            *trunk_layers(trunk, num_pixels, hidden),
            nn.Linear(hidden, num_variables * num_values),
        )

    def forward(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b n k"]:
        """Logits of q(z|x)."""
        check_pixels(images, self.num_pixels, self)
        logits: Tensor = self.layers(images)
        return logits.unflatten(-1, (self.num_variables, self.num_values))


class PairwisePotentials(nn.Module):
    r"""Network outputs → unary and pairwise potentials of n binary variables → q(z|x).

    The couplings are around the middle, h_ij (z_i − ½)(z_j − ½), which is the same family as
    h_ij z_i z_j (eq. 8) with −½ Σ_j h_ij added to h_i(1): a coupling says that two variables agree,
    and does not also push both on. Without it a super-modular encoder starts with all variables on.

    Args:
        num_variables: n ≥ 1.
        supermodular: h_ij = softplus(·) ≥ 0, so that max-flow finds the argmax.
        solver: of the argmax, by name or as an object; see `PairwiseBinary`.
        perturbation: "unary" or "states"; see `PairwiseBinary`.
    """

    initial_coupling = -2.0
    """Before the softplus: 0.13, weak enough for all variables to be free at the start."""

    def __init__(
        self,
        num_variables: int,
        *,
        supermodular: bool,
        solver: str | PairwiseSolver,
        perturbation: Literal["unary", "states"],
    ) -> None:
        super().__init__()
        n = self.num_variables = num_variables
        self.supermodular = check_flag("supermodular", supermodular)
        self.perturbation = perturbation
        self.solver = choose_solver(solver)
        pairs = torch.arange(n * (n - 1) // 2)
        incidence = torch.zeros(len(pairs), n)
        for end in torch.triu_indices(n, n, 1):
            incidence[pairs, end] = -0.5
        self._middle: Tensor  # (P, n)
        self.register_buffer("_middle", incidence, persistent=False)

    @property
    def num_inputs(self) -> int:
        """2n + P numbers for an image."""
        return 2 * self.num_variables + self._middle.shape[0]

    def parts(
        self, outputs: Float[Tensor, "b m"]
    ) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b P"]]:
        """Unary and pairwise potentials."""
        unary, pairwise = outputs.split([2 * self.num_variables, self._middle.shape[0]], -1)
        if self.supermodular:
            pairwise = nn.functional.softplus(pairwise + self.initial_coupling)
        middle = pairwise @ self._middle.to(pairwise.dtype)  # (b, n)
        unary = unary.unflatten(-1, (self.num_variables, 2))
        return torch.stack([unary[..., 0], unary[..., 1] + middle], -1), pairwise

    def forward(self, outputs: Float[Tensor, "b m"]) -> PairwiseBinary:
        """q(z|x)."""
        unary, pairwise = self.parts(outputs)
        return PairwiseBinary(
            unary, pairwise, solver=self.solver, perturbation=self.perturbation, validate=False
        )


class PairwiseEncoder(nn.Module):
    r"""x → linear → ReLU → linear → unary and pairwise potentials of n binary variables.

    Couplings are around the middle, see `PairwisePotentials`.

    Args:
        num_pixels: d, the size of an image.
        num_variables: n ≥ 1.
        supermodular: h_ij = softplus(·) ≥ 0, so that max-flow finds the argmax.
        hidden: units of the hidden layer.
        solver: of the argmax, by name or as an object; see `PairwiseBinary`.
        perturbation: "unary" or "states"; see `PairwiseBinary`.
        trunk: as of `Encoder`.

    Raises:
        TypeError, ValueError: a size that is no integer or too small, an unknown solver.

    Example:
        >>> PairwiseEncoder(64, 3, supermodular=True)(torch.zeros(5, 64))
        PairwiseBinary(batch_size=5, num_variables=3, solver='auto', perturbation='unary')

    Reference: Lorberbom et al. 2019, section 4.1 and figure 3.
    """

    num_values = 2

    def __init__(
        self,
        num_pixels: int,
        num_variables: int,
        *,
        supermodular: bool = False,
        hidden: int = 300,
        solver: str | PairwiseSolver = "auto",
        perturbation: Literal["unary", "states"] = "unary",
        trunk: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_pixels = num_pixels
        self.num_variables = check_count("num_variables", num_variables)
        self.potentials = PairwisePotentials(
            num_variables, supermodular=supermodular, solver=solver, perturbation=perturbation
        )
        self.layers = nn.Sequential(
            *trunk_layers(trunk, num_pixels, hidden),
            nn.Linear(hidden, self.potentials.num_inputs),
        )

    def forward(self, images: Float[Tensor, "b d"]) -> PairwiseBinary:
        """q(z|x)."""
        check_pixels(images, self.num_pixels, self)
        q: PairwiseBinary = self.potentials(self.layers(images))
        return q


class StructuredEncoder(nn.Module):
    r"""x → linear → ReLU → linear → weights of a structure with sums → its Gibbs distribution.

    The prior is uniform on Z: the KL is log |Z| minus the entropy, exactly, and a `DiscreteVAE` has
    a bound. Estimators that take a `Gibbs` distribution train it: `ScoreFunction`, `Exact`.

    Args:
        num_pixels: d, the size of an image.
        structure: with sums, for any number of problems, such as `Subsets(10, 5)` or `Chain(8, 3)`.
        hidden: units of the hidden layer.
        trunk: as of `Encoder`.

    Raises:
        TypeError, ValueError: a size that is no integer or too small; a structure without sums, or
            with parameters that differ by problem.

    Example:
        >>> from directmax.structures import Subsets
        >>> StructuredEncoder(64, Subsets(10, 5))(torch.zeros(3, 64))
        Gibbs(batch_size=3, Subsets(10, 5))

    Reference: directmax; Papandreou and Yuille 2011 (Gibbs against perturb-and-MAP).
    """

    def __init__(
        self,
        num_pixels: int,
        structure: Structure,
        *,
        hidden: int = 300,
        trunk: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_pixels = num_pixels
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a Structure, got {type(structure).__name__}")
        if not structure.tractable or structure.batch_size is not None:
            raise ValueError(
                "structure must have sums, and parameters that are the same for every image, got "
                f"{structure!r}"
            )
        self.structure = structure
        self.num_variables, self.num_values = structure.shape[0], structure.num_values
        self.layers = nn.Sequential(
            *trunk_layers(trunk, num_pixels, hidden),
            nn.Linear(hidden, math.prod(structure.shape)),
        )

    def forward(self, images: Float[Tensor, "b d"]) -> Gibbs:
        """q(z|x)."""
        check_pixels(images, self.num_pixels, self)
        weights = self.layers(images).unflatten(-1, self.structure.shape)
        return Gibbs(weights, self.structure, validate=False)

    @torch.no_grad()
    def prior_codes(
        self, count: int, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count n k"]:
        """One-hot codes of the prior, uniform on Z.

        Args:
            count: how many.
            generator: source of randomness.

        Raises:
            TypeError: the structure has potentials of its own, so that its samples are not uniform.
        """
        if any(bool(potentials.any()) for potentials in self.structure.own):
            raise TypeError(
                f"prior_codes needs a structure without potentials of its own, got "
                f"{self.structure!r}; ChainEncoder has transitions that learn"
            )
        parameter = next(self.parameters())
        device = parameter.device if generator is None else generator.device
        flat = torch.zeros(1, *self.structure.shape, dtype=parameter.dtype, device=device)
        drawn = self.structure.sample(flat, count, generator=generator)
        return self.structure.one_hot(drawn)[:, 0].to(parameter.device)


class Decoder(nn.Module):
    """One-hot z `(…, n, k)` → linear → ReLU → linear → logits of d pixels.

    Its first layer is linear, so it is a `FactoredDecoder`: objectives use its columns instead of
    multiplying by one-hot vectors.

    Args:
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        num_pixels: d, the size of an image.
        hidden: units of the hidden layer.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> Decoder(1, 10, 64)(torch.eye(10).unsqueeze(1)).shape
        torch.Size([10, 64])

    Reference: Lorberbom et al. 2019, section 5.
    """

    def __init__(
        self, num_variables: int, num_values: int, num_pixels: int, *, hidden: int = 300
    ) -> None:
        super().__init__()
        self.num_variables = check_count("num_variables", num_variables)
        self.num_values = check_count("num_values", num_values, minimum=2)
        self.first: nn.Linear | LinearMap = nn.Linear(
            num_variables * num_values, check_count("hidden", hidden)
        )
        self.last = nn.Linear(hidden, check_count("num_pixels", num_pixels))

    hidden = staticmethod(torch.relu)  # from the first layer's output to the last one's input

    def rest(self, pre_activation: Float[Tensor, "... h"]) -> Float[Tensor, "... d"]:
        """From the first layer's output to pixel logits."""
        logits: Tensor = self.last(self.hidden(pre_activation))
        return logits

    def forward(self, z: Float[Tensor, "... n k"]) -> Float[Tensor, "... d"]:
        """Pixel logits of p(x|z)."""
        check_codes(z, self.num_variables, self.num_values, self)
        return self.rest(self.first(z.flatten(-2)))
