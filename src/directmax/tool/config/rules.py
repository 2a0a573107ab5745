"""Which settings go together. Does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from directmax._choices import check_choice
from directmax.estimators import ESTIMATORS
from directmax.models import COUPLED, ENCODERS
from directmax.objectives import BERNOULLI, LIKELIHOODS
from directmax.solvers import SOLVERS
from directmax.tool.config.defaults import ANNEALED_TO, FROM_POSTERIOR
from directmax.tool.config.needless import ONLY_WITH
from directmax.tool.config.resolved import ResolvedConfig
from directmax.tool.config.setting import either, flag_of, short
from directmax.tool.config.settings import SETTINGS, users
from directmax.tool.data.names import ATTRIBUTE_DATASETS, DATASETS, OWN

EXACT_ATTRIBUTES = 6
MOST_ATTRIBUTES = 16
"""q is tabulated over their 2^n settings where the bound is sampled."""
GIBBS_VARIABLES = 20
"""Sums over 2^n states at every step are refused beyond."""
MOST_NUMBERS = 2**31
"""In one tensor: 8 GiB of float32."""
ENUMERATED = 2**16
"""States of which the bound is exact: the library's `DEFAULT_MAX_STATES`, which needs torch."""
LEVELS_COST = 2**6
"""Of an image and a state with pixels of 256 levels, no matrix product, beside a binary one."""
MOST_SUMMED = 14
"""Values of a matching, of which all sets are gone through."""


def refuse_unused(given: Mapping[str, Any], config: ResolvedConfig) -> None:
    """Refuse what was given, differs from the default, and is used by nothing that was chosen.

    Raises:
        ValueError: the message names the flag and what it is for.
    """
    for name, value in given.items():
        if reason := unused(name, config):
            default = SETTINGS[name].default
            if value != (default(config) if callable(default) else default):
                raise ValueError(f"{flag_of(name)} {short(value)} is for {reason}")


def unused(name: str, config: ResolvedConfig) -> str | None:
    """What a setting is for and what to do, where nothing uses it; None where something does."""
    each = SETTINGS[name]
    if name == "image_size" and config.data == OWN:
        return None
    fitting = _models_of_prior(config) if name == "prior" else each.models
    if fitting and config.model not in fitting:
        models = [f"--model {model}" for model in fitting]
        names = " or the ".join(fitting)
        return f"the {names} model: add {either(models)}, or leave it out"
    if each.encoders and config.encoder not in each.encoders:
        flags = either([f"--encoder {name}" for name in each.encoders])
        return f"other encoders: add {flags}, or leave it out"
    if config.model in each.labels and not (config.labels or config.groups):
        return "runs with labels: add --labels, or leave it out"
    estimators = users(each.name)
    if estimators and config.estimator not in estimators:
        return f"--estimator {either(estimators)}, and not for {config.estimator}; leave it out"
    row = ESTIMATORS[config.estimator]
    adaptive = "epsilon" in row.uses and config.epsilon == "auto"
    if each.name == "epsilon_scale" and not adaptive:
        return "--epsilon auto; leave one of them out"
    needless, needed = ONLY_WITH.get(each.name, (None, ""))
    if needless is not None and needless(config):
        return needed
    if each.name == "grouped_until" and not (config.labels and config.groups):
        return "--labels and --groups together; leave it out"
    if each.name == "anneal_rate" and (reason := _falls_not(config)):
        return reason
    if each.name == "candidates" and (reason := _has_no_candidates(config)):
        return reason
    if each.name == "eval_samples" and _is_enumerated(config):
        few = ENUMERATED // table_cost(config)
        return f"a sampled bound, and that of up to {few:,} states is exact; leave it out"
    flat = config.kl_start in ((1,) if config.model == "discrete" else (1, "auto"))
    if each.name == "kl_fraction" and flat and config.starts == 1:
        return "a --kl-start other than 1; leave it out"
    return None


def _models_of_prior(config: ResolvedConfig) -> tuple[str, ...]:
    """Those that have it; none: all."""
    return {"labels": ("attributes",), "learned": ("discrete",)}.get(config.prior, ())


