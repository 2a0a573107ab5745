"""Where data files are looked for, and where downloads go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch

from directmax.tool.data.download import Remote, fetch
from directmax.tool.data.errors import DataError, reason
from directmax.tool.environment import home_folder
from directmax.tool.files import user_path

ENVIRONMENT_VARIABLE = "DIRECTMAX_DATA"


def user_cache() -> Path:
    """Return this user's cache folder for directmax (it need not exist).

    Below the folder of temporary files where the user has no home.
    """
    cache = Path(pooch.os_cache("directmax"))
    if cache.is_absolute():
        return cache
    home = home_folder()
    if home is None:
        return Path(tempfile.gettempdir()) / f"directmax-{os.getuid()}"
    return home / cache.relative_to("~") if cache.parts[:1] == ("~",) else cache.absolute()


@dataclass(frozen=True)
class Places:
    """The folders that may hold data files, in order of preference.

    1. `data_dir`, if given;
    2. the folder that the environment variable `DIRECTMAX_DATA` names, if set;
    3. the user's cache folder.

    A file is used from the first folder that has it; a download goes to the first folder.

    Args:
        data_dir: an existing folder, or None.
        download: whether a file that no folder has may be downloaded.

    Raises:
        TypeError: `data_dir` is neither a path nor None.
        DataError: `data_dir` is not an existing folder.
    """

    data_dir: str | Path | None = None
    download: bool = True

    def __post_init__(self) -> None:
        if self.data_dir is None:
            return
        if not isinstance(self.data_dir, str | os.PathLike):
            raise TypeError(f"data_dir must be a path or None, got {type(self.data_dir).__name__}")
        if not os.fspath(self.data_dir):
            raise DataError("data_dir is empty; expected a folder, or None to use the default")
        folder = user_path(self.data_dir)
        object.__setattr__(self, "data_dir", folder)
        if _is(folder, "file"):
            raise DataError(
                f"data_dir {folder} is a file, expected a folder; give the folder that holds MNIST/"
            )
        if not _is(folder, "folder"):
            raise DataError(
                f"data_dir {folder} does not exist; create it, or correct the path "
                "(without data_dir the user's cache folder is used)"
            )

    def folders(self) -> tuple[Path, ...]:
        """Return the folders to search, the first also being the one downloads go to.

        Raises:
            DataError: `DIRECTMAX_DATA` names a file.
        """
        found = [] if self.data_dir is None else [Path(self.data_dir)]
        if variable := os.environ.get(ENVIRONMENT_VARIABLE):
            folder = user_path(variable)
            if _is(folder, "file"):
                raise DataError(
                    f"{ENVIRONMENT_VARIABLE}={folder} is a file, expected a folder; "
                    "correct the variable or unset it"
                )
            found.append(folder)
        found.append(user_cache())
        return tuple(dict.fromkeys(found))

    def candidates(self, *files: str, folders: tuple[str, ...] = ()) -> Iterator[Path]:
        """Yield every existing one of the relative paths, best place first."""
        for place in self.folders():
            for relative in files:
                if _is(place / relative, "file"):
                    yield place / relative
            for relative in folders:
                if _is(place / relative, "folder"):
                    yield place / relative

    def find(self, *files: str, folders: tuple[str, ...] = ()) -> Path | None:
        """Return the first existing one of the relative paths, or None.

        Args:
            *files: relative paths of files, the preferred one first.
            folders: relative paths of folders that serve as well, after the files.

        Raises:
            DataError: a folder on the way may not be read.
        """
        return next(self.candidates(*files, folders=folders), None)

    def obtain(self, remote: Remote, *files: str, folders: tuple[str, ...] = ()) -> Path:
        """Return the path of a file, downloaded if no place has it.

        Args:
            remote: the file as it is downloaded; it is also looked for.
            *files: relative paths of other files that serve, preferred to the remote's.
            folders: relative paths of folders that serve as well, after the files.

        Raises:
            DataError: nowhere found and not to be downloaded, or the download failed.
        """
        if (path := self.find(*files, remote.path, folders=folders)) is not None:
            return path
        if self.download:
            return fetch(remote, self.folders()[0])
        places = ", ".join(str(place) for place in self.folders())
        raise DataError(
            f"{remote.path} is in none of {places}; allow the download (download=True), or put "
            f"the file from {remote.urls[0]} there by hand"
        )


def _is(path: Path, kind: str) -> bool:
    """Whether `path` is an existing "file" or "folder"; not being allowed to look is an error."""
    try:
        return path.is_dir() if kind == "folder" else path.is_file()
    except OSError as error:
        raise DataError(
            f"cannot look at {path}: {reason(error)}; correct the path or its permissions"
        ) from error
