"""Passes descriptors to a successor daemon: by the environment in an upgrade, or through systemd's descriptor store.

Each descriptor has a name, such as `lock` or `fifo:web@2`.  Names may not contain the characters that separate them in
the environment and in systemd's store, so all but letters, digits and a few signs is written as %XX.
"""

from __future__ import annotations

import os
import re
import socket
from array import array
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

HANDOVER = "SUPERVISOR_HANDOVER"
"""The environment variable with the descriptors of an upgrade, as `name:number,…`."""
FIRST = 3
"""The first descriptor that systemd passes."""
LONGEST_NAME = 255
"""Characters of a name in systemd's store (sd_pid_notify_with_fds(3))."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9@._/\[\]-]")
_ESCAPED = re.compile(rb"%([0-9A-F]{2})")


def quoted(name: str) -> str:
    """The name with %XX escapes, as FDNAME= and the list allow it."""
    return _UNSAFE.sub(lambda m: b"%%%02X" % m[0][0], os.fsencode(name)).decode()


def unquoted(text: str) -> str:
    """The name without the escapes of `quoted`."""
    return os.fsdecode(_ESCAPED.sub(lambda m: bytes([int(m[1], 16)]), os.fsencode(text)))


def handover(descriptors: Mapping[str, int]) -> str:
    """Make `descriptors` survive an exec and return the value of SUPERVISOR_HANDOVER that names them."""
    for fd in descriptors.values():
        os.set_inheritable(fd, True)
    return ",".join(f"{quoted(name)}:{fd}" for name, fd in descriptors.items())


def inherited(environ: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors that a predecessor or systemd passed, by name; they are close-on-exec from now on.

    Their variables are removed from `environ`.  Invalid descriptors are left out; a second one of the same name is
    closed.
    """
    found: dict[str, int] = {}
    pairs = [*_handed_over(environ.pop(HANDOVER, "")), *_from_store(environ)]
    for name, fd in pairs:
        with suppress(OSError):
            os.set_inheritable(fd, False)
            if name in found:
                os.close(fd)
            else:
                found[name] = fd
    return found


def receive(sock: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """What comes next on a Unix socket, at most `size` bytes, with at most `most` descriptors, which are close-on-exec.

    `socket.recv_fds` ignores its flags, so that what it returns would be inherited by every child."""
    said, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_LEN(most * 4), socket.MSG_CMSG_CLOEXEC)
    found = array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % 4])
    return said, list(found)


def _handed_over(text: str) -> list[tuple[str, int]]:
    pairs = (item.rpartition(":") for item in text.split(",") if item)
    return [(unquoted(name), int(fd)) for name, _, fd in pairs if fd.isdecimal()]


def _from_store(environ: MutableMapping[str, str]) -> list[tuple[str, int]]:
    """By systemd's protocol: LISTEN_FDS descriptors from 3 on, if LISTEN_PID is this process."""
    pid, count, names = (environ.pop(f"LISTEN_{what}", "") for what in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    given = names.split(":") if names else []
    return [
        (unquoted(given[n]) if n < len(given) else f"unknown-{n}", FIRST + n) for n in range(min(int(count), 65536))
    ]