def _falls_not(config: ResolvedConfig) -> str | None:
    """What an --anneal-rate is for, where neither ε nor τ would fall."""
    name = ESTIMATORS[config.estimator].anneals
    if name is None:
        falling = [each for each, row in ESTIMATORS.items() if row.anneals]
        return f"--estimator {either(falling)}, and not for {config.estimator}; leave it out"
    if (value := getattr(config, name)) == "auto":
        return f"an {flag_of(name)} that is a number, and not for auto; leave it out"
    if value <= ANNEALED_TO and config.anneal_rate:  # 0 says what is so anyway
        return f"a {flag_of(name)} above {ANNEALED_TO}, to which it falls; leave one of them out"
    return None


def _has_no_candidates(config: ResolvedConfig) -> str | None:
    """What --candidates is for, where no losses of single changes are decoded from z."""
    if not ESTIMATORS[config.estimator].tabulates:
        tables = [each for each, row in ESTIMATORS.items() if row.tabulates]
        return f"--estimator {either(tables)}, and not for {config.estimator}; leave it out"
    if config.model == "discrete" and config.variables == 1:
        return "several variables: add --variables, or leave it out"
    if config.network != "mlp":
        return "--network mlp; leave one of them out"
    if config.model == "discrete" and config.likelihood != BERNOULLI:
        return f"--likelihood {BERNOULLI}; leave it out"
    return None


