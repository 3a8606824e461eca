"""Reads exit statuses through pidfds, of own children and of adopted processes that are children of others."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress

from supervisor.adapters.linux import procfs

Status = tuple[int | None, int | None]
"""(exit code, signal); both None where the kernel cannot tell."""

_INFO = struct.Struct("=QQ11Ii")  # struct pidfd_info as of Linux 6.15: mask, cgroupid, 11 ids, exit_code
_PIDFD_GET_INFO = 0xC000FF0B | (_INFO.size << 16)
_PIDFD_INFO_EXIT = 1 << 3


def child_status(pidfd: int) -> Status | None:
    """Reap an own child if it has ended.  None: it still runs.  ChildProcessError: it is no child of this process."""
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return result.si_status, None
    return None, result.si_status


def child_has_ended(pidfd: int) -> bool:
    """The same without reaping it."""
    return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def final_status(pidfd: int) -> Status:
    """How a process that has ended did so, whoever's child it is; an own child is reaped."""
    with suppress(ChildProcessError):
        status = child_status(pidfd)
        if status is not None:
            return status
    return foreign_status(pidfd)


def foreign_status(pidfd: int) -> Status:
    """How a process that is not an own child ended, once its parent has reaped it (POLLHUP on the pidfd).

    Needs Linux 6.15 (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`); on older kernels the status is (None, None).
    """
    info = bytearray(_INFO.size)
    struct.pack_into("=Q", info, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None, None
    fields = _INFO.unpack(info)
    if not fields[0] & _PIDFD_INFO_EXIT:
        return None, None
    status = fields[-1]
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def process_of(pidfd: int) -> int | None:
    """The process that the pidfd refers to; None where it has ended, or `pidfd` is none."""
    found = procfs.read(f"/proc/self/fdinfo/{pidfd}") or b""
    for line in found.splitlines():
        name, _, value = line.partition(b":")
        if name == b"Pid":
            return pid if (pid := int(value)) > 0 else None
    return None


def has_identity(pidfd: int, identity: int) -> bool:
    """Whether the inode of the pidfd is `identity` (Linux 6.9); also True where the kernel gives all of them one."""
    own = os.pidfd_open(os.getpid())
    try:
        inode = os.fstat(pidfd).st_ino
        return inode in (identity, os.fstat(own).st_ino)
    finally:
        os.close(own)
