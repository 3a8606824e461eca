"""Which instance a process belongs to, from what it shows and from its ancestors."""

from __future__ import annotations

import pytest

from supervisor.core.services.process_owners import (
    EXEC,
    HELPER,
    HOOK,
    MAIN,
    PROBE,
    WORKER,
    Owner,
    Seen,
    Signs,
    group_of,
    owners,
)

DAEMON = Seen(10, 1, 10, 100)
WEB = Seen(20, 10, 20, 200, "/x/phi-shop/web@1")
SIGNS = Signs(10, "id", "phi-shop", {"web@1": 20, "gone": 77})


def of(one: Seen, *others: Seen, signs: Signs = SIGNS) -> Owner | None:
    return owners([DAEMON, WEB, *others, one], signs).get(one.pid)


def test_the_main_process_and_the_helpers_of_the_daemon() -> None:
    assert of(WEB) == Owner("web@1", MAIN)
    assert of(DAEMON) is None, "the daemon belongs to no one"
    assert of(Seen(30, 10, 10, 300)) == Owner("", HELPER)
    assert of(Seen(31, 30, 10, 300), Seen(30, 10, 10, 300)) == Owner("", HELPER)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Seen(40, 20, 20, 300, "/x/phi-shop/web@1/sub"), Owner("web@1", WORKER)),
        (Seen(40, 20, 40, 300, "/x/phi-shop/web@1"), Owner("web@1", WORKER, ("own session",))),
        (Seen(40, 20, 20, 300, "/x"), Owner("web@1", WORKER, ("outside its cgroup",))),
        (Seen(40, 1, 20, 300, "/x/phi-shop/web@1"), Owner("web@1", WORKER, ("orphan, child of PID 1",))),
        (
            Seen(40, 10, 40, 300, "/y", "web@1"),
            Owner("web@1", WORKER, ("own session", "orphan, adopted by the daemon", "outside its cgroup")),
        ),
        (
            Seen(40, 10, 40, 300, "/phi-shop/db", named=("id", "db")),
            Owner("db", WORKER, ("orphan, adopted by the daemon",)),
        ),
        (Seen(40, 5, 40, 300, named=("id", "db")), Owner("db", WORKER, ("outside its cgroup",))),
        (Seen(40, 1, 20, 300), Owner("web@1", WORKER, ("orphan, child of PID 1", "outside its cgroup"))),
        (Seen(40, 5, 5, 300, "/x/phi-shop/exec:web@1"), Owner("web@1", EXEC)),
        (Seen(40, 10, 40, 300, command=True, named=("id", "web@1")), Owner("web@1", PROBE)),
        (Seen(40, 10, 40, 300, command=True), Owner("", PROBE)),
        (Seen(40, 10, 40, 300, named=("id", "web@1"), place="3", hook=True), Owner("web@1", HOOK)),
        (Seen(40, 5, 40, 300, named=("other", "web@1"), place="3"), None),
        (Seen(40, 5, 40, 300), None),
        (Seen(40, 1, 20, 150), None),
    ],
)  # fmt: skip
def test_what_a_process_shows(one: Seen, expected: Owner | None) -> None:
    assert of(one) == expected


def test_what_shows_nothing_belongs_where_its_parent_does() -> None:
    probe = Seen(40, 10, 40, 300, command=True, named=("id", "web@1"))
    assert of(Seen(41, 40, 41, 301), probe) == Owner("web@1", PROBE)
    assert of(Seen(41, 40, 41, 301), Seen(40, 41, 40, 300)) is None, "a circle, as two looks at once can show"


def test_a_main_process_of_an_earlier_daemon_is_told() -> None:
    web = WEB._replace(ppid=1)
    assert owners([DAEMON, web], SIGNS)[20].notes == ("started by an earlier daemon",)
    assert owners([web], SIGNS._replace(daemon=0))[20].notes == (), "there is no other now"


def test_the_group_of_a_path() -> None:
    assert group_of("/a/phi-x/web/deeper", "phi-x") == "web"
    assert group_of("/a/phi-x", "phi-x") == "", "in no group"
    assert group_of("/a/phi-xy/web", "phi-x") == ""
    assert group_of(None, "phi-x") == group_of("/a/phi-x/web", "") == ""
