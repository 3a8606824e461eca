from __future__ import annotations

from pathlib import Path

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
     ready   when it has exited with success, within 30s
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
     stops   on signal 40, or killed after 10s

not started by themselves: fallbacks, and what has autostart = false
   page
     runs    sleep 2

unless it says otherwise, each
     ready   as soon as it runs
     fails   restarted on-failure after 100ms … 30s (exponential); breaker opens beyond 5 in 1m
     stops   on SIGTERM, or killed after 10s
"""


def test_a_plan_as_a_person_would_tell_it(plan: Load, tmp_path: Path) -> None:
    assert plan_text(plan(TEXT)) == SAID.replace("FOLDER", str(tmp_path))


def test_waves_are_what_starts_together(plan: Load) -> None:
    started, waiting = waves(plan(TEXT))
    assert [[spec.name for spec in wave] for wave in started] == [["migrate", "redis", "lazy"], ["worker"]]
    assert [spec.name for spec in waiting] == ["page"]
