"""From a spec to a running process where `subprocess.Popen` is not enough: sockets at fixed descriptors, LISTEN_PID,
and fewer privileges.

The child's own pid can only be put into its environment by the child, so this is a true fork, in which a dozen system
calls are made before the exec.  It takes about a millisecond longer than Popen's vfork, which shares our memory and
can run no Python.  It is sound because the daemon has no threads: no lock can be held by one that is not there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence

from supervisor.adapters.linux import capabilities
from supervisor.core.model.spec import ServiceSpec

FIRST = 3
"""The first descriptor of those that are handed over (sd_listen_fds(3))."""
_LONGEST_ERROR = 4096


def fork_exec(
    spec: ServiceSpec, environment: Mapping[bytes, bytes], stdin: int, output: int, sockets: Sequence[int]
) -> int:
    """Start the process with `sockets` as 3, 4, …; its pid.  OSError says why it cannot be, as Popen would."""
    env = dict(environment)
    if sockets:
        env[b"LISTEN_FDS"] = str(len(sockets)).encode()
        env[b"LISTEN_FDNAMES"] = ":".join(s.label or spec.name for s in spec.sockets).encode()
    programs = _candidates(os.fsencode(spec.command[0]), env)
    said, says = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # no handler of ours may run in the child
    try:
        pid = os.fork()
        if pid == 0:
            _become(spec, programs, env, (stdin, output, output, *sockets), says, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(says)
    try:
        word = os.read(said, _LONGEST_ERROR)  # nothing, once the exec has closed the other end
    finally:
        os.close(said)
    if word:
        os.waitpid(pid, 0)
        number, _, subject = word.partition(b" ")
        raise OSError(int(number), os.strerror(int(number)), os.fsdecode(subject) or spec.command[0])
    return pid


def _candidates(program: bytes, env: Mapping[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    places = env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(place, program) for place in places]  # noqa: PTH118


def _become(
    spec: ServiceSpec,
    programs: Sequence[bytes],
    env: dict[bytes, bytes],
    descriptors: Sequence[int],
    says: int,
    mask: set[int | signal.Signals],
) -> None:
    """In the child.  It never returns."""
    subject = b""
    try:
        says = fcntl.fcntl(says, fcntl.F_DUPFD_CLOEXEC, len(descriptors))
        _place(descriptors)
        os.setsid()
        if spec.directory is not None:
            subject = os.fsencode(spec.directory)
            os.chdir(spec.directory)
        if spec.umask is not None:
            os.umask(spec.umask)
        subject = b"privileges"
        _drop_privileges(spec)
        subject = b""
        if len(descriptors) > FIRST:
            env[b"LISTEN_PID"] = str(os.getpid()).encode()
        _restore_signals(mask)
        _execute(programs, [os.fsencode(word) for word in spec.command], env)
    except OSError as error:
        os.write(says, b"%d %s" % (error.errno or errno.EINVAL, subject))
    finally:
        os._exit(255)


def _place(descriptors: Sequence[int]) -> None:
    """Have them as 0, 1, 2, …, inherited; first out of each other's way."""
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(descriptors)) for fd in descriptors]
    for number, fd in enumerate(aside):
        os.dup2(fd, number, inheritable=True)


def _drop_privileges(spec: ServiceSpec) -> None:
    """The bounding set while we may, then groups and user, then what the new user is to have; nothing to regain."""
    if spec.capabilities is not None:
        capabilities.bound(spec.capabilities)
    if spec.ambient_capabilities:
        capabilities.keep_over_setuid()
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


def _restore_signals(mask: set[int | signal.Signals]) -> None:
    """What an exec would not: what Python ignores.  Handlers go first: one could run before the exec."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _execute(programs: Sequence[bytes], words: list[bytes], env: Mapping[bytes, bytes]) -> None:
    """The first of `programs` that there is; the error is the first that says more than that one is not there."""
    telling = last = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for program in programs:
        try:
            os.execve(program, words, env)
        except OSError as error:
            last = error
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and telling.errno == errno.ENOENT:
                telling = error
    raise telling if telling.errno != errno.ENOENT else last
