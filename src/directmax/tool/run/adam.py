"""Adam on a CPU, without torch's compiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

ENTRIES = ("step", "exp_avg", "exp_avg_sq")
"""Of a parameter's state, under torch's names."""


class _Together(NamedTuple):
    """Parameters that one call moves: their numbers, they, their moments, and how often it was."""

    numbers: list[int]
    parameters: list[Any]
    means: list[Tensor]
    squares: list[Tensor]
    steps: Tensor


class Adam:
    """`torch.optim.Adam(parameters, lr=learning_rate, fused=True)`, bit for bit, on a CPU.

    The first optimizer of `torch.optim` imports torch's compiler, which takes as long as torch
    itself, and each step then spends more time around the fused kernel than in it.

    Args:
        parameters: of a model; those without gradient stay as they are.
        learning_rate: may be changed in `param_groups`.

    Attributes:
        param_groups: one, with the parameters and the learning rate, as torch's optimizers have.
        state: steps and moments of every parameter that had a gradient.

    Example:
        >>> weights = nn.Parameter(torch.ones(2))
        >>> optimizer = Adam([weights], 0.1)
        >>> weights.sum().backward()
        >>> optimizer.step()
        >>> weights.data
        tensor([0.9000, 0.9000])

    Reference: Kingma and Ba 2015.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        self.parameters = list(parameters)
        self.param_groups: list[dict[str, Any]] = [{"params": self.parameters, "lr": learning_rate}]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}
        self._together: tuple[list[int], list[_Together]] = ([], [])  # those of the latest step

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        gradients = [each.grad for each in self.parameters]
        numbers = [number for number, each in enumerate(gradients) if each is not None]
        if numbers != self._together[0] or not self.state:  # which another start clears
            self._together = (numbers, self._alike(numbers))
        with torch.no_grad():
            for each in self._together[1]:
                self._move(each, gradients)

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Forget the gradients, as torch's optimizers do by default."""
        for each in self.parameters:
            each.grad = None

    def state_dict(self) -> dict[str, Any]:
        """As torch's optimizers have it: parameters by their number."""
        numbers = {each: number for number, each in enumerate(self.parameters)}
        state = {
            numbers[each]: {**entries, "step": entries["step"].clone()}  # not one for several
            for each, entries in self.state.items()
        }
        return {"state": state, "param_groups": [{"lr": self.param_groups[0]["lr"]}]}

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, except for the learning rate, which a schedule sets.

        Raises:
            LookupError, ValueError: it is of other parameters.
        """
        state: dict[nn.Parameter, dict[str, Tensor]] = {}
        for number, entries in found["state"].items():
            parameter = self.parameters[number]
            if any(entries[name].shape != parameter.shape for name in ENTRIES[1:]):
                raise ValueError(f"moments of parameter {number} are of another shape")
            state[parameter] = {name: entries[name] for name in ENTRIES}
        self.state.clear()
        self.state.update(state)
        self._together = ([], [])

    def _alike(self, numbers: list[int]) -> list[_Together]:
        """Parameters of one type that have moved as often, from now on with one count of steps."""
        alike: dict[tuple[torch.dtype, float], _Together] = {}
        for number in numbers:
            parameter = self.parameters[number]
            state: Any = self.state.get(parameter) or self._begin(parameter)
            key = (parameter.dtype, float(state["step"]))
            found = alike.setdefault(key, _Together([], [], [], [], state["step"].clone()))
            found.numbers.append(number)
            found.parameters.append(parameter)
            found.means.append(state["exp_avg"])
            found.squares.append(state["exp_avg_sq"])
            state["step"] = found.steps
        return list(alike.values())

    def _move(self, moved: _Together, gradients: list[Tensor | None]) -> None:
        given: list[Any] = [gradients[number] for number in moved.numbers]
        torch._fused_adam_(
            moved.parameters,
            given,
            moved.means,
            moved.squares,
            [],
            [moved.steps.add_(1)] * len(given),
            lr=self.param_groups[0]["lr"],
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def _begin(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        moments = {name: torch.zeros_like(parameter) for name in ENTRIES[1:]}
        self.state[parameter] = {"step": torch.zeros(()), **moments}
        return self.state[parameter]
