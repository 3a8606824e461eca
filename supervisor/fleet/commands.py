"""`fleet run`: one command on many hosts, with its output line by line."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet.host import Host
from supervisor.fleet.parallel import Outcome, Work, on_all

LONGEST_LINE = 65536
MOST_KEPT = 1024 * 1024
"""Bytes of each stream of a host that --json prints; the end of longer output is kept."""


class Output:
    """Prints whole lines, each after its host; with --json it keeps them."""

    def __init__(self, names: Sequence[str], *, as_json: bool) -> None:
        self._width = max(map(len, names))
        self._json = as_json
        self._lock = threading.Lock()
        self._begun: dict[tuple[str, str], bytearray] = {}

    def take(self, host: str, stream: str, data: bytes) -> None:
        """A piece of output."""
        with self._lock:
            held = self._begun.setdefault((host, stream), bytearray())
            held += data
            if self._json:
                del held[:-MOST_KEPT]
                return
            *lines, rest = held.split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], bytearray()
            self._begun[host, stream] = bytearray(rest)
            for line in lines:
                self._print(host, stream, bytes(line))

    def end(self, host: str) -> None:
        """Print what has no end of line."""
        with self._lock:
            for (name, stream), held in self._begun.items():
                if name == host and held and not self._json:
                    self._print(host, stream, bytes(held))
                    held.clear()

    def _print(self, host: str, stream: str, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        to = sys.stdout if stream == "stdout" else sys.stderr
        to.write(f"{host:<{self._width}}  {text}\n")
        to.flush()

    def document(self, hosts: Sequence[FleetHost], outcomes: Mapping[str, Outcome[int]]) -> dict[str, Any]:
        """The exit codes and all output."""
        return {"command": "run", "hosts": [self._row(host, outcomes[host.name]) for host in hosts]}

    def _row(self, host: FleetHost, outcome: Outcome[int]) -> dict[str, Any]:
        kept = {
            stream: self._begun.get((host.name, stream), bytearray()).decode(errors="replace")
            for stream in ("stdout", "stderr")
        }
        problem = outcome.problem
        error = None
        if problem is not None:
            error = {
                "kind": str(problem.kind),
                "step": outcome.step,
                "message": problem.message,
                "hint": problem.hint,
            }
        return {"name": host.name, "address": host.address, "exit_code": outcome.value, **kept, "error": error}


def run_everywhere(
    hosts: Sequence[FleetHost], directory: str, words: tuple[str, ...], within: float, output: Output
) -> dict[str, Outcome[int]]:
    """The exit code on each host."""

    def work(one: Work) -> int:
        with Host(one, directory) as host:
            return host.run(words, within, lambda stream, data: output.take(one.host.name, stream, data))

    return on_all(hosts, work, lambda _host, _step: None, lambda host, _outcome: output.end(host.name))


def summary(hosts: Sequence[FleetHost], outcomes: Mapping[str, Outcome[int]]) -> Iterator[str]:
    """The exit codes, and what to do where there is none."""
    codes: dict[int, list[str]] = {}
    for host in hosts:
        outcome = outcomes[host.name]
        if outcome.problem is not None:
            yield f"{host.name}: {outcome.step}: {outcome.problem.message}"
            if outcome.problem.hint:
                yield f"  {outcome.problem.hint}"
        else:
            assert outcome.value is not None
            codes.setdefault(outcome.value, []).append(host.name)
    for code, names in sorted(codes.items()):
        yield f"exit code {code} on {len(names)} of {len(hosts)}: {', '.join(names)}"
