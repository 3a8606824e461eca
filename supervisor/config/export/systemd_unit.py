"""A systemd unit for a plan: the output of `supervisor systemd`.

Every directive follows a comment that gives its reason. The unit is valid for systemd 250 and later, except
DelegateSubgroup=, which came with 254.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from supervisor.core.model.spec import Plan, ServiceSpec

DELEGATE_SUBGROUP_SINCE = 254
KILLED_WITHIN = 12.0
"""Seconds allowed from a SIGKILL to the end of a process tree; after that the daemon reports the rest and goes on."""
CUSTOMARY_FILES = (1024, 524288)
"""systemd's own soft and hard limit of open files."""
KEPT_AT_LEAST = 256
"""Least size of the descriptor store: a reload can add services."""
_READ_ONLY = ("/usr", "/boot", "/efi", "/bin", "/sbin", "/lib")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def unit(plan: Plan, command: Sequence[str], *, user: bool, version: int, places: tuple[bool, bool]) -> str:
    """The text of the unit.

    `command`: the interpreter and its arguments that run the command line. `user`: for a user's own service manager.
    `version`: that of systemd. `places`: whether the runtime and the state directory are the default ones. Raises
    ValueError for a path that cannot be written in a unit.
    """
    lines = [*_unit(plan), "", *_service(plan, command, user, version, places), "", *_install(user)]
    return "\n".join(lines) + "\n"


def words(command: Sequence[str]) -> str:
    """A command line for Exec…=: quoted, and with specifiers escaped. Raises ValueError if that is impossible."""
    if "$" in command[0]:
        raise ValueError(f"{command[0]}: a program whose path holds a $ cannot stand in a unit")
    return " ".join(_word(word) for word in command)


def _word(word: str) -> str:
    text = plain(word).replace("$", "$$")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def plain(text: str) -> str:
    """`text` with specifiers escaped. Raises ValueError for control characters."""
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError(f"{text!r}: a unit cannot hold control characters")
    return text.replace("%", "%%")


def _unit(plan: Plan) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Supervisor {plan.supervisor.name} of {plain(plan.path)}"
    yield "After=network.target"
    yield "# However often it was killed: its services are to have a supervisor again."
    yield "StartLimitIntervalSec=0"


def _service(plan: Plan, command: Sequence[str], user: bool, version: int, places: tuple[bool, bool]) -> Iterator[str]:
    own = f"supervisor/{plan.supervisor.name}"
    socket = f"%t/{own}/control.sock" if places[0] else _word(f"{plan.supervisor.runtime_dir}/control.sock")
    yield "[Service]"
    yield "# Active when the services are ready, or have failed; from then on a sign of life is due, and comes only"
    yield "# from a loop that turns.  A process that is stopped (SIGSTOP) would outsit any other signal."
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield "WatchdogSec=30s"
    yield "WatchdogSignal=SIGKILL"
    yield f"ExecStart={words([*command, 'run', '-f', plan.path])}"
    yield f"ExecReload={words([*command, 'reload', '--socket'])} {socket}"
    yield "# After a crash the next one takes the services up again; an error in the configuration would only recur."
    yield "Restart=on-failure"
    yield "RestartSec=500ms"
    yield "RestartPreventExitStatus=2"
    yield "# Only the supervisor itself is signalled and killed.  On `stop` it ends every service in its turn; after a"
    yield "# crash they live on, to be adopted."
    yield "KillMode=process"
    yield "# It asks for more time while it starts or stops; this long without a word, and it is killed."
    yield "TimeoutStartSec=90s"
    yield f"TimeoutStopSec={round(stop_time(plan))}s"
    yield "# Output and sockets of the services, held while no supervisor runs."
    yield f"FileDescriptorStoreMax={_store_size(plan)}"
    if places[0] and plan.supervisor.group is not None:
        yield "# RuntimeDirectory= is left out: it would take the directory away from the `group` that may come in."
    elif places[0]:
        stays = any(s.detach for s in plan.services)
        yield "# Its sockets and pipes; what it left there is what the next one finds."
        yield f"RuntimeDirectory={own}"
        yield f"RuntimeDirectoryMode={'0711' if _has_other_users(plan) and not user else '0700'}"
        yield f"RuntimeDirectoryPreserve={'yes' if stays else 'restart'}"
    if places[1] and not user:
        yield "# Its ledger and the logs of the services."
        yield f"StateDirectory={own}"
        yield "StateDirectoryMode=0700"
    yield "# A cgroup for each instance: nothing that it forks escapes."
    yield "Delegate=yes"
    if version >= DELEGATE_SUBGROUP_SINCE:
        yield "# Itself put aside in one, so that the kernel's controllers can be had for the others."
        yield "DelegateSubgroup=supervisor"
    yield "# A service that runs out of memory is restarted by us; it is no reason to end the others.  The kernel is to"
    yield "# spare the supervisor (services get their own `oom_score_adj`)."
    yield "OOMPolicy=continue"
    if not user:
        yield "OOMScoreAdjust=-900"
    yield f"# Descriptors for {_instances(plan)} instances and more; services get the customary soft limit."
    yield f"LimitNOFILE={CUSTOMARY_FILES[0]}:{max(CUSTOMARY_FILES[1], 4 * (3 * _instances(plan) + 256))}"
    yield "# Services limit their own processes (`max_tasks`)."
    yield "TasksMax=infinity"
    yield from _sandbox(plan, user)


