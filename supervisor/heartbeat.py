"""Sends heartbeats to the supervisor by sd_notify: one file without dependencies.

Import it as `supervisor.heartbeat`, or copy the file: it needs only Python 3.8. Under a supervisor that speaks
sd_notify (this one, systemd, …) it sends datagrams; elsewhere every call does nothing. No call raises or waits: a beat
that cannot be sent at once is dropped.

    from supervisor import heartbeat

    heartbeat.ready()
    for job in heartbeat.each(jobs):
        work(job)

A beat should prove that the work goes on, so it is best sent by the work itself. A thread that beats by a timer proves
only that the interpreter runs: it would go on beating while the main loop waits for a lock for ever. So there is no
such thread here: that of `background` beats only if `progress` was called.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, ParamSpec, TypeVar

    T = TypeVar("T")
    P = ParamSpec("P")

_NEVER = float("inf")
_LONGEST_STATUS = 256  # characters
_RETRY_FOR = 60.0  # seconds


class Heartbeat:
    """The connection of one process to its supervisor, as the environment describes it. Safe to use from any thread.

    `interval` (seconds): how often a beat is expected. None: half of WATCHDOG_USEC; without that variable, or if
    WATCHDOG_PID names another process, no beats are expected and none are sent. A forked child is not the service: it
    sends nothing until it calls `adopt`. As a context manager it sends READY=1 at the beginning and STOPPING=1 at the
    end.
    """

    def __init__(self, interval: float | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.interval = _interval(environ) if interval is None else interval
        """Seconds between beats that the supervisor expects; None: it expects none."""
        if self._address is None:
            self.interval = None
        self._adopted = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._next = _NEVER if self.interval is None else -_NEVER  # no beat is sent before this time
        self._pending: dict[str, str] = {}  # fields that could not be sent yet
        self._retrying = False
        self._moved = False
        self._moved_at = time.monotonic()
        self._stop_background: threading.Event | None = None
        self._alarmed = False

    # -- messages ------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Report that the work goes on. Call it as often as you like: at most four datagrams per interval are sent."""
        if time.monotonic() >= self._next:
            self._beat()

    def ready(self) -> None:
        """Report that the service is ready; `ready = { notify = true }` waits for this."""
        self._send_field("READY", "1")

    def status(self, text: str) -> None:
        """Set one line of text for people, shown by `supervisor status`."""
        self._send_field("STATUS", " ".join(str(text).split())[:_LONGEST_STATUS])

    def stopping(self) -> None:
        """Report that the service is stopping: silence from here on is not a hang."""
        self._send_field("STOPPING", "1")

    def __enter__(self) -> Heartbeat:
        self.ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_background()
        self.stopping()

    # -- ways to beat --------------------------------------------------------------------------------------------

    def each(self, iterable: Iterable[T]) -> Iterator[T]:
        """The items of `iterable`, with a beat before each.

        A long wait for the next item is silence too: let the source return from waiting now and then, and beat.
        """
        for item in iterable:
            self.progress()
            self.beat()
            yield item

    def beats(self, function: Callable[P, T]) -> Callable[P, T]:
        """A decorator: every call of `function` begins with a beat. For handlers and bodies of loops."""

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            self.progress()
            self.beat()
            return function(*args, **kwargs)

        return called

    def progress(self) -> None:
        """Report a completed step of the work. Allows `background` and `beating` one more beat."""
        self._moved = True

    def background(self, patience: float = 0.0) -> None:
        """Beat from a thread each interval, if there was `progress` since the last beat or within `patience` seconds.

        For steps that take longer than an interval: `patience` is how long one may take, and so how late a hang is
        detected. The thread is a daemon; a second call replaces it.
        """
        self.stop_background()
        if self.interval is None:
            return
        self._moved_at = time.monotonic()
        stop = self._stop_background = threading.Event()

        def run(interval: float) -> None:
            while not stop.wait(interval):
                self._beat_if_moved(patience)

        _start(run, self.interval)

    def stop_background(self) -> None:
        """End the thread of `background`, if there is one."""
        if self._stop_background is not None:
            self._stop_background.set()
            self._stop_background = None

    async def beating(self, patience: float | None = None) -> None:
        """Beat from asyncio's event loop until cancelled: a loop that is blocked is silent.

        `task = asyncio.create_task(heartbeat.beating())`, and keep a reference to the task: asyncio does not. It proves
        only that the loop turns. With `patience` it beats only if there was `progress` in the last `patience` seconds.
        """
        import asyncio

        self._moved_at = time.monotonic()
        while self.interval is not None:
            if patience is None:
                self.beat()
            else:
                self._beat_if_moved(patience)
            await asyncio.sleep(self.interval)

    # -- one process of several ----------------------------------------------------------------------------------

    def busy(self, seconds: float | None = None, doing: str = "") -> None:
        """Report that this process begins work that may take so many seconds (None: any time), and sends no beats
        during it.  The next beat, or `idle`, ends the work.  `doing` is shown by `supervisor status`.
        """
        self._set_alarm(0.0)
        if self.interval is None or not self._ours():
            return
        limit = "infinity" if seconds is None else str(max(0, round(seconds * 1e6)))
        what = " ".join(str(doing).split())[:_LONGEST_STATUS]
        with self._lock:
            self._deliver(f"WATCHDOG=1\nBUSY_USEC={limit}\n" + (f"BUSY={what}\n" if what else ""))
            self._next = -_NEVER  # the end of the work is told at once

    def idle(self) -> None:
        """Beat now and each interval by a timer signal (SIGALRM), until `busy` is called or the process ends.

        For a process that waits for work in a call that it cannot interrupt.  The signal's handler runs in the main
        thread, so that it proves that this thread can run; it proves nothing of work, which therefore begins with
        `busy`.  Call both in the main thread; elsewhere this only beats once.
        """
        self._next = min(self._next, -_NEVER) if self.interval is not None else _NEVER
        self.beat()
        if self.interval is not None and self._ours():
            self._set_alarm(self.interval)

    def _set_alarm(self, interval: float) -> None:
        if not interval and not self._alarmed:
            return
        try:
            if interval:
                signal.signal(signal.SIGALRM, self._alarm)
            signal.setitimer(signal.ITIMER_REAL, interval, interval)
        except ValueError:  # not the main thread
            return
        self._alarmed = bool(interval)

    def _alarm(self, *_: object) -> None:
        if not self._lock.acquire(blocking=False):  # it interrupted a message of this very process
            return
        try:
            self._next = -_NEVER
            self._beat()
        finally:
            self._lock.release()

    # -- processes -----------------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Let this process, a fork of the service, send for it from now on. Threads of `background` must be started
        again.

        With `scope = "process"` each process that has beaten once has to go on: the first beat makes it known, and the
        next may take `max_timeout`.
        """
        self._adopted = True
        self._begin()

    # -- sending -------------------------------------------------------------------------------------------------

    def _beat_if_moved(self, patience: float) -> None:
        now = time.monotonic()
        if self._moved:
            self._moved, self._moved_at = False, now
        elif now - self._moved_at >= patience:
            return
        self.beat()

    def _beat(self) -> None:
        if self.interval is None or not self._ours():
            self._next = _NEVER
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread is sending one
        try:
            now = time.monotonic()
            if now >= self._next:
                sent = self._deliver(f"WATCHDOG=1\nSENT_USEC={time.monotonic_ns() // 1000}\n")
                self._next = now + self.interval / (4 if sent else 16)
        finally:
            self._lock.release()

    def _send_field(self, field: str, value: str) -> None:
        """Send a field; if that fails, a thread tries again, and so does every beat."""
        if self._address is None or not self._ours():
            return
        with self._lock:
            self._pending[field] = value
            if not self._deliver() and not self._retrying:
                self._retrying = _start(self._retry)

    def _retry(self) -> None:
        delay, give_up = 0.02, time.monotonic() + _RETRY_FOR
        while self._pending and time.monotonic() < give_up:
            time.sleep(delay)
            delay = min(2 * delay, 1.0)
            with self._lock:
                if self._deliver():
                    break
        self._retrying = False

    def _deliver(self, beat: str = "") -> bool:
        """Send one datagram with all pending fields and the beat.

        A new socket each time costs 5 µs, and works after forks, in daemons that close every descriptor, and with a
        supervisor that binds its socket again.
        """
        text = beat + "".join(f"{field}={value}\n" for field, value in list(self._pending.items()))
        if text:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    sock.setblocking(False)
                    sock.sendto(text[:-1].encode(errors="replace"), self._address or "")
            except Exception:  # noqa: BLE001 - a problem of the supervisor must not become one of the service
                return False
            self._pending.clear()
        return True

    def _ours(self) -> bool:
        """Whether this process is the one that the supervisor started, not a fork or a worker of multiprocessing."""
        if self._adopted:
            return self._pid == os.getpid()
        workers = sys.modules.get("multiprocessing.process")
        return self._pid == os.getpid() and (workers is None or workers.parent_process() is None)


def dump_on(signum: int | None = None) -> bool:
    """At this signal (None: SIGUSR2) write every thread's Python stack to standard error. For `dump_signal`.

    It is written by C code that needs no interpreter, so that it works even in a hang inside C code. False if it cannot
    be set up.
    """
    try:
        import faulthandler

        faulthandler.register(signal.SIGUSR2 if signum is None else signum, file=2, all_threads=True)
    except Exception:  # noqa: BLE001 - no such signal, or no standard error
        return False
    return True


def unset_environment() -> None:
    """Remove the supervisor's variables, so that programs started from here on cannot send beats for this one."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)


def _address(text: str) -> str | None:
    """The socket's path, or its name in Linux' abstract namespace; None for any other address."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _interval(environ: Mapping[str, str]) -> float | None:
    wanted, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if pid not in ("", str(os.getpid())) or not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 20):
        return None
    return int(wanted) / 2e6 or None


def _start(function: Callable[..., None], *args: Any) -> bool:
    try:
        threading.Thread(target=function, args=args, name="heartbeat", daemon=True).start()
    except RuntimeError:  # no more threads, or the interpreter is shutting down
        return False
    return True


service = Heartbeat()
"""The heartbeat of this process; the functions of this module are its methods."""
beat, ready, status, stopping = service.beat, service.ready, service.status, service.stopping
each, beats, progress = service.each, service.beats, service.progress
background, stop_background, beating, adopt = (
    service.background,
    service.stop_background,
    service.beating,
    service.adopt,
)
busy, idle = service.busy, service.idle
