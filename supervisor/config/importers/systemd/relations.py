"""The dependencies between units that are read together, as `depends_on` (systemd 252)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.systemd.files import Unit
from supervisor.config.importers.systemd.syntax import Setting

_STRONG = ("Requires", "BindsTo", "BindTo", "Requisite", "RequiresOverridable", "RequisiteOverridable")
_FOLLOWED = ("BindsTo", "BindTo", "PartOf")
_AT_BOOT = ("multi-user.target", "default.target", "graphical.target", "sockets.target", "basic.target")
"""What wants a unit that is enabled: the daemon starts all services."""


@dataclass(frozen=True)
class _Edge:
    """`service` comes after `needed`. `strong`: it does not start without it. `ordered`: it waits until it is ready."""

    service: str
    needed: str
    strong: bool
    ordered: bool
    unit: Unit
    setting: Setting


def relate(units: Mapping[str, Unit], tables: Mapping[str, dict[str, Any]], parts: Collection[str]) -> None:
    """Write `depends_on` and `on_dependency_restart`. Both maps go by the name of the service here. `parts` are the
    names of units that were read as a part of a service: its socket and its timer.

    A unit that is not among them is a loss, and so is a dependency that would close a cycle.
    """
    names = {unit.name.full: name for name, unit in units.items()}
    edges = [edge for name, unit in units.items() for edge in _edges(name, unit, names, parts)]
    kept: dict[str, dict[str, _Edge]] = {name: {} for name in units}
    for edge in sorted(edges, key=lambda edge: (not edge.ordered, not edge.strong)):
        before = kept[edge.service].get(edge.needed)
        if before is not None:
            if edge.strong and not before.strong:
                joined = _Edge(edge.service, edge.needed, True, before.ordered, edge.unit, edge.setting)
                kept[edge.service][edge.needed] = joined
            continue
        if edge.service in _reached(kept, edge.needed):
            said = f"{edge.needed} waits for {edge.service} already, so this dependency is left out."
            edge.unit.lose(Kind.CHANGED, edge.setting, said)
            continue
        kept[edge.service][edge.needed] = edge
    for name, needed in kept.items():
        if needed:
            tables[name]["depends_on"] = [_entry(edge) for edge in needed.values()]
        _followed(units[name], names, needed, tables[name])


def _entry(edge: _Edge) -> Any:
    if edge.ordered and edge.strong:
        return edge.needed
    entry: dict[str, Any] = {"service": edge.needed}
    if not edge.ordered:
        entry["condition"] = "started"
        said = f"{edge.service} starts after the start of {edge.needed} here, not at the same time."
        edge.unit.lose(Kind.CHANGED, edge.setting, said)
    if not edge.strong:
        entry["required"] = False
    return entry


def _edges(name: str, unit: Unit, names: Mapping[str, str], parts: Collection[str]) -> Iterable[_Edge]:
    after = {other for _, other in _listed(unit, "Unit", ("After",))}
    before = {names.get(other) for _, other in _listed(unit, "Unit", ("Before",))}
    missing: dict[Setting, list[str]] = {}
    for setting, other in _listed(unit, "Unit", (*_STRONG, "Wants", "After", "Before", "PartOf")):
        if other == unit.name.full or other in parts:
            continue
        here = names.get(other)
        if here is None:
            missing.setdefault(setting, []).append(other)
        elif setting.key == "Before":
            yield _Edge(here, name, False, True, unit, setting)
        elif setting.key == "After":
            yield _Edge(name, here, False, True, unit, setting)
        elif setting.key in _STRONG and here not in before:
            yield _Edge(name, here, True, other in after, unit, setting)
    for setting, others in missing.items():
        unit.lose(Kind.DROPPED, setting, f"{_and(others)} not among the units that were read.")
    for setting, other in _listed(unit, "Install", ("WantedBy", "RequiredBy")):
        here = names.get(other)
        if here is not None and setting.key == "RequiredBy":
            yield _Edge(here, name, True, False, unit, setting)
        elif here is None and other not in _AT_BOOT:
            unit.lose(Kind.CHANGED, setting, f"{other} is not here: the service is started with the daemon.")


def _and(names: list[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"


def _listed(unit: Unit, section: str, keys: Iterable[str]) -> Iterable[tuple[Setting, str]]:
    for key in keys:
        for setting in unit.many(section, key):
            for word in setting.value.split():
                expanded = unit.expanded(setting, word)
                if expanded:
                    yield setting, expanded


def _reached(kept: Mapping[str, Mapping[str, _Edge]], start: str) -> set[str]:
    """All that `start` waits for, itself included."""
    found, ahead = {start}, [start]
    while ahead:
        for needed in kept[ahead.pop()]:
            if needed not in found:
                found.add(needed)
                ahead.append(needed)
    return found


def _followed(unit: Unit, names: Mapping[str, str], needed: Mapping[str, _Edge], table: dict[str, Any]) -> None:
    for setting, other in _listed(unit, "Unit", _FOLLOWED):
        here = names.get(other)
        if here is None:
            continue
        if here in needed:
            table["on_dependency_restart"] = "restart"
            said = (
                f"It is restarted with each service that it depends on, not only with {here}, and not stopped with it."
            )
        else:
            said = f"It is neither stopped nor restarted with {here}: it does not depend on it."
        unit.lose(Kind.CHANGED, setting, said)
