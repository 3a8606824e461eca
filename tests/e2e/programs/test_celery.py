"""A Celery worker with a real Redis: its consumer and each of its children beat for themselves."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import Daemon
from tests.e2e.hangs.test_probes import until
from tests.e2e.hangs.test_processes import of_process
from tests.e2e.programs.test_real_programs import program

celery = pytest.importorskip("celery")
redis = pytest.importorskip("redis")

TASKS = """
import os, time
from celery import Celery
from celery.worker.control import control_command
from supervisor.integrations.celery import watch
broker = os.environ["BROKER"]
app = Celery("tasks", broker=broker, backend=broker)
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True, broker_connection_max_retries=None, result_expires=3600,
    broker_transport="supervisor.integrations.redis_transport:Transport",
    broker_transport_options={"visibility_timeout": int(os.environ["VISIBLE"]),
        "unacked_restore_interval": 1, "unacked_restore_throttle": 1})
watch(app)
@app.task
def count(n):
    with open(os.environ["DONE"], "a") as done: done.write(f"{n}\\n")
@app.task(acks_late=False)
def overrun():
    from supervisor import heartbeat
    heartbeat.busy(1, "overrun")
    time.sleep(1000)
@control_command()
def freeze(state, send=()):
    # The consumer has asked for a message: what is sent now is under way to it, and it hangs.
    for n in send: count.delay(n)
    time.sleep(1000)
@app.task
def long(seconds):
    time.sleep(seconds)
"""


class Fleet:
    """Redis and one worker with two children, under a daemon.  No `depends_on`: Redis is stopped without the worker."""

    def __init__(self, daemon: Callable[[str], Daemon], directory: Path) -> None:
        self.port, self.last = free_port(), 0
        self.done = directory / "done"
        self.done.write_text("")
        (directory / "tasks.py").write_text(TASKS)
        broker = f"redis://127.0.0.1:{self.port}/0"
        self.app = celery.Celery("tests", broker=broker, set_as_current=False)
        self.redis = redis.Redis(port=self.port)
        server, cli = program("redis-server"), program("redis-cli")
        options = "-A tasks worker -c 2 -l INFO -n w@localhost --without-mingle --without-gossip"
        self.d = daemon(f"""
[services.redis]
command = ["{server}", "--port", "{self.port}", "--dir", "{directory}", "--save", "", "--appendonly", "yes"]
ready = {{ tcp = "127.0.0.1:{self.port}", interval = "50ms" }}
stop_timeout = "5s"
[services.tasks]
command = {[sys.executable, "-m", "celery", *options.split()]!r}
directory = "{directory}"
environment = {{ BROKER = "{broker}", DONE = "{self.done}", VISIBLE = "12" }}
ready = {{ notify = true }}
restart = {{ initial = "0s", max_restarts = 100 }}
stop_timeout = "2s"
[services.tasks.heartbeat]
source = "celery"
exec = ["{cli}", "-p", "{self.port}", "ping"]
interval = "200ms"
min_timeout = "2s"
max_timeout = "3s"
on_suspect = "kill-process"
""")

    def settle(self) -> None:
        """The worker consumes, both of its children are well and have nothing to do."""
        if self.d.status("tasks")["state"] == "exited":
            self.redis.flushall()
            self.d.client.post("/v1/start", {"services": ["tasks"]})
        until(self.is_well)
        self.done.write_text("")
        self.d.from_now()

    def is_well(self) -> bool:
        row = self.d.status("tasks")
        well = [one for one in row["processes"] if one["suspect_s"] is one["ended_s"] is one["doing"] is None]
        return bool(row["ready"] and row["state"] == "running" and len(well) == len(row["processes"]) == 2)

    def send(self, task: str, *arguments: int, **options: Any) -> None:
        self.app.send_task(f"tasks.{task}", arguments, **options)

    def count_to(self, tasks: int) -> None:
        """Every one of so many tasks is done."""
        numbers = self.numbers(tasks)
        for n in numbers:
            self.send("count", n)
        self.have_counted(numbers)

    def numbers(self, tasks: int) -> list[int]:
        """Of tasks that are told from those before: one whose worker was ended may be done once more, much later."""
        self.last += tasks
        return list(range(self.last - tasks, self.last))

    def have_counted(self, numbers: list[int]) -> None:
        """Wait until these tasks are done."""
        try:
            until(lambda: set(self.counted()) >= set(numbers))
        except AssertionError:
            kept = {key: self.redis.type(key) for key in self.redis.scan_iter()}
            kept |= {key: self.redis.lrange(key, 0, -1) for key, kind in kept.items() if kind == b"list"}
            kept |= {key: self.redis.hgetall(key) for key, kind in kept.items() if kind == b"hash"}
            pytest.fail(
                f"{numbers}, done: {self.counted()}\nRedis: {kept}\n{self.d.cli('logs', 'tasks', '-n', '60').stdout}"
            )

    def counted(self) -> list[int]:
        return [int(n) for n in self.done.read_text().split()]

    def children(self) -> list[int]:
        return sorted(row["pid"] for row in self.d.status("tasks")["processes"])

    def at_work(self) -> Any:
        """What the status says of a child with a task."""
        return until(lambda: [row for row in self.d.status("tasks")["processes"] if row["doing"]])[0]

    def ended_alone(self, pid: int) -> dict[str, Any]:
        """The record of its end; another process has taken its place."""
        found = of_process(self.d, "process-ended", process=pid)
        of_process(self.d, "process-replaced", instead_of=pid)
        return found

    def ended(self) -> tuple[str, str, int]:
        """How the worker ended: state, cause, exit code."""
        found = self.d.said(
            lambda line: (
                isinstance(line, dict)
                and line.get("instance") == "tasks"
                and line.get("from") == "running" != line.get("to")
            )
        )
        return found["to"], found["cause"], found["detail"]["exit_code"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One for all tests: its daemon and its worker take seconds to begin."""
    daemons: list[Daemon] = []

    def make(toml: str) -> Daemon:
        daemons.append(Daemon(tmp_path_factory.mktemp("d"), toml).start())
        return daemons[-1]

    try:
        yield Fleet(make, tmp_path_factory.mktemp("fleet"))
    finally:
        for daemon in daemons:
            daemon.stop()


