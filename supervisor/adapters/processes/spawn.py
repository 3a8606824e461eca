"""Starts a process from its spec: without a shell, in its own session, with no descriptor but those intended for it.

A spawn by vfork takes a fraction of a millisecond, independent of the daemon's size (docs/decisions/0004-vfork.md):
posix_spawn makes it (direct.py), and `subprocess.Popen` for a service that has a user, groups or a umask.  What neither
sets (limits, nice, oom score) is set around it or right after it; see `_inherited_limits`.  Processes that get sockets,
a sandbox or fewer privileges are forked instead (fork_exec.py).  What lies on a file system that may not answer is
started apart from the event loop (apart.py).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.direct import spawn_directly
from supervisor.core.model import sdnotify
from supervisor.core.model.spec import ServiceSpec

LIMITS = {
    name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}
"""Numbers of resource limits by the names used in services.toml."""

_HARMLESS_TO_US = {LIMITS[name] for name in ("nofile", "core", "stack", "memlock", "msgqueue", "sigpending", "rtprio")}
"""Limits that the daemon can set on itself for the moment of the spawn, so that the child has them from its first
instruction.  The others (memory, processes, CPU time) could make the spawn fail and are set right after it."""

_DESCRIPTORS = 16  # that a spawn opens at most, without those for a sandbox

_DEV_NULL = -1


def reset_inherited_state() -> None:
    """Reset ignored signals and make all descriptors close-on-exec, once before the first spawn.

    SIGPIPE and SIGXFSZ stay ignored: a broken pipe and a file at its size limit must be errors in the daemon and not
    end it.  Children get the default actions.
    """
    kept = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT}
    for number in signal.valid_signals() - kept:
        with suppress(OSError, ValueError):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if (fd := int(name)) > 2:
            with suppress(OSError):
                os.set_inheritable(fd, False)


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit of descriptors to the hard limit.  Returns (soft limit, hard limit)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft != wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)


class Spawner:
    """Spawns children with the daemon's environment (less its private variables) and its first descriptor limit."""

    def __init__(self, environment: Mapping[str, str], supervisor_id: str, notify_socket: str) -> None:
        own = {k: v for k, v in environment.items() if not k.startswith(_PRIVATE)} | {"SUPERVISOR_ID": supervisor_id}
        self._base = _encoded(own)
        self._id = supervisor_id
        self._notify_socket = notify_socket
        self._nofile = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._protected = _is_protected()
        self._mounts = mounts()

    def environment(self, spec: ServiceSpec, instance: str, incarnation: int) -> dict[bytes, bytes]:
        """The environment of a child.  The part that all children share is encoded only once, to save time."""
        env = dict(spec.environment)
        env["SUPERVISOR_SERVICE"] = spec.name
        env["SUPERVISOR_INSTANCE"] = instance
        env["SUPERVISOR_INCARNATION"] = str(incarnation)
        heartbeat = spec.heartbeat
        if spec.fd_store:
            env["FDSTORE"] = str(spec.fd_store)
        if spec.notifies:
            env["NOTIFY_SOCKET"] = self._notify_socket
        if heartbeat is not None and heartbeat.notified:
            env["WATCHDOG_USEC"] = str(round(heartbeat.interval * sdnotify.WATCHDOG_INTERVALS * 1e6))
        return self._inherited(spec) | _encoded(env)

    def _inherited(self, spec: ServiceSpec) -> dict[bytes, bytes]:
        """What a child of the service inherits from the daemon, and the mark of this daemon's children."""
        if spec.inherit_environment is None and not spec.unset_environment:
            return self._base
        names = spec.inherited(map(os.fsdecode, self._base)) | {"SUPERVISOR_ID"}
        return {name: value for name, value in self._base.items() if os.fsdecode(name) in names}

    def spawn(
        self,
        spec: ServiceSpec,
        instance: str,
        incarnation: int,
        output: int,
        sockets: Sequence[int] = (),
        errors: int | None = None,
        stored: Sequence[str] = (),
    ) -> int:
        """Start the process with stdout on `output`, stderr on `errors` or else on `output` too, and with `sockets`:
        those of `spec.sockets`, then what it has stored under the names `stored`.

        Returns its pid.  OSError where it cannot be started.
        """
        limits = _limits(spec, self._nofile)
        needed = self._needed(spec)
        mark = marks.mark_for(self._id, instance)
        errors = output if errors is None else errors
        with marks.inherited_by_children(mark), _inherited_limits(limits, _descriptors(spec)) as left:
            environment = self.environment(spec, instance, incarnation)
            if sockets or _needs_fork(spec):
                pid = _fork_exec(spec, environment, output, errors, sockets, needed, stored)
            elif (direct := self._spawn_directly(spec, environment, output, errors)) is not None:
                pid = direct
            else:
                pid = _popen(spec, environment, output, errors)
        _adjust(pid, spec, left, self._protected)
        return pid

    def _spawn_directly(
        self, spec: ServiceSpec, environment: Mapping[bytes, bytes], output: int, errors: int
    ) -> int | None:
        """The pid; None where posix_spawn does not set all that the service has."""
        rights = (spec.user, spec.group, spec.extra_groups, spec.umask)
        if any(right is not None for right in rights) or self._mounts.is_home_remote():
            return None
        return spawn_directly(spec.command, spec.directory, environment, (_dev_null(), output, errors))

    def remote(self, spec: ServiceSpec) -> str | None:
        """The mount point of a file system that may not answer and that a spawn would touch, or None."""
        found = self._mounts.remote_for_exec(spec.command, spec.directory, dict(spec.environment).get("PATH"))
        if found is not None or spec.sandbox is None:
            return found
        from supervisor.adapters.processes.sandbox import touched  # few services need it

        return next(filter(None, map(self._mounts.remote, touched(spec.sandbox))), None)

    def _needed(self, spec: ServiceSpec) -> tuple[str, ...]:
        """Directories that the sandbox of the service does not hide: a later daemon makes its socket there again."""
        return (os.path.dirname(self._notify_socket),) if spec.sandbox and spec.notifies else ()  # noqa: PTH120

    def spawn_apart(
        self,
        spec: ServiceSpec,
        instance: str,
        incarnation: int,
        output: int,
        sockets: Sequence[int] = (),
        errors: int | None = None,
        stored: Sequence[str] = (),
    ) -> tuple[int, int]:
        """Start a process that becomes the service's program as soon as the file system lets it.

        Returns its pid and a pipe, which it writes to where it fails, and which ends when it executes the program.
        """
        from supervisor.adapters.processes.apart import popen_apart  # few services need it
        from supervisor.adapters.processes.fork_exec import directory_of, identity_of, listen_variables

        environment = self.environment(spec, instance, incarnation) | listen_variables(spec, stored)
        errors = output if errors is None else errors
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            mark = marks.mark_for(self._id, instance)
            limits = _limits(spec, self._nofile)
            with marks.inherited_by_children(mark), _inherited_limits(limits, _descriptors(spec)):
                pid = popen_apart(
                    spec.command,
                    directory=directory_of(spec),
                    environment=environment,
                    identity=identity_of(spec),
                    stdin=_dev_null(),
                    output=output,
                    errors=errors,
                    report=writer,
                    sockets=sockets,
                    sandbox=spec.sandbox,
                    needed=self._needed(spec),
                )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return pid, reader

    def adjust(self, pid: int, spec: ServiceSpec) -> None:
        """Set what the program of `spawn_apart` has beyond what it inherited, when it is executed."""
        _adjust(pid, spec, _limits(spec, self._nofile), self._protected)


