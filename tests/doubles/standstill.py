"""What a process waits for: a test that waited in vain says it."""

from __future__ import annotations

import os
from pathlib import Path

PRESSURES = ("cpu", "io", "memory")


def standstill(pid: int) -> str:
    """State, kernel function and system call of each thread of `pid` and of its children, and what the host lacks."""
    lines = [f"load {os.getloadavg()[0]:.1f}", *map(_pressure, PRESSURES)]
    return "\n".join([*lines, *_processes(pid)])


def _processes(pid: int, depth: int = 0) -> list[str]:
    found = []
    for task in sorted(_listed(f"/proc/{pid}/task")):
        here = f"/proc/{pid}/task/{task}"
        state = _read(f"{here}/stat").rpartition(")")[2].split()[:1]
        command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        seen = f"{task} {''.join(state) or 'gone'}, in {_read(f'{here}/wchan') or 'user mode'}"
        found.append(f"{'  ' * depth}{seen}, system call {_read(f'{here}/syscall')}: {command[-200:]}")
        for child in _read(f"{here}/children").split():
            found += _processes(int(child), depth + 1)
    return found or [f"{pid} is gone"]


def _pressure(what: str) -> str:
    return f"{what}: " + _read(f"/proc/pressure/{what}").replace("\n", "; ")


def _listed(directory: str) -> list[str]:
    try:
        return [entry.name for entry in Path(directory).iterdir()]
    except OSError:
        return []


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        return f"({error.strerror})"
