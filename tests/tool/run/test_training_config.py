"""The configuration: types, ranges, what is refused, presets, and what is stored."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from directmax.estimators import ESTIMATORS
from directmax.tool.config import (
    PRESETS,
    ResolvedConfig,
    TrainConfig,
    changed,
    extended,
    flag_of,
    shortest,
    stored_config,
)
from directmax.tool.config.settings import SETTINGS, users
from directmax.tool.run.randomness import Stream, derive_seed
from settings_in_use import USED

NAN, INF = float("nan"), float("inf")
NUMBERS = [name for name, each in SETTINGS.items() if each.kind in ("int", "float")]
WORDS = [name for name, each in SETTINGS.items() if each.choices] + ["data"]


def made(**settings: Any) -> ResolvedConfig:
    return TrainConfig(**settings).resolve()


@pytest.mark.parametrize("name", NUMBERS)
def test_ranges_have_two_ends(name: str) -> None:
    each = SETTINGS[name]
    low, high = (0, each.above_zero_to) if each.above_zero_to else each.range
    assert -INF < low < high < INF
    whole = each.kind == "int"
    step = 1 if whole else 0 if each.above_zero_to else 1e-3
    values = [low - step, high * 2 + 1, 10**40]
    values += [] if whole else [NAN, INF, -INF]
    for value in values:
        with pytest.raises(ValueError, match=flag_of(name)) as caught:
            TrainConfig(**{name: value if whole else float(value)})
        assert len(str(caught.value)) < 120


@pytest.mark.parametrize("name", WORDS)
def test_unknown_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"'nonsense'"):
        TrainConfig(**{name: "nonsense"})


@pytest.mark.parametrize("name", SETTINGS)
def test_types(name: str) -> None:
    each = SETTINGS[name]
    wrong: dict[str, list[Any]] = {
        "int": [1.5, NAN, "10", True, [3]],
        "float": ["10", True, [3.0], 1j],
        "bool": ["no", 1, 0.0],
        "str": [3, True, ["digits"]],
        "tuple": ["Male", [3], 3],
    }
    for value in wrong[each.kind]:
        with pytest.raises(TypeError) as caught:
            TrainConfig(**{name: value})
        assert str(caught.value) == f"{flag_of(name)} must be {each.wanted}, got {value!r}"


def test_numbers_of_numpy() -> None:
    plain = TrainConfig(values=12, epsilon=0.5, two_sided=False, learning_rate=1)
    numpy = TrainConfig(
        values=np.int64(12),
        epsilon=np.float64(0.5),
        two_sided=np.bool_(False),  # type: ignore
        learning_rate=np.int32(1),  # type: ignore[arg-type]
    )
    assert json.loads(json.dumps(numpy.resolve().to_dict())) == plain.resolve().to_dict()
    assert numpy.resolve().digest() == plain.resolve().digest()


def test_numbers_that_together_cost_too_much() -> None:
    with pytest.raises(ValueError, match="--variables, --values and --hidden"):
        TrainConfig(variables=10_000, values=10_000)
    with pytest.raises(ValueError, match="--batch-size and --num-samples"):
        TrainConfig(batch_size=1_000_000, num_samples=10_000)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_settings_of_other_estimators_are_refused(estimator: str) -> None:
    common: dict[str, Any] = {"estimator": estimator, "variables": 3, "values": 2}
    if not ESTIMATORS[estimator].independent:
        common["encoder"] = "pairwise"
    TrainConfig(**common)
    for name in SETTINGS:
        if not users(name) or name == "num_samples":
            continue
        value = USED[name][1]
        if name in ESTIMATORS[estimator].uses:
            assert getattr(made(**common, **{name: value}), name) == value
        elif estimator not in users(name):
            with pytest.raises(ValueError, match=f"^{flag_of(name)} .* not for {estimator};"):
                TrainConfig(**common, **{name: value})


@pytest.mark.parametrize(
    "settings",
    [
        {"gaussian": 5},
        {"labels": 10},
        {"solver": "max-flow"},
        {"kl": "unary"},
        {"model": "mixed", "groups": False, "distortion": 0.2},
        {"model": "mixed", "groups": False, "shift": 2},
        {"groups": True},
        {"epsilon_scale": 2.0, "epsilon": 0.5},
        {"anneal_rate": 0.0, "estimator": "direct"},
        {"covering": 0.5, "estimator": "exact"},
        {"kl_fraction": 0.25, "kl_start": 1.0},
        {"kl_fraction": 0.25, "variables": 2},
        {"data": "celeba", "model": "attributes", "binarize": "static"},
    ],
)
def test_what_nothing_uses_is_refused(settings: dict[str, Any]) -> None:
    rest = ("model", "data", "estimator", "variables", "epsilon", "kl_start")
    named = [name for name in settings if name not in rest and settings[name] is not False]
    with pytest.raises(ValueError, match=f"^{flag_of(named[0])} .* is for "):
        TrainConfig(**settings)
    kept = {name: value for name, value in settings.items() if name not in named}
    default = getattr(made(**kept), named[0])
    if default is not None:  # to say what is so anyway does no harm
        assert made(**kept, **{named[0]: default}) == made(**kept)


def test_what_is_not_given_is_chosen() -> None:
    assert made().epochs == 500  # 6,000 steps: more only overfit 1,197 images
    assert made(data="mnist").epochs == 40  # 20,000 steps
    assert made(data="mnist", variables=2).epochs == 120  # 60,000
    assert made(data="mnist", batch_size=50).epochs == 20
    assert TrainConfig().resolve(num_images=4_100).epochs == 488
    assert TrainConfig(epochs=3).resolve(num_images=4_100).epochs == 3
    assert made(model="mixed").epochs == 400
    assert made(data="mnist", epochs=3).epochs == 3
    assert [made(variables=n).estimator for n in (1, 2)] == ["local-divergence", "local-search"]
    assert made(epsilon=0.5).estimator == made(variables=5, two_sided=False).estimator == "direct"
    assert [made(variables=n).num_samples for n in (1, 2)] == [8, 1]
    assert [made(variables=n).kl_start for n in (1, 2)] == ["auto", 1.0]
    several = made(estimator="relax", variables=2)
    assert (several.pseudo_images, several.dreams) == (0.0, 0.0)
    assert made(estimator="gumbel-softmax").num_samples == 1
    assert made(estimator="rebar").temperature == 0.5
    score = [made(estimator="score-function", **more) for more in ({}, {"num_samples": 1})]
    assert [each.baseline for each in score] == ["leave-one-out", "running-mean"]
    assert made(estimator="score-function", baseline="running-mean").num_samples == 1
    assert made(data="celeba", model="attributes").image_size == 64


def test_a_changed_configuration_is_chosen_anew() -> None:
    """Starts, for which two epochs are too few, are no longer there."""
    config = TrainConfig(data="mnist", estimator="direct")
    assert (config.epochs, config.resolve().starts) == (None, 4)
    two = made(data="mnist", estimator="direct", epochs=2)
    assert dataclasses.replace(config, epochs=2).resolve() == two
    assert dataclasses.replace(config, epochs=2).resolve().starts == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.epochs = 3  # type: ignore[misc]
    other = changed(made(epsilon=0.5), estimator="exact", epsilon=None, num_samples=None)
    assert other == made(estimator="exact", starts=4)


def test_the_paper() -> None:
    paper = PRESETS["paper"].resolve()
    assert (paper.data, paper.epochs, paper.batch_size) == ("mnist", 300, 100)
    assert (paper.estimator, paper.epsilon, paper.anneal_rate) == ("direct", 1.0, 1e-5)
    assert (paper.hidden, paper.learning_rate) == (300, 1e-3)
    assert paper.learning_rate_schedule == "constant"
    assert (paper.kl_start, paper.kl_fraction) == (1.0, 0.0)
    assert not paper.two_sided
    assert paper.num_samples == 1
    exact = dataclasses.replace(PRESETS["paper"], estimator="exact")  # its ε is not given
    assert shortest(exact.resolve()) == exact


@given(seed=st.integers(0, 2**63 - 1), rate=st.floats(1e-6, 1.0), epsilon=st.floats(1e-3, 10))
def test_stored_and_read_again(seed: int, rate: float, epsilon: float) -> None:
    config = made(seed=seed, learning_rate=rate, epsilon=epsilon)
    again = stored_config(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.digest() == config.digest()
    assert config.differences(again) == []


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_counts(name: str) -> None:
    common, value = USED.get(name, ({}, None))
    plain = made(**common)
    other = made(**common, **{name: getattr(plain, name) + 1 if value is None else value})
    assert other.digest() != plain.digest()
    assert any(each.startswith(f"{flag_of(name)}:") for each in other.differences(plain))
    assert stored_config(json.loads(json.dumps(other.to_dict()))) == other
    assert shortest(other).resolve() == other


@pytest.mark.parametrize("name", ["prior", "average", "sharpness", "confidence", "switched"])
def test_settings_of_the_attributes_model_are_refused_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match=f"{flag_of(name)} .*is for the attributes model"):
        made(**{name: "labels" if name == "prior" else USED[name][1]})


def test_a_learned_prior_is_for_the_discrete_model() -> None:
    assert made(prior="learned", encoder="pairwise", variables=4, values=2).prior == "learned"
    faces: dict[str, Any] = {"data": "fashion-mnist", "model": "attributes"}
    for labels in (0, 10):
        for other in (faces, {"model": "mixed"}):
            with pytest.raises(ValueError, match="is for the discrete model: add --model discrete"):
                made(prior="learned", labels=labels, **other)
    with pytest.raises(ValueError, match="codes of --encoder subset are those of a structure"):
        made(prior="learned", encoder="subset", variables=4)


def test_sure_attributes_where_confidence_is_given() -> None:
    faces: dict[str, Any] = {"data": "celeba", "model": "attributes", "labels": 10}
    assert made(**faces).sharpness == 1.5
    assert made(**faces, confidence=0.9).sharpness == 0
    with pytest.raises(ValueError, match=r"--confidence 0\.9 is for --sharpness 0"):
        made(**faces, confidence=0.9, sharpness=1.0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 1),
        ({"attributes": ("Smiling",)}, 0),
        ({"labels": 0}, 0),
        ({"encoder": "pairwise"}, 0),
        ({"estimator": "gumbel-softmax"}, 0),
        ({"num_variables": 0}, 0),
        ({"num_variables": 2}, 2),
    ],
)
def test_one_attribute_is_decoded_where_there_are_labels(
    given: dict[str, Any], expected: int
) -> None:
    config = made(**{"data": "celeba", "model": "attributes", "labels": 10} | given)
    assert config.num_variables == expected
    assert stored_config(config.to_dict()).num_variables == expected


def test_digests_stay() -> None:
    """Of runs that were kept, and of published results."""
    assert PRESETS["paper"].resolve().digest() == "c27ca7ce1c9c"
    direct: dict[str, Any] = {"data": "digits", "epochs": 40, "estimator": "direct"}
    assert made(**direct).digest() == "4f07d1766e76"
    several: dict[str, Any] = {"data": "mnist", "variables": 5, "values": 4, "epochs": 2}
    several |= {"estimator": "local-expectation", "kl_start": "auto", "kl_fraction": 2 / 3}
    assert made(**several).digest() == "a03b97eeb600"
    pairs = made(
        data="digits", encoder="pairwise", variables=8, epochs=10, estimator="clamped-argmax"
    )
    assert pairs.digest() == "11842985cdd1"
    assert made(model="mixed", labels=50, epochs=10, groups=False).digest() == "983be1d4b31b"
    faces: dict[str, Any] = {"data": "fashion-mnist", "model": "attributes", "labels": 160}
    faces |= {"prior": "uniform", "average": 0.0, "calibration": "none", "mixing": False}
    faces |= {"decoded": 100, "switched": 0, "distortion": 0.5, "normalized": False}
    faces |= {"confidence": 0.95, "patching": False, "ramp": 0, "decided": 1.0}
    faces |= {"mirrored": False, "num_variables": 0}
    assert made(**faces, epochs=1, precision="bf16-mixed").digest() == "0689ffdb9d61"


def test_equal_work_has_one_digest() -> None:
    assert made(temperature=None).digest() == made().digest()
    soft = made(estimator="gumbel-softmax")
    assert made(estimator="gumbel-softmax", temperature=1.0).digest() == soft.digest()
    faces: dict[str, Any] = {"data": "celeba", "model": "attributes"}
    assert made(**faces, image_size=64).digest() == made(**faces).digest()
    given = {"epochs": 500, "kl_fraction": 1 / 2, "starts": 1, "covering": 2 / 3, "dreams": 1}
    assert made(**given).digest() == made().digest()


def test_of_another_version() -> None:
    record = made().to_dict()
    old = {**record, "estimator": "exact", "epsilon": 0.3}  # was accepted
    assert stored_config(old).epsilon == 0.3
    del record["hidden"]
    with pytest.raises(ValueError, match="hidden; it was written by another version"):
        stored_config(record)
    with pytest.raises(ValueError, match="colour"):
        stored_config({**made().to_dict(), "colour": 3})


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 10**6))
def test_streams_of_randomness_are_apart(seed: int, epoch: int) -> None:
    seeds = {derive_seed(seed, stream, epoch) for stream in Stream}
    seeds |= {derive_seed(seed, Stream.NOISE, epoch, rank) for rank in range(1, 4)}
    assert len(seeds) == len(Stream) + 3
    assert all(0 <= value < 2**63 for value in seeds)


def test_auto_where_the_default_follows_from_the_others_is_nothing_given() -> None:
    words = {"estimator": "auto", "temperature": "auto", "kl_fraction": "auto", "baseline": "auto"}
    assert TrainConfig(**words).given() == {}
    assert TrainConfig(epsilon="auto").given() == {"epsilon": "auto"}  # a method of its own
    with pytest.raises(ValueError, match="encoder"):
        TrainConfig(encoder="auto")


def test_what_was_switched_off_stays_so() -> None:
    config = made(refine=False)
    assert config.estimator == "local-divergence"
    assert not stored_config(json.loads(json.dumps(config.to_dict()))).refine
    assert stored_config(json.loads(json.dumps(made().to_dict()))).refine


def test_a_search_of_earlier_versions_is_what_it_was() -> None:
    earlier = made(variables=3, estimator="local-search", moves_from=0.0, refined_from=1.0)
    assert not {"moves_from", "refined_from"} & set(earlier.to_dict())
    assert stored_config(earlier.to_dict()) == earlier
    later = made(variables=3)
    assert (later.moves_from, later.refined_from) == (1 / 3, 2 / 3)
    assert stored_config(later.to_dict()) == later
    shares = [(c.moves_from, c.refined_from) for c in (extended(later, later.epochs),)]
    assert shares == [(1 / 6, 1 / 3)]
    faces = made(data="celeba", model="attributes", labels=10)
    mixed = made(model="mixed", labels=10)
    assert (mixed.grouped_until, extended(mixed, mixed.epochs).grouped_until) == (0.5, 0.25)
    assert (faces.decided_from, extended(faces, faces.epochs).decided_from) == (2 / 3, 1 / 3)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"refined_from": 0.5}, "--refined-from"),
        ({"moves": 2}, "--moves"),
        ({"variables": 3, "moves": 0, "moves_from": 0.5}, "--moves-from"),
    ],
)
def test_where_nothing_is_searched_for(settings: dict[str, Any], flag: str) -> None:
    with pytest.raises(ValueError, match=f"^{flag} is for "):
        TrainConfig(estimator="local-search", **settings)


@pytest.mark.parametrize("encoder", ["independent", "pairwise", "supermodular"])
@pytest.mark.parametrize("given", [{}, {"moves_from": 1.0}, {"covering": 1.0}])
def test_what_is_extended_can_be_read_again(encoder: str, given: dict[str, Any]) -> None:
    before = made(encoder=encoder, variables=3, values=2, **given)
    longer = extended(before, 7)
    assert stored_config(longer.to_dict()) == longer
    for name in given:  # the whole run stays the whole run
        assert getattr(longer, name) == getattr(before, name)
    assert extended(before, before.epochs).kl_fraction == before.kl_fraction / 2
