"""What a sandboxed service sees of each path: a pure list of places, from the outer to the inner ones.

Of the places that hold a path the innermost counts, and of two views of one path the stricter.  adapters/processes/
sandbox.py makes mounts of the list, and config/checks/sandbox.py asks it whether the service can find its own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from supervisor.core.model.spec import SandboxSpec


class View(IntEnum):
    """How a place looks from inside; the strictest first."""

    HIDDEN = 0
    """A directory that cannot be entered; a file without content."""
    EMPTY = 1
    """An empty directory that cannot be written to."""
    PRIVATE = 2
    """An empty directory of the service's own, in memory."""
    DEVICES = 3
    """/dev with the devices that every program may use."""
    READ_ONLY = 4
    AS_IS = 5


CLOSED = frozenset({View.HIDDEN, View.EMPTY, View.PRIVATE, View.DEVICES})
"""Views that show nothing of what the host has at the place."""

_SYSTEM = ("/usr", "/boot", "/efi", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_HOMES = ("/home", "/root", "/run/user")
_KERNEL = ("/dev", "/proc", "/sys")
_TEMPORARY = ("/tmp", "/var/tmp")
_HOME_VIEWS = {"yes": View.HIDDEN, "read-only": View.READ_ONLY, "tmpfs": View.EMPTY}


class Place(NamedTuple):
    path: str
    view: View
    required: bool = False
    """Whether it is an error that the path does not exist."""


def places(sandbox: SandboxSpec) -> list[Place]:
    """What the keys of the table ask for."""
    found: list[Place] = []
    if sandbox.private_tmp:
        found += [Place(path, View.PRIVATE) for path in _TEMPORARY]
    if sandbox.private_devices:
        found.append(Place("/dev", View.DEVICES, required=True))
    if sandbox.protect_system == "strict":
        found.append(Place("/", View.READ_ONLY, required=True))
        found += [Place(path, View.AS_IS) for path in _KERNEL]
    elif sandbox.protect_system:
        found += [Place(path, View.READ_ONLY) for path in _SYSTEM]
        if sandbox.protect_system == "full":
            found.append(Place("/etc", View.READ_ONLY))
    if sandbox.protect_home:
        found += [Place(path, _HOME_VIEWS[sandbox.protect_home]) for path in _HOMES]
    found += [Place(path, View.HIDDEN, required=True) for path in sandbox.inaccessible_paths]
    found += [Place(path, View.READ_ONLY, required=True) for path in sandbox.read_only_paths]
    found += [Place(path, View.AS_IS, required=True) for path in sandbox.read_write_paths]
    return found


def arranged(asked: Iterable[Place], needed: Iterable[str] = ()) -> tuple[Place, ...]:
    """The places that make a difference, the outer before the inner.  Paths are absolute and without symbolic links.

    `needed`: directories that must be seen whatever hides them; they are shown read-only there."""
    one_each: dict[str, Place] = {}
    for place in sorted(asked, key=lambda place: place.view):
        one_each.setdefault(place.path, place)
    kept: list[Place] = []
    for place in sorted(one_each.values(), key=_order):
        outer = covering(kept, place.path)
        if _differs(place.view, View.AS_IS if outer is None else outer.view):
            kept.append(place)
    for path in needed:
        outer = covering(kept, path)
        if outer is not None and outer.view in CLOSED:
            kept.append(Place(path, View.READ_ONLY, required=True))
    return tuple(sorted(kept, key=_order))


def covering(found: Sequence[Place], path: str) -> Place | None:
    """The innermost of the places that hold `path`."""
    holding = [place for place in found if path == place.path or path.startswith(place.path.rstrip("/") + "/")]
    return max(holding, key=lambda place: len(place.path), default=None)


def _differs(view: View, outer: View) -> bool:
    """Whether a place looks different from what holds it."""
    if view in (View.HIDDEN, View.EMPTY):
        return outer not in CLOSED
    return view != outer or view is View.PRIVATE


def _order(place: Place) -> list[str]:
    return place.path.split("/")
