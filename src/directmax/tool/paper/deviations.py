"""Deviations from the paper that matter to its tables and figures; numbers as in the documentation.

`docs/deviations.md` has all of them; a test keeps the two in step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One deviation.

    Attributes:
        number: in `docs/deviations.md`.
        title: its first words there.
        text: what is different.
        items: which tables and figures it touches.
    """

    number: int
    title: str
    text: str
    items: tuple[str, ...]


_TABLE1 = ("table1", "figure2")
_MIXED = ("table2", "figure4")
_BINARY = ("figure1", *_TABLE1, "figure3", *_MIXED)
_EVERY = (*_BINARY, "figure5")
_ATTRIBUTES = ("figure5",)

DEVIATIONS = (
    Deviation(
        1,
        "Step",
        "Our default chooses ε for each image, takes the central difference and, for one variable, "
        "eight draws. “direct” of table 1 is the paper's: one ε annealed from 1 to 0.1, one draw, "
        "one-sided.",
        (*_TABLE1, *_MIXED),
    ),
    Deviation(
        2,
        "KL weight and starts",
        "Our default anneals the weight of the KL term down to 1, with one variable from four "
        "initial weights, of which it continues the best by the validation images; the paper's "
        "protocol has none of it.",
        (*_TABLE1, "figure3"),
    ),
    Deviation(
        3,
        "Learning rate",
        "Our default lets it fall to zero along a cosine; the paper's protocol keeps it constant.",
        (*_TABLE1, "figure3", *_MIXED, "figure5"),
    ),
    Deviation(
        4,
        "Length and selection",
        "The epoch is chosen by the validation images, and the test images are used once. The "
        "paper reports test losses and names no validation set.",
        _EVERY,
    ),
    Deviation(
        6,
        "Binarisation",
        "Images are thresholded at 0.5, those of the mixed model drawn anew every epoch. The paper "
        "says “the binarized MNIST” and cites Salakhutdinov and Murray 2008, who draw pixels.",
        _BINARY,
    ),
    Deviation(
        7,
        "Omniglot",
        "Without the 28×28 file of Burda et al. the original drawings are reduced and split anew.",
        _TABLE1,
    ),
    Deviation(
        8,
        "Labels",
        "Beside equation 9, q(z|x) is made smooth around unlabelled images and uses all classes.",
        _MIXED,
    ),
    Deviation(
        10,
        "Estimator of coupled variables",
        "Beside the paper's estimator there is ours. With the paper's, ε is fixed at 0.1, where "
        "its schedule ends, and the difference is central.",
        ("figure3",),
    ),
    Deviation(
        11,
        "Bound of coupled variables",
        "What is reported is the bound of the Gibbs distribution, by enumeration.",
        ("figure3", "figure5"),
    ),
    Deviation(
        12,
        "Baselines",
        "REBAR, RELAX and ARM are our own implementations, trained like all the others.",
        ("figure3",),
    ),
    Deviation(
        13,
        "KL gradient",
        "“direct” of table 1 leaves the KL term out of the gradient, as the authors' code does; "
        "all other methods optimise it.",
        _TABLE1,
    ),
    Deviation(
        14,
        "Evaluation",
        "Every model is evaluated in the same way: exactly, by enumeration, where the states are "
        "few. The authors use one sample with the direct method, and 100 with Gumbel-Softmax.",
        _EVERY,
    ),
    Deviation(
        16,
        "Omniglot's validation images",
        "are part of the training images in the authors' code; here the splits are disjoint.",
        _TABLE1,
    ),
    Deviation(
        21,
        "Labelled images",
        "are drawn from the training images alone, as many of every class, and binarised like all "
        "others.",
        _MIXED,
    ),
    Deviation(
        23,
        "Accuracy",
        "is that of the most probable value, of the weights that validation chose.",
        (*_MIXED, "figure5"),
    ),
    Deviation(
        25,
        "Curves",
        "show validation images: the test images are used once a run, at its end. The paper's show "
        "test images.",
        ("figure2", "figure3"),
    ),
    Deviation(
        26,
        "Time axis",
        "is the seconds of a training epoch times the epochs, without validation: measured before "
        "the runs, each configuration in turn, or else the median of the run. Epochs of starts "
        "that were not continued count.",
        ("figure2", "figure3"),
    ),
    Deviation(
        27,
        "Early stopping",
        "A run may stop when its validation bound no longer moves; the report says which did.",
        _EVERY,
    ),
    Deviation(
        28,
        "Attributes of distorted images",
        "Beside equation 9, attributes of which q(z|x) is sure are taken for labels of the image "
        "turned, moved, recoloured and partly covered.",
        _ATTRIBUTES,
    ),
    Deviation(
        29,
        "Two trunks",
        "Potentials of the attributes and features of the Gaussian code come from separate "
        "convolutions.",
        _ATTRIBUTES,
    ),
    Deviation(
        30,
        "Loss of attribute labels",
        "Cross-entropy, the mean over the noise of the paper's difference of argmaxes, also with "
        "“direct”.",
        _ATTRIBUTES,
    ),
    Deviation(
        31,
        "Labelled images with attributes",
        "are drawn from the training images so that all combinations come as often as they can. "
        "The paper does not say how many images have labels, nor how they are drawn.",
        _ATTRIBUTES,
    ),
    Deviation(
        32,
        "Likelihood of photographs",
        "A Gaussian of each 8-bit pixel, with one learned scale; training images are mirrored at "
        "random and moved by a pixel. The paper names no likelihood for CelebA.",
        _ATTRIBUTES,
    ),
    Deviation(
        33,
        "Estimators of attributes",
        "Our defaults, local expectation and, with couplings, clamped argmax, beside “direct”, "
        "which has one ε for each image and a central difference.",
        _ATTRIBUTES,
    ),
    Deviation(
        34,
        "Switched attributes",
        "The Gaussian code is the mean for the image's own most probable attributes, and only the "
        "decoder is told of others. The paper does not say which code it decodes.",
        _ATTRIBUTES,
    ),
    Deviation(
        35,
        "Images of figure 5",
        "CelebA must not be passed on. Where it is not at hand, faces drawn by a program and "
        "Fashion-MNIST take its place.",
        _ATTRIBUTES,
    ),
)


def deviations_of(items: tuple[str, ...]) -> list[Deviation]:
    """Those that touch at least one of some tables and figures.

    Example:
        >>> [each.number for each in deviations_of(("figure1",))]
        [4, 6, 14, 27]
    """
    return [each for each in DEVIATIONS if set(each.items) & set(items)]
