"""What a new plan would change: the base of `reload`, and what `reload --dry-run` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from supervisor.core.spec import Plan

_IN_FILE = {"sustained": "for", "listen": "http.listen", "extra_groups": "group"}
"""Fields that the file calls otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Service names, each group in the start order of the plan that has them; keys are dotted as in the file."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unchanged: tuple[str, ...] = ()
    supervisor_changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.supervisor_changed)


def difference(old: Plan, new: Plan) -> Difference:
    """What becomes of each service when `new` takes the place of `old`.  Where a service stands is no difference."""
    before = {spec.name: spec for spec in old.services}
    after = {spec.name: spec for spec in new.services}
    changed = {name: _keys(before[name], spec) for name, spec in after.items() if name in before}
    return Difference(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed={name: keys for name, keys in changed.items() if keys},
        unchanged=tuple(name for name, keys in changed.items() if not keys),
        supervisor_changed=_keys(old.supervisor, new.supervisor),
    )


def _keys(old: Any, new: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_differing(old, new))) if old != new else ()


def _differing(old: Any, new: Any) -> Iterator[str]:
    for f in fields(old):
        before, after = getattr(old, f.name), getattr(new, f.name)
        if before == after:
            continue
        shown = _IN_FILE.get(f.name, f.name)
        if is_dataclass(before) and type(before) is type(after):
            yield from (f"{shown}.{key}" for key in _differing(before, after))
        else:
            yield shown
