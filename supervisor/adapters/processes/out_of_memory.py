"""Says whether the kernel killed a process because memory ran out: by the counters in memory.events of its cgroup.

Where its own cgroup has no memory controller, the nearest one above it with one is read; that counts all that is below
it.  Therefore the counters are compared with those at the last end of any process there.
"""

from __future__ import annotations

import os

from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.pidfd import Status
from supervisor.core.text.units import size

_SIGKILL = 9
_SHELLS_SIGKILL = 137
"""The exit code with which a shell tells that its child was killed by SIGKILL."""
_COUNTERS = (b"oom_kill ", b"oom_group_kill ")


class OutOfMemory:
    """Remembers the counters, by directory."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._uncounted: set[str] = set()
        """Directories below which the kernel counts no kills."""

    def begin(self, cgroup: str) -> None:
        """A process begins in this directory."""
        above = os.path.dirname(cgroup)  # noqa: PTH120
        if above in self._uncounted:
            return
        found = _nearest(cgroup)
        if found is None:
            self._uncounted.add(above)
        else:
            self._seen.setdefault(*found)

    def killed(self, cgroup: str, status: Status) -> str | None:
        """The limit that a process that has just ended was killed for (empty: not known); None where it was not."""
        if os.path.dirname(cgroup) in self._uncounted:  # noqa: PTH120
            return None
        found = _nearest(cgroup)
        if found is None:
            return None
        directory, count = found
        before = self._seen.get(directory, count)
        self._seen[directory] = count
        code, number = status
        if count <= before or (number != _SIGKILL and code != _SHELLS_SIGKILL):
            return None
        return _limit(directory)


def _nearest(cgroup: str) -> tuple[str, int] | None:
    """The nearest directory, itself or above, whose kills the kernel counts, and their number; None: there is none."""
    directory = cgroup
    while (content := procfs.read(f"{directory}/memory.events")) is None:
        above = os.path.dirname(directory)  # noqa: PTH120
        if above == directory or procfs.read(f"{above}/cgroup.procs", 1) is None:
            return None
        directory = above
    return directory, sum(int(line.split()[1]) for line in content.splitlines() if line.startswith(_COUNTERS))


def _limit(directory: str) -> str:
    """`memory.max 256 MiB`: the nearest limit, its own or one above; empty where there is none."""
    while (content := procfs.read(f"{directory}/memory.max")) is not None:
        if content.strip().isdigit():
            return f"memory.max {size(int(content))}"
        directory = os.path.dirname(directory)  # noqa: PTH120
    return ""
