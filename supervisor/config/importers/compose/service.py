"""One service of a compose file while it is translated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from supervisor.config.importers.imported import Imported, Kind
from supervisor.config.importers.reading import Table


@dataclass
class Service:
    """`table` has its variables replaced. `told` are the keys of which nothing more is to be said."""

    imported: Imported
    file: str
    name: str
    table: Table
    line: int
    told: set[str] = field(default_factory=set)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is then taken as dealt with."""
        self.told.add(key)
        return self.table.get(key, default)

    def lose(self, kind: Kind, key: str, text: str) -> None:
        self.told.add(key)
        self.imported.lose(kind, self.file, self.table.line_of(key), key, text, self.name)


def text_of(value: Any) -> str:
    """The text of a plain value, as a variable or an argument."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def listed(value: Any) -> list[Any]:
    """The value as a list: of nothing, of one, or as it is."""
    return [] if value is None else value if isinstance(value, list) else [value]
