"""Rollouts that run one instance beside the others: the old ones serve until a new one is ready, none is missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.tools.bench.balanced import Clients
from scripts.tools.bench.ports import free_port
from scripts.tools.chaos.rollouts import Load, ready_and_there
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.programs.test_balancing import all_confirmed, service
from tests.e2e.services.test_rollouts import Shop, told, wait_ready

Start = Callable[..., Daemon]
RULES = {"max_unavailable": 0, "max_surge": 1}


def reload(daemon: Daemon, toml: str) -> subprocess.CompletedProcess[str]:
    daemon.write(toml)
    return daemon.cli("reload")


def never_fewer(daemon: Daemon, complete: int) -> None:
    """Once so many instances of "web" had been ready, never fewer were, and never more than one ran beside them."""
    story = daemon.client.get("/v1/events", limit=1000)["events"]
    told = [f"{e['instance']}: {e['from']} to {e['to']} ({e['cause']})" for e in story if e["from"] != e["to"]]
    assert ready_and_there(story, "web", complete) == (complete, complete + 1), told


def names(daemon: Daemon) -> list[str]:
    return [r["name"] for r in daemon.client.status()["instances"] if r["service"] == "web"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def load(shop: Shop, daemon: Start) -> Iterator[Daemon]:
    """A daemon with the release `one`, all ready, and requests to it.  None may fail."""
    one = daemon(shop.toml("one", "good", **RULES))
    for number in (1, 2, 3):
        wait_ready(one, f"web@{number}")
    requests = Load(shop.socket)
    yield one
    requests.end()
    assert not requests.failed, requests.errors[:5]
    assert requests.answered > 50


def test_a_good_release_is_never_missing_one(load: Daemon, shop: Shop) -> None:
    done = reload(load, shop.toml("two", "good", **RULES))
    assert done.returncode == 0 and "web  rollout finished: 3 of 3" in done.stdout, done
    assert shop.versions() == {"two"} and names(load) == ["web@1", "web@2", "web@3"]
    assert told(load) == ["started", *["advanced"] * 4, "finished"]
    never_fewer(load, 3)
    assert load.cli("restart", "--rolling", "web").returncode == 0
    assert names(load) == ["web@1", "web@2", "web@3"]
    never_fewer(load, 3)


@pytest.mark.parametrize("kind", ["exits", "never-ready", "fails-later"])
def test_a_bad_release_touches_no_other(load: Daemon, shop: Shop, kind: str) -> None:
    done = reload(load, shop.toml("two", kind, settle="1s", **RULES))
    assert done.returncode == 1 and "web: rolled back: web@4: " in done.stderr, done
    assert shop.versions() == {"one"} and names(load) == ["web@1", "web@2", "web@3"]
    assert [load.status(f"web@{n}")["incarnation"] for n in (1, 2, 3)] == [1, 1, 1]
    told = load.cli("why", "web").stdout
    assert "Last rollout of web: rolled back" in told and "; `supervisor why web@4` tells more." in told
    assert "web@4 is no longer in the configuration" in load.cli("why", "web@4").stdout
    never_fewer(load, 3)


@pytest.mark.parametrize(("kind", "code", "serving"), [("good", 0, "two"), ("fails-later", 1, "one")])
@pytest.mark.parametrize("moment", [("web@4", "starting", "surge-started"), ("web@4", "running", "ready")])
def test_the_daemon_is_killed_in_the_middle(
    load: Daemon, shop: Shop, kind: str, code: int, serving: str, moment: tuple[str, str, str]
) -> None:
    load.write(shop.toml("two", kind, settle="1s", **RULES))
    command = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "-f", str(load.file), "reload"], stdout=subprocess.PIPE, text=True
    )
    load.event(*moment)
    load.signal(signal.SIGKILL)
    load.wait()
    load.start()
    said, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == code, said
    assert shop.versions() == {serving} and names(load) == ["web@1", "web@2", "web@3"]
    assert ready_and_there(load.client.get("/v1/events", limit=1000)["events"], "web", 3)[1] == 4


def test_one_that_is_not_ready_beside_the_others_is_not_missed(load: Daemon, shop: Shop) -> None:
    load.write(shop.toml("two", "never-ready", **RULES).replace('start_timeout = "2s"', 'start_timeout = "1h"'))
    assert load.cli("reload", "--no-wait").returncode == 0
    load.event("web@4", "starting", "spawned")
    assert load.cli("status").returncode == 0
    assert load.cli("rollout", "undo", "web").returncode == 0


def test_what_is_shown_and_refused_meanwhile_and_undone(load: Daemon, shop: Shop) -> None:
    load.write(shop.toml("two", "good", settle="1h", **RULES))
    assert load.cli("reload", "--no-wait").returncode == 0
    load.event("web@4", "running", "ready")
    shown = load.cli("rollout", "web").stdout
    assert "0 of 3; web@4 settles; 4 of 4 instances ready (3 wanted, 1 more until it is over); began" in shown
    scaled = load.cli("scale", "web=4")
    assert scaled.returncode == 1 and "web is being rolled out already" in scaled.stderr
    assert load.cli("rollout", "undo", "web").returncode == 0
    assert names(load) == ["web@1", "web@2", "web@3"] and shop.versions() == {"one"}


@pytest.mark.skipif(
    shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="haproxy is not installed"
)
def test_behind_haproxy_no_request_is_lost_and_no_slot(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    rules = 'rollout = { max_unavailable = 0, max_surge = 1, settle = "100ms" }\n'
    toml = service(port, tmp_path, more=rules)
    one = daemon(toml)
    all_confirmed(one)
    requests = Clients(port, 6)
    try:
        requests.more(100)
        done = reload(one, toml + 'environment = { RELEASE = "two" }\n')
        assert done.returncode == 0, done
        requests.more(100)
        assert set(all_confirmed(one)) == set(names(one)) == {f"web@{n}" for n in (1, 2, 3, 4)}
        bad = toml.replace("web.py", "none.py")
        done = reload(one, bad)
        assert done.returncode == 1 and "rolled back: web@5: " in done.stderr, done
        requests.more(100)
    finally:
        requests.stop()
    assert not requests.failed, requests.failed[:5]
    never_fewer(one, 4)
