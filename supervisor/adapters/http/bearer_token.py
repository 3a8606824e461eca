"""The token that a client on TCP must send: `Authorization: Bearer …` (RFC 6750)."""

from __future__ import annotations

import hmac
import os

from supervisor.errors import OperationFailed

LEAST = 16
"""Characters; `openssl rand -hex 32` makes a good one."""
_MOST = 4096


class BearerToken:
    """The first line of a file that only its owner can read; read again when the file changes."""

    def __init__(self, path: str) -> None:
        """Raises OperationFailed if the file is missing, too short, or readable by others."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._token = b""
        self._read()

    def fits(self, header: str | None) -> bool:
        """Whether this value of the Authorization header has the token; always False while the file cannot be used."""
        kind, _, shown = (header or "").partition(" ")
        try:
            self._read()
        except OperationFailed:
            return False
        return kind.lower() == "bearer" and hmac.compare_digest(shown.strip().encode("utf-8", "replace"), self._token)

    def _read(self) -> None:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise OperationFailed(f"the token {self._path} cannot be read: {error.strerror}") from error
        try:
            status = os.fstat(fd)
            if status.st_mode & 0o077:
                raise OperationFailed(f"the token {self._path} can be read by others", f"chmod 600 {self._path}")
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            token = os.read(fd, _MOST).split(b"\n")[0].strip()
        finally:
            os.close(fd)
        if len(token) < LEAST:
            raise OperationFailed(
                f"the token in {self._path} is shorter than {LEAST} characters", f"openssl rand -hex 32 > {self._path}"
            )
        self._stamp, self._token = stamp, token
