"""What holds for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# A slow machine is no failure.  CI tries the same examples each time; everywhere else chance goes on looking.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell ignores SIGINT for what it starts in the background, nohup ignores SIGHUP, and an ignored signal is inherited.
# With a handler that does nothing the tests still are not interrupted, and what they start has the default again.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda _number, _frame: None)
