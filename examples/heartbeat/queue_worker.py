"""A worker that waits for jobs: to wait is no hang, so it waits in small pieces and beats in between."""

import queue
import threading
import time

from supervisor import heartbeat

jobs: "queue.Queue[int]" = queue.Queue()


def customers() -> None:
    for number in range(10**9):
        time.sleep(0.5)
        jobs.put(number)


threading.Thread(target=customers, daemon=True).start()
heartbeat.ready()
while True:
    heartbeat.beat()
    try:
        job = jobs.get(timeout=heartbeat.service.interval or 10)
    except queue.Empty:
        continue
    print("job", job, "done", flush=True)
