"""The compiler's child, where it cannot be started, and where another version's runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor import own_sources
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.processes import child_command
from supervisor.core.model.spec import Plan, SupervisorSpec
from supervisor.daemon.compilation import compile_file
from supervisor.errors import ConfigError

PLAN = Plan(supervisor=SupervisorSpec(), services=(), path="/services.toml")


def test_a_compiler_that_cannot_be_started_is_told_as_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the call, as a plan would be: each caller has begun to wait by then."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(child_command, "ChildCommand", refused)
    loop, answers = EventLoop(), list[Plan | ConfigError]()

    def done(result: Plan | ConfigError) -> None:
        answers.append(result)
        loop.stop()

    compile_file(loop, PLAN, done)
    assert answers == []
    loop.run()
    loop.close()
    assert [str(answer) for answer in answers] == ["the configuration cannot be compiled: Too many open files"]


def test_what_a_compiler_has_made_while_its_files_were_replaced_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was started before, and may have imported the modules of both versions."""
    ended: list[Callable[[Any], None]] = []
    monkeypatch.setattr(child_command, "ChildCommand", lambda _loop, _command, done, **_: ended.append(done))
    loop, answers = EventLoop(), list[Plan | ConfigError]()
    compile_file(loop, PLAN, answers.append)
    loop.close()
    monkeypatch.setattr(own_sources, "replaced", lambda: True)
    ended[0](SimpleNamespace(exit_code=0, output=b'{"another": "plan"}'))
    assert [answer.message for answer in answers if isinstance(answer, ConfigError)] == [own_sources.REPLACED]


@pytest.mark.parametrize(
    ("plan", "given", "options"),
    [
        (PLAN, None, []),
        (replace(PLAN, profiles=("dev", "full")), None, ["--active", "dev,full"]),
        (replace(PLAN, inactive=(("web", ("dev",)),)), None, ["--active", ""]),
        (replace(PLAN, profiles=("dev",)), ["full"], ["--profiles", "full"]),
        (replace(PLAN, profiles=("dev",)), [], ["--active", ""]),
    ],
)
def test_the_compiler_is_told_which_profiles_stay_or_become_active(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, given: list[str] | None, options: list[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(child_command, "ChildCommand", lambda _loop, command, *_, **__: commands.append(command))
    loop = EventLoop()
    compile_file(loop, plan, lambda _: None, profiles=given)
    loop.close()
    assert [command[command.index("--report") + 1 :] for command in commands] == [options]
