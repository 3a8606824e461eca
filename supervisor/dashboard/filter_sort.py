"""Which instances are shown, and in what order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from supervisor.display.severity import Severity, severity
from supervisor.display.state_style import state_word

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

SORTS = ("trouble", "order", "name", "uptime", "restarts", "cpu", "memory", "phi")
"""`trouble`: the most severe state first, then start order.  `order`: start order."""
DESCENDING = frozenset({"trouble", "restarts", "cpu", "memory", "phi"})
"""Columns that begin with the greatest value unless the user reverses them."""

_KEYS: dict[str, Callable[[Instance], Any]] = {
    "trouble": severity,
    "name": lambda v: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", v["name"])],
    "uptime": lambda v: v["uptime_s"] or 0.0,
    "restarts": lambda v: v["restarts"],
    "cpu": lambda v: v["cpu_percent"] or 0.0,
    "memory": lambda v: v["memory_bytes"] or 0,
    "phi": lambda v: (v["phi"] or 0.0) / (v["threshold"] or 1.0),
}


def arrange(views: Sequence[Instance], sort: str, descending: bool) -> list[Instance]:
    """Sort the instances; equal ones stay in start order."""
    if sort == "order":
        return list(reversed(views)) if descending else list(views)
    return sorted(views, key=_KEYS[sort], reverse=descending)


def matching(views: Sequence[Instance], text: str) -> list[Instance]:
    """The instances that match every word of the filter.

    A word is a part of the name or the group, a state, `flapping`, a goal, `ready`, `unready` or `problem`; `!word` is
    its opposite.  If no instance matches, names and groups match that have its letters in the same order."""
    words = text.lower().split()
    exact = [v for v in views if all(_fits(v, w, _contains) for w in words)]
    return exact or [v for v in views if all(_fits(v, w, _in_order) for w in words)]


def _fits(view: Instance, word: str, in_name: Callable[[str, str], bool]) -> bool:
    if word.startswith("!") and len(word) > 1:
        return not _fits(view, word[1:], _contains)
    facts = {view["state"], state_word(view).replace(" ", "-"), view["goal"], "ready" if view["ready"] else "unready"}
    if severity(view) >= Severity.WRONG:
        facts.add("problem")
    return word in facts or in_name(word, view["name"].lower()) or in_name(word, (view["group"] or "").lower())


def _contains(word: str, text: str) -> bool:
    return word in text


def _in_order(word: str, text: str) -> bool:
    letters = iter(text)
    return all(c in letters for c in word)
