"""`down` leaves no process unnoticed, and none but those that are meant to stay."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, Daemon, alive, wait_gone

Start = Callable[..., Daemon]
FREEZER = Path("/sys/fs/cgroup/freezer")
INTO = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')
NO_CGROUPS = ("unshare", "--mount", "sh", "-c", 'umount -l "$0" && exec "$@"')

KEPT = """
[services.kept]
command = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"]
detach = true
[services.other]
command = ["sleep", "1000"]
depends_on = ["kept"]
"""


def cgroup_mount() -> str:
    from supervisor.adapters.processes.cgroup_tree import mount_point

    mount = mount_point()
    if mount is None or os.geteuid() != 0:
        pytest.skip("needs root and a cgroup v2 mount")
    return mount


def until(condition: Callable[[], object]) -> None:
    """Poll for what is not reported: files of the kernel, and those of a service."""
    late = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < late
        time.sleep(0.01)


def joined(place: Path, pid: int) -> list[Path]:
    """The instance's cgroup below `place`, if `pid` is in it."""
    found = place.glob("phi-test-*/web")
    return [tree for tree in found if str(pid) in (tree / "cgroup.procs").read_text().split()]


def mains(daemon: Daemon) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in daemon.client.get("/v1/status")["instances"]}


def test_what_is_detached_outlives_down_and_is_taken_up_again(daemon: Start) -> None:
    one = daemon(KEPT)
    one.event("other", "running")
    before = mains(one)
    run = one.cli("down")
    assert run.returncode == 0, run.stderr
    assert f"left running: kept (pid {before['kept']})" in run.stdout
    assert one.wait() == 0
    wait_gone(before["other"])
    assert alive(before["kept"])
    one.start()
    one.event("other", "running")
    after = mains(one)
    assert after["kept"] == before["kept"]
    assert after["other"] != before["other"]
    lines = (one.state_dir / "log" / "kept.log").read_text().splitlines()
    assert lines == [str(n + 1) for n in range(len(lines))], "and not a line of its output is lost"
    assert one.cli("stop", "kept").returncode == 0
    wait_gone(before["kept"])
    assert one.cli("down").stdout.splitlines()[-1] == "all services stopped, daemon ended"


def test_a_second_down_spares_it_too(daemon: Start) -> None:
    one = daemon(
        KEPT + '[services.deaf]\ncommand = ["sh", "-c", "trap : TERM; echo deaf; while :; do sleep 1; done"]\n'
        'ready = { log = "deaf" }\n'
    )
    one.event("deaf", "running")
    before = mains(one)
    one.signal(signal.SIGTERM)
    one.event("deaf", "stopping")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    assert alive(before["kept"])
    assert not alive(before["deaf"])
    one.start()
    assert one.cli("stop", "kept").returncode == 0
    one.signal(signal.SIGTERM)
    one.event("deaf", "stopping")
    one.signal(signal.SIGTERM)


@pytest.fixture
def frozen() -> Iterator[Callable[[int], None]]:
    """`frozen(pid)`: not even SIGKILL ends it until the test is over, and its state is D (the freezer of cgroup v1)."""
    place = FREEZER / f"phi-test-{os.getpid()}"
    try:
        place.mkdir()
    except OSError:
        pytest.skip("needs the freezer of cgroup v1")
    held: list[int] = []

    def freeze(pid: int) -> None:
        held.append(pid)
        (place / "tasks").write_text(str(pid))
        (place / "freezer.state").write_text("FROZEN")
        until(lambda: (place / "freezer.state").read_text() == "FROZEN\n")

    yield freeze
    (place / "freezer.state").write_text("THAWED")
    for pid in held:
        wait_gone(pid)
    place.rmdir()


