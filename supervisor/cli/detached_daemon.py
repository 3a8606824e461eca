"""Starts a daemon that outlives the command, and waits until it answers."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.client import Client
from supervisor.errors import NoAnswer, NoDaemon, OperationFailed, OtherFile, SupervisorError
from supervisor.launch import daemon_command, given_profiles

LARGEST_LOG = 8 * 1024 * 1024
ASK_AGAIN = 0.01
"""Seconds between two attempts to reach a daemon that is starting."""


class DaemonFailed(SupervisorError):
    """A daemon ended before it answered; the message is its output on stderr."""


def answers(client: Client) -> bool:
    """Whether a daemon answers.  NoAnswer where one is there that does not."""
    try:
        client.health()
    except NoAnswer:
        raise
    except NoDaemon:
        return False
    return True


def start_detached(target: DaemonTarget, services: Sequence[str]) -> int:
    """Start a daemon in a session of its own, and return its pid when it answers.

    SupervisorError with the output and the exit code of the daemon if it ends before.
    """
    log = Path(target.state_dir) / "daemon.log"
    with opened_log(log) as file:
        begin = file.seek(0, os.SEEK_END)
        daemon = subprocess.Popen(
            daemon_command(target.file, "human", services, profiles=given_profiles(target.profiles)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # log.console would fill the file, which is not rotated
            stderr=file,
            start_new_session=True,
        )
    watched = select.poll()
    pidfd = os.pidfd_open(daemon.pid)
    watched.register(pidfd, select.POLLIN)
    try:
        while not _answers_as_started(target):
            if watched.poll(ASK_AGAIN * 1000):
                raise failure(log, begin, daemon.wait())
    finally:
        os.close(pidfd)
    daemon.returncode = 0  # the daemon keeps running; without this Popen warns about it
    return daemon.pid


def exit_code(daemon: int | None, *, wait: bool = True) -> int | None:
    """The exit code of a daemon that this process started and that has ended in order; else None.  `wait`: it is about
    to end."""
    if daemon is None:
        return None
    pid, status = os.waitpid(daemon, 0 if wait else os.WNOHANG)
    code = os.waitstatus_to_exitcode(status) if pid else -1
    return code if code >= 0 else None


def _answers_as_started(target: DaemonTarget) -> bool:
    """Whether the daemon answers that was just started.  Where the folder was moved, it knows the file by another path
    than the last daemon did as soon as it has recorded that; a question that was asked before is asked again."""
    client = target.client
    try:
        return answers(client)
    except NoAnswer:
        return False
    except OtherFile:
        if target.client.file == client.file:
            raise
        return False


def opened_log(log: Path) -> BinaryIO:
    """The file for the output of a daemon, to append to.  OperationFailed."""
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        return log.open("ab")
    except OSError as error:
        raise OperationFailed(
            f"cannot write {log}: {error.strerror}", "Set another state_dir in [supervisor]."
        ) from None


def failure(log: Path, begin: int, code: int) -> SupervisorError:
    """The error of a daemon that ended with `code`; it wrote what stands in `log` from `begin` on."""
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read(65536).decode(errors="replace").strip()
    error = DaemonFailed(said.removeprefix("supervisor: ") or f"the daemon ended with {code}")
    error.exit_code = code if code > 0 else 1  # type: ignore[misc]  # this one speaks for another process
    return error
