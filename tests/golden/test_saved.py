"""What commit 5600521 saved of its instances is restored field by field, and is saved in the same way.

tests/golden/5600521 was written by that build and is never changed.  A test that fails here says that another version
would misread what this one writes, or the other way round.  A new key is added to the lists in this file.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from supervisor.core.detection.detectors.registry import KNOWN
from supervisor.core.lifecycle.snapshot import After, Phase
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import (
    BackoffKind,
    Enforce,
    Evidence,
    OnOpen,
    Policy,
    Reaction,
    Scope,
    ServiceType,
    Strategy,
    Suspicion,
)
from supervisor.core.restart.tracker import Breaker
from tests.golden.files import GOLDEN, golden, plain
from tests.golden.meaning import facts, service_set, snapshots

STANDING = [
    "goal", "state", "phase", "cause", "cause_at", "until", "healthy_at", "after", "wanted_by", "failure", "pid",
    "started_at", "ready", "recovering", "exit_code", "signal", "status_text", "at", "incarnation", "restarts",
    "false_suspicions", "rule", "detector", "recording",
]  # fmt: skip
RULE = ["breaker", "attempt", "cooldown", "retry_in", "previous", "ages"]
DETECTOR = [
    "intervals", "late", "law", "started", "last", "excused", "excused_until", "spared", "keep", "ignored",
]  # fmt: skip
RECORDING = ["classes", "longest", "total"]

SNAPSHOTS = snapshots(GOLDEN)
RESTORED = service_set(GOLDEN).instances
FRESH = service_set(GOLDEN, crashed=False).instances
MEANT = golden("meaning.json")


def close(found: Any, wanted: Any) -> bool:
    """The same, but for the last digits of floats."""
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and all(close(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    if isinstance(wanted, float):
        return isinstance(found, float) and found == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    return type(found) is type(wanted) and bool(found == wanted)


def test_there_is_an_instance_in_each_state_and_with_each_detector() -> None:
    """With each detector that the build had: one that was added since is in no file of it."""
    found = MEANT.values()
    assert {one["state"] for one in found} == set(State)
    assert {one["breaker"] for one in found} == set(Breaker)
    assert {one["detector"]["name"] for one in found if one["detector"]} <= set(KNOWN)
    assert {one["phase"] for one in found} >= {Phase.NONE, Phase.WAITING, Phase.UP}


@pytest.mark.parametrize("name", MEANT)
def test_every_field_of_an_instance_is_restored(name: str) -> None:
    restored = plain(facts(RESTORED[name], SNAPSHOTS[name]["at"]))
    for field, wanted in MEANT[name].items():
        assert close(restored[field], wanted), (field, restored[field], wanted)
    assert list(restored) == list(MEANT[name])


@pytest.mark.parametrize("name", MEANT)
def test_what_is_restored_is_saved_in_the_same_way(name: str) -> None:
    """`start` is added by the runtime, which knows the process."""
    saved = {key: value for key, value in SNAPSHOTS[name].items() if key != "start"}
    again = plain(RESTORED[name].snapshot(saved["at"]))
    for key, wanted in saved.items():
        assert close(again[key], wanted), (key, again[key], wanted)
    assert list(again) == list(saved) == STANDING


@pytest.mark.parametrize("name", MEANT)
def test_the_keys_of_a_saved_instance(name: str) -> None:
    saved = SNAPSHOTS[name]
    assert list(saved) == [*STANDING, *(["start"] if MEANT[name]["pid"] else [])]
    assert list(saved["rule"]) == RULE
    assert saved["detector"] is None or list(saved["detector"]) == DETECTOR
    assert saved["recording"] is None or list(saved["recording"]) == RECORDING


@pytest.mark.parametrize("name", MEANT)
def test_after_an_orderly_end_only_history_is_restored(name: str) -> None:
    new, meant = plain(facts(FRESH[name], SNAPSHOTS[name]["at"])), MEANT[name]
    kept = {"incarnation", "restarts", "false_suspicions", "detector", "recording"}
    assert all(close(new[field], meant[field]) for field in kept)
    assert (new["goal"], new["state"], new["breaker"]) == ("down", "stopped", "closed")
    assert new["pid"] is new["until"] is None


WORDS: dict[type[Enum], list[object]] = {
    Goal: ["up", "down"],
    State: ["stopped", "starting", "running", "suspect", "stopping", "backoff", "exited", "failed"],
    Phase: [0, 1, 2, 3],
    After: [0, 1, 2],
    Breaker: ["closed", "open", "half-open"],
    Cause: [
        "started-by-user", "stopped-by-user", "restarted-by-user", "reset-by-user", "signalled-by-user",
        "reload-refused", "reloaded", "scaled-by-user", "added", "maintenance-begun", "maintenance-over",
        "autostart", "shutdown", "removed", "dependency-restarted", "dependency-failed", "lease-ending",
        "group-restarted",
        "fallback-wanted", "fallback-over",
        "rolled-out", "put-back", "surge-started", "surge-over", "rollout-started", "rollout-advanced",
        "rollout-paused",
        "rollout-resumed", "rollout-undone", "rollout-failed", "rollout-finished", "rollout-rolled-back",
        "on-demand", "connection", "idle",
        "exited", "killed-by-signal", "exit-status-unknown", "spawn-failed", "start-timeout", "heartbeat-silent",
        "watchdog-triggered", "memory-limit", "cpu-limit", "tasks-limit", "spawned", "adopted", "spawn-interrupted",
        "ready", "heartbeat-resumed", "confirmed-alive", "held", "hold-over", "process-silent", "process-held",
        "process-resumed", "process-ended", "process-replaced", "stopping-by-itself", "notify-refused",
        "reload-begun", "reload-done", "reload-timeout", "delay-reset", "probe-unknown", "probe-known",
        "target-infeasible", "target-feasible",
        "backoff-elapsed", "breaker-open", "breaker-trial", "breaker-closed", "succeeded", "stopped",
        "stop-escalated", "drain-timeout",
        "stop-timeout",
        "lingering", "left-running", "clock-set", "upgraded", "unchanged", "host-suspected", "host-heard",
    ],
    ServiceType: ["service", "oneshot"],
    Policy: ["always", "on-failure", "never"],
    BackoffKind: ["fixed", "linear", "exponential", "decorrelated-jitter"],
    Strategy: ["one-for-one", "one-for-all", "rest-for-one"],
    Reaction: ["restart", "report"],
    Suspicion: ["restart", "report", "kill-process"],
    Scope: ["instance", "process"],
    OnOpen: ["hold", "stop", "ignore"],
    Evidence: ["look", "core"],
    Enforce: ["sampling", "kernel"],
}  # fmt: skip
"""Every value that is written."""


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_the_values_that_are_written(kind: type[Enum]) -> None:
    assert [one.value for one in kind] == WORDS[kind]


def test_the_numbers_of_phases_and_of_what_follows() -> None:
    assert (Phase.NONE, Phase.WAITING, Phase.SPAWNING, Phase.UP) == (0, 1, 2, 3)
    assert (After.DECIDE, After.STOP, After.RESTART) == (0, 1, 2)
