"""The token that an order of the web view must carry, in a file that only the daemon's owner, and its group, can read.

Every start of the daemon makes a new one. A program that took the port while no daemon ran may have been sent the old
one. An upgrade keeps it, because the port stays taken.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress

from supervisor.errors import OperationFailed

_LEAST, _MOST = 32, 200


class OrderToken:
    """`folder`: where the file is. `group`: one that may read it too. `keep`: use what the file has."""

    name = "web.token"

    def __init__(self, folder: str, group: int | None = None, *, keep: bool = False) -> None:
        """Raises OperationFailed if the file cannot be written."""
        self._path, self._group = f"{folder}/{self.name}", group
        self._token = (_read(self._path) if keep else "") or secrets.token_urlsafe(32)
        self.write()

    def fits(self, shown: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(shown.strip().encode("utf-8", "replace"), self._token.encode())

    def write(self) -> None:
        """Write the file, also again after it was removed. Raises OperationFailed."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108 - pathlib costs memory
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if self._group is not None:
                    os.fchown(fd, -1, self._group)
                    os.fchmod(fd, 0o640)
                os.write(fd, f"{self._token}\n".encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise OperationFailed(f"the token {self._path} cannot be written: {error.strerror}") from error


def _read(path: str) -> str:
    """The token in the file; empty where it has none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        token = os.read(fd, _MOST).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(fd)
    return token if len(token) >= _LEAST else ""
