"""Patterns for output that cost too much, and lines that a terminal shows otherwise than they are written."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conftest import Daemon
from tests.e2e.hangs.test_probes import until

Make = Callable[..., Daemon]


def test_an_endless_search_costs_no_neighbour_its_restart(daemon: Make) -> None:
    d = daemon(r"""
[services.neighbour]
command = ["sleep", "1000"]
restart = { initial = "1ms", jitter = 0 }
[services.endless]
command = ["sh", "-c", "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab; sleep 0.1; done"]
heartbeat = { source = "log", log = '(a+)+$', interval = "100ms" }
""")
    d.event("neighbour", "running")
    d.client.post("/v1/signal", {"services": ["neighbour"], "signal": "KILL"})
    d.event("neighbour", "running", "spawned")
    until(lambda: "pattern of heartbeat.log takes more than 10 ms" in str(d.client.status()))  # once it wrote a line
    assert d.status("endless")["state"] == "running"


def test_ready_as_it_is_read(daemon: Make) -> None:
    d = daemon(r"""
[services.dos]
command = ["sh", "-c", "printf 'ready\\r\\n'; sleep 1000"]
ready = { log = "^ready$" }
[services.coloured]
command = ["sh", "-c", "printf '\\033[32mready\\033[0m\\n'; sleep 1000"]
ready = { log = "^ready$" }
[services.progress]
command = ["sh", "-c", "printf 'loading\\rready\\r'; sleep 1000"]
ready = { log = "^ready$" }
""")
    for name in ("dos", "coloured", "progress"):
        begin, d._seen = d._seen, 0
        assert d.event(name, "running", "ready")["detail"]["how"] == "log"
        d._seen = begin
