"""Steps that take longer than the interval: a thread beats for them, as long as they get done.

The thread is no proof of anything by itself.  It beats only while `progress` was called in the last `patience` seconds,
so a step that takes longer than that is taken for a hang.
"""

import time

from supervisor import heartbeat

with heartbeat.service:  # READY=1 here, STOPPING=1 at the end
    heartbeat.background(patience=30.0)
    for step in range(10**9):
        time.sleep(3.0)  # the step
        heartbeat.progress()
        print("step", step, "done", flush=True)
