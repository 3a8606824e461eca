"""A double of a service manager: a notify socket, a descriptor store, and a restart of the daemon."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 60.0

_LAUNCH = """
import os, sys
fds = [os.dup(fd) for fd in map(int, sys.argv[1].split(",")) if fd >= 0]
high = [__import__("fcntl").fcntl(fd, 0, 500) for fd in fds]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number)
os.closerange(3 + len(high), 1000)
if fds:
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": sys.argv[2]}
os.execv(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """Starts `supervisor run` on `file` as often as it is told to, and writes down what it says."""

    def __init__(self, place: Path, file: Path, watchdog: float | None = None) -> None:
        self.file = file
        self.messages: list[str] = []
        self.store: list[tuple[str, int]] = []
        self.said = place / "said"
        self.process: subprocess.Popen[bytes] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place / "up"))
        self._environment = os.environ | {"NOTIFY_SOCKET": str(place / "up")}
        if watchdog is not None:
            self._environment["WATCHDOG_USEC"] = str(round(watchdog * 1e6))

    def start(self) -> None:
        """With everything that is in the store."""
        fds, names = [fd for _, fd in self.store] or [-1], ":".join(name for name, _ in self.store)
        command = [sys.executable, "-m", "supervisor", "run", "-f", str(self.file)]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, ",".join(map(str, fds)), names, *command],
                stdin=subprocess.DEVNULL,
                stderr=said,
                env=self._environment,
                pass_fds=[fd for fd in fds if fd >= 0],
                start_new_session=True,
            )

    def hear(self, condition: Callable[[str], object]) -> str:
        """The next message for which `condition` holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                text, fds, _, _ = socket.recv_fds(self._socket, 4096, 8)
            except TimeoutError:
                raise AssertionError(f"not heard; heard {self.messages[-20:]}\n{self.said.read_text()}") from None
            message = text.decode()
            self.messages.append(message)
            self._take(dict(line.split("=", 1) for line in message.split("\n")), fds)
            if condition(message):
                return message

    def _take(self, said: dict[str, str], fds: list[int]) -> None:
        if "FDSTOREREMOVE" in said:
            for name, fd in [entry for entry in self.store if entry[0] == said["FDNAME"]]:
                self.store.remove((name, fd))
                os.close(fd)
        for fd in fds:
            self.store.append((said["FDNAME"], fd))

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not select.select([self._socket], [], [], seconds)[0]

    def hush(self) -> None:
        """Take what has come so far."""
        while not self.silent(0):
            self.hear(lambda _: True)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGTERM)
            self.wait()
        self._socket.close()
        for _, fd in self.store:
            os.close(fd)
