"""One daemon after the other on the same services: by crash, by upgrade, by an upgrade that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import supervisor
from supervisor.adapters.linux import procfs
from tests.e2e.conftest import PATIENCE, Daemon, wait_gone

Start = Callable[..., Daemon]
COUNTER = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"
SERVICES = f"""
[services.counter]
command = ["sh", "-c", "{COUNTER}"]
[services.steady]
command = ["sleep", "1000"]
[services.job]
type = "oneshot"
command = ["true"]
[services.idle]
command = ["sleep", "1000"]
"""


def settled(daemon: Daemon) -> dict[str, int]:
    """Everything as the tests want it: one stopped by hand.  The pids of what runs."""
    daemon.event("job", "exited")
    assert daemon.cli("stop", "idle").returncode == 0
    return pids(daemon)


def pids(daemon: Daemon) -> dict[str, int]:
    rows = daemon.client.get("/v1/status")["instances"]
    assert {r["name"]: r["state"] for r in rows} == {
        "counter": "running",
        "steady": "running",
        "job": "exited",
        "idle": "stopped",
    }
    return {r["name"]: r["pid"] for r in rows if r["pid"]}


def whole(daemon: Daemon) -> None:
    """The counter's output has every line once."""
    lines = (daemon.state_dir / "log" / "counter.log").read_text().splitlines()
    assert lines == [str(n + 1) for n in range(len(lines))]


