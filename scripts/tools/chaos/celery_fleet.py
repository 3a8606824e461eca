"""Hurts a Celery fleet while tasks with `acks_late` flow: its workers, their children, and the broker.

Two workers of two children consume numbers from a Redis of their own, and write each down.  Meanwhile children are
killed, stopped (SIGSTOP) and made to hang in a task, consumers are killed and made to hang, and the broker is
restarted.  Each worker is hurt again only when what was done to it before must have been found.  celery_judge.py says
what has to be seen.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from scripts.tools.bench.ports import free_port
from scripts.tools.chaos.celery_judge import FAULTS, MARGIN, NOTHING, STUCK, Course, Hurt, judge
from scripts.tools.chaos.private_daemon import JSON, daemon, events, tell
from scripts.tools.chaos.proc_view import Process, alive, stat
from supervisor.client import Client

WELL_WITHIN = 60.0
"""Seconds within which a hurt worker is well again; otherwise its fault is left out."""
TAKEN_WITHIN = 10.0
"""Seconds within which a consumer takes an order."""
QUIET = 60.0
"""Seconds without a finished task after which the sender sends again what is missing: more than a task needs to come
back (`visibility_timeout`, and the start of a worker).  What had to be sent again counts as a violation."""
RESTARTS = (1.0, 5.0, 12.0, 3.0, 8.0)
"""Seconds for which the broker is away."""
SHORT, SHORT_RESTARTS = 1000, (5.0, 1.0)
"""With fewer tasks than that it is away for these times only: once for more than a silence may last, once for less."""
LONG_LIMIT, SHORT_LIMIT = 8.0, 4.0
"""Seconds: `max_timeout`, within which a stuck child has to be found."""
LONG_VISIBLE, SHORT_VISIBLE = 15, 7
"""Seconds after which the broker gives a task that was not acknowledged to another worker."""
PROGRAM = """
import os, time
from celery import Celery
from celery.worker.control import control_command
from supervisor.integrations.celery import watch
broker = os.environ["BROKER"]
app = Celery("fleet", broker=broker)
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1,
    task_ignore_result=True, broker_transport="supervisor.integrations.redis_transport:Transport",
    broker_connection_retry_on_startup=True, broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": int(os.environ["VISIBLE"]),
        "unacked_restore_interval": 1, "unacked_restore_throttle": 1})
