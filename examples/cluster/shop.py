"""Celery's beat and its workers in a cluster.  What beat sends carries the epoch of its slot, and nothing is done under
an epoch that is over.

When each entry was sent last is kept in Redis, not in a file of one host, so that the next host goes on from there.
"""

import os
import sqlite3
from datetime import datetime
from typing import Any

import redis
from celery import Celery, beat, signals

from supervisor import heartbeat
from supervisor.integrations.celery import watch

BROKER = os.environ["BROKER"]
EPOCH = int(os.environ.get("SUPERVISOR_EPOCH", "0"))

app = Celery("shop", broker=BROKER)
app.conf.update(
    beat_schedule={"count": {"task": "shop.count", "schedule": 1.0}},
    beat_max_loop_interval=1,  # a turn, and a heartbeat, each second
    broker_connection_retry_on_startup=True,
    broker_transport="supervisor.integrations.redis_transport:Transport",
    task_acks_late=True,
    task_ignore_result=True,
)
watch(app)

CLAIM = """
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or '0') then
    redis.call('INCR', KEYS[3])
    return 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""
"""In one step: refuse an epoch that is over; note that the entry is sent now."""


class Scheduler(beat.Scheduler):
    """Sends an entry only while this run's epoch is the highest that Redis has seen."""

    def setup_schedule(self) -> None:
        super().setup_schedule()
        store = redis.Redis.from_url(BROKER, decode_responses=True)
        self.claim = store.register_script(CLAIM)
        for name, at in store.hgetall("beat:sent").items():
            if name in self.schedule:
                self.schedule[name].last_run_at = datetime.fromisoformat(at)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        heartbeat.beat()
        return super().tick(*args, **kwargs)

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        sent = self.app.now().isoformat()
        if not self.claim(keys=["beat:epoch", "beat:sent", "beat:refused"], args=[EPOCH, entry.name, sent]):
            raise SystemExit(f"epoch {EPOCH} is over: another host runs beat")
        entry.kwargs = {**entry.kwargs, "epoch": EPOCH}
        return super().apply_async(entry, *args, **kwargs)


@signals.beat_init.connect
def ready(**_: Any) -> None:
    heartbeat.ready()


@app.task
def count(epoch: int) -> None:
    """A message can be under way while the next host takes over, so the database checks the epoch as well."""
    with sqlite3.connect(os.environ["DATABASE"], timeout=30) as database:
        database.execute(
            "UPDATE job SET epoch = ?, turns = turns + 1 WHERE name = 'count' AND epoch <= ?", (epoch, epoch)
        )
