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
ready.tcp = "127.0.0.1:6379"
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
