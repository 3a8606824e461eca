from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.explain import plan_text, waves
from tests.config.conftest import Load

TEXT = """
[supervisor]
name = "demo"
runtime_dir = "/run/demo"
state_dir = "/var/demo"
http.listen = "127.0.0.1:9180"
[services.migrate]
command = "true"
type = "oneshot"
[services.redis]
command = "sleep 1"
group_name = "stores"
ready.tcp = "127.0.0.1:6379"
[groups.stores]
max_concurrent_restarts = 1
[services.lazy]
command = "true"
autostart = false
[services.page]
command = "sleep 2"
[services.worker]
command = ["sleep", "a b"]
description = "does the work"
replicas = 3
depends_on = ["redis", "migrate", "lazy"]
heartbeat.interval = "2s"
restart = { policy = "always", fallback = "page" }
resources = { max_memory = "512MiB", max_cpu = "150%" }
limits = { as = "2GiB", nofile = 65536, core = "unlimited" }
stop_signal = 40
"""

SAID = """\
demo: 5 services, 6 instances to start
  file     FOLDER/services.toml
  sockets  /run/demo
  ledger   /var/demo
  http     127.0.0.1:9180
  group    stores: at most 1 of its instances is starting again at once

1. at once
   migrate
     runs    true
     ready   when it has exited successfully, within 30s
   redis
     runs    sleep 1
     ready   when 127.0.0.1:6379 accepts, asked every 500ms, within 30s
   lazy
     runs    true

2. when what they depend on is ready
   worker ×3  does the work
     runs    sleep 'a b'
     needs   redis, migrate, lazy
     beats   notify every 2s; suspected at phi ≥ 8, after 2s to 30s
     fails   restarted always after 100ms … 30s (exponential); breaker opens beyond 5 in 1m, then page
     over    512MiB or 150% CPU for 30s: restart
     limits  as 2GiB, core unlimited, nofile 65536
     stops   on SIGRTMIN+6, or killed after 10s

not started automatically: fallbacks, and services with autostart = false
   page
     runs    sleep 2

defaults, where a service does not say otherwise
     ready   as soon as it runs
     fails   restarted on-failure after 100ms … 30s (exponential); breaker opens beyond 5 in 1m
     stops   on SIGTERM, or killed after 10s
"""


def test_a_plan_as_a_person_would_tell_it(plan: Load, tmp_path: Path) -> None:
    assert plan_text(plan(TEXT)) == SAID.replace("FOLDER", str(tmp_path))


@pytest.mark.parametrize(
    ("key", "fact"),
    [
        ('ready.http = "http://a/"', "ready   when http://a/ answers, asked every 500ms, within 30s"),
        ('ready.exec = "sleep 1"', "ready   when `sleep 1` succeeds, asked every 500ms, within 30s"),
        ('ready.log = "up"', "ready   when a line matches /up/, within 30s"),
        ("ready.notify = true", "ready   when it sends READY=1, within 30s"),
        ('ready.delay = "2s"', "ready   2s after its start, within 30s"),
        ("replicas = 4\nmin_ready = 3", "ready   as soon as it runs; 3 of 4 are enough"),
        (
            'sockets = ["tcp://127.0.0.1:80?start=demand&idle=10m", "unix:@b"]',
            "sockets tcp://127.0.0.1:80 (a connection starts it, stopped after 10m without one), unix:@b",
        ),
        (
            'replicas = 2\nsockets = ["tcp://127.0.0.1:80?share=reuseport"]',
            "sockets tcp://127.0.0.1:80 (one for each instance)",
        ),
        ("end_with = true", "ends    everything, with its exit code, when it has ended for good"),
        (
            'group_name = "g"\nrestart.exit_codes = { never = [64, 78], always = [75], group = [42] }',
            "codes   never restarted after 64, 78; always restarted after 75; with its group after 42",
        ),
        ('restart.policy = "never"', "fails   never restarted"),
        (
            'group_name = "g"\nrestart = { strategy = "one-for-all", backoff = "fixed", initial = "1s" }',
            "fails   restarted on-failure one-for-all after 1s (fixed); breaker opens beyond 5 in 1m",
        ),
        (
            'heartbeat.target = { detect_within = "3s", max_false_restarts = "2/30d" }',
            "beats   notify every 1s; a hang is detected within 3s, at most one false restart in 15d",
        ),
        (
            'heartbeat = { detector = "timeout", source = "file", file = "/b", on_suspect = "report" }',
            "beats   file /b every 1s; suspected after 5s, only reported",
        ),
        (
            'heartbeat = { source = "http", http = "http://127.0.0.1:1/", keep_alive = true }',
            "beats   http http://127.0.0.1:1/ every 1s over one connection; suspected at phi ≥ 8, after 2s to 30s",
        ),
        (
            'ready = { notify = true, notify_access = "main" }',
            "ready   when its main process sends READY=1, within 30s",
        ),
        ('reload_signal = "USR2"', "reloads on SIGUSR2"),
        ('reload_check = "true -t"', "reloads on SIGHUP, if `true -t` succeeds"),
        (
            "ready = { notify = true, notify_reload = true }",
            "reloads on SIGHUP, until it sends READY=1, within 30s",
        ),
        ("fd_store = 1", "stores  up to 1 descriptor for its next process"),
        (
            "replicas = 4\nrollout = { max_unavailable = 0, max_surge = 1 }",
            "rolls   a change replaces none before another is ready, 1 more meanwhile, each ready for 10s; "
            "rolled back if one\n             fails",
        ),
        ('resources.max_cpu = "50%"', "over    50% CPU for 30s: restart"),
        (f'command = ["sleep", "{"x" * 200}"]', f"runs    sleep {'x' * 100}…"),
    ],
)
def test_facts(plan: Load, key: str, fact: str) -> None:
    command = "" if key.startswith("command") else 'command = "true"\n'
    assert f"     {fact}\n" in plan_text(plan(f"[services.a]\n{command}{key}"))


def test_limits_by_sampling_that_limit_nothing_are_not_told(plan: Load) -> None:
    assert "over" not in plan_text(plan('[services.a]\ncommand = "true"\nresources.for = "1s"')).split()


def test_waves_are_what_starts_together(plan: Load) -> None:
    started, waiting = waves(plan(TEXT))
    assert [[spec.name for spec in wave] for wave in started] == [["migrate", "redis", "lazy"], ["worker"]]
    assert [spec.name for spec in waiting] == ["page"]


def test_a_sandbox_in_two_lines(plan: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.config.checks.host._sandbox_refusal", lambda _: "")
    keys = 'private_devices = true, protect_system = "strict", protect_home = "read-only"'
    paths = 'read_write_paths = ["/var", "/opt"], inaccessible_paths = ["/srv"]'
    text = plan_text(plan(f'[services.a]\ncommand = "true"\ndirectory = "/var"\nsandbox = {{ {keys}, {paths} }}'))
    assert "     sandbox private /dev, all but /dev, /proc and /sys read-only, homes read-only\n" in text
    assert "     paths   /srv hidden; /var, /opt as on the host\n" in text
