"""Readers of accounts, modes, signals, resource limits and environment variables."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.values import expanded, path, text, whole
from supervisor.config.units import parse_size, quoted
from supervisor.core.text.nearest import did_you_mean
from supervisor.core.text.units import real_time_signal

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

_VARIABLE = re.compile(r"[^=\x00]+")
_OCTAL = re.compile(r"(?:0o)?([0-7]{1,4})")


def account(value: Any) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        return whole(0, 2**32 - 2)(value)
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a name or a number, not {quoted(value)}")
    return text(value)


def umask(value: Any) -> int:
    match = _OCTAL.fullmatch(value) if isinstance(value, str) else None
    if not match or int(match[1], 8) > 0o777:
        raise ValueError(f'expected octal digits in a string, such as "022", not {quoted(value)}')
    return int(match[1], 8)


def mode(value: Any) -> int:
    match = _OCTAL.fullmatch(value) if isinstance(value, str) and len(value) >= 3 else None
    if not match or int(match[1], 8) > 0o666 or int(match[1], 8) & 0o111:
        raise ValueError(f'expected a mode of a file in octal digits, such as "0640", not {quoted(value)}')
    return int(match[1], 8)


def signal_number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if value not in signal.valid_signals():
            raise ValueError(f"{quoted(value)} is not a signal of this system")
        return value
    if not isinstance(value, str):
        raise ValueError(f'expected a signal such as "TERM", not {quoted(value)}')
    if (number := real_time_signal(value)) is not None:
        return number
    known = {s.name.removeprefix("SIG"): int(s) for s in signal.Signals}
    wanted = value.upper().removeprefix("SIG")
    if wanted not in known:
        raise ValueError(f"{quoted(value)} is not a signal{did_you_mean(wanted, known)}")
    return known[wanted]


def count_limit(value: Any) -> int:
    """A resource limit that counts: files, processes, seconds. -1 is unlimited."""
    if value == "unlimited":
        return -1
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f'expected a whole number or "unlimited", not {quoted(value)}')
    return value


def size_limit(value: Any) -> int:
    """A resource limit in bytes. -1 is unlimited."""
    if isinstance(value, str):
        return -1 if value == "unlimited" else parse_size(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f'expected a size such as "2GiB", a number of bytes or "unlimited", not {quoted(value)}')
    return value


def soft_and_hard(limit: Callable[[Any], int]) -> Callable[[Any], tuple[int, int]]:
    """A reader of a limit, or of two as "SOFT:HARD", into (soft, hard)."""

    def read(value: Any) -> tuple[int, int]:
        if not isinstance(value, str) or ":" not in value:
            return (limit(value),) * 2
        soft, hard = (limit(int(word) if word.isdecimal() else word) for word in value.split(":", 1))
        if hard != -1 and not 0 <= soft <= hard:
            raise ValueError(f"{quoted(value)}: the soft limit, in front, is more than the hard one")
        return soft, hard

    return read


def variable(value: Any) -> str:
    """The name of an environment variable."""
    if not _VARIABLE.fullmatch(text(value)):
        raise ValueError(f"{quoted(value)} is not a variable name")
    return str(value)


def inherited(value: Any) -> tuple[str, ...] | None:
    """Names of the variables to inherit; None is all."""
    if value is True:
        return None
    if value is False:
        return ()
    if not isinstance(value, list):
        raise ValueError(f'expected true, false or a list of variables such as ["LANG"], not {quoted(value)}')
    return tuple(dict.fromkeys(variable(name) for name in value))


def environment_files(value: Any, info: ValidationInfo) -> tuple[tuple[str, bool], ...]:
    """(path, whether it must exist) of each file."""
    given = value if isinstance(value, list) else [value]
    files = []
    for file in given:
        table = file if isinstance(file, dict) else {"path": file}
        required = table.get("required", True)
        if "path" not in table or table.keys() - {"path", "required"} or not isinstance(required, bool):
            raise ValueError(f'expected a path or {{ path = ".env", required = false }}, not {quoted(file)}')
        files.append((path(table["path"], info), required))
    return tuple(files)


def variable_value(value: Any, info: ValidationInfo) -> str:
    if isinstance(value, int | float):
        raise ValueError(f'{quoted(value)} is not a string; write "{quoted(value)}"')
    return expanded(value, info)
