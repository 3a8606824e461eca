"""Signals by which a stop cannot go as it is written are pointed out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.checks.test_shell_syntax import found

WEB = '[services.web]\ncommand = ["true"]\n'


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            'stop_signal = "STOP"',
            ["services.web.stop_signal: SIGSTOP ends no process: the stop waits 10 s for nothing"],
        ),
        (
            "stop_signal = 9",
            ["services.web.stop_signal: SIGKILL ends the process at once: it cannot finish or save anything"],
        ),
        (
            'stop = [{ signal = "STOP", wait = "2m" }, { signal = "KILL", wait = "1s" }]',
            [
                "services.web.stop[0].signal: SIGSTOP ends no process: the stop waits 2 min for nothing",
                "services.web.stop[1].signal: SIGKILL ends the process at once: it cannot finish or save anything",
            ],
        ),
        (
            'stop = [{ signal = "KILL", wait = "1s" }, { signal = "TERM", wait = "1s" }]',
            [
                "services.web.stop[0].signal: SIGKILL ends the process at once: it cannot finish or save anything; "
                "no later step is reached"
            ],
        ),
        ('stop = [{ signal = "TSTP", wait = "1s" }, { signal = "TERM", wait = "1s" }]', []),
        ("", []),
    ],
)
def test_a_note(tmp_path: Path, keys: str, said: list[str]) -> None:
    assert found(tmp_path, WEB + keys) == [f"services.toml:3: {line}" for line in said]
