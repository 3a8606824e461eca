"""Finds processes that still run after the death of their daemon, by its marks; shows them, and has them ended.

To end them, a daemon is started that adopts them, stops them as `down` does, and ends.  So each service gets its stop
signal, its time and the kill of its tree, and the ledger has a record of it.  That daemon follows the plan that was in
force, so that it needs no file.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from supervisor.adapters.linux.directories import read_file
from supervisor.adapters.linux.locks import holder_lives
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.detached_daemon import failure, opened_log
from supervisor.core.text.name_patterns import Known, matching
from supervisor.errors import NoDaemon, NotListening, OperationFailed
from supervisor.launch import ending_daemon_command

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.services.adoption import MarkedProcess

ASK_AGAIN = 0.01
"""Seconds between two attempts to follow the daemon that ends them."""


BEGINS_WITHIN = 10.0
"""Seconds in which a daemon that has its lock listens, or is gone."""


class Unwatched(NamedTuple):
    """An instance that still runs.

    `process`: name and state of its main process `pid`.  `processes`: how many there are.  `outlives`: it has
    `detach = true`, and no daemon need run."""

    instance: str
    known: Known
    pid: int
    process: str
    processes: int
    outlives: bool


def find(target: DaemonTarget) -> list[Unwatched]:
    """The instances of this project that run although no daemon does, in start order."""
    from supervisor.adapters.processes import orphans

    target.require_own()
    runtime_dir = os.path.dirname(target.socket)  # noqa: PTH120 - pathlib costs
    plan = target.plan_in_force
    specs = {name: spec for spec in plan.services for name in spec.instances} if plan is not None else {}
    supervisor_id = read_id(runtime_dir)
    found: dict[str, list[MarkedProcess]] = {name: [] for name in specs}
    for process in orphans.find(supervisor_id, f"{runtime_dir}/fifo", specs) if supervisor_id else ():
        found.setdefault(process.instance, []).append(process)
    rows = []
    for name, processes in found.items():
        if processes:
            main = min(processes, key=lambda one: (not one.leader, one.start))
            words = orphans.describe(main).partition(" ")[2]
            spec = specs.get(name)
            known = Known(name, name.partition("@")[0], (spec.group_name if spec is not None else None) or "")
            rows.append(Unwatched(name, known, main.pid, words, len(processes), spec is not None and spec.detach))
    return rows


def listens_soon(target: DaemonTarget, why: NoDaemon) -> bool:
    """Wait while there is a daemon that does not listen, because it starts or ends; True if it listens now."""
    give_up = time.monotonic() + BEGINS_WITHIN
    while isinstance(why, NotListening) and holder_lives(os.path.dirname(target.socket)):  # noqa: PTH120
        try:
            target.client.health()
        except NotListening:
            if time.monotonic() >= give_up:
                return False
            time.sleep(ASK_AGAIN)
        else:
            return True
    return False


def status(target: DaemonTarget, why: NoDaemon, as_json: bool, services: Sequence[str]) -> NoDaemon:
    """Print what runs of these services, or of all; returns the error to end with."""
    if not isinstance(why, NotListening):
        return why
    rows = find(target)
    if services:
        meant = {name for pattern in services for name in matching(pattern, [row.known for row in rows])}
        rows = [row for row in rows if row.instance in meant]
    if not rows:
        return why
    if as_json:
        from json import dumps

        plain = [{"name": row.instance, "pid": row.pid, "processes": row.processes} for row in rows]
        sys.stdout.write(dumps({"supervisor": None, "instances": [], "unwatched": plain}) + "\n")
    else:
        from supervisor.display.status_row import aligned, printable

        cells = [(row.instance, "unwatched", str(row.pid), str(row.processes), printable(row.process)) for row in rows]
        sys.stdout.write(aligned([("NAME", "STATE", "PID", "PROCESSES", "PROCESS"), *cells], ("PID", "PROCESSES")))
    sys.stdout.flush()
    what = "1 instance still runs" if len(rows) == 1 else f"{len(rows)} instances still run"
    hint = "`supervisor up -d` takes up what still runs, `supervisor down` stops it."
    return NoDaemon(f"{why.message}; {what}, unwatched", hint)


def end(target: DaemonTarget, why: NotListening, tell: Callable[[list[Instance], dict[str, str]], None]) -> int:
    """Stop what runs.  `tell` prints what delays it.  Raises `why` where nothing runs, SupervisorError where something
    remains."""
    rows = [row for row in find(target) if not row.outlives]
    if not rows:
        raise why
    sys.stderr.write(f"no daemon answers; stopping what still runs: {', '.join(row.instance for row in rows)}\n")
    log = Path(target.state_dir) / "daemon.log"
    with opened_log(log) as file:
        begin = file.seek(0, os.SEEK_END)
        daemon = subprocess.Popen(
            ending_daemon_command(os.path.dirname(target.socket)),  # noqa: PTH120
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    _follow(target, daemon, tell)
    code = daemon.wait()
    left = [f"{row.instance}: {row.pid} {row.process}" for row in find(target) if not row.outlives]
    if left and not code:
        raise OperationFailed(f"these processes remain: {', '.join(left)}", f"See {log}.")
    if code:
        raise failure(log, begin, code)
    sys.stdout.write("all services stopped\n")
    return 0


def _follow(
    target: DaemonTarget, daemon: subprocess.Popen[bytes], tell: Callable[[list[Instance], dict[str, str]], None]
) -> None:
    """Tell what delays the end, until the daemon ends."""
    said: dict[str, str] = {}
    ended = select.poll()
    pidfd = os.pidfd_open(daemon.pid)
    ended.register(pidfd, select.POLLIN)
    while not ended.poll(ASK_AGAIN * 1000):
        with suppress(NoDaemon):
            for message in target.client.stream(["status"]):
                if message[0] == "status":
                    tell(message[1]["instances"], said)
    os.close(pidfd)


def read_id(runtime_dir: str) -> str:
    """The id of the daemons of this project, which their processes have in their environment; empty if unknown."""
    with suppress(OSError, ValueError, IndexError):
        return read_file(runtime_dir, "id", 200).split()[0]
    return ""
