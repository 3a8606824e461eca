"""The number of a signal that an order names."""

from __future__ import annotations

import signal

from supervisor.core.text.units import real_time_signal
from supervisor.errors import UsageError


def signal_number(name: str) -> int:
    """`HUP`, `SIGHUP`, `1` and `RTMIN+2` are understood.  UsageError."""
    text = name.upper()
    if text.isdecimal() and len(text) <= 3 and int(text) in signal.valid_signals():
        return int(text)
    if (number := real_time_signal(text)) is not None:
        return number
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"].value
    except KeyError:
        known = ", ".join(s.name.removeprefix("SIG") for s in signal.Signals if s.value < 32) + ", RTMIN … RTMIN+30"
        raise UsageError(f"no such signal: {name!r}", f"Known: {known}") from None
