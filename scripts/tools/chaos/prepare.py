"""Prepares programs of the catalog: for each that is installed a folder, free ports, its files, its services.toml."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from scripts.tools.bench.ports import free_ports
from scripts.tools.chaos.catalog import Program, find

ROOT = Path(__file__).resolve().parents[3]
SETUP_SECONDS = 120.0


@dataclass(frozen=True)
class Prepared:
    """A program that can be started: its entry, its port, and its table of services.toml."""

    program: Program
    port: int
    toml: str

    def hang(self, way: str, main: Callable[[int], bool]) -> bool:
        """Make it hang, by a signal that `main` sends to its main process, or by a request; False if it is gone."""
        how = self.program.hangs[way]
        if isinstance(how, int):
            return main(how)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10.0) as client:
                client.sendall(how)
                client.settimeout(1.0)
                client.recv(1)  # it has read the request, unless it has answered or hung up
                return False
        except TimeoutError:
            return True
        except OSError:
            return False


def prepare(place: Path, programs: Sequence[Program], say: Callable[[str], None]) -> list[Prepared]:
    """All that are installed; the others are named."""
    missing = [p for p in programs if not all(find(name) for name in (p.needs or "python3", *p.also))]
    if missing:
        say(f"left out, because not installed: {', '.join(p.name for p in missing)}")
    there = [p for p in programs if p not in missing]
    first = free_ports(2 * len(there))
    ports = {program.name: (first + 2 * n, first + 2 * n + 1) for n, program in enumerate(there)}
    place.chmod(0o711)  # some run as users of their own
    out = []
    for program in there:
        words = {
            "exe": find(program.needs or "python3") or "",
            "dir": str(place / program.name),
            "python": sys.executable,
            "root": str(ROOT),
            "port": str(ports[program.name][0]),
            "port2": str(ports[program.name][1]),
            "redis_port": str(ports.get("redis", (0, 0))[0]),
        }
        if _set_up(program, words, say):
            out.append(Prepared(program, ports[program.name][0], _table(program, words)))
    return out


def _set_up(program: Program, words: dict[str, str], say: Callable[[str], None]) -> bool:
    folder = Path(words["dir"])
    folder.mkdir()
    for name, text in program.files.items():
        (folder / name).write_text(Template(text).substitute(words))
    if program.user:
        shutil.chown(folder, program.user)
    if not program.setup:
        return True
    done = subprocess.run(
        ["sh", "-c", Template(program.setup).substitute(words)],
        cwd=folder,
        user=program.user or None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SETUP_SECONDS,
        check=False,
    )
    if done.returncode:
        say(f"left out: {program.name}, whose preparation failed: {done.stderr.strip()[-300:]}")
    return done.returncode == 0


def _table(program: Program, words: dict[str, str]) -> str:
    command = [Template(word).substitute(words) for word in program.command]
    lines = [
        f"[services.{program.name}]",
        f"command = {json.dumps(command)}",
        f'directory = "{words["dir"]}"',
        f"heartbeat = {{ {Template(program.beat).substitute(words)} }}",
        'start_timeout = "5m"',
        *(['stop_timeout = "1s"'] if program.hangs else []),
    ]
    if program.ready:
        lines.append(f"ready = {{ {Template(program.ready).substitute(words)} }}")
    if program.user:
        lines.append(f'user = "{program.user}"')
    return "\n".join([*lines, *([program.more] if program.more else [])])
