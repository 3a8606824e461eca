"""Says whether a cgroup keeps a process from running: `cgroup.freeze` of v2, or the freezer of v1.

`docker pause` and LXC use the freezer where the host has cgroup v1.  A process frozen there is in state D, and SIGKILL
waits until it is thawed.  Where the thread waits (wchan) is a sign on old kernels only: newer ones name the call
that it was frozen in.
"""

from __future__ import annotations

from functools import cache

from supervisor.adapters.linux import procfs

FROZEN = "frozen cgroup"
"""What is said of a process in a frozen v2 cgroup."""
REFRIGERATOR = b"__refrigerator"
"""Where a thread frozen by the v1 freezer waits, before Linux 6.1."""


def frozen_by(pid: int) -> str | None:
    """What keeps the process frozen, in words; None where nothing does, or where it has ended."""
    path = procfs.cgroup_of(pid)
    directory = procfs.cgroup_directory(path) if path is not None else None
    if directory is not None and is_frozen(directory):
        return FROZEN
    return v1_frozen_by(pid)


def v1_frozen_by(pid: int) -> str | None:
    """The same for the freezer of v1 alone."""
    for line in (procfs.read(f"/proc/{pid}/cgroup") or b"").decode(errors="surrogateescape").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "freezer" in controllers.split(",") and path != "/" and _v1_frozen(pid, path):
            return f"frozen by the v1 freezer {path.encode(errors='replace').decode()}"
    return None


def is_frozen(directory: str) -> bool:
    """Whether the processes of this v2 cgroup are frozen, by itself or by one above it."""
    return b"frozen 1" in (procfs.read(f"{directory}/cgroup.events") or b"")


def _v1_frozen(pid: int, path: str) -> bool:
    """By the state of its cgroup; where that is not mounted here, by where the process waits."""
    for root, mount in _v1_mounts():
        inside = path.removeprefix(root) if root != "/" else path
        state = procfs.read(f"{mount}{inside}/freezer.state") if path.startswith(root) else None
        if state is not None:
            return state.strip() != b"THAWED"
    return procfs.read(f"/proc/{pid}/wchan") == REFRIGERATOR


@cache
def _v1_mounts() -> list[tuple[str, str]]:
    """Where the v1 freezer is mounted: (the cgroup that is the root of the mount, mount point)."""
    found: list[tuple[str, str]] = []
    for line in (procfs.read("/proc/self/mountinfo") or b"").decode(errors="surrogateescape").splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup ") and "freezer" in kind.split()[-1].split(","):
            root, mount = fields.split()[3:5]
            found.append((root, mount))
    return found
