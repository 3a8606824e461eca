"""What a sandboxed service sees of each path."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model.spec import SandboxSpec
from supervisor.core.services.sandbox_view import CLOSED, Place, View, arranged, covering, places

HIDDEN, EMPTY, PRIVATE, DEVICES, READ_ONLY, AS_IS = View


def views(keys: dict[str, Any], needed: tuple[str, ...] = ()) -> dict[str, View]:
    return {place.path: place.view for place in arranged(places(SandboxSpec(**keys)), needed)}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {}),
        ({"private_tmp": True}, {"/tmp": PRIVATE, "/var/tmp": PRIVATE}),
        ({"private_devices": True}, {"/dev": DEVICES}),
        ({"protect_home": "yes"}, {"/home": HIDDEN, "/root": HIDDEN, "/run/user": HIDDEN}),
        ({"protect_home": "read-only"}, {"/home": READ_ONLY, "/root": READ_ONLY, "/run/user": READ_ONLY}),
        ({"protect_home": "tmpfs"}, {"/home": EMPTY, "/root": EMPTY, "/run/user": EMPTY}),
        ({"protect_system": "strict"}, {"/": READ_ONLY, "/dev": AS_IS, "/proc": AS_IS, "/sys": AS_IS}),
        # of two views of one path the stricter counts
        (
            {"protect_system": "strict", "private_devices": True},
            {"/": READ_ONLY, "/dev": DEVICES, "/proc": AS_IS, "/sys": AS_IS},
        ),
        (
            {"private_tmp": True, "read_write_paths": ("/tmp",), "inaccessible_paths": ("/var/tmp",)},
            {"/tmp": PRIVATE, "/var/tmp": HIDDEN},
        ),
        # the innermost place counts
        ({"read_only_paths": ("/a",), "read_write_paths": ("/a/b",)}, {"/a": READ_ONLY, "/a/b": AS_IS}),
        (
            {"inaccessible_paths": ("/a",), "read_only_paths": ("/a/b",), "read_write_paths": ("/a/b/c",)},
            {"/a": HIDDEN, "/a/b": READ_ONLY, "/a/b/c": AS_IS},
        ),
        ({"read_only_paths": ("/a",), "inaccessible_paths": ("/a/b",)}, {"/a": READ_ONLY, "/a/b": HIDDEN}),
        # what makes no difference is left out
        ({"read_write_paths": ("/a",)}, {}),
        ({"read_only_paths": ("/a", "/a/b")}, {"/a": READ_ONLY}),
        ({"inaccessible_paths": ("/a", "/a/b")}, {"/a": HIDDEN}),
        ({"read_only_paths": ("/a", "/ab")}, {"/a": READ_ONLY, "/ab": READ_ONLY}),
        ({"private_tmp": True, "inaccessible_paths": ("/tmp/x",)}, {"/tmp": PRIVATE, "/var/tmp": PRIVATE}),
        # a private directory within a hidden one is made there
        (
            {"private_tmp": True, "inaccessible_paths": ("/var",)},
            {"/tmp": PRIVATE, "/var": HIDDEN, "/var/tmp": PRIVATE},
        ),
    ],
)
def test_what_it_sees(keys: dict[str, Any], expected: dict[str, View]) -> None:
    assert views(keys) == expected


def test_how_much_of_the_system_is_read_only() -> None:
    yes, full = views({"protect_system": "yes"}), views({"protect_system": "full"})
    assert {"/usr", "/boot", "/efi", "/bin", "/lib"} <= set(yes)
    assert set(full) == {*yes, "/etc"}
    assert {*yes.values(), *full.values()} == {READ_ONLY}


def test_outer_places_come_before_inner_ones() -> None:
    keys: dict[str, Any] = {"protect_system": "strict", "read_write_paths": ("/a/b/c", "/a-b"), "private_tmp": True}
    keys["inaccessible_paths"] = ("/a",)
    order = list(views(keys))
    assert order == ["/", "/a", "/a/b/c", "/a-b", "/dev", "/proc", "/sys", "/tmp", "/var/tmp"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"private_tmp": True}, {"/tmp": PRIVATE, "/tmp/run/x": READ_ONLY, "/var/tmp": PRIVATE}),
        ({"inaccessible_paths": ("/tmp/run",)}, {"/tmp/run": HIDDEN, "/tmp/run/x": READ_ONLY}),
        ({"read_only_paths": ("/tmp",)}, {"/tmp": READ_ONLY}),
        ({"read_write_paths": ("/tmp",)}, {}),
    ],
)
def test_what_is_needed_is_seen(keys: dict[str, Any], expected: dict[str, View]) -> None:
    assert views(keys, needed=("/tmp/run/x",)) == expected


def test_only_what_was_asked_for_has_to_exist() -> None:
    keys = SandboxSpec(protect_system="full", protect_home="yes", private_tmp=True, read_only_paths=("/a",))
    assert [place.path for place in places(keys) if place.required] == ["/a"]


def test_the_innermost_place_covers_a_path() -> None:
    found = arranged([Place("/", READ_ONLY), Place("/a", HIDDEN), Place("/a/b", AS_IS)])
    covers = {path: covering(found, path) for path in ("/", "/x", "/ab", "/a", "/a/x", "/a/b", "/a/b/c")}
    assert {path: place.path if place else None for path, place in covers.items()} == {
        "/": "/", "/x": "/", "/ab": "/", "/a": "/a", "/a/x": "/a", "/a/b": "/a/b", "/a/b/c": "/a/b",
    }  # fmt: skip
    assert covering((), "/a") is None
    assert {HIDDEN, EMPTY, PRIVATE, DEVICES} == CLOSED
