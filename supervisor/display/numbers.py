"""Formats numbers for tables: short, aligned, with few digits.  `None` is a dash everywhere."""

from __future__ import annotations

NOTHING = "–"


def duration(seconds: float | None) -> str:
    """At most six characters: `4.2s` `42s` `3m05s` `2h05m` `3d04h` `120d`."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    days = whole // 86400
    return f"{days}d{whole % 86400 // 3600:02}h" if days < 100 else f"{days}d"


def size(octets: float | None) -> str:
    """At most five characters, in powers of 1024: `812B` `48.2M` `1.2G`."""
    if octets is None:
        return NOTHING
    value = float(octets)
    for unit in "BKMGTP":
        if value < 999.5 or unit == "P":
            return f"{value:.0f}{unit}" if unit == "B" or value >= 99.95 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError


def percent(value: float | None) -> str:
    """At most five characters, without the sign: `0.0` `12.5` `104`."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def score(value: float | None) -> str:
    """A suspicion level in at most four characters: `0.02` `7.9` `12.3` `>99`."""
    if value is None:
        return NOTHING
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else ">99"


def span_of_time(seconds: float) -> str:
    """A heartbeat interval: `4 ms` `980 ms` `1.02 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def clock(at: str | float | None) -> str:
    """A moment, ISO 8601 or seconds since the epoch, as local wall-clock time; blank where there is none."""
    if at is None:
        return " " * 8
    from supervisor.core.text.timestamps import local  # importing datetime takes time

    try:
        return local(at).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return " " * 8


def count(number: int, one: str, many: str = "") -> str:
    """`1 instance`, `3 instances`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
