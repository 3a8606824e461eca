"""Some tasks of a shop.  `python tasks.py 100` sends a hundred of them."""

import os
import sys
import time

from celery import Celery

from supervisor.integrations.celery import watch

BROKER = os.environ.get("BROKER", "redis://127.0.0.1:6399/0")

app = Celery("tasks", broker=BROKER, backend=BROKER)
app.conf.update(
    task_acks_late=True,  # acknowledged when it is done: a task of a worker that dies comes back
    task_reject_on_worker_lost=True,  # … also that of a child that is killed
    task_time_limit=30,  # what takes longer hangs
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # for ever
    broker_transport="supervisor.integrations.redis_transport:Transport",  # a message is always on its list or noted
    broker_transport_options={
        "visibility_timeout": 60,  # longer than the longest task
        "unacked_restore_interval": 1,  # else a lost task comes back up to 100 s after that
        "socket_timeout": 10,
    },
    redis_socket_timeout=10,
)
watch(app)


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        add.delay(number, 1)
