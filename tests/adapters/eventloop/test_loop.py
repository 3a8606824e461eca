"""The event loop: order, timers, failures, signals, and that it sleeps when there is nothing to do."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EPOLLOUT, EventLoop
from tests.doubles.fakes import FakeReactor, run_until


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    yield reader, writer
    for fd in (reader, writer):
        with suppress(OSError):
            os.close(fd)


def test_readable_fd_calls_back(loop: EventLoop, pipe: tuple[int, int]) -> None:
    got: list[bytes] = []
    loop.register(pipe[0], lambda _events: got.append(os.read(pipe[0], 100)))
    os.write(pipe[1], b"x")
    loop.turn()
    assert got == [b"x"]


def test_unregistered_in_the_same_batch_is_skipped_even_when_its_number_is_reused(loop: EventLoop) -> None:
    pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(2)]
    other = os.pipe2(os.O_NONBLOCK)
    called: list[int] = []

    def first_come(fd: int) -> None:
        called.append(fd)
        for reader, _ in pipes:
            if reader != fd:
                loop.unregister(reader)
                os.dup2(other[0], reader)
                loop.register(reader, lambda _events: called.append(-1))

    def ready(fd: int, _events: int) -> None:
        first_come(fd)

    for reader, writer in pipes:
        loop.register(reader, partial(ready, reader))
        os.write(writer, b"x")
    loop.turn()
    assert len(called) == 1 and called[0] in (pipes[0][0], pipes[1][0])
    for fd in (*pipes[0], *pipes[1], *other):
        os.close(fd)


def test_a_closed_fd_can_be_unregistered(loop: EventLoop) -> None:
    reader, writer = os.pipe()
    loop.register(reader, lambda _events: None)
    os.close(reader)
    os.close(writer)
    loop.unregister(reader)
    loop.unregister(reader)


def test_modify(loop: EventLoop, pipe: tuple[int, int]) -> None:
    got: list[int] = []
    loop.register(pipe[1], got.append, 0)
    loop.call_soon(lambda: None)
    loop.turn()
    assert got == []
    loop.modify(pipe[1], EPOLLOUT)
    loop.turn()
    assert got == [EPOLLOUT]


def test_timers_fire_in_order_and_never_early(loop: EventLoop) -> None:
    start = loop.now()
    fired: list[tuple[float, float]] = []

    def fire(when: float) -> None:
        fired.append((when, loop.now()))

    for delay in (0.0203, 0.0007, 0.0101):
        when = start + delay
        loop.call_at(when, partial(fire, when))
    run_until(loop, lambda: len(fired) == 3)
    assert [when for when, _ in fired] == sorted(when for when, _ in fired)
    assert all(at >= when for when, at in fired)


def test_a_cancelled_timer_neither_fires_nor_wakes(loop: EventLoop) -> None:
    fired: list[str] = []
    waits: list[float | None] = []
    loop.on_wake = lambda _now, expected: waits.append(expected)
    timer = loop.call_at(loop.now(), lambda: fired.append("cancelled"))
    end = loop.call_at(loop.now() + 0.005, lambda: fired.append("end"))
    timer.cancel()
    timer.cancel()
    run_until(loop, lambda: fired)
    assert fired == ["end"]
    assert set(waits) == {end.when}


def test_cancelled_timers_do_not_pile_up(loop: EventLoop) -> None:
    fired: list[int] = []
    keep = [loop.call_at(loop.now(), partial(fired.append, i)) for i in range(5)]
    for _ in range(10_000):
        loop.call_at(loop.now() + 3600, lambda: None).cancel()
    assert len(loop._timers) < 200
    run_until(loop, lambda: len(fired) == len(keep))
    assert fired == list(range(5))


def test_far_and_infinite_deadlines_are_taken_and_nan_is_not(loop: EventLoop) -> None:
    done: list[bool] = []
    loop.call_at(float("inf"), lambda: None)
    loop.call_at(loop.now() + 1e12, lambda: None)
    loop.call_soon(lambda: done.append(True))
    run_until(loop, lambda: done)
    threading.Timer(0.01, lambda: loop.call_from_thread(done.clear)).start()
    run_until(loop, lambda: not done)
    with pytest.raises(ValueError):
        loop.call_at(float("nan"), lambda: None)


def test_what_arrived_during_our_own_stall_comes_before_timers(loop: EventLoop, pipe: tuple[int, int]) -> None:
    order: list[str] = []

    def beat(_events: int) -> None:
        os.read(pipe[0], 100)
        order.append("beat")

    loop.register(pipe[0], beat)
    loop.call_at(loop.now(), lambda: order.append("timeout"))

    # The datagram arrives after the wait has ended and before anything is dispatched.
    def send(_now: float, _expected: float | None) -> None:
        if not order:
            os.write(pipe[1], b"x")

    loop.on_wake = send
    loop.turn()
    assert order == ["beat", "timeout"]


def test_all_ready_fds_come_before_timers(loop: EventLoop) -> None:
    pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(400)]
    order: list[str] = []

    def beat(fd: int, _events: int) -> None:
        order.append("beat" if os.read(fd, 9) else "")

    for reader, writer in pipes:
        os.write(writer, b"x")
        loop.register(reader, partial(beat, reader))
    loop.call_at(loop.now(), lambda: order.append("timeout"))
    loop.turn()
    assert order == ["beat"] * 400 + ["timeout"]
    for fds in pipes:
        for fd in fds:
            os.close(fd)


def test_before_wait_may_ask_for_more(loop: EventLoop) -> None:
    order: list[str] = []

    def drain() -> None:
        if not order:
            order.append("drain")
            loop.call_soon(lambda: order.append("soon"))
            loop.call_at(loop.now(), lambda: order.append("timer"))

    loop.before_wait = drain
    loop.turn()
    assert order == ["drain", "timer", "soon"]


def test_call_soon_from_call_soon_waits_a_turn(loop: EventLoop, pipe: tuple[int, int]) -> None:
    order: list[str] = []

    def again() -> None:
        order.append("soon")
        loop.call_soon(again)

    loop.call_soon(again)
    os.write(pipe[1], b"x")
    loop.register(pipe[0], lambda _events: order.append("fd"))
    loop.turn()
    loop.turn()
    assert order == ["fd", "soon", "fd", "soon"]


@pytest.mark.parametrize("where", ["fd", "timer", "soon", "before_wait", "on_wake"])
def test_a_failing_callback_is_reported_and_the_loop_goes_on(
    loop: EventLoop, pipe: tuple[int, int], where: str
) -> None:
    errors: list[Exception] = []
    done: list[bool] = []

    def fail(*_: object) -> None:
        raise RuntimeError(where)

    loop.on_error = errors.append
    if where == "fd":
        os.write(pipe[1], b"x")
        loop.register(pipe[0], fail)
    elif where == "timer":
        loop.call_at(0.0, fail)
    elif where == "soon":
        loop.call_soon(fail)
    else:
        setattr(loop, where, fail)
    loop.call_soon(lambda: done.append(True))
    run_until(loop, lambda: done)
    assert str(errors[0]) == where


def test_without_on_error_it_leaves_run(loop: EventLoop) -> None:
    loop.call_soon(lambda: 1 / 0)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        loop.run()


def test_on_wake_tells_how_late_we_are(loop: EventLoop) -> None:
    seen: list[tuple[float, float | None]] = []
    loop.on_wake = lambda now, expected: seen.append((now, expected))
    overdue = loop.now() - 5.0
    loop.call_at(overdue, lambda: None)
    loop.turn()
    now, expected = seen[0]
    assert expected == overdue and now - expected >= 5.0


def test_an_open_wait_has_no_expected_end(loop: EventLoop, pipe: tuple[int, int]) -> None:
    seen: list[float | None] = []
    loop.on_wake = lambda _now, expected: seen.append(expected)
    loop.register(pipe[0], lambda _events: None)
    os.write(pipe[1], b"x")
    loop.turn()
    assert seen == [None]


def test_run_and_stop(loop: EventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run()
    loop.stop()
    loop.run()  # a stop that came first holds


def test_signals_come_through_the_loop(loop: EventLoop) -> None:
    got: list[str] = []
    loop.on_signal(signal.SIGUSR1, lambda: got.append("usr1"))
    loop.on_signal(signal.SIGUSR2, lambda: got.append("usr2"))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert got == []  # not in the handler
    run_until(loop, lambda: got)
    # A signal in the middle of a wait ends it, and no EINTR comes out.
    threading.Timer(0.02, lambda: os.kill(os.getpid(), signal.SIGUSR2)).start()
    run_until(loop, lambda: len(got) == 2)
    assert got == ["usr1", "usr2"]


def test_close_gives_signals_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    loop = EventLoop()
    loop.on_signal(signal.SIGUSR1, lambda: None)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_call_from_thread_wakes_a_sleeping_loop(loop: EventLoop) -> None:
    got: list[int] = []

    def call() -> None:
        for i in range(1000):
            loop.call_from_thread(partial(got.append, i))

    thread = threading.Thread(target=call)
    thread.start()
    run_until(loop, lambda: len(got) == 1000)
    thread.join()
    assert got == list(range(1000))


def test_nothing_to_do_is_no_wake_up(loop: EventLoop) -> None:
    wakes: list[float] = []
    loop.on_wake = lambda now, _expected: wakes.append(now)
    cpu = time.process_time()
    loop.call_at(loop.now() + 0.3, loop.stop)
    loop.run()
    assert len(wakes) == 1
    assert time.process_time() - cpu < 0.1


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, supervisor.adapters.eventloop.loop; print(*{'asyncio','selectors','logging'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == ""


def test_the_fake_keeps_order_and_time() -> None:
    fake = FakeReactor(start=0.0)
    seen: list[tuple[str, float]] = []

    def nest() -> None:
        fake.call_at(1.5, lambda: seen.append(("nested", fake.now())))

    fake.call_at(2.0, lambda: seen.append(("b", fake.now())))
    fake.call_at(1.0, nest)
    fake.call_at(1.2, lambda: seen.append(("never", fake.now()))).cancel()
    fake.call_soon(lambda: seen.append(("soon", fake.now())))
    assert fake.next_deadline == 1.0
    fake.advance(1.9)
    assert seen == [("soon", 0.0), ("nested", 1.5)]
    fake.advance(0.1)
    assert seen[-1] == ("b", 2.0) and fake.next_deadline is None


def test_a_short_wait_is_not_rounded_up_to_milliseconds(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    select_ = select.select

    def selected(*args: Any) -> object:
        waits.append(args[3])
        return select_(*args)

    monkeypatch.setattr(select, "select", selected)
    due: list[float] = []
    when = loop.now() + 0.0031
    loop.call_at(when, lambda: due.append(loop.now()))
    run_until(loop, lambda: due)
    assert due[0] >= when
    assert waits and all(0 < wait <= 0.0031 for wait in waits)


def test_what_becomes_ready_ends_a_short_wait(loop: EventLoop, pipe: tuple[int, int]) -> None:
    got: list[bytes] = []
    loop.register(pipe[0], lambda _events: got.append(os.read(pipe[0], 100)))
    loop.call_at(loop.now() + 0.009, lambda: None)
    os.write(pipe[1], b"x")
    loop.turn()
    assert got == [b"x"]


def test_short_waits_where_more_descriptors_are_open_than_select_can_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "select", lambda *_args: pytest.fail("select cannot name it"))
    loop = EventLoop()
    loop._selectable = False
    due: list[bool] = []
    loop.call_at(loop.now() + 0.001, lambda: due.append(True))
    run_until(loop, lambda: due)
    loop.close()
