"""Parts of a host that die or stand still: the exclusive tree is gone before another host runs the next one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from scripts.tools.chaos.cluster_observer import Run
from tests.e2e.cluster.hosts import Host, Hosts, alive, boottime, figure


def taken_over(hosts: Hosts, before: Run, since: float, what: str) -> Run:
    """The next run of the scheduler on another host, which begins after the end of the one before."""
    after = hosts.observer.next_run("scheduler", before.epoch)
    gone = hosts.observer.ended(before)
    assert after.node != before.node
    assert gone <= after.begin
    figure(f"{what}: gone after {gone - since:.2f} s, taken over after {after.begin - since:.2f} s")
    return after


def test_a_host_that_dies(hosts: Hosts) -> None:
    owner, run = hosts.owner()
    died = owner.die()
    taken_over(hosts, run, died, "host dead")
    other = hosts.other(owner)
    other.until(lambda word: not next(m for m in word["members"] if m["node"] == owner.node)["here"])
    assert "away" in other.cli("cluster", "members").stdout


def kill(host: Host, *names: str) -> float:
    """KILL the main processes of these services of a host, the daemon first ("")."""
    assert host.process is not None
    pids = [host.process.pid if not name else host.pid(name) for name in names]
    moment = boottime()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if "" in names:
        host.wait()
    return moment


@pytest.mark.parametrize("names", [("",), ("", "cluster-agent")], ids=["daemon", "daemon and agent"])
def test_a_daemon_that_does_not_come_back(hosts: Hosts, names: tuple[str, ...]) -> None:
    """The dead-man kills the tree; another host takes over.  What is not exclusive survives, as without a cluster."""
    owner, run = hosts.owner()
    plain = owner.pid("plain")
    moment = kill(owner, *names)
    taken_over(hosts, run, moment, f"{names} killed")
    assert run.said_end is None
    assert alive(plain)
    owner.start(wait=False)
    owner.until(lambda word: word["engine"]["state"] == "connected")
    assert owner.pid("plain") == plain


def of_daemon(host: Host) -> list[int]:
    assert host.process is not None
    return [host.process.pid]


def of_agent(host: Host) -> list[int]:
    return [host.pid("cluster-agent")]


def of_both(host: Host) -> list[int]:
    return [*of_daemon(host), *of_agent(host)]


@pytest.mark.parametrize("pids", [of_daemon, of_agent, of_both], ids=["daemon", "agent", "daemon and agent"])
def test_a_process_that_stands_still(hosts: Hosts, pids: Callable[[Host], list[int]]) -> None:
    """Longer than the session: the tree ends without it."""
    owner, run = hosts.owner()
    moment = boottime()
    with owner.stopped(*pids(owner)):
        taken_over(hosts, run, moment, f"{pids.__name__} stopped")


def test_a_dead_man_that_stands_still(hosts: Hosts) -> None:
    """The daemon replaces it, and the new one knows the trees: they end with their lease, whatever comes then."""
    owner, _ = hosts.owner()
    before = owner.pid("cluster-deadman")
    with owner.stopped(before):
        owner.wait_for(lambda: owner.pid("cluster-deadman"), lambda pid: pid not in (0, before))
    _dies_with_its_daemon(hosts)


def test_a_dead_man_that_is_killed(hosts: Hosts) -> None:
    """What runs goes on, guarded by the next one."""
    owner, run = hosts.owner()
    before = owner.pid("cluster-deadman")
    kill(owner, "cluster-deadman")
    owner.wait_for(lambda: owner.pid("cluster-deadman"), lambda pid: pid not in (0, before))
    assert run.gone is None
    _dies_with_its_daemon(hosts)


def _dies_with_its_daemon(hosts: Hosts) -> None:
    owner, run = hosts.owner()
    taken_over(hosts, run, kill(owner, ""), "daemon killed after its dead-man")


def test_an_agent_that_is_killed(hosts: Hosts) -> None:
    """The next one goes on with the session: nothing is stopped.

    On a busy machine the lease may be over before the next one runs.  That shows nothing, and is done once more."""
    while not _killed_in_time(hosts):
        pass


def _killed_in_time(hosts: Hosts) -> bool:
    owner, run = hosts.owner()
    before, lease = owner.pid("cluster-agent"), _lease(owner)
    kill(owner, "cluster-agent")
    owner.wait_for(lambda: owner.pid("cluster-agent"), lambda pid: pid not in (0, before))
    since = boottime()
    owner.until(lambda word: word["at"] > since)
    if boottime() >= lease["stop_at"]:
        return False
    goes_on = _lease(owner)
    assert goes_on["epoch"] == run.epoch and goes_on["stop_at"] > lease["stop_at"]
    assert run.gone is None
    return True


def _lease(owner: Host) -> dict[str, Any]:
    """The scheduler's, as the agent told it last."""
    return next(one for one in owner.word()["leases"] if one["service"] == "scheduler")


def test_zookeeper_goes_and_comes(hosts: Hosts) -> None:
    """Exclusive trees end with their lease, the others know nothing of it; a server that is back brings all back.

    On a busy machine the dead-man may kill before the orderly stop is over.  That shows nothing of the stop, and is
    done once more."""
    assert any(_stopped_in_order(hosts) for _ in range(5))


def _stopped_in_order(hosts: Hosts) -> bool:
    """ZooKeeper goes and comes; whether there was time for an orderly stop."""
    owner, run = hosts.owner()
    plain = {host: host.pid("plain") for host in hosts}
    server = hosts.ensemble.servers[0]
    moment = boottime()
    server.stop()
    gone = hosts.observer.ended(run)
    figure(f"ZooKeeper down: gone after {gone - moment:.2f} s")
    for host in hosts:
        host.until(lambda word: word["engine"]["state"] == "away")
        assert host.pid("plain") == plain[host]
    told = owner.cli("cluster", "status")
    assert told.returncode == 3 and "ZooKeeper away" in told.stdout, told
    owner.wait_for(lambda: owner.cli("status", "scheduler").stdout, lambda text: "(ZooKeeper does not answer)" in text)
    assert not [one for one in hosts.observer.runs if one.begin > moment]
    server.start()
    back = boottime()
    hosts.observer.wait(lambda runs: any(one.instance == "scheduler" and one.begin > back for one in runs))
    figure(f"ZooKeeper back: runs after {hosts.settle().begin - back:.2f} s")
    return run.said_end is not None
