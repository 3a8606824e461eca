"""The log of a program of supervisord as the table `log`, with what supervisord 4.3.0 does where a key is missing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.importers.imported import Kind

Tell = Callable[[Kind, str, str], None]
"""Takes a loss: its kind, the key, one sentence."""
STREAMS = ("stdout", "stderr")
_CONSOLES = {
    "/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1, "/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
}  # fmt: skip


class LogFiles(NamedTuple):
    """Where a program logs: a path, "" for nowhere, None for a file that supervisord chooses, `syslog`.

    `stdout` and `stderr` may have `${NAME}` in them, and `{instance}`; `real` are the paths with their values."""

    stdout: str | None
    stderr: str | None
    real: Mapping[str, str | None]


def log_table(files: LogFiles, settings: Mapping[str, Any], umask: int, tell: Tell) -> dict[str, Any]:
    """The table `log` of a service.  `settings` are the program's, by key; `umask` the one that supervisord has."""
    table: dict[str, Any] = {}
    console = [stream for stream in STREAMS if files.real[stream] in _CONSOLES]
    merged = settings["redirect_stderr"]
    if merged and files.real["stderr"] is not None:
        tell(Kind.IGNORED, "stderr_logfile", "With redirect_stderr=true it has no effect in supervisord either.")
    if "stdout" in console or (console and not merged):
        table["console"] = "raw"
        tell(
            Kind.CHANGED,
            f"{console[0]}_logfile",
            "Each line goes to the daemon's stdout, and is kept in the state directory, too.",
        )
        if len(console) == 1 and not merged:
            other = "stderr" if console[0] == "stdout" else "stdout"
            tell(Kind.CHANGED, f"{other}_logfile", "console prints both stdout and stderr, on the daemon's stdout.")
    path = _path("stdout", files, console, settings, tell)
    if path is not None:
        table["path"] = path
    if not merged:
        own = _stderr(files, console, path, settings, tell)
        if own is not None:
            table["stderr"] = own
    if isinstance(table.get("path", table.get("stderr")), str):
        table["mode"] = f"{0o666 & ~umask:04o}"
    _rotation(table, files, settings, tell)
    return table


def _path(stream: str, files: LogFiles, console: list[str], settings: Mapping[str, Any], tell: Tell) -> str | None:
    """The path of a stream's log; None: the state directory."""
    key, real = f"{stream}_logfile", files.real[stream]
    if settings[f"{stream}_syslog"] or real == "syslog":
        which = f"{stream}_syslog" if settings[f"{stream}_syslog"] else key
        tell(Kind.DROPPED, which, "Nothing is sent to syslog; the log is in the state directory or at its path.")
    if real is None or stream in console or real == "syslog":
        return None
    if not real:
        tell(Kind.CHANGED, key, "supervisord discards the output; here it is kept in the state directory.")
        return None
    if reason := _unsafe(real):
        tell(Kind.CHANGED, key, f"It cannot be a log here, because {reason}: it is in the state directory.")
        return None
    if not os.path.isdir(os.path.dirname(real)):  # noqa: PTH112, PTH120
        tell(
            Kind.CHANGED,
            key,
            "supervisord refuses the file while this directory does not exist; here the directory is made.",
        )
    return getattr(files, stream)  # type: ignore[no-any-return]


def _stderr(
    files: LogFiles, console: list[str], stdout: str | None, settings: Mapping[str, Any], tell: Tell
) -> str | bool | None:
    path = _path("stderr", files, console, settings, tell)
    if path is not None:
        return None if path == stdout else path
    if len(console) == 2:
        return None
    return True


def _unsafe(path: str) -> str:
    """Why the daemon would not write a log there; empty: it would."""
    name = os.path.basename(path)  # noqa: PTH119
    if path.startswith(("/dev/", "/proc/")):
        return "it is not a file on a disk"
    if not name:
        return "it is a directory"
    if "{" in name or "}" in name:
        return "braces in the name of a log have a meaning"
    try:
        if os.path.lexists(path) and not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return "it is not a regular file"
        folder = Path(path).parent
        if folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH:
            return "every user can write in its directory"
    except OSError:
        pass
    return ""


def _rotation(table: dict[str, Any], files: LogFiles, settings: Mapping[str, Any], tell: Tell) -> None:
    """Size and number of files.  One of each is for both streams."""
    real = files.real
    if all(
        real[stream] == "" or real[stream] in _CONSOLES for stream in STREAMS[: 1 if settings["redirect_stderr"] else 2]
    ):
        return  # there is no file in supervisord, so the defaults of here hold for the one that is kept
    limit, keep = settings["stdout_logfile_maxbytes"], settings["stdout_logfile_backups"]
    if not files.real["stdout"] and files.real["stderr"] and not settings["redirect_stderr"]:
        limit, keep = settings["stderr_logfile_maxbytes"], settings["stderr_logfile_backups"]
    elif "stderr" in table and files.real["stderr"]:
        for key, value in (("maxbytes", limit), ("backups", keep)):
            if settings[f"stderr_logfile_{key}"] != value:
                text = f"Both logs of a service are rotated alike: as stdout_logfile_{key} says."
                tell(Kind.CHANGED, f"stderr_logfile_{key}", text)
    if limit <= 0:
        table["rotate"] = False
        return
    table["max_size"] = written_size(limit)
    table["keep"] = max(0, min(keep, 10_000))
    table["compress"] = False


def written_size(count: int) -> str:
    """The size as services.toml writes it, to the byte."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2)):
        if count % factor == 0:
            return f"{count // factor}{unit}"
    amount = f"{Decimal(count) / 1024:f}"
    return (amount.rstrip("0").rstrip(".") if "." in amount else amount) + "KiB"
