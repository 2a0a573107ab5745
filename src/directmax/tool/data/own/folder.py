"""Folders: which files they hold, and which reader these are for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.own.arrays import understand
from directmax.tool.data.own.files import head, reading
from directmax.tool.data.own.found import Found, Layout
from directmax.tool.data.own.idx_files import is_idx, labels_beside, read_idx_array
from directmax.tool.data.own.image_folder import SUFFIXES, read_images
from directmax.tool.data.own.matlab import read_mat
from directmax.tool.data.own.numpy_files import read_npy, read_npz
from directmax.tool.data.own.parquet import read_parquet
from directmax.tool.data.own.reading import Reading
from directmax.tool.data.own.tables import read_table, read_tables
from directmax.tool.data.own.words import split_of

TABLES = frozenset(
    (
        *(".csv", ".tsv", ".txt", ".amat", ".dat", ".data", ".tab"),
        *(".train", ".test", ".tra", ".tes"),  # of the UCI repository
    )
)
FORMS: dict[str, str] = {
    **dict.fromkeys(SUFFIXES, "images"),
    **dict.fromkeys(TABLES, "tables"),
    **{".npy": "NumPy arrays", ".npz": "NumPy archives", ".mat": "MATLAB files"},
    **{".idx": "IDX files", ".parquet": "Parquet files", ".arrow": "Arrow files"},
}
"""Ending → form."""
PREFERRED = ("Arrow files", "Parquet files", "IDX files")
"""Before others, which lie beside them: card, licence, pictures of samples."""
MOST_FILES = 2_000_000
MOST_DEPTH = 20
PROSE = ("readme", "license", "licence", "copying", "requirements", "notes", "citation")
WOULD_BE_READ = (
    "expected images (PNG, JPEG, …), .npy, .npz, .csv, .txt, .amat, .mat, .parquet or IDX files"
)


def read_file(path: Path, size: int | None = None, like: Reading | None = None) -> Found:
    """One file of any form.

    Args:
        path: of it.
        size: height and width to which images are resized.
        like: how another was read, of whose kind this one is.

    Raises:
        DataError: it is damaged, or of no known form.
    """
    form = form_of(path)
    if form == "images":
        raise DataError(f"{path} is one image; give the folder that holds the images")
    if form in ("Parquet files", "Arrow files"):
        return read_parquet(path, [path], size, like.names if like else ())
    if form == "tables":
        return read_table(path, _layout(like), words=_has_words(like))
    if form is None:
        packed = path.suffix.lower() in (".zip", ".tar", ".tgz", ".7z", ".rar", ".h5", ".hdf5")
        todo = "unpack it, or save it as .npz" if packed else WOULD_BE_READ
        raise DataError(f"{path} is of no known form; {todo}")
    arrays = _arrays(path, form, "")
    if form == "IDX files":
        with reading(path, "an IDX file"):
            labels = labels_beside(path)
        if labels is not None:
            arrays["labels"] = read_idx_array(labels)
    return understand(path, arrays, by_columns=form == "MATLAB files")


def form_of(path: Path) -> str | None:
    """By its ending, before which gzip's may stand behind; IDX files by what they begin with."""
    name = path.name.lower().removesuffix(".gz")
    if name.startswith("cache-") and name.endswith(".arrow"):  # of `datasets`, beside the data
        return None
    if (ending := Path(name).suffix) in FORMS:
        return FORMS[ending]
    with reading(path, "a file"):
        return "IDX files" if is_idx(head(path)) else None


