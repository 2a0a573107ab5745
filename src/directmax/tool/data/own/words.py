"""What names of arrays, files, folders and columns say: which part of the data, images or labels.

Names are looked at in the small letters of their words: `x_train`, `trainX`, `Xtrain` are alike.
"""

from __future__ import annotations

import re

SPLITS: dict[str, str] = {
    **dict.fromkeys(("train", "training", "trn", "tra", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "tes", "te"), "test"),
}
"""Word → part of the data."""
IMAGES = frozenset(
    (
        *("x", "xs", "image", "images", "img", "imgs", "data", "dataset", "input", "inputs"),
        *("feature", "features", "fea", "pixel", "pixels", "sample", "samples", "row", "rows"),
        *("face", "faces", "picture", "pictures"),
    )
)
LABELS = frozenset(
    (
        *("y", "ys", "label", "labels", "lbl", "target", "targets", "class", "classes", "gnd"),
        *("digit", "species", "category"),
    )
)
INDICES = frozenset(
    (
        *("", "id", "index", "idx", "rowid", "imageid", "image_id", "uuid"),
        *("file", "filename", "file_name", "filepath", "file_path", "image_name"),
        *("unnamed: 0", "__index_level_0__"),  # pandas'
    )
)
"""Columns that number or name the rows."""


def tokens(name: str) -> list[str]:
    """The words of a name.

    Example:
        >>> tokens("trainX"), tokens("mnist/x-test.2"), tokens("testdata"), tokens("t10k-labels")
        (['train', 'x'], ['mnist', 'x', 'test', '2'], ['test', 'data'], ['test', 'labels'])
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("t10k", "test")).lower()
    return [part for word in re.findall(r"[^\W\d_]+|\d+", name) for part in _apart(word)]


def _apart(word: str) -> list[str]:
    """`xtrain` as `x`, `train`; a word that is no such pair as it is."""
    roles = IMAGES | LABELS
    if word in SPLITS or word in roles:
        return [word]
    for split in SPLITS:
        if len(split) > 2 and word.removeprefix(split) in roles:
            return [split, word.removeprefix(split)]
        if len(split) > 2 and word.removesuffix(split) in roles:
            return [word.removesuffix(split), split]
    return [word]


def split_of(name: str) -> str | None:
    """The part of the data that a name tells; the last word counts.

    Example:
        >>> split_of("binarized_mnist_valid"), split_of("faces")
        ('validation', None)
    """
    found = [SPLITS[word] for word in tokens(name) if word in SPLITS]
    return found[-1] if found else None


def role_of(name: str) -> str | None:
    """ "images", "labels", or None where the name does not tell.

    Example:
        >>> role_of("y_train"), role_of("testdata"), role_of("arr_0")
        ('labels', 'images', None)
    """
    words = set(tokens(name))
    if words & LABELS:
        return "labels"
    return "images" if words & IMAGES else None


def is_names(name: str) -> bool:
    """Whether a name is that of a list of names, or of a description.

    Example:
        >>> is_names("target_names"), is_names("target")
        (True, False)
    """
    return bool({"name", "names", "descr"} & set(tokens(name)))
