"""The settings of data and model, a declaration each. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass

from directmax.models import COUPLED, ENCODERS, NETWORKS
from directmax.objectives import BERNOULLI, LIKELIHOODS
from directmax.solvers import SOLVERS
from directmax.tool.config.defaults import (
    FROM_POSTERIOR,
    default_binarize,
    default_distortion,
    default_likelihood,
    default_shift,
    default_values,
    default_variables,
    if_from_posterior,
)
from directmax.tool.config.setting import by_model, either, setting
from directmax.tool.config.words import by_encoder
from directmax.tool.data.names import ALL, ATTRIBUTE_DATASETS, BINARIZATIONS, DATASETS, known

MODELS = ("discrete", "mixed", "attributes")
_MIXED = ("mixed", "attributes")


@dataclass(frozen=True)
class ModelSettings:
    """What is trained, and on what: the first part of `Settings`."""

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
        """Attributes model: which, by the data set's names; of columns of words or numbers those
        that are so, such as gender=Female or age=60.. (from 60 on).""",
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
        """Mixed and attributes model: labelled training images, in turn one of every class or
        combination of attributes; 0: unsupervised.""",
        0,
        range=(0, 100_000_000),
        models=_MIXED,
    )
    groups: bool = setting(
        """Mixed model: before the training images that are alike are put into groups, without
        labels all equally frequent, with labels the classes, as frequent as those are; the surest
        count as labelled.""",
        lambda c: c.model == "mixed" and not c.labels_first,
        "but for --labels-first",
        models=("mixed",),
        since=6,
        before=False,
    )
    grouped_until: float = setting(
        """Mixed model with --labels and --groups: share of the run in which half of every labelled
        mini-batch is of images that are sure of their group.""",
        0.5,
        range=(0, 1),
        models=("mixed",),
        labels=("mixed",),
        since=12,
        before=0.5,
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
    labels_first: int = setting(
        """Mixed model with labels: so many steps at the start see labelled images alone, and all
        others no labels, as in the authors' code; 0: every step sees both.""",
        0,
        range=(0, 10**12),
        models=("mixed",),
        labels=("mixed",),
        since=11,
        before=0,
    )
    distortion: float = setting(
        """With labels: images are turned, scaled and moved by this strength (1: up to 15 degrees)
        before they are classified, and q(z|x) is made to stay the same; with attributes they are
        also mirrored, recoloured and partly covered; 0 switches this off.""",
        default_distortion,
        "0.5; 0 with rows of numbers",
        range=(0, 100),
        models=_MIXED,
        labels=_MIXED,
        stored="auto",
    )
    smoothness: float = setting(
        """With labels: q(z|x) must also change little within this Euclidean distance (grey values,
        0 to 1 a pixel) of every unlabelled image, and be sure of one class, with --groups as often
        as the class occurs, else all equally often; 0 switches the distance off, and with --shift 0
        and --distortion 0 all of this.""",
        3.0,
        range=(0, 1e6),
        models=("mixed",),
        labels=("mixed",),
    )
    shift: int = setting(
        """Mixed model with labels: images are moved by up to so many pixels before they are
        classified; q(z|x) is made to stay the same. Attributes model: training images are mirrored
        at random and moved by up to so many pixels.""",
        default_shift,
        "1; 0 with rows of numbers",
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
    dropout: float = setting(
        """Mixed model: share of the units before the Gaussian's mean and variance that are left out
        of a training step, as in the authors' code (0.5, and LeakyReLU); the values of z then say
        more, and the bound is worse.""",
        0.0,
        range=(0, 0.99),
        models=("mixed",),
        since=11,
        before=0.0,
    )
    binarize: str = setting(
        """How grey images become binary: threshold (see --threshold), static (one Bernoulli
        draw), dynamic (a fresh draw every epoch) or none.""",
        default_binarize,
        "threshold, or none with a --likelihood other than bernoulli",
        choices=BINARIZATIONS,
        noun="binarization",
        models=("discrete", "mixed"),
    )
    threshold: float = setting(
        """With --binarize threshold: the grey value above which a pixel is 1. For your own images
        0.5 if it parts ink from ground nearly as well as the best one, else that one.""",
        lambda c: getattr(c, "ink", 0.5) if c.binarize == "threshold" else 0.5,
        "0.5, or found in images of your own",
        range=(0, 1),
        models=("discrete", "mixed"),
        since=13,
        before=0.5,
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
