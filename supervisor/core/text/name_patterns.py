"""Patterns that stand for several names: `web*`, `*@1`, `back:*`, `all`.

No service, instance or group can have one of the characters of a pattern in its name, but a service can be named `all`;
then that word means this service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

ALL = "all"
_MARKS = re.compile(r"[*?:\[\]]")


class Known(NamedTuple):
    """An instance by all its names; an empty one is none, and matches nothing."""

    instance: str
    service: str
    group: str = ""


def is_pattern(text: str) -> bool:
    """Whether it is a pattern unless something has this name."""
    return text == ALL or _MARKS.search(text) is not None


def matches(pattern: str, one: Known) -> bool:
    """Whether the pattern means this instance, by the name of the instance, of its service or of its group.

    `A:B` is what both A and B mean: `back:*` is the group back, as supervisorctl has it."""
    if pattern == ALL:
        return True
    parts = pattern.split(":")
    return all(any(name and fnmatchcase(name, part) for name in one) for part in parts)


def matching(pattern: str, known: Iterable[Known]) -> list[str]:
    """The names of the instances that the pattern means, in their order; of a plain name those that have it."""
    known = list(known)
    if pattern == ALL and (named := [one.instance for one in known if ALL in one]):
        return named
    return [one.instance for one in known if matches(pattern, one)]


def recorded_names(patterns: Iterable[str], known: Iterable[Known]) -> list[str]:
    """The services and instances that these names mean in records, which know no groups and no patterns.  A name that
    nothing has is kept: that service may have been removed."""
    known = list(known)
    found: dict[str, None] = {}
    for pattern in patterns:
        named = any(pattern in (one.instance, one.service) for one in known)
        meant = set() if named else set(matching(pattern, known))
        if named or not (meant or is_pattern(pattern)):
            found[pattern] = None
        for one in known:
            if one.instance in meant:
                found[one.service if matches(pattern, one._replace(instance="")) else one.instance] = None
    return list(found)


def without_marks(pattern: str) -> str:
    """The letters of a pattern, to find the name that it is near to."""
    return _MARKS.sub("", pattern)
