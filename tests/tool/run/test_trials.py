"""The distortion that short trainings choose."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from directmax import LocalExpectation
from directmax.models import AttributeDecoder, AttributeEncoder, AttributeVAE
from directmax.tool.config import TrainConfig
from directmax.tool.data import AttributeData, AttributeSplit, ImagesInMemory
from directmax.tool.files import RunError
from directmax.tool.jobs.bench import Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.kinds import train as kind
from directmax.tool.run.attribute_task import AttributeTask
from directmax.tool.run.interrupt import Interrupted
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.train import train
from directmax.tool.run.trials import (
    Labelled,
    Trials,
    load_trials,
    run_trials,
    save_trials,
    trials_note,
)

SIDE = 12
CONFIG = TrainConfig(
    model="attributes",
    data="celeba",
    attributes=("Low",),
    epochs=1,
    batch_size=20,
    hidden=4,
    gaussian=2,
    labels=10,
    trials=2,
    precision="32-true",
)


def rows_of_light(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey images of noise with a light row, a pixel lower where the attribute is on."""
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(140, (count, 1, SIDE, SIDE), generator=g, dtype=torch.uint8)
    low = torch.randint(2, (count,), generator=g)
    images[torch.arange(count), 0, 5 + low] = 200
    return images, low[:, None]


def split(count: int, seed: int) -> AttributeSplit:
    images, labels = rows_of_light(count, seed)
    return AttributeSplit(ImagesInMemory(images), labels)


def faces(validation: int = 100) -> AttributeData:
    parts = (split(count, seed) for seed, count in enumerate((60, validation, 20)))
    return AttributeData("mine", ("Low",), (1, SIDE, SIDE), *parts, "none")


def fresh() -> AttributeVAE:
    torch.manual_seed(0)
    sizes = ((1, SIDE, SIDE), 1, 2)
    return AttributeVAE(
        AttributeEncoder(*sizes, hidden=4, width=8),
        AttributeDecoder(*sizes, width=8),
        LocalExpectation(),
        averaged=True,
    )


def test_where_a_pixel_matters_much_distortion_is_worst() -> None:
    config = dataclasses.replace(CONFIG, distortion=0.5).resolve()
    images, labels = rows_of_light(20, 7)
    trials = Trials(
        config, fresh, Labelled(lambda step: (images, labels), None), torch.device("cpu")
    )
    assert trials.strengths == [0.25, 0.5, 1.0]
    before = [each.encoder.potentials.weight.clone() for each in trials.models]
    assert all(torch.equal(each, before[0]) for each in before)
    g = torch.Generator().manual_seed(0)
    batches = (rows_of_light(20, int(torch.randint(99, (), generator=g)))[0] for _ in range(30))
    shares: list[float] = []
    run_trials(trials, batches, 30, shares.append)
    assert shares[-1] == 1
    assert shares == sorted(shares)
    scores = trials.scores(split(400, 8), torch.arange(400))
    assert scores[0] < scores[2] / 1.5
    assert max(scores) < 0.7  # about log 2 at most: they are calibrated


def test_an_untrained_network_tells_little() -> None:
    fabric: Any = SimpleNamespace(global_rank=0, world_size=1, device=torch.device("cpu"))
    losses = []
    for ramp in (0, 1, 2, 4):
        config = dataclasses.replace(CONFIG, ramp=ramp, trials=0).resolve(60)
        task = AttributeTask(config, faces(), fabric)
        batch = next(iter(task.batches(0)))
        generator = torch.Generator().manual_seed(0)
        found = task.loss(task.model, batch, 0, generator=generator)
        losses.append(found.loss.item())
        task.close()
    assert losses[0] == losses[1]
    assert losses[1] > losses[2]
    first, half, quarter = losses[1:]
    assert (first - half) / (first - quarter) == pytest.approx(0.5 / 0.75, rel=1e-3)


def test_attributes_are_decided_in_the_last_third() -> None:
    fabric: Any = SimpleNamespace(global_rank=0, world_size=1, device=torch.device("cpu"))
    found: dict[float, list[float]] = {}
    for power in (1.0, 8.0):
        config = dataclasses.replace(CONFIG, epochs=2, decided=power, trials=0).resolve(60)
        torch.manual_seed(0)
        task = AttributeTask(config, faces(), fabric)  # of six steps
        batch = next(iter(task.batches(0)))
        found[power] = [
            task.loss(task.model, batch, step, generator=torch.Generator().manual_seed(0)).kl.item()
            for step in range(6)
        ]
        task.close()
    assert [a == b for a, b in zip(*found.values(), strict=True)] == [True] * 4 + [False] * 2


def test_switched_images_weigh_three_times_as_much_where_attributes_are_decided() -> None:
    fabric: Any = SimpleNamespace(global_rank=0, world_size=1, device=torch.device("cpu"))
    losses = {}
    for share in (0.1, 0.2):
        config = dataclasses.replace(CONFIG, epochs=2, switched_share=share, trials=0).resolve(60)
        task = AttributeTask(config, faces(), fabric)  # of six steps
        batch = next(iter(task.batches(0)))
        for step in (3, 4):
            noise = torch.Generator().manual_seed(0)
            losses[share, step] = task.loss(task.model, batch, step, generator=noise).loss.item()
        task.close()
    before, decided = (losses[0.2, step] - losses[0.1, step] for step in (3, 4))
    assert before > 0
    assert decided / before == pytest.approx(3, rel=0.02)