def _needs_fork(spec: ServiceSpec) -> bool:
    rights = spec.no_new_privileges or spec.capabilities is not None or spec.ambient_capabilities
    return bool(rights or spec.sandbox)


def _fork_exec(
    spec: ServiceSpec,
    environment: Mapping[bytes, bytes],
    output: int,
    errors: int,
    sockets: Sequence[int],
    needed: Sequence[str],
    stored: Sequence[str],
) -> int:
    from supervisor.adapters.processes.fork_exec import fork_exec  # few services need it

    return fork_exec(spec, environment, _dev_null(), output, sockets, needed, errors=errors, stored=stored)


def _popen(spec: ServiceSpec, environment: Mapping[bytes, bytes], output: int, errors: int) -> int:
    process = subprocess.Popen(
        list(spec.command),
        stdin=_dev_null(),
        stdout=output,
        stderr=errors,
        cwd=spec.directory,
        env=environment,
        user=spec.user,
        group=spec.group,
        extra_groups=spec.extra_groups,
        umask=-1 if spec.umask is None else spec.umask,
        start_new_session=True,
        close_fds=False,  # every descriptor is close-on-exec, see reset_inherited_state
    )
    process.returncode = 0  # the daemon waits for it, not the Popen object
    return process.pid


def _encoded(environment: Mapping[str, str]) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}


