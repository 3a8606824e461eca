"""Which signals would end or stop a process that does not handle them, and how that is told."""

from __future__ import annotations

import signal

import pytest

from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.replica import for_instance
from supervisor.core.services.signal_guard import SignalMasks, checks, consequence, refusal

NOTHING = SignalMasks(0, 0, 0)
HUP = 1 << (signal.SIGHUP - 1)
LAST = 1 << 63


@pytest.mark.parametrize(
    ("number", "masks", "expected"),
    [
        (signal.SIGHUP, NOTHING, "end"),
        (signal.SIGHUP, SignalMasks(HUP, 0, 0), ""),
        (signal.SIGHUP, SignalMasks(0, HUP, 0), ""),
        (signal.SIGHUP, SignalMasks(0, 0, HUP), ""),
        (signal.SIGINT, SignalMasks(HUP, HUP, HUP), "end"),
        (signal.SIGKILL, NOTHING, "end"),
        (signal.SIGRTMAX, NOTHING, "end"),
        (signal.SIGRTMAX, SignalMasks(LAST, 0, 0), ""),
        *((number, NOTHING, "stop") for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)),
        *((number, NOTHING, "") for number in (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)),
    ],
)
def test_what_a_signal_would_do(number: int, masks: SignalMasks, expected: str) -> None:
    assert consequence(number, masks) == expected


def test_one_that_does_not_handle_its_signal_is_named() -> None:
    assert refusal({"web": signal.SIGHUP}, {"web": NOTHING}) == (
        "web does not handle SIGHUP, which would end it",
        "Use `supervisor restart web`, or -s HUP to insist.",
    )


def test_of_several_only_those_that_do_not_handle_theirs_are_named() -> None:
    numbers = {"api": signal.SIGHUP, "db": signal.SIGTSTP, "web": signal.SIGHUP, "gone": signal.SIGHUP}
    masks = {"api": SignalMasks(HUP, 0, 0), "db": NOTHING, "web": NOTHING}
    assert refusal(numbers, masks) == (
        "db does not handle SIGTSTP, which would stop it; web does not handle SIGHUP, which would end it;"
        " nothing was sent",
        "Use `supervisor restart db web`, or -s SIGNAL to insist.",
    )


def test_a_signal_without_a_name_is_told_as_it_can_be_given() -> None:
    for number, name in ((32, "32"), (40, "RTMIN+6")):
        refused = refusal({"web": number}, {"web": NOTHING})
        assert refused is not None
        assert refused[1] == f"Use `supervisor restart web`, or -s {name} to insist."


def test_nothing_is_refused_where_all_handle_it_or_have_ended() -> None:
    assert refusal({"web": signal.SIGHUP, "gone": signal.SIGHUP}, {"web": SignalMasks(HUP, 0, 0)}) is None


CHECKED = ServiceSpec(name="web", command=("web",), replicas=2, reload_check=("web", "-t", "{replica}"))
SHARED = ServiceSpec(name="db", command=("db",), replicas=2, reload_signal=10, reload_check=("db", "-t"))
PLAIN = ServiceSpec(name="api", command=("api",))
SPECS = {name: for_instance(spec, name) for spec in (CHECKED, SHARED, PLAIN) for name in spec.instances}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, []),
        ({"api": 1}, []),
        ({"web@1": 15, "db@1": 1}, []),
        ({"web@1": 1, "api": 1, "web@2": 1}, [(("web", "-t", "1"), ["web@1"]), (("web", "-t", "2"), ["web@2"])]),
        ({"db@1": 10, "db@2": 10}, [(("db", "-t"), ["db@1", "db@2"])]),
    ],
)
def test_which_checks_have_to_pass_before_a_reload_signal(numbers: dict[str, int], expected: list[object]) -> None:
    assert [(check.spec.reload_check, check.instances) for check in checks(numbers, SPECS)] == expected
