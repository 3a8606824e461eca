"""Three network namespaces on one bridge, and what can be done to their links.  It needs root, ip and nsenter.

The bridge has a namespace of its own, so that nothing of the machine's network is touched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NODES = ("a", "b", "c")
MIDDLE = "m"
"""The namespace of the bridge: it reaches every host whose link is up, and no fault is made there."""
NETWORK = "10.77.77"


class Network:
    """`address[node]`; `enter(node)` begins a command that runs in a namespace, MIDDLE being that of the bridge.

    Several of them, each in a process of its own, do not see each other."""

    def __init__(self) -> None:
        self.address = {node: f"{NETWORK}.{n + 1}" for n, node in enumerate(NODES)}
        self._spaces = {node: f"chaos{os.getpid()}{node}" for node in NODES}
        self._middle = f"chaos{os.getpid()}{MIDDLE}"

    def __enter__(self) -> Network:
        try:
            _run("ip", "netns", "add", self._middle)
            _run("ip", "-n", self._middle, "link", "add", "bridge", "type", "bridge")
            _run("ip", "-n", self._middle, "address", "add", f"{NETWORK}.254/24", "dev", "bridge")
            _run("ip", "-n", self._middle, "link", "set", "bridge", "up")
            for node, space in self._spaces.items():
                _run("ip", "netns", "add", space)
                _run(
                    "ip", "-n", self._middle, "link", "add", f"to-{node}", "type", "veth",
                    "peer", "name", "eth0", "netns", space,
                )  # fmt: skip
                _run("ip", "-n", self._middle, "link", "set", f"to-{node}", "master", "bridge", "up")
                _run("ip", "-n", space, "address", "add", f"{self.address[node]}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    _run("ip", "-n", space, "link", "set", device, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for space in (*self._spaces.values(), self._middle):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def enter(self, node: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self._middle if node == MIDDLE else self._spaces[node]}"]

    @contextmanager
    def down(self, node: str) -> Iterator[None]:
        """The whole link of a host."""
        _run("ip", "-n", self._middle, "link", "set", f"to-{node}", "down")
        try:
            yield
        finally:
            _run("ip", "-n", self._middle, "link", "set", f"to-{node}", "up")

    @contextmanager
    def unheard(self, ways: Sequence[tuple[str, str]]) -> Iterator[None]:
        """What the first host of each pair sends to the second is lost."""
        for here, there in ways:
            _run("ip", "-n", self._spaces[here], "route", "add", "blackhole", f"{self.address[there]}/32")
        try:
            yield
        finally:
            for here, there in ways:
                _run("ip", "-n", self._spaces[here], "route", "del", "blackhole", f"{self.address[there]}/32")

    @contextmanager
    def slow(self, node: str) -> Iterator[None]:
        """What a host sends is late, and some of it is lost."""
        _run(
            "ip", "netns", "exec", self._spaces[node], "tc", "qdisc", "add", "dev", "eth0", "root", *SLOW[self.loses()]
        )
        try:
            yield
        finally:
            _run("ip", "netns", "exec", self._spaces[node], "tc", "qdisc", "del", "dev", "eth0", "root")

    def loses(self) -> bool:
        """Whether the kernel has netem; else a link is made so thin that packets wait and overflow."""
        command = ["tc", "-n", self._middle, "qdisc", "add", "dev", "lo", "root", *SLOW[True]]
        found = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if found:
            _run("tc", "-n", self._middle, "qdisc", "del", "dev", "lo", "root")
        return found


SLOW = {
    True: ("netem", "loss", "20%", "delay", "200ms", "100ms"),
    False: ("tbf", "rate", "16kbit", "burst", "1600", "latency", "1500ms"),
}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
