"""`.mat` files of MATLAB, versions 4 to 7."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.mat import Mat
from directmax.tool.data.own.files import available, check_fits, reading
from directmax.tool.files import read_bytes

HDF5 = b"\x89HDF\r\n\x1a\n"
_SIZES = {"double": 8, "int64": 8, "uint64": 8, "single": 4, "int32": 4, "uint32": 4, "int16": 2}
_ARRAYS = frozenset((*_SIZES, "uint16", "int8", "uint8", "logical", "char", "cell", "sparse"))


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.mat` file by name; structures are left out.

    Raises:
        DataError: damaged, too large, or in HDF5 (-v7.3).
    """
    with reading(path, "a MATLAB file"):
        data = read_bytes(path, available())
        if HDF5 in (data[:8], data[512:520]):
            raise DataError(
                f"{path} is an HDF5 file (MATLAB's -v7.3); save it with -v7, or as .npz"
            )
        content, names = Mat(data, available()), []
        for name, shape, kind in content.shapes():
            if kind in _ARRAYS:
                check_fits(path, math.prod(shape), _SIZES.get(kind, 2))
                names.append(name)
        arrays = content.read(names)
        found = {name: _plain(path, array) for name, array in arrays.items()}
        return {name: array for name, array in found.items() if array is not None}


def _plain(path: Path, array: Any) -> NDArray[Any] | None:
    """Numbers or words; None for anything else."""
    import scipy.sparse  # slow to import

    if scipy.sparse.issparse(array):
        check_fits(path, math.prod(array.shape), 8)
        array = array.toarray()
    if not isinstance(array, np.ndarray):
        return None
    if array.dtype.kind == "O":  # a cell array, of words?
        words = [each for each in array.ravel() if isinstance(each, np.ndarray)]
        if len(words) == array.size and all(w.dtype.kind == "U" and w.size == 1 for w in words):
            return np.array([str(word.item()) for word in words])
        return None
    return array
