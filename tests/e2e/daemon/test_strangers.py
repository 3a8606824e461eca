"""Which processes may notify for a service, which may reach the daemon, and what others can read of it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Daemon

Start = Callable[..., Daemon]
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
SPEAKER = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    with open(sys.argv[1]) as orders:  # a FIFO: what the test wants said
        for line in orders:
            sock.send(line.strip().replace("|", "\\n").encode())
            print("said", flush=True)
    sys.stdin.read()
"""
FLOOD = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(sys.argv[1])
    print("", flush=True)
    while True:
        sock.send(b"READY=1\\nSTATUS=forged\\nWATCHDOG=trigger")
"""


def test_only_the_service_itself_speaks_for_it(daemon: Start, tmp_path: Path) -> None:
    (tmp_path / "speaker.py").write_text(SPEAKER)
    os.mkfifo(tmp_path / "orders")
    one = daemon(
        f'[services.web]\ncommand = ["{sys.executable}", "{tmp_path}/speaker.py", "{tmp_path}/orders"]\n'
        'ready = { notify = true }\n[services.other]\ncommand = ["sleep", "1000"]\n'
    )
    with (tmp_path / "orders").open("w", buffering=1) as orders:
        one.event("other", "running")
        other = one.status("other")["pid"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.connect(str(one.runtime_dir / "notify.sock"))
            stranger.send(b"READY=1\nSTATUS=forged")
            stranger.send(f"MAINPID={other}\nWATCHDOG=trigger".encode())
        orders.write(f"STATUS=mine|MAINPID={os.getpid()}\n")  # it cannot make another's process its own
        orders.write(f"MAINPID={other}\n")
        orders.write("READY=1\n")
        one.event("web", "running", "ready")  # the socket keeps the order in which all this was said
        row = one.status("web")
        assert row["status"] == "mine"
        assert Path(f"/proc/{row['pid']}/cmdline").read_bytes().split(b"\0")[1] == f"{tmp_path}/speaker.py".encode()
    causes = [event["cause"] for event in one.client.get("/v1/events", service="web")["events"]]
    assert causes.count("ready") == 1 and "triggered" not in causes
    assert one.status("other")["pid"] == other


def test_a_flood_delays_nobody_and_changes_nothing(daemon: Start) -> None:
    one = daemon('[services.web]\ncommand = ["sleep", "1000"]\nready = { notify = true }\nstart_timeout = "1h"\n')
    command = [sys.executable, "-c", FLOOD, str(one.runtime_dir / "notify.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as flood:
        assert flood.stdout is not None
        flood.stdout.readline()
        try:
            answered = []
            for _ in range(20):
                began = time.monotonic()
                row = one.status("web")
                answered.append(time.monotonic() - began)
                assert (row["state"], row["status"]) == ("starting", None)
        finally:
            flood.kill()
    assert sorted(answered)[10] < 1.0


def test_nothing_is_for_others_whatever_the_umask(daemon: Start) -> None:
    one = daemon(
        """
[services.chatty]
command = ["sh", "-c", "yes | head -c 200000; exec sleep 1000"]
log = { max_size = "32KiB", keep = 3 }
heartbeat = { source = "log", interval = "50ms", detector = "timeout", timeout = "300ms" }
restart = { policy = "never" }
""",
        start=False,
    )
    one.start(prefix=["sh", "-c", 'umask 0; exec "$@"', "sh"])
    one.event("chatty", "stopping", "heartbeat-silent")  # with evidence
    one.event("chatty", "exited")  # no later run rotates its files while they are listed
    found = {}
    for top in (one.runtime_dir, one.state_dir):
        for path in (top, *top.rglob("*")):
            with suppress(FileNotFoundError):  # a temporary name
                found[path] = path.lstat().st_mode
    assert {path.name for path in found} >= {
        "control.sock",
        "notify.sock",
        "ledger.db",
        "chatty.log",
        "chatty.log.1.idx",
    }
    assert {str(path): oct(mode) for path, mode in found.items() if stat.S_ISDIR(mode) and mode & 0o077} == {}
    others = {str(path): oct(mode) for path, mode in found.items() if stat.S_ISREG(mode) and mode & 0o027}
    assert others == {}  # where somebody opens a directory or copies its files
    assert stat.S_IMODE(found[one.runtime_dir / "control.sock"]) == 0o600


@pytest.fixture
def public() -> Iterator[Callable[[str], Daemon]]:
    """A daemon in a directory that everybody can enter."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        made: list[Daemon] = []

        def make(toml: str) -> Daemon:
            made.append(Daemon(Path(place), toml))
            return made[-1].start()

        yield make
        for one in made:
            one.stop()


@AS_ROOT
def test_other_users_reach_nothing(public: Callable[[str], Daemon]) -> None:
    one = public('[services.web]\ncommand = ["sleep", "1000"]\n')
    for name, kind in (("control.sock", "STREAM"), ("notify.sock", "DGRAM")):
        assert "PermissionError" in _connect(one.runtime_dir / name, kind)


@AS_ROOT
def test_where_a_service_runs_as_somebody_else_they_may_notify_and_no_more(public: Callable[[str], Daemon]) -> None:
    one = public(f'[services.web]\ncommand = ["sleep", "1000"]\nuser = {NOBODY}\ngroup = {NOBODY}\n')
    assert _connect(one.runtime_dir / "notify.sock", "DGRAM") == ""
    assert "PermissionError" in _connect(one.runtime_dir / "control.sock", "STREAM")


def _connect(path: Path, kind: str) -> str:
    """What a process of the user `nobody` gets when it tries."""
    code = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_{kind}).connect({str(path)!r})"
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-S", "-c", code], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
        env={"PATH": "/usr/bin:/usr/local/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr
