"""One configuration for three hosts: pushed, rolled back, caught up with, undone."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.chaos.rollouts import RELEASE, Load, ask
from supervisor.core.cluster.requests import Request, Verb
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.doubles.zookeeper_user import User
from tests.e2e.cluster.hosts import LONGEST, TICK, Host, boottime, figure
from tests.e2e.conftest import ROOT


class Three:
    """a, b and c on one ZooKeeper, each with a file of its own that says nothing but what the host is."""

    def __init__(self, folder: Path, ensemble: Ensemble) -> None:
        self.folder = folder
        self.program = folder / "release.py"
        self.program.write_text(RELEASE)
        self.chroot = f"{ensemble.hosts}/push"
        self.by_node = {node: Host(folder / node, node, self.services("own"), self.chroot) for node in "abc"}

    def services(self, tag: str, more: str = "") -> str:
        sleep = 'command = ["sleep", "1000000"]\nstop_timeout = "500ms"\n'
        return f'[services.plain]\n{sleep}environment = {{ TAG = "{tag}" }}\n{more}'

    def web(self, version: str, kind: str = "good", replicas: int = 2) -> str:
        """A web service with its instances behind one socket in the folder of each host, replaced one by one."""
        return (
            f'[services.web]\ncommand = ["{sys.executable}", "{self.program}", "{version}", "{kind}"]\n'
            f"replicas = {replicas}\n"
            'sockets = ["unix:web.sock"]\nready = { notify = true }\nstart_timeout = "20s"\n'
            'restart = { initial = "100ms" }\nrollout = { max_unavailable = 1, settle = "300ms" }\n'
        )

    def file(self, text: str, name: str = "pushed.toml") -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def __getitem__(self, node: str) -> Host:
        return self.by_node[node]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.by_node.values())

    def settle(self) -> None:
        """All hosts are there, run one version, and say so from now on."""
        begin = boottime()
        for host in self:
            if not host.running:
                host.start(wait=False)
        for host in self:
            host.until(lambda word: word["at"] > begin and self._settled(word))

    @staticmethod
    def _settled(word: dict[str, Any]) -> bool:
        members, pushed = word["members"], word.get("pushed")  # None: it knows nothing of versions yet
        there = word["engine"]["state"] == "connected" and len(members) == 3 and all(one["taking"] for one in members)
        return bool(there and pushed and pushed["phase"] == "settled" and pushed["consistency"] == 1.0)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    if MISSING:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("p")
    with Ensemble(folder, tick=TICK) as ensemble:
        three = Three(folder, ensemble)
        try:
            yield three
        finally:
            for host in three:
                if not host.running:
                    host.start()
                host.stop()


def tag(host: Host, service: str = "plain") -> str:
    """What the running process of a service has in its environment."""
    path = Path(f"/proc/{host.pid(service)}/environ")
    environment = host.wait_for(path.read_bytes, bool).split(b"\0")  # empty while the program is being executed
    return next((one.partition(b"=")[2].decode() for one in environment if one.startswith(b"TAG=")), "")


def ordered(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    """`cluster push` and what is like it, which lasts as long as all hosts need."""
    command = [sys.executable, "-m", "supervisor", "-f", str(host.file), "cluster", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST * 6, check=False)


def versions(host: Host) -> list[dict[str, Any]]:
    done = host.cli("cluster", "history", "--json")
    assert done.returncode == 0, done
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_push_reaches_all_hosts_and_an_undo_takes_it_back(hosts: Three) -> None:
    hosts.settle()
    a, b, c = hosts
    assert a.cli("cluster", "history").stdout == "nothing was pushed: each host runs its own file\n"
    done = ordered(a, "push", hosts.file(hosts.services("one")))
    assert done.returncode == 0, done
    assert "version 1 is in force on all hosts" in done.stdout and "c  runs version 1\n" in done.stdout, done
    assert [tag(host) for host in hosts] == ["one"] * 3
    done = ordered(b, "push", hosts.file(hosts.services("two")))
    assert done.returncode == 0, done
    done = ordered(b, "push", hosts.file(hosts.services("two")))
    assert (done.returncode, done.stdout) == (0, "version 2, which is in force, has this text already\n"), done
    done = ordered(c, "undo")
    assert done.returncode == 0 and "version 3 is in force" in done.stdout, done
    assert [tag(host) for host in hosts] == ["one"] * 3
    a.until(lambda word: word["pushed"]["in_force"] == 3)
    found = versions(a)
    assert [(one["number"], one["state"]) for one in found] == [(1, "replaced"), (2, "replaced"), (3, "in force")]
    assert found[2]["origin"] == 1 and found[1]["host"] == "b" and found[2]["host"] == "c"
    shown = a.cli("status")
    told = shown.stdout + shown.stderr
    assert f"{a.file} has other services than version 3" in told and f"{a.state_dir}/pushed/3-" in told, told
    assert "b: its own file has other services than version 3" in c.cli("cluster", "status").stdout
    assert oct(next((a.state_dir / "pushed").glob("3-*.toml")).stat().st_mode)[-3:] == "600"


def test_a_file_that_is_wrong_is_refused_here(hosts: Three) -> None:
    hosts.settle()
    a, *_ = hosts
    path = hosts.file('[services.web]\ncomand = ["x"]\n', "wrong.toml")
    done = ordered(a, "push", path)
    assert done.returncode == 2 and f"{path}:2: services.web.comand" in done.stderr, done
    path = hosts.file(hosts.services("x") + f"# {'x' * 70_000}\n", "large.toml")
    done = ordered(a, "push", path)
    assert done.returncode == 2 and "at most 65536 can be pushed" in done.stderr, done
    assert ordered(a, "push", hosts.file(hosts.services("x")), "--max-unavailable", "x").returncode == 2


def test_no_request_fails_while_good_and_bad_versions_go_round(hosts: Three) -> None:
    """A version that cannot start on any host is rolled back by the first one; a good one goes through."""
    hosts.settle()
    a, b, c = hosts
    done = ordered(a, "push", hosts.file(hosts.services("web", hosts.web("1", replicas=4))))
    assert done.returncode == 0, done
    began = boottime()
    loads = [Load(str(host.directory / "web.sock")) for host in hosts]
    try:
        done = ordered(b, "push", hosts.file(hosts.services("web", hosts.web("2", replicas=4))))
        assert done.returncode == 0, done
        bad = ordered(b, "push", hosts.file(hosts.services("bad", hosts.web("3", "exits", replicas=4))))
        hosts.settle()
    finally:
        for load in loads:
            load.end()
    answered, errors = sum(load.answered for load in loads), [error for load in loads for error in load.errors]
    figure(
        f"3 hosts × 4 replicas: {len(errors)} of {answered + len(errors)} requests failed in {boottime() - began:.0f} s"
    )
    assert bad.returncode == 1 and re.search(
        r"version \d+ was rolled back: [abc]: web was rolled back: ", bad.stderr
    ), bad
    assert errors == [] and all(load.answered for load in loads)
    assert [tag(host) for host in hosts] == ["web"] * 3
    last = versions(c)[-1]
    assert last["state"] == "rolled back" and last["reason"].startswith("web was rolled back: "), last


def test_a_version_that_fails_on_the_last_host_is_taken_back_everywhere(hosts: Three) -> None:
    hosts.settle()
    before = [tag(host) for host in hosts]
    more = (
        "[services.new]\ncommand = ['sh', '-c', 'case $PWD in */c) exit 3;; esac; exec sleep 1000000']\n"
        'restart = { initial = "100ms" }\n'
    )
    done = ordered(hosts["b"], "push", hosts.file(hosts.services("bad", more)))
    assert done.returncode == 1 and "was rolled back: c: new: " in done.stderr, done
    assert re.search(r"^[ab]  runs (version \d+|its own file) again$", done.stdout, re.M), done
    hosts.settle()
    assert [tag(host) for host in hosts] == before
    last = versions(hosts["c"])[-1]
    assert (last["state"], last["failed_on"]) == ("rolled back", "c") and last["reason"].startswith("new: "), last
    for host in hosts:
        assert host.cli("status", "new").returncode == 4


def test_a_version_that_takes_too_long_is_taken_back(hosts: Three) -> None:
    """Its rollout is still on its way on the first host, and is undone there."""
    hosts.settle()
    done = ordered(hosts["a"], "push", hosts.file(hosts.services("slow", hosts.web("1"))))
    assert done.returncode == 0, done
    late = hosts.file(hosts.services("slow", hosts.web("2", "never-ready").replace('"20s"', '"10m"')))
    done = ordered(hosts["a"], "push", late, "--timeout", "5s")
    assert done.returncode == 1 and re.search(r"rolled back: [abc]: it was not ready after 5 s", done.stderr), done
    hosts.settle()
    assert [ask(str(host.directory / "web.sock")) for host in hosts] == ["1"] * 3
    for host in hosts:
        assert all(one["state"] != "running" for one in host.client.get("/v1/status")["supervisor"]["rollouts"])


def test_a_push_that_hangs_is_taken_back_by_an_undo_on_another_host(hosts: Three) -> None:
    """Its wave never becomes ready, and its timeout is far away."""
    hosts.settle()
    a, b, _ = hosts
    good = hosts.file(hosts.services("hangs", hosts.web("1")))
    done = ordered(a, "push", good)
    assert done.returncode == 0, done
    number = versions(a)[-1]["number"]
    late = hosts.file(hosts.services("hangs", hosts.web("2", "never-ready").replace('"20s"', '"10m"')), "late.toml")
    done = ordered(a, "push", late, "--timeout", "1h", "--no-wait")
    assert done.returncode == 0, done
    b.until(lambda word: any(one["number"] == number + 1 for one in word["pushed"]["hosts"]))
    refused = ordered(b, "push", good)
    assert refused.returncode == 1 and "`supervisor cluster undo` takes it back" in refused.stderr, refused
    done = ordered(b, "undo", "--timeout", "1m")
    assert done.returncode == 0 and f"In force is version {number}." in done.stdout, done
    assert re.search(rf"version {number + 1} was rolled back: taken back by \S+ on b", done.stdout), done
    hosts.settle()
    last = versions(a)[-1]
    assert (last["number"], last["state"], last["failed_on"]) == (number + 1, "rolled back", ""), last
    assert [ask(str(host.directory / "web.sock")) for host in hosts] == ["1"] * 3
    assert [tag(host) for host in hosts] == ["hangs"] * 3


def test_a_host_that_was_away_catches_up(hosts: Three) -> None:
    hosts.settle()
    a, _, c = hosts
    assert c.cli("down").returncode == 0
    c.wait()
    a.until(lambda word: not next(one for one in word["members"] if one["node"] == "c")["here"])
    text = hosts.services("away")
    done = ordered(a, "push", hosts.file(text))
    assert done.returncode == 0 and "c will follow when back" in done.stdout, done
    told = a.cli("cluster", "status").stdout
    assert re.search(r"runs on 2 of 3 hosts \(C 0\.67\): c is away, with version", told), told
    c.start(wait=False)
    hosts.settle()
    assert tag(c) == "away"
    assert " C " not in a.cli("cluster", "status").stdout


def test_a_host_starts_from_the_version_that_it_keeps_without_zookeeper(hosts: Three) -> None:
    hosts.settle()
    _, b, _ = hosts
    done = ordered(b, "push", hosts.file(hosts.services("kept")))
    assert done.returncode == 0, done
    assert b.cli("down").returncode == 0
    b.wait()
    text = b.file.read_text()
    b.file.write_text(re.sub(r'hosts = "[^"]*"', 'hosts = "127.0.0.1:1/push"', text))
    b.start()
    b.wait_for(lambda: b.status("plain"), lambda row: row["state"] == "running")  # a process alone may be a fork
    assert tag(b) == "kept"
    b.file.write_text(text)
    assert b.cli("reload").returncode == 0
    hosts.settle()


def test_a_pusher_that_is_killed_leaves_a_push_that_goes_on(hosts: Three) -> None:
    hosts.settle()
    a, b, c = hosts
    number = versions(a)[-1]["number"]
    with c.stopped(c.pid("cluster-agent")):
        command = [sys.executable, "-m", "supervisor", "cluster", "push", "-f", str(a.file)]
        pusher = subprocess.Popen([*command, hosts.file(hosts.services("killed"))], cwd=ROOT, stdout=subprocess.DEVNULL)
        b.until(lambda word: word["pushed"]["number"] > number)
        pusher.send_signal(signal.SIGKILL)
        pusher.wait()
        refused = ordered(b, "push", hosts.file(hosts.services("other"), "other.toml"))
        if refused.returncode == 1:  # unless all who are there have changed already
            assert f"version {number + 1}, pushed by " in refused.stderr and " on a, is being rolled" in refused.stderr
    hosts.settle()
    in_force = b.word()["pushed"]["in_force"]
    assert len({tag(host) for host in hosts}) == 1 and in_force >= number


def test_a_leader_that_dies_in_the_middle(hosts: Three) -> None:
    """Another member goes on, and all that are there end on one version."""
    hosts.settle()
    a, b, c = hosts
    number = versions(b)[-1]["number"]
    done = ordered(b, "push", hosts.file(hosts.services("leader")), "--no-wait")
    assert done.returncode == 0, done
    a.die()
    for host in (b, c):
        host.until(lambda word: word["pushed"]["number"] > number and word["pushed"]["phase"] == "settled")
    a.start(wait=False)
    hosts.settle()
    assert len({tag(host) for host in hosts}) == 1


def test_a_daemon_that_is_killed_in_its_change_ends_it(hosts: Three) -> None:
    """The next one starts from the version that it keeps, and says when that is ready."""
    hosts.settle()
    a, b, _ = hosts
    number = a.word()["pushed"]["number"]
    done = ordered(a, "push", hosts.file(hosts.services("crash")), "--no-wait")
    assert done.returncode == 0, done
    b.wait_for(
        lambda: list((b.state_dir / "pushed").glob(f"{number + 1}-*.toml")),
        lambda found: found or a.word()["pushed"]["phase"] == "settled",
    )
    assert b.process is not None
    b.process.kill()
    b.wait()
    b.start()
    hosts.settle()
    assert len({tag(host) for host in hosts}) == 1


def test_a_push_after_zookeeper_has_lost_its_data_is_rolled_back_to_what_its_host_ran(hosts: Three) -> None:
    """Also on a host that never ran it."""
    hosts.settle()
    a, _, c = hosts
    done = ordered(a, "push", hosts.file(hosts.services("before")))
    assert done.returncode == 0, done
    assert c.cli("down").returncode == 0
    c.wait()
    shutil.rmtree(c.state_dir / "pushed")
    user = User(hosts.chroot)
    user.connected()
    for name in user.ask(Request(Verb.CHILDREN, "/config")).names:
        user.ask(Request(Verb.DELETE, f"/config/{name}"))
    assert user.node("/config/current") is None
    user.zookeeper.close()
    c.start(wait=False)
    a.until(lambda word: word["pushed"]["problem"] and sum(one["here"] for one in word["members"]) == 3)
    bad = hosts.file(hosts.services("after", hosts.web("1", "never-ready").replace('"20s"', '"10m"')))
    done = ordered(a, "push", bad, "--timeout", "5s")
    assert done.returncode == 1 and "it was not ready after 5 s" in done.stderr, done
    hosts.settle()
    assert [tag(host) for host in hosts] == ["before"] * 3
