"""What the project is for: real processes started, one hangs and is found, one crash-loops, and all is explained."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import ROOT, Daemon, alive, wait_gone

Make = Callable[..., Daemon]

BEATS = """
import os, socket, signal, sys, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
print("hello from", os.environ["SUPERVISOR_INSTANCE"], os.environ["SUPERVISOR_INCARNATION"], flush=True)
say("READY=1\\nSTATUS=working")
for _ in range(int(sys.argv[1])):
    time.sleep(0.05)
    say("WATCHDOG=1")
print("hanging now", flush=True)
while True: time.sleep(1000)
"""


def test_a_hang_is_found_captured_killed_and_explained(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "beats.py"
    program.write_text(BEATS)
    d = daemon(f"""
[services.worker]
command = ["{sys.executable}", "{program}", "20"]
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", min_timeout = "300ms", max_timeout = "5s" }}
restart = {{ initial = "10ms" }}
""")
    assert d.event("worker", "running")["cause"] == "ready"
    assert d.event("worker", "suspect")["cause"] == "heartbeat-silent"
    stopping = d.event("worker", "stopping")
    assert stopping["detail"]["silence_s"] >= 0.3
    assert len(stopping["detail"]["intervals_s"]) >= 10
    d.event("worker", "running")
    row = d.status("worker")
    assert (row["restarts"], row["incarnation"], row["breaker"]) == (1, 2, "closed")
    evidence = d.client.get(f"/v1/evidence/{stopping['detail'].get('evidence_id', stopping['id'])}")
    assert "hanging now" in json.dumps(evidence)
    why = d.cli("why", "worker")
    assert why.returncode == 0
    assert "no heartbeat" in why.stdout.lower() or "silent" in why.stdout.lower()
    report = json.loads(d.cli("report", "--json").stdout)
    assert next(s for s in report["services"] if s["service"] == "worker")["failures"] >= 1


def test_a_crash_loop_opens_the_breaker_and_the_fallback_appears(daemon: Make) -> None:
    d = daemon("""
[services.flaky]
command = ["sh", "-c", "echo trying; exit 3"]
restart = { initial = "10ms", max_restarts = 2, cooldown = "4s", fallback = "page" }
[services.page]
command = ["sleep", "1000"]
""")
    delays = [d.event("flaky", "backoff")["detail"]["delay_s"] for _ in range(2)]
    assert delays[0] < delays[1]
    failed = d.event("flaky", "failed")
    assert failed["detail"]["exit_code"] == 3
    d.event("page", "running")
    assert d.status("flaky")["breaker"] == "open"
    status = d.cli("status")
    assert status.returncode == 3
    trial = d.event("flaky", "starting", "breaker-trial")
    assert trial["incarnation"] == 3
    again = d.event("flaky", "failed")
    assert again["detail"]["retry_in_s"] > 6.0, "the cooldown grows"
    assert d.cli("reset", "flaky", "--no-wait").returncode == 0
    d.event("flaky", "starting", "reset-by-user")


def test_the_worked_example_starts_and_stops(tmp_path: Path, daemon: Make) -> None:
    text = (ROOT / "services.toml").read_text()
    port = str(free_port())
    place = f'[supervisor]\nname = "demo"\nruntime_dir = "{tmp_path}/r"\nstate_dir = "{tmp_path}/s"'
    text = text.replace("[supervisor]\n", f"{place}\n", 1).replace("18080", port)
    d = daemon("", start=False)
    d.file = ROOT / f".example-{port}.toml"
    d.runtime_dir = tmp_path / "r"
    d.file.write_text(text)
    try:
        d.start()
        assert d.event("migrate", "exited")["cause"] == "succeeded"
        assert d.event("web", "running")["detail"]["how"] == "http"
        d.event("worker", "running")
        d.event("flaky", "failed")
        d.event("maintenance-page", "running")
        assert d.stop() == 0
    finally:
        d.file.unlink()


def test_killed_services_come_back_and_nothing_is_doubled(daemon: Make) -> None:
    d = daemon("""
[defaults]
restart = { initial = "0s", jitter = 0.0, backoff = "fixed", max_restarts = 100 }
[services.a]
command = ["sleep", "1000"]
replicas = 5
""")
    for i in range(1, 6):
        d.event(f"a@{i}", "running")
    first = {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]}
    for name in first:
        d.client.post("/v1/signal", {"services": [name], "signal": "KILL"})
    for _ in first:
        d.said(lambda line: isinstance(line, dict) and line.get("to") == "running" and line["incarnation"] == 2)
    second = {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]}
    assert not set(first.values()) & set(second.values())
    assert not [pid for pid in first.values() if alive(pid)]
    assert all(alive(pid) for pid in second.values())


def test_the_daemons_own_death_costs_no_child(daemon: Make, tmp_path: Path) -> None:
    d = daemon("""
[services.chatty]
command = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"]
[services.stopped]
command = ["sleep", "1000"]
[services.quiet]
command = ["sleep", "1000"]
""")
    for name in ("chatty", "stopped", "quiet"):
        d.event(name, "running")
    assert d.cli("stop", "stopped").returncode == 0
    before = {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]}
    d.signal(signal.SIGKILL)
    d.wait()
    assert alive(before["chatty"])
    d.start()
    d.event("chatty", "running", "adopted")
    after = {r["name"]: (r["pid"], r["incarnation"], r["restarts"]) for r in d.client.get("/v1/status")["instances"]}
    assert after["chatty"] == (before["chatty"], 1, 0)
    assert after["quiet"] == (before["quiet"], 1, 0)
    assert after["stopped"][0] is None, "what was stopped stays stopped"
    assert d.cli("stop", "chatty").returncode == 0
    wait_gone(before["chatty"])
    log = (d.state_dir / "log" / "chatty.log").read_text().split()
    numbers = [int(n) for n in log[1::2]]
    assert numbers == list(range(1, len(numbers) + 1)), "no line lost or doubled"


def test_a_stop_in_order(daemon: Make) -> None:
    d = daemon("""
[services.db]
command = ["sleep", "1000"]
[services.web]
command = ["sh", "-c", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"]
depends_on = ["db"]
""")
    d.event("web", "running")
    assert d.cli("down").returncode == 0
    assert d.wait() == 0
    ended = [d.said(lambda line: isinstance(line, dict) and line.get("to") == "stopped")["instance"] for _ in range(2)]
    assert ended == ["web", "db"]
    assert (d.state_dir / "log" / "web.log").read_text().endswith("bye\n"), "the last line before the exit"
    assert d.cli("status").returncode == 5


def test_each_crash_is_told_with_its_own_last_words(daemon: Make) -> None:
    d = daemon("""
[services.flaky]
command = ["sh", "-c", "for i in 1 2 3 4 5 6 7; do echo $SUPERVISOR_INCARNATION.$i; done; exit 3"]
restart = { initial = "0s", max_restarts = 2, cooldown = "1h" }
""")
    d.event("flaky", "failed")
    stories = json.loads(d.cli("why", "flaky", "--json").stdout)["incidents"]
    assert [story["said"] for story in stories] == [[f"{n}.{i}" for i in range(3, 8)] for n in (1, 2, 3)]
    told = d.cli("why", "flaky").stdout
    assert "  output    1.3\n            1.4\n" in told
