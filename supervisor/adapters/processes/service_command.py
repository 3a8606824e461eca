"""Turns this process into a command that runs as a process of a service would, and is not a part of it.

It gets what the service has: environment, directory, user, limits, namespaces, a cgroup with the same limits.  It keeps
the caller's descriptors, terminal, session and process group.  It gets nothing that would make it a part of the
service: no mark, no notify socket, no place in the cgroup of the instance.  So no restart kills it, and no stop waits
for it.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, NoReturn

from supervisor.adapters.linux import namespaces, procfs
from supervisor.adapters.processes import cgroup_tree, marks
from supervisor.adapters.processes.become import (
    drop_privileges,
    execute,
    not_default_signals,
    programs_of,
    restore_signals,
)
from supervisor.adapters.processes.fork_exec import identity_of
from supervisor.adapters.processes.spawn import LIMITS, Spawner
from supervisor.core.model.group_names import EXEC_GROUP
from supervisor.core.model.spec import ServiceSpec

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit codes, as of a shell, for a program that cannot be executed or is not found."""
_NAMESPACES = ("user", "ipc", "uts", "net", "cgroup", "mnt")
"""Those that are entered where the service has others; the user namespace gives the right to enter the rest."""
_NOT_GIVEN = (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", marks.MARKER.encode())
"""With them a command could send messages for the service, and would count as a part of it."""


class Running(NamedTuple):
    """The daemon, and the instance's main process where it runs."""

    daemon: int
    main: int | None
    group: str | None
    """The directory of the daemon's cgroups; None where it has none, or none can be found."""


class Refused(OSError):
    """What the command would need is not permitted; nothing was executed."""


def environment_of(
    spec: ServiceSpec, instance: str, incarnation: int, inherited: Mapping[str, str], more: Mapping[str, str]
) -> dict[bytes, bytes]:
    """The environment of the service, from what it inherits and `more`, without what is not given."""
    found = Spawner(inherited, "", "").environment(spec, instance, incarnation)
    found |= {os.fsencode(name): os.fsencode(value) for name, value in more.items()}
    return {name: value for name, value in found.items() if name not in _NOT_GIVEN}


def environment_of_process(pid: int) -> dict[str, str] | None:
    """The environment that a process was started with; None where it may not be read."""
    content = procfs.read(f"/proc/{pid}/environ")
    if not content:
        return None
    entries = (entry.partition(b"=") for entry in content.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in entries}


def group_directory(name: str, daemon: int, main: int | None) -> str | None:
    """The directory of that name in which the daemon has the cgroups of its instances."""
    mount = cgroup_tree.mount_point()
    if mount is None:
        return None
    own = procfs.cgroup_of(main) if main is not None else None
    if own is not None and f"/{name}/" in own:
        return f"{mount}{own[: own.index(f'/{name}/')]}/{name}"
    above = f"{mount}{(procfs.cgroup_of(daemon) or '/').rstrip('/')}"
    beside = (f"{above}/{name}", f"{os.path.dirname(above)}/{name}")  # noqa: PTH120
    return next(filter(os.path.isdir, beside), None)


def execute_as(
    spec: ServiceSpec,
    instance: str,
    words: Sequence[str],
    environment: Mapping[bytes, bytes],
    running: Running | None,
    note: Callable[[str], object],
) -> NoReturn:
    """Become the command.  `spec` is that of the instance.  `note` is told what could not be kept.

    OSError with a `filename` that says what failed: the step, or the program, for which ENOENT is not found.  Refused
    where the user or a namespace is out of reach."""
    spec = _permitted(spec)
    theirs = _other_namespaces(running.main) if running is not None and running.main is not None else {}
    if running is not None and running.group is not None:
        _join_group(running.group, instance, spec, note)
    _set_limits(spec, running.main if running is not None else None, note)
    identity, signals = identity_of(spec), not_default_signals()
    env, programs = dict(environment), programs_of(words[0], environment)
    where = "privileges"
    try:
        if "user" in theirs:  # what it gives up afterwards would be given up in that namespace alone
            drop_privileges(identity)
        for where in _enter(theirs):  # noqa: B007 - told below, where the step fails
            pass
        if spec.sandbox is not None and not theirs:
            from supervisor.adapters.processes import sandbox  # few services need it

            for step in sandbox.enter(sandbox.prepare(spec.sandbox)):
                where = os.fsdecode(step)
        where = spec.directory or ""
        if spec.directory is not None:
            os.chdir(spec.directory)
        if identity.umask is not None:
            os.umask(identity.umask)
        if "user" not in theirs:
            where = "privileges"
            drop_privileges(identity)
    except OSError as error:
        raise Refused(error.errno, error.strerror, where) from None
    restore_signals(signals, set())
    try:
        execute(programs, [os.fsencode(word) for word in words], env)
    except OSError as error:
        if "/" not in words[0] and not any(map(os.path.lexists, programs)):  # a directory of PATH may not be searched
            raise FileNotFoundError(2, "not found in the PATH of the service", words[0]) from None
        raise OSError(error.errno, error.strerror, words[0]) from None
    raise AssertionError


def _permitted(spec: ServiceSpec) -> ServiceSpec:
    """The spec without groups that this process has already.  Refused where it may not become the user."""
    if os.geteuid() == 0:
        return spec
    if spec.user not in (None, os.geteuid()):
        raise Refused(1, f"the service has user {spec.user}, and only root can become another user", "user")
    if spec.extra_groups is not None and set(spec.extra_groups) <= {*os.getgroups()}:
        return replace(spec, extra_groups=None)
    return spec


def _other_namespaces(main: int) -> dict[str, int]:
    """Descriptors of the namespaces of the main process that are not those of this process, in order of entering."""
    found = {}
    for kind in _NAMESPACES:
        path = f"/proc/{main}/ns/{kind}"
        with suppress(FileNotFoundError):
            try:
                other = os.stat(path).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino  # noqa: PTH116
            except PermissionError:  # a program that may not be looked at; the user is the same, or this is refused
                continue
            if other:
                found[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return found


def _enter(theirs: Mapping[str, int]) -> Iterator[str]:
    for kind, descriptor in theirs.items():
        yield f"{kind} namespace of the service"
        namespaces.enter(descriptor)


def _join_group(root: str, instance: str, spec: ServiceSpec, note: Callable[[str], object]) -> None:
    """Go into a cgroup beside that of the instance, with the same limits."""
    path = f"{root}/{EXEC_GROUP}{instance}"
    try:
        with suppress(FileExistsError):
            os.mkdir(path, 0o755)  # noqa: PTH102
        enabled = (procfs.read(f"{root}/cgroup.subtree_control") or b"").decode().split()
        for name, value in cgroup_tree.kernel_limits(spec.resources).items():
            if name.partition(".")[0] in enabled:
                cgroup_tree.write(f"{path}/{name}", value)
        with open(f"{path}/cgroup.procs", "w") as file:
            file.write("0")
    except OSError as error:
        note(f"it runs in the cgroup of the caller, without the limits of the service's: {error.strerror}")


def _set_limits(spec: ServiceSpec, main: int | None, note: Callable[[str], object]) -> None:
    """The limits that the main process has now; where none runs, or it may not be asked, those of the definition."""
    hard = dict(spec.hard_limits)
    wanted = {LIMITS[name]: (value, hard.get(name, value)) for name, value in spec.limits}
    if main is not None:
        with suppress(OSError):
            wanted = {which: resource.prlimit(main, which) for which in set(LIMITS.values())}
    refused = []
    for which, (soft, most) in wanted.items():
        try:
            resource.setrlimit(which, (soft, most))
        except (OSError, ValueError):
            refused.append(next(name for name, number in LIMITS.items() if number == which))
            with suppress(OSError, ValueError):
                own = resource.getrlimit(which)[1]
                resource.setrlimit(which, (soft if own == -1 or 0 <= soft <= own else own, own))
    try:
        if spec.nice:
            os.setpriority(os.PRIO_PROCESS, 0, spec.nice)
    except OSError:
        refused.append("nice")
    if spec.oom_score_adj and not cgroup_tree.write("/proc/self/oom_score_adj", str(spec.oom_score_adj)):
        refused.append("oom_score_adj")
    if refused:
        note(f"not permitted to set: {', '.join(sorted(refused))}")