@pytest.fixture
def fleet(shared: Fleet) -> Fleet:
    shared.settle()
    return shared


def test_a_stopped_child_is_ended_alone_and_no_task_is_lost(fleet: Fleet) -> None:
    """Celery sees nothing of it: `inspect ping` answers, and without a time limit its task would never end.

    As a stopped one it gets `max_timeout`.  That it is held until then is told only where it was found stopped before
    that: where the machine was late there is no such record."""
    d = fleet.d
    until(lambda: d.status("tasks")["status"] == "2 of 2 children")
    before, stopped = d.status("tasks")["incarnation"], fleet.children()[0]
    os.kill(stopped, signal.SIGSTOP)
    fleet.count_to(20)
    of_process(d, "process-silent", process=stopped)
    assert fleet.ended_alone(stopped)["silence_s"] >= 3
    assert d.status("tasks")["incarnation"] == before


def test_a_task_may_take_its_time_and_not_more(fleet: Fleet) -> None:
    d, before = fleet.d, fleet.d.status("tasks")["incarnation"]
    fleet.send("long", 4, time_limit=60)
    busy = fleet.at_work()
    assert busy["doing"].startswith("tasks.long[") and 0 < busy["busy_for_s"] <= 60
    until(fleet.is_well)
    silences = [line["detail"] for line in d.lines if isinstance(line, dict) and line.get("cause") == "process-silent"]
    assert not [detail for detail in silences if detail.get("doing", "") == busy["doing"]]
    # It says that it is busy for a second, and never comes back: nothing else would end it.
    fleet.send("overrun")
    silent = of_process(d, "process-silent", doing="overrun")
    fleet.ended_alone(silent["process"])
    assert d.status("tasks")["incarnation"] == before


def test_nothing_is_ended_while_the_broker_is_away(fleet: Fleet) -> None:
    """It is stopped; then it is back, and the worker consumes."""
    d = fleet.d
    before, server = d.status("tasks"), d.status("redis")["pid"]
    assert d.cli("stop", "redis").returncode == 0
    assert d.event("tasks", "suspect")["cause"] == "heartbeat-silent"
    while not d.event("tasks", "suspect", "held")["detail"]["held"].startswith("its broker does not answer"):
        pass  # held for another reason before
    assert "broker" in d.cli("status", "tasks").stdout
    assert d.cli("start", "redis").returncode == 0
    back = d.said(lambda line: isinstance(line, dict) and line.get("to") == "running" and line["instance"] == "tasks")
    assert back["cause"] in ("hold-over", "heartbeat-resumed")
    fleet.count_to(20)
    after = d.status("tasks")
    assert (after["incarnation"], after["restarts"]) == (before["incarnation"], before["restarts"])
    assert server != d.status("redis")["pid"]


def test_a_consumer_that_hangs_is_restarted_and_what_was_under_way_to_it_comes_back(fleet: Fleet) -> None:
    """Its children go on, and its broker answers: the worker is to blame.  kombu's own transport loses the messages
    that it has asked for: they are off their list and not noted yet."""
    d, before = fleet.d, fleet.d.status("tasks")["incarnation"]
    numbers = fleet.numbers(5)
    fleet.app.control.broadcast("freeze", arguments={"send": numbers})
    assert d.event("tasks", "suspect")["cause"] == "heartbeat-silent"
    assert d.event("tasks", "stopping")["cause"] == "heartbeat-silent"
    assert d.event("tasks", "running", "ready")["incarnation"] == before + 1
    fleet.have_counted(numbers)
    fleet.count_to(20)


