"""The exception of this package: image data is missing, damaged or not what it should be."""

from __future__ import annotations


class DataError(ValueError):
    """Image data could not be had.

    The message is one line: what was wrong, what was expected, what to do.

    Args:
        message: the message; line breaks in it become spaces.

    Example:
        >>> str(DataError("train.gz is damaged;\\n delete it"))
        'train.gz is damaged; delete it'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


def reason(error: BaseException) -> str:
    """Return an exception's cause in a few words: the system's text, the message or the type."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