_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "SUPERVISOR_SOCKET", "FDSTORE", "INVOCATION_ID")


def _dev_null() -> int:
    global _DEV_NULL
    if _DEV_NULL < 0:
        _DEV_NULL = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return _DEV_NULL


def _limits(spec: ServiceSpec, nofile: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """(soft, hard) per resource.  The daemon raised its own descriptor limit, which a child gets only if configured."""
    hard = dict(spec.hard_limits)
    own = {LIMITS[name]: (value, hard.get(name, value)) for name, value in spec.limits}
    return {resource.RLIMIT_NOFILE: nofile} | own


def _descriptors(spec: ServiceSpec) -> int:
    """How many descriptors are opened at most until the program is executed."""
    if spec.sandbox is None:
        return _DESCRIPTORS
    from supervisor.adapters.processes.sandbox import descriptors  # few services need it

    return _DESCRIPTORS + descriptors(spec.sandbox)


@contextmanager
def _inherited_limits(
    limits: Mapping[int, tuple[int, int]], descriptors: int
) -> Iterator[Mapping[int, tuple[int, int]]]:
    """Set the child's soft limits on the daemon inside the block, in which the child is spawned; yields those limits
    that it does not inherit as they are to be.

    A limit that leaves no room for so many more `descriptors` of the daemon is left out.
    """
    before = []
    left = dict(limits)
    for which in _HARMLESS_TO_US & limits.keys():
        wanted = limits[which][0]
        soft, hard = resource.getrlimit(which)
        new = hard if wanted == -1 or (hard != -1 and wanted > hard) else wanted
        if new != soft:
            if which == resource.RLIMIT_NOFILE and new != -1 and not _fit_below(new, descriptors):
                continue
            try:
                resource.setrlimit(which, (new, hard))
            except (OSError, ValueError):
                continue
            before.append((which, (soft, hard)))
        if (new, hard) == limits[which]:
            del left[which]
    try:
        yield left
    finally:
        for which, pair in before:
            resource.setrlimit(which, pair)


def _fit_below(limit: int, descriptors: int) -> bool:
    """Whether the next descriptors have numbers below the limit.

    This is tried, since a descriptor has the lowest free number: one low number says nothing of the next."""
    opened: list[int] = []
    try:
        while len(opened) < descriptors and (not opened or opened[-1] < limit):
            opened.append(os.dup(_dev_null()))
    except OSError:  # too many are open
        return False
    finally:
        for fd in opened:
            os.close(fd)
    return opened[-1] < limit


def _is_protected() -> bool:
    """Whether the daemon is protected from the OOM killer, which children must not inherit."""
    with suppress(OSError, ValueError), open("/proc/self/oom_score_adj") as file:
        return int(file.read()) < 0
    return False


def _adjust(pid: int, spec: ServiceSpec, limits: Mapping[int, tuple[int, int]], protected: bool) -> None:
    """Set hard limits, the remaining soft limits, nice and oom score of a child, which may have ended already."""
    for which, pair in limits.items():
        with suppress(OSError, ValueError):
            resource.prlimit(pid, which, pair)
    with suppress(OSError):
        if spec.nice:
            os.setpriority(os.PRIO_PROCESS, pid, spec.nice)
        if spec.oom_score_adj or protected:
            with open(f"/proc/{pid}/oom_score_adj", "w") as file:
                file.write(str(spec.oom_score_adj))
