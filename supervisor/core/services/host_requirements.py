"""What a plan requires of the host: the limit of open descriptors, and its directories."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.core.model.spec import Plan, ServiceSpec

DESCRIPTORS_EACH = 3
"""Descriptors of an instance: the pidfd of its main process, the pipe of its output, its log file."""
DESCRIPTORS_OF_STDERR = 2
"""Those of a log of its own for the standard error: another pipe, another file."""
DESCRIPTORS_OF_DAEMON = 256
"""Descriptors that the daemon itself may need."""

OWNER_ONLY, GROUP_MAY_ENTER, ALL_MAY_ENTER = 0o700, 0o710, 0o711


def descriptor_shortage(limit: int, instances: int, with_stderr: int = 0) -> str:
    """The problem that a `limit` of open descriptors is too low for the number of instances; empty if it suffices.

    `with_stderr`: how many of them have a log of their own for the standard error."""
    needed = DESCRIPTORS_EACH * instances + DESCRIPTORS_OF_STDERR * with_stderr + DESCRIPTORS_OF_DAEMON
    if limit >= needed:
        return ""
    return (
        f"{limit} descriptors are few for {instances} instances; "
        f"set LimitNOFILE={needed} (systemd) or ulimit -n {needed}"
    )


def distant_directories(mounts: Mapping[str, str | None]) -> list[str]:
    """The problems of the daemon's own directories, each with the mount point of a file system that may not answer and
    that it is on, or None."""
    return [
        f"{directory} is on {mount}, a file system that may not answer: supervision would wait for it"
        for directory, mount in mounts.items()
        if mount is not None
    ]


def runtime_directory_mode(plan: Plan, user: int) -> int:
    """The mode of the runtime directory of a daemon that runs as `user`.  A service of another user has to reach
    notify.sock in it, and the group of the control socket has to reach that.  What root starts may become another user
    by itself, as Mosquitto and Squid do before they send READY=1."""
    if any(service.user not in (None, user) for service in plan.services):
        return ALL_MAY_ENTER
    if user == 0 and any(map(_notifies, plan.services)):
        return ALL_MAY_ENTER
    return OWNER_ONLY if plan.supervisor.group is None else GROUP_MAY_ENTER


def _notifies(service: ServiceSpec) -> bool:
    """Whether something is awaited of it that comes through notify.sock."""
    ready, heartbeat = service.ready, service.heartbeat
    return (ready is not None and ready.notify) or (heartbeat is not None and heartbeat.source in ("notify", "celery"))
