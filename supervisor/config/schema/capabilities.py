"""Linux capabilities by name (capabilities(7)); the index in NAMES is the kernel's number."""

from __future__ import annotations

from typing import Any

from supervisor.config.schema.values import text
from supervisor.config.units import quoted
from supervisor.core.text.nearest import did_you_mean

NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip


def capability(value: Any) -> int:
    """The number of a capability such as `CAP_NET_RAW`, also written `net_raw`."""
    name = text(value).upper().removeprefix("CAP_")
    if name not in NAMES:
        near = did_you_mean(f"CAP_{name}", [f"CAP_{known}" for known in NAMES])
        raise ValueError(f"{quoted(value)} is not a capability{near}")
    return NAMES.index(name)
