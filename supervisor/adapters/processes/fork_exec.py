"""Starts a process where `subprocess.Popen` cannot: with sockets at fixed descriptors, LISTEN_PID, fewer privileges.

Only the child can put its own pid into its environment, so this is a true fork with a dozen system calls before the
exec.  It takes about a millisecond longer than Popen's vfork, in whose child no Python can run.

The daemon has threads: one compresses logs, one writes the ledger's checkpoint, one for each host name looks it up,
one waits for the signal of a socket.
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

import gc
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from supervisor.adapters.processes.become import Identity, Prepared, become, not_default_signals, programs_of
from supervisor.adapters.processes.sandbox import DEVICE_CAPABILITIES, prepare
from supervisor.core.model.spec import ServiceSpec

_LONGEST_ERROR = 4096


def fork_exec(
    spec: ServiceSpec,
    environment: Mapping[bytes, bytes],
    stdin: int,
    output: int,
    sockets: Sequence[int],
    needed: Sequence[str] = (),
    *,
    errors: int | None = None,
    stored: Sequence[str] = (),
) -> int:
    """Start the process with `sockets` as 3, 4, …, stderr on `errors` or else on `output`, and return its pid.

    OSError as from Popen where that fails.

    `needed`: directories that a sandbox does not hide.  `stored`: the names of those of `sockets` that are not of
    `spec.sockets`, which come first.
    """
    env = dict(environment)
    env |= listen_variables(spec, stored)
    prepared = Prepared(
        identity=identity_of(spec),
        programs=programs_of(spec.command[0], env),
        words=[os.fsencode(word) for word in spec.command],
        environment=env,
        directory=None if (directory := directory_of(spec)) is None else os.fsencode(directory),
        descriptors=(stdin, output, output if errors is None else errors, *sockets),
        signals=not_default_signals(),
        mask=signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        sandbox=None if spec.sandbox is None else prepare(spec.sandbox, needed),
    )
    reader, writer = os.pipe()
    try:
        with _ready_to_fork(prepared.mask):
            pid = os.fork()
            if pid == 0:
                become(prepared, writer)
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


def identity_of(spec: ServiceSpec) -> Identity:
    """The rights of a service's program."""
    rights = Identity(*(getattr(spec, name) for name in Identity._fields))
    if spec.sandbox is not None and spec.sandbox.private_devices and os.geteuid() == 0:
        kept = range(64) if rights.capabilities is None else rights.capabilities
        return rights._replace(capabilities=tuple(n for n in kept if n not in DEVICE_CAPABILITIES))
    return rights


def directory_of(spec: ServiceSpec) -> str | None:
    """The directory to enter; None leaves the daemon's own.  In a sandbox that too is looked up again, by its path."""
    return os.getcwd() if spec.directory is None and spec.sandbox is not None else spec.directory  # noqa: PTH109


def listen_variables(spec: ServiceSpec, stored: Sequence[str] = ()) -> dict[bytes, bytes]:
    """What tells a program of the sockets that it is handed, and of what it has stored under these names; LISTEN_PID is
    added by the process itself."""
    names = [*(s.label or spec.name for s in spec.sockets), *stored]
    if not names:
        return {}
    return {b"LISTEN_FDS": str(len(names)).encode(), b"LISTEN_FDNAMES": ":".join(names).encode()}


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
