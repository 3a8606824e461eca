"""Signals as orders name them."""

from __future__ import annotations

import signal

import pytest

from supervisor.adapters.linux.signal_numbers import signal_number
from supervisor.errors import UsageError


@pytest.mark.parametrize(
    ("text", "number"), [("HUP", 1), ("sighup", 1), ("1", 1), ("RTMIN+2", signal.SIGRTMIN + 2), ("SIGUSR2", 12)]
)
def test_a_signal_by_name_or_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "NONE", "0", "99", "1000", "RTMIN+99"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(UsageError, match="no such signal") as refused:
        signal_number(text)
    assert "HUP" in (refused.value.hint or "")
