"""Starts the configuration's compiler, and turns this process into the daemon.

The path is short for a quick boot: `supervisor run` with plain arguments comes this way without click (50 ms), and the
configuration is compiled on another core while the daemon's interpreter starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

TYPE_CHECKING = False  # importing typing and subprocess takes time
if TYPE_CHECKING:
    import subprocess

DEFAULT_LOG_FORMAT = "human"
MODULE = ("-P", "-m")
"""Keeps files in the current directory from being imported instead of the supervisor's modules."""


def let_children_be_awaited() -> None:
    """Undo that a parent ignored SIGCHLD: no child can be waited for then."""
    import signal

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def compiler(path: str, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start to compile `path` into a plan, which comes on stdout, as a report of errors does."""
    import subprocess

    return subprocess.Popen(compiler_command(path, options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def compiler_command(path: str, options: Sequence[str] = ()) -> list[str]:
    """The command that compiles `path`: JSON on stdout, with exit code 2 a report of errors (config/compile.py).

    `options`: which version of a cluster's configuration, by default the one that this host keeps; and profiles."""
    return [sys.executable, *MODULE, "supervisor.config.compile", path, "--report", *options]


def given_profiles(names: Sequence[str]) -> list[str]:
    """The option of the compiler, and of the daemon, for profiles that the user gave."""
    return ["--profiles", ",".join(names)] if names else []


def kept_profiles(names: Sequence[str] | None) -> list[str]:
    """The same for the profiles of a plan in force, also where it has none; None: the file has no profiles."""
    return ["--active", ",".join(names)] if names is not None else []


def daemon_command(
    file: str, log_format: str, services: Sequence[str] = (), python: str = "", profiles: Sequence[str] = ()
) -> list[str]:
    """The daemon's command line; with `services`, it starts only these and what they need.

    `python`: the interpreter, and with it the version; by default this process's own.  `profiles`: the option for them.
    """
    only = ["--services", ",".join(services)] if services else []
    command = [python or sys.executable, *MODULE, "supervisor.daemon", "-f", file, "--log-format", log_format]
    return [*command, *only, *profiles]


def ending_daemon_command(runtime_dir: str) -> list[str]:
    """The command line of a daemon that takes up what an earlier one left, stops it, and ends."""
    return [sys.executable, *MODULE, "supervisor.daemon", "--end", runtime_dir]


def become_daemon(file: str, log_format: str, profiles: Sequence[str] = ()) -> None:
    """Start the compiler, then exec the daemon. Does not return."""
    import signal

    let_children_be_awaited()
    # the kernel drops signals for which PID 1 has no handler yet; blocked ones are delivered later
    if os.getpid() == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        compiler_command(file, given_profiles(profiles)),
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
        setsigmask=(),
    )
    os.close(writer)
    os.set_inheritable(reader, True)
    arguments = [*daemon_command(file, log_format), "--compiler", f"{pid}:{reader}"]
    os.execv(arguments[0], arguments)


def plain_run(arguments: Sequence[str]) -> tuple[str, str] | None:
    """(file, log format) if `arguments` are a `run` that needs no help, checks or defaults; else None."""
    if arguments[:1] != ["run"] or len(arguments) % 2 == 0:
        return None
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    file = options.pop("-f", None) or options.pop("--file", None)
    log_format = options.pop("--log-format", DEFAULT_LOG_FORMAT)
    if file is None or options or log_format not in ("human", "json"):
        return None
    return file, log_format
