"""The compiler's child, where it cannot be started."""

from __future__ import annotations

import errno
import os

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.processes import child_command
from supervisor.core.model.spec import Plan
from supervisor.daemon.compilation import compile_file
from supervisor.errors import ConfigError


def test_a_compiler_that_cannot_be_started_is_told_as_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the call, as a plan would be: each caller has begun to wait by then."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(child_command, "ChildCommand", refused)
    loop, answers = EventLoop(), list[Plan | ConfigError]()

    def done(result: Plan | ConfigError) -> None:
        answers.append(result)
        loop.stop()

    compile_file(loop, "/services.toml", done)
    assert answers == []
    loop.run()
    loop.close()
    assert [str(answer) for answer in answers] == ["the configuration cannot be compiled: Too many open files"]
