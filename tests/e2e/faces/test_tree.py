"""`supervisor tree` and the page of `status NAME`, of real processes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from supervisor.adapters.linux import procfs
from tests.e2e.conftest import Daemon, wait_gone

FAMILY = """
import os, sys, time
child = os.fork()
if child == 0:
    os.setsid()                       # has left its session
    grandchild = os.fork()
    if grandchild == 0:
        time.sleep(1000)
    os._exit(0)                       # the grandchild is an orphan
os.waitpid(child, 0)
worker = os.fork()
if worker == 0:
    time.sleep(1000)
print("complete", flush=True)
time.sleep(1000)
"""


def family(d: Daemon) -> str:
    program = d.directory / "family.py"
    program.write_text(FAMILY)
    return f"""
[services.web]
command = ["{sys.executable}", "{program}", "--token", "geheim"]
description = "The front"
ready = {{ log = "complete" }}
[services.other]
command = ["sleep", "1000"]
depends_on = ["web"]
"""


def tree(d: Daemon, *arguments: str) -> dict[str, Any]:
    ran = d.cli("tree", "--json", *arguments)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def started(daemon: Callable[..., Daemon]) -> Daemon:
    d = daemon("", start=False)
    d.write(family(d))
    d.start()
    d.transitions(("web", "running"), ("other", "running"))
    d.from_now()
    return d


def test_it_has_all_processes_and_what_they_are(daemon: Callable[..., Daemon]) -> None:
    d = started(daemon)
    found = tree(d)
    web, other = found["instances"]
    assert [one["instance"] for one in (web, other)] == ["web", "other"]
    main, *workers = web["processes"]
    assert (main["pid"], main["role"], main["state"], main["notes"]) == (d.status("web")["pid"], "main", "sleeping", [])
    assert "geheim" not in main["command"] and "family.py" in main["command"]
    orphan = next(one for one in workers if one["notes"])
    assert orphan["notes"] == ["own session", "orphan, adopted by the daemon"] and orphan["depth"] == 0
    (worker,) = [one for one in workers if one is not orphan]
    assert (worker["role"], worker["depth"], worker["ppid"], worker["notes"]) == ("worker", 1, main["pid"], [])
    assert worker["rss_bytes"] > 0 and worker["pss_bytes"] is None and worker["cpu_percent"] is not None
    assert found["daemon"][0]["pid"] == d.client.status()["supervisor"]["pid"]
    assert found["daemon"][0]["role"] == "daemon"
    assert all(one["pss_bytes"] for one in tree(d, "--pss", "web")["instances"][0]["processes"])
    out = d.cli("tree", "web").stdout.splitlines()
    assert out[0].split() == ["PID", "ROLE", "STATE", "AGE", "CPU%", "RSS", "COMMAND"]
    assert out[1] == "web  running, ready" and "`- " in "".join(out) and "other" not in "".join(out)


def test_a_stopped_process_is_called_so(daemon: Callable[..., Daemon]) -> None:
    d = started(daemon)
    pid = d.status("other")["pid"]
    os.kill(pid, signal.SIGSTOP)
    while (stat := procfs.stat(pid)) is not None and stat.state != "T":
        pass  # it stops when it is scheduled next
    assert tree(d, "other")["instances"][0]["processes"][0]["state"] == "stopped"
    assert "stopped (SIGSTOP)" in d.cli("status", "other").stdout
    os.kill(pid, signal.SIGCONT)


def test_probes_and_hooks_are_told_apart(daemon: Callable[..., Daemon]) -> None:
    """Both wait until a pipe is opened, so that they are there while the tree is looked at."""
    d = daemon("", start=False)
    for name in ("probe", "hook"):
        os.mkfifo(d.directory / name)
    d.write(
        f"""
