"""Durations, sizes, percentages and rates as users write them, and back.

A bare number is always an error, because its unit would be a guess.
"""

from __future__ import annotations

import re

MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
BYTES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

LONGEST = 36_500 * 86_400.0
"""Seconds. A duration of more than a century is a typing error, and would overload timers."""
LARGEST = 2**63 - 1
"""Bytes: the most that the kernel's interfaces hold."""
MOST_CORES = 10_000.0

DURATION_PATTERN = r"([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+"
"""The syntax of `parse_duration`, also for the JSON Schema."""

_DURATION = re.compile(DURATION_PATTERN)
_DURATION_PART = re.compile(r"([0-9.]+)([a-z]+)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(KiB|MiB|GiB)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
_COUNT = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_LOOSE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_LOOSE_DURATION = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "hr": "h", "day": "d", "": "s"}


def parse_duration(text: str) -> float:
    """Seconds in "250ms", "10s", "1h30m", "1.5d". ValueError says what to write instead."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a duration; write {_nearest_duration(text)} (units: ms s m h d)")
    seconds = sum(float(number) * MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(text)) / 1000
    if seconds > LONGEST:
        raise ValueError(f"{quoted(text)} is longer than a hundred years")
    return seconds


def parse_size(text: str) -> int:
    """Bytes in "64KiB", "1.5GiB". ValueError says what to write instead."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{quoted(text)} is not a size; write {_nearest_size(text)} (units: KiB MiB GiB)")
    size = float(match[1]) * BYTES[match[2]]
    if size >= LARGEST:
        raise ValueError(f"{quoted(text)} is larger than 8 EiB")
    return round(size)


def parse_percent(text: str) -> float:
    """The fraction in "150%": 1.5. ValueError says what to write instead."""
    match = _PERCENT.fullmatch(text)
    if not match:
        raise ValueError(f'{quoted(text)} is not a percentage; write for example "150%" (100% is one core)')
    if (fraction := float(match[1]) / 100) > MOST_CORES:
        raise ValueError(f"{quoted(text)} is more than any machine has")
    return fraction


def parse_rate(text: str) -> float:
    """Times a second in "1/30d", "0.5/1h". ValueError says what to write instead."""
    count, slash, time = (part.strip() for part in text.partition("/"))
    if not slash or not _COUNT.fullmatch(count):
        raise ValueError(f'{quoted(text)} is not a rate; write a number and a duration, for example "1/30d"')
    if not (times := float(count)):
        raise ValueError(f'{quoted(text)}: never cannot be promised; write for example "1/365d"')
    if not (seconds := parse_duration(time)):
        raise ValueError(f"{quoted(text)}: the duration must be longer than 0")
    return times / seconds


def format_rate(rate: float) -> str:
    """The inverse of `parse_rate`, as one in a duration."""
    return f"1/{format_duration(1.0 / rate)}"


def format_duration(seconds: float) -> str:
    """The inverse of `parse_duration`, to the millisecond: 5400 is "1h30m"."""
    rest, parts = round(seconds * 1000), []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, MILLISECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(size: int) -> str:
    """The inverse of `parse_size`: 1536 KiB is "1.5MiB". A size that is not a round number of KiB is given in bytes."""
    for unit in ("GiB", "MiB", "KiB"):
        amount = round(size / BYTES[unit], 3)
        if amount >= 1 and amount * BYTES[unit] == size:
            return f"{amount:.3f}".rstrip("0").rstrip(".") + unit
    return f"{size} bytes"


def format_percent(fraction: float) -> str:
    """The inverse of `parse_percent`: 1.5 is "150%"."""
    return f"{fraction * 100:.12g}%"


def quoted(value: object) -> str:
    """A value roughly as the file spells it, on one line and shortened, for messages."""
    if isinstance(value, str):
        shown = value if len(value) <= 60 else value[:59] + "…"
        escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + (escaped if shown.isprintable() else escaped.encode("unicode_escape").decode()) + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() < 128):
        return str(value)
    return {int: "a huge number", dict: "a table", list: "an array"}.get(type(value), "a date or time")


def _nearest_duration(text: str) -> str:
    match = _LOOSE.fullmatch(text.strip())
    if match:
        unit = match[2].lower()
        unit = _LOOSE_DURATION.get(unit.removesuffix("s") if len(unit) > 2 else unit, unit)
        if unit in MILLISECONDS:
            return f'"{match[1]}{unit}"'
    return 'for example "30s"'


def _nearest_size(text: str) -> str:
    match = _LOOSE.fullmatch(text.strip())
    if match:
        for unit in BYTES:
            if match[2][:1].upper() == unit[0]:
                return f'"{match[1]}{unit}"'
    return 'for example "512MiB"'
