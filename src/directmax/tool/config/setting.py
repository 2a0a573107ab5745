"""What is declared of a setting: type, default, help, range, who uses it. Does not import torch."""

from __future__ import annotations

import dataclasses
import math
import numbers
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from directmax._choices import check_choice

CHOSEN = " (chosen)"
_KINDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a word"}


@dataclass(frozen=True)
class Setting:
    """One setting of a configuration.

    Attributes:
        help: what it decides, for people.
        default: its value where none is given, or a function of the other settings.
        shown: the default in words, where it is such a function.
        choices: words to choose from.
        range: the least value and the largest; what more would cost is out of reach.
        above_zero_to: the largest, where every number above 0 will do.
        models: those that use it; none stands for all.
        encoders: those that use it; none stands for all.
        labels: models that use it only with labels.
        stored: what files have where it is not used; version 1 of them has no null.
        default_stored: whether files have that also in place of the default.
        since: the version of files in which it came; earlier ones mean `before`.
        before: what was the case before it came, and is left out of files.
        noun: what a choice is called; else its name.
        name: of its field.
        annotation: the type of its field.
    """

    help: str
    default: Any = None
    shown: str = ""
    choices: tuple[str, ...] = ()
    range: tuple[float, float] = (-math.inf, math.inf)
    above_zero_to: float = 0
    models: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    stored: Any = None
    default_stored: bool = False
    since: int = 1
    before: Any = None
    noun: str = ""
    name: str = ""
    annotation: str = ""

    @property
    def flag(self) -> str:
        """As on the command line."""
        return flag_of(self.name)

    @property
    def kind(self) -> str:
        """int, float, bool, str or tuple."""
        return self.annotation.split("[")[0].split(" ")[0]

    @property
    def auto(self) -> bool:
        """Whether "auto" is a value: a method of its own."""
        return "Literal" in self.annotation

    def unset(self, value: Any) -> bool:
        """Whether nothing was given: None, or "auto" where the default follows from the others."""
        word = isinstance(value, str) and value == "auto"
        return value is None or (word and not self.auto and callable(self.default))

    def to_file(self, value: Any, config: Any) -> Any:
        """What files have for a value of a configuration.

        A word that was chosen, and is the one that stands for the default, is marked.
        """
        if value is None or (self.default_stored and value == self.default(config)):
            return self.stored
        marked = self.default_stored and self.kind == "str" and value == self.stored
        return value + CHOSEN if marked else value

    def from_file(self, value: Any) -> Any:
        """The value that `to_file` wrote."""
        return value.removesuffix(CHOSEN) if isinstance(value, str) else value

    @property
    def wanted(self) -> str:
        """The type in words."""
        if self.kind == "tuple":
            return "a list of words"
        return _KINDS[self.kind] + (" or auto" if self.auto else "")

    def read(self, text: str) -> Any:
        """The value that a word of the command line stands for.

        Raises:
            ValueError: it is of another type.
        """
        if self.kind == "str" or (self.auto and text == "auto"):
            return text
        switches = {"yes": True, "true": True, "no": False, "false": False}
        try:
            if self.kind == "bool":
                return switches[text.lower()]
            return int(text) if self.kind == "int" else float(text)
        except (KeyError, ValueError):
            raise ValueError(f"{self.flag} must be {self.wanted}, got '{text[:40]}'") from None

    def check(self, value: Any) -> Any:
        """The value as a plain Python one, if it is of the right type and in range.

        Raises:
            TypeError: of another type.
            ValueError: out of range.
        """
        value = self._typed(value)
        if self.choices:
            check_choice(self.noun or self.name.replace("_", " "), value, self.choices)
        elif isinstance(value, int | float) and self.kind != "bool":
            self._check_range(value)
        return value

    def _typed(self, value: Any) -> Any:
        if self.kind == "tuple":
            if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
                return tuple(map(str, value))
        elif self.kind == "str" or (self.auto and isinstance(value, str) and value == "auto"):
            if isinstance(value, str):
                return str(value)
        elif self.kind == "bool":
            if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):  # numpy's too
                return bool(value)
        elif not isinstance(value, bool):
            if isinstance(value, numbers.Integral):
                return int(value) if self.kind == "int" else _as_float(int(value))
            if isinstance(value, numbers.Real) and self.kind == "float":
                return float(value)
        raise TypeError(f"{self.flag} must be {self.wanted}, got {shown(value)}")

    def _check_range(self, value: float) -> None:
        low, high = self.range
        more = " or auto" if self.auto else ""
        if self.above_zero_to:
            right, wanted = 0 < value < math.inf, "a finite number above 0" + more
            high = self.above_zero_to
        elif self.kind == "float":
            right, wanted = low <= value <= high, f"a number between {low:,} and {high:,}" + more
        else:
            right, wanted = value >= low, f"at least {low:,}"
        if right and value > high:
            right, wanted = False, f"at most {high:,}" + more
        if not right:
            raise ValueError(f"{self.flag} must be {wanted}, got {short(value)}")


def setting(help: str, default: Any = None, shown: str = "", **details: Any) -> Any:  # noqa: A002
    """The field of a setting; its default is unset."""
    declared = Setting(" ".join(help.split()), default, shown, **details)
    return dataclasses.field(default=None, metadata={"setting": declared})


def declared(cls: type) -> dict[str, Setting]:
    """The settings of a class, by name."""
    return {
        field.name: dataclasses.replace(
            field.metadata["setting"], name=field.name, annotation=str(field.type)
        )
        for field in dataclasses.fields(cls)
    }


def flag_of(name: str) -> str:
    """The flag of a setting.

    Example:
        >>> flag_of("batch_size")
        '--batch-size'
    """
    return "--" + name.replace("_", "-")


def either(words: Sequence[str], last: str = "or") -> str:
    """Words in a row.

    Example:
        >>> either(["direct", "exact", "arm"])
        'direct, exact or arm'
    """
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def short(value: Any) -> str:
    """A value in a message; a number of many digits by their count.

    Example:
        >>> short(10**40), short(0.5)
        ('an integer of 41 digits', '0.5')
    """
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"an integer of {int(math.log10(abs(value))) + 1} digits"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def shown(value: Any) -> str:
    """A value of a file, which may be long or deep, in a message.

    Example:
        >>> shown([[[[1]]], 2])
        '[[[...]], 2]'
    """
    found = reprlib.Repr()
    found.maxlevel, found.maxstring, found.maxother = 2, 60, 60
    return found.repr(value)


def _as_float(value: int) -> float:
    return float(value) if abs(value) < 10**300 else (math.inf if value > 0 else -math.inf)


By = Callable[[Any], Any]


def by_model(**values: Any) -> By:
    """A default that is another for each model; None where the model does not use it."""
    return lambda c: values.get(c.model)
