"""Starts a program by posix_spawn: the C library's vfork, at a third of the cost of `subprocess.Popen`.

It can set neither a directory nor rights.  So the daemon is in the service's directory for the moment of the spawn, and
a service with a user, groups or a umask of its own is started in another way (spawn.py).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from supervisor.adapters.linux.mounts import candidates

_RESET = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
"""The daemon ignores some of them (SIGPIPE), and an exec would keep that.  The others have their default actions there
anyway; but the C library looks at each signal that is not named before it sets it, with 60 system calls more."""
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def spawn_directly(
    command: tuple[str, ...],
    directory: str | None,
    environment: Mapping[bytes, bytes],
    descriptors: Sequence[int],
) -> int | None:
    """Start `command` in its own session, in `directory`, with `descriptors` as 0, 1, 2; its pid.

    None: not possible here, because this process could not go back to its directory, or because Python was built for a
    C library without sessions in posix_spawn.  OSError where the command cannot be executed.
    """
    if min(descriptors) < len(descriptors):  # one would overwrite another
        return None
    try:
        home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(descriptors)]
    try:
        with _inside(directory, home):
            return _first(_programs(command[0], environment), command, environment, actions)
    except NotImplementedError:
        return None
    finally:
        os.close(home)


@contextmanager
def _inside(directory: str | None, home: int) -> Iterator[None]:
    """Be in `directory` inside the block, and then in `home` again."""
    if directory is None:
        yield
        return
    os.chdir(directory)
    try:
        yield
    finally:
        with suppress(OSError):  # it may no longer be entered; nothing depends on where the daemon is
            os.fchdir(home)


def _programs(word: str, environment: Mapping[bytes, bytes]) -> list[bytes]:
    return candidates(os.fsencode(word), environment.get(b"PATH", os.fsencode(os.defpath)))


def _first(
    programs: Sequence[bytes],
    command: tuple[str, ...],
    environment: Mapping[bytes, bytes],
    actions: Sequence[tuple[int, int, int]],
) -> int:
    """Execute the first of `programs` that can be executed.  OSError where there is none: the first error that is not
    about a missing file.

    A missing file is not tried unless all are missing, because each try is a process that ends at once."""
    failed = errno.ENOENT
    for program in [p for p in programs if os.access(p, os.F_OK)] or programs:
        try:
            return os.posix_spawn(program, command, environment, file_actions=actions, setsid=True, setsigdef=_RESET)
        except OSError as error:
            if failed in _MISSING and error.errno is not None:
                failed = error.errno
    raise OSError(failed, os.strerror(failed), command[0])
