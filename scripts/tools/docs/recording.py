"""Records docs/img/recording.svg: a worker hangs, the dashboard shows it, `why` names the line, it is back.

Usage: scripts/recording [--cast FILE]      (FILE: what the terminal printed, as asciicast v2, for asciinema)

A real daemon and real commands run in a terminal of their own; each key is typed. What takes longer than a reader
waits is played faster, and the line below the terminal says so for as long as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fcntl import ioctl
from itertools import pairwise
from pathlib import Path

from scripts.tools.bench.ports import free_port
from scripts.tools.docs.animated_terminal import Frame, Screen, lines_of, svg

ROOT = Path(__file__).resolve().parents[3]
PICTURE = ROOT / "docs" / "img" / "recording.svg"
COLUMNS, ROWS = 96, 27
PATIENCE = 120.0
SETTLED = 0.03
"""Seconds of the picture without output, after which a frame is drawn."""
KEY = 0.05
DOWN = "\N{ESCAPE}[B"
LIMIT = 500_000
SERVICES = """\
[supervisor]
name = "shop"
runtime_dir = "{folder}/r"
state_dir = "{folder}/s"

[services.web]
command = "python web.py {port}"
ready = {{ http = "http://127.0.0.1:{port}/healthz" }}
heartbeat = {{ source = "http", http = "http://127.0.0.1:{port}/healthz", interval = "1s" }}

