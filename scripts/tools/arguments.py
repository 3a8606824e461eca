"""Types of arguments of the scripts."""

from __future__ import annotations

from argparse import ArgumentTypeError

from supervisor.config.units import parse_duration


def duration(text: str) -> float:
    """Seconds in "90s" or "1h30m".  ArgumentTypeError, whose text argparse prints, says what to write instead."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
