"""Ports that tests and measurements give to programs: no two get the same, though nothing listens on them yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.tools.bench.ports import BLOCK, FIRST, LAST, free_port, free_ports

ASK = "from scripts.tools.bench.ports import free_ports; print(free_ports(5), flush=True); input()"


def ranges(begins: list[int], size: int) -> list[int]:
    return [port for begin in begins for port in range(begin, begin + size)]


def test_a_process_gets_each_port_once() -> None:
    found = [*ranges([free_ports(BLOCK + 1) for _ in range(3)], BLOCK + 1), free_port(), free_port()]
    assert len(set(found)) == len(found)
    assert min(found) >= FIRST and max(found) < LAST


def test_processes_that_ask_at_once_get_different_ones() -> None:
    """Before, one that began five ports after another was given those that the other would need for its fifth instance;
    the probe of readiness was then answered by the wrong program."""
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", ASK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2], env=dict(os.environ),
        )
        for _ in range(3)
    ]  # fmt: skip
    found = [int(one.stdout.readline()) for one in asked if one.stdout is not None]
    for one in asked:
        one.communicate("\n")
    assert len(set(ranges(found, 5))) == 15
