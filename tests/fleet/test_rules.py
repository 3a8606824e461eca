"""The rules of the fleet: steps from what is there and what is wanted, waves, and which hosts are meant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model.fleet_spec import FleetHost, FleetSpec
from supervisor.errors import UsageError
from supervisor.fleet import steps
from supervisor.fleet.inventory import chosen
from supervisor.fleet.steps import Daemon, Found, Step, Target, Todo, understood
from supervisor.fleet.waves import wave_size, waves

NEW, OLD = "2-new", "1-old"
FILE, OTHER = "f" * 64, "0" * 64
BARE = Found()
READY = Found(releases=frozenset({NEW}), current=NEW, config=FILE, daemon=Daemon.READY)
S = Step


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (BARE, [S.SEND, S.BUILD, S.ACTIVATE, S.CONFIGURE, S.START, S.HEALTH]),
        (replace(BARE, systemd=True), [S.SEND, S.BUILD, S.ACTIVATE, S.CONFIGURE, S.UNIT, S.START, S.HEALTH]),
        (replace(BARE, systemd=True, root=False), [S.SEND, S.BUILD, S.ACTIVATE, S.CONFIGURE, S.START, S.HEALTH]),
        (replace(BARE, releases=frozenset({NEW})), [S.ACTIVATE, S.CONFIGURE, S.START, S.HEALTH]),
        (replace(BARE, releases=frozenset({NEW}), current=NEW), [S.CONFIGURE, S.START, S.HEALTH]),
        (replace(READY, daemon=Daemon.DOWN), [S.START, S.HEALTH]),
        (replace(READY, daemon=Daemon.UNKNOWN), [S.START, S.HEALTH]),
        (READY, []),
        (replace(READY, systemd=True), [S.UNIT]),
        (replace(READY, systemd=True, unit="/etc/systemd/system/x"), []),
    ],
)
def test_install_brings_what_is_missing(found: Found, wanted: list[Step]) -> None:
    assert list(steps.install(found, NEW, FILE, user=False).steps) == wanted


def test_install_leaves_what_is_there_and_says_so() -> None:
    older = replace(READY, current=OLD, config=OTHER, daemon=Daemon.DEGRADED)
    todo = steps.install(older, NEW, FILE, user=False)
    assert todo.steps == ()
    assert [note.partition(":")[2] for note in todo.notes] == [
        f" `supervisor fleet upgrade` brings {NEW}",
        " `supervisor fleet push` replaces it",
        " `supervisor fleet status`",
    ]


def test_a_user_gets_a_unit_where_it_is_asked_for() -> None:
    todo = steps.install(replace(READY, systemd=True, root=False), NEW, FILE, user=True)
    assert todo.steps == (S.UNIT,)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (READY, []),
        (replace(READY, pending=True), [S.RELOAD, S.HEALTH]),
        (replace(READY, config=OTHER), [S.CONFIGURE, S.RELOAD, S.HEALTH]),
        (replace(READY, config=OTHER, daemon=Daemon.DEGRADED), [S.CONFIGURE, S.RELOAD, S.HEALTH]),
        (replace(READY, config=OTHER, daemon=Daemon.DOWN), [S.CONFIGURE]),
        (replace(READY, daemon=Daemon.DOWN), []),
    ],
)
def test_push(found: Found, wanted: list[Step]) -> None:
    assert list(steps.push(found, FILE).steps) == wanted


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (READY, []),
        (replace(READY, current=OLD), [S.UPGRADE, S.HEALTH, S.ACTIVATE]),
        (
            replace(READY, current=OLD, releases=frozenset({OLD})),
            [S.SEND, S.BUILD, S.UPGRADE, S.HEALTH, S.ACTIVATE],
        ),
        (replace(READY, current=OLD, daemon=Daemon.DOWN), [S.ACTIVATE]),
    ],
)
def test_upgrade(found: Found, wanted: list[Step]) -> None:
    assert list(steps.upgrade(found, NEW).steps) == wanted


@pytest.mark.parametrize("daemon", Daemon)
def test_start_and_down(daemon: Daemon) -> None:
    found = replace(READY, daemon=daemon)
    assert steps.start(found).steps == (() if daemon.runs else (S.START, S.HEALTH))
    assert steps.down(found).steps == ((S.STOP,) if daemon.runs or daemon is Daemon.UNKNOWN else ())


def test_what_is_not_installed_or_not_understood_is_a_problem() -> None:
    for todo in (steps.push(BARE, FILE), steps.upgrade(BARE, NEW), steps.start(BARE)):
        assert todo == Todo(problem="not installed: `supervisor fleet install`")
    unknown = replace(READY, current=OLD, daemon=Daemon.UNKNOWN, said="another file")
    for todo in (steps.push(unknown, FILE), steps.upgrade(unknown, NEW)):
        assert todo.problem.endswith(": another file") and todo.steps == ()


def after(found: Found, todo: Todo, release: str, config: str) -> Found:
    """What is there when the steps were carried out."""
    for step in todo.steps:
        match step:
            case Step.BUILD:
                found = replace(found, releases=found.releases | {release})
            case Step.ACTIVATE:
                assert release in found.releases
                found = replace(found, current=release)
            case Step.CONFIGURE:
                assert found.current is not None
                found = replace(found, config=config, pending=found.daemon.runs)
            case Step.UNIT:
                assert found.current is not None and found.config is not None
                found = replace(found, unit="unit")
            case Step.START:
                assert found.current is not None and found.config is not None
                found = replace(found, daemon=Daemon.DEGRADED)
            case Step.RELOAD:
                assert found.daemon.runs
                found = replace(found, pending=False)
            case Step.UPGRADE:
                assert found.daemon.runs and release in found.releases
            case Step.HEALTH:
                assert found.daemon.runs
                found = replace(found, daemon=Daemon.READY)
            case Step.STOP:
                found = replace(found, daemon=Daemon.DOWN)
            case Step.SEND:
                assert todo.steps[todo.steps.index(step) + 1] is Step.BUILD
    return found


@st.composite
def hosts(draw: st.DrawFn) -> Found:
    """A host in any state that steps can leave, also those that were cut off."""
    releases = draw(st.frozensets(st.sampled_from([NEW, OLD])))
    current = draw(st.sampled_from([None, *releases]))
    config = draw(st.sampled_from([None, FILE, OTHER])) if current else None
    runs = draw(st.sampled_from([Daemon.DOWN, Daemon.DEGRADED, Daemon.READY])) if config else Daemon.NOT_INSTALLED
    return Found(
        releases=releases,
        current=current,
        config=config,
        daemon=runs,
        root=draw(st.booleans()),
        systemd=draw(st.booleans()),
        unit=draw(st.sampled_from([None, "unit"])) if config else None,
        pending=draw(st.booleans()) if runs.runs else False,
    )


@given(hosts(), st.booleans())
def test_a_second_run_changes_nothing(found: Found, user: bool) -> None:
    rules = {
        "install": lambda now: steps.install(now, NEW, FILE, user=user),
        "push": lambda now: steps.push(now, FILE),
        "upgrade": lambda now: steps.upgrade(now, NEW),
        "start": steps.start,
        "down": steps.down,
    }
    for rule in rules.values():
        todo = rule(found)
        now = after(found, todo, NEW, FILE)
        assert rule(now).steps == ()
        assert not (todo.problem and todo.steps)


@given(hosts(), st.booleans(), st.integers(0, 10))
def test_a_run_that_was_cut_off_is_finished_by_the_next(found: Found, user: bool, cut: int) -> None:
    whole = steps.install(found, NEW, FILE, user=user)
    begun = Todo(steps=whole.steps[:cut])
    if begun.steps[-1:] == (Step.SEND,):
        begun = Todo(steps=begun.steps[:-1])  # sent wheels alone change nothing
    half = after(found, begun, NEW, FILE)
    end = after(half, steps.install(half, NEW, FILE, user=user), NEW, FILE)
    assert end.current is not None and end.config is not None and end.daemon.runs


@given(st.lists(st.integers(), max_size=60), st.one_of(st.integers(1, 100), st.integers(1, 100).map("{}%".format)))
def test_waves_have_every_host_once_and_none_is_larger(there: list[int], share: int | str) -> None:
    planned = waves(there, share)
    assert [host for wave in planned for host in wave] == there
    assert all(planned) and len({len(wave) for wave in planned[:-1]}) <= 1


@pytest.mark.parametrize(
    ("count", "share", "size"), [(3, "25%", 1), (8, "25%", 2), (7, "50%", 3), (3, 5, 3), (1, "1%", 1), (4, "100%", 4)]
)
def test_the_size_of_a_wave(count: int, share: int | str, size: int) -> None:
    assert wave_size(count, share) == size


FLEET = FleetSpec(
    hosts=(
        FleetHost(name="a", address="10.0.0.1", labels=(("zone", "x"),)),
        FleetHost(name="b", address="10.0.0.2", labels=(("disk", "ssd"), ("zone", "x"))),
        FleetHost(name="c", address="10.0.0.3"),
    )
)


@pytest.mark.parametrize(
    ("wanted", "names"), [((), "abc"), (("c", "a"), "ac"), (("zone=x",), "ab"), (("disk=ssd", "c"), "bc")]
)
def test_hosts_are_chosen(wanted: tuple[str, ...], names: str) -> None:
    assert "".join(host.name for host in chosen(FLEET, wanted)) == names


@pytest.mark.parametrize("word", ["d", "zone=y", "c=", "="])
def test_a_host_that_is_not_there(word: str) -> None:
    with pytest.raises(UsageError, match=r"Hosts: a, b, c\."):
        chosen(FLEET, ("a", word))


def test_the_answer_of_a_host_is_understood() -> None:
    answer = {
        "target": {"python": "3.12", "machine": "aarch64", "libc": ["glibc", "2.39"]},
        "directory": "/opt/phi",
        "root": True,
        "systemd": False,
        "releases": [NEW],
        "current": NEW,
        "config": FILE,
        "unit": None,
        "pending": True,
        "status": {"code": 3, "said": "web failed"},
    }
    found = understood(answer)
    assert found.target == Target(python="3.12", machine="aarch64", libc="glibc", libc_version="2.39")
    assert (found.daemon, found.said, found.pending) == (Daemon.DEGRADED, "web failed", True)
    for code, daemon in ((0, Daemon.READY), (5, Daemon.DOWN), (2, Daemon.UNKNOWN)):
        assert understood({**answer, "status": {"code": code, "said": ""}}).daemon is daemon
    assert understood({**answer, "status": None}).daemon is Daemon.NOT_INSTALLED
