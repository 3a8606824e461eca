"""The interface of a measured supervisor; each peer implements it with its own configuration and commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from scripts.tools.bench import subreaper
from scripts.tools.bench.install import Tools

ROTATE_AT_BYTES = 50 * 1024 * 1024
ROTATED_FILES = 20


class Beats(Enum):
    """Whether, and how, the victims' heartbeats are monitored."""

    NONE = "none"
    TIMEOUT = "timeout"
    PHI = "phi"


@dataclass(frozen=True, slots=True)
class Service:
    id: int
    argv: tuple[str, ...]
    capture: bool = False
    beats: Beats = Beats.NONE
    stamped: bool = False
    """Each captured line gets the time of its arrival."""
    checked_at: int = 0
    """The port that is probed over HTTP ten times a second; 0: none."""
    extra: str = ""
    """Further keys, for this supervisor alone."""

    @property
    def name(self) -> str:
        return f"v{self.id:04d}"

    @property
    def line(self) -> str:
        """The command for a shell or a configuration file; no argument of a victim needs quoting."""
        return " ".join(self.argv)


def write_script(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)


class Peer:
    """One supervisor. Call `configure` first, then `launch`, then the rest."""

    name = ""
    skips: frozenset[str] = frozenset()  # keys of rows that this system cannot be measured for
    is_build = False  # an earlier commit of this repository
    is_floor = False  # not a supervisor, but the least that any of them must cost
    watches_beats = False
    stamps_lines = False
    checks_http = False
    ends_politely = False  # must be ended by SIGTERM first, to remove what it made outside its folders
    settle_s = 0.0  # seconds added to the pause before an idle system is measured
    soft_files: int | None = None  # the soft limit of descriptors to launch under

    def __init__(self) -> None:
        self.tools = self.install()
        self.home = self.kept = Path()
        self.services: Sequence[Service] = ()

    def install(self) -> Tools:
        """Fetch the system's programs if they are missing. Raises install.Absent."""
        raise NotImplementedError

    def version(self) -> str:
        raise NotImplementedError

    def configure(self, home: Path, kept: Path, services: Sequence[Service]) -> None:
        """Both folders are empty.  `home` is in memory, as /run is: for sockets, FIFOs and pid files.  `kept` is on a
        disk: for logs and state."""
        self.home, self.kept, self.services = home, kept, services
        self.write()

    def write(self) -> None:
        """Write the configuration for `services` into `home`."""
        raise NotImplementedError

    def daemon(self) -> list[str]:
        """The command that starts the system with all services."""
        raise NotImplementedError

    def stop_all(self) -> list[str] | None:
        """The command that stops all services and returns when they are stopped; None if there is none."""
        return None

    def status(self) -> list[str] | None:
        """The command that shows all services; None if there is none."""
        return None

    def logs(self) -> list[Path]:
        """All files that hold the output of the first service."""
        return [path for path in (self.kept / "log").rglob("*") if path.is_file()]

    def processes(self) -> list[int]:
        """All processes that the system needs: every descendant of the bench that is not a victim."""
        return subreaper.supervisors(Path(self.services[0].argv[0]))

    def clean(self) -> None:
        """Undo what `write` changed outside its folders."""

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}

    def launch(self) -> subprocess.Popen[bytes]:
        command = self.daemon()
        if self.soft_files is not None:
            command = ["/bin/sh", "-c", f'ulimit -Sn {self.soft_files}; exec "$@"', "sh", *command]
        with open(self.home / "daemon.out", "wb") as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.home,
                env=self.environment(),
                start_new_session=True,
            )

    def command(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.home,
            env=self.environment(),
            start_new_session=True,
        )

    def said(self) -> str:
        """The last line of the daemon's output, which is the reason if it does not work."""
        path = self.home / "daemon.out"
        lines = path.read_text(errors="replace").split("\n") if path.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def output_of(self, *argv: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
        return (done.stdout or done.stderr).strip()
