"""Workers of `uvicorn --workers`: each beats for itself from its event loop (scope = "process").

uvicorn --app-dir examples/heartbeat --workers 2 asgi_workers:app
"""

import asyncio
import os

from supervisor import heartbeat


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


async def lifespan(receive, send):
    """Beat from start to end: a loop that a request blocks is silent."""
    await receive()
    heartbeat.adopt()  # this process is a worker, not the one that the supervisor started
    beats = asyncio.create_task(heartbeat.beating())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    beats.cancel()
    await send({"type": "lifespan.shutdown.complete"})
