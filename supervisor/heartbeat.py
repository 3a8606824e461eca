"""Tells the supervisor that this program gets on with its work: sd_notify in one file without dependencies.

Import it as `supervisor.heartbeat`, or copy the file: it needs nothing but Python 3.8.  Under a supervisor that speaks
sd_notify (ours, systemd, …) it sends datagrams; elsewhere every call does nothing.  No call raises into your program,
and none waits for anybody: a beat that cannot be sent at once is dropped.

    from supervisor import heartbeat

    heartbeat.ready()
    for job in heartbeat.each(jobs):
        work(job)

A beat is worth what it proves.  One that the work itself sends proves that the work goes on.  One that a thread sends
because its timer says so proves that the interpreter runs: let the main loop wait for ever for a lock, and that thread
beats on for months.  So there is no such thread here: the one of `background` beats only if `progress` was called.
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
    """One process's line to its supervisor, as the environment describes it.  May be used from any thread.

    `interval` (seconds): how often a beat is expected.  None: half of WATCHDOG_USEC, and where there is no such
    variable, or WATCHDOG_PID names another process, nobody asked for beats and none are sent.

    A forked child is not the service: there all of this is silent until `adopt` is called.
    As a context manager it says READY=1 at the beginning and STOPPING=1 at the end.
    """

    def __init__(self, interval: float | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.interval = _interval(environ) if interval is None else interval
        """Seconds from beat to beat as the supervisor expects them; None: it expects none."""
        if self._address is None:
            self.interval = None
        self._adopted = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._next = _NEVER if self.interval is None else -_NEVER  # no beat goes out before this
        self._unsaid: dict[str, str] = {}  # what could not be sent yet, by field
        self._retrying = False
        self._moved = False
        self._moved_at = time.monotonic()
        self._stop_background: threading.Event | None = None

    # -- what to say ---------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """The work goes on.  Call it as often as you like: at most four datagrams per interval are sent."""
        if time.monotonic() >= self._next:
            self._beat()

    def ready(self) -> None:
        """Set up, and open for work: what `ready = { notify = true }` waits for."""
        self._say("READY", "1")

    def status(self, text: str) -> None:
        """One line for people, shown by `supervisor status`."""
        self._say("STATUS", " ".join(str(text).split())[:_LONGEST_STATUS])

    def stopping(self) -> None:
        """On the way out: silence from here on is no hang."""
        self._say("STOPPING", "1")

    def __enter__(self) -> Heartbeat:
        self.ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_background()
        self.stopping()

    # -- ways to beat --------------------------------------------------------------------------------------------

    def each(self, iterable: Iterable[T]) -> Iterator[T]:
        """The items of `iterable`, with a beat before each.

        Who waits long for the next item is silent too: let the source give up waiting now and then, and beat."""
        for item in iterable:
            self.progress()
            self.beat()
            yield item

    def beats(self, function: Callable[P, T]) -> Callable[P, T]:
        """A decorator: every call of `function` begins with a beat.  For handlers and bodies of loops."""

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            self.progress()
            self.beat()
            return function(*args, **kwargs)

        return called

    def progress(self) -> None:
        """A step of the work is done.  Lets `background` and `beating` beat once more."""
        self._moved = True

    def background(self, patience: float = 0.0) -> None:
        """Beat from a thread each interval, if there was `progress` since the last beat or within `patience` seconds.

        For steps that take longer than an interval: `patience` is how long one may take, and so how late a hang is
        noticed.  The thread is a daemon; a second call replaces it."""
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
        """End the thread of `background`; harmless when there is none."""
        if self._stop_background is not None:
            self._stop_background.set()
            self._stop_background = None

    async def beating(self, patience: float | None = None) -> None:
        """Beats from asyncio's event loop until cancelled: a loop that is blocked is silent.

        `task = asyncio.create_task(heartbeat.beating())`, and keep the task: asyncio does not.  That the loop turns is
        all that this proves.  With `patience` it beats only if there was `progress` in the last so many seconds."""
        import asyncio

        self._moved_at = time.monotonic()
        while self.interval is not None:
            if patience is None:
                self.beat()
            else:
                self._beat_if_moved(patience)
            await asyncio.sleep(self.interval)

    # -- processes -----------------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """This process, a fork of the service, speaks for it from now on (and threads of `background` start anew)."""
        self._adopted = True
        self._begin()

    # -- how it is sent ------------------------------------------------------------------------------------------

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
            return  # somebody is sending one
        try:
            now = time.monotonic()
            if now >= self._next:
                sent = self._deliver(f"WATCHDOG=1\nSENT_USEC={time.monotonic_ns() // 1000}\n")
                self._next = now + self.interval / (4 if sent else 16)
        finally:
            self._lock.release()

    def _say(self, field: str, value: str) -> None:
        """Send it; if that cannot be done now, a thread tries again, and every beat does."""
        if self._address is None or not self._ours():
            return
        with self._lock:
            self._unsaid[field] = value
            if not self._deliver() and not self._retrying:
                self._retrying = _start(self._retry)

    def _retry(self) -> None:
        delay, give_up = 0.02, time.monotonic() + _RETRY_FOR
        while self._unsaid and time.monotonic() < give_up:
            time.sleep(delay)
            delay = min(2 * delay, 1.0)
            with self._lock:
                if self._deliver():
                    break
        self._retrying = False

    def _deliver(self, beat: str = "") -> bool:
        """One datagram with all that is unsaid and the beat.  A socket of its own each time: 5 µs for being indifferent
        to forks, to daemons that close every descriptor, and to a supervisor that binds its socket anew."""
        text = beat + "".join(f"{field}={value}\n" for field, value in list(self._unsaid.items()))
        if text:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    sock.setblocking(False)
                    sock.sendto(text[:-1].encode(errors="replace"), self._address or "")
            except Exception:  # noqa: BLE001 - a supervisor's trouble must never be the service's
                return False
            self._unsaid.clear()
        return True

    def _ours(self) -> bool:
        """This process is the one that the supervisor means, not a fork or a worker of multiprocessing."""
        if self._adopted:
            return self._pid == os.getpid()
        workers = sys.modules.get("multiprocessing.process")
        return self._pid == os.getpid() and (workers is None or workers.parent_process() is None)


def dump_on(signum: int | None = None) -> bool:
    """At this signal (None: SIGUSR2) every thread's Python stack is written to standard error, by C code that needs no
    interpreter, so that it works in the deepest hang.  For `dump_signal`.  False where it cannot be set up."""
    try:
        import faulthandler

        faulthandler.register(signal.SIGUSR2 if signum is None else signum, file=2, all_threads=True)
    except Exception:  # noqa: BLE001 - no such signal, or no standard error: no reason to die
        return False
    return True


def unset_environment() -> None:
    """Programs that are started from here on do not inherit the line to the supervisor, and cannot beat for us."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)


def _address(text: str) -> str | None:
    """A path, or a name in Linux' abstract space; anything else is no address that we can send to."""
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
    except RuntimeError:  # no thread to be had, or the interpreter is on its way out
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
