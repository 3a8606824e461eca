"""What three hosts run together, while they are there and by a person's orders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.tools.chaos.cluster_observer import Run
from tests.e2e.cluster.hosts import SESSION, Host, Hosts, figure


def test_a_slot_is_taken_and_kept(hosts: Hosts) -> None:
    """The exclusive service runs on one host, under its epoch; a spread one runs twice, the rest everywhere."""
    owner, run = hosts.owner()
    assert run.epoch == owner.status("scheduler")["placed"]["epoch"]
    assert len([one for one in hosts.observer.runs if one.instance.startswith("web")]) == 2
    for host in hosts:
        assert host.status("plain")["state"] == "running"
        assert host.status("scheduler")["placed"]["node"] == owner.node
    assert [one for one in hosts.observer.runs if one.instance == "scheduler"] == [run]


def handed_over(hosts: Hosts, before: Run, what: str) -> Run:
    """The next run of the scheduler: the one before has ended in order, and no session had to end."""
    after = hosts.observer.next_run("scheduler", before.epoch)
    gone = hosts.observer.ended(before)
    assert before.said_end is not None and gone <= after.begin and after.node != before.node
    figure(f"{what}: {after.begin - gone:.2f} s without an instance")
    assert after.begin - gone < SESSION
    return after


def test_drain(hosts: Hosts) -> None:
    """A drained host holds nothing and takes nothing until it may again."""
    owner, run = hosts.owner()
    other = hosts.other(owner)
    done = other.cli("cluster", "drain", owner.node)
    assert (done.returncode, done.stdout) == (0, f"{owner.node} is drained: it holds no slot\n"), done
    handed_over(hosts, run, "drain")
    assert owner.status("plain")["state"] == "running"
    assert "drained" in other.cli("cluster", "members").stdout
    assert all(one["node"] != owner.node for one in other.word()["elsewhere"])
    done = owner.cli("cluster", "drain", "--off", owner.node)
    assert (done.returncode, done.stdout) == (0, f"{owner.node} may take instances\n"), done


def test_move(hosts: Hosts) -> None:
    owner, run = hosts.owner()
    other = hosts.other(owner)
    third = hosts.other(owner, other)
    done = third.cli("cluster", "move", "scheduler", other.node)
    assert (done.returncode, done.stdout) == (0, f"scheduler is on {other.node}\n"), done
    assert handed_over(hosts, run, "move").node == other.node


def test_down_hands_over(hosts: Hosts) -> None:
    """An owner whose daemon ends in order leaves no session to wait for."""
    owner, run = hosts.owner()
    done = owner.cli("down")
    assert done.returncode == 0, done
    handed_over(hosts, run, "down")
    owner.wait()


def test_a_oneshot_runs_once_in_the_cluster(hosts: Hosts) -> None:
    for host in hosts:
        host.configure(hosts.services + hosts.once)
        assert host.cli("reload").returncode == 0
    for host in hosts:
        host.until(lambda word: "migrate" in word["completed"])
        host.wait_for(partial(host.status, "migrate"), lambda row: row["placed"]["done"])
    assert len([one for one in hosts.observer.runs if one.instance == "migrate"]) == 1
    for host in hosts:
        host.configure(hosts.services)
        assert host.cli("reload").returncode == 0


def test_a_host_with_other_rules_takes_nothing_and_says_why(hosts: Hosts) -> None:
    owner, run = hosts.owner()
    other = hosts.other(owner)
    third = hosts.other(owner, other)
    third.configure(hosts.services.replace('mode = "one"', 'mode = "one", prefer = { rack = "x" }'))
    assert third.cli("reload").returncode == 0
    for host in (other, owner):
        assert host.cli("cluster", "drain", host.node).returncode == 0
    hosts.observer.ended(run)
    reason = f"{third.node}: its configuration has other rules for it"
    third.until(lambda word: any(reason in one["reason"] for one in word["nowhere"]))
    told = owner.cli("cluster", "status")
    assert told.returncode == 3 and reason in told.stdout and f"{owner.node}: it is drained" in told.stdout, told
    for view in (third.cli("status", "scheduler"), third.cli("why", "scheduler")):
        assert reason in view.stdout, view
    third.configure(hosts.services)
    assert third.cli("reload").returncode == 0
    assert hosts.observer.next_run("scheduler", run.epoch).node == third.node
    for host in (other, owner):
        assert host.cli("cluster", "drain", "--off", host.node).returncode == 0


def test_what_a_person_reads(hosts: Hosts) -> None:
    """Where it runs, under what, and why it does not run here."""
    owner, run = hosts.owner()
    other = hosts.other(owner)
    told = other.cli("cluster", "status")
    assert told.returncode == 0, told
    row = next(line.split() for line in told.stdout.splitlines() if line.startswith("scheduler"))
    assert row[:2] == ["scheduler", owner.node]
    assert str(run.epoch) in owner.cli("cluster", "status").stdout
    assert f"runs on {owner.node}" in other.cli("status").stdout
    for host, text in ((owner, f"under epoch {run.epoch}"), (other, f"runs on {owner.node}")):
        assert text in host.cli("why", "scheduler").stdout


def test_zookeeper_away_at_the_start(hosts: Hosts, tmp_path: Path) -> None:
    """What needs no other host starts at once; `up` returns, and tells what the rest waits for."""
    alone = Host(tmp_path / "d", "d", hosts.services, "127.0.0.1:1/cluster")
    try:
        done = alone.cli("up", "-d")
        assert done.returncode == 0, done
        assert alone.status("plain")["state"] == "running"
        assert "scheduler  waits: ZooKeeper has not answered yet\n" in done.stdout, done
        assert done.stdout.endswith("3 of 6 ready, 3 wait for the cluster or run on other hosts\n"), done
        assert "ZooKeeper has not answered yet" in alone.cli("status", "scheduler").stdout
    finally:
        assert alone.cli("down").returncode == 0
