"""What layers in training mode do to the f of several z is said, once."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from directmax import (
    Categorical,
    Decoder,
    Direct,
    DiscreteVAE,
    Encoder,
    Estimator,
    Exact,
    GumbelSoftmax,
    LocalExpectation,
    batched,
)

LAYERS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "BatchNorm": (lambda: nn.BatchNorm1d(6), "a BatchNorm1d in training mode, which mixes"),
    "dropout": (nn.Dropout, "a Dropout in training mode, which drops others"),
}


def step(estimator: Estimator, network: nn.Module) -> None:
    def loss(z: Tensor) -> Tensor:
        return network(z.flatten(1)).square().sum(-1)

    estimator(Categorical(torch.zeros(4, 2, 3, requires_grad=True)), batched(loss)).loss.sum()


@pytest.fixture
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("directmax.objectives._training_mode._looked_at", set())


@pytest.mark.usefixtures("_afresh")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("make", [Direct, LocalExpectation, Exact])
def test_said_once(make: Callable[[], Estimator], layer: str) -> None:
    build, message = LAYERS[layer]
    with pytest.warns(UserWarning, match=f"f has {message}"):
        step(make(), nn.Sequential(nn.Linear(6, 6), build()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(make(), nn.Sequential(nn.Linear(6, 6), build()))


@pytest.mark.usefixtures("_afresh")
@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.BatchNorm1d(6).eval(), nn.LayerNorm(6)])
def test_not_where_nothing_differs(layer: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(Direct(), layer)


@pytest.mark.usefixtures("_afresh")
def test_said_where_it_trains_after_an_evaluation() -> None:
    network = nn.Sequential(nn.Linear(6, 6), nn.Dropout())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(Direct(), network.eval())
    with pytest.warns(UserWarning, match="f has a Dropout"):
        step(Direct(), network.train())


def test_every_module_is_looked_at() -> None:
    """One without such layers says nothing of others of its class."""
    q = Categorical(torch.zeros(4, 2, 3, requires_grad=True))
    for layers, said in (((), 0), ((nn.Dropout(),), 1)):
        network = nn.Sequential(nn.Flatten(), nn.Linear(6, 1), *layers, nn.Flatten(0))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            Direct()(q, batched(network))
        assert len(found) == said


@pytest.mark.usefixtures("_afresh")
def test_not_where_one_z_is_asked_for() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(GumbelSoftmax(), nn.BatchNorm1d(6))


class Normalised(Decoder):
    """A decoder that has fast tables."""

    def __init__(self, variables: int) -> None:
        super().__init__(variables, 3, 5)
        self.normal = nn.BatchNorm1d(self.first.out_features)

    def rest(self, pre_activation: Tensor) -> Tensor:
        normal = self.normal(pre_activation.flatten(0, -2)).view_as(pre_activation)
        return super().rest(normal)


@pytest.mark.parametrize("variables", [1, 2])
@pytest.mark.parametrize("plain", [True, False])
def test_decoders(variables: int, plain: bool) -> None:
    decoder: nn.Module = Normalised(variables)
    if plain:
        decoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * variables, 5), nn.BatchNorm1d(5))
    vae = DiscreteVAE(Encoder(5, variables, 3), decoder, LocalExpectation())
    images = torch.rand(4, 5).round()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae.eval()(images)
    with pytest.warns(UserWarning, match="the decoder has a BatchNorm1d"):
        vae.train()(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae(images)
