"""The names of local accounts, read from /etc/passwd.

The daemon does not ask the name service (getpwuid): a directory server that does not answer would block its loop.
"""

from __future__ import annotations

from supervisor.adapters.linux import procfs

PASSWD = "/etc/passwd"
"""Bytes beyond the first MiB of it are not read."""


def account_name(uid: int, path: str = PASSWD) -> str | None:
    """The name of the first account with this number; None where the file has none."""
    for line in (procfs.read(path) or b"").splitlines():
        fields = line.split(b":")
        if len(fields) > 2 and fields[2] == str(uid).encode():
            return fields[0].decode(errors="replace")
    return None
