"""Celery's beat on exactly one of two hosts, after a migration that runs once: examples/cluster/beat.toml."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from scripts.tools.chaos.cluster_observer import Observer
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.e2e.cluster.hosts import PROGRAM, STOP, TICK, Host
from tests.e2e.conftest import ROOT
from tests.e2e.programs.test_celery import answers
from tests.e2e.programs.test_real_programs import program

pytest.importorskip("celery")
redis = pytest.importorskip("redis")
EXAMPLE = ROOT / "examples" / "cluster"


class Shop:
    """The example on the hosts a and b, with an observer of its placed services."""

    def __init__(self, folder: Path, servers: str, observer: Observer, port: int) -> None:
        self.observer, self.database = observer, folder / "shop.db"
        self.store = redis.Redis(port=port, decode_responses=True)
        values = {"BROKER": f"redis://127.0.0.1:{port}/0", "DATABASE": str(self.database)}
        services = (EXAMPLE / "beat.toml").read_text().partition("# Once in the cluster")[2].partition("\n")[2]
        services = re.sub(r"\$\{(\w+):-[^}]*\}", lambda found: values[found[1]], services)
        services = services.replace('directory = "."', f'directory = "{EXAMPLE}"')
        services = services.replace('stop_timeout = "2s"', f'stop_timeout = "{1000 * STOP:.0f}ms"')
        seen = f'"{sys.executable}", "{PROGRAM}", "{observer.path}", "{folder}/lock", "--", '
        for placed in ("migrate", "beat"):
            services = services.replace(f"[services.{placed}]\ncommand = [", f"[services.{placed}]\ncommand = [{seen}")
        services = services.replace('"python3"', f'"{sys.executable}"')
        self.hosts = {
            node: Host(folder / node, node, services.replace("${HOST}", node), f"{servers}/beat") for node in "ab"
        }

    def turns(self) -> tuple[int, int]:
        """The epoch under which the job was done last, and how often it was done."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database:
            epoch, turns = database.execute("SELECT epoch, turns FROM job").fetchone()
            return epoch, turns

    def goes_on(self, host: Host, epoch: int) -> None:
        """The job is done under this epoch, again and again."""
        _, before = self.turns()
        host.wait_for(self.turns, lambda seen: seen[0] == epoch and seen[1] >= before + 3)
        assert self.store.get("beat:epoch") == str(epoch)

    def migrations(self) -> int:
        return len([run for run in self.observer.runs if run.instance == "migrate"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    if MISSING:
        pytest.skip(MISSING)
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with Ensemble(tmp_path, tick=TICK) as ensemble, Observer(tmp_path / "observer.sock") as observer:
                found = Shop(tmp_path, ensemble.hosts, observer, port)
                found.hosts["a"].wait_for(lambda: answers(port), bool)
                try:
                    yield found
                finally:
                    for host in found.hosts.values():
                        if host.process is not None:
                            if not host.running:
                                host.start()  # takes up what it left, and ends it
                            host.stop()
        finally:
            server.kill()


def test_beat_runs_on_one_host_and_the_migration_once(shop: Shop) -> None:
    for host in shop.hosts.values():
        host.start(wait=False)
    first = shop.observer.next_run("beat", seconds=120)
    owner = shop.hosts[first.node]
    other = next(host for host in shop.hosts.values() if host is not owner)
    shop.goes_on(owner, first.epoch)
    other.wait_for(lambda: other.status("worker"), lambda row: row["ready"])  # it has waited for the migration, too
    assert shop.migrations() == 1

    # Its daemon and agent end: the dead-man ends beat with its lease, and the other host goes on from Redis.
    agent = owner.pid("cluster-agent")
    assert owner.process is not None
    for pid in (owner.process.pid, agent):
        os.kill(pid, signal.SIGKILL)
    owner.wait()
    second = shop.observer.next_run("beat", first.epoch, seconds=120)
    assert second.node == other.node and shop.observer.ended(first) <= second.begin
    shop.goes_on(other, second.epoch)

    # The host is back.  The migration has completed in the cluster, so its worker need not wait for it.
    owner.start()
    owner.until(lambda word: "migrate" in word["completed"])
    owner.wait_for(lambda: owner.status("worker"), lambda row: row["ready"])
    assert owner.status("migrate")["placed"]["done"]
    owner.wait_for(lambda: owner.status("beat")["placed"], lambda placed: placed["node"] == other.node)

    # The other host dies.
    other.die()
    third = shop.observer.next_run("beat", second.epoch, seconds=120)
    assert third.node == owner.node and third.epoch > second.epoch
    shop.goes_on(owner, third.epoch)
    assert shop.migrations() == 1
    assert shop.observer.violations() == [] and shop.store.get("beat:refused") is None
