"""A Celery worker beats from its consumer's loop, and each of its children for itself: `source = "celery"`.

    from supervisor.integrations.celery import watch

    app = Celery("shop", broker="redis://…")
    watch(app)

The consumer's loop beats each interval, while the pool has as many living children as its concurrency asks for.
A child beats by a timer signal in its main thread while it waits for a task, and says before a task how long that may
take: the task's hard time limit (a task without one is never taken for stuck).  READY=1 is sent when the worker
consumes, STOPPING=1 when it ends: from then on its own silence is no hang, and only the children are judged.
Where no supervisor asks for beats, `watch` does nothing.  Celery 5.4 to 5.7; prefork and solo pools.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from celery import bootsteps, signals
from celery.utils.log import get_logger

from supervisor import heartbeat

SHORT_FOR = 10.0
"""Seconds for which children may be missing from the pool; Celery replaces one that ended within five."""
_limits: list[float | None] = [None]
"""The hard time limit of the worker itself (--time-limit), which its children inherit."""
_logger = get_logger(__name__)


def watch(app: Any) -> None:
    """Let the workers of this app beat.  Call it where the app is made."""
    if heartbeat.service.interval is None:
        return
    app.steps["consumer"].add(Beats)
    signals.worker_process_init.connect(_child_began, weak=False)
    signals.task_prerun.connect(_task_begins, weak=False)
    signals.task_postrun.connect(_task_ended, weak=False)
    signals.worker_ready.connect(_ready, weak=False)
    signals.worker_shutting_down.connect(_stopping, weak=False)


class Beats(bootsteps.StartStopStep):
    """Beats with each interval of the consumer's loop; it is stopped and started again with the connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        _limits[0] = getattr(c.controller, "time_limit", None)
        self._timer: Any = None
        self._short_since: float | None = None
        self._said = ""

    def start(self, c: Any) -> None:
        interval = heartbeat.service.interval or 1.0
        if c.hub is not None:
            self._timer = c.timer.call_repeatedly(interval, self._tick, (c,))
            return
        # A loop without a timer of its own does these operations with each turn, every two seconds at least.
        operations = c.perform_pending_operations

        def operations_and_beat() -> None:
            operations()
            self._tick(c)

        if not hasattr(operations, "beats"):
            operations_and_beat.beats = True  # type: ignore[attr-defined]
            c.perform_pending_operations = operations_and_beat

    def stop(self, c: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if c.blueprint.state != bootsteps.RUN:  # not for a new connection: it ends, perhaps by remote control
            heartbeat.stopping()

    def _tick(self, c: Any) -> None:
        alive, wanted = _children(c.pool)
        now = time.monotonic()
        if alive >= wanted:
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        short = now - self._short_since if self._short_since is not None else 0.0
        said = f"{alive} of {wanted} children" if wanted else ""
        if said and said != self._said:
            self._said = said
            heartbeat.status(said)
        if short < SHORT_FOR:
            heartbeat.beat()


def _children(pool: Any) -> tuple[int, int]:
    """The living children of a prefork pool, and how many it should have; (0, 0) for other pools."""
    processes = getattr(getattr(pool, "_pool", None), "_pool", None)
    if not isinstance(processes, list):
        return 0, 0
    return sum(1 for child in list(processes) if child.exitcode is None), int(pool.num_processes)


def _in_child() -> bool:
    from billiard.process import current_process

    return bool(current_process()._name != "MainProcess")


def _child_began(**_: Any) -> None:
    if _in_child():
        from billiard import common

        # After this, pools that work with threads would let the timer's signal end the child.
        common.TERMSIGS_FULL.discard("SIGALRM")
        heartbeat.adopt()
        heartbeat.idle()


def _task_begins(task_id: str = "", task: Any = None, **_: Any) -> None:
    """In the thread that runs the task; the loop of a pool of threads goes on during the task."""
    if threading.current_thread() is not threading.main_thread():
        return
    heartbeat.busy(_limit(task), f"{getattr(task, 'name', 'a task')}[{task_id}]")


def _task_ended(**_: Any) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    if _in_child():
        heartbeat.idle()
    else:
        heartbeat.beat()


def _limit(task: Any) -> float | None:
    """The hard time limit of the running task: of this call, of the task, of the app, or of the worker."""
    asked = getattr(getattr(task, "request", None), "timelimit", None) or (None, None)
    known = (asked[0], getattr(task, "time_limit", None), task.app.conf.task_time_limit, _limits[0])
    return next((float(limit) for limit in known if limit), None)


def _ready(**_: Any) -> None:
    heartbeat.ready()


def _stopping(**_: Any) -> None:
    heartbeat.stopping()
