"""What ZooKeeper says of the slots, seen from outside of all hosts: which epoch each owner's node bears, and when it
went away.

A tree whose owner's node is gone runs without a lease: so this is the judge of leases, whatever the hosts say of them.
It runs as a process of its own in the namespace of the bridge: `cluster_slots HOSTS INSTANCE...`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

SESSION = 4.0
RETRY = {"max_tries": -1, "delay": 0.1, "max_delay": 0.5, "backoff": 2}


class Slots:
    """`owner[instance]`: the epoch of the owner's node, None while there is none.  A context manager.

    A node is seen to go a moment after it went: later by up to a second where the server that was asked died too."""

    def __init__(self, command: Sequence[str], hosts: str, instances: Sequence[str]) -> None:
        """`command`: begins a command in the namespace."""
        self._command = [*command, sys.executable, "-m", "scripts.tools.chaos.cluster_slots", hosts, *instances]
        self.owner: dict[str, int | None] = {}
        self._gone: dict[tuple[str, int], float] = {}
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Slots:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._thread.join()

    def gone(self, instance: str, epoch: int) -> float | None:
        """When the node of this owner went away, in seconds of CLOCK_BOOTTIME; None: it has not been seen to go."""
        return self._gone.get((instance, epoch))

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.heard(told["instance"], told["epoch"], told["at"])

    def heard(self, instance: str, epoch: int | None, at: float) -> None:
        """A slot has this owner now, or none."""
        before = self.owner.get(instance)
        if before is not None and before != epoch:
            self._gone[instance, before] = at
        self.owner[instance] = epoch


def node(instance: str) -> str:
    """The owner's node of a slot, by the name of its instance."""
    service, _, number = instance.partition("@")
    return f"/slots/{service}@{int(number or 1) - 1}/owner"


def watch(hosts: str, instances: Sequence[str]) -> None:
    """Tell each change on stdout, for ever."""
    from kazoo.client import KazooClient

    client = KazooClient(hosts, timeout=SESSION, connection_retry=RETRY, command_retry=RETRY)
    client.start(timeout=3600)
    for instance in instances:
        client.DataWatch(node(instance), partial(_tell, instance))
    signal.pause()


def _tell(instance: str, _: bytes | None, stat: Any, __: object = None) -> None:
    epoch = stat.czxid if stat is not None else None
    told = {"instance": instance, "epoch": epoch, "at": time.clock_gettime(time.CLOCK_BOOTTIME)}
    os.write(1, json.dumps(told).encode() + b"\n")  # at once: each node is told by a thread of its own


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2:])
