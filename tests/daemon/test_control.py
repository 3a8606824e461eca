"""What follows from an order to the daemon that is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.adapters.http.messages import Peer
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.daemon import control
from supervisor.daemon.control import Control
from supervisor.daemon.parts import Parts
from supervisor.errors import ConfigError, OperationFailed

PLAN = Plan(
    supervisor=SupervisorSpec(name="t", runtime_dir="/r", state_dir="/s"),
    services=(ServiceSpec(name="web", command=("true",)),),
    path="/services.toml",
)
APPLIED = {"applied": True}


class StandInParts:
    """A member of a cluster; `told`: how often its cluster heard of a reload; `said`: what is in its log."""

    def __init__(self) -> None:
        self.told = 0
        self.said: list[str] = []
        self.loop = self.reporter = None
        self.service_set = SimpleNamespace(plan=PLAN, closing=False, instances={}, removed=set())
        self.engine = SimpleNamespace(order=lambda _actions: None)
        self.cluster = SimpleNamespace(current=lambda _plan: True, reloaded=self.tell)

    def tell(self) -> None:
        self.told += 1

    def say(self, _level: str, message: str) -> None:
        self.said.append(message)

    def now(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("dry_run", "outcome", "told"),
    [
        pytest.param(False, APPLIED, 1, id="applied"),
        pytest.param(True, APPLIED, 0, id="only compared"),
        pytest.param(False, ConfigError("no such key"), 0, id="the file is refused"),
        pytest.param(False, OperationFailed("web is being rolled out"), 0, id="a rollout is under way"),
    ],
)
def test_a_cluster_hears_of_a_reload_that_was_carried_out(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool, outcome: Any, told: int
) -> None:
    def compile_file(_loop: object, _plan: Plan, done: Callable[[Plan], None], **_: object) -> None:
        done(PLAN)

    monkeypatch.setattr(control, "compile_file", compile_file)
    monkeypatch.setattr(control, "apply_edits", lambda *_: outcome)
    parts, answers = StandInParts(), list[object]()
    Control(cast("Parts", parts)).compile(dry_run, answers.append, {})
    assert (answers, parts.told) == ([outcome], told)


@pytest.mark.parametrize("refused", [False, True])
def test_a_scale_that_is_refused_is_not_told_as_carried_out(monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
    def put_in_force(*_: object, **__: object) -> None:
        if refused:
            raise OperationFailed("web is being rolled out")

    monkeypatch.setattr(control, "put_in_force", put_in_force)
    parts = StandInParts()
    with pytest.raises(OperationFailed) if refused else nullcontext():
        Control(cast("Parts", parts)).scale(["web=2"], Peer(os.getpid(), os.getuid()))
    assert [line.partition(":")[0] for line in parts.said] == ([] if refused else ["scale web=2"])
