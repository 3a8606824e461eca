"""What in a supervisord.conf becomes no service: its own settings, its servers, unknown sections and keys.

supervisord 4.3.0 says nothing of a section or key that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.supervisord.programs import SETTINGS, SUPERVISORD, TEXTS, Reader
from supervisor.config.importers.supervisord.syntax import Ini
from supervisor.core.text.nearest import nearest

PROGRAM = frozenset(SETTINGS) | frozenset(TEXTS)
KEYS: dict[str, frozenset[str]] = {
    "program": PROGRAM,
    "fcgi-program": PROGRAM | {"socket", "socket_backlog", "socket_owner", "socket_mode"},
    "eventlistener": PROGRAM | {"events", "buffer_size", "result_handler"},
    "group": frozenset({"programs", "priority"}),
    "supervisord": frozenset(SUPERVISORD) | {"environment"},
    "include": frozenset({"files"}),
    "unix_http_server": frozenset({"file", "chmod", "chown", "username", "password"}),
    "inet_http_server": frozenset({"port", "username", "password"}),
    "supervisorctl": frozenset({"serverurl", "username", "password", "prompt", "history_file"}),
}
_ANY_KEY = ("rpcinterface", "ctlplugin")
_SECTIONS = {
    "unix_http_server": "The daemon makes its own socket: `supervisor.group` lets other users give orders.",
    "inet_http_server": "`supervisor.http` serves metrics, health and a read-only API; it takes a token, not a user "
    "name and a password.",
    "supervisorctl": "`supervisor` finds the daemon of a services.toml by itself.",
    "rpcinterface": "There is no XML-RPC: the HTTP API of docs/api.md takes its place.",
    "ctlplugin": "There are no plugins for the command line.",
}
_DAEMON = {
    "logfile": "The daemon writes its own log to stderr, and what happened into its ledger.",
    "logfile_maxbytes": "The daemon writes no log file of its own.",
    "logfile_backups": "The daemon writes no log file of its own.",
    "loglevel": "There is no level: `supervisor events` shows what happened.",
    "pidfile": "There is no pid file: `supervisor status` finds the daemon.",
    "identifier": "Its name would be `supervisor.name`.",
    "childlogdir": "Logs without a path are in `supervisor.state_dir`.",
    "minprocs": "supervisord raises its limit of processes to it: write limits.nproc into a service.",
    "nodaemon": "`supervisor up` runs in the foreground, and `supervisor up -d` as a daemon.",
    "silent": "`supervisor up` prints what happens; log.console prints the lines of a service.",
    "nocleanup": "Logs in the state directory are kept in any case.",
    "strip_ansi": "Escape sequences stay in the logs.",
}


def other_sections(ini: Ini, reader: Reader, imported: Imported, services: Mapping[str, list[str]]) -> None:
    """Add losses for what is not taken over.  `services` are those that each section became.  Raises ImportRefused."""

    def tell(kind: Kind, section: str, key: str, text: str) -> None:
        where = ini.where(section, key)
        names = services.get(section) or [None]  # type: ignore[list-item]
        imported.lose(kind, where.file, where.line, key or f"[{section}]", text, names[0])

    for skipped in ini.skipped:
        imported.lose(Kind.IGNORED, skipped.where.file, skipped.where.line, skipped.key, skipped.text)
    for section in ini.sections:
        kind = _kind(section)
        if kind in _SECTIONS:
            _require(ini, reader, section, kind)
            tell(Kind.DROPPED, section, "", _SECTIONS[kind])
        elif kind not in KEYS:
            near = nearest(kind, [*KEYS, *_ANY_KEY], 1)
            tell(Kind.IGNORED, section, "", f"supervisord knows no such section{_meant(near)}.")
            continue
        if kind not in _ANY_KEY:
            _unknown_keys(ini, section, kind, tell)
    for key in ini.default_keys:
        if not any(key in keys for keys in KEYS.values()):
            where = ini.where("", key)
            imported.lose(Kind.IGNORED, where.file, where.line, key, "supervisord knows no such key.")
    _daemon(ini, reader, tell)


def _kind(section: str) -> str:
    """program of `program:web`; the whole name of a section that has no such part."""
    kind, colon, _ = section.partition(":")
    if kind in _ANY_KEY or kind in ("program", "fcgi-program", "eventlistener", "group"):
        return kind if colon else section + " without a name"
    for server in ("unix_http_server", "inet_http_server"):
        if section.startswith(server):
            return server
    return section


def _require(ini: Ini, reader: Reader, section: str, kind: str) -> None:
    """Refuse what supervisord refuses of a section that is dropped."""
    needed = {"unix_http_server": "file", "inet_http_server": "port", "rpcinterface": "supervisor.rpcinterface_factory"}
    key = needed.get(kind, "")
    if key and reader.text(section, key) is None:
        raise ImportRefused(*ini.where(section), f"[{section}] has no {key}")
    if kind in ("unix_http_server", "inet_http_server"):
        given = [ini.has(section, key) for key in ("username", "password")]
        if given[0] is not given[1]:
            raise ImportRefused(*ini.where(section), f"[{section}] needs both username and password, or neither")


def _unknown_keys(ini: Ini, section: str, kind: str, tell: Callable[[Kind, str, str, str], None]) -> None:
    for key in ini.keys(section):
        if key in KEYS[kind]:
            continue
        near = nearest(key, KEYS[kind], 1)
        tell(Kind.IGNORED, section, key, f"supervisord knows no such key here{_meant(near)}, and so it has no effect.")


def _meant(near: list[str]) -> str:
    return f"; {near[0]} is one" if near else ""


def _daemon(ini: Ini, reader: Reader, tell: Callable[[Kind, str, str, str], None]) -> None:
    """What is written in [supervisord]."""
    section = "supervisord"
    for key in ini.keys(section):
        value = reader.daemon.get(key)
        if key in _DAEMON:
            if value is not False and (key, value) != ("minprocs", 200):
                tell(Kind.DROPPED, section, key, _DAEMON[key])
        elif key in ("umask", "directory") and reader.daemon["nodaemon"]:
            text = "With nodaemon=true supervisord does not use it, and it is not used here either."
            tell(Kind.IGNORED, section, key, text)
        elif key in ("umask", "directory"):
            text = "It holds for the services, as in supervisord as a daemon; supervisord -n would not use it."
            tell(Kind.CHOSEN, section, key, text)
        elif key == "minfds" and reader.daemon[key] > 1024:
            text = (
                "supervisord raises its soft limit of open files to it, where that is lower; here limits.nofile is the "
                "soft and the hard limit of each service."
            )
            tell(Kind.CHANGED, section, key, text)
        elif key == "user":
            text = (
                "supervisord itself runs as this user; here each service does, with HOME, USER, LOGNAME and SHELL of "
                "the account, and the daemon as the user that starts it."
            )
            tell(Kind.CHANGED, section, key, text)
