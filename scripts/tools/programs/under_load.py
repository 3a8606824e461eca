"""Runs all programs at once beside busy loops, each from what `supervisor init -- COMMAND` writes: none may be ended.

The programs are healthy, so that each suspicion that ends one is the fault of the defaults.  Added to what init writes
are only the user and the environment of the recipe.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tomlkit

from scripts.tools.chaos.pressure import SPINS
from scripts.tools.chaos.private_daemon import ended, events, suspected
from scripts.tools.programs.manager import end_all
from scripts.tools.programs.measure import NotUp, Run, place_for
from supervisor.adapters.linux import procfs
from supervisor.cli.main import main as command_line
from supervisor.client import Client
from supervisor.core.text.units import span
from supervisor.errors import SupervisorError

UP_WITHIN, SAMPLE, SAY = 600.0, 15.0, 60.0
"""Seconds: until all are up; from one look at the host to the next; from one line to the next."""


@dataclass
class Outcome:
    """What became of them.  `left_out`: programs that do not come up here, with why."""

    programs: int = 0
    beating: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    pressures: list[float] = field(default_factory=list)
    suspicions: int = 0
    holds: int = 0
    violations: list[str] = field(default_factory=list)


def under_load(recipes: Mapping[str, tuple[Mapping[str, Any], str]], seconds: float, loops: int) -> Outcome:
    """Run them for so long.  `recipes`: each with its PATH."""
    outcome = Outcome()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="programs-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        for name, (recipe, path) in recipes.items():
            try:
                run = stack.enter_context(place_for(recipe, path))
                (home / f"{name}.toml").write_text(_service(name, run, home / f"{name}.init"))
            except NotUp as error:
                outcome.left_out[name] = str(error)
        client = stack.enter_context(_daemon(home))
        rows = _until_up(client, outcome)
        outcome.programs = len(rows)
        outcome.beating = sum(row["detector"] is not None for row in rows.values())
        began = max((event["id"] for event in events(client)), default=0)
        print(f"{len(rows)} programs are up; {loops} busy loops for {span(seconds)}", flush=True)
        with _loops(loops):
            _watch(client, seconds, outcome)
        _judge(client, rows, began, outcome, home / "state" / "log")
        client.act("stop", [*rows])
        _judge_stop(client, rows, outcome)
    return outcome


def _service(name: str, run: Run, file: Path) -> str:
    """The file of one service, from what init writes to `file`."""
    command = [run.filled(word) for word in run.recipe["command"]]
    said = io.StringIO()
    with chdir(run.place), patch.dict(os.environ, run.environment), redirect_stdout(said), redirect_stderr(said):
        if command_line(["init", str(file), "--", *command]):
            raise NotUp(f"init: {said.getvalue().strip()}")
    ((_, table),) = tomlkit.parse(file.read_text()).unwrap()["services"].items()
    table["environment"] = run.environment
    if run.user is not None:
        table["user"] = run.user.pw_name
    return tomlkit.dumps({"services": {name: table}})


@contextmanager
def _daemon(home: Path) -> Iterator[Client]:
    files = ", ".join(f'"{path}"' for path in sorted(home.glob("*.toml")))
    main = home / "main"
    main.write_text(
        f'include = [{files}]\n[supervisor]\nname = "programs"\n'
        f'runtime_dir = "{home}/run"\nstate_dir = "{home}/state"\n'
    )
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "run", "-f", str(main)], cwd=home, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield Client(str(home / "run" / "control.sock"))
        process.send_signal(signal.SIGTERM)
        process.wait(UP_WITHIN)
    finally:
        end_all()
        process.wait()


@contextmanager
def _loops(count: int) -> Iterator[None]:
    """Each in a session of its own, because the kernel may divide the CPUs by sessions."""
    loops = [subprocess.Popen([sys.executable, "-S", "-c", SPINS], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _until_up(client: Client, outcome: Outcome) -> dict[str, Mapping[str, Any]]:
    """The rows of those that are ready; the others are stopped."""
    deadline = time.monotonic() + UP_WITHIN
    rows: dict[str, Mapping[str, Any]] = {}
    while time.monotonic() < deadline:
        time.sleep(1.0)
        try:
            rows = {row["name"]: row for row in client.status()["instances"]}
        except SupervisorError:  # it is on its way
            continue
        if rows and all(row["ready"] for row in rows.values()):
            break
    for name, row in rows.items():
        if not row["ready"] or row["restarts"]:
            outcome.left_out[name] = f"{row['state']}, {row['restarts']} restarts, {row['cause']}"
    if lacking := [name for name, row in rows.items() if not row["ready"]]:
        client.act("stop", lacking)
    return {name: row for name, row in rows.items() if row["ready"]}


def _watch(client: Client, seconds: float, outcome: Outcome) -> None:
    until = said = time.monotonic()
    until += seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, SAMPLE))
        outcome.loads.append(os.getloadavg()[0])
        words = (procfs.read("/proc/pressure/cpu") or b"").decode().split()
        outcome.pressures += [float(word.partition("=")[2]) for word in words[1:2]]
        if time.monotonic() - said >= SAY:
            said = time.monotonic()
            ready = "no answer of the daemon"
            with suppress(SupervisorError):  # it runs late as well
                ready = f"{sum(row['ready'] for row in client.status()['instances'])} ready"
            print(f"  load {outcome.loads[-1]:.0f}, cpu pressure {''.join(words[1:2])}, {ready}", flush=True)


def _judge(client: Client, rows: Mapping[str, Mapping[str, Any]], began: int, outcome: Outcome, logs: Path) -> None:
    for event in events(client):
        if event["id"] <= began or event["instance"] not in rows:
            continue
        outcome.suspicions += suspected(event)
        outcome.holds += event["cause"] == "held"
        if ended(event):
            outcome.violations.append(f"{event['at']} {event['instance']} was ended: {event['cause']}")
        elif event["to"] in ("backoff", "failed", "exited"):
            told = (logs / f"{event['instance']}.log").read_text(errors="replace")[-300:]
            outcome.violations.append(f"{event['at']} {event['instance']}: {event['cause']} {event['detail']}: {told}")
    for row in client.status()["instances"]:
        before = rows.get(row["name"])
        if before is not None and (row["incarnation"] != before["incarnation"] or not row["ready"]):
            outcome.violations.append(f"{row['name']}: run {row['incarnation']}, {row['state']}, {row['cause']}")


def _judge_stop(client: Client, rows: Mapping[str, Mapping[str, Any]], outcome: Outcome) -> None:
    deadline = time.monotonic() + UP_WITHIN
    while time.monotonic() < deadline:
        states = {row["name"]: row["state"] for row in client.status()["instances"] if row["name"] in rows}
        if "stopping" not in states.values():
            break
        time.sleep(1.0)
    outcome.violations += [f"{name}: a stop left it {state}" for name, state in states.items() if state != "stopped"]
