"""asyncio: a task of the event loop beats, so a loop that something blocks is silent."""

import asyncio

from supervisor import heartbeat


async def work() -> None:
    for job in range(10**9):
        await asyncio.sleep(0.5)  # the job
        heartbeat.progress()
        print("job", job, "done", flush=True)


async def main() -> None:
    # With patience, a loop that turns while `work` waits for something that never comes is found, too.
    beats = asyncio.create_task(heartbeat.beating(patience=10.0))
    heartbeat.ready()
    try:
        await work()
    finally:
        beats.cancel()


asyncio.run(main())