def _sandbox(plan: Plan, user: bool) -> Iterator[str]:
    yield ""
    if user:
        yield "# No sandboxing here: a user's service manager can give none without NoNewPrivileges=, and then no"
        yield "# service could use sudo, newuidmap, fusermount and the like."
        return
    yield "# What follows holds for the supervisor and for all its services.  Remove what one of them needs."
    yield "# Files are for their owner alone, unless a service has its own `umask`."
    yield "UMask=0077"
    if writers := sorted(_working_below_usr(plan)):
        yield f"# ProtectSystem= is left out: {', '.join(writers)} could not write where it lives."
    else:
        yield "# Nobody changes the operating system's own files."
        yield "ProtectSystem=true"
    if changers := [s.name for s in plan.services if s.user is not None]:
        yield f"# NoNewPrivileges= is left out: {_some(changers)} may need sudo and the like.  See `no_new_privileges`."
    else:
        yield "# No program gains rights when it is executed; there is nothing above root to gain."
        yield "NoNewPrivileges=yes"
    yield "# Nobody loads kernel modules."
    yield "ProtectKernelModules=yes"
    if realtime := [s.name for s in plan.services if _wants_realtime(s)]:
        yield f"# RestrictRealtime= is left out: {_some(realtime)} has `rtprio`."
    else:
        yield "# Nobody takes the processor from everybody else by real-time scheduling."
        yield "RestrictRealtime=yes"
    yield "# Nobody changes the execution domain; system calls only of the machine's own kind."
    yield "LockPersonality=yes"
    yield "SystemCallArchitectures=native"


def _install(user: bool) -> Iterator[str]:
    yield "[Install]"
    yield f"WantedBy={'default' if user else 'multi-user'}.target"


def stop_time(plan: Plan) -> float:
    """Seconds that an orderly shutdown takes at most: along the longest chain of services that stop one after the
    other.
    """
    within: dict[str, float] = {}
    for spec in plan.services:  # dependencies come first
        chain = max((within[d] for d in spec.depends_on), default=0.0)
        within[spec.name] = chain + spec.stop_timeout + KILLED_WITHIN
    return max(within.values(), default=0.0) + KILLED_WITHIN


def _store_size(plan: Plan) -> int:
    """Descriptors to store: pipes, sockets and the supervisor's own three; twice as many, for what a reload may add."""
    return max(KEPT_AT_LEAST, 2 * (_instances(plan) + sum(len(s.sockets) for s in plan.services) + 3))


def _instances(plan: Plan) -> int:
    return sum(s.replicas for s in plan.services)


def _has_other_users(plan: Plan) -> bool:
    return any(s.user not in (None, 0) for s in plan.services)


def _wants_realtime(spec: ServiceSpec) -> bool:
    return any(name == "rtprio" and value != 0 for name, value in spec.limits)


def _working_below_usr(plan: Plan) -> Iterator[str]:
    """The services, or the supervisor, with a directory that ProtectSystem= would make read-only."""
    if any(map(_is_protected, (plan.supervisor.runtime_dir, plan.supervisor.state_dir))):
        yield "the supervisor"
    yield from (s.name for s in plan.services if s.directory is not None and _is_protected(s.directory))


def _is_protected(path: str) -> bool:
    return any(posixpath.commonpath((top, path)) == top for top in _READ_ONLY)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
