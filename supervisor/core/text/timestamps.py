"""Converts seconds since the epoch to ISO 8601 text in UTC with milliseconds and `Z`, and back.

Everything that is stored or sent uses this form; a reader is shown `local_time`.  Any ISO 8601 form is read, because
users type others, and older versions wrote `+00:00` for `Z`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC, but `Z` is added by hand
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
"""Milliseconds from the epoch to the edges of the calendar: years 1 and 9999."""


def to_iso(at: float) -> str:
    """Such as `2024-02-29T12:00:00.250Z`.  Times outside of the years 1 to 9999 become the nearest one within."""
    millis = max(_FIRST, min(round(at * 1000), _LAST))
    return (_EPOCH + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds") + "Z"


def from_iso(text: str | float, *, local: bool = False) -> float:
    """Seconds since the epoch.  Without an offset it is UTC, or with `local` the local time.  ValueError: no ISO 8601
    moment.  A number is returned as it is: where many events are read, their times are never made text."""
    if isinstance(text, float):
        return text
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None or local else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"no ISO 8601 time: {text!r:.60}") from None


def local_time(at: str | float) -> str:
    """A moment, ISO 8601 or seconds since the epoch, in the local time zone: `2024-02-29 13:00:00.250`.  ValueError: no
    such moment."""
    return local(at).isoformat(" ", "milliseconds")


def local(at: str | float) -> datetime:
    """The same as a naive datetime."""
    return datetime.fromtimestamp(at if isinstance(at, int | float) else from_iso(at))  # noqa: DTZ006 - local is meant
