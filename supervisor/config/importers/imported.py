"""What an importer gives: services in the words of services.toml, and a loss for each thing dropped or changed.

Each tool has a package whose `importer` has `read(paths, environment) -> Imported`: the files of this tool as they were
given, and the environment that the tool would be called with. It raises ImportRefused where the real tool refuses a
file, and OSError where one cannot be read. What it gives is what the real tool would run: its quoting, its expansion,
and its defaults, written out where ours differ. Paths are absolute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from supervisor.errors import ConfigError


class Kind(StrEnum):
    """How a loss differs from the file."""

    DROPPED = "dropped"
    """The other tool does something with it, and nothing here does."""
    CHANGED = "changed"
    """It is done here in another way, which the text names."""
    CHOSEN = "chosen"
    """The file says nothing of it: the importer chose."""
    IGNORED = "ignored"
    """The other tool ignores it as well, which its author may not know."""


@dataclass(frozen=True)
class Loss:
    """Something of the file that is not taken over as it stands.

    `line` counts from 1; 0 means the whole file. `key` is the name that the other tool has for it, or "". `text` is one
    sentence without the value of a variable, which may be a secret. `service` is the name here of the service
    concerned, or None.
    """

    kind: Kind
    file: str
    line: int
    key: str
    text: str
    service: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


@dataclass
class ImportedService:
    """One service: its name here, where it stood, and its table as tomllib would read it from services.toml.

    Every `$` in a string of the table is literal: the writer doubles it where services.toml would expand it. What is
    to be expanded by services.toml is given as `Expanded`.
    """

    name: str
    file: str
    line: int
    table: dict[str, Any]


class Expanded(str):
    """A string in which `${NAME}` and `${NAME:-default}` are to be expanded when services.toml is read."""

    __slots__ = ()


@dataclass
class Imported:
    """All services of one or several files, in the order of the files, and all losses in the order of their lines."""

    tool: str
    services: list[ImportedService] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    """Files that were read beside those that were given: only users who may read all of them may read the result."""

    def lose(self, kind: Kind, file: str, line: int, key: str, text: str, service: str | None = None) -> None:
        """Add a loss."""
        self.losses.append(Loss(kind, file, line, key, text, service))


class ImportRefused(ConfigError):
    """The real tool refuses the file, so nothing can be taken from it."""

    def __init__(self, file: str, line: int, text: str, hint: str = "") -> None:
        super().__init__(f"{file}:{line}: {text}" if line else f"{file}: {text}", hint)
