"""What the kernel says about processes: CPU time, context switches, memory, who descends from whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time in nanoseconds and context switches of some processes since they began."""

    cpu_ns: int
    switches: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.cpu_ns - earlier.cpu_ns, self.switches - earlier.switches)


def usage(pids: Iterable[int]) -> Usage:
    """Summed over all threads, from schedstat: to the nanosecond, where /proc/PID/stat counts in ticks."""
    cpu = switches = 0
    for pid in pids:
        for task in _tasks(pid):
            cpu += int(_read(task / "schedstat").split(maxsplit=1)[0] or 0)
            for line in _read(task / "status").splitlines():
                if "ctxt_switches" in line:
                    switches += int(line.rsplit(maxsplit=1)[-1])
    return Usage(cpu, switches)


def pss(pids: Iterable[int]) -> int:
    """Proportional set size in bytes."""
    total = 0
    for pid in pids:
        for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * KIB
    return total


def descendants(root: int) -> list[int]:
    """Every living process (no zombies) below `root`, parents before children."""
    children: dict[int, list[int]] = defaultdict(list)
    zombies = set()
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        stat = _read(folder / "stat").rpartition(") ")[2].split()
        if len(stat) > 1:
            children[int(stat[1])].append(int(folder.name))
            if stat[0] in "ZX":
                zombies.add(int(folder.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return [pid for pid in found[1:] if pid not in zombies]


def executable(pid: int) -> Path | None:
    try:
        return (PROC / str(pid) / "exe").readlink()
    except OSError:
        return None


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    """A process may be gone at any moment: then it says "0", which counts for nothing anywhere."""
    try:
        return path.read_text()
    except OSError:
        return "0"
