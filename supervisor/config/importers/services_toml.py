"""Writes what was imported as services.toml.  A loss is a comment beside its service, or at the head of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import tomlkit
from tomlkit.items import Item, Table

from supervisor.config.importers.imported import Expanded, Imported, ImportedService, Loss

WIDTH = 100
"""Characters up to which a table within a service is written in one line."""
_DOLLARS = re.compile(r"\$(?=[${])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def services_toml(imported: Imported, command: str) -> str:
    """The text of the file. `command` is the command line that made it, which the first line names."""
    document = tomlkit.document()
    for line in _head(imported, command):
        document.add(tomlkit.comment(line) if line else tomlkit.nl())
    document.add(tomlkit.nl())
    services = tomlkit.table(is_super_table=True)
    losses: dict[str | None, list[Loss]] = {}
    for loss in imported.losses:
        losses.setdefault(loss.service, []).append(loss)
    for service in imported.services:
        services.add(service.name, _service(service, losses.get(service.name, [])))
    document.add("services", services)
    return tomlkit.dumps(document)


def service_toml(name: str, table: Mapping[str, Any]) -> str:
    """The text of one service, to be put at the end of a services.toml."""
    document, services = tomlkit.document(), tomlkit.table(is_super_table=True)
    services.add(name, _sub_table(table))
    document.add("services", services)
    return tomlkit.dumps(document)


def value_toml(value: Any) -> str:
    """A value as it stands in a services.toml, in one line; `$` as it is."""
    return _inline(_as_it_is(value), lines=False).as_string()


def _as_it_is(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_it_is(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_it_is(inner) for inner in value]
    return Expanded(value) if isinstance(value, str) else value


def _head(imported: Imported, command: str) -> Iterable[str]:
    yield f"Made by `{command}`."
    yield "`supervisor check` validates it, `supervisor up` runs it."
    others = [loss for loss in imported.losses if loss.service is None]
    if others:
        yield ""
        yield "Not taken over as it stands, apart from what is noted beside each service:"
        yield from (_comment(str(loss)) for loss in others)


def _comment(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _service(service: ImportedService, losses: list[Loss]) -> Table:
    table = tomlkit.table()
    where = f"{service.file}:{service.line}" if service.line else service.file
    table.add(tomlkit.comment(_comment(f"from {where}")))
    for loss in losses:
        table.add(tomlkit.comment(_comment(f"{loss.kind}: {loss}")))
    short = {key: value for key, value in service.table.items() if not _wide(key, value)}
    for key, value in short.items():
        table.add(key, _inline(value))
    for key, value in service.table.items():
        if key not in short:
            table.add(key, _sub_table(value))
    table.add(tomlkit.nl())
    return table


def _wide(key: str, value: Any) -> bool:
    return isinstance(value, Mapping) and len(f"{key} = {_inline(value).as_string()}") > WIDTH


def _sub_table(value: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, inner in value.items():
        table.add(key, _inline(inner))
    return table


def _inline(value: Any, lines: bool = True) -> Item:
    """The value within one line; with `lines` a list of tables has one line for each."""
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        for key, inner in value.items():
            inline.append(key, _inline(inner))
        return inline
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        for inner in value:
            array.append(_inline(inner, lines))
        return array.multiline(lines and any(isinstance(inner, Mapping) for inner in value))
    return tomlkit.item(_written(value) if isinstance(value, str) else value)


def _written(value: str) -> str:
    """The string as services.toml has to hold it: a `$` is doubled where it would begin a reference."""
    return str(value) if isinstance(value, Expanded) else _DOLLARS.sub("$$", value)
