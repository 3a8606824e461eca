"""What an observer outside of all hosts sees of the runs of placed services, by one clock."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOOKS_EACH = 0.1
"""Seconds between two looks; more show that the observer itself did not get a processor."""


@dataclass
class Run:
    """One run of an instance.  Moments are seconds of CLOCK_BOOTTIME; `said_end`: its program ended in order; `gone`:
    when the last process of its tree was seen to have ended; `gone_after`: when it was seen last before that, which is
    long before only where the observer itself was starved; `alone`: no other tree of its slot was there when it began.
    """

    node: str
    instance: str
    epoch: int
    pid: int
    begin: float
    alone: bool
    said_end: float | None = None
    gone: float | None = None
    gone_after: float = 0.0


class Observer:
    """Listens at `path`.  A context manager."""

    def __init__(self, path: Path) -> None:
        self.path, self.runs = path, list[Run]()
        self._news = threading.Condition()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(path))
        self._door.listen(128)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ)
        self._open: dict[socket.socket, tuple[bytes, Run | None]] = {}
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._looked = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waker.close()
        self._thread.join()
        for sock in (self._door, self._wake, *self._open):
            sock.close()

    def wait(self, found: Callable[[list[Run]], object], seconds: float = 30.0) -> None:
        """Until something holds of the runs seen so far."""
        with self._news:
            assert self._news.wait_for(lambda: found(self.runs), seconds), f"not seen in {seconds} s: {self.runs[-4:]}"

    def next_run(self, instance: str, after: int = -1, seconds: float = 30.0) -> Run:
        """The first run of `instance` with an epoch above `after`."""
        self.wait(lambda runs: any(r.instance == instance and r.epoch > after for r in runs), seconds)
        return next(r for r in self.runs if r.instance == instance and r.epoch > after)

    def present(self, instance: str) -> Run:
        """The run of `instance` that has not ended."""
        self.wait(lambda runs: any(r.instance == instance and r.gone is None for r in runs))
        return next(r for r in reversed(self.runs) if r.instance == instance and r.gone is None)

    def ended(self, run: Run, seconds: float = 30.0) -> float:
        """When nothing of the run was left."""
        self.wait(lambda _: run.gone is not None, seconds)
        assert run.gone is not None
        return run.gone

    def violations(self) -> list[str]:
        """Two trees of one slot at a time, and epochs that do not grow."""
        found = [f"{run} began beside another" for run in self.runs if not run.alone]
        last: dict[str, Run] = {}
        for run in self.runs:
            before = last.get(run.instance)
            again = before is not None and (run.epoch, run.node) == (before.epoch, before.node)  # after a crash
            if before is not None and run.epoch <= before.epoch and not again:
                found.append(f"{run} has no greater epoch than {before}")
            last[run.instance] = run
        return found

    def _watch(self) -> None:
        while True:
            self._looked = time.clock_gettime(time.CLOCK_BOOTTIME)
            ready = [key.fileobj for key, _ in self._selector.select(LOOKS_EACH)]
            if self._wake in ready:
                return
            for sock in list(self._open):  # what ended before another run began is heard first
                self._hear(sock)
            if self._door in ready:
                sock, _ = self._door.accept()
                sock.setblocking(False)
                self._open[sock] = b"", None
                self._selector.register(sock, selectors.EVENT_READ)

    def _hear(self, sock: socket.socket) -> None:
        rest, run = self._open[sock]
        while True:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                with self._news:
                    if run is not None:
                        run.gone, run.gone_after = time.clock_gettime(time.CLOCK_BOOTTIME), self._looked
                    self._news.notify_all()
                self._selector.unregister(sock)
                del self._open[sock]
                sock.close()
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                run = self._said(json.loads(line), run)
        self._open[sock] = rest, run

    def _said(self, told: dict[str, object], run: Run | None) -> Run:
        with self._news:
            if run is None:
                run = Run(
                    str(told["node"]), str(told["instance"]), int(str(told["epoch"] or 0)), int(str(told["pid"])),
                    float(str(told["at"])), bool(told["alone"]),
                )  # fmt: skip
                self.runs.append(run)
            if told["what"] == "end":
                run.said_end = float(str(told["at"]))
            self._news.notify_all()
        return run