def copy(directory: Path, change: Callable[[Path], None]) -> str:
    """An interpreter whose `supervisor` is another version: a copy of this one, changed."""
    import shutil

    package = directory / "supervisor"
    shutil.copytree(Path(supervisor.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    change(package)
    python = directory / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{directory}" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def test_after_a_crash_all_goes_on_and_nothing_is_done_twice(daemon: Start) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert pids(one) == before
    assert one.stop() == 0
    whole(one)
    for pid in before.values():
        wait_gone(pid)


SAYS_IT_LATER = """
import os, socket, sys
os.read(os.open(sys.argv[1], os.O_RDONLY), 1)
if sys.argv[2] == "again":
    from supervisor import heartbeat
    heartbeat.ready()
else:
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    except OSError as error:
        print(type(error).__name__, flush=True)
with open(sys.argv[3], "w") as said:
    said.write("x")
os.read(os.open(sys.argv[1], os.O_RDONLY), 1)
if sys.argv[2] == "beats":
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])
    os.read(os.open(sys.argv[1], os.O_RDONLY), 1)
"""


def test_what_became_ready_while_no_daemon_ran_is_not_restarted(daemon: Start, tmp_path: Path) -> None:
    """READY=1 was refused.  The client that comes with the supervisor says it again; of another program a heartbeat is
    taken for it, or, where none comes, its silence when the start timeout is over."""
    names = ("again", "beats", "once")
    toml = ""
    for name in names:
        command = [sys.executable, "-c", SAYS_IT_LATER, f"{tmp_path}/{name}.go", name, f"{tmp_path}/{name}.said"]
        toml += (
            f"[services.{name}]\nready = {{ notify = true }}\nstart_timeout = '{'1h' if name == 'beats' else '10s'}'\n"
        )
        toml += f"command = {json.dumps(command)}\n"
        toml += "heartbeat = { source = 'notify', max_timeout = '1h' }\n" if name == "beats" else ""
        os.mkfifo(tmp_path / f"{name}.go")
        os.mkfifo(tmp_path / f"{name}.said")
    one = daemon(toml)
    before = {name: one.event(name, "starting", "spawned")["detail"]["pid"] for name in names}
    one.signal(signal.SIGKILL)
    one.wait()
    for name in names:
        (tmp_path / f"{name}.go").write_text("x")
        assert (tmp_path / f"{name}.said").read_text() == "x"
    one.start()
    assert one.event("again", "running", "ready")["detail"]["how"] == "notify"
    (tmp_path / "beats.go").write_text("x")
    assert one.event("beats", "running", "ready")["detail"]["how"].startswith("assumed from a heartbeat: ")
    assert one.event("once", "running", "ready")["detail"]["how"].startswith("assumed: ")
    assert {name: one.status(name)["pid"] for name in names} == before
    assert [one.status(name)["incarnation"] for name in names] == [1, 1, 1]


def test_an_edited_file_is_applied_after_a_crash_as_a_reload_would(daemon: Start) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    one.signal(signal.SIGKILL)
    one.wait()
    one.write(SERVICES.replace("[services.steady]", "[services.new]"))
    one.start()
    one.event("steady", "stopped")
    one.event("new", "running")  # it might be the same one under another name, with the same port
    wait_gone(before["steady"])
    names = {r["name"]: r["pid"] for r in one.client.get("/v1/status")["instances"]}
    assert names["counter"] == before["counter"]
    assert "steady" not in names


def test_what_a_reload_removed_is_not_started_by_a_later_daemon(daemon: Start) -> None:
    """It still ran when the plan in force was saved last."""
    one = daemon(SERVICES)
    settled(one)
    one.write(SERVICES.replace("[services.steady]", "[services.new]"))
    assert one.cli("reload").returncode == 0
    one.event("steady", "stopped")
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert "steady" not in {e["instance"] for e in one.client.get("/v1/events", limit=3)["events"]}
    assert "steady" not in {r["name"] for r in one.client.get("/v1/status")["instances"]}


def test_it_is_said_that_edits_wait_where_the_plan_in_force_is_lost(daemon: Start) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    one.signal(signal.SIGKILL)
    one.wait()
    (one.runtime_dir / "plan.json").write_text("{")
    one.start(wait=False)
    one.problem("the plan that was in force cannot be read")
    assert pids(one) == before


def test_an_upgrade_to_a_version_whose_services_have_more_keys(daemon: Start, tmp_path: Path) -> None:
    """This version hands over a plan that it need not understand."""

    def newer(package: Path) -> None:
        edit(package / "core/model/spec.py", "    unresolved: tuple", "    newer: int = 0\n    unresolved: tuple")
        edit(package / "core/model/plain.py", '"unresolved", "sandbox",', '"unresolved", "sandbox", "newer",')
        edit(
            package / "daemon/rehearsal.py", "from typing import", "from dataclasses import replace\nfrom typing import"
        )
        added = "plan = replace(plan, services=tuple(replace(spec, newer=1) for spec in plan.services))"
        reviewed = "    reviewed = review("
        edit(package / "daemon/rehearsal.py", reviewed, f"    {added}\n{reviewed}")

    one = daemon('[services.web]\ncommand = ["sleep", "1000"]\n')
    run = one.cli("upgrade", "--python", copy(tmp_path, newer))
    assert run.returncode == 0, run.stderr
    assert '"newer":1' in (one.runtime_dir / "plan.json").read_text()


def test_an_upgrade_keeps_process_children_and_output(daemon: Start, tmp_path: Path) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    python = copy(tmp_path, lambda p: edit(p / "__init__.py", f'"{supervisor.__version__}"', '"99.1"'))
    run = one.cli("upgrade", "--python", python)
    assert run.returncode == 0, run.stderr
    assert f"{supervisor.__version__} → 99.1" in run.stdout
    assert one.process is not None
    assert one.client.get("/v1/status")["supervisor"]["pid"] == one.process.pid
    assert pids(one) == before
    told = one.said(lambda line: isinstance(line, dict) and line.get("cause") == "upgraded")
    assert (told["detail"]["from"], told["detail"]["to"]) == (supervisor.__version__, "99.1")
    assert told["detail"]["by"]["uid"] == os.getuid()
    assert "upgrade" in told["detail"]["by"]["command"]
    os.kill(before["steady"], signal.SIGKILL)  # still a child of this process, and its end is known exactly
    assert one.event("steady", "backoff")["detail"]["signal"] == 9
    assert one.stop() == 0
    whole(one)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            lambda p: edit(p / "daemon" / "runtime.py", "class Runtime:", "import nonsense\n\n\nclass Runtime:"),
            "nonsense",
        ),
        (
            lambda p: edit(p / "core" / "lifecycle" / "snapshot.py", "_integer(1, 2**31", "_integer(2**30, 2**31"),
            "cannot read",
        ),
    ],
    ids=["does not import", "does not understand what is saved"],
)
def test_a_version_that_cannot_start_is_refused(
    daemon: Start, tmp_path: Path, broken: Callable[[Path], None], says: str
) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    run = one.cli("upgrade", "--python", copy(tmp_path, broken))
    assert run.returncode == 1
    assert says in run.stderr
    assert one.cli("upgrade", "--python", "/no/such/python").returncode == 1
    assert pids(one) == before
    assert one.client.get("/v1/status")["supervisor"]["upgraded_from"] == ""


