"""Where the output of a watcher of circus 0.19.0 goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor.config.importers.circus.syntax import Section, number
from supervisor.config.importers.imported import Kind

_FILES = ("FileStream", "WatchedFileStream", "TimedRotatingFileStream")
_CONSOLE = ("StdoutStream", "FancyStdoutStream")
_KNOWN = ("class", "filename", "max_bytes", "backup_count", "time_format")
_KIB = 1024

Lose = Callable[[Kind, str, str], None]


def log_of(section: Section, folder: Path, count: int, lose: Lose) -> dict[str, Any]:
    """The table `log`. `folder` is that in which circusd is started, `count` the number of processes."""
    out, err = _stream(section, "stdout_stream", lose), _stream(section, "stderr_stream", lose)
    log: dict[str, Any] = {} if _is_file(out) and _is_file(err) else {"console": "raw"}
    if _is_file(out) != _is_file(err):
        told = "Output that circus leaves on its own standard output is in the log as well, and log.console prints all."
        lose(Kind.CHANGED, "", told)
    if not _is_file(out) and not _is_file(err):
        return log
    if _is_file(out):
        log["path"] = str(folder / out)
        if _is_file(err) and err != out:
            log["stderr"] = str(folder / err)
    else:
        log["stderr"] = str(folder / err)
    if count > 1:
        lose(
            Kind.CHANGED, "", "Each line of a log that several instances share has the name of its instance before it."
        )
    key = "stdout_stream" if _is_file(out) else "stderr_stream"
    return log | _rotation(section, key, lose)


def _is_file(stream: str) -> bool:
    return stream not in ("", "console")


def _stream(section: Section, stream: str, lose: Lose) -> str:
    """The file of the stream, "console", or "" where it is circusd's own output."""
    options = {key.partition(".")[2]: key for key in section.options if key.startswith(f"{stream}.")}
    if not options:
        return ""
    values = {key: section.options[whole].value for key, whole in options.items()}
    kind = values.get("class", "FileStream").rpartition(".")[2]
    for key, whole in options.items():
        if key not in _KNOWN:
            lose(Kind.DROPPED, whole, "It is not taken over; log has the keys for rotation.")
    if kind in _CONSOLE:
        return "console"
    if kind not in _FILES or "filename" not in values:
        lose(Kind.DROPPED, options.get("class", next(iter(options.values()))), "This stream is not taken over.")
        return ""
    return values["filename"]


def _rotation(section: Section, stream: str, lose: Lose) -> dict[str, Any]:
    values = {key.partition(".")[2]: option for key, option in section.options.items() if key.startswith(f"{stream}.")}
    found: dict[str, Any] = {}
    size = int(number(values["max_bytes"])) if "max_bytes" in values else 0
    if size:
        kib = f"{size / _KIB:.10f}".rstrip("0").rstrip(".")
        keep = int(number(values["backup_count"])) if "backup_count" in values else 0
        found = {"max_size": f"{kib}KiB", "keep": keep, "compress": False}
    else:
        found = {"rotate": False}
    if "time_format" in values:
        found["timestamps"] = True
        lose(Kind.CHANGED, f"{stream}.time_format", "The time before each line has the format of this supervisor.")
    return found
