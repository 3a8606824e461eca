"""Rolling restarts, good releases and bad ones under load, with the daemon killed in the middle of every second one.

Four instances share one socket.  A client counts the requests that are not answered; the ledger tells how many were
ready at any moment; the exit code of the command and the answers tell what a release came to.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from scripts.tools.chaos.private_daemon import JSON, daemon, events, tell
from supervisor.client import Client
from supervisor.core.model.documents import Event
from supervisor.errors import NoDaemon

REPLICAS, MISSING = 4, 1
SERVICES = """
[services.web]
command = ["{python}", "{place}/release.py", "0", "good"]
replicas = 4
sockets = ["unix:{place}/web.sock"]
ready = {{ notify = true }}
start_timeout = "4s"
restart = {{ initial = "100ms" }}
rollout = {{ max_unavailable = 1, settle = "500ms" }}
"""
RELEASE = """
import contextlib, os, signal, socket, sys, threading
version, kind = sys.argv[1:]
if kind == "exits":
    sys.exit(3)
listening = socket.socket(fileno=3)
listening.settimeout(0.1)
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
path = os.environ["NOTIFY_SOCKET"]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if kind != "never-ready":
    with contextlib.suppress(OSError):  # the daemon may be away
        notify.sendto(b"READY=1", "\\0" + path[1:] if path[0] == "@" else path)
if kind == "fails-later":
    threading.Timer(0.2, lambda: os._exit(4)).start()
    ending.wait()  # it takes no request, so that none is lost with it
while not ending.is_set():
    with contextlib.suppress(TimeoutError):
        client, _ = listening.accept()
        with client:
            client.settimeout(5.0)
            client.recv(1)
            client.sendall(version.encode())
"""
BAD = ("exits", "never-ready", "fails-later")
PATIENCE = 60.0


class Load:
    """Requests on connections of their own, from two threads, until it is ended."""

    def __init__(self, path: str) -> None:
        self.answered, self.failed = 0, 0
        self.errors: list[str] = []
        self._path = path
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.004):
            try:
                ask(self._path)
            except (OSError, ValueError) as error:
                with self._lock:
                    self.failed += 1
                    self.errors.append(repr(error))
            else:
                with self._lock:
                    self.answered += 1

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE)


def ask(path: str) -> str:
    """The version that answers.  OSError, ValueError where none does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        client.sendall(b"?")
        answer = b""
        while part := client.recv(100):
            answer += part
    if not answer:
        raise ValueError("no answer")
    return answer.decode()


def ready_and_there(story: list[Event], service: str, complete: int) -> tuple[int, int]:
    """The smallest number of instances of a service that were ready at one moment, once so many had been (one more than
    `complete` where that never was), and the largest number that were not stopped.

    With a readiness an instance runs when it is ready; a suspect counts as before, until it is known to be one."""
    ready: set[str] = set()
    there: set[str] = set()
    fewest, most = complete + 1, 0
    for event in story:
        if event["service"] != service:
            continue
        name = event["instance"]
        if event["to"] == "running":
            ready.add(name)
        elif event["to"] != "suspect":
            ready.discard(name)
        there = there - {name} if event["to"] == "stopped" else there | {name}
        most = max(most, len(there))
        if len(ready) >= complete or fewest <= complete:
            fewest = min(fewest, len(ready))
    return fewest, most


