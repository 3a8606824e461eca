"""docs/tutorial.md by the real command: its files are written, its commands run, and what they print is compared.

A command that follows (`-f`) is read until it has printed what the page shows, and is then interrupted as by
Ctrl-C.  Every other command ends by itself.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import PATIENCE, ROOT

PAGE = ROOT / "docs/tutorial.md"
BLOCK = re.compile(r"(?:^(Write|Append to) `([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)
VARIES = re.compile(r"(?<![\w.:])\d[\d.:]*(?: ?(?:ms|s|min|m|h|%|M))?(?!\w)|–|…")
"""What differs from run to run: numbers with their units, but not the lines of files; and what the page leaves out."""


def pattern(line: str) -> re.Pattern[str]:
    """What an output line has to match to be this line of the page."""
    words = []
    for word in VARIES.sub("\0", line).split():
        words.append(re.escape(word).replace("\0", ".+?"))
    return re.compile(r"^\s*" + r"\s+".join(words) + r"\s*$")


class Tutorial:
    """A reader of the page: has a folder, a port, and the `supervisor` of this interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUPERVISOR_", "COVERAGE", "NO_COLOR"))}
        self.environment = kept | {"PATH": path}
        self.pid = ""

    def write(self, name: str, text: str, append: bool) -> None:
        """Write a file of the page; the directories of the daemon are added at the end, where they change no line."""
        file = self.folder / name
        own = f'\n[supervisor]\nruntime_dir = "{self.folder}/r"\nstate_dir = "{self.folder}/s"\n'
        if append:
            text = f"{file.read_text().removesuffix(own)}\n{text}"
        file.write_text(text + own if name == "services.toml" else text)

    def type(self, line: str, shown: list[str]) -> str:
        """Run one command as it is typed.  Returns what it printed."""
        command, _, comment = line.partition(" #")
        command = re.sub(r"^kill -9 \d+$", f"kill -9 {self.pid}", command.strip())
        if " -f" in command:
            return self._follow(command, shown)
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        expected = re.search(r"exit code (\d+)", comment)
        assert done.returncode == (int(expected[1]) if expected else 0), f"{command}: {done.stdout}"
        found = re.search(r"^web +running +yes +(\d+)", done.stdout, re.M)
        self.pid = found[1] if found else self.pid
        return done.stdout

    def _follow(self, command: str, shown: list[str]) -> str:
        """Read a command that does not end until it has printed all of `shown`, then send SIGINT."""
        process = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        too_late = threading.Timer(PATIENCE, process.kill)
        too_late.start()
        printed = ""
        for text in process.stdout:
            printed += text
            if not missing(shown, printed):
                process.send_signal(signal.SIGINT)
                break
        process.stdout.close()
        process.wait(PATIENCE)
        too_late.cancel()
        return printed


def missing(shown: list[str], printed: str) -> str | None:
    """The first line of the page that was not printed after the lines before it; None: all were."""
    lines = iter(printed.splitlines())
    for line in shown:
        wanted = pattern(line)
        if not any(wanted.match(text) for text in lines):
            return line
    return None


@pytest.fixture
def tutorial(tmp_path: Path) -> Iterator[Tutorial]:
    reader = Tutorial(tmp_path)
    yield reader
    if (tmp_path / "r/control.sock").exists():  # also after `down`, which has nothing to do then
        subprocess.run(["supervisor", "down"], cwd=tmp_path, env=reader.environment, timeout=PATIENCE, check=False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial needs curl")
def test_every_command_of_the_tutorial_does_what_the_page_says(tutorial: Tutorial) -> None:
    page = PAGE.read_text().replace("8000", tutorial.port)
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("\n```") // 2
    commands = 0
    for index, (verb, name, language, text) in enumerate(blocks):
        if name:
            tutorial.write(name, text, verb == "Append to")
        elif language == "sh":
            following = blocks[index + 1]
            assert following[2] == "text", "the page shows what its commands print"
            shown = [line for line in following[3].splitlines() if line.strip() not in ("", "…")]
            printed = ""
            for line in text.splitlines():
                printed += tutorial.type(line, shown)
                commands += 1
            assert not missing(shown, printed), f"not printed: {missing(shown, printed)}\nprinted:\n{printed}"
    assert commands == sum(len(text.splitlines()) for _, _, language, text in blocks if language == "sh") > 10
