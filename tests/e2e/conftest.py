"""The real command against real processes.  Tests wait for events in the daemon's own log, never for time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.documented import CheckedClient
from tests.doubles.standstill import standstill

PATIENCE = 120.0
"""Seconds that a test waits for an event which must come: a machine may stand still for longer than half a minute."""
ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


class Daemon:
    """`supervisor run` on a services.toml, and what it said so far."""

    def __init__(self, directory: Path, toml: str, *, state_dir: Path | None = None) -> None:
        self.directory = directory
        self.file = directory / "services.toml"
        self.runtime_dir = directory / "r"
        self.state_dir = state_dir or directory / "s"
        self.lines: list[Any] = []
        self._news = threading.Condition()
        self._seen = 0
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.write(toml)

    def write(self, toml: str) -> None:
        """(Re)write the configuration, with the test's own directories in it."""
        place = f'[supervisor]\nname = "test"\nruntime_dir = "{self.runtime_dir}"\nstate_dir = "{self.state_dir}"\n'
        self.file.write_text(place + toml)

    def start(self, *options: str, wait: bool = True, prefix: Sequence[str] = ()) -> Daemon:
        """`supervisor run` with these further options; returns once it has recovered."""
        run = [sys.executable, "-m", "supervisor", "run", "-f", str(self.file), "--log-format", "json"]
        self.process = subprocess.Popen(
            [*prefix, *run, *options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begin = len(self.lines)  # nothing of what it says is read yet
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self._seen = begin
            self.said(lambda line: "trees by" in str(line))
            self._seen = begin  # what it took up was told before that
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for text in process.stderr:
            try:
                line = json.loads(text)
            except ValueError:
                line = text.rstrip()
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    def said(self, condition: Callable[[Any], bool]) -> Any:
        """The next line for which `condition` holds, after the one that was waited for last."""
        with self._news:
            while True:
                while self._seen < len(self.lines):
                    line = self.lines[self._seen]
                    self._seen += 1
                    if condition(line):
                        return line
                assert self._news.wait(PATIENCE), f"it never said that; it said {self.lines[-12:]}\n{self.standstill()}"

    def standstill(self) -> str:
        """What it waits for, or how it has ended."""
        assert self.process is not None
        code = self.process.poll()
        return standstill(self.process.pid) if code is None else f"it has ended: {code}"

    def from_now(self) -> None:
        """Leave out what it said so far."""
        with self._news:
            self._seen = len(self.lines)

    def event(self, instance: str, to: str, cause: str | None = None) -> dict[str, Any]:
        """Wait for a transition of `instance` to the state `to`."""

        def matches(line: Any) -> bool:
            return (
                isinstance(line, dict)
                and line.get("instance") == instance
                and line.get("to") == to
                and (line["from"] != to or cause is not None)
                and cause in (None, line.get("cause"))
            )

        found: dict[str, Any] = self.said(matches)
        return found

    def transitions(self, *wanted: tuple[str, str]) -> None:
        """Wait until each of these (instance, state) was entered, in whatever order."""
        left = set(wanted)

        def last_one(line: Any) -> bool:
            if isinstance(line, dict) and line.get("from") != line.get("to"):
                left.discard((line.get("instance"), line.get("to")))
            return not left

        self.said(last_one)

    def problem(self, text: str) -> Any:
        return self.said(lambda line: isinstance(line, dict) and text in line.get("message", ""))

    @property
    def client(self) -> CheckedClient:
        return CheckedClient(str(self.runtime_dir / "control.sock"))

    def status(self, name: str) -> dict[str, Any]:
        rows = self.client.get("/v1/status")["instances"]
        row: dict[str, Any] = next(r for r in rows if r["name"] == name)
        return row

    def cli(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`supervisor -f FILE ARGUMENTS`, run to its end."""
        command = [sys.executable, "-m", "supervisor", "-f", str(self.file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **options)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code; `lines` holds the last ones too, where nothing that it left behind holds its stderr."""
        assert self.process is not None and self._reader is not None
        code = self.process.wait(PATIENCE)
        if code != -signal.SIGKILL:
            self._reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """SIGTERM, and SIGTERM again when it takes too long; no process of the test may remain."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                return self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
        elif self.process.returncode == -signal.SIGKILL:
            self.cli("down")  # ends what it left
        return self.wait()


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """`daemon(toml)` starts one in a directory of its own."""
    made: list[Daemon] = []

    def make(toml: str, *, start: bool = True, **options: Any) -> Daemon:
        directory = tmp_path_factory.mktemp("d")
        made.append(Daemon(directory, toml, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for one in made:
        one.stop()


def alive(pid: int) -> bool:
    """There is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_gone(pid: int) -> None:
    """Until `pid`, which ran a moment ago, has ended."""
    import select

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], PATIENCE)[0], f"{pid} is still there"
    finally:
        os.close(fd)
