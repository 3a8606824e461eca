"""The open descriptors of a process: how many, which files, and where its sockets lead."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

from supervisor.adapters.linux import procfs

if TYPE_CHECKING:
    from supervisor.core.model.documents import OpenFile, SocketEnds


SOCKETS = 50
"""Sockets that are described."""
_TABLE = 512 * 1024
"""Bytes read of one of the kernel's socket tables, which hold every socket of the network namespace."""
FILES = 30
"""Descriptors of one process that are no sockets and are named."""
_PATH = 200
_LOOKED_AT = 2000
"""Descriptors that are looked at."""
_STATES = (
    "established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2", "time-wait", "close", "close-wait",
    "last-ack", "listen", "closing",
)  # fmt: skip


def descriptors(base: str, maximum: int, may: Callable[[], bool]) -> tuple[int | None, dict[str, int], list[OpenFile]]:
    """How many descriptors the process at `/proc/PID` has open (None: not ours to see), up to `maximum` of its
    sockets: descriptor by inode, and what the first others are.  `may`: go on?"""
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
    """What the tables of the network namespace of the process at `base` say of these sockets, by inode.

    One that no table knows (unbound, netlink, of another namespace) is left out.  To read the tables costs the
    kernel milliseconds, however few sockets there are: they are read once for all processes."""
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
    """From the kernel's form: each 32-bit word of the address in the machine's byte order, in hexadecimal."""
    address, _, port = text.partition(":")
    packed = b"".join(struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8))
    if len(packed) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"
