"""The last steps of a child before its exec: descriptors, session, directory, privileges, signals, program.

A forked child of the daemon makes them (fork_exec.py), and a process that is started only to make them (apart.py).  The
child of a fork must not import, look up a symbol or write to a file object (fork_exec.py says why): it only makes
system calls here.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from supervisor.adapters.linux import capabilities
from supervisor.adapters.linux.mounts import candidates
from supervisor.adapters.processes import sandbox
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import SandboxSpec

FIRST = 3
"""The first descriptor of those that are handed over (sd_listen_fds(3))."""
CANNOT_EXECUTE = 127
"""The exit status of a command that could not be executed, as of a shell."""


class Identity(NamedTuple):
    """With which rights the program runs: the fields of a `ServiceSpec` of the same names."""

    umask: int | None = None
    user: int | None = None
    group: int | None = None
    extra_groups: Sequence[int] | None = None
    capabilities: Collection[int] | None = None
    ambient_capabilities: Collection[int] = ()
    no_new_privileges: bool = False


class Prepared(NamedTuple):
    """All that the child needs, computed before."""

    identity: Identity
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
    sandbox: sandbox.Sandbox | None = None


def programs_of(word: str, environment: Mapping[bytes, bytes]) -> list[bytes]:
    """The paths at which the program of a command is looked for."""
    return candidates(os.fsencode(word), environment.get(b"PATH", os.fsencode(os.defpath)))


def not_default_signals() -> list[int]:
    """The signals that this process handles or ignores."""
    changeable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    return [int(n) for n in changeable if signal.getsignal(n) not in (signal.SIG_DFL, None)]


def become(prepared: Prepared, report: int) -> None:
    """Turn this process into the program; write `ERRNO SUBJECT` to `report` where that fails.  Never returns.

    `report` -1: say it on stderr instead, for a reader."""
    subject = b""
    try:
        identity, descriptors, env = prepared.identity, prepared.descriptors, prepared.environment
        if report >= 0:
            report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, len(descriptors))
        _place(descriptors)
        if os.getsid(0) != os.getpid():
            os.setsid()
        if prepared.sandbox is not None:
            for subject in sandbox.enter(prepared.sandbox):  # noqa: B007 - told below, where the step fails
                pass
        if prepared.directory is not None:
            subject = prepared.directory
            os.chdir(prepared.directory)
        if identity.umask is not None:
            os.umask(identity.umask)
        subject = b"privileges"
        drop_privileges(identity)
        subject = b""
        if len(descriptors) > FIRST:
            env[b"LISTEN_PID"] = b"%d" % os.getpid()
        restore_signals(prepared.signals, prepared.mask)
        execute(prepared.programs, prepared.words, env)
    except OSError as error:
        if report >= 0:
            os.write(report, b"%d %s" % (error.errno or errno.EINVAL, subject))
        else:
            os.write(2, b"%s: %s\n" % (subject or prepared.words[0], os.fsencode(error.strerror or "")))
    finally:
        os._exit(CANNOT_EXECUTE)


def _place(descriptors: Sequence[int]) -> None:
    """Make them 0, 1, 2, …, inherited.  They are copied to high numbers first, so that none overwrites another."""
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(descriptors)) for fd in descriptors]
    for number, fd in enumerate(aside):
        os.dup2(fd, number, inheritable=True)


def drop_privileges(spec: Identity) -> None:
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


def restore_signals(signals: Sequence[int], mask: set[int | signal.Signals]) -> None:
    """Reset what an exec keeps: ignored signals and the mask.  Handlers go before the mask, else one could run."""
    for number in signals:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def execute(programs: Sequence[bytes], words: list[bytes], env: Mapping[bytes, bytes]) -> None:
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


def _sandbox(asked: Mapping[str, Any]) -> sandbox.Sandbox | None:
    if asked["sandbox"] is None:
        return None
    return sandbox.prepare(from_plain(SandboxSpec, asked["sandbox"]), asked["needed"])


def main(job: int) -> None:
    """Become the program of the job in this descriptor (apart.py writes it).  The environment is this process's own.

    It is read from the kernel, because Python changes its own copy where the locale is C.
    """
    with open(job, "rb") as file:
        asked: dict[str, Any] = json.load(file)
    with open("/proc/self/environ", "rb") as file:
        block = file.read()
    environment = dict(entry.split(b"=", 1) for entry in block.split(b"\0") if b"=" in entry)
    if asked["report"] >= 0:
        os.set_inheritable(asked["report"], False)
    become(
        Prepared(
            identity=Identity(**asked["identity"]),
            programs=programs_of(asked["command"][0], environment),
            words=[os.fsencode(word) for word in asked["command"]],
            environment=environment,
            directory=None if asked["directory"] is None else os.fsencode(asked["directory"]),
            descriptors=(0, 1, 2, *asked["sockets"]),
            signals=not_default_signals(),
            mask=set(),
            sandbox=_sandbox(asked),
        ),
        asked["report"],
    )
