"""The definition of one service as it is written: each key with its value and the line that it comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from supervisor.config.build import STOP_KEYS, merged
from supervisor.config.export.json_schema import defaults
from supervisor.config.schema.tables import HEARTBEAT, LOG, READY, RESOURCES, RESTART, SERVICE
from supervisor.config.source.key_path import Key, dotted
from supervisor.config.source.lines import line_numbers
from supervisor.config.source.read import parse
from supervisor.core.model.spec import ServiceType

_TABLES = {"ready": READY, "heartbeat": HEARTBEAT, "restart": RESTART, "resources": RESOURCES, "log": LOG}
_ALWAYS = ("restart", "log")
"""Tables whose defaults hold for every service."""


class Row(NamedTuple):
    """A key of a service below its table, its value as tomllib reads it, and where it comes from.

    `line` is that of the file, from 1; 0: the key is not written. `of` is "service", "defaults" or "default".
    """

    key: str
    value: Any
    of: str
    line: int


def definition(text: str, shown: str, name: str) -> list[Row] | None:
    """All keys of service `name` in a text that `load` accepts; None: no such service.

    Those of the service come first, then those of [defaults], then those that are not written.

    `shown` is the file's name for the user. Raises ConfigError where the text is no TOML.
    """
    data = parse(text, shown)
    own = data.get("services", {}).get(name)
    if own is None:
        return None
    lines = line_numbers(text)
    typed = {**own, "type": ServiceType(own["type"])} if "type" in own else own
    rows = [_row(key, value, name, lines) for key, value in _leaves(merged(data.get("defaults", {}), typed))]
    rows.sort(key=lambda row: (row.of != "service", row.line))
    return rows + list(_unwritten({row.key for row in rows}))


def _unwritten(written: Collection[str]) -> Iterator[Row]:
    """The defaults of keys that are not written; those of an optional table such as heartbeat only if it is written."""
    tables = {key.partition(".")[0] for key in written}
    for key, value in defaults(SERVICE).items():
        if key not in written and not (key in STOP_KEYS and "stop" in written):
            yield Row(key, value, "default", 0)
    for name, table in _TABLES.items():
        if name in _ALWAYS or name in tables:
            for key, value in defaults(table).items():
                if f"{name}.{key}" not in written:
                    yield Row(f"{name}.{key}", value, "default", 0)


def _leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _row(key: Key, value: Any, name: str, lines: Mapping[Key, int]) -> Row:
    if ("services", name, *key) in lines:
        return Row(dotted(key), value, "service", lines["services", name, *key])
    return Row(dotted(key), value, "defaults", lines.get(("defaults", *key), 0))
