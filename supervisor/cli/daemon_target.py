"""Determines the daemon that a command talks to, from its options and the environment."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from supervisor.client import Client
from supervisor.errors import ConfigError, NoDaemon

if TYPE_CHECKING:
    from supervisor.adapters.ledger.query import LedgerReader


class DaemonTarget:
    """The file and the socket that were given, and whether to use colour (None: on a terminal)."""

    def __init__(self) -> None:
        self.given_file: str | None = None
        self.given_socket: str | None = os.environ.get("SUPERVISOR_SOCKET") or None
        self.color: bool | None = False if os.environ.get("NO_COLOR") else None

    def name_file(self, path: str) -> None:
        """-f FILE: selects the daemon of that file."""
        self.given_file, self.given_socket = path, None

    def name_socket(self, path: str) -> None:
        """--socket PATH: selects the daemon behind that socket."""
        self.given_socket = path

    @property
    def file(self) -> str:
        """services.toml, as an absolute path.  It need not exist."""
        from supervisor.config.source.locate import absolute, default_path

        return str(absolute(self.given_file or default_path()))

    @property
    def socket(self) -> str:
        """The control socket.  ConfigError where it was not named and the file cannot be read."""
        if self.given_socket:
            return self.given_socket
        return f"{self._locations()[1]}/control.sock"

    @property
    def state_dir(self) -> str:
        """ConfigError where the file cannot be read."""
        return str(self._locations()[2])

    @property
    def client(self) -> Client:
        """Asks the daemon behind the socket that was named, else only one that runs the file."""
        if self.given_socket:
            return Client(self.given_socket)
        _, runtime_dir, _, file = self._locations()
        return Client(f"{runtime_dir}/control.sock", file)

    def _locations(self) -> tuple[str, str, str, str]:
        from supervisor.config.source.locate import locations

        try:
            return locations(self.file)
        except ConfigError as error:
            if self.given_file:
                raise
            hint = "Name the file with -f, or the daemon's socket with --socket or SUPERVISOR_SOCKET."
            raise ConfigError(error.message, hint) from None

    def offline(self, why: NoDaemon) -> LedgerReader:
        """The ledger file, for commands that work without a daemon; raises `why` where there is none."""
        from supervisor.adapters.ledger.query import read_only

        try:
            path = f"{self.state_dir}/ledger.db"
        except ConfigError:
            raise why from None
        if not os.access(path, os.R_OK):
            raise why from None
        sys.stderr.write(f"no daemon answers; reading {path}\n")
        return read_only(path)


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()
