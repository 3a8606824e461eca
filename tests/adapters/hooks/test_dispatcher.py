"""Hooks in real children: their input, failures, timeouts, the queue's limit, and the daemon's end."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.hooks import dispatcher as hooks_module
from supervisor.adapters.hooks import runner as hookrunner
from supervisor.adapters.hooks.dispatcher import LONGEST_QUEUE, MOST_AT_ONCE, HookDispatcher
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.command_trees import CommandTrees
from supervisor.adapters.processes.table import become_subreaper
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import HookSpec, ServiceSpec
from tests.doubles.fakes import run_until

FAILED = Record("web@1", "web", 2, Goal.UP, State.RUNNING, State.BACKOFF, Cause.EXITED, {"exit_code": 1})
EVENT = {"id": 7, "instance": "web@1", "service": "web", "from": "running", "to": "backoff", "cause": "exited"}


@dataclass
class House:
    loop: EventLoop
    hooks: HookDispatcher
    problems: list[str]
    folder: Path

    def script(self, text: str) -> tuple[str, ...]:
        path = self.folder / f"hook{len(list(self.folder.iterdir()))}.sh"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(stat.S_IRWXU)
        return (str(path),)

    def offer(self, *hooks: HookSpec, event: Any = EVENT, record: Record = FAILED) -> None:
        self.hooks.offer(
            record, event, ServiceSpec(name="web", command=("w",), directory=str(self.folder), hooks=hooks)
        )

    def run(self) -> None:
        """Until all is delivered, or has failed."""
        run_until(self.loop, lambda: not self.hooks._queue and not self.hooks._running, 60.0)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    loop = EventLoop()
    before = set(procfs.children(os.getpid()))
    problems: list[str] = []
    commands = CommandTrees(loop, tmp_path.name, set())
    hooks = HookDispatcher(loop, problems.append, commands.begin)
    yield House(loop, hooks, problems, tmp_path)
    for command in hooks._running.values():
        command.cancel()
    run_until(loop, lambda: set(procfs.children(os.getpid())) <= before)
    loop.close()


def test_a_command_gets_the_event_in_its_directory(house: House) -> None:
    house.offer(HookSpec(on=("failed",), run=house.script("cat > got; echo $NOTIFY_SOCKET >> got")))
    house.run()
    assert json.loads((house.folder / "got").read_text()) == EVENT and house.problems == []


def test_only_those_who_asked_are_told(house: House) -> None:
    run = house.script("touch told")
    house.offer(HookSpec(on=("stopped", "ready"), run=run), HookSpec(on=(), run=run))
    house.run()
    assert not (house.folder / "told").exists()


def test_a_hook_that_failed_at_first_is_tried_again(house: House) -> None:
    house.offer(HookSpec(on=("failed",), run=house.script("test -e once || { touch once; exit 1; }; touch twice")))
    house.run()
    assert (house.folder / "twice").exists() and house.problems == []


def test_a_failing_hook_is_told_once_until_it_works_again(house: House) -> None:
    hook = HookSpec(on=("failed",), run=house.script("test -e fine && exit 0; echo no luck >&2; exit 3"))
    house.offer(hook)
    house.offer(hook)
    house.run()
    assert house.problems == [
        f"hook {hook.run[0] if hook.run else ''} of web@1: {hook.run[0] if hook.run else ''}: exit code 3: no luck"
    ]
    (house.folder / "fine").touch()
    house.offer(hook)
    house.run()
    (house.folder / "fine").unlink()
    house.offer(hook)
    house.run()
    assert len(house.problems) == 2


def test_a_hook_that_hangs_is_killed_with_its_group(house: House) -> None:
    fifo = house.folder / "held"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    house.offer(HookSpec(on=("failed",), run=house.script("exec 3> held; sleep 60 & sleep 60"), timeout=3.0))
    house.run()
    assert len(house.problems) == 1 and "not done within 3s, killed" in house.problems[0]
    os.close(os.open(fifo, os.O_WRONLY))  # its end is read, also where the time was over before the child had opened it
    ended: list[bytes] = []
    house.loop.register(held, lambda _events: ended.append(os.read(held, 1)))
    run_until(house.loop, lambda: ended)
    house.loop.unregister(held)
    os.close(held)


def test_what_cannot_be_run_is_not_tried_again(house: House) -> None:
    house.offer(HookSpec(on=("failed",), run=("/nowhere/hook",)))
    house.run()
    assert house.problems == ["hook /nowhere/hook of web@1: /nowhere/hook: No such file or directory"]


def test_a_child_that_a_hook_leaves_neither_delays_it_nor_outlives_it(house: House) -> None:
    run = house.script("sleep 1000 & echo $! > left")
    become_subreaper()
    try:
        house.offer(HookSpec(on=("failed",), run=run, timeout=1000.0))
        house.run()
        assert house.problems == []
        left = int((house.folder / "left").read_text())
        assert os.waitpid(left, 0) == (left, signal.SIGKILL)
    finally:
        become_subreaper(False)


def test_an_event_larger_than_a_pipe(house: House) -> None:
    event = EVENT | {"detail": {"evidence": "x" * 300_000}}
    house.offer(HookSpec(on=("failed",), run=house.script("cat > got")), event=event)
    house.run()
    assert json.loads((house.folder / "got").read_text()) == event and house.problems == []


def test_too_many_are_dropped_loudly_and_never_too_many_run(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Stuck:
        def __init__(self, *args: Any, **more: Any) -> None:
            started.append(self)

        def cancel(self) -> None:
            pass

    monkeypatch.setattr(hooks_module, "ChildCommand", Stuck)
    for number in range(LONGEST_QUEUE + 10):
        house.offer(HookSpec(on=("failed",), run=(str(number),)))
    house.loop.turn()
    assert len(started) == MOST_AT_ONCE and house.hooks.dropped == 10
    assert house.problems == ["256 hooks are waiting to run; more are being dropped"]


def test_in_order_and_one_that_hangs_holds_up_only_itself(house: House) -> None:
    slow = HookSpec(on=("failed",), run=house.script("cat >> got; echo >> got"))
    hanging = HookSpec(on=("failed",), run=house.script("sleep 60"))
    for number in range(2 * MOST_AT_ONCE):
        house.offer(hanging, event=EVENT | {"id": number})
    for number in range(3):
        house.offer(slow, event=EVENT | {"id": number})
    run_until(house.loop, lambda: len(house.hooks._queue) == 2 * MOST_AT_ONCE - 1 and len(house.hooks._running) == 1)
    got = [json.loads(line)["id"] for line in (house.folder / "got").read_text().splitlines() if line]
    assert got == [0, 1, 2]
    house.hooks._queue.clear()


def test_no_process_to_be_had_is_a_failure_like_any_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(hooks_module, "ChildCommand", refuse)
    house.offer(HookSpec(on=("failed",), run=("x",)))
    house.run()
    run_until(house.loop, lambda: house.problems)
    assert house.problems == ["hook x of web@1: resource temporarily unavailable"]


# -- the end ---------------------------------------------------------------------------------------------------------


def test_flush_with_nothing_to_do_is_done_at_once(house: House) -> None:
    done: list[bool] = []
    house.hooks.flush(lambda: done.append(True))
    assert done == [True]


def test_flush_waits_for_what_is_pending(house: House) -> None:
    house.offer(HookSpec(on=("failed",), run=house.script("touch told")))
    done: list[bool] = []
    house.hooks.flush(lambda: done.append((house.folder / "told").exists()))
    run_until(house.loop, lambda: done)
    assert done == [True] and house.problems == []


def test_flush_gives_up_loudly(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks_module, "FLUSH_WITHIN", 0.2)
    run = house.script("sleep 60")
    for number in range(MOST_AT_ONCE + 2):
        house.offer(HookSpec(on=("failed",), run=(*run, str(number))))
    done: list[bool] = []
    house.hooks.flush(lambda: done.append(True))
    run_until(house.loop, lambda: done)
    assert house.hooks.dropped == MOST_AT_ONCE + 2 and done == [True]
    assert house.problems == [f"6 hooks were not done in the 0.2s before the end: hook {run[0]} of web@1"]


# -- notifications ---------------------------------------------------------------------------------------------------


def test_an_apprise_url_gets_a_message(house: House) -> None:
    got: list[dict[str, Any]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    house.offer(HookSpec(on=("failed",), notify=f"json://127.0.0.1:{server.server_port}/"))
    house.run()
    server.shutdown()
    server.server_close()
    assert house.problems == []
    assert got[0]["title"] == "web@1: backoff (exited)" and "running → backoff" in got[0]["message"]


def test_an_url_that_is_none_is_told_without_its_secrets(house: House) -> None:
    house.offer(HookSpec(on=("failed",), notify="nosuch://user:secret@host"))
    house.run()
    assert house.problems == ["hook nosuch of web@1: nosuch: is not a usable Apprise URL"]


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(hookrunner.HookImpossible, match=r"phi-supervisor\[notify\]"):
        hookrunner.run_job({"notify": "json://localhost", "event": EVENT}, wait_none())


def test_three_attempts_and_no_more(tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = {"run": ["sh", "-c", f"echo x >> {log}; exit 1"], "event": EVENT}
    with pytest.raises(hookrunner.HookFailed, match="exit code 1"):
        hookrunner.run_job(job, wait_none())
    assert log.read_text() == "x\n" * 3


def test_the_body_is_short() -> None:
    event: Any = EVENT | {"detail": {"exit_code": 1, "intervals_s": [1.0], "evidence": {"stack": "x"}}}
    body = hookrunner.body(event)
    assert "exit_code: 1" in body and "intervals" not in body and "stack" not in body
