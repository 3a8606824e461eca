"""What several importers need to read a file: its text, and mappings that know the line of each key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import ImportRefused


def utf8(path: Path, *, as_it_is: bool = False) -> str:
    """The text of a file, each end of a line as `\\n` unless it is wanted as it is; a byte order mark stays.

    Raises ImportRefused with the line of the first byte that is not UTF-8, and OSError.
    """
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ImportRefused(str(path), line, "it is not UTF-8") from None
    return text if as_it_is else text.replace("\r\n", "\n").replace("\r", "\n")


class Table(dict[str, Any]):
    """A mapping: its values by key, the line on which it begins, and the line of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """The line of a key; that of the mapping where the key's is not known."""
        return self.lines.get(key, self.line)
