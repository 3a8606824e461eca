"""Reads the open descriptors of a process: their number, files, and the ends of its sockets."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

from supervisor.adapters.linux import procfs

if TYPE_CHECKING:
    from supervisor.core.model.evidence_documents import OpenFile
    from supervisor.core.model.socket_documents import SocketEnds


SOCKETS = 50
"""Sockets in the evidence at most."""
_TABLE = 512 * 1024
"""Bytes read of one of the kernel's socket tables, which hold every socket of the network namespace."""
FILES = 30
"""Other descriptors of one process in the evidence at most."""
_PATH = 200
"""Characters of a path."""
_LOOKED_AT = 2000
"""Descriptors of one process that are read at most."""
_STATES = (
    "established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2", "time-wait", "close", "close-wait",
    "last-ack", "listen", "closing",
)  # fmt: skip


def descriptors(base: str, maximum: int, may: Callable[[], bool]) -> tuple[int | None, dict[str, int], list[OpenFile]]:
    """The open descriptors of the process at `base` (`/proc/PID`).

    Returns their number (None: may not be read), up to `maximum` sockets as descriptor by inode, and the first of the
    others.  `may()` is False when the time is over.
    """
    try:
        numbers = os.listdir(f"{base}/fd")  # noqa: PTH208 - pathlib costs
    except OSError:
        return None, {}, []
    found: dict[str, int] = {}
    files: list[OpenFile] = []
    for number in numbers[:_LOOKED_AT]:
        if len(found) >= maximum or not may():
            break
        try:
            target = os.readlink(f"{base}/fd/{number}")  # noqa: PTH115
        except OSError:
            continue
        if target.startswith("socket:["):
            found[target[8:-1]] = int(number)
        elif len(files) < FILES:
            files.append({"fd": int(number), "is": target.encode(errors="replace").decode()[:_PATH]})
    return len(numbers), found, files


def describe(base: str, inodes: Set[str], may: Callable[[], bool]) -> dict[str, SocketEnds]:
    """The ends of these sockets by inode, from the tables of the network namespace of the process at `base`.

    A socket that is in no table (unbound, netlink, of another namespace) is left out.  Reading the tables takes the
    kernel milliseconds, however few sockets are wanted, so they are read once for all processes.
    """
    found: dict[str, SocketEnds] = {}
    for table in ("unix", "tcp", "tcp6", "udp", "udp6"):
        if len(found) == len(inodes) or not may():
            break
        place = 6 if table == "unix" else 9
        for line in (procfs.read(f"{base}/net/{table}", _TABLE) or b"").decode(errors="replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > place and fields[place] in inodes:
                found[fields[place]] = _unix(fields) if table == "unix" else _inet(table, fields)
    return found


def _unix(fields: list[str]) -> SocketEnds:
    return {"kind": "unix", "path": fields[7] if len(fields) > 7 else None}


def _inet(table: str, fields: list[str]) -> SocketEnds:
    sent, _, received = fields[4].partition(":")
    number = int(fields[3], 16)
    described: SocketEnds = {"kind": table, "local": _address(fields[1]), "remote": _address(fields[2])}
    if table.startswith("tcp"):
        described["state"] = _STATES[number - 1] if 1 <= number <= len(_STATES) else str(number)
    described["send_queue"], described["receive_queue"] = int(sent, 16), int(received, 16)
    return described


def _address(text: str) -> str:
    """Format an address of the kernel's tables: hexadecimal 32-bit words in the machine's byte order."""
    address, _, port = text.partition(":")
    packed = b"".join(struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8))
    if len(packed) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"
