"""One application of an ecosystem file while it is translated: its settings, and where its losses go."""

from __future__ import annotations

import json
import os.path
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Imported, Kind
from supervisor.config.importers.pm2.settings import Settings
from supervisor.config.importers.reading import Table

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass
class App:
    """`directory` is where it runs, `environment` that of the caller of pm2, `name` the name that it has here."""

    imported: Imported
    file: str
    table: Table
    settings: Settings
    name: str
    directory: str
    environment: Mapping[str, str]
    told: set[str] = field(default_factory=set)
    """The keys of PM2's schema of which nothing more is to be said."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is then taken as dealt with."""
        self.told.add(key)
        return self.settings.values.get(key, default)

    def line_of(self, key: str) -> int:
        return self.table.line_of(self.settings.written.get(key, key))

    def lose(self, kind: Kind, key: str, text: str) -> None:
        self.told.add(key)
        written = self.settings.written.get(key, key)
        self.imported.lose(kind, self.file, self.line_of(key), written, text, self.name)

    def which(self, program: str) -> str | None:
        """The path of a program as PM2 finds it: in PATH of the caller; with a slash, from where pm2 was called."""
        return shutil.which(program, path=self.environment.get("PATH", ""))

    def path(self, written: str) -> str:
        """A path of a log file: relative to its directory, `~` is the home of the caller."""
        if written.startswith("~"):
            written = self.environment.get("HOME", "~") + "/" + written[1:].lstrip("/")
        return os.path.normpath(Path(self.directory) / written)


def usable_name(name: str) -> str:
    """The name with a - for each character that it cannot have here."""
    return _NOT_IN_NAMES.sub("-", name).lstrip(".-")[:100] or "app"


def js_string(value: Any) -> str:
    """The text that a value becomes as an argument or a variable."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, float):
        return repr(value) if not value.is_integer() or abs(value) >= 1e21 else str(int(value))
    return json.dumps(value)


def _plain(value: Any) -> Any:
    """The value with whole numbers written as JavaScript writes them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value
