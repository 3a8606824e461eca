"""Each worker of `uvicorn --workers` beats for itself, from its event loop.  Needs `heartbeat = { scope = "process" }`.

    uvicorn --workers 4 --loop supervisor.integrations.uvicorn:loop app:app

The application needs no change.  A worker beats when its loop is made, before it loads the application, so that one
that never gets further is found; then with each interval, by a timer of this loop.  What blocks the loop is silence;
what waits in a coroutine is not.  uvicorn's own look at its workers finds a stopped process, but no blocked loop,
because a thread answers it.  Needs uvicorn 0.36 or newer; the loop is that of `--loop auto`.
"""

from __future__ import annotations

import asyncio

from supervisor import heartbeat


def loop() -> asyncio.AbstractEventLoop:
    """A new event loop that beats.  uvicorn calls this in each worker."""
    from uvicorn.loops.auto import auto_loop_factory

    made: asyncio.AbstractEventLoop = auto_loop_factory(use_subprocess=True)()
    heartbeat.adopt()  # a worker is not the process that the supervisor started
    interval = heartbeat.service.interval

    def tick() -> None:
        heartbeat.beat()
        made.call_later(interval or 0.0, tick)

    if interval is not None:
        heartbeat.beat()
        made.call_soon(tick)
    return made
