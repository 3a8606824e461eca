"""Puts the keys of parents (`extends`) under those of each service, less what `unset` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from supervisor.config.build import merged
from supervisor.config.source.key_path import Key
from supervisor.config.source.problems import Problems
from supervisor.core.text.nearest import did_you_mean

KINDS = ("services", "templates")
OWN = ("extends", "unset")
"""Keys that are not inherited."""


class Inherited(NamedTuple):
    """A service's table with those of its parents, and the [defaults] that hold for it."""

    table: Mapping[str, Any]
    defaults: Mapping[str, Any]


def with_parents(given: Mapping[str, Any], problems: Problems) -> dict[str, Inherited]:
    """The services by name.  `problems` learns where each takes from what it does not write itself."""
    return _Family(given, problems).services()


def unused_templates(given: Mapping[str, Any]) -> list[str]:
    """The templates that nothing extends."""
    used = {table.get("extends") for kind in KINDS for table in given.get(kind, {}).values()}
    return [name for name in given.get("templates", {}) if name not in used]


class _Family:
    def __init__(self, given: Mapping[str, Any], problems: Problems) -> None:
        self._tables: dict[Key, Mapping[str, Any]] = {
            (kind, name): table for kind in KINDS for name, table in given.get(kind, {}).items()
        }
        self._problems = problems
        self._defaults = {key: value for key, value in given.get("defaults", {}).items() if key not in OWN}
        for key in given.get("defaults", {}).keys() & set(OWN):
            problems.add(("defaults", key), "stands in a service or a template, not in [defaults]")
        for name in given.get("templates", {}).keys() & given.get("services", {}).keys():
            problems.add(("templates", name), f'"{name}" is already the name of a service')
        self._parents: dict[Key, Key | None] = {table: self._parent(table) for table in self._tables}
        self._break_cycles()
        self._done: dict[Key, tuple[dict[str, Any], dict[str, Any]]] = {}

    def services(self) -> dict[str, Inherited]:
        for table in self._tables:
            self._problems.inherit(table, tuple(self._ancestors(table)))
        found = {table: Inherited(*self._inherited(table)) for table in self._tables}  # faults of templates, too
        return {str(name): one for (kind, name), one in found.items() if kind == "services"}

    def _parent(self, table: Key) -> Key | None:
        """The table that this one extends.  None where it extends none, or one that is not there."""
        wanted = self._tables[table].get("extends")
        if wanted is None:
            return None
        for kind in KINDS:
            if (kind, wanted) in self._tables:
                return kind, wanted
        names = dict.fromkeys(str(name) for _, name in self._tables)
        message = f'there is no service or template "{wanted}"{did_you_mean(wanted, names)}'
        self._problems.add((*table, "extends"), message)
        return None

    def _break_cycles(self) -> None:
        """Report each circle once, and leave out one of its steps."""
        done: set[Key] = set()
        for table in self._tables:
            path: dict[Key, None] = {}
            node: Key | None = table
            while node is not None and node not in done and node not in path:
                path[node] = None
                node = self._parents[node]
            if node is not None and node in path:
                circle = [str(name) for _, name in list(path)[list(path).index(node) :]]
                self._problems.add((*node, "extends"), f"extends cycle: {' → '.join([*circle, circle[0]])}")
                self._parents[node] = None
            done.update(path)

    def _ancestors(self, table: Key) -> Iterator[Key]:
        parent = self._parents[table]
        while parent is not None:
            yield parent
            parent = self._parents[parent]

    def _inherited(self, table: Key) -> tuple[dict[str, Any], dict[str, Any]]:
        """The table with what it inherits, and the [defaults] that are left for it."""
        chain = [table, *self._ancestors(table)]
        for one in reversed(chain):  # parents first, so that a long chain takes no stack
            if one not in self._done:
                parent = self._parents[one]
                above, defaults = self._done[parent] if parent is not None else ({}, self._defaults)
                for index, path in enumerate(self._tables[one].get("unset", ())):
                    left, fewer = _without(above, path), _without(defaults, path)
                    if left is above and fewer is defaults:
                        near = did_you_mean(path, dict.fromkeys([*_paths(above), *_paths(defaults)]))
                        self._problems.add((*one, "unset", index), f'it does not inherit "{path}"{near}')
                    above, defaults = left, fewer
                own = {key: value for key, value in self._tables[one].items() if key not in OWN}
                self._done[one] = dict(merged(above, own)), defaults
        return self._done[table]


def _without(table: dict[str, Any], path: str) -> dict[str, Any]:
    """The table without the key at `path`, and without a table of which nothing is left; the same object where it has
    no such key.  A key with dots in it is found, too."""
    if path in table:
        return {key: value for key, value in table.items() if key != path}
    name, _, rest = path.partition(".")
    inner = table.get(name)
    if not rest or not isinstance(inner, dict):
        return table
    left = _without(inner, rest)
    if left is inner:
        return table
    return {**table, name: left} if left else {key: value for key, value in table.items() if key != name}


def _paths(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        yield name
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in _paths(value))
