"""Recognizes the tool that a file belongs to, and reads files of one or several tools together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from supervisor.config.importers.imported import Imported, ImportedService
from supervisor.errors import UsageError


@dataclass(frozen=True)
class Format:
    """A tool whose files can be read, by the package of its name. A file belongs to it by its name, else by a line."""

    tool: str
    name: re.Pattern[str]
    line: re.Pattern[str] | None = None


FORMATS = (
    Format("systemd", re.compile(r".*\.(service|socket|timer|target|mount|path)")),
    Format("compose", re.compile(r"(.*[-_.])?compose([-_.].*)?\.ya?ml")),
    Format("pm2", re.compile(r"(ecosystem|process|pm2)(\..*)?\.(json|js|cjs|mjs)|.*\.config\.[cm]?js")),
    Format("circus", re.compile(r"circus.*\.ini"), re.compile(r"^\[(circus|watcher:.*)\]", re.MULTILINE)),
    Format(
        "supervisord",
        re.compile(r"supervisord.*\.(conf|ini)"),
        re.compile(r"^\[(supervisord|(program|group|fcgi-program|eventlistener):.*|include)\]", re.MULTILINE),
    ),
    Format("procfile", re.compile(r"Procfile([-_.].*)?|.*\.[Pp]rocfile")),
)
"""In the order in which they are tried."""
TOOLS = tuple(sorted(one.tool for one in FORMATS))


def format_of(path: Path) -> Format:
    """The format of a file: by its name, else by a line in it. UsageError where neither tells; OSError."""
    by_name = next((one for one in FORMATS if one.name.fullmatch(path.name)), None)
    if by_name is not None:
        return by_name
    text = path.read_text(errors="replace")
    by_line = next((one for one in FORMATS if one.line is not None and one.line.search(text)), None)
    if by_line is not None:
        return by_line
    raise UsageError(
        f"{path} is no Procfile, supervisord.conf, circus.ini, PM2 ecosystem file, systemd unit or compose file",
        f"Say what it is: --format {' | '.join(TOOLS)}",
    )


def by_tool(paths: Sequence[Path], tool: str | None = None) -> dict[str, list[Path]]:
    """The files of each tool. `tool`: that of all files, whatever their names are. UsageError, OSError."""
    of: dict[str, list[Path]] = {}
    for path in paths:
        of.setdefault(tool or format_of(path).tool, []).append(path)
    return of


def read_files(
    paths: Sequence[Path], environment: Mapping[str, str], tool: str | None = None, pm2_env: str | None = None
) -> Imported:
    """What all files give, those of one tool read together. `tool`: the tool of all files, whatever their names are.
    `pm2_env`: the NAME of `pm2 start --env NAME`.

    Raises UsageError for a file of no known tool, for two services of one name, and for `pm2_env` without a file of
    PM2; ImportRefused where the real tool refuses a file, and OSError where one cannot be read.
    """
    of = by_tool(paths, tool)
    if pm2_env is not None and "pm2" not in of:
        raise UsageError("--env goes with an ecosystem file of PM2", "It names the env_NAME that counts beside env.")
    together = Imported(" and ".join(of))
    for one in (one for one in FORMATS if one.tool in of):
        read = import_module(f"{__package__}.{one.tool}.importer").read
        further = {"env": pm2_env} if one.tool == "pm2" else {}
        imported: Imported = read(of[one.tool], environment, **further)
        together.services += imported.services
        together.losses += imported.losses
        together.files += imported.files
    _refuse_doubles(together.services)
    return together


def _refuse_doubles(services: Sequence[ImportedService]) -> None:
    first: dict[str, ImportedService] = {}
    for service in services:
        other = first.setdefault(service.name, service)
        if other is not service:
            raise UsageError(
                f"two services are called {service.name}: {other.file}:{other.line} and {service.file}:{service.line}",
                "Import them into two files, or rename one.",
            )


def beside(imported: Imported, folder: Path) -> None:
    """Write the paths of the services as a services.toml in `folder` needs them: relative where they are within it."""
    for service in imported.services:
        if "directory" in service.table:
            within = _within(service.table["directory"], folder)
            if within == ".":
                del service.table["directory"]
            else:
                service.table["directory"] = within
        files = service.table.get("environment_file")
        if isinstance(files, str):
            service.table["environment_file"] = _within(files, folder)
        elif files is not None:
            service.table["environment_file"] = [
                {**one, "path": _within(one["path"], folder)} if isinstance(one, Mapping) else _within(one, folder)
                for one in files
            ]


def _within(path: str, folder: Path) -> str:
    """`path` from `folder` where it lies within it, else as it is.  References in it stay references."""
    return type(path)(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path