def read_folder(root: Path, size: int | None = None, like: Reading | None = None) -> Found:
    """All files of a folder, and of those in it, that belong to one data set.

    Args:
        root: the folder.
        size: as of `read_file`.
        like: as of `read_file`.

    Raises:
        DataError: it holds nothing that is known, or several forms at once.
    """
    by_form: dict[str, list[Path]] = {}
    seen: dict[str, int] = {}
    for path in sorted(files_below(root)):
        form = form_of(path)
        if form == "tables" and path.stem.lower().startswith(PROSE):
            form = None
        if form is None:
            seen[path.suffix.lower()] = seen.get(path.suffix.lower(), 0) + 1
        else:
            by_form.setdefault(form, []).append(path)
    if not by_form:
        what = ", ".join(
            f"{count:,} {ending or 'without ending'}" for ending, count in seen.items()
        )
        raise DataError(f"{root} holds {what or 'no files'}; {WOULD_BE_READ}")
    form = _chosen(root, by_form)
    files = by_form[form]
    if form == "images":
        return read_images(root, files, size)
    if form in ("Parquet files", "Arrow files"):
        return read_parquet(root, files, size, like.names if like else ())
    if form == "tables":
        return _tables(root, files, like)
    arrays: dict[str, NDArray[Any]] = {}
    for path in files:
        inside = path.relative_to(root).with_suffix("").as_posix()
        arrays |= _arrays(path, form, inside)
    return understand(root, arrays, by_columns=form == "MATLAB files")


def _chosen(root: Path, by_form: Mapping[str, list[Path]]) -> str:
    found = next((form for form in PREFERRED if form in by_form), None)
    if found is None and len(by_form) == 2 and "images" in by_form and "tables" in by_form:
        found = "images"  # with a list of them
    if found is None and len(by_form) == 1:
        (found,) = by_form
    if found is None:
        what = ", ".join(f"{len(files):,} {form}" for form, files in by_form.items())
        raise DataError(f"{root} holds {what}; expected one form: give the path of one of them")
    return found


def _arrays(path: Path, form: str, inside: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by names that begin with where it is."""
    if form == "NumPy arrays":
        return {inside or "images": read_npy(path)}
    if form == "IDX files":
        return {inside or "images": read_idx_array(path)}
    found = read_npz(path) if form == "NumPy archives" else read_mat(path)
    return {f"{inside}/{key}" if inside else key: array for key, array in found.items()}


def _tables(root: Path, files: list[Path], like: Reading | None) -> Found:
    """A table, or one for each part by their names."""
    if len(files) == 1:
        return read_table(files[0], _layout(like), words=_has_words(like))
    tables: dict[str, Path] = {}
    for path in files:
        part = split_of(path.relative_to(root).as_posix())
        if part is None or part in tables:
            names = ", ".join(each.name for each in files[:6])
            raise DataError(
                f"{root} holds {len(files):,} tables ({names}); expected names with train, valid "
                "and test: give the path of one of them"
            )
        tables[part] = path
    if "train" not in tables:
        raise DataError(f"{root} has tables of {' and '.join(tables)}; expected one of train")
    return read_tables(tables, _layout(like), words=_has_words(like))


def _layout(like: Reading | None) -> Layout | None:
    return None if like is None else like.layout


def _has_words(like: Reading | None) -> bool:
    """Whether a column that is numbers alone may be one of words, such as 01."""
    return like is not None and any(code.words for code in like.codes)


def files_below(root: Path) -> Iterator[Path]:
    """Regular files in a folder and in those in it, without hidden ones; no folder twice.

    Raises:
        DataError: a folder cannot be read, or there are too many files.
    """
    done: set[tuple[int, int]] = set()
    count = 0

    def walk(folder: Path, depth: int) -> Iterator[Path]:
        nonlocal count
        status = folder.stat()
        if depth > MOST_DEPTH or (status.st_dev, status.st_ino) in done:
            return
        done.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                count += 1
                if count > MOST_FILES:
                    raise DataError(
                        f"{root} holds more than {MOST_FILES:,} files; give a folder of images"
                    )
                if entry.is_dir():
                    yield from walk(Path(entry.path), depth + 1)
                elif entry.is_file():  # of a pipe or a device: not
                    yield Path(entry.path)
                elif form_of(path := Path(entry.path)) and path.is_symlink() and not path.exists():
                    raise DataError(
                        f"{path} is a link to nothing; expected a file: get what it leads to, as "
                        "with git annex get, or remove it"
                    )

    try:
        yield from walk(root, 0)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root}: {reason(error)}") from error
