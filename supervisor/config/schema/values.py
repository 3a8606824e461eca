"""Readers: each converts one value of services.toml into a value of a spec.

A reader accepts whatever TOML allows, and raises ValueError with what to write instead. Readers that replace `${VAR}`
find the environment in the validation context.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from supervisor.config.source.expand import expand
from supervisor.config.units import parse_duration, parse_percent, parse_rate, parse_size, quoted
from supervisor.core.model.spec import ConsoleMode
from supervisor.core.text.nearest import did_you_mean

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def text(value: Any) -> str:
    """A string that the operating system accepts: without NUL."""
    if not isinstance(value, str):
        raise ValueError(f"expected a string, not {quoted(value)}")
    if "\x00" in value:
        raise ValueError("holds a NUL character")
    return value


def expanded(value: Any, info: ValidationInfo) -> str:
    return text(expand(text(value), info.context or {}))


def path(value: Any, info: ValidationInfo) -> str:
    return expanded(value, info) or _refuse("is empty; leave the key out instead")


def duration(value: Any) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{quoted(value)} has no unit; write for example "{quoted(value)}s" (units: ms s m h d)')
    raise ValueError(f'expected a duration such as "30s", not {quoted(value)}')


def positive_duration(value: Any) -> float:
    return duration(value) or _refuse("must be longer than 0")


def rate(value: Any) -> float:
    if isinstance(value, str):
        return parse_rate(value)
    raise ValueError(f'expected a rate such as "1/30d", not {quoted(value)}')


def size(value: Any) -> int:
    if isinstance(value, str):
        return parse_size(value) or _refuse("must be larger than 0")
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{quoted(value)} has no unit; write for example "{quoted(value)}MiB" (units: KiB MiB GiB)')
    raise ValueError(f'expected a size such as "512MiB", not {quoted(value)}')


def percent(value: Any) -> float:
    if isinstance(value, str):
        return parse_percent(value) or _refuse("must be more than 0%")
    raise ValueError(f'expected a percentage such as "150%" (100% is one core), not {quoted(value)}')


def whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected a whole number from {low} to {high}, not {quoted(value)}")
        if not low <= value <= high:
            raise ValueError(f"{quoted(value)} is not from {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"expected a number from {low:g} to {high:g}, not {quoted(value)}")
        if not low <= value <= high:  # also refuses NaN
            raise ValueError(f"{quoted(value)} is not from {low:g} to {high:g}")
        return float(value)

    return read


_SHARE = re.compile(r"[0-9]{1,3}%")


def share(value: Any) -> int | str:
    """A number of instances, or a part of them such as "25%"."""
    if isinstance(value, str):
        if not _SHARE.fullmatch(value) or not 1 <= int(value[:-1]) <= 100:
            raise ValueError(f'{quoted(value)} is not a part of the instances; write for example "25%", or 1')
        return value
    return whole(0, 10_000)(value)


def switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {quoted(value)}")
    return value


def yes_or(*words: str) -> Callable[[Any], str]:
    """A reader for `true`, which is "yes", `false`, which is "", or one of a few words."""

    def read(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else ""
        if not isinstance(value, str) or value not in words:
            known = ", ".join(f'"{word}"' for word in words)
            raise ValueError(f"{quoted(value)} is not one of true, false, {known}{did_you_mean(str(value), words)}")
        return value

    return read


def console(value: Any) -> ConsoleMode:
    """true, false or "raw"."""
    if isinstance(value, bool):
        return ConsoleMode.NAMED if value else ConsoleMode.NO
    if value != ConsoleMode.RAW:
        raise ValueError(f'expected true, false or "raw", not {quoted(value)}')
    return ConsoleMode.RAW


def own_log(value: Any, info: ValidationInfo) -> str | None:
    """A path; true: "", a file in the state directory; false: None."""
    if isinstance(value, bool):
        return "" if value else None
    if not isinstance(value, str):
        raise ValueError(f"expected true, false or a path, not {quoted(value)}")
    return path(value, info)


def words(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {str(error).lower()}") from None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError('expected a list of strings such as ["program", "argument"], or one string')
    words = tuple(expanded(word, info) for word in value)
    return words if words and words[0] else _refuse("names no program")


def names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(f'expected a list of names such as ["redis"], not {quoted(value)}')
    return tuple(dict.fromkeys(value))


def dependencies(value: Any) -> tuple[tuple[str, str, bool], ...]:
    """Names, or tables with service, condition and required: (service, condition, required) of each."""
    if not isinstance(value, list) or not all(isinstance(one, str | dict) for one in value):
        raise ValueError(f'expected a list of names such as ["redis"], not {quoted(value)}')
    return tuple({one[0]: one for one in map(_dependency, value)}.values())


def _dependency(value: Any) -> tuple[str, str, bool]:
    if not isinstance(value, dict):
        return str(value), "ready", True
    if unknown := [key for key in value if key not in ("service", "condition", "required")]:
        raise ValueError(f"{quoted(unknown[0])} is not a key of a dependency: service, condition, required")
    if "service" not in value:
        raise ValueError("a dependency needs service")
    condition, required = value.get("condition", "ready"), value.get("required", True)
    if condition not in ("started", "ready", "completed"):
        raise ValueError(f"condition is started, ready or completed, not {quoted(condition)}")
    if not isinstance(required, bool):
        raise ValueError(f"required is true or false, not {quoted(required)}")
    return text(value["service"]), condition, required


def name(value: Any) -> str:
    """A name that can be part of a file name, and cannot be confused with an instance (`web@1`), an option (`-x`) or a
    hidden file."""
    if not _NAME.fullmatch(text(value)):
        raise ValueError(f"{quoted(value)} is not a valid name: up to 100 letters, digits and _ . -, not first . or -")
    return str(value)


def only_true(value: Any) -> bool:
    return switch(value) or _refuse("can only be true; leave the key out instead")


def _refuse(message: str) -> Any:
    raise ValueError(message)


def one_of(kind: Iterable[str]) -> Callable[[Any], str]:
    """A reader for one of a few words."""
    words = {str(word): word for word in kind}

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            known = ", ".join(words)
            raise ValueError(f"{quoted(value)} is not one of {known}{did_you_mean(value, words)}")
        return words[value]

    return read
