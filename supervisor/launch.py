"""How a configuration gets compiled, and how this process becomes the daemon.

A boot waits for nothing here: `supervisor run` with plain arguments comes this way without click (50 ms), and the
configuration is compiled on another core while the daemon's interpreter starts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

DEFAULT_LOG_FORMAT = "human"
MODULE = ("-P", "-m")
"""Whatever lies in the current directory is not to be imported instead of the module that is meant."""


def compiler(path: str) -> subprocess.Popen[bytes]:
    """Begin to turn `path` into a plan: it comes on stdout; errors go where ours go."""
    return subprocess.Popen(compiler_command(path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def compiler_command(path: str) -> list[str]:
    """What turns `path` into a plan: JSON on stdout, or errors on stderr and exit code 2."""
    return [sys.executable, *MODULE, "supervisor.config.compile", path]


def daemon_command(file: str, log_format: str, services: Sequence[str] = (), python: str = "") -> list[str]:
    """The daemon's command line; with `services`, it starts these and what they need, and nothing else.  `python`: the
    interpreter, and with it the version; ours if not given."""
    only = ["--services", ",".join(services)] if services else []
    return [python or sys.executable, *MODULE, "supervisor.daemon", "-f", file, "--log-format", log_format, *only]


def become_daemon(file: str, log_format: str) -> None:
    """Set the compiler off, then exec.  Never returns."""
    if os.getpid() == 1:  # the kernel throws away what PID 1 has no handler for yet; what is held back comes later
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        compiler_command(file),
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
        setsigmask=(),
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
