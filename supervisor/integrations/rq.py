"""An rq worker beats from its loop, and its work-horse announces how long its job may take.

    rq worker --worker-class supervisor.integrations.rq.Worker high default

with `heartbeat = { scope = "process" }`, also for `rq worker-pool`.  For a worker class of your own:
`class Mine(Watched, RandomWorker)`.

A worker beats while it waits for its work-horse.  While it waits for a job, or for Redis, it is given `PATIENCE`
seconds: a Redis that does not answer must not look like workers that hang.  A work-horse has until the end of its job's
`job_timeout`, and `GRACE` seconds for rq to end it by itself; a job without a limit is never taken for a hang.
A work-horse that is ended fails its job, and rq's own retries apply.  READY=1 is sent when the worker is registered.
Redis is asked each `interval` (at least 1 s) instead of each 30 s.
"""

from __future__ import annotations

import math
from multiprocessing.process import parent_process
from typing import TYPE_CHECKING, Any

import rq.worker

from supervisor import heartbeat

PATIENCE = 60.0
"""Seconds for which Redis may keep a worker from beating; its client tries for some 50 s."""
GRACE = 5.0
"""Seconds after the end of its time in which a job may still be ended by rq itself."""

_Base: Any = rq.worker.BaseWorker if TYPE_CHECKING else object


class Watched(_Base):
    """What a worker class needs so that its processes beat.  It comes before the class of rq."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if heartbeat.service.interval is not None:
            self.job_monitoring_interval = _seconds()

    @property
    def dequeue_timeout(self) -> int:
        usual = int(super().dequeue_timeout)
        return usual if heartbeat.service.interval is None else min(usual, _seconds())

    def work(self, *args: Any, **kwargs: Any) -> Any:
        if parent_process() is not None:  # of a pool
            heartbeat.adopt()
        return super().work(*args, **kwargs)

    def bootstrap(self, *args: Any, **kwargs: Any) -> Any:
        heartbeat.busy(PATIENCE, "registers")
        result = super().bootstrap(*args, **kwargs)
        heartbeat.ready()
        return result

    def heartbeat(self, *args: Any, **kwargs: Any) -> Any:
        """Tell Redis, and wait for its answer or for a job."""
        heartbeat.busy(PATIENCE, "waits for Redis")
        return super().heartbeat(*args, **kwargs)

    def wait_for_horse(self) -> Any:
        heartbeat.beat()
        return super().wait_for_horse()

    def perform_job(self, job: Any, queue: Any, *args: Any, **kwargs: Any) -> Any:
        if self.is_horse:
            heartbeat.adopt()
        limit = job.timeout or queue.DEFAULT_TIMEOUT
        perform = job.perform

        def perform_within_limit() -> Any:
            heartbeat.busy(None if limit < 0 else limit + GRACE, f"{job.func_name}[{job.id}]")
            try:
                return perform()
            finally:
                heartbeat.busy(PATIENCE, "waits for Redis")

        job.perform = perform_within_limit
        return super().perform_job(job, queue, *args, **kwargs)

    def teardown(self) -> Any:
        heartbeat.stopping()
        return super().teardown()


class Worker(Watched, rq.worker.Worker):
    """rq's usual worker, with a work-horse for each job."""


def _seconds() -> int:
    """The interval in whole seconds: rq knows no shorter ones."""
    return max(1, math.ceil(heartbeat.service.interval or 1.0))
