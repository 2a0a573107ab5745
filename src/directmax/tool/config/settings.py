"""The settings of a training run, a declaration each. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from directmax.estimators import ESTIMATORS
from directmax.models import COUPLED, ENCODERS
from directmax.tool.config.attribute_settings import AttributeSettings
from directmax.tool.config.defaults import (
    ANNEALED_TO,
    FEWEST_EPOCHS,
    FEWEST_PATIENCE,
    FROM_POSTERIOR,
    LENGTH,
    LENGTH_OF_ATTRIBUTES,
    LENGTH_OF_SEVERAL,
    MOST_EPOCHS,
    default_batch_size,
    default_epochs,
    default_estimator,
    default_kl_fraction,
    default_kl_start,
    default_num_samples,
    default_num_variables,
    default_patience,
    default_starts,
    if_used,
)
from directmax.tool.config.model_settings import ModelSettings
from directmax.tool.config.setting import by_model, declared, either, setting
from directmax.tool.config.words import those, users

VERSION = 13  # of the files that hold a configuration
STRUCTURES = tuple(name for name, kind in ENCODERS.items() if kind.structure)
"""Encoders whose posterior is a structure's Gibbs distribution."""


@dataclass(frozen=True)
class Settings(AttributeSettings, ModelSettings):
    """Everything that decides the result of a run. Times are in epochs, losses in nats per image.

    The declarations of `TrainConfig` and `ResolvedConfig`. None: not given, or not used.
    """

    estimator: str = setting(
        f"""Gradient estimator: {those(lambda row: row.independent and not row.binary)}; with
        binary variables also {those(lambda row: row.binary)}; with the encoders
        {either(COUPLED)} {those(lambda row: bool(row.coupled))}; with
        {either(STRUCTURES)} {those(lambda row: row.gibbs)}.""",
        default_estimator,
        "local-divergence for one variable, local-search for several, or direct where one of its "
        f"settings is given; with {either(COUPLED)} local-search (with --kl unary clamped-argmax "
        f"or direct); with {either(STRUCTURES)} score-function; with the other models direct for "
        "one variable, local-expectation for several",
        choices=tuple(ESTIMATORS),
    )
    epsilon: float | Literal["auto"] = setting(
        f"""{either(users("epsilon"), "and")}: the step ε in 1/nats, or auto (one standard
        deviation of each image's losses).""",
        "auto",
        above_zero_to=1e30,
    )
    epsilon_scale: float = setting(
        "With --epsilon auto: the step in standard deviations.", 1.0, above_zero_to=1e30
    )
    two_sided: bool = setting(f"{either(users('two_sided'), 'and')}: central difference.", True)
    rao_blackwell: bool = setting(
        f"""{either(users("rao_blackwell"), "and")}: the mean over each variable's noise in place
        of the argmaxes.""",
        False,
    )
    num_samples: int = setting(
        """Gumbel draws an image to average over (all estimators but exact). With one variable of
        the discrete model several cost little.""",
        default_num_samples,
        "8 with direct, local-search or local-divergence and one variable of the discrete model, 4 "
        "with "
        "score-function, else 1",
        range=(1, 10_000),
    )
    num_variables: int = setting(
        f"""{either(users("num_variables"), "and")}: variables that are looked at in each sample,
        drawn anew: cheaper steps with more variance. 0: all.""",
        default_num_variables,
        "1 in the attributes model with labels and several attributes, else 0",
        range=(0, 1_000_000),
        models=("discrete", "attributes"),
        since=4,
        before=0,
    )
    covering: float = setting(
        """Local-divergence and local-search: share of the run with α = 1, in which q covers what
        the posterior allows; after it α = 0, which minimises the bound of q.""",
        if_used("covering", lambda c: 2 / 3 if c.encoder == "independent" else 1.0),
        "two thirds; 1 with coupled variables",
        range=(0, 1),
        since=3,
        before="auto",
        stored="auto",
    )
    refine: bool = setting(
        """Codes and bounds are those that a local search with the decoder leads to from the most
        probable code of q, in place of q's own (the run says both).""",
        lambda c: c.model == "discrete" and c.estimator in FROM_POSTERIOR,
        f"with {either(FROM_POSTERIOR)}",
        models=("discrete",),
        encoders=("independent", *COUPLED),
        since=4,
        before=False,
    )
    moves: int = setting(
        """Local-search, several variables: so often a draw of q moves towards the posterior, by a
        variable at a time, before encoder and decoder learn from it.""",
        if_used("moves", lambda c: 0 if c.variables == 1 else 1),
        "1; 0 with one variable",
        range=(0, 1000),
        since=4,
        before="auto",
        stored="auto",
    )
    moves_from: float = setting(
        """Local-search, several variables: the share of the run after which draws move.""",
        if_used("moves_from", lambda c: 1 / 3 if c.moves else 0.0),
        "a third",
        range=(0, 1),
        since=5,
        before=0.0,
        stored="auto",
    )
    refined_from: float = setting(
        """Local-search, several variables: the share of the run after which moves are the best ones
        and the decoder learns from the refined posterior, which minimises its bound.""",
        if_used("refined_from", lambda c: 1.0 if c.variables == 1 else 2 / 3),
        "two thirds",
        range=(0, 1),
        since=5,
        before=1.0,
        stored="auto",
    )
    temperature: float = setting(
        f"The temperature τ of {either(users('temperature'), 'and')}; with rebar and relax where "
        "it starts.",
        if_used("temperature", lambda c: ESTIMATORS[c.estimator].temperature),
        f"{those(lambda row: row.temperature == 0.5, 'and')} 0.5, else 1",
        above_zero_to=1e30,
        stored="auto",
        default_stored=True,
    )
    straight_through: bool = setting("Gumbel-Softmax: pass the one-hot argmax forward.", False)
    baseline: str = setting(
        "Score-function: leave-one-out (several draws), running-mean or none.",
        if_used("baseline", lambda c: "running-mean" if c.num_samples == 1 else "leave-one-out"),
        "leave-one-out, or running-mean with one draw",
        choices=("leave-one-out", "running-mean", "none"),
        stored="auto",
        default_stored=True,
    )
    anneal_rate: float = setting(
        f"""ε and τ (of {those(lambda row: bool(row.anneals), "and")}) are
        multiplied by exp(−rate·step), updated every 1,000 steps, down to {ANNEALED_TO}.""",
        1e-5,
        range=(0, 1e6),
    )
    kl_gradient: str = setting(
        "off: evaluate the KL term but leave it out of the gradient, as the authors' code does.",
        "on",
        choices=("on", "off"),
        noun="--kl-gradient",
    )
    kl_start: float | Literal["auto"] = setting(
        """Weight of the KL term at the start, from where it falls to 1 geometrically; 1 switches
        this off. auto: just below the weight at which codes part; 1 with the mixed and the
        attributes model.""",
        default_kl_start,
        "auto, or 1 with several independent variables or a set in the discrete model",
        above_zero_to=1e30,
    )
    kl_fraction: float = setting(
        "Share of the run over which it falls.",
        default_kl_fraction,
        f"with one variable of the discrete model half with {either(FROM_POSTERIOR)} and else "
        "a sixth; two thirds with others",
        range=(0, 1),
    )
    starts: int = setting(
        """Trainings from other initial weights while the weight of the KL term falls; the one with
        the best validation bound then (with labels, accuracy) is continued.""",
        default_starts,
        f"1 with {either(FROM_POSTERIOR)}; else 4 with one variable of the discrete model, whose "
        "local optima differ, where the weight falls as by default and in five epochs or more, "
        "else 1",
        range=(1, 1000),
        since=2,
        before=1,
    )
    epochs: int = setting(
        "Passes over the training images (of the start that is continued).",
        default_epochs,
        f"{LENGTH:,} steps with one variable, {LENGTH_OF_SEVERAL:,} with several, in whole epochs, "
        f"at most {MOST_EPOCHS}, with estimators other than {either(FROM_POSTERIOR)} at least "
        f"{FEWEST_EPOCHS}; with the other models 40, or 400 with digits, and with attributes of "
        f"few images {LENGTH_OF_ATTRIBUTES:,} steps",
        range=(1, 1_000_000),
    )
    patience: int = setting(
        """Stop after so many epochs without a better validation bound (with labels, accuracy);
        those in which the weight of the KL term still falls do not count. 0: train to the end.""",
        default_patience,
        f"a tenth of --epochs, at least {FEWEST_PATIENCE}, with one variable and "
        f"{either(FROM_POSTERIOR)}, else 0",
        range=(0, 1_000_000),
    )
    batch_size: int = setting(
        "Images in a mini-batch, over all processes together.",
        default_batch_size,
        "100, or 200 with the mixed model; all where there are fewer",
        range=(1, 1_000_000),
    )
    learning_rate: float = setting("Of Adam.", 1e-3, above_zero_to=1e6)
    learning_rate_schedule: str = setting(
        "constant, cosine (zero at the last step), or late-cosine (constant for two thirds first).",
        lambda c: "late-cosine" if c.estimator in FROM_POSTERIOR else "cosine",
        f"late-cosine with {either(FROM_POSTERIOR)}, else cosine",
        choices=("constant", "cosine", "late-cosine"),
    )
    seed: int = setting("Of initial weights, order of images and noise.", 0, range=(0, 2**63 - 1))
    precision: str = setting(
        """Arithmetic: 32-true, bf16-mixed, 16-mixed (GPU), 64-true, or auto, which is bf16-mixed
        where the device is faster with it and 32-true elsewhere.""",
        by_model(discrete="32-true", mixed="32-true", attributes="auto"),
        "32-true, or auto with attributes",
        choices=("auto", "32-true", "bf16-mixed", "16-mixed", "64-true"),
    )
    eval_samples: int = setting(
        """Samples an image for the bound, where the states are too many to enumerate, and of the
        mixed and attributes models' Gaussians at the end of the run.""",
        by_model(discrete=100, mixed=10, attributes=1),
        "100, 10 with the mixed model, 1 with attributes",
        range=(1, 1_000_000),
    )


SETTINGS = declared(Settings)
"""The declaration of every setting, by name."""
