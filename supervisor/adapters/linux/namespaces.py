"""Mount and user namespaces of the calling process, and the mounts in them: system calls that Python 3.11 lacks.

Each function makes one or two system calls and raises OSError, so a forked child may use them before its exec.
"""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWUSER = 0x1000_0000
_MS_REC = 1 << 14
_MS_SLAVE = 1 << 19
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""Numbers of system calls, which are the same on every processor but Alpha."""
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_SYMLINKS = 0x10
_MOUNT_ATTR_RDONLY = 1

NOSUID, NODEV, NOEXEC = 2, 4, 8
"""Flags of a new file system: no setuid programs, no devices, no programs."""

_libc = ctypes.CDLL(None, use_errno=True)
_unshare, _setns, _mount, _syscall = _libc.unshare, _libc.setns, _libc.mount, _libc.syscall
"""Looked up here because a forked child must not: another thread may have held the dynamic linker's lock."""
_syscall.restype = ctypes.c_long
_long, _text = ctypes.c_ulong, ctypes.c_char_p


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def enter(namespace: int) -> None:
    """Enter the namespace behind this descriptor of /proc/PID/ns/KIND."""
    _check(_setns(namespace, 0))


def leave_mount_namespace() -> None:
    """Give this process mounts of its own.  Later mounts of the host still arrive; its own do not leave."""
    _check(_unshare(_CLONE_NEWNS))
    _own_mounts()


def leave_user_and_mount_namespace(uid_map: bytes, gid_map: bytes) -> None:
    """The same without root: in a user namespace in which only these ids exist (user_namespaces(7))."""
    _check(_unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    for name, text in ((b"setgroups", b"deny"), (b"uid_map", uid_map), (b"gid_map", gid_map)):
        fd = os.open(b"/proc/self/" + name, os.O_WRONLY)
        os.write(fd, text)
        os.close(fd)
    _own_mounts()


def _own_mounts() -> None:
    _check(_mount(None, _text(b"/"), None, _long(_MS_REC | _MS_SLAVE), None))


def open_tree(path: bytes) -> int:
    """A copy of what is mounted at and below `path`, or of the part of it that begins there: a descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return _check(_syscall(_long(_OPEN_TREE), _AT_FDCWD, _text(path), ctypes.c_uint(flags)))


def place_tree(tree: int, path: bytes) -> None:
    """Mount what `open_tree` gave at `path`."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_SYMLINKS
    _check(_syscall(_long(_MOVE_MOUNT), tree, _text(b""), _AT_FDCWD, _text(path), ctypes.c_uint(flags)))


def tree_read_only(tree: int) -> None:
    """Make every mount of what `open_tree` gave read-only."""
    _set_read_only(tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE)


def all_read_only(path: bytes) -> None:
    """Make the mount at `path` and every mount below it read-only."""
    _set_read_only(_AT_FDCWD, path, _AT_RECURSIVE)


def read_only(path: bytes) -> None:
    """Make the mount at `path` read-only, and none below it."""
    _set_read_only(_AT_FDCWD, path, 0)


def mount_new(kind: bytes, path: bytes, options: bytes, flags: int) -> None:
    """Mount a new file system, which needs no device, at `path`."""
    _check(_mount(_text(kind), _text(path), _text(kind), _long(flags), _text(options)))


def _set_read_only(directory: int, path: bytes, flags: int) -> None:
    wanted = _MountAttributes(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    _check(_syscall(_long(_MOUNT_SETATTR), directory, _text(path), ctypes.c_uint(flags), ctypes.byref(wanted), size))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
