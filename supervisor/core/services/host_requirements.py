"""What a plan requires of the host: open descriptors, and who may enter the runtime directory."""

from __future__ import annotations

from supervisor.core.model.spec import Plan

DESCRIPTORS_EACH = 3
"""The pidfd of the main process, the pipe of the output, the log file."""
DESCRIPTORS_OF_OUR_OWN = 256

OWNER_ONLY, GROUP_MAY_ENTER, ALL_MAY_ENTER = 0o700, 0o710, 0o711


def descriptor_shortage(limit: int, instances: int) -> str:
    """What is to be said of a `limit` of open descriptors that is low for so many instances; empty if it is not."""
    needed = DESCRIPTORS_EACH * instances + DESCRIPTORS_OF_OUR_OWN
    if limit >= needed:
        return ""
    return (
        f"{limit} descriptors are few for {instances} instances; "
        f"set LimitNOFILE={needed} (systemd) or ulimit -n {needed}"
    )


def runtime_directory_mode(plan: Plan, user: int) -> int:
    """The mode of the runtime directory of a daemon that runs as `user`.  A service of another user has to reach
    notify.sock in it, and the group of the control socket has to reach that."""
    if any(service.user not in (None, user) for service in plan.services):
        return ALL_MAY_ENTER
    return OWNER_ONLY if plan.supervisor.group is None else GROUP_MAY_ENTER
