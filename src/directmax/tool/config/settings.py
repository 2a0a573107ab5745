"""The settings of a training run, a declaration each. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from directmax.estimators import ESTIMATORS
from directmax.models import COUPLED, ENCODERS, NETWORKS
from directmax.objectives import BERNOULLI, LIKELIHOODS
from directmax.solvers import SOLVERS
from directmax.tool.config.defaults import (
    FEWEST_EPOCHS,
    FROM_POSTERIOR,
    LENGTH,
    LENGTH_OF_SEVERAL,
    MOST_EPOCHS,
    default_binarize,
    default_epochs,
    default_estimator,
    default_kl_fraction,
    default_kl_start,
    default_likelihood,
    default_num_samples,
    default_starts,
    default_values,
    default_variables,
    if_from_posterior,
    if_used,
)
from directmax.tool.config.setting import by_model, declared, either, setting
from directmax.tool.config.words import by_encoder, those, users
from directmax.tool.data.names import ALL, ATTRIBUTE_DATASETS, BINARIZATIONS, DATASETS, known

VERSION = 3  # of the files that hold a configuration
MODELS = ("discrete", "mixed", "attributes")
STRUCTURES = tuple(name for name, kind in ENCODERS.items() if kind.structure)
"""Encoders whose posterior is a structure's Gibbs distribution."""
_MIXED = ("mixed", "attributes")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run. Times are in epochs, losses in nats per image.

    The declarations of `TrainConfig` and `ResolvedConfig`. None: not given, or not used.
    """

    data: str = setting(
        f"""Data set: {either(DATASETS)}; with attributes {either(ATTRIBUTE_DATASETS)}. Or the PATH
        of your own: a folder of images, .npy, .npz, .csv, .txt, .mat, IDX or Parquet files.""",
        "digits",
    )
    model: str = setting(
        """discrete, mixed (one variable, each value of which has a Gaussian code of its own), or
        attributes (binary attributes and a Gaussian code of photographs).""",
        "discrete",
        choices=MODELS,
    )
    attributes: tuple[str, ...] = setting(
        "Attributes model: which, by the data set's names.",
        lambda c: known(c.data).attributes if c.model == "attributes" else (),
        "; ".join(f"of {name} {', '.join(ALL[name].attributes)}" for name in ATTRIBUTE_DATASETS),
        models=("attributes",),
    )
    image_size: int = setting(
        """Attributes model, and data of your own: height and width to which the middle square of
        every image is resized.""",
        lambda c: known(c.data).size if c.model == "attributes" else None,
        ", ".join(f"{ALL[name].size} with {name}" for name in ATTRIBUTE_DATASETS),
        range=(8, 1024),
        models=("attributes",),
        stored=0,
        default_stored=True,
    )
    likelihood: str = setting(
        "Of a pixel: bernoulli, or of 256 levels with a learned scale, gaussian or logistic.",
        default_likelihood,
        "bernoulli, or logistic with colours that are not binarised; gaussian with attributes",
        choices=(BERNOULLI, *LIKELIHOODS),
        models=("discrete", "attributes"),
        stored="gaussian",  # also what the discrete model's files had before it used this
        default_stored=True,
    )
    labels: int = setting(
        """Mixed and attributes model: labelled training images, the same number of every class or
        combination of attributes (so a multiple of the number of classes); 0: unsupervised.""",
        0,
        range=(0, 100_000_000),
        models=_MIXED,
    )
    label_weight: float = setting(
        """Weight of the loss of the labels and of --smoothness or --distortion beside the bound, in
        nats.""",
        by_model(mixed=50.0, attributes=1000.0),  # pixels of photographs weigh more
        "50, or 1000 with attributes",
        above_zero_to=1e12,
        models=_MIXED,
        labels=_MIXED,
        stored="auto",
    )
    distortion: float = setting(
        """With labels: images are turned, scaled and moved by this strength (1: up to 15 degrees)
        before they are classified, and q(z|x) is made to stay the same; with attributes they are
        also mirrored, recoloured and partly covered; 0 switches this off.""",
        by_model(mixed=0.5, attributes=0.5),
        "0.5",
        range=(0, 100),
        models=_MIXED,
        labels=_MIXED,
        stored="auto",
    )
    smoothness: float = setting(
        """With labels: q(z|x) must also change little within this Euclidean distance (grey values,
        0 to 1 a pixel) of every unlabelled image, and be sure of one class, all classes equally
        often; 0 switches the distance off, and with --shift 0 and --distortion 0 all of this.""",
        3.0,
        range=(0, 1e6),
        models=("mixed",),
        labels=("mixed",),
    )
    shift: int = setting(
        """Mixed model with labels: images are moved by up to so many pixels before they are
        classified; q(z|x) is made to stay the same. Attributes model: training images are mirrored
        at random and moved by up to so many pixels.""",
        1,
        range=(0, 1024),
        models=_MIXED,
        labels=("mixed",),
    )
    gaussian: int = setting(
        "Mixed and attributes model: dimensions of the Gaussian code.",
        by_model(mixed=20, attributes=64),
        "20, or 64 with attributes",
        range=(2, 10_000),
        models=_MIXED,
        stored=0,
    )
    binarize: str = setting(
        """How grey images become binary: threshold (at 0.5), static (one Bernoulli draw), dynamic
        (a fresh draw every epoch) or none.""",
        default_binarize,
        "threshold, or none with a --likelihood other than bernoulli",
        choices=BINARIZATIONS,
        noun="binarization",
        models=("discrete", "mixed"),
    )
    variables: int = setting(
        "Number n of latent variables.",
        default_variables,
        by_encoder(lambda kind: kind.variables),
        range=(1, 10_000),
    )
    values: int = setting(
        "Number k of values of each latent variable.",
        default_values,
        by_encoder(lambda kind: kind.shown),
        range=(2, 1_000_000),
    )
    hidden: int = setting(
        "Hidden units of encoder and decoder.",
        by_model(discrete=300, mixed=400, attributes=256),
        "300, 400 with the mixed model, 256 with attributes",
        range=(1, 65_536),
    )
    network: str = setting(
        f"""Of encoder and decoder:
        {either([f"{name} ({text})" for name, text in NETWORKS.items()])}.""",
        "mlp",
        choices=tuple(NETWORKS),
        models=("discrete", "mixed"),
        since=3,
        before="mlp",
    )
    encoder: str = setting(
        f"{either([f'{n} ({kind.text})' if kind.text else n for n, kind in ENCODERS.items()])}.",
        "independent",
        choices=tuple(ENCODERS),
    )
    chosen: int = setting(
        "Subset encoder: how many of the variables are on.",
        lambda c: max(1, c.variables // 2) if c.encoder == "subset" else None,
        "half of them",
        range=(0, 10_000),
        encoders=("subset",),
        stored=0,
        since=3,
        before=0,
    )
    solver: str = setting(
        f"Of the argmax of {either(COUPLED)}: {either(tuple(SOLVERS))}.",
        "auto",
        choices=tuple(SOLVERS),
        encoders=COUPLED,
    )
    perturbation: str = setting(
        f"""{either(COUPLED).capitalize()}: Gumbel noise on the single variables (unary) or on every
        state (states; exact Gibbs samples, few variables).""",
        "unary",
        choices=("unary", "states"),
        encoders=COUPLED,
    )
    kl: str = setting(
        f"""KL term of {either(COUPLED)}: of the Gibbs distribution (gibbs, at most 20 variables)
        or, as in the authors' code, of the unary potentials alone (unary, no bound).""",
        "gibbs",
        choices=("gibbs", "unary"),
        noun="KL term",
        encoders=COUPLED,
        models=("discrete",),
    )
    pseudo_images: float = setting(
        """The decoder is fitted to so many images more for each of its values (n(k − 1) + 1), all
        equal to the mean training image, with codes drawn from the prior. 0 switches this off.""",
        if_from_posterior,
        f"1 with {either(FROM_POSTERIOR)}, else 0",
        range=(0, 1e6),
        models=("discrete",),
        since=3,
        before=0.0,
    )
    dreams: float = setting(
        """Weight of the encoder's loss −log q(z|x) on images that the decoder draws from codes of
        the prior, as in the sleep phase of wake–sleep. 0 switches this off.""",
        if_from_posterior,
        f"1 with {either(FROM_POSTERIOR)}, else 0",
        range=(0, 1e6),
        models=("discrete",),
        since=3,
        before=0.0,
    )
    candidates: str = setting(
        """Losses of single changes, with several variables: bfloat16 where that is faster (auto),
        or full precision (full).""",
        "auto",
        choices=("auto", "full"),
        models=("discrete", "mixed"),
    )
    estimator: str = setting(
        f"""Gradient estimator: {those(lambda row: row.independent and not row.binary)}; with
        binary variables also {those(lambda row: row.binary)}; with the encoders
        {either(COUPLED)} {those(lambda row: bool(row.coupled))}; with
        {either(STRUCTURES)} {those(lambda row: row.gibbs)}.""",
        default_estimator,
        "local-search, or direct where one of its settings is given; clamped-argmax with "
        f"{either(COUPLED)} (direct with --perturbation states); score-function with "
        f"{either(STRUCTURES)}; with the other models direct for one variable, local-expectation "
        "for several",
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
    covering: float = setting(
        """Local-divergence: share of the run with α = 1, in which q covers what the posterior
        allows; after it α = 0, which minimises the bound.""",
        if_used("covering", lambda _: 2 / 3),
        "two thirds",
        range=(0, 1),
        since=3,
        before="auto",
        stored="auto",
    )
    moves: int = setting(
        """Local-search, several variables: so often a draw of q moves towards the posterior, by a
        variable at a time, before encoder and decoder learn from it.""",
        if_used("moves", lambda c: 0 if c.variables == 1 else 1),
        "1; 0 with one variable",
        range=(0, 1000),
        since=3,
        before="auto",
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
        multiplied by exp(−rate·step), updated every 1,000 steps, down to 0.1.""",
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
        f"{FEWEST_EPOCHS}; with the other models 40, or 400 with digits",
        range=(1, 1_000_000),
    )
    patience: int = setting(
        """Stop after so many epochs without a better validation bound (with labels, accuracy);
        those in which the weight of the KL term still falls do not count. 0: train to the end.""",
        0,
        range=(0, 1_000_000),
    )
    batch_size: int = setting(
        "Images in a mini-batch, over all processes together.",
        by_model(discrete=100, mixed=200, attributes=100),
        "100, or 200 with the mixed model",
        range=(1, 1_000_000),
    )
    learning_rate: float = setting("Of Adam.", 1e-3, above_zero_to=1e6)
    learning_rate_schedule: str = setting(
        """constant, cosine (down to zero at the last step), or late-cosine (constant for two
        thirds of the run, then cosine).""",
        lambda c: "late-cosine" if c.estimator in FROM_POSTERIOR else "cosine",
        f"late-cosine with {either(FROM_POSTERIOR)}, else cosine",
        choices=("constant", "cosine", "late-cosine"),
    )
    seed: int = setting("Of initial weights, order of images and noise.", 0, range=(0, 2**63 - 1))
    precision: str = setting(
        "Arithmetic: 32-true, bf16-mixed, 16-mixed (GPU) or 64-true.",
        "32-true",
        choices=("32-true", "bf16-mixed", "16-mixed", "64-true"),
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
