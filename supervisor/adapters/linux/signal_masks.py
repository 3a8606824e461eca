"""Reads what a process does with signals: which it catches, ignores, or takes by sigwait and signalfd."""

from __future__ import annotations

import os

from supervisor.adapters.linux import procfs
from supervisor.core.services.signal_guard import SignalMasks

_ALL = (1 << 64) - 1


def signal_masks(pid: int) -> SignalMasks | None:
    """The masks of the process; None where it has ended, or may not be read."""
    found = _masks(f"/proc/{pid}/status")
    if found is None:
        return None
    return SignalMasks(found.get(b"SigCgt", 0), found.get(b"SigIgn", 0), _blocked(pid))


def _blocked(pid: int) -> int:
    """The signals that no thread would act on: each blocks them, or waits for signals at this moment.

    While a thread waits in sigwait, the kernel shows those that it waits for as not blocked."""
    blocked = _ALL
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - pathlib costs memory
    except OSError:
        return 0
    for thread in threads:
        if b"sigtimedwait" not in (procfs.read(f"/proc/{pid}/task/{thread}/wchan") or b""):
            blocked &= (_masks(f"/proc/{pid}/task/{thread}/status") or {}).get(b"SigBlk", _ALL)
    return blocked


def _masks(path: str) -> dict[bytes, int] | None:
    content = procfs.read(path)
    if not content:
        return None
    lines = (line.partition(b":") for line in content.splitlines())
    return {name: int(value, 16) for name, _, value in lines if name in (b"SigCgt", b"SigIgn", b"SigBlk")}
