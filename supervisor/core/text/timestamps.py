"""Moments as text: ISO 8601 in UTC with milliseconds, to and from seconds since the epoch.

The calendar is the proleptic Gregorian one, counted in eras of 400 years that begin on 1 March, so that the leap
day is the last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
"""

from __future__ import annotations

import re

_DAY = 86_400
_ERA = 146_097
_EPOCH = 719_468
"""Days from 0000-03-01 to 1970-01-01."""
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def to_iso(at: float) -> str:
    """Such as `2024-02-29T12:00:00.250Z`.  Years before 1 and after 9999 come out as the nearest that can be said."""
    millis = max(-62_135_596_800_000, min(round(at * 1000), 253_402_300_799_999))
    days, rest = divmod(millis, _DAY * 1000)
    seconds, millis = divmod(rest, 1000)
    era, of_era = divmod(days + _EPOCH, _ERA)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // (_ERA - 1)) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    year += era * 400 + (month <= 2)
    minutes, second = divmod(seconds, 60)
    return f"{year:04}-{month:02}-{day:02}T{minutes // 60:02}:{minutes % 60:02}:{second:02}.{millis:03}Z"


def from_iso(text: str) -> float:
    """Seconds since the epoch; without an offset it is UTC.  ValueError: no ISO 8601 moment."""
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"no ISO 8601 time: {text!r:.60}")
    year, month, day = (int(part) for part in found.group(1, 2, 3))
    hour, minute, second = (int(part or 0) for part in found.group(4, 5, 6))
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month) and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"no such moment: {text!r:.60}")
    clock = hour * 3600 + minute * 60 + second - _offset(found.group(8) or "Z")
    return _days_since_epoch(year, month, day) * _DAY + clock + float(f"0.{found.group(7) or 0}")


def _days_since_epoch(year: int, month: int, day: int) -> int:
    era, of_era = divmod(year - (month <= 2), 400)
    of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return seconds if zone[0] == "+" else -seconds
