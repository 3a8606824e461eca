"""Rollouts of a real service behind one shared socket: no request is lost, and a bad release goes back by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.chaos.rollouts import RELEASE, Load, ask, ready_and_there
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.hangs.test_probes import until

Start = Callable[..., Daemon]


class Shop:
    """Three instances behind one socket.  `toml(version, kind)` is the file with another release."""

    def __init__(self, place: Path) -> None:
        self.socket = f"{place}/web.sock"
        self._program = f"{place}/release.py"
        Path(self._program).write_text(RELEASE)

    def toml(self, version: str, kind: str, **rollout: Any) -> str:
        rules = {"settle": "200ms"} | rollout
        return (
            f'[services.web]\ncommand = ["{sys.executable}", "{self._program}", "{version}", "{kind}"]\nreplicas = 3\n'
            f'sockets = ["unix:{self.socket}"]\nready = {{ notify = true }}\nstart_timeout = "2s"\n'
            f"[services.web.rollout]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rules.items())
        )

    def versions(self) -> set[str]:
        return {ask(self.socket) for _ in range(30)}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def load(shop: Shop, daemon: Start) -> Iterator[tuple[Daemon, Load]]:
    """A daemon with the release `one`, all ready, and requests to it.  None may fail."""
    one = daemon(shop.toml("one", "good"))
    one.transitions(*((f"web@{number}", "running") for number in (1, 2, 3)))
    requests = Load(shop.socket)
    yield one, requests
    requests.end()
    assert not requests.failed, requests.errors[:5]
    assert requests.answered > 100


def wait_ready(one: Daemon, name: str) -> None:
    with one.client.stream(["status"], interval=0.2) as stream:
        for message in stream:
            if message[0] == "status" and any(r["name"] == name and r["ready"] for r in message[1]["instances"]):
                return


def reload(one: Daemon, toml: str, *more: str) -> subprocess.CompletedProcess[str]:
    one.write(toml)
    return one.cli("reload", *more)


def fewest_ready(one: Daemon) -> int:
    """The smallest number of instances of "web" that were ready at one moment, once all had been."""
    return ready_and_there(one.client.get("/v1/events", limit=1000)["events"], "web", 3)[0]


def told(one: Daemon) -> list[str]:
    events = one.client.get("/v1/events", limit=1000)["events"]
    return [e["cause"].removeprefix("rollout-") for e in events if e["cause"].startswith("rollout-")]


def test_a_good_release_under_load(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    done = reload(one, shop.toml("two", "good"))
    assert done.returncode == 0 and "web  rollout finished: 3 of 3" in done.stdout, done
    assert shop.versions() == {"two"}
    assert told(one) == ["started", "advanced", "advanced", "advanced", "finished"]
    assert fewest_ready(one) == 2
    assert one.cli("restart", "--rolling").returncode == 0
    assert [one.status(f"web@{n}")["incarnation"] for n in (1, 2, 3)] == [3, 3, 3]


@pytest.mark.parametrize("kind", ["exits", "never-ready", "fails-later"])
def test_a_bad_release_is_rolled_back(load: tuple[Daemon, Load], shop: Shop, kind: str) -> None:
    one, _ = load
    bad = shop.toml("two", kind, settle="1s")
    done = reload(one, bad)
    assert done.returncode == 1 and "web: rolled back: web@1: " in done.stderr, done
    assert shop.versions() == {"one"}
    assert told(one) == ["started", "failed", "advanced", "rolled-back"]
    status = one.client.get("/v1/status")["supervisor"]
    assert "it runs another definition than the file has" in status["problems"][0]
    assert "tried before and rolled back" in one.cli("reload", "--dry-run").stdout
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert shop.versions() == {"one"}, "the next daemon does not take the bad release"
    assert one.client.get("/v1/status")["supervisor"]["problems"]
    assert fewest_ready(one) == 2


@pytest.mark.parametrize(("kind", "code", "serving"), [("good", 0, "two"), ("fails-later", 1, "one")])
def test_the_daemon_is_killed_in_the_middle(
    load: tuple[Daemon, Load], shop: Shop, kind: str, code: int, serving: str
) -> None:
    one, _ = load
    one.write(shop.toml("two", kind, settle="1s"))
    command = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "-f", str(one.file), "reload"], stdout=subprocess.PIPE, text=True
    )
    one.event("web@1", "starting", "rolled-out")
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    said, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == code, said
    assert "the daemon ended; waiting for the next, which goes on with the rollout" in said
    assert shop.versions() == {serving}
    assert fewest_ready(one) == 2


def test_a_rollout_is_paused_resumed_and_undone(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    release = shop.toml("two", "good", settle="1h")
    assert reload(one, release, "--no-wait").returncode == 0
    one.event("web@1", "running", "ready")
    assert one.cli("rollout", "pause", "web").returncode == 0
    refused = reload(one, shop.toml("three", "good"))
    assert refused.returncode == 1 and "web is being rolled out already: a reload, ordered by" in refused.stderr
    assert one.cli("restart", "--rolling", "web").returncode == 1
    shown = one.cli("rollout", "web")
    assert shown.returncode == 0 and "rollout, paused: 0 of 3; web@1 settles" in shown.stdout, shown
    assert one.cli("rollout", "resume", "--no-wait", "web").returncode == 0
    seen: set[str] = set()
    while seen != {"one", "two"}:  # which instance answers is up to the kernel
        seen |= shop.versions()
    assert one.cli("rollout", "undo", "--no-wait", "web").returncode == 0
    one.event("web@1", "running", "ready")
    assert shop.versions() == {"one"}
    assert json.loads(one.cli("rollout", "--json").stdout)["rollouts"][0]["state"] == "rolling-back"
    assert one.cli("rollout", "undo").returncode == 2


def test_a_finished_release_is_undone(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    assert reload(one, shop.toml("two", "good")).returncode == 0
    undone = one.cli("rollout", "undo", "web")
    assert undone.returncode == 0 and "web  undo finished: 3 of 3" in undone.stdout, undone
    assert shop.versions() == {"one"}
    assert "taken back" in one.cli("status").stderr


def test_a_release_that_is_to_halt_stays_where_it_is(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    done = reload(one, shop.toml("two", "exits", on_failure="halt"))
    assert done.returncode == 1 and "web: rollout halted: web@1: exited with code 3" in done.stderr, done
    status = one.cli("status")
    assert "`supervisor rollout resume web` tries again" in status.stderr
    assert one.cli("rollout", "undo", "web").returncode == 0
    assert shop.versions() == {"one"}


def test_an_upgrade_goes_on_with_a_rollout(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    one.write(shop.toml("two", "good", settle="1s"))
    command = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "-f", str(one.file), "reload"], stdout=subprocess.PIPE, text=True
    )
    one.event("web@1", "running", "ready")
    assert one.cli("upgrade").returncode == 0
    said, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0, said
    assert shop.versions() == {"two"}


def test_a_scale_after_a_rollback_survives_with_the_good_release(daemon: Start, shop: Shop) -> None:
    other = '\n[services.other]\ncommand = ["sleep", "1000"]\n'
    one = daemon(shop.toml("one", "good") + other)
    for number in (1, 2, 3):
        wait_ready(one, f"web@{number}")
    assert reload(one, shop.toml("two", "exits") + other).returncode == 1
    assert one.cli("scale", "web=4", "other=2").returncode == 0
    assert one.client.get("/v1/status")["supervisor"]["problems"]
    before = {row["name"]: row["pid"] for row in one.client.get("/v1/status")["instances"]}
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert {row["name"]: row["pid"] for row in one.client.get("/v1/status")["instances"]} == before
    assert shop.versions() == {"one"} and one.client.get("/v1/status")["supervisor"]["problems"]


def killed_in_the_middle(one: Daemon, shop: Shop, settle: str) -> None:
    """One of three instances has the release `two`, and the daemon is gone."""
    one.write(shop.toml("two", "good", settle=settle))
    assert one.cli("reload", "--no-wait").returncode == 0
    one.event("web@1", "starting", "rolled-out")
    one.event("web@1", "running", "ready")
    one.signal(signal.SIGKILL)
    one.wait()


def test_a_rollout_that_cannot_be_read_is_told_and_kept(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    killed_in_the_middle(one, shop, "1h")
    saved = (one.runtime_dir / "rollouts.json").read_text()[:-50]
    (one.runtime_dir / "rollouts.json").write_text(saved)
    one.start(wait=False)
    one.problem("rollouts of the earlier daemon cannot be read")
    assert (one.runtime_dir / "rollouts.json.damaged").read_text() == saved
    shown = one.cli("status").stderr
    assert "a rollout of web may have been under way" in shown and "`supervisor restart --rolling web`" in shown
    until(lambda: shop.versions() == {"one", "two"})  # which of them the kernel wakes is left to it
    one.write(shop.toml("two", "good"))
    assert one.cli("reload").returncode == 0
    assert one.cli("restart", "--rolling", "web").returncode == 0
    assert shop.versions() == {"two"}


def test_a_rollout_goes_on_where_the_plan_in_force_is_lost(load: tuple[Daemon, Load], shop: Shop) -> None:
    one, _ = load
    killed_in_the_middle(one, shop, "1s")
    (one.runtime_dir / "plan.json").write_text("{")
    one.start(wait=False)
    one.problem("the plan that was in force cannot be read (plan.json, kept as")
    one.event("web@1", "running", "rollout-finished")
    assert shop.versions() == {"two"}
