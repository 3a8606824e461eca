"""Says why a process does not run or does not end, as far as /proc and the kernel's answers tell."""

from __future__ import annotations

import os
import signal

from supervisor.adapters.linux import freezer, procfs


def paused(pid: int, cgroup: str | None = None) -> str | None:
    """Why the process cannot run at the moment: stopped, traced or frozen; None where it can, or has ended.

    `cgroup`: the directory of its v2 cgroup, where that is known.  This is asked of each instance for every status.
    """
    stat = procfs.stat(pid)
    if stat is None:
        return None
    if stat.state == "T":
        return "stopped (SIGSTOP)"
    if stat.state == "t":
        return f"traced by pid {_tracer(pid)}"
    if cgroup is None:
        return freezer.frozen_by(pid) if stat.state in "SD" else None
    if freezer.is_frozen(cgroup):
        return freezer.FROZEN
    return freezer.v1_frozen_by(pid) if stat.state == "D" else None


def why_it_stays(pid: int) -> str:
    """`, ` and the reason why a killed process is still there; empty where none is known.

    State D alone is a reason of its own: the process waits for the kernel.
    """
    if not _permitted(pid):
        return ", not permitted to signal it"
    held = paused(pid)
    return f", {held}" if held is not None and held != "stopped (SIGSTOP)" else ""


def _permitted(pid: int) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        signal.pidfd_send_signal(fd, 0)
    except PermissionError:
        return False
    except OSError:
        return True
    finally:
        os.close(fd)
    return True


def _tracer(pid: int) -> str:
    for line in (procfs.read(f"/proc/{pid}/status") or b"").decode(errors="replace").splitlines():
        if line.startswith("TracerPid:"):
            return line[10:].strip()
    return "?"
