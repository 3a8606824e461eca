"""What any member shows of all hosts, also of one that is gone."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from typing import Any

import pytest

from scripts.tools.bench.ports import free_port
from supervisor.core.cluster.requests import Node
from tests.doubles.documented import check_document
from tests.doubles.zookeeper_user import User
from tests.e2e.cluster.hosts import CONTACT, LONGEST, SESSION, Host, Hosts, boottime, figure


def told(host: Host, of: Host) -> dict[str, Any]:
    """What a member shows of another."""
    view: dict[str, Any] = host.client.get(f"/v1/cluster/hosts/{of.node}")
    return view


def failed_once(hosts: Hosts, host: Host, service: str) -> None:
    """The main process of a service is killed and started again, and the others can read both."""
    before = host.pid(service)
    os.kill(before, signal.SIGKILL)
    other = hosts.other(host)

    def recovered(found: dict[str, Any]) -> bool:
        rows = [one for one in (found["summary"] or {"instances": []})["instances"] if one["name"] == service]
        stories = [one for one in (found["record"] or {"stories": []})["stories"] if one["instance"] == service]
        outcomes = [one["incidents"][-1]["outcome"] for one in stories]
        return outcomes == ["recovered"] and rows[0]["state"] == "running" and rows[0]["ready"]

    other.wait_for(lambda: told(other, host), recovered)


def test_each_member_shows_all_hosts(hosts: Hosts) -> None:
    owner, run = hosts.owner()
    for host in hosts:
        view = host.wait_for(
            partial(host.client.get, "/v1/cluster/hosts"),
            lambda view: all(one["summary"] and not one["summary"]["missing"] for one in view["hosts"]),
        )
        check_document("HostsView", view)
        began = boottime()
        host.client.get("/v1/cluster/hosts")
        figure(f"{host.node} tells of all hosts in {1000 * (boottime() - began):.0f} ms")
        assert [one["node"] for one in view["hosts"]] == ["a", "b", "c"] and view["node"] == host.node
        runs = [
            (one["node"], row["state"], row["ready"])
            for one in view["hosts"]
            for row in one["summary"]["instances"]
            if row["name"] == "scheduler"
        ]
        assert runs == [(run.node, "running", True)]
        shown = host.cli("status", "--cluster")
        assert shown.returncode == 0, shown
        lines = [line.split() for line in shown.stdout.splitlines()]
        assert [words[:2] for words in lines[1:4]] == [["a", "here"], ["b", "here"], ["c", "here"]]
        assert [words[1] for words in lines if words[:1] == ["plain"]] == ["a", "b", "c"]
        found = json.loads(host.cli("status", "--cluster", "--json").stdout)
        assert {one["node"]: one["slots"] for one in found["hosts"]}[owner.node].count("scheduler") == 1


def test_the_events_of_all_hosts_are_one_stream(hosts: Hosts) -> None:
    hosts.settle()
    host = hosts["a"]
    lines = host.wait_for(  # each host writes its record after it has joined
        lambda: list(map(json.loads, host.cli("events", "--cluster", "--json", "plain").stdout.splitlines())),
        lambda lines: {one["host"] for one in lines} == {"a", "b", "c"},
    )
    assert {one["service"] for one in lines} == {"plain"}
    assert [one["at"] for one in lines] == sorted(one["at"] for one in lines)
    assert host.cli("events", "--cluster", "-n", "1", "plain").stdout.startswith(f"{lines[-1]['host']} ")


def test_why_answers_for_a_host_that_is_gone(hosts: Hosts) -> None:
    """All its processes are killed, as when it burns down; its record answers on another."""
    owner, run = hosts.owner()
    failed_once(hosts, owner, "plain")
    other = hosts.other(owner)
    alive = other.cli("why", f"plain@{owner.node}")
    assert alive.returncode == 0 and "killed by SIGKILL" in alive.stdout and "record of" in alive.stdout, alive
    own = owner.cli("why", f"plain@{owner.node}")
    assert own.returncode == 0 and "killed by SIGKILL" in own.stdout and "record of" not in own.stdout, own
    owner.die()
    hosts.observer.next_run("scheduler", run.epoch)
    for member in hosts:  # each hears of it by itself
        if member is not owner:
            member.until(lambda word: not next(one for one in word["members"] if one["node"] == owner.node)["here"])

    shown = other.cli("status", "--cluster")
    assert shown.returncode == 3, shown
    (line,) = (line for line in shown.stdout.splitlines() if line.split()[:2] == [owner.node, "away"])
    assert " ago " in line and "last heard" in line
    assert any(words[:3] == ["plain", owner.node, "was"] for words in map(str.split, shown.stdout.splitlines()))

    for member in hosts:
        if member is not owner:
            gone = member.cli("why", f"plain@{owner.node}")
            assert gone.returncode == 0, gone
            assert f"{owner.node} is away: its last contact was" in gone.stdout
            assert f"plain was running and ready on {owner.node}" in gone.stdout
            assert "killed by SIGKILL" in gone.stdout and "1 failure recorded" in gone.stdout
    check_document("HostDetail", told(other, owner))
    holder = hosts.observer.present("scheduler").node
    moved = other.wait_for(
        lambda: json.loads(other.cli("why", "--json", f"scheduler@{owner.node}").stdout),
        lambda moved: moved["next"]["what"] == f"{holder} holds its slot now",  # it hears of that by itself, too
    )
    assert moved["host"] == owner.node and not moved["here"] and moved["age_s"] > 0
    events = [json.loads(line) for line in other.cli("events", "--cluster", "--json", "plain").stdout.splitlines()]
    assert any(one["host"] == owner.node and one["cause"] == "killed-by-signal" for one in events)
    unknown = other.cli("why", f"nothing@{owner.node}")
    assert unknown.returncode == 4 and "has told nothing of 'nothing'" in unknown.stderr
    figure(f"{owner.node} is told by its record, {told(other, owner)['age_s']:.1f} s old")


@pytest.fixture
def user(hosts: Hosts) -> Iterator[User]:
    """Reads the nodes as they are."""
    found = User(f"{hosts.ensemble.hosts}/cluster", SESSION)
    found.connected()
    yield found
    found.zookeeper.close()


def test_no_secret_that_is_hidden_elsewhere_goes_into_zookeeper(hosts: Hosts, user: User) -> None:
    """A service prints one and dies: its line is in the record, without it."""
    hosts.settle()
    host = hosts["c"]
    host.configure(
        hosts.services + '[services.leaky]\ncommand = ["sh", "-c", "echo logging in with password=hunter2; exit 3"]\n'
        'restart = { policy = "never" }\nenvironment = { TOKEN = "hunter2" }\n'
    )
    try:
        assert host.cli("reload").returncode == 0
        host.wait_for(
            lambda: node_of(user, "/incidents/c").data, lambda data: '"leaky"' in data and "password=" in data
        )
        for path in ("/incidents/c", "/status/c"):
            assert "hunter2" not in node_of(user, path).data
        assert "password=***" in hosts["a"].cli("why", "leaky@c").stdout
    finally:
        host.configure(hosts.services)
        host.cli("reload")


def node_of(user: User, path: str) -> Node:
    """It is awaited: a host writes its record after it has joined."""
    deadline = boottime() + LONGEST
    while (node := user.node(path)) is None:
        assert boottime() < deadline, path
    return node


def test_a_host_at_rest_writes_its_contact_and_nothing_else(hosts: Hosts, user: User) -> None:
    """Its record stays as it is, while the node of its contact is written again and again."""
    hosts.settle()

    def written() -> tuple[int, int]:
        return node_of(user, "/status/a").version, node_of(user, "/incidents/a").version

    contacts, records = written()
    deadline = boottime() + LONGEST
    while contacts + 10 > written()[0]:  # 3 s
        if records != written()[1]:  # what came before has just been written
            contacts, records = written()
        assert boottime() < deadline
    _tell_requests(hosts["a"], hosts)


def _tell_requests(host: Host, hosts: Hosts) -> None:
    """How many requests a host sends in ten contact intervals, its pings among them, by the server's own count."""
    session = host.word()["engine"]["session"]

    def received() -> int:
        asked = hosts.ensemble.servers[0].ask("cons")
        return int(re.search(rf"recved=(\d+),sent=\d+,sid=0x{session},", asked)[1])  # type: ignore[index]

    first, began = received(), boottime()
    host.until(lambda word: word["at"] > began + 10 * CONTACT)
    count, seconds = received() - first, boottime() - began
    figure(f"a host at rest: {count} requests in {seconds:.1f} s with a contact_interval of {CONTACT} s")


