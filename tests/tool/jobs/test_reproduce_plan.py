"""Plans: every job can be run, shared work is there once, what is asked for is what is planned."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from directmax.tool.config import TrainConfig, stored_config
from directmax.tool.files import RunError
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.plan import Plan
from directmax.tool.jobs.runner import makespan
from directmax.tool.jobs.store import Store
from directmax.tool.measure.gradient_grid import settings_of
from directmax.tool.measure.gradient_request import GradientRequest
from directmax.tool.paper import ITEMS, SCALES, Request, kinds, plan_items
from directmax.tool.paper.item import SEEDS

RESULTS = Path(__file__).parents[3] / "reproductions"


def make_plan(name: str, scale: str, *, only: Sequence[str] = (), **asked: Any) -> Plan:
    return plan_items(name, Request(scale, **asked), only)


def names(plan: Plan) -> list[str]:
    return [job.name for job in plan.jobs]


@pytest.mark.parametrize("scale", SCALES)
def test_every_job_can_be_made(scale: str) -> None:
    plan = make_plan("all", scale, everything=True)
    usual = {job.digest() for job in make_plan("all", scale).jobs}
    assert len(plan.jobs) > len(usual)
    assert usual < {job.digest() for job in plan.jobs} or scale != "paper"
    requests: dict[str, GradientRequest] = {}
    by_name = {job.name: job for job in plan.jobs}
    assert len(by_name) == len(plan.jobs) == len({job.digest() for job in plan.jobs})
    for position, job in enumerate(plan.jobs):
        assert set(job.after) <= set(names(plan)[:position]), "dependencies come first"
        assert job.kind in kinds.KINDS
        assert job.cell["seed"] in SEEDS[scale]
        assert Job.from_dict(job.to_dict()) == job
        if job.kind == "train":
            assert stored_config(dict(job.settings)).to_dict() == job.settings
        if job.kind == "gradients":
            flags = {k: v for k, v in job.settings.items() if k not in ("trained", "seed")}
            requests[json.dumps(flags)] = GradientRequest.from_dict(flags)
        if job.kind == "gradients" and job.after:
            assert job.settings["trained"] == by_name[job.after[0]].digest()
    for request in requests.values():
        settings, _ = settings_of(TrainConfig().resolve(), request)
        assert {setting.family for setting in settings} >= {"direct", "gumbel-softmax"}
    for chosen in plan.parts:
        assert set(chosen.jobs) <= set(by_name)
        assert chosen.jobs or chosen.needs


def test_table_1_is_whole() -> None:
    cells = {
        tuple(job.cell[name] for name in ("data", "values", "method", "seed"))
        for job in make_plan("table1", "paper").jobs
    }
    for data in ("mnist", "fashion-mnist", "omniglot"):
        for values in (10, 20, 30, 40, 50):
            assert (data, values, "em", 0) in cells
            for method in ("exact", "direct", "gumbel-softmax", "ours"):
                assert {(data, values, method, seed) for seed in (0, 1, 2)} <= cells
    assert len(cells) == 3 * 5 * (4 * 3 + 1)


def test_the_published_protocol() -> None:
    (job,) = make_plan("table1", "paper", only=["table1-mnist-30-direct-1"]).jobs
    config = stored_config(dict(job.settings))
    assert (config.estimator, config.epochs, config.values, config.seed) == ("direct", 300, 30, 1)
    assert (config.epsilon, config.two_sided, config.num_samples) == (1.0, False, 1)
    assert (config.kl_start, config.learning_rate_schedule) == (1.0, "constant")
    assert (config.kl_gradient, config.learning_rate, config.anneal_rate) == ("off", 1e-3, 1e-5)
    (ours,) = make_plan("table1", "paper", only=["table1-mnist-30-ours-1"]).jobs
    annealed = TrainConfig(data="mnist", values=30, seed=1, estimator="direct")
    assert ours.settings == annealed.resolve().to_dict()


def flags_of(name: str, job: str, **asked: Any) -> dict[str, Any]:
    (found,) = make_plan(name, "paper", only=[f"{job}-0"], seeds=(0,), **asked).jobs
    config = stored_config(dict(found.settings))
    return {key: value for key, value in vars(config).items() if value is not None}


def test_figure_3_is_by_the_published_protocol() -> None:
    """KL weight 1, a constant rate, one draw, one side, ε from 1; direct without the KL."""
    common = {"kl_start": 1.0, "learning_rate_schedule": "constant", "refine": False}
    common |= {"epochs": 300, "num_samples": 1, "variables": 15, "values": 2}
    for method in ("direct", "rebar", "relax", "arm", "gumbel-softmax"):
        flags = flags_of("figure3", f"figure3-fashion-mnist-independent-{method}")
        assert common.items() <= flags.items(), method
        assert flags["kl_gradient"] == ("off" if method == "direct" else "on")
    direct = {"epsilon": 1.0, "two_sided": False, "anneal_rate": 1e-5}
    for encoder in ("independent", "supermodular", "pairwise"):
        flags = flags_of("figure3", f"figure3-fashion-mnist-{encoder}-direct")
        assert {**common, **direct, "encoder": encoder}.items() <= flags.items()
    default = flags_of("figure3", "figure3-fashion-mnist-independent-default")
    usual = TrainConfig(data="fashion-mnist", variables=15, values=2).resolve()
    assert default == {key: value for key, value in vars(usual).items() if value is not None}


def test_table_2_as_in_the_authors_code_has_no_term_of_ours() -> None:
    for method in ("direct", "gumbel-softmax"):
        flags = flags_of("table2", f"table2-mnist-100-{method}-alone")
        nothing = {"smoothness": 0.0, "shift": 0, "distortion": 0.0, "labels_first": 1500}
        theirs = {"gaussian": 30, "dropout": 0.5, "binarize": "threshold"}
        assert {**nothing, **theirs}.items() <= flags.items()
        assert flags_of("table2", f"table2-mnist-100-{method}")["binarize"] == "threshold"


def test_epochs_are_those_that_are_asked_for() -> None:
    jobs = make_plan("all", "paper", epochs=7, everything=True).jobs
    found = {job.name: job.settings["epochs"] for job in jobs if job.kind == "train"}
    assert set(found.values()) == {7}
    assert {job.kind for job in jobs} == set(kinds.KINDS)
    with pytest.raises(ValueError, match="--epochs must be at least 1, got 0"):
        make_plan("figure3", "paper", epochs=0)


def test_what_is_timed_for_figure_3() -> None:
    """The same model with n = 5 … 15, and with Gumbel-Softmax noise on every state."""
    (job,) = make_plan("figure3", "paper", only=["figure3-fashion-mnist-steps"]).jobs
    configs = [
        (each["method"], stored_config({**job.settings["base"], **each["changes"]}))
        for each in job.settings["trainings"]
    ]
    assert {config.variables for _, config in configs} == set(range(5, 16))
    assert len(configs) == 33
    for method, config in configs:
        relaxed = config.estimator == "gumbel-softmax"
        assert relaxed == ("gumbel-softmax" in method)
        assert config.perturbation == ("states" if relaxed else "unary")
        assert config.kl == "unary"
        solver = {"supermodular-direct": "max-flow", "pairwise-direct": "exhaustive"}
        assert config.solver == solver.get(method, "auto")


def test_shared_runs_are_there_once() -> None:
    everything = make_plan("all", "short")
    items = {chosen.name: set(chosen.jobs) for chosen in everything.parts}
    assert items["figure2"] < items["table1"]
    assert len(items["figure4"] & items["table2"]) == 2
    alone = {name: set(names(make_plan(name, "short"))) for name in ITEMS}
    assert len(everything.jobs) == len(set().union(*alone.values()))


def test_only_takes_what_is_needed_with_it() -> None:
    plan = make_plan("all", "short", only=["table1-mnist-10", "figure1-mnist-middle-0"])
    assert names(plan)[:2] == ["figure1-mnist-training-0", "figure1-mnist-middle-0"]
    assert {name.rpartition("-")[0] for name in names(plan)[2:]} == {
        "table1-mnist-10",
        *(f"table1-mnist-10-{method}" for method in ("exact", "direct", "gumbel-softmax", "ours")),
    }
    assert [chosen.name for chosen in plan.parts] == ["figure1", "table1", "figure2"]


def test_seeds_and_data() -> None:
    plan = make_plan("table1", "short", seeds=(3, 5), data=("omniglot",))
    assert {job.cell["data"] for job in plan.jobs} == {"omniglot"}
    assert {job.cell["seed"] for job in plan.jobs if job.kind == "train"} == {3, 5}
    with pytest.raises(ValueError, match="figure1 is on mnist, digits; got --data omniglot"):
        make_plan("figure1", "short", data=("omniglot",))
    everything = make_plan("all", "short", data=("omniglot",))
    assert {c.name for c in everything.parts if c.jobs} == {"table1", "figure2"}


KEPT: list[tuple[str, dict[str, Any]]] = [
    ("estimators", {}),
    ("structured", {"temperature": "auto"}),  # which none of these estimators has
    ("labels", {"distortion": 0.0}),  # of the time before the setting
    ("labels-turned", {}),
    ("attributes", {}),
    ("gumbel-softmax-300", {}),
]


@functools.cache
def all_trainings() -> list[Job]:
    asked: dict[str, Any] = {"seeds": (0, 1, 2), "present": {"celeba": 4_800}, "everything": True}
    jobs = [job for scale in ("short", "paper") for job in make_plan("all", scale, **asked).jobs]
    return [job for job in jobs if job.kind == "train"]


@pytest.mark.parametrize(("file", "later"), KEPT, ids=[name for name, _ in KEPT])
def test_runs_that_were_kept_are_jobs(file: str, later: dict[str, Any]) -> None:
    """What `reproductions/` holds can be made again by `directmax reproduce --everything`."""
    runs = json.loads((RESULTS / f"{file}.json").read_text())["runs"]
    found = [
        any(
            all(job.settings.get(key) == value for key, value in {**run["config"], **later}.items())
            for job in all_trainings()
        )
        for run in runs
    ]
    shorter = [run["run"] for run, is_there in zip(runs, found, strict=True) if not is_there]
    assert shorter == (["faces-pairwise"] if file == "attributes" else [])


@pytest.mark.parametrize("stage", ["start", "middle"])
@pytest.mark.parametrize(
    ("model", "name"), [("mnist", "mnist"), ("binary", "fashion-mnist-binary")]
)
def test_measurements_that_were_kept_are_jobs(model: str, name: str, stage: str) -> None:
    plan = make_plan("figure1", "paper", seeds=(0,), everything=True)
    (job,) = (job for job in plan.jobs if job.name == f"figure1-{name}-{stage}-0")
    kept = json.loads((RESULTS / "gradients.json").read_text())[f"{model}-{stage}"]
    of_the_job = {**kept["configuration"], **job.settings}
    of_the_job.pop("trained", None)
    assert of_the_job == kept["configuration"]


def test_data_that_cannot_be_downloaded_is_taken_where_it_is() -> None:
    alone = make_plan("figure5", "short")
    assert {job.cell["data"] for job in alone.jobs} == {"fashion-mnist"}
    assert alone.parts[0].needs is not None
    assert "figure5 is without celeba" in alone.parts[0].needs
    both = make_plan("figure5", "short", present={"celeba": 4_800})
    labels = {job.cell["data"]: job.cell["labels"] for job in both.jobs}
    assert labels == {"fashion-mnist": 500, "celeba": 48}  # one per cent of what is there
    assert both.parts[0].needs is None
    asked = make_plan("figure5", "smoke", data=["celeba"])  # loading it says where to get it
    assert {job.settings["image_size"] for job in asked.jobs} == {16}
    everything = {chosen.name: chosen for chosen in make_plan("all", "smoke").parts}
    assert "figure5 has no embedded data" in (everything["figure5"].needs or "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "table9"}, "'table9'"),
        ({"scale": "huge"}, "'huge'"),
        ({"data": ["cifar"]}, "'cifar'"),
        ({"seeds": [-1]}, "--seeds must be at least 0"),
        ({"seeds": [1, 1]}, "--seeds must differ"),
        ({"only": ["table1-mnist-1"]}, "--only table1-mnist-1 fits no job"),
        ({"name": "figure5"}, "figure5 has no embedded data and is left out: add --data fashion"),
    ],
)
def test_bad_requests(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_plan(**{"name": "table1", "scale": "smoke", **arguments})
    assert "\n" not in str(caught.value)


def test_digests_are_of_the_work_alone() -> None:
    job = make_plan("table1", "smoke").jobs[0]
    assert Job("x", job.kind, job.settings, {}, ()).digest() == job.digest()
    assert Job("x", "train", job.settings, {}, ()).digest() != job.digest()
    other = {**job.settings, "values": 11}
    assert Job(job.name, job.kind, other, job.cell).digest() != job.digest()


def test_plans_of_several_calls_are_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = make_plan("table1", "short", data=("mnist",)), make_plan("figure1", "short")
    store.add_plan(first.to_dict("directmax reproduce table1", store.bind(first.jobs), {}))
    folders = store.bind(second.jobs)
    plan = store.add_plan(second.to_dict("directmax reproduce figure1", folders, {"x": 1.0}))
    assert {item["name"] for item in plan["items"]} == {"figure1", "table1"}
    assert {job["name"] for job in plan["jobs"]} == {*names(first), *names(second)}
    assert plan["command"] == "directmax reproduce table1\ndirectmax reproduce figure1"
    third = make_plan("table1", "short", data=("omniglot",))
    plan = store.add_plan(third.to_dict("a", store.bind(third.jobs), {}))
    assert len(next(item for item in plan["items"] if item["name"] == "table1")["jobs"]) == 50
    with pytest.raises(RunError, match="holds a reproduction with --scale short, not smoke"):
        store.add_plan({**third.to_dict("a", store.bind(third.jobs), {}), "scale": "smoke"})


def test_makespan() -> None:
    assert makespan([], 3) == 0
    assert makespan([2.0, 2.0, 2.0], 2) == 4
    assert makespan([1.0] * 10, 100) == 1