[services.web]
command = ["sleep", "1000"]
ready = {{ exec = ["sh", "-c", "echo . > {d.directory}/probe"], timeout = "60s" }}
start_timeout = "5m"
[[services.web.hooks]]
on = ["started"]
run = ["sh", "-c", "echo . > {d.directory}/hook"]
timeout = "60s"
"""
    )
    d.start()
    d.event("web", "starting")
    shells: set[str] = set()

    def roles() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for one in tree(d, "web")["instances"][0]["processes"]:
            found.setdefault(one["role"], set()).add(one["command"])
        return found

    for _ in range(100):
        found = roles()
        shells = {role for role, commands in found.items() if any("echo ." in text for text in commands)}
        if shells == {"probe", "hook"}:
            break
    assert shells == {"probe", "hook"} and "main" in found
    assert any("/probe" in text for text in found["probe"]) and any("/hook" in text for text in found["hook"])
    for name in ("probe", "hook"):
        with open(d.directory / name) as pipe:
            pipe.read()
    d.event("web", "running")


def test_without_a_daemon_what_still_runs_is_shown(daemon: Callable[..., Daemon]) -> None:
    d = started(daemon)
    pid = d.status("web")["pid"]
    d.signal(signal.SIGKILL)
    d.wait()
    ran = d.cli("tree", "web")
    assert ran.returncode == 5 and "1 instance still runs, unwatched" in ran.stderr
    assert f"{pid}  main" in ran.stdout and "web  unwatched" in ran.stdout and "orphan, child of PID 1" in ran.stdout
    assert d.cli("down").returncode == 0
    wait_gone(pid)
    assert d.cli("tree").returncode == 5


def test_what_exec_runs_is_told_where_there_are_cgroups(daemon: Callable[..., Daemon]) -> None:
    d = started(daemon)
    command = [
        sys.executable,
        "-m",
        "supervisor",
        "-f",
        str(d.file),
        "exec",
        "web",
        "--",
        "sh",
        "-c",
        "echo; exec sleep 9999",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as beside:
        try:
            assert beside.stdout is not None and beside.stdout.readline()
            roles = {one["pid"]: one["role"] for one in tree(d, "web")["instances"][0]["processes"]}
        finally:
            beside.kill()
    assert roles.get(beside.pid) == ("exec" if d.client.status()["supervisor"]["trees"] == "cgroup" else None)


def on_terminal(d: Daemon, *arguments: str) -> str:
    """What the command prints on a terminal of 80 columns."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
            line = f'stty cols 80; exec "$0" -m supervisor -f {d.file} "$@"'
            environment |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
            os.execvpe("sh", ["sh", "-c", line, sys.executable, *arguments], environment)
        finally:
            os._exit(99)
    written = b""
    with suppress(OSError):
        while chunk := os.read(fd, 65536):
            written += chunk
    os.close(fd)
    os.waitpid(pid, 0)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).replace("\r", "")


def test_on_a_terminal_of_80_columns_it_fits(daemon: Callable[..., Daemon]) -> None:
    d = started(daemon)
    drawn = on_terminal(d, "tree")
    assert "└─ " in drawn and "…" in drawn
    assert "└─ " not in on_terminal(d, "tree", "--ascii")
    shown = on_terminal(d, "status", "web")
    assert "● web - The front" in shown and "Processes: " in shown
    assert max(len(line) for line in (drawn + shown).splitlines()) <= 80


def test_the_page_of_a_service(daemon: Callable[..., Daemon]) -> None:
    d = started(daemon)
    out = d.cli("status", "web").stdout
    lines = [line.strip() for line in out.splitlines()]
    table = next(n for n, line in enumerate(d.file.read_text().splitlines(), 1) if line == "[services.web]")
    assert lines[0] == "web - The front"
    assert f"Defined: {d.file}:{table}" in lines
    assert "Needed by: other (running, ready)" in lines
    assert any(line.startswith("Ready when: a line matches /complete/") for line in lines)
    assert any(line.endswith("complete") and not line.startswith("Ready") for line in lines), "its output"
    assert "geheim" not in out
    os.kill(d.status("web")["pid"], signal.SIGKILL)
    d.event("web", "running", "ready")
    out = d.cli("status", "web").stdout
    assert "Restarts: 1; 1 of at most 5 in " in out and re.search("Last failed: .*KILL", out)
    assert d.cli("status", "web").returncode == 0 and d.cli("stop", "web").returncode == 0
    out = d.cli("status", "web").stdout
    assert "State: stopped" in out and "supervisor start web" in out and "Last order: " in out