def test_what_is_known_stays_shown_without_zookeeper(hosts: Hosts) -> None:
    hosts.settle()
    host, server = hosts["a"], hosts.ensemble.servers[0]
    host.client.get("/v1/cluster/hosts")
    server.stop()
    try:
        host.until(lambda word: word["engine"]["state"] == "away")
        shown = host.cli("status", "--cluster")
        assert shown.returncode == 3 and "ZooKeeper away" in shown.stdout
        row = next(line for line in shown.stdout.splitlines() if line.startswith("b "))
        assert "ZooKeeper does not answer" in row and " ago " in row, shown
    finally:
        server.start()


def test_the_web_view_shows_all_hosts_and_the_record_of_one(hosts: Hosts) -> None:
    """As the other members have written them to ZooKeeper."""
    owner, _ = hosts.owner()
    failed_once(hosts, owner, "plain")
    other = hosts.other(owner)
    port = free_port()
    other.configure(hosts.services, f'[supervisor.http]\nlisten = "127.0.0.1:{port}"\nweb = true\n')
    try:
        assert other.cli("down").returncode == 0
        other.wait()
        other.start()
        hosts.settle()

        def page(path: str) -> str:
            connection = HTTPConnection("127.0.0.1", port, timeout=LONGEST)
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, path
            return re.sub(r"<[^>]+>", " ", answer.read().decode())

        shown = other.wait_for(lambda: page("/hosts"), lambda text: "3 of 3 hosts here" in text)
        assert all(text in shown for text in ("scheduler", "web@1", "web@2", *(host.node for host in hosts)))
        record = page(f"/host/{owner.node}")
        assert "plain" in record and "killed by SIGKILL" in record
    finally:
        other.configure(hosts.services)