class Releases:
    """The releases of one run, and what went wrong with them."""

    def __init__(self, client: Client, place: Path, dice: random.Random, say: Callable[[str], None]) -> None:
        self.client, self.place, self.dice, self.say = client, place, dice, say
        self.violations: list[str] = []
        self.killed = 0
        self.seconds: list[float] = []
        self._file = place / "services.toml"
        self._command = [sys.executable, "-m", "supervisor", "-f", str(self._file)]
        self._version, self._serving = "0", "0"
        self._original = self._file.read_text()

    def restart(self, *, kill: bool) -> None:
        self._run(["restart", "--rolling", "web"], "restart", 0, kill=kill)

    def release(self, number: int, kind: str, *, kill: bool) -> None:
        """Edit the file and reload it: a good one has to serve afterwards, of a bad one the last good one."""
        self._file.write_text(self._original.replace('"0", "good"', f'"{number}", "{kind}"'))
        if kind == "good":
            self._serving = str(number)
        self._run(["reload"], kind, 0 if kind == "good" else 1, kill=kill)

    def _run(self, order: list[str], kind: str, expected: int, *, kill: bool) -> None:
        began = time.monotonic()
        command = subprocess.Popen(
            [*self._command, *order], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if kill:
            self._kill_in_the_middle(command)
        try:
            said, _ = command.communicate(timeout=4 * PATIENCE)
        except subprocess.TimeoutExpired:
            command.kill()
            said, _ = command.communicate()
        took = time.monotonic() - began
        self.seconds.append(took)
        name = f"{kind}{', daemon killed' if kill else ''}"
        (rollout,) = self.client.rollouts(["web"])
        if command.returncode != expected:
            self.violations.append(f"{name}: exit code {command.returncode}, and it said {said[-600:]!r}")
        state = "finished" if expected == 0 else "rolled-back"
        if rollout["state"] != state:
            self.violations.append(f"{name}: {rollout['state']}, not {state}")
        if kind != "restart" and (found := {ask(f"{self.place}/web.sock") for _ in range(20)}) != {self._serving}:
            self.violations.append(f"{name}: {sorted(found)} answer, not {self._serving}")
        self.say(f"{name:<28} {took:5.1f} s  {rollout['state']}")

    def _kill_in_the_middle(self, command: subprocess.Popen[str]) -> None:
        """SIGKILL to the daemon at a random moment after the rollout has begun, then another daemon."""
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit and command.poll() is None:
            rollouts = self.client.rollouts(["web"])
            if rollouts and rollouts[0]["state"] in ("running", "rolling-back"):
                break
        time.sleep(self.dice.uniform(0.0, 3.0))
        with contextlib.suppress(NoDaemon):
            (rollout,) = self.client.rollouts(["web"])
            self.killed += rollout["state"] in ("running", "rolling-back")
        os.kill(self.client.daemon_pid(), signal.SIGKILL)
        subprocess.run([*self._command, "up", "-d"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rollouts(count: int, seed: int, say: Callable[[str], None]) -> JSON:
    """`count` rolling restarts, good releases and bad ones each; the daemon is killed in half of them."""
    dice = random.Random(seed)
    with daemon(SERVICES, {"release.py": RELEASE}) as (client, place):
        load = Load(f"{place}/web.sock")
        releases = Releases(client, place, dice, say)
        for number in range(count):
            releases.restart(kill=number % 2 == 1)
            releases.release(2 * number + 1, "good", kill=number % 2 == 1)
            releases.release(2 * number + 2, BAD[number % len(BAD)], kill=number % 2 == 1)
        load.end()
        fewest, _ = ready_and_there(events(client), "web", REPLICAS)
    violations = releases.violations
    if load.failed:
        violations.append(f"{load.failed} requests failed: {load.errors[:5]}")
    if fewest < REPLICAS - MISSING:
        violations.append(f"only {fewest} of {REPLICAS} were ready, {REPLICAS - MISSING} have to be")
    say(
        f"{count} restarts, {count} good and {count} bad releases; the daemon killed in the middle of {releases.killed}"
    )
    say(f"{load.failed} of {load.answered + load.failed} requests failed; never fewer than {fewest} were ready")
    report = {
        "rollouts": 3 * count,
        "killed": releases.killed,
        "answered": load.answered,
        "failed": load.failed,
        "fewest_ready": fewest,
        "longest_s": max(releases.seconds),
        "violations": violations,
    }
    return tell(report, say)
