"""A systemd unit for a plan: the output of `supervisor systemd`.

Every directive follows a comment that gives its reason. The unit is valid for systemd 250 and later, except
DelegateSubgroup=, which came with 254.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from supervisor.config.schema.addresses import with_numbers
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.host_requirements import ALL_MAY_ENTER, runtime_directory_mode

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
        raise ValueError(f"{command[0]}: a program whose path holds a $ cannot be written into a unit")
    return " ".join(_word(word) for word in command)


def _word(word: str) -> str:
    text = plain(word).replace("$", "$$")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def plain(text: str) -> str:
    """`text` with specifiers escaped. Raises ValueError for control characters."""
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError(f"{text!r}: a unit cannot contain control characters")
    return text.replace("%", "%%")


def _unit(plan: Plan) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Supervisor {plan.supervisor.name} of {plain(plan.path)}"
    yield "After=network.target"
    yield "# No start limit: however often the daemon was killed, it is started again."
    yield "StartLimitIntervalSec=0"


def _service(plan: Plan, command: Sequence[str], user: bool, version: int, places: tuple[bool, bool]) -> Iterator[str]:
    own = f"supervisor/{plan.supervisor.name}"
    socket = f"%t/{own}/control.sock" if places[0] else _word(f"{plan.supervisor.runtime_dir}/control.sock")
    yield "[Service]"
    yield "# Active when the services are ready or have failed; from then on the daemon must send WATCHDOG=1, as only"
    yield "# a running event loop does.  SIGKILL, because a stopped process (SIGSTOP) ignores every other signal."
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield "WatchdogSec=30s"
    yield "WatchdogSignal=SIGKILL"
    profiles = [word for name in plan.profiles for word in ("--profile", name)]
    yield f"ExecStart={words([*command, 'run', '-f', plan.path, *profiles])}"
    yield f"ExecReload={words([*command, 'reload', '--socket'])} {socket}"
    yield "# After a crash the next daemon adopts the services, even if the configuration has an error by then.  Exit"
    yield "# status 2: nothing was left to adopt, and a further start would find the same error."
    yield "Restart=on-failure"
    yield "RestartSec=500ms"
    yield "RestartPreventExitStatus=2"
    yield "# Only the daemon itself is signalled and killed.  On `stop` it stops the services in order; after a crash"
    yield "# they keep running and are adopted."
    yield "KillMode=process"
    yield "# The daemon extends these times while it starts or stops; without an extension it is killed."
    yield "TimeoutStartSec=90s"
    yield f"TimeoutStopSec={round(stop_time(plan))}s"
    yield "# Output and sockets of the services, kept while no daemon runs."
    yield f"FileDescriptorStoreMax={_store_size(plan)}"
    if places[0] and plan.supervisor.group is not None:
        yield "# RuntimeDirectory= is left out: it would deny the directory to `group`."
    elif places[0]:
        stays = any(s.detach for s in plan.services)
        yield "# Sockets and pipes of the daemon; kept for the next one."
        yield f"RuntimeDirectory={own}"
        entered = not user and runtime_directory_mode(plan, 0) == ALL_MAY_ENTER
        yield f"RuntimeDirectoryMode={'0711' if entered else '0700'}"
        yield f"RuntimeDirectoryPreserve={'yes' if stays else 'restart'}"
    if places[1] and not user:
        yield "# The ledger, and the logs of the services."
        yield f"StateDirectory={own}"
        yield "StateDirectoryMode=0700"
    yield "# One cgroup per instance, so that no process it forks escapes."
    yield "Delegate=yes"
    if version >= DELEGATE_SUBGROUP_SINCE:
        yield "# The daemon has a cgroup of its own, so that controllers can be enabled for the others."
        yield "DelegateSubgroup=supervisor"
    yield "# A service that runs out of memory is restarted by the daemon; the others keep running.  The kernel should"
    yield "# spare the daemon (services get their own `oom_score_adj`)."
    yield "OOMPolicy=continue"
    if not user:
        yield "OOMScoreAdjust=-900"
    yield f"# Descriptors for {_instances(plan)} instances and more; services get the usual soft limit."
    yield f"LimitNOFILE={CUSTOMARY_FILES[0]}:{max(CUSTOMARY_FILES[1], 4 * (3 * _instances(plan) + 256))}"
    yield "# Services limit their own processes (`max_tasks`)."
    yield "TasksMax=infinity"
    yield from _sandbox(plan, user)


def _sandbox(plan: Plan, user: bool) -> Iterator[str]:
    yield ""
    if user:
        yield "# No sandboxing: a user's service manager requires NoNewPrivileges= for it, and then no service could"
        yield "# use sudo, newuidmap, fusermount and the like."
        return
    yield "# The rest applies to the daemon and to all its services.  Remove what a service cannot work with."
    yield "# Files are private to their owner, unless a service sets its own `umask`."
    yield "UMask=0077"
    if writers := sorted(_working_below_usr(plan)):
        yield f"# ProtectSystem= is left out: {', '.join(writers)} could not write to its own directory."
    else:
        yield "# The files of the operating system are read-only."
        yield "ProtectSystem=true"
    if changers := [s.name for s in plan.services if s.user is not None]:
        yield f"# NoNewPrivileges= is left out: {_some(changers)} may need sudo and the like.  See `no_new_privileges`."
    else:
        yield "# No program gains privileges when it is executed."
        yield "NoNewPrivileges=yes"
    yield "# No kernel modules can be loaded."
    yield "ProtectKernelModules=yes"
    if realtime := [s.name for s in plan.services if _wants_realtime(s)]:
        yield f"# RestrictRealtime= is left out: {_some(realtime)} has `rtprio`."
    else:
        yield "# No real-time scheduling, which could take the processor from everything else."
        yield "RestrictRealtime=yes"
    yield "# The execution domain is fixed, and only native system calls are allowed."
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
        within[spec.name] = chain + spec.longest_stop + KILLED_WITHIN
    return max(within.values(), default=0.0) + KILLED_WITHIN


def _store_size(plan: Plan) -> int:
    """Descriptors to store: pipes, sockets and the supervisor's own three; twice as many, for what a reload may add."""
    return max(KEPT_AT_LEAST, 2 * (_instances(plan) + sum(map(_sockets, plan.services)) + 3))


def _sockets(spec: ServiceSpec) -> int:
    """Sockets of a service: those whose URL differs from instance to instance count once for each."""
    return sum(spec.replicas if with_numbers(s.url) != s.url else 1 for s in spec.sockets)


def _instances(plan: Plan) -> int:
    return sum(s.replicas for s in plan.services)


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
