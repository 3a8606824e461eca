"""Which HAProxy is new enough, read from what `haproxy -v` prints."""

from __future__ import annotations

import re

OLDEST = (2, 6)
PACKAGE = "haproxy"
"""The package of Debian and of most others."""


def unusable(printed: str, path: str) -> str:
    """Why the program with this output of `-v` cannot be used; empty if it can."""
    found = re.search(r"HAProxy version (\d+)\.(\d+)\S*", printed)
    oldest = ".".join(map(str, OLDEST))
    if found is None:
        return f"{path} is not HAProxy: its -v prints {printed.splitlines()[0][:80] if printed.strip() else 'nothing'}"
    if (int(found[1]), int(found[2])) >= OLDEST:
        return ""
    version = found[0].removeprefix("HAProxy version ")
    return f"{path} is HAProxy {version}; {oldest} or newer is needed (package {PACKAGE})"


def missing() -> str:
    """The message where there is none."""
    return f"no haproxy on this machine; install {'.'.join(map(str, OLDEST))} or newer (package {PACKAGE})"
