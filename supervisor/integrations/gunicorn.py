"""Each gunicorn worker beats for itself, from its loop.  Needs `heartbeat = { scope = "process" }`.

    gunicorn -c python:supervisor.integrations.gunicorn app:app

or, in a gunicorn.conf.py of your own:

    from supervisor.integrations.gunicorn import post_fork, post_worker_init

A worker beats right after its fork, before it loads the application, so that one that never gets further is found.
From then on it beats where it tells gunicorn's master that it lives: in the loop of sync, gthread and gevent.  The
event loop of asgi and the uvicorn workers has a task that beats, because they tell the master once a second at most.
A request that keeps this loop for longer than `max_timeout` is a hang; a handler that may take longer
calls `heartbeat.busy(seconds)`.  With gthread only the loop beats, not the thread of a request; a loop of gevent turns
once a second, so `interval` is 1 s there.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from supervisor import heartbeat


def post_fork(server: Any, worker: Any) -> None:
    """In the worker, before the application is loaded: it beats for itself from now on."""
    heartbeat.adopt()
    heartbeat.beat()


def post_worker_init(worker: Any) -> None:
    """In the worker, when the application is loaded: beat with each turn of its loop."""
    interval = heartbeat.service.interval
    if interval is None:
        return
    notify = worker.notify

    def notify_both() -> None:
        heartbeat.beat()
        notify()

    worker.notify = notify_both
    # An idle loop turns once in `timeout`; without a timeout (-t 0) twice a second.
    worker.timeout = min(worker.timeout or interval, interval)
    serve = getattr(worker, "_serve", None)  # of asgi and uvicorn: the coroutine that runs until the worker ends
    if serve is not None:
        worker._serve = lambda: _serve_and_beat(serve)
    wait = getattr(worker, "wait_for_and_dispatch_events", None)  # of gthread, whose loop turns once a second
    if wait is not None:
        worker.wait_for_and_dispatch_events = lambda timeout: wait(timeout=min(timeout, interval))


async def _serve_and_beat(serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Beat from the event loop each interval for as long as it serves: a loop that a request blocks is silent."""
    import asyncio

    beats = asyncio.create_task(heartbeat.beating())
    try:
        await serve()
    finally:
        beats.cancel()
