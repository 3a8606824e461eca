"""The session with ZooKeeper in a file, so that a restarted agent goes on with it and keeps its slots.

kazoo tells the session only while it is connected, and without it the nodes of an agent that died stay until the
session times out.  The file holds a password: it is readable by its owner alone.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Kept(NamedTuple):
    """`hosts`, `node`: the session is of no use to a member with others; `mark`: of the agents that share it."""

    hosts: str
    node: str
    mark: str
    session: int = 0
    password: bytes = b""


class SessionFile:
    """The file at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self, hosts: str, node: str) -> Kept | None:
        """The session of this member; None where there is none, or what is there cannot be read."""
        try:
            raw = json.loads(Path(self._path).read_bytes())
            kept = Kept(raw["hosts"], raw["node"], raw["mark"], int(raw["session"]), bytes.fromhex(raw["password"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return kept if (kept.hosts, kept.node) == (hosts, node) and kept.session else None

    def write(self, kept: Kept) -> None:
        """Replace it.  OSError."""
        text = json.dumps(kept._replace(password=kept.password.hex())._asdict())  # type: ignore[arg-type]
        before = f"{self._path}.new"
        with suppress(FileNotFoundError):
            Path(before).unlink()
        descriptor = os.open(before, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(before).replace(self._path)

    def remove(self) -> None:
        """The session has ended in order."""
        with suppress(OSError):
            Path(self._path).unlink()