def _is_enumerated(config: ResolvedConfig) -> bool:
    """Whether nothing is sampled for the bound."""
    if config.model != "discrete" or config.encoder in COUPLED:
        return False
    few = math.log2(ENUMERATED // table_cost(config))
    return config.variables * math.log2(config.values) <= few + 1e-9


def table_cost(config: ResolvedConfig) -> int:
    """Of a loss of an image and a state, beside that of binary pixels."""
    binary = config.model != "discrete" or config.likelihood == BERNOULLI
    return 1 if binary else LEVELS_COST


def check_data(values: Any) -> None:
    """Refuse data that the model is not for.

    Args:
        values: has `model`, `data` and `attributes`.

    Raises:
        ValueError: an unknown data set, or one of another kind.
    """
    if values.data == OWN:
        if values.model == "attributes" and not getattr(values, "attributes", ()):
            raise ValueError(
                "--model attributes with data of your own needs the names of --attributes"
            )
    elif values.model == "attributes":
        if values.data in DATASETS and values.data not in ATTRIBUTE_DATASETS:
            raise ValueError(
                f"--model attributes needs images with attributes, and {values.data} has none: add "
                f"{either([f'--data {name}' for name in ATTRIBUTE_DATASETS])}"
            )
        check_choice("data set with attributes", values.data, ATTRIBUTE_DATASETS)
    elif values.data in ATTRIBUTE_DATASETS and values.data not in DATASETS:
        raise ValueError(
            f"--data {values.data} is for the model of attributes: add --model attributes"
        )
    else:
        check_choice("data set", values.data, DATASETS)


def check(config: ResolvedConfig) -> None:
    """Refuse settings that do not go together.

    Raises:
        ValueError: the message names the flag.
    """
    _check_model(config)
    _check_likelihood(config)
    if config.encoder == "independent":
        _check_independent(config)
    elif ENCODERS[config.encoder].structure:
        _check_set(config)
    else:
        _check_structured(config)
    _check_estimator(config)
    if config.starts > 1 and not 0 < config.falling_epochs < config.epochs:
        raise ValueError(
            f"--starts {config.starts} chooses after the share --kl-fraction of --epochs, which is "
            f"{config.falling_epochs} of {config.epochs}: it must be at least 1 and not all"
        )
    _check_cost(config)


def _check_likelihood(config: ResolvedConfig) -> None:
    if config.model == "attributes" and config.likelihood == BERNOULLI:
        raise ValueError(
            f"--likelihood {BERNOULLI} is for binary images, and --model attributes has 8-bit "
            f"ones: choose {either(tuple(LIKELIHOODS))}"
        )
    levels = config.model == "discrete" and config.likelihood != BERNOULLI
    if levels and config.binarize != "none":
        raise ValueError(
            f"--likelihood {config.likelihood} is for pixels of 256 levels, and --binarize "
            f"{config.binarize} leaves two: give one of them, or --binarize none"
        )


def _check_model(config: ResolvedConfig) -> None:
    if config.model == "mixed" and (config.variables != 1 or config.encoder != "independent"):
        raise ValueError(
            "--model mixed has one variable: leave out --variables and --encoder, and choose "
            "its values with --values"
        )
    if (fitting := _models_of_prior(config)) and config.model not in fitting:
        raise ValueError(
            f"--prior {config.prior} is for the {fitting[0]} model: choose --prior uniform"
        )
    if config.labels_first and config.groups:
        raise ValueError("--groups adds to labels, and --labels-first has them alone: give one")
    if config.model != "attributes":
        return
    if len(config.attributes) > MOST_ATTRIBUTES:
        raise ValueError(
            f"--attributes may name at most {MOST_ATTRIBUTES}, got {len(config.attributes)}"
        )
    if (config.variables, config.values) != (len(config.attributes), 2):
        raise ValueError(
            "--model attributes has a variable with two values for each of --attributes: leave "
            "out --variables and --values"
        )
    if config.calibration != "none" and config.encoder != "independent":
        raise ValueError(
            f"--calibration {config.calibration} is for independent attributes, and those of "
            f"--encoder {config.encoder} are coupled: leave one of them out"
        )
    if config.calibration == "targets" and not config.distortion:
        raise ValueError(
            "--calibration targets is for distorted images, and there are none with --distortion "
            "0: choose --calibration validation"
        )
    if config.variables > EXACT_ATTRIBUTES and config.estimator == "exact":
        raise ValueError(
            f"--estimator exact decodes all 2^{config.variables} combinations of attributes for "
            f"every image, and is for at most {EXACT_ATTRIBUTES} attributes: choose "
            "local-expectation or direct"
        )


def _check_independent(config: ResolvedConfig) -> None:
    if not ESTIMATORS[config.estimator].independent:
        raise ValueError(
            f"--estimator {config.estimator} needs --encoder pairwise or supermodular; with "
            "independent variables choose local-expectation, which is the same there"
        )


def _check_set(config: ResolvedConfig) -> None:
    """Sizes that make a structure, of which the sums are exact."""
    encoder, n, k = config.encoder, config.variables, config.values
    if config.prior == "learned":
        raise ValueError(
            f"--prior learned is of independent variables, and codes of --encoder {encoder} are "
            "those of a structure: leave it out"
        )
    if config.model != "discrete":
        raise ValueError(
            f"--encoder {encoder} is for the discrete model: leave out --model {config.model}, or "
            f"choose --encoder {either(COUPLED)}"
        )
    if not ESTIMATORS[config.estimator].gibbs:
        takes = [name for name, row in ESTIMATORS.items() if row.gibbs]
        raise ValueError(
            f"--estimator {config.estimator} needs an argmax or independent variables; with "
            f"--encoder {encoder}, whose samples are exact, choose {either(takes)}"
        )
    if encoder == "subset" and n < 2:
        raise ValueError(f"--encoder subset needs --variables of at least 2, got {n}")
    if encoder == "matching" and n > MOST_SUMMED:
        raise ValueError(
            f"--encoder matching sums over sets of values, of which there are at least as many as "
            f"--variables: these must be at most {MOST_SUMMED}, got {n}; a larger one has no bound"
        )
    if encoder == "subset" and not 1 <= config.chosen < n:
        raise ValueError(
            f"--chosen must be at least 1 and below the {n} of --variables, got {config.chosen}"
        )
    wanted = {"subset": 2, "tree": n + 1}.get(encoder, k)
    if k != wanted:
        raise ValueError(
            f"--encoder {encoder} with --variables {n} has {wanted} values, got --values {k}; "
            "leave it out"
        )
    if encoder == "matching" and not n <= k <= MOST_SUMMED:
        raise ValueError(
            f"--encoder matching sums over the sets of --values: these must be at least the {n} of "
            f"--variables and at most {MOST_SUMMED}, got {k}; a larger one has no bound"
        )


def _check_structured(config: ResolvedConfig) -> None:
    if config.values != 2:
        raise ValueError(
            f"--encoder {config.encoder} needs binary variables, got --values {config.values}; add "
            "--values 2"
        )
    noise = ESTIMATORS[config.estimator].coupled
    if not noise:
        coupled = [name for name, row in ESTIMATORS.items() if row.coupled]
        raise ValueError(
            f"--estimator {config.estimator} needs independent variables; with --encoder "
            f"{config.encoder} choose {either(coupled)}"
        )
    if config.perturbation not in noise:
        raise ValueError(
            f"--estimator {config.estimator} needs "
            + ("samples of the Gibbs distribution: add " if "states" in noise else "")
            + f"--perturbation {either(noise)}, or choose clamped-argmax or direct"
        )
    if config.encoder == "pairwise" and SOLVERS[config.solver].supermodular_only:
        raise ValueError(
            f"--solver {config.solver} needs couplings of 0 or more: choose --encoder "
            "supermodular, or --solver exhaustive or branch-and-bound"
        )
    if config.covering not in (None, 1):
        raise ValueError(
            "--covering below 1 is for independent variables: leave it out, or choose "
            "clamped-argmax, which minimises the bound"
        )
    if config.estimator == "local-search" and config.kl == "unary":
        raise ValueError(
            "--kl unary is not for local-search, whose KL term is that of the refined posterior: "
            "leave it out, or choose clamped-argmax or direct"
        )
    if config.variables > GIBBS_VARIABLES and config.kl == "gibbs":
        raise ValueError(
            f"--kl gibbs sums over 2^{config.variables} states at every step, and at most "
            f"2^{GIBBS_VARIABLES}; choose --kl unary (no bound), or fewer --variables"
        )


def _check_search(config: ResolvedConfig) -> None:
    """What is searched with, and whether there is something to search for."""
    for name, nothing in (("moves", 0), ("refined_from", 1)):
        if config.variables == 1 and getattr(config, name) not in (None, nothing):
            raise ValueError(
                f"{flag_of(name)} is for several variables: with one the posterior is exact; leave "
                "it out"
            )
    if config.moves_from and config.moves == 0:
        raise ValueError(
            f"--moves-from is for draws that move, and --moves is {config.moves}: leave it out"
        )


def _check_estimator(config: ResolvedConfig) -> None:
    if ESTIMATORS[config.estimator].binary and config.values != 2:
        raise ValueError(
            f"--estimator {config.estimator} needs binary variables, got --values {config.values}; "
            "add --values 2, or choose local-expectation or score-function"
        )
    if config.estimator in FROM_POSTERIOR and config.kl_gradient == "off":
        raise ValueError(
            f"--kl-gradient off leaves out what {config.estimator} reckons with: leave it out, or "
            "choose local-expectation or direct"
        )
    if config.estimator == "local-search" and config.model != "discrete":
        raise ValueError(
            f"--estimator local-search is for the discrete model, and --model {config.model} "
            "encodes with its encoder alone: choose local-expectation or direct"
        )
    _check_search(config)
    if config.rao_blackwell and config.encoder != "independent":
        raise ValueError("--rao-blackwell needs independent variables; leave it out")
    if config.num_variables and config.encoder != "independent":
        raise ValueError("--num-variables needs independent variables; leave it out")
    if config.num_variables and config.num_variables >= config.variables:
        raise ValueError(
            f"--num-variables must be below the {config.variables} of --variables, of which it "
            f"takes some, got {config.num_variables}; leave it out"
        )
    if config.baseline == "leave-one-out" and config.num_samples == 1:
        raise ValueError("--baseline leave-one-out needs --num-samples of at least 2, got 1")


def _check_cost(config: ResolvedConfig) -> None:
    """What could not be allocated anyway is said before anything is."""
    n, outputs = config.variables, config.variables * config.values
    if config.encoder in COUPLED:
        outputs += n * (n - 1) // 2
    for names, numbers in (
        (("variables", "values", "hidden"), outputs * config.hidden),
        (
            ("variables", "values", "batch_size", "num_samples"),
            outputs * config.batch_size * config.num_samples,
        ),
    ):
        if numbers > MOST_NUMBERS:
            raise ValueError(
                f"{either([flag_of(name) for name in names], 'and')} make a tensor of {numbers:,} "
                f"numbers, and at most {MOST_NUMBERS:,}: try smaller ones"
            )
