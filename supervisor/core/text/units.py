"""Formats durations, sizes, percentages and signals for a reader.  A missing or invalid value becomes a dash."""

from __future__ import annotations

from math import isfinite

SIGNALS: tuple[str, ...] = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM"),
    *("TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF"),
    *("WINCH", "IO", "PWR", "SYS"),
)
"""Linux's names of signals 1 … 31."""
_RTMIN, _RTMAX = 34, 64  # as the C library counts them: it keeps 32 and 33 for itself
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
NOTHING = "–"


def span(seconds: object) -> str:
    """`0.21 s`, `3.4 s`, `42 s`, `2 min 5 s`, `3 h 10 min`, `4 d 2 h`."""
    if not isinstance(seconds, int | float) or not isfinite(seconds):
        return NOTHING
    if abs(seconds) < 59.95:
        return f"{_short(seconds)} s"
    whole, sign = round(abs(seconds)), "-" if seconds < 0 else ""
    if whole >= _DAY:
        large, small = (whole // _DAY, "d"), (whole % _DAY // _HOUR, "h")
    elif whole >= _HOUR:
        large, small = (whole // _HOUR, "h"), (whole % _HOUR // _MINUTE, "min")
    else:
        large, small = (whole // _MINUTE, "min"), (whole % _MINUTE, "s")
    return f"{sign}{large[0]} {large[1]}" + (f" {small[0]} {small[1]}" if small[0] else "")


def brief(seconds: float) -> str:
    """As `span`, but in milliseconds below one second: `98 ms`."""
    return f"{1e3 * seconds:.3g} ms" if abs(seconds) < 1.0 else span(seconds)


def level(suspicion: float) -> str:
    """A suspicion level: `7.9`, `102`, `over 999`."""
    return f"{suspicion:.3g}" if suspicion < 999.5 else "over 999"


def size(count: object) -> str:
    """Bytes: `512 MiB`, `1.5 GiB`, `900 B`."""
    if not isinstance(count, int | float) or not isfinite(count):
        return NOTHING
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1000:
            return f"{_short(value)} {unit}"
        value /= 1024
    return f"{_short(value)} TiB"


def percent(fraction: object) -> str:
    """A fraction of one: `150 %`, `99.95 %`.  A value below 1 is never rounded up to 100 %."""
    if not isinstance(fraction, int | float) or not isfinite(fraction):
        return NOTHING
    text = f"{100 * fraction:.3f}".rstrip("0").rstrip(".")
    return "99.999 %" if text == "100" and fraction < 1 else f"{text} %"


def signal_name(number: object) -> str:
    """`SIGKILL` for 9, `SIGRTMIN+3` for 37, `signal 32` for what has no name."""
    if isinstance(number, int) and 1 <= number <= len(SIGNALS):
        return f"SIG{SIGNALS[number - 1]}"
    if isinstance(number, int) and _RTMIN <= number <= _RTMAX:
        return "SIGRTMIN" + (f"+{number - _RTMIN}" if number > _RTMIN else "")
    return f"signal {number}"


def real_time_signal(name: str) -> int | None:
    """The number of `RTMIN`, `RTMIN+3`, `SIGRTMAX-1` …; None where the name is none of these."""
    word, sign, offset = name.upper().removeprefix("SIG").replace("-", "+-").partition("+")
    base = {"RTMIN": _RTMIN, "RTMAX": _RTMAX}.get(word)
    if base is None or (sign and not offset.removeprefix("-").isdecimal()) or len(offset) > 3:
        return None
    number = base + int(offset or 0)
    return number if _RTMIN <= number <= _RTMAX else None


def shorten(text: object, maximum: int) -> str:
    """One line of at most `maximum` characters, an ellipsis where something is left out."""
    line = " ".join(str(text).split())
    return line if len(line) <= maximum else f"{line[: maximum - 1].rstrip()}…"


def _short(value: float) -> str:
    """Two decimals below 1, one below 10, none beyond."""
    digits = 2 if abs(value) < 0.995 else 1 if abs(value) < 9.95 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text