watch(app)
here = os.path.dirname(__file__)
@app.task
def write(n):
    time.sleep(0.03)
    fd = os.open(here + "/done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"%d\\n" % n)
    os.close(fd)
@app.task(bind=True)
def hang(self, n):
    # It says that it takes a second, and never comes back; when it is delivered again it is done.
    try: fd = os.open(f"{here}/hung-{n}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError: return
    os.write(fd, f"{self.request.hostname} {os.getpid()}\\n".encode())
    os.close(fd)
    from supervisor import heartbeat
    heartbeat.busy(1, f"hang {n}")
    time.sleep(10000)
@control_command()
def freeze(state):
    open(f"{here}/frozen-{os.getpid()}", "w").close()
    time.sleep(10000)
"""
SERVICES = """
[services.redis]
command = ["{redis}", "--port", "{port}", "--dir", "{{place}}", "--appendonly", "yes", "--appendfsync", "always"]
ready = {{{{ tcp = "127.0.0.1:{port}", interval = "50ms" }}}}
stop_timeout = "5s"
[services.fleet]
command = "{{python}} -m celery -A fleet worker -c 2 -l ERROR --without-mingle --without-gossip -n {{{{replica}}}}@here"
directory = "{{place}}"
replicas = 2
environment = {{{{ BROKER = "redis://127.0.0.1:{port}/0", PYTHONPATH = "{{root}}", VISIBLE = "{visible}" }}}}
depends_on = ["redis"]
ready = {{{{ notify = true }}}}
start_timeout = "90s"
stop_timeout = "10s"
restart = {{{{ initial = "100ms", max_restarts = 1000, jitter = 0.0, backoff = "fixed" }}}}
[services.fleet.heartbeat]
source = "celery"
interval = "500ms"
min_timeout = "2s"
max_timeout = "{limit:g}s"
exec = ["{cli}", "-p", "{port}", "ping"]
probe_timeout = "2s"
on_suspect = "kill-process"
"""


class Fleet:
    """The services under a private daemon, and what was done to them."""

    def __init__(self, client: Client, place: Path, port: int, dice: random.Random, limit: float) -> None:
        self.client, self.place, self.dice, self.port = client, place, dice, port
        self.app = Celery("fleet", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False)
        self.sent: dict[tuple[str, int], str] = {}
        """Which message is which task and number, as far as the broker has taken it."""
        self.course = Course(limit)
        self.spaced = limit + MARGIN
        """Seconds between two faults of one worker: the first is found by then, so that each is seen alone."""
        self.hangs = 0
        self.hurt_at: dict[str, float] = {}
        """When each worker was hurt last; monotonic."""
        found: Any = client.status()
        self.daemon = int(found["supervisor"]["pid"])

    def send(self, task: str, n: int) -> None:
        """Send one task; an error of the broker is kept for the report."""
        try:
            message = self.app.send_task(f"fleet.{task}", (n,))
        except (OperationalError, OSError) as error:
            self.course.sender_failed.append(str(error))
        else:
            self.sent[task, n] = str(message.id)

    def done(self) -> set[int]:
        file = self.place / "done"
        return {int(n) for n in file.read_text().split()} if file.exists() else set()

    def pause(self) -> None:
        """A second, after a note of how long the daemon has waited for a CPU so far."""
        with contextlib.suppress(OSError, ValueError):
            waited = int(Path(f"/proc/{self.daemon}/schedstat").read_text().split()[1]) / 1e9
            self.course.daemon_waited.append((time.time(), waited))
        time.sleep(1.0)

    # -- faults ------------------------------------------------------------------------------------------------------

    def well(self) -> list[Any]:
        """The workers with all their children well, and for long enough; the one that was hurt longest ago first."""
        found: Any = self.client.status()
        rows = [
            row
            for row in found["instances"]
            if row["service"] == "fleet"
            and row["state"] == "running"
            and sum(1 for p in row["processes"] if p["suspect_s"] is None and p["ended_s"] is None) == 2
            and time.monotonic() - self.hurt_at.get(row["name"], -self.spaced) >= self.spaced
        ]
        return sorted(rows, key=lambda row: self.hurt_at.get(row["name"], 0.0))

    def fault(self, kind: str) -> bool:
        until = time.monotonic() + WELL_WITHIN
        while not (rows := self.well()):
            if time.monotonic() > until:
                return False
            self.pause()
        row = rows[0]
        child = self.dice.choice([p["pid"] for p in row["processes"]])
        name, at = row["name"], time.time()
        if kind == "hang-child":
            self.hangs += 1
            self.send("hang", self.hangs)
            taken = self._taken(self.hangs)
            if taken is None:
                return False
            name, child, at = taken
        elif kind == "hang-worker":
            self.app.control.broadcast("freeze", destination=[f"{name.rpartition('@')[2]}@here"])
            if not self._frozen(row["pid"]):
                return False
        else:
            pid = row["pid"] if kind == "kill-worker" else child
            if not _signal(pid, signal.SIGSTOP if kind == "stop-child" else signal.SIGKILL):
                return False
        self.hurt_at[name] = time.monotonic()
        stuck = row["pid"] if kind == "hang-worker" else child if kind in STUCK else 0
        seen = stat(stuck) if stuck else None  # by its start as well: the number may be another's when all is judged
        self.course.hurt.append(Hurt(at, kind, name, Process(stuck, seen.start) if seen is not None else NOTHING))
        return True

    def _taken(self, n: int) -> tuple[str, int, float] | None:
        """The worker and the child that took this hanging task, which any may do, and when."""
        file = self.place / f"hung-{n}"
        until = time.monotonic() + WELL_WITHIN
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                host, pid = file.read_text().split()
                return f"fleet@{host.partition('@')[0]}", int(pid), file.stat().st_mtime
            self.pause()
        return None

    def _frozen(self, pid: int) -> bool:
        """It has taken the order.  One that is sent while it connects to the broker is lost."""
        until = time.monotonic() + TAKEN_WITHIN
        while not (self.place / f"frozen-{pid}").exists():
            if time.monotonic() > until:
                return False
            self.pause()
        return True

    def restart_broker(self, away: float) -> None:
        began = time.time()
        self.client.post("/v1/stop", {"services": ["redis"]})
        self._redis("stopped")
        time.sleep(away)
        self.client.post("/v1/start", {"services": ["redis"]})
        self._redis("running")
        self.course.outages.append((began, time.time()))

    def _redis(self, state: str) -> None:
        until = time.monotonic() + 30.0
        while time.monotonic() < until:
            found: Any = self.client.status()
            if next(row for row in found["instances"] if row["name"] == "redis")["state"] == state:
                return
            time.sleep(0.1)

    # -- what is missing ---------------------------------------------------------------------------------------------

    def send_again(self, tasks: int) -> None:
        """Note where each missing message is, and send its number again."""
        missing = sorted(set(range(tasks)) - self.done())
        on_list, unacked = self._ask("LRANGE", "celery", "0", "-1"), self._ask("HGETALL", "unacked")
        for n in missing:
            message = self.sent.get(("write", n))
            if message is None:
                where = "not sent"
            elif message in on_list:
                where = "on its list"
            else:
                where = "unacknowledged" if message in unacked else "nowhere"
            self.course.sent_again[n] = where
        for n in missing:
            self.send("write", n)

    def _ask(self, *command: str) -> str:
        ask = ["redis-cli", "-p", str(self.port), *command]
        return subprocess.run(ask, check=False, capture_output=True, text=True, timeout=60).stdout


def _signal(pid: int, number: int) -> bool:
    """Signal a process that the status names; False where it has ended, or there is none (0)."""
    if not pid:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def celery_fleet(tasks: int, seed: int, seconds: float, say: Callable[[str], None]) -> JSON:
    """Let `tasks` flow for at most `seconds`; the report."""
    redis, cli = shutil.which("redis-server"), shutil.which("redis-cli")
    if redis is None or cli is None:
        raise SystemExit("redis-server and redis-cli are needed: apt-get install redis-server")
    port = free_port()
    limit, visible = (SHORT_LIMIT, SHORT_VISIBLE) if tasks < SHORT else (LONG_LIMIT, LONG_VISIBLE)
    services = SERVICES.format(redis=redis, cli=cli, port=port, limit=limit, visible=visible)
    with daemon(services, {"fleet.py": PROGRAM}) as (client, place):
        fleet = Fleet(client, place, port, random.Random(seed), limit)
        began = time.monotonic()
        _run(fleet, tasks, began + seconds, say)
        ledger = [e for e in events(client) if e["service"] == "fleet"]
        missing = set(range(tasks)) - fleet.done()
        report = {"tasks": tasks, "seconds": round(time.monotonic() - began, 1)}
        return tell(report | judge(ledger, fleet.course, missing), say)


def _run(fleet: Fleet, tasks: int, until: float, say: Callable[[str], None]) -> None:
    """Send a part of the tasks before each fault and each restart of the broker, then wait until all are done."""
    rounds = min(5, 1 + tasks // 1000)
    restarts = SHORT_RESTARTS if tasks < SHORT else RESTARTS
    faults = [kind for _ in range(rounds) for kind in FAULTS]
    for n, away in enumerate(restarts):
        faults.insert(n + (n + 1) * len(FAULTS) * rounds // len(restarts), f"restart {away:g}")
    sent = 0
    for n, step in enumerate(faults):
        if time.monotonic() > until:
            break
        upto = (n + 1) * tasks // len(faults)
        for number in range(sent, upto):
            fleet.send("write", number)
        sent = upto
        if step.startswith("restart"):
            fleet.restart_broker(float(step.split()[1]))
        elif not fleet.fault(step):
            fleet.course.left_out.append(step)
        say(f"{step}; {len(fleet.done())} of {sent} done")
        fleet.pause()
    moved, last = time.monotonic(), -1
    while (done := len(fleet.done())) < tasks and time.monotonic() < until:
        if done != last:
            moved, last = time.monotonic(), done
        elif time.monotonic() - moved > QUIET:
            moved = time.monotonic()
            fleet.send_again(tasks)
        fleet.pause()
    end = time.monotonic() + WELL_WITHIN
    while (left := [hurt for hurt in fleet.course.hurt if alive(hurt.process)]) and time.monotonic() < end:
        fleet.pause()  # what hangs last has its time to be found
    fleet.course.never_found = left
