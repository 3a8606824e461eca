"""The directory and the file of HAProxy; and whether an address is free to listen on."""

from __future__ import annotations

import os
import pwd
import socket
from contextlib import suppress

from supervisor.core.balancing.haproxy_config import Place

ACCOUNTS = ("haproxy", "nobody")
"""Accounts for the worker where root starts it: the first one that exists."""


def place(runtime_dir: str, name: str) -> Place:
    """Where HAProxy has its files, and as whom its worker runs."""
    directory = f"{runtime_dir}/{name}"
    if os.geteuid() != 0:
        return Place(directory)
    for account in ACCOUNTS:
        with suppress(KeyError):
            return Place(directory, account, _group_of(account))
    return Place(directory)


def _group_of(account: str) -> str:
    import grp

    return grp.getgrgid(pwd.getpwnam(account).pw_gid).gr_name


def write(where: Place, text: str) -> None:
    """Write the file as a whole, readable by its owner only.  OSError."""
    os.makedirs(where.root, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib would cost the daemon memory
    os.chmod(where.directory, 0o700)  # noqa: PTH101
    new = f"{where.file}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(text)
        os.rename(new, where.file)  # noqa: PTH104
    except OSError:
        with suppress(OSError):
            os.unlink(new)  # noqa: PTH108
        raise


def taken(address: str) -> str:
    """Why nothing can listen on this address; empty if it is free.  HAProxy stops all its ports for two seconds when a
    reload finds one of them taken, so that it is tried before."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host.strip("[]"), int(port)))
            tried.listen(1)
    except OSError as error:
        return f"{address}: {error.strerror or error}"
    return ""
