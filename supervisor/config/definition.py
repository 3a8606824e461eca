"""The definition of one service as it is written: each key with its value, and the file and line that it comes from."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.build import STOP_KEYS, merged
from supervisor.config.export.json_schema import defaults
from supervisor.config.include import with_included
from supervisor.config.inherit import KINDS, OWN, with_parents
from supervisor.config.schema.tables import HEARTBEAT, LOG, READY, RESOURCES, RESTART, SERVICE
from supervisor.config.source.key_path import Key, dotted
from supervisor.config.source.problems import Problems
from supervisor.config.source.read import parse, read_text
from supervisor.core.model.spec import ServiceType

_TABLES = {"ready": READY, "heartbeat": HEARTBEAT, "restart": RESTART, "resources": RESOURCES, "log": LOG}
_ALWAYS = ("restart", "log")
"""Tables whose defaults hold for every service."""


class Row(NamedTuple):
    """A key of a service below its table, its value as tomllib reads it, and where it comes from.

    `of` is "service", the parent ("templates.base"), "defaults" or "default": the key is not written.  `file`: its name
    for the user; `line`: from 1.  Both are empty where the key is not written."""

    key: str
    value: Any
    of: str
    file: str
    line: int


def file_of(path: str, name: str, env: Mapping[str, str] = os.environ) -> str | None:
    """The name for the user of the file that has the service or template; None: there is none.  ConfigError where a
    text is no TOML."""
    raw, problems = _read(path, env)
    return next((problems.shown((kind, name)) for kind in KINDS if name in raw.get(kind, {})), None)


def place_of(path: str, name: str, env: Mapping[str, str] = os.environ) -> tuple[str, int] | None:
    """The name for the user of the file that has the service, and the line in it; None: there is no such service.
    ConfigError where a text is no TOML."""
    raw, problems = _read(path, env)
    return problems.place_of(("services", name)) if name in raw.get("services", {}) else None


def _read(path: str, env: Mapping[str, str]) -> tuple[dict[str, Any], Problems]:
    """All tables, and whose file each is in."""
    text = read_text(Path(path))
    raw, problems = parse(text, path), Problems(path, text)
    if "include" in raw:
        raw = with_included(Path(path), path, raw, problems, env)
    return raw, problems


def definition(path: str, name: str, env: Mapping[str, str] = os.environ) -> list[Row] | None:
    """All keys of service `name` in a file that `load` accepts; None: no such service.

    Those of the service come first, then those of its parents and of [defaults], then those that are not written.
    Raises ConfigError where a text is no TOML.
    """
    raw, problems = _read(path, env)
    if name not in raw.get("services", {}):
        return None
    tables = with_parents({kind: _typed(kind, raw.get(kind, {})) for kind in ("defaults", *KINDS)}, problems)
    service: Key = ("services", name)
    order = {table: number for number, table in enumerate((service, *problems.parents(service), ("defaults",)))}
    own = raw["services"][name]
    rows = [(0, Row(key, own[key], "service", *problems.place_of((*service, key)))) for key in OWN if key in own]
    for key, value in _leaves(merged(tables[name].defaults, tables[name].table)):
        table = problems.giver((*service, *key)) or ("defaults",)
        of = "service" if table == service else dotted(table)
        rows.append((order[table], Row(dotted(key), value, of, *problems.place_of((*table, *key)))))
    rows.sort(key=lambda one: (one[0], one[1].line))
    found = [row for _, row in rows]
    return found + list(_unwritten({row.key for row in found}))


def _typed(kind: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with the type of a service as a value of its kind, by which `merged` knows a oneshot."""
    if kind == "defaults":
        return {**tables, "type": ServiceType(tables["type"])} if "type" in tables else dict(tables)
    return {name: _typed("defaults", table) for name, table in tables.items()}


def _unwritten(written: Collection[str]) -> Iterator[Row]:
    """The defaults of keys that are not written; those of an optional table such as heartbeat only if it is written."""
    tables = {key.partition(".")[0] for key in written}
    for key, value in defaults(SERVICE).items():
        if key not in written and not (key in STOP_KEYS and "stop" in written):
            yield Row(key, value, "default", "", 0)
    for name, table in _TABLES.items():
        if name in _ALWAYS or name in tables:
            for key, value in defaults(table).items():
                if f"{name}.{key}" not in written:
                    yield Row(f"{name}.{key}", value, "default", "", 0)


def _leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value
