"""`down`: stops all services in reverse order, ends the daemon, and names every process that remains."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target
from supervisor.client import Client
from supervisor.errors import NotListening, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

HOLDS_UP_AFTER = 0.5
"""Seconds after which an instance that has not stopped is named."""
LAST_WORDS = 30.0
"""Seconds that a daemon may take to end after its last status."""

_LETTERS = {
    "running": "R",
    "sleeping": "S",
    "disk-sleep": "D",
    "stopped": "T",
    "tracing-stop": "t",
    "zombie": "Z",
    "dead": "X",
    "idle": "I",
}
"""The letters of proc(5), as the daemon writes states, for psutil's words."""


@click.command()
@daemon_options("-f", "--file")
@pass_target
def down(target: DaemonTarget) -> int:
    """Stop all services, dependants first, and end the daemon.  Where none runs, stop what an earlier one left.

    Services with `detach = true` keep running.  Exit code 1 if a process remains: one that survives SIGKILL is waited
    for some fifteen seconds, then named.

    Example: supervisor down"""
    return end_all(target)


def end_all(target: DaemonTarget) -> int:
    """Stop all services and end the daemon; where none runs, stop what an earlier one left.  NoDaemon: there is nothing
    to stop."""
    try:
        return bring_down(target.client)
    except NotListening as why:
        from supervisor.cli.unwatched import end

        return end(target, why, _tell)


def bring_down(client: Client) -> int:
    """OperationFailed names what remains."""
    daemon = _pidfd(client.daemon_pid())
    stream = client.stream(["status"], for_order=True)
    client.down()
    said: dict[str, str] = {}
    rows: list[Instance] = []
    for message in stream:
        if message[0] == "status":
            rows = message[1]["instances"]
            if message[1]["supervisor"]["closing"]:
                _tell(rows, said)
    if daemon is not None:
        ended = select.poll()
        ended.register(daemon, select.POLLIN)
        if not ended.poll(LAST_WORDS * 1000):
            raise OperationFailed("all services stopped, but the daemon does not end")
        os.close(daemon)
    remaining = [f"{row['name']}: {process}" for row in rows for process in _left(row)]
    if remaining:
        raise OperationFailed(
            f"the daemon has ended, but these processes remain: {', '.join(remaining)}",
            _reason(remaining) + "The next `supervisor up` tries again.",
        )
    kept = [f"{row['name']} (pid {row['pid']})" for row in rows if row["detach"] and _lives(row["pid"])]
    click.echo("all services stopped, daemon ended" + (f"; left running: {', '.join(kept)}" if kept else ""))
    return 0


def _reason(remaining: list[str]) -> str:
    """What state D means, where a process is in it for no other reason that is named."""
    waits = any(process.endswith("(D)") for process in remaining)
    return "State D: waiting for the kernel (a disk, a network file system).  " if waits else ""


def _left(row: Instance) -> list[str]:
    """`PID NAME (STATE)` of each process that still lives: those that survived SIGKILL, or the main one."""
    if row["lingering"]:
        return [process for process in row["lingering"] if _lives(int(process.split()[0]))]
    pid = row["pid"]
    if row["detach"] or pid is None or not _lives(pid):
        return []
    found = _process(pid)
    return [f"{pid} {found[0]} ({found[1]})"] if found is not None else []


def _tell(rows: list[Instance], said: dict[str, str]) -> None:
    """Prints each instance that delays the shutdown, once per state."""
    from supervisor.display.status_row import note, printable

    for row in rows:
        if row["pid"] is None and row["state"] != "stopping":
            continue
        key = f"{row['state']} {row['cause']} {row['lingering']}"
        if said.get(row["name"]) != key and (row["since_s"] or 0.0) >= HOLDS_UP_AFTER:
            said[row["name"]] = key
            pid = f" (pid {row['pid']})" if row["pid"] is not None else ""
            click.echo(f"{row['name']}  {row['state']}{pid}: {printable(note(row))}")


def _pidfd(pid: int) -> int | None:
    with suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _lives(pid: int | None) -> bool:
    found = _process(pid) if pid is not None else None
    return found is not None and found[1] not in "ZX"


def _process(pid: int) -> tuple[str, str] | None:
    """Name and state of a process, the state by its letter in proc(5); None where there is none.

    psutil is imported here, because all but a few calls of `down` leave nothing to look for."""
    import psutil

    try:
        process = psutil.Process(pid)
        state = _LETTERS.get(process.status(), "?")
        # Z is shown also for a process whose main thread alone has ended; it lives.
        return process.name(), "S" if state == "Z" and process.num_threads() > 1 else state
    except psutil.Error:
        return None
