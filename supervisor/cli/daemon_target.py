"""Determines the daemon that a command talks to, from its options and the environment."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from supervisor.adapters.linux.directories import read_file
from supervisor.client import Client
from supervisor.errors import ConfigError, NoDaemon, NotListening, OtherFile

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from supervisor.adapters.ledger.query import LedgerReader
    from supervisor.config.profiles import Wanted
    from supervisor.core.model.spec import Plan
    from supervisor.last_directories import Locations

MOVED = "The services run on as they are; `supervisor down`, then `supervisor up` starts them in the new place."
"""What to do where `moved_from` is a path."""

_IMPORTED = (
    "Procfile", "supervisord.conf", "ecosystem.config.js", "compose.yaml", "docker-compose.yml", "circus.ini"
)  # fmt: skip
"""Usual names of files from which `init --from` makes a services.toml."""


class DaemonTarget:
    """The file and the socket that were given, and whether to use colour (None: on a terminal)."""

    def __init__(self) -> None:
        self.given_file: str | None = None
        self.given_socket: str | None = os.environ.get("SUPERVISOR_SOCKET") or None
        self.profiles: tuple[str, ...] = ()
        """Profiles that were given with --profile."""
        self.acts = False
        """The command changes something: the file is named where it is not that of the current directory."""
        self._named = False
        self.color: bool | None = False if os.environ.get("NO_COLOR") or is_dumb() else None

    @property
    def paints(self) -> bool:
        """Whether to print colour on stdout."""
        return on_terminal() if self.color is None else self.color

    def name_file(self, path: str) -> None:
        """-f FILE: selects the daemon of that file."""
        self.given_file, self.given_socket = path, None

    def name_socket(self, path: str) -> None:
        """--socket PATH: selects the daemon behind that socket."""
        self.given_socket = path

    @property
    def file(self) -> str:
        """services.toml, as an absolute path.  It need not exist."""
        from supervisor.config.source.locate import SYSTEM_WIDE, absolute, default_path

        if self.given_file:
            return absolute(self.given_file)
        path = default_path()
        if self.acts and os.path.isabs(path) and path != SYSTEM_WIDE and not self._named:
            self._named = True
            _say(f"using {path}, above the current directory")
        return absolute(path)

    @property
    def wanted_profiles(self) -> Wanted | Callable[[str], Wanted]:
        """The profiles that --profile names, else the environment, else those of the daemon with a runtime directory,
        if it runs or has not ended in order."""
        if not self.profiles:
            return _kept_profiles
        from supervisor.config.profiles import Wanted

        return Wanted(self.profiles, "--profile")

    @property
    def socket(self) -> str:
        """The control socket.  ConfigError where it was not named and the file cannot be read."""
        if self.given_socket:
            return self.given_socket
        return f"{self._locations().runtime_dir}/control.sock"

    @property
    def state_dir(self) -> str:
        """The state directory; of the daemon behind the socket, where that was named.  ConfigError where the file
        cannot be read."""
        if self.given_socket and (plan := self.plan_in_force) is not None:
            return plan.supervisor.state_dir
        return self._locations().state_dir

    @property
    def plan_in_force(self) -> Plan | None:
        """The plan that the daemon has, or the last one had; None where it cannot be read."""
        from supervisor.core.model.plan_text import plan_from_json
        from supervisor.core.model.saved import GARBAGE

        directory = os.path.dirname(self.socket)
        with suppress(OSError, *GARBAGE):
            return plan_from_json(read_file(directory, "plan.json"))
        return None

    @property
    def client(self) -> Client:
        """Asks the daemon behind the socket that was named, else only one that runs the file."""
        if self.given_socket:
            return Client(self.given_socket, on_wait=_say)
        places = self._locations()
        return Client(f"{places.runtime_dir}/control.sock", places.file, _say)

    @property
    def moved_from(self) -> str:
        """The path by which the daemon still reads the file, where the folder was moved and nothing is there any more;
        else empty."""
        if self.given_socket:
            return ""
        file = self._locations().file
        return file if os.path.exists(self.file) and not os.path.exists(file) else ""

    def _locations(self) -> Locations:
        from supervisor.config.source.locate import locations

        try:
            return locations(self.file)
        except ConfigError as error:
            if self.given_file:
                raise
            hint = (
                f"{_first_file()}Name another file with -f, or the daemon's socket with --socket or SUPERVISOR_SOCKET."
            )
            raise ConfigError(error.message, hint) from None

    def offline(self, why: NoDaemon) -> LedgerReader:
        """The ledger file, for commands that work without a daemon; raises `why` where there is none."""
        from supervisor.adapters.ledger.query import read_only

        return read_only(self._left("ledger.db", why))

    def offline_logs(self, why: NoDaemon) -> str:
        """The directory with the output of services, as `offline` for the ledger."""
        return self._left("log", why)

    def require_own(self) -> None:
        """OtherFile where what a daemon left in the directories of the file belongs to another file."""
        if self.given_socket:
            return
        from supervisor.config.source.project import recorded

        places = self._locations()
        for place in (places.runtime_dir, places.state_dir):
            record = recorded(place)
            if record is not None and record.path != places.file and os.path.exists(record.path):
                raise OtherFile(f"{place} belongs to {record.path}, not to {places.file}", f"Use -f {record.path}.")

    def _left(self, name: str, why: NoDaemon) -> str:
        """The path of what a daemon left in its state directory; raises `why` where that cannot be read."""
        try:
            path = f"{self.state_dir}/{name}"
        except ConfigError:
            raise why from None
        self.require_own()
        if not os.access(path, os.R_OK):
            raise why from None
        hint = "" if isinstance(why, NotListening) or not why.hint else f"\n  {why.hint}"
        sys.stderr.write(f"no daemon answers; reading {path}{hint}\n")
        return path


def _kept_profiles(runtime_dir: str) -> Wanted:
    from supervisor.config.profiles import remembered

    return remembered(os.environ, runtime_dir)


def _first_file() -> str:
    """What makes a services.toml here, where there is none."""
    if os.path.lexists("services.toml"):
        return ""
    found = next((name for name in _IMPORTED if os.path.isfile(name)), None)
    made = f"--from {found}` makes it of that file" if found else "` writes a first one"
    return f"`supervisor init{' ' if found else ''}{made}.  "


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether stdout (or another stream) is a terminal that can paint.  TERM=dumb says that it cannot: no cursor, no
    colour."""
    return (stream or sys.stdout).isatty() and not is_dumb()


def is_dumb() -> bool:
    """Whether the terminal only takes lines."""
    return os.environ.get("TERM") == "dumb"