def test_a_worker_that_ends_by_itself_may_finish_its_task(fleet: Fleet) -> None:
    """A warm shutdown, by whatever order: the consumer is silent while the last task runs on."""
    fleet.send("long", 5)
    fleet.at_work()
    fleet.app.control.shutdown()
    assert fleet.d.event("tasks", "running", "stopping-by-itself")["detail"] == {}
    assert fleet.ended() == ("exited", "exited", 0)


@pytest.mark.parametrize("at_work", [False, True])
def test_a_stopped_child_of_a_worker_that_ends_by_itself_is_ended(fleet: Fleet, at_work: bool) -> None:
    """The worker waits for it without end, so that it would neither work nor end.  One that is stopped in a task
    without a time limit is allowed any silence, but not to be stopped."""
    stopped = fleet.children()[0]
    if at_work:
        fleet.send("long", 10_000)
        stopped = fleet.at_work()["pid"]
    os.kill(stopped, signal.SIGSTOP)
    fleet.app.control.shutdown()
    fleet.d.event("tasks", "running", "stopping-by-itself")
    ended = of_process(fleet.d, "process-ended", process=stopped)
    assert ("stopped_s" in ended) is at_work
    assert fleet.ended() == ("exited", "exited", 0)


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until(lambda: answers(port))
        yield port
        process.kill()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


TRANSPORT = "supervisor.integrations.redis_transport:Transport"
OPTIONS = {"visibility_timeout": 0, "unacked_restore_throttle": 1}


@pytest.mark.parametrize("prefix", ["", "shop:"])
def test_what_is_taken_from_redis_and_never_read_comes_back(redis_port: int, prefix: str) -> None:
    """A worker that is killed after it has asked for a message; the next one takes it, in the order of the sender."""
    kombu = pytest.importorskip("kombu")
    options = OPTIONS | ({"global_keyprefix": prefix} if prefix else {})
    url = f"redis://127.0.0.1:{redis_port}/0"
    queue, heard = kombu.Queue("jobs", kombu.Exchange("jobs"), routing_key="jobs"), []

    def listen(connection: Any) -> Any:
        consumer = kombu.Consumer(connection.channel(), [queue], accept=["json"])
        consumer.register_callback(lambda body, message: (heard.append(body), message.ack()))
        consumer.consume()
        return consumer.channel

    with kombu.Connection(url, transport=TRANSPORT, transport_options=options) as sender:
        producer = sender.Producer()
        for n in range(3):
            producer.publish(n, exchange=queue.exchange, routing_key="jobs", declare=[queue])
        with kombu.Connection(url, transport=TRANSPORT, transport_options=options) as connection:
            taker = listen(connection)
            connection.transport.cycle._register_BRPOP(taker)  # it asks …
            assert select.select([taker.client.connection._sock], [], [], 30)[0], "Redis answers"
            taker.client.connection.disconnect()  # … and is gone before it has read the answer
            taker._in_poll = None
        with kombu.Connection(url, transport=TRANSPORT, transport_options=options) as connection:
            channel = listen(connection)
            channel.qos.restore_visible(num=10, interval=1)
            while len(heard) < 3:
                connection.drain_events(timeout=30)
            assert sorted(heard) == [0, 1, 2]
            assert channel.client.hlen("unacked") == channel.client.zcard("unacked_index") == 0
            producer.publish(3, exchange=queue.exchange, routing_key="jobs")
            connection.drain_events(timeout=30)
    assert heard[-1] == 3


def test_a_worker_that_dies_while_it_gives_messages_back_does_not_keep_the_others_from_it(redis_port: int) -> None:
    """It holds a lock in Redis until that expires."""
    kombu = pytest.importorskip("kombu")
    from kombu.transport.redis import Mutex

    url = f"redis://127.0.0.1:{redis_port}/0"
    with kombu.Connection(url, transport=TRANSPORT, transport_options=OPTIONS) as connection:
        jobs = connection.SimpleQueue("jobs")
        jobs.put("one")
        jobs.get(timeout=30)  # not acknowledged
        channel = jobs.channel
        held = Mutex(channel.client, channel.unacked_mutex_key, channel.unacked_mutex_expire)
        held.__enter__()  # the worker that does so comes to no end
        channel.qos.restore_visible(num=10, interval=1)
        assert channel.client.hlen("unacked") == 1
        assert until(lambda: channel.qos.restore_visible(num=10, interval=1) or not channel.client.hlen("unacked"))
        assert jobs.get(timeout=30).payload == "one"
        held.__exit__(None, None, None)  # the lock has expired


def test_what_needs_no_acknowledgement_is_not_noted(redis_port: int) -> None:
    kombu = pytest.importorskip("kombu")
    url = f"redis://127.0.0.1:{redis_port}/0"
    with kombu.Connection(url, transport=TRANSPORT, transport_options=OPTIONS) as connection:
        replies = connection.SimpleQueue("replies", no_ack=True)
        replies.put("one")
        assert replies.get(timeout=30).payload == "one"
        client = replies.channel.client
        assert client.hlen("unacked") == client.zcard("unacked_index") == 0
