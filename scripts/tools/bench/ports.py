"""Ports for programs that listen: no two processes of this machine that ask here get the same.

A port that was free a moment ago may be taken by the time a program binds it, and a probe of readiness is answered by
whatever listens there.  So a process keeps a name for each block of ports that it was given until it ends; the kernel
has these names (abstract Unix sockets) in the same network namespace as the ports, and drops them with the process.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, closing

FIRST, LAST = 20_000, 32_000
"""Below the ports that Linux gives to connections (32,768 and above)."""
BLOCK = 8
"""How many ports have one name."""

_kept: list[ExitStack] = []


def free_ports(count: int) -> int:
    """The first of so many ports in a row on which nothing listens, and that are given to no one else while this
    process runs.  RuntimeError where there are none."""
    blocks, size = (LAST - FIRST) // BLOCK, -(-count // BLOCK)
    begin = os.getpid() * 7 % blocks  # what another process has just left may still be bound
    for block in (*range(begin, blocks - size), *range(min(begin, blocks - size))):
        first: int = FIRST + block * BLOCK
        with ExitStack() as names:
            try:
                for number in range(block, block + size):
                    name = names.enter_context(closing(socket.socket(socket.AF_UNIX)))
                    name.bind(f"\0supervisor-ports-{FIRST + number * BLOCK}")
                with ExitStack() as probes:
                    for port in range(first, first + count):
                        probes.enter_context(closing(socket.socket())).bind(("127.0.0.1", port))
            except OSError:
                continue
            _kept.append(names.pop_all())
            return first
    raise RuntimeError("no free ports")


def free_port() -> int:
    """The same for one port."""
    return free_ports(1)