def test_the_ramp_of_short_trainings_is_a_quarter() -> None:
    ramps = [dataclasses.replace(CONFIG, epochs=e).resolve(60).ramp for e in (1, 8, 4000)]
    assert ramps == [0, 6, 300]
    assert dataclasses.replace(CONFIG, ramp=5).resolve(60).ramp == 5


@pytest.mark.parametrize("name", ["trials", "ramp"])
def test_nothing_is_tried_or_told_without_distortion(name: str) -> None:
    assert dataclasses.replace(CONFIG, trials=None, distortion=0.0).resolve(60).ramp == 0
    changes: dict[str, Any] = {"trials": None, "distortion": 0.0, name: 5}
    with pytest.raises(ValueError, match=rf"^--{name} 5 is for a --distortion above 0"):
        dataclasses.replace(CONFIG, **changes).resolve(60)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"epochs": 40}, 400),
        ({"epochs": 40, "distortion": 0.5}, 0),
        ({"epochs": 40, "labels": 0}, 0),
        ({"epochs": 39}, 0),
        ({"epochs": 2, "trials": 30}, 30),
    ],
)
def test_they_are_made_where_they_are_worth_their_time(changes: dict[str, Any], steps: int) -> None:
    config = dataclasses.replace(CONFIG, **{"trials": None, "batch_size": 100, **changes})
    assert config.resolve(num_images=10_000).trials == steps


def test_a_run_goes_on_with_what_was_chosen(tmp_path: Path) -> None:
    data = faces()
    summary = train(CONFIG, tmp_path / "run", images=data, device="cpu")
    tried = summary["distortion"]
    assert list(tried["cross_entropy"]) == ["0.25", "0.5", "1"]
    least = min(tried["cross_entropy"], key=tried["cross_entropy"].get)
    assert tried["chosen"] == float(least)
    assert summary["advice"][0].startswith(f"Distortion {least} was chosen")
    # A run that is resumed does not choose anew; and what was chosen is what it trains with.
    other = TrainConfig(**{**CONFIG.given(), "epochs": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("directmax.tool.run.loop.Trainer.run", _interrupted)
        with pytest.raises(Interrupted):
            train(other, tmp_path / "more", images=data, device="cpu")
    folder = RunFolder(tmp_path / "more")
    save_trials(folder.trials, [0.25, 0.5, 1.0], [3.0, 2.0, 1.0])
    more = train(other, folder.path, images=data, device="cpu", resume=True)
    assert more["distortion"]["chosen"] == 1


def test_few_validation_labels_choose_nothing(tmp_path: Path) -> None:
    summary = train(CONFIG, tmp_path / "run", images=faces(99), device="cpu")
    assert "distortion" not in summary
    assert summary["advice"][0].startswith("Distortion 0.5 was not chosen by short trainings")
    assert not RunFolder(tmp_path / "run").trials.exists()


@pytest.mark.parametrize("count", [99, 100])
def test_few_validation_labels_correct_no_targets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    used, forward = [], AttributeVAE.forward

    def watched(self: AttributeVAE, *images: torch.Tensor, **settings: Any) -> Any:
        used.append(settings["calibrated_targets"])
        return forward(self, *images, **settings)

    monkeypatch.setattr(AttributeVAE, "forward", watched)
    config = dataclasses.replace(CONFIG, trials=0)
    train(config, tmp_path / "run", images=faces(count), device="cpu")
    assert set(used) == {count == 100}


def _interrupted(self: Any) -> None:
    raise KeyboardInterrupt


def test_networks_that_diverge_are_not_chosen(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, distortion=0.5).resolve()
    trials = Trials(config, fresh, Labelled(lambda step: (None, None), None), torch.device("cpu"))
    with torch.no_grad():
        trials.models[0].average[1].bias.fill_(torch.nan)
    scores = trials.scores(split(100, 8), torch.arange(100))
    save_trials(tmp_path, trials.strengths, scores)
    tried = load_trials(tmp_path, trials.strengths)
    assert tried["cross_entropy"]["0.25"] is None
    assert tried["chosen"] == 0.5  # it and 1 are equal
    assert "none with 0.25, 0.6" in trials_note(0.5, tried)
    save_trials(tmp_path, trials.strengths, [math.inf] * 3)
    assert load_trials(tmp_path, trials.strengths)["chosen"] == 0.5


@pytest.mark.parametrize(
    "scores", [[1.0, 2.0], [1.0, float("nan"), 2.0]], ids=["too few", "not a number"]
)
def test_damaged(scores: list[float], tmp_path: Path) -> None:
    save_trials(tmp_path, [0.25, 0.5, 1.0], scores)
    with pytest.raises(RunError, match=r"cross-entropies of distortions 0\.25, 0\.5, 1"):
        load_trials(tmp_path, [0.25, 0.5, 1.0])
    with pytest.raises(RunError, match="cross-entropies"):
        load_trials(tmp_path, [0.5, 1.0, 2.0])


def test_an_estimate_has_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    timing = SimpleNamespace(step=1, validation=0)
    monkeypatch.setattr(kind, "time_training", lambda *a, **b: timing)
    images = Images()
    found = []
    for trials, known in ((0, 100), (300, 100), (300, 99)):  # too few labels to choose by
        data = faces(known)
        monkeypatch.setattr(images, "of", lambda config, path=None, data=data: data)
        config = dataclasses.replace(CONFIG, trials=trials).resolve(60)
        bench = Bench(images, device="cpu", threads=1)
        found.append(kind.Training().estimate(Job("a", "train", config.to_dict(), {}), bench).total)
    assert 300 * 1e-4 < found[1] - found[0] < 300
    assert found[2] == found[0]