def test_a_version_that_fails_while_it_takes_over_gives_back(daemon: Start, tmp_path: Path) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    python = copy(
        tmp_path,
        lambda p: edit(
            p / "daemon" / "recovery.py",
            "    try:\n        previous.begin(closing=previous.closing)\n",
            '    raise KeyError("x")\n    try:\n        previous.begin(closing=previous.closing)\n',
        ),
    )
    run = one.cli("upgrade", "--python", python)
    assert run.returncode == 1
    assert "could not take over" in run.stderr
    assert pids(one) == before
    assert one.process is not None
    guards = [pid for pid in procfs.children(one.process.pid) if "supervisor.daemon" in procfs.command_line(pid)]
    assert one.stop() == 0
    for guard in guards:  # it does not take an orderly end for a death
        wait_gone(guard)
    whole(one)


def test_a_version_that_dies_when_it_is_executed_leaves_the_previous_one(daemon: Start, tmp_path: Path) -> None:
    """It passes the rehearsal; what is executed then is lost with its process."""
    one = daemon(SERVICES)
    before = settled(one)
    assert one.process is not None
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *--upgraded-from*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    run = one.cli("upgrade", "--python", str(python))
    try:
        assert run.returncode == 1
        assert "could not take over" in run.stderr
        assert one.process.wait(PATIENCE) == 1  # its stderr goes on: the previous version has it
        assert one.client.daemon_pid() not in (0, one.process.pid)
        assert pids(one) == before
    finally:
        assert one.cli("down").returncode == 0
    whole(one)


def test_an_upgrade_refuses_a_broken_file(daemon: Start) -> None:
    one = daemon(SERVICES)
    before = settled(one)
    one.write("[services.x]\ncomand = 1\n")
    run = one.cli("upgrade")
    assert run.returncode == 1
    assert "comand" in run.stderr
    assert pids(one) == before


def test_signals_that_were_held_back_are_taken_once_the_daemon_can(daemon: Start) -> None:
    """An upgrade blocks them over its exec; children must not begin with them blocked."""
    one = daemon("", start=False)
    blocked = (
        "import os, signal as s, sys; s.pthread_sigmask(s.SIG_BLOCK, {15, 17}); os.execv(sys.argv[1], sys.argv[1:])"
    )
    one.write('[services.steady]\ncommand = ["sleep", "1000"]\n')
    one.start(prefix=[sys.executable, "-c", blocked])
    pid = one.event("steady", "running")["detail"]["pid"]
    assert "SigBlk:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    one.signal(signal.SIGTERM)
    assert one.wait() == 0


def test_where_the_boot_seems_to_be_another_nothing_is_doubled(daemon: Start) -> None:
    """In a time namespace every start time is another one, that of PID 1 too, by which the boot is named."""
    elsewhere = ("unshare", "--time", "--fork", "--boottime", "100000", "--monotonic", "100000")
    try:
        probe = subprocess.run([*elsewhere, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1)")
    if probe.returncode != 0:
        pytest.skip("no time namespace can be made here")
    one = daemon(SERVICES)
    before = settled(one)
    one.signal(signal.SIGKILL)
    one.wait()
    one.start(prefix=elsewhere)
    try:
        rows = one.client.get("/v1/status")["instances"]
    finally:  # a signal would reach unshare, and not the daemon
        assert one.cli("down").returncode == 0
    # The oneshot runs again, as it does after a boot; it may be done by now.
    assert {r["name"]: r["pid"] for r in rows if r["pid"] and r["name"] != "job"} == before
    assert {r["name"]: r["state"] for r in rows}["idle"] == "stopped", "an order to stop holds"
    assert one.wait() == 0
    whole(one)


def test_what_an_orderly_end_left_is_ended_before_anything_is_started(daemon: Start, tmp_path: Path) -> None:
    """A process that carries the mark of the supervisor, and that the stop did not reach."""
    one = daemon(SERVICES)
    settled(one)
    environment = dict(
        entry.split("=", 1)
        for entry in Path(f"/proc/{one.status('steady')['pid']}/environ").read_text().split("\0")
        if entry
    )
    assert one.stop() == 0
    left = subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True)
    one.start(wait=False)
    one.problem(f"process {left.pid} of steady was left behind")
    assert left.wait() == -signal.SIGKILL
    one.event("steady", "running")