[services.worker]
command = "python worker.py 20"
depends_on = ["web"]
heartbeat = {{ source = "notify", interval = "250ms", min_timeout = "1s", max_timeout = "10s" }}
restart = {{ initial = "3s" }}
"""


class Terminal:
    """A shell in a pseudo terminal: types into it, and keeps what it prints with the time."""

    def __init__(self, folder: Path) -> None:
        self.screen = Screen(COLUMNS, ROWS)
        self.printed: list[tuple[float, str]] = []
        self.fast: list[tuple[float, float, float]] = []
        """Begin and end of what is played faster, and the seconds that it takes in the picture."""
        self.said: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
        }
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execvpe("bash", ["bash", "--norc", "--noprofile"], environment)
        self.began = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        decoder = _utf8()
        while True:
            try:
                text = decoder(os.read(self._descriptor, 65536))
            except OSError:  # the shell has ended
                return
            with self._changed:
                self.printed.append((time.monotonic() - self.began, text))
                self.screen.feed(text)
                self._changed.notify_all()

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    def type(self, text: str, enter: bool = True) -> None:
        keys = [text] if text == DOWN else [*text]
        for key in keys + (["\r"] if enter else []):
            time.sleep(KEY)
            os.write(self._descriptor, key.encode())

    def says(self, text: str) -> None:
        """What stands below the terminal from now on."""
        self.said.append((self.now, text))

    def wait(self, shown: Callable[[list[str]], bool], what: str) -> None:
        """Until the lines of the screen are so."""
        with self._changed:
            if not self._changed.wait_for(lambda: shown(self.screen.display), PATIENCE):
                raise SystemExit("\n".join([f"did not see {what}:", *self.screen.display]))

    @contextmanager
    def faster(self, seconds: float) -> Iterator[None]:
        """What happens meanwhile takes at most that long in the picture."""
        begin = self.now
        yield
        if self.now - begin > 1.1 * seconds:
            self.fast.append((begin, self.now, seconds))

    def close(self) -> None:
        os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)


def _utf8() -> Callable[[bytes], str]:
    from codecs import getincrementaldecoder

    return getincrementaldecoder("utf-8")("replace").decode


def row_of(lines: list[str], name: str) -> str:
    return next((line for line in lines if f" {name} " in line), "")


def prompt(lines: list[str]) -> bool:
    """The shell waits for the next command."""
    return [line for line in lines if line.strip()][-1:] == ["$".ljust(COLUMNS)]


def story(terminal: Terminal) -> None:
    """What is typed, and what is waited for."""
    terminal.wait(prompt, "the prompt")
    terminal.says("a web server and a worker are started")
    terminal.type("supervisor up -d")
    with terminal.faster(1.0):
        terminal.wait(lambda lines: any("2 of 2 ready" in line for line in lines) and prompt(lines), "ready")
    time.sleep(0.7)
    terminal.type("supervisor top")
    with terminal.faster(0.7):
        terminal.wait(lambda lines: "running" in row_of(lines, "worker"), "the dashboard")
    terminal.type(DOWN, enter=False)
    terminal.says("both run, and the worker sends a heartbeat every 250 ms")
    with terminal.faster(2.5):
        terminal.wait(lambda lines: "running" not in row_of(lines, "worker"), "the hang")
    terminal.says("its process is alive, but no heartbeat comes: the worker hangs")
    time.sleep(1.2)
    with terminal.faster(0.8):
        terminal.wait(lambda lines: "hangs at" in row_of(lines, "worker"), "the line that hangs")
    terminal.says("its stack was read, then it was ended")
    time.sleep(1.8)
    with terminal.faster(0.8):
        terminal.wait(lambda lines: "running" in row_of(lines, "worker"), "the worker is back")
    terminal.says("the worker is back")
    time.sleep(1.8)
    terminal.type("q", enter=False)
    with terminal.faster(0.5):
        terminal.wait(prompt, "the prompt after the dashboard")
    terminal.type("supervisor why worker")
    with terminal.faster(0.5):
        terminal.wait(lambda lines: any("hangs at" in line for line in lines) and prompt(lines), "why")
    terminal.says("which line hung, what was seen, and what was done")
    time.sleep(5.0)


def frames_of(terminal: Terminal, end: float) -> tuple[list[Frame], float]:
    """The frames of the picture until `end`, and how long it is."""
    screen = Screen(COLUMNS, ROWS)
    frames: list[Frame] = []
    turns = [turn for begin, end, _ in terminal.fast for turn in (begin, end)]
    silent = [(moment, "") for moment in (*turns, *(moment for moment, _ in terminal.said))]
    for (moment, text), (following, _) in pairwise([*sorted([*terminal.printed, *silent]), (end, "")]):
        screen.feed(text)
        at, speed = _in_picture(terminal, moment)
        if text and _in_picture(terminal, following)[0] - at < SETTLED:
            continue  # the program has not finished what it prints
        caption = next((said for begin, said in reversed(terminal.said) if begin <= moment), "")
        frame = Frame(at, lines_of(screen), caption, speed)
        if not frames or replace(frame, at=frames[-1].at) != frames[-1]:
            frames.append(frame)
    return frames, _in_picture(terminal, end)[0]


def _in_picture(terminal: Terminal, moment: float) -> tuple[float, float]:
    """When a moment is seen, and how many times as fast as it was."""
    at = moment
    for begin, end, seconds in terminal.fast:
        if begin <= moment < end:
            speed = (end - begin) / seconds
            return at - (moment - begin) * (1 - 1 / speed), speed
        if moment >= end:
            at -= (end - begin) - seconds
    return at, 1.0


def write_cast(terminal: Terminal, path: Path) -> None:
    head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "supervisor"}
    lines = [json.dumps(head), *(json.dumps([round(at, 3), "o", text]) for at, text in terminal.printed)]
    path.write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/recording")
    parser.add_argument("--cast", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shop-") as place:
        folder = Path(place)
        shutil.copyfile(ROOT / "examples/web.py", folder / "web.py")
        shutil.copyfile(ROOT / "examples/moody.py", folder / "worker.py")
        (folder / "services.toml").write_text(SERVICES.format(folder=folder, port=free_port()))
        terminal = Terminal(folder)
        try:
            story(terminal)
            frames, seconds = frames_of(terminal, terminal.now)
        finally:
            terminal.close()
            subprocess.run(
                [sys.executable, "-m", "supervisor", "down"], cwd=folder, stdout=subprocess.DEVNULL, check=False
            )
    still = len(frames) - 1
    text = svg(frames, COLUMNS, ROWS, seconds, still, "A worker hangs; supervisor why names the line; it runs again")
    if len(text.encode()) > LIMIT:
        raise SystemExit(f"the picture would have {len(text.encode())} bytes; at most {LIMIT} are wanted")
    PICTURE.write_text(text)
    if wanted.cast:
        write_cast(terminal, wanted.cast)
    print(f"{PICTURE.relative_to(ROOT)}: {seconds:.1f} s, {len(frames)} frames, {len(text.encode())} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
