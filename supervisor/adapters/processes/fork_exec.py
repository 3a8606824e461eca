"""Starts a process where `subprocess.Popen` cannot: with sockets at fixed descriptors, LISTEN_PID, fewer privileges.

Only the child can put its own pid into its environment, so this is a true fork with a dozen system calls before the
exec.  It takes about a millisecond longer than Popen's vfork, in whose child no Python can run.

The daemon has threads: one compresses logs, one writes the ledger's checkpoint, one for each host name looks it up.
After a fork only the forking thread exists in the child, and a lock that another thread held stays locked there for
ever.  CPython renews the GIL and the import lock, glibc the locks of malloc and stdio.  The locks of a module that is
being imported, of the dynamic linker, of sqlite3, zlib and buffered files cannot be relied on.  So the child does not
import, look up a symbol, write to a file object or collect garbage (a finalizer may do any of these): all that can be
computed is computed before the fork, and the child makes system calls and ends in execve or `os._exit`.

`os.fork` itself drops, in the child, the thread-local variables of the other threads and the exceptions that they were
handling, with the locals of the frames that these have left.  So the threads named above must keep nothing there whose
finalizer takes a lock or writes.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from supervisor.adapters.linux import capabilities
from supervisor.core.model.spec import ServiceSpec

FIRST = 3
"""The first descriptor of those that are handed over (sd_listen_fds(3))."""
_LONGEST_ERROR = 4096


class _Prepared(NamedTuple):
    """All that the child needs, computed before the fork."""

    spec: ServiceSpec
    programs: list[bytes]
    """Paths of the program, to be tried in this order."""
    words: list[bytes]
    environment: dict[bytes, bytes]
    directory: bytes | None
    descriptors: tuple[int, ...]
    """What is to be 0, 1, 2, … in the child."""
    signals: list[int]
    """Signals that Python handles or ignores, and that are to have their default action."""
    mask: set[int | signal.Signals]
    """Signals that are to be blocked."""


def fork_exec(
    spec: ServiceSpec, environment: Mapping[bytes, bytes], stdin: int, output: int, sockets: Sequence[int]
) -> int:
    """Start the process with `sockets` as 3, 4, … and return its pid.  OSError as from Popen where that fails."""
    env = dict(environment)
    if sockets:
        env[b"LISTEN_FDS"] = str(len(sockets)).encode()
        env[b"LISTEN_FDNAMES"] = ":".join(s.label or spec.name for s in spec.sockets).encode()
    words = [os.fsencode(word) for word in spec.command]
    prepared = _Prepared(
        spec=spec,
        programs=_candidates(words[0], env),
        words=words,
        environment=env,
        directory=None if spec.directory is None else os.fsencode(spec.directory),
        descriptors=(stdin, output, output, *sockets),
        signals=_not_default_signals(),
        mask=signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    )
    reader, writer = os.pipe()
    try:
        with _ready_to_fork(prepared.mask):
            pid = os.fork()
            if pid == 0:
                _become(prepared, writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        failure = os.read(reader, _LONGEST_ERROR)  # empty once the exec has closed the other end
    finally:
        os.close(reader)
    if failure:
        os.waitpid(pid, 0)
        number, _, subject = failure.partition(b" ")
        raise OSError(int(number), os.strerror(int(number)), os.fsdecode(subject) or spec.command[0])
    return pid


@contextmanager
def _ready_to_fork(mask: set[int | signal.Signals]) -> Iterator[None]:
    """Block signals, garbage collection and a warning while this process forks; the child never leaves the block.

    A signal handler or a finalizer could run in the child otherwise.  Python 3.12 and later warn of a fork beside
    threads, in the parent and after the fork: the head of this file says why it is safe.
    """
    collecting = gc.isenabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _not_default_signals() -> list[int]:
    changeable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    return [int(n) for n in changeable if signal.getsignal(n) not in (signal.SIG_DFL, None)]


def _candidates(program: bytes, env: Mapping[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    places = env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(place, program) for place in places]  # noqa: PTH118


def _become(prepared: _Prepared, report: int) -> None:
    """Turn the forked child into the program; write `ERRNO SUBJECT` to `report` where that fails.  Never returns."""
    subject = b""
    try:
        spec, descriptors, env = prepared.spec, prepared.descriptors, prepared.environment
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, len(descriptors))
        _place(descriptors)
        os.setsid()
        if prepared.directory is not None:
            subject = prepared.directory
            os.chdir(prepared.directory)
        if spec.umask is not None:
            os.umask(spec.umask)
        subject = b"privileges"
        _drop_privileges(spec)
        subject = b""
        if len(descriptors) > FIRST:
            env[b"LISTEN_PID"] = b"%d" % os.getpid()
        _restore_signals(prepared.signals, prepared.mask)
        _execute(prepared.programs, prepared.words, env)
    except OSError as error:
        os.write(report, b"%d %s" % (error.errno or errno.EINVAL, subject))
    finally:
        os._exit(255)


def _place(descriptors: Sequence[int]) -> None:
    """Make them 0, 1, 2, …, inherited.  They are copied to high numbers first, so that none overwrites another."""
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(descriptors)) for fd in descriptors]
    for number, fd in enumerate(aside):
        os.dup2(fd, number, inheritable=True)


def _drop_privileges(spec: ServiceSpec) -> None:
    """Give up privileges in the only order that works: the bounding set while this is root, groups, user, then the
    capabilities that the new user has; last the way back."""
    if spec.capabilities is not None:
        capabilities.limit_bounding_set(spec.capabilities)
    if spec.ambient_capabilities:
        capabilities.keep_capabilities_over_setuid()
    if spec.extra_groups is not None:
        os.setgroups(spec.extra_groups)
    if spec.group is not None:
        os.setresgid(spec.group, spec.group, spec.group)
    if spec.user is not None:
        os.setresuid(spec.user, spec.user, spec.user)
    if spec.ambient_capabilities:
        capabilities.make_ambient(spec.ambient_capabilities)
    if spec.no_new_privileges:
        capabilities.no_new_privileges()


def _restore_signals(signals: Sequence[int], mask: set[int | signal.Signals]) -> None:
    """Reset what an exec keeps: ignored signals and the mask.  Handlers go before the mask, else one could run."""
    for number in signals:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _execute(programs: Sequence[bytes], words: list[bytes], env: Mapping[bytes, bytes]) -> None:
    """Execute the first of `programs` that exists.  OSError: the first that tells more than that a file is missing."""
    informative = last = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for program in programs:
        try:
            os.execve(program, words, env)
        except OSError as error:
            last = error
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and informative.errno == errno.ENOENT:
                informative = error
    raise informative if informative.errno != errno.ENOENT else last
