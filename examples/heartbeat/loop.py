"""A loop that beats: the best heartbeat there is, because it comes from the work itself.

[services.worker]
command = ["python", "examples/heartbeat/loop.py"]
ready = { notify = true }
heartbeat = { source = "notify", interval = "1s" }
dump_signal = "USR2"
"""

import itertools
import time

from supervisor import heartbeat

heartbeat.dump_on()
heartbeat.ready()
for job in heartbeat.each(itertools.count()):
    time.sleep(0.1)  # the job
    heartbeat.status(f"{job} jobs done")
