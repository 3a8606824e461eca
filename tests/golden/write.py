"""Runs a small project and writes what a later version finds of it: the golden files.

    CHECKOUT/.venv/bin/python tests/golden/write.py tests/golden/COMMIT

writes the files of the version in CHECKOUT.  Only the commands of that version are used, so any version can be asked.
Paths, names and ids of the machine are replaced by neutral ones.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ID = "0123456789abcdef"
"""Stands for the supervisor's id."""
EPOCH = "00000000-0000-0000-0000-000000000000.1"
"""Stands for the boot and the start time of its first process."""
PORT = 18080
PATIENCE = 60.0
BEATS = 250
"""Beats of `target` after which its record says something."""

STATES = {
    "migrate": "exited",
    "web@1": "running",
    "web@2": "running",
    "backoff": "backoff",
    "broken": "failed",
    "trial": "running",
    "stopped": "running",
    "stopping": "running",
    "starting": "starting",
    "waiting": "starting",
    "hung": "suspect",
    "restarted": "backoff",
    "dead": "exited",
}
"""What the services that do not beat come to."""


def record(project: Path) -> dict[str, str]:
    """Run the project in this empty directory with this interpreter's version; the golden files by name."""
    port = _free_port()
    text = (HERE / "services.toml").read_text()
    for word, value in (("PYTHON", sys.executable), ("BEAT", str(HERE / "beat.py")), ("PORT", str(port))):
        text = text.replace(word, value)
    (project / "services.toml").write_text(text)
    successor = project / "successor"
    command = [sys.executable, "-P", str(HERE / "successor.py"), str(project), sys.executable]
    successor.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    successor.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(project), "LANG": "C.UTF-8"}
    with open(project / "daemon.out", "wb") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "supervisor", "run", "-f", str(project / "services.toml")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=project,
            env=environment,
        )
    try:
        _reach(project, STATES | {"target": "running"})
        _ask(project, "stop", "stopped")
        _ask(project, "stop", "--no-wait", "stopping")
        _reach(project, {"stopping": "stopping", "stopped": "stopped"})
        _ask(project, "upgrade", "--python", str(successor))
        return _neutral(project, port)
    except BaseException:
        sys.stderr.write((project / "daemon.out").read_text())
        raise
    finally:
        if daemon.poll() is None:
            with suppress(subprocess.CalledProcessError):
                _ask(project, "signal", "--signal", "KILL", "stopping")  # it heeds nothing else
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(PATIENCE)


def _reach(project: Path, wanted: dict[str, str]) -> None:
    """Wait until these instances are in these states, and enough is recorded of `target`."""
    command = [sys.executable, "-P", "-m", "supervisor", "-f", str(project / "services.toml")]
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        done = subprocess.run([*command, "status", "--json"], capture_output=True, text=True, check=False)
        rows = {row["name"]: row for row in json.loads(done.stdout)["instances"]} if done.stdout else {}
        there = bool(rows) and all(rows[name]["state"] == state for name, state in wanted.items())
        if there and rows["target"]["target"]["beats"] >= BEATS:
            return
    raise RuntimeError(f"not in {PATIENCE:g} s: {wanted}")


def _ask(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-P", "-m", "supervisor", "-f", str(project / "services.toml"), *arguments]
    subprocess.run(command, check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _neutral(project: Path, port: int) -> dict[str, str]:
    """The files, with nothing of this machine in them."""
    found = {path.name: path.read_text() for path in sorted((project / "found").iterdir())}
    own_id, epoch = found["id"].split()
    boot = epoch.partition(".")[0]
    words = {
        str(project): "/srv/demo",
        str(HERE): "/srv/demo/bin",
        sys.executable: "/srv/demo/venv/bin/python",
        sys.prefix: "/srv/demo/venv",
        f"127.0.0.1:{port}": f"127.0.0.1:{PORT}",
        f'"127.0.0.1",{port}': f'"127.0.0.1",{PORT}',
        f'"127.0.0.1", {port}': f'"127.0.0.1", {PORT}',
        own_id: ID,
        f"phi-demo-{own_id[:8]}": f"phi-demo-{ID[:8]}",
        epoch: EPOCH,
        boot: EPOCH.partition(".")[0],
    }
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))
    return {name: pattern.sub(lambda m: words[m[0]], text) for name, text in found.items()}


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        files = record(Path(directory).resolve())
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
