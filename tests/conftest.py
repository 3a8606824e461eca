"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure.  CI tries the same examples each time; everywhere else chance goes on looking.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("quick", deadline=None, max_examples=20)  # of scripts/check
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell ignores SIGINT for what it starts in the background, nohup ignores SIGHUP, and an ignored signal is inherited.
# With a handler that does nothing the tests still are not interrupted, and what they start has the default again.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda _number, _frame: None)

RUNNER = os.getpid()


def _end(number: int, _frame: object) -> None:
    """A run that is ended from outside, as by timeout(1), ends what its tests have started: their fixtures do."""
    if os.getpid() != RUNNER:  # a process that a test has forked
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    signal.signal(number, lambda _number, _frame: None)  # timeout(1) sends it twice
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _end)

LONG = ("e2e/chaos", "e2e/cluster", "simulation", "fleet", "detectorlab", "tools")
"""Folders with tests of ten seconds and more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They come first: on several processes, none is left alone with a long one at the end."""
    folders = [Path(__file__).parent / one for one in LONG]
    items.sort(key=lambda item: not any(folder in item.path.parents for folder in folders))