def test_what_cannot_be_killed_is_named_and_down_does_not_claim_success(
    daemon: Start, frozen: Callable[[int], None]
) -> None:
    one = daemon(
        '[services.base]\ncommand = ["sleep", "1000"]\n'
        '[services.stuck]\ncommand = ["sleep", "1000"]\nstop_timeout = "50ms"\ndepends_on = ["base"]\n'
    )
    one.event("stuck", "running")
    pids = mains(one)
    frozen(pids["stuck"])
    said = f"{pids['stuck']} sleep (D, frozen by the v1 freezer "
    run = one.cli("stop", "stuck")
    assert run.returncode == 1
    assert said in run.stderr
    run = one.cli("down")
    assert run.returncode == 1
    assert f"these processes remain: stuck: {said}" in run.stderr
    assert one.wait() == 1
    assert not alive(pids["base"]), "what it depends on does not wait for it for ever"
    one.start()
    assert said in one.event("stuck", "stopping", "lingering")["detail"]["processes"][0]
    assert mains(one)["base"] != pids["base"], "the rest goes on"


def test_without_cgroups_a_crash_hides_nobody(daemon: Start, tmp_path: Path) -> None:
    """Its daemon dead, a daemonised process without environment has another parent."""
    daemonise = f"(setsid env -i sh -c 'echo $$$$ > {tmp_path}/pid; exec sleep 1000' &)"
    one = daemon(f'[services.web]\ncommand = ["sh", "-c", "{daemonise}; exec sleep 1000"]\n', start=False)
    prefix = [*NO_CGROUPS, cgroup_mount()]
    one.start(prefix=prefix)
    one.event("web", "running")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    escaped = int((tmp_path / "pid").read_text())
    one.signal(signal.SIGKILL)
    one.wait()
    one.start(prefix=prefix)
    assert one.client.get("/v1/status")["supervisor"]["trees"] == "descent"
    tree = one.client.get("/v1/instances/web")["tree"]
    assert {escaped, one.status("web")["pid"]} <= {process["pid"] for process in tree}
    assert one.cli("stop", "web").returncode == 0
    assert not alive(escaped)


def test_a_daemon_in_another_cgroup_finds_trees_where_they_are(daemon: Start) -> None:
    """As a unit that was renamed, or a shell in place of a unit: the services stay in the cgroup they were put into."""
    places = [Path(cgroup_mount()) / f"phi-test-e2e-{os.getpid()}-{n}" for n in (1, 2)]
    one = daemon('[services.web]\ncommand = ["sh", "-c", "sleep 1000 & wait"]\n', start=False)
    try:
        for place in places:
            place.mkdir()
        one.start(prefix=[*INTO, str(places[0])])
        one.event("web", "running")
        pid = mains(one)["web"]
        until(lambda: joined(places[0], pid))
        one.signal(signal.SIGKILL)
        one.wait()
        one.start(prefix=[*INTO, str(places[1])])
        assert mains(one)["web"] == pid
        assert len(one.client.get("/v1/instances/web")["tree"]) == 2
        (tree,) = joined(places[0], pid)  # it was not moved
        assert one.cli("down").returncode == 0
        assert one.wait() == 0
        assert not tree.exists(), "nobody will need that place again"
    finally:
        one.stop()
        for place in places:
            place.rmdir()


def test_too_many_processes_are_a_failure(daemon: Start) -> None:
    bomb = "while :; do sleep 1000 & sleep 0.02; done"
    one = daemon(
        f'[services.bomb]\ncommand = ["sh", "-c", "{bomb}"]\nresources = {{ max_tasks = 20 }}\nstop_timeout = "1s"\n'
    )
    event = one.event("bomb", "suspect", "tasks-limit")
    assert event["detail"]["value"] > event["detail"]["limit"] == 20


def test_a_ceiling_that_is_lowered_by_a_reload_holds_for_what_runs(daemon: Start) -> None:
    many = (
        "import threading as t, time\nfor _ in range(30): t.Thread(target=time.sleep, args=(1000,)).start()\nprint(1)"
    )
    command = f'[services.many]\ncommand = ["{sys.executable}", "-u", "-c", {json.dumps(many)}]\nready.log = "1"\n'
    one = daemon(command)
    one.event("many", "running", "ready")
    one.write(command + "[services.many.resources]\nmax_tasks = 20\n")
    assert one.cli("reload").returncode == 0
    assert one.event("many", "suspect", "tasks-limit")["detail"]["limit"] == 20
    one.write(command)
    assert one.cli("reload").returncode == 0
    one.event("many", "running", "ready")
