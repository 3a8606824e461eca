"""Runs one program several times, each time for one question, and returns the answers as a table for the book."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.tools.bench.ports import free_port
from scripts.tools.programs.manager import Managed, as_user, descendants, managed
from supervisor.adapters.linux.procfs import children

UP, END, RELOADED, SETTLED = 120.0, 15.0, 6.0, 2.0
"""Seconds: until it is up; until a signal that ends it has ended it; in which a reload ends it, if it
does; in which the rest is said."""
STOPS = ("TERM", "INT", "QUIT")

Recipe = Mapping[str, Any]


class NotUp(Exception):
    """It does not come up here."""


def measure(recipe: Recipe, path: str) -> dict[str, Any]:
    """What is seen of the program, by the keys of docs/programs.md; what the recipe does not allow to ask is left out.

    `path`: the PATH.  NotUp: it does not come up.
    """
    with place_for(recipe, path) as run:
        seen: dict[str, Any] = {"start": run.start()}
        seen["stop"] = {name: run.signalled(name) for name in STOPS}
        seen["hangup"] = run.signalled("HUP", ends=False)
        if "children" in recipe:
            seen["child_ended"] = run.child_ended()
        if "reload" in recipe:
            seen["reload"] = run.reloaded()
        if "broken" in recipe:
            seen["broken_start"] = run.broken_start()
            if "reload" in recipe:
                seen["broken_reload"] = run.reloaded(broken=True)
        if "background" in recipe:
            seen["background"] = run.background()
        if "$port" in str(recipe):
            seen["sockets"] = run.sockets()
        return seen


class Run:
    def __init__(self, recipe: Recipe, place: Path, path: str) -> None:
        self.recipe, self.place = recipe, place
        self.words = {"dir": str(place), "port": str(free_port()), "port2": str(free_port())}
        self.environment = {"PATH": path, "HOME": str(place), "LANG": "C.UTF-8", **recipe.get("environment", {})}
        self.patience: float = recipe.get("patience", END)
        self.user = pwd.getpwnam(recipe["user"]) if "user" in recipe and os.getuid() == 0 else None
        self.renew()
        if "setup" in recipe:
            done = subprocess.run(
                ["sh", "-c", self.filled(recipe["setup"])], cwd=place, env=self.environment, **as_user(self.user),
                capture_output=True, timeout=120, check=False,
            )  # fmt: skip
            if done.returncode:
                raise NotUp(f"setup: {done.stderr.decode(errors='replace')[-300:]}")

    def filled(self, text: str) -> str:
        for name, value in sorted(self.words.items(), reverse=True):
            text = text.replace(f"${name}", value)
        return text

    def renew(self) -> None:
        """The files as the recipe has them."""
        for name, text in self.recipe.get("files", {}).items():
            self._put(name, self.filled(text))

    def spoil(self) -> None:
        for name, text in self.recipe["broken"].items():
            self._put(name, text)

    def _put(self, name: str, text: str) -> None:
        """Replace it at once, so that a program which looks by itself finds the one or the other."""
        new = self.place / f"{name}.new"
        new.write_text(text)
        if self.user is not None:
            os.chown(new, self.user.pw_uid, self.user.pw_gid)
        new.rename(self.place / name)

    @contextmanager
    def up(self, listening: socket.socket | None = None) -> Iterator[Managed]:
        command = [self.filled(word) for word in self.recipe["command"]]
        with managed(command, self.place, self.environment, self.user, listening) as one:
            if not one.listen(UP, lambda: one.over() or self._is_up(one)) or one.over():
                raise NotUp((self.place / "output").read_text(errors="replace")[-400:])
            one.listen(SETTLED)
            yield one

    def _is_up(self, one: Managed) -> bool:
        kind, _, rest = self.recipe["up"].partition(":")
        if kind == "notify":
            return one.ready()
        if kind == "output":
            return self.filled(rest) in (self.place / "output").read_text(errors="replace")
        if kind == "path":
            return Path(self.filled(rest)).exists()
        with socket.socket() as asks:
            asks.settimeout(1.0)
            return asks.connect_ex(("127.0.0.1", int(self.words["port"]))) == 0

    def start(self) -> list[str]:
        with self.up() as one:
            return _said(one.heard, one)

    def signalled(self, name: str, *, ends: bool = True) -> str:
        """What follows a signal: `exit 0`, `SIGTERM`, with what was left behind; or `goes on`."""
        with self.up() as one:
            one.heard.clear()
            one.send(name)
            if not one.listen(self.patience if ends else RELOADED, one.over):
                return "; ".join(["goes on", *_said(one.heard, one)])
            one.listen(0.5)
            left = len(descendants())
            said = _said(one.heard, one)
            return "; ".join([one.end(), *said, *([f"{left} left"] if left else [])])

    def child_ended(self) -> str:
        """What the main process does when its first child is sent TERM."""
        with self.up() as one:
            one.heard.clear()
            os.kill(children(one.process.pid)[0], signal.SIGTERM)
            ended = one.listen(RELOADED, one.over)
            return "; ".join([one.end() if ended else "goes on", *_said(one.heard, one)])

    def reloaded(self, *, broken: bool = False) -> str:
        """What follows the signal for a reload, after the files were written anew: some look at their times."""
        with self.up() as one:
            if broken:
                self.spoil()
            else:
                self.renew()
            one.heard.clear()
            one.send(self.recipe["reload"])
            ended = one.listen(RELOADED, one.over)
            self.renew()
            return "; ".join([one.end() if ended else "goes on", *_said(one.heard, one)])

    def broken_start(self) -> str:
        self.spoil()
        command = [self.filled(word) for word in self.recipe["command"]]
        with managed(command, self.place, self.environment, self.user) as one:
            ended = one.listen(self.patience, one.over)
            self.renew()
            return "; ".join([one.end() if ended else "goes on", *_said(one.heard, one)])

    def background(self) -> str:
        """What the command without its option for the foreground does."""
        command = [self.filled(word) for word in self.recipe["background"]]
        with managed(command, self.place, self.environment, self.user) as one:
            ended = one.listen(END, one.over)
            one.listen(SETTLED)
            left = len(descendants())
            return f"{one.end()}, {left} left" if ended else "stays"

    def sockets(self) -> bool:
        """Whether a socket that is passed as LISTEN_FDS is accepted from; its own may be left out then."""
        command = [self.filled(word) for word in self.recipe["command"]]
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = listening.getsockname()
            with managed(command, self.place, self.environment, self.user, listening) as one:
                with socket.create_connection(address, timeout=5):
                    one.listen(UP, lambda: one.over() or self._is_up(one) or not _waiting(address[1]))
                    one.listen(SETTLED)
                    return not one.over() and not _waiting(address[1])


@contextmanager
def place_for(recipe: Recipe, path: str) -> Iterator[Run]:
    """The program's temporary folder, with its files."""
    place = Path(tempfile.mkdtemp(prefix="programs-"))
    place.chmod(0o1777)  # also for a program that becomes another user; sticky, as the supervisor asks of a folder
    try:
        yield Run(recipe, place, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _said(heard: Sequence[tuple[bool, str]], one: Managed) -> list[str]:
    """The datagrams: names, with the values that say something; a child's are marked; repetitions are left out.

    So is WATCHDOG=1 after the first one, because it depends on the speed of the host where the next ones stand."""
    told: list[str] = []
    for main, text in heard:
        words = [_word(line) for line in text.split("\n") if line]
        line = " ".join(words) if main else f"child: {' '.join(words)}"
        if line and (not told or told[-1] != line) and (line != "WATCHDOG=1" or line not in told):
            told.append(line)
    return told


def _word(line: str) -> str:
    name, _, _ = line.partition("=")
    return line if name in ("READY", "RELOADING", "STOPPING", "WATCHDOG") else name


def _waiting(port: int) -> int:
    """How many connections wait to be accepted at a listening port of 127.0.0.1."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[1] == f"0100007F:{port:04X}":
            return int(words[4].partition(":")[2], 16)
    return 0
