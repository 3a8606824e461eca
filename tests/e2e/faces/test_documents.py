"""Everything that a real daemon says over the wire is in its document, whatever state its services are in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.doubles.documented import MESSAGES, check_document
from tests.e2e.conftest import Daemon

HANGS = """
import socket, threading, time
from supervisor import heartbeat

listener = socket.create_server(("127.0.0.1", 0))
heartbeat.dump_on()
with heartbeat.service:
    for _ in heartbeat.each(range(20)):
        time.sleep(0.03)
    threading.Event().wait()
"""
SERVICES = """
[services.calm]
command = ["sleep", "1000"]
description = "does nothing"
group_name = "both"
[services.calm.heartbeat]
source = "exec"
exec = ["true"]
interval = "200ms"
target = {{ detect_within = "2s", max_false_restarts = "1/30d" }}

[services.done]
command = ["true"]
type = "oneshot"

[services.broken]
command = ["false"]
restart = {{ initial = "10ms", max_restarts = 1 }}

[services.later]
command = ["sleep", "1000"]
autostart = false
depends_on = ["calm"]

[services.worker]
command = ["{python}", "{program}"]
depends_on = ["calm"]
dump_signal = "USR2"
evidence = "core"
limits = {{ core = 0 }}
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", min_timeout = "300ms", max_timeout = "5s" }}
restart = {{ policy = "never" }}
"""


def test_every_document_is_as_described(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    program = tmp_path / "hangs.py"
    program.write_text(HANGS)
    d = daemon(SERVICES.format(python=sys.executable, program=program))
    client = d.client  # checks each answer
    d.event("worker", "exited")
    for row in client.status()["instances"]:
        client.instance(row["name"])
        client.logs(row["name"])
        check_document("Why", json.loads(d.cli("why", row["name"], "--json").stdout))
    client.services()
    events = client.events(limit=1000)
    captured = [event["detail"]["evidence_id"] for event in events if "evidence_id" in event["detail"]]
    assert captured
    evidence = client.evidence(captured[0])
    assert evidence["processes"][0]["sockets"] and evidence["stacks"] and evidence["core"]
    assert client.act("restart", ["both"]) == ["calm"]
    d.event("calm", "running")
    assert client.act("signal", ["calm"], "URG") == ["calm"]
    d.write(SERVICES.format(python=sys.executable, program=program) + '\n[services.new]\ncommand = ["true"]\n')
    assert client.reload(dry_run=True)["added"] == ["new"]
    client.health()
    seen = set()
    with client.stream(["events", "status", "logs"], interval=0.2, after=0) as stream:
        for message in stream:
            check_document(MESSAGES[message[0]], message[1])
            seen.add(message[0])
            if seen >= {"event", "status"}:
                break
    check_document("Report", json.loads(d.cli("report", "--json").stdout))
    for line in d.cli("events", "--json").stdout.splitlines():
        check_document("Event", json.loads(line))
    check_document("Status", json.loads(d.cli("status", "--json").stdout))
    client.down()
