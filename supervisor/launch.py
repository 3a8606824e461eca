"""How this process becomes the daemon: the compiler of the configuration is set off first, then we exec.

A boot waits for nothing here: `supervisor run` with plain arguments comes this way without click (50 ms), and the
configuration is compiled on another core while the daemon's interpreter starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

DEFAULT_LOG_FORMAT = "human"


def daemon_command(file: str, log_format: str, services: Sequence[str] = ()) -> list[str]:
    """The daemon's command line; with `services`, it starts these and what they need, and nothing else."""
    only = ["--services", ",".join(services)] if services else []
    return [sys.executable, "-m", "supervisor.daemon", "-f", file, "--log-format", log_format, *only]


def become_daemon(file: str, log_format: str) -> None:
    """Never returns."""
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "supervisor.config.compile", file],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    os.close(writer)
    os.set_inheritable(reader, True)
    arguments = [*daemon_command(file, log_format), "--compiler", f"{pid}:{reader}"]
    os.execv(arguments[0], arguments)


def plain_run(arguments: Sequence[str]) -> tuple[str, str] | None:
    """(file, log format) where `arguments` are a `run` that needs no help, no checks and no defaults looked up."""
    if arguments[:1] != ["run"] or len(arguments) % 2 == 0:
        return None
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    file = options.pop("-f", None) or options.pop("--file", None)
    log_format = options.pop("--log-format", DEFAULT_LOG_FORMAT)
    if file is None or options or log_format not in ("human", "json"):
        return None
    return file, log_format
