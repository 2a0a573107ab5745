"""The Omniglot of Burda et al.: `chardata.mat`, 28×28 grey images, 24,345 + 8,070."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.mat import Mat
from directmax.tool.files import RunError, read_bytes

SIDE = 28
MOST_BYTES = 2**29
"""Of an array; the largest has 153 million."""
ADVICE = (
    "replace it with chardata.mat from https://github.com/yburda/iwae (datasets/OMNIGLOT), "
    "or delete it to use the original Omniglot images"
)


@dataclass(frozen=True, eq=False)
class CharData:
    """The content of a `chardata.mat`.

    Attributes:
        pool: `(N, 784)`, float32, images for training and validation, row-major, ink = 1.
        pool_labels: `(N,)`, int64, alphabet of every image.
        test: `(M, 784)`, as `pool`.
        test_labels: `(M,)`, as `pool_labels`.
        num_alphabets: number of alphabets.
    """

    pool: NDArray[np.float32]
    pool_labels: NDArray[np.int64]
    test: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    num_alphabets: int


def read_chardata(path: Path, num_pool: int, num_test: int) -> CharData:
    """Read a `chardata.mat`.

    In the file every column is an image in Fortran order: `data` is (784, N), `testdata` is
    (784, M); `target` (alphabets, N) and `testtarget` (alphabets, M) mark each image's alphabet
    with a one.

    Args:
        path: the file.
        num_pool: N, the number of columns that `data` must have.
        num_test: M, the same for `testdata`.

    Raises:
        DataError: unreadable, damaged, or of another content.
    """
    keys = ("data", "testdata", "target", "testtarget")
    try:
        arrays = Mat(read_bytes(path), MOST_BYTES).read(keys)
    except RunError as error:
        raise DataError(f"{error}; correct its permissions, or {ADVICE}") from error
    except Exception as error:  # what loadmat raises on a damaged file depends on the damage
        raise DataError(f"{path} is no readable MATLAB file: {reason(error)}; {ADVICE}") from error
    if missing := [key for key in keys if key not in arrays]:
        raise DataError(f"{path} has no array {', '.join(missing)}; {ADVICE}")
    alphabets = arrays["target"].shape[0]
    return CharData(
        pool=_images(path, "data", arrays["data"], num_pool),
        pool_labels=_labels(path, "target", arrays["target"], (alphabets, num_pool)),
        test=_images(path, "testdata", arrays["testdata"], num_test),
        test_labels=_labels(path, "testtarget", arrays["testtarget"], (alphabets, num_test)),
        num_alphabets=alphabets,
    )


def _images(path: Path, key: str, array: NDArray, count: int) -> NDArray[np.float32]:
    """Columns in Fortran order to rows in C order."""
    _check(path, key, array, (SIDE * SIDE, count))
    if not (array.min() >= 0 and array.max() <= 1):  # NaN fails both
        raise DataError(
            f"{path}: {key} holds values from {array.min():g} to {array.max():g}, expected grey "
            f"values in [0, 1]; {ADVICE}"
        )
    pictures = array.T.astype(np.float32).reshape(count, SIDE, SIDE)  # (N, column, row)
    return np.ascontiguousarray(pictures.transpose(0, 2, 1)).reshape(count, SIDE * SIDE)


def _labels(path: Path, key: str, array: NDArray, shape: tuple[int, int]) -> NDArray[np.int64]:
    _check(path, key, array, shape)
    ones = array == 1
    if not ((ones | (array == 0)).all() and (ones.sum(axis=0) == 1).all()):
        raise DataError(
            f"{path}: {key} must mark the alphabet of every image with a 1 among zeros; {ADVICE}"
        )
    return array.argmax(axis=0).astype(np.int64)


def _check(path: Path, key: str, array: NDArray, shape: tuple[int, int]) -> None:
    if isinstance(array, np.ndarray) and array.shape == shape and array.dtype.kind in "fiub":
        return
    kind = "an array" if isinstance(array, np.ndarray) else "a sparse array"
    raise DataError(
        f"{path}: {key} is {kind} {array.shape} of {array.dtype}, expected numbers in {shape}; "
        f"{ADVICE}"
    )
