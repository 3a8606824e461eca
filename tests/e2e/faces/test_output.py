"""Services' output on the daemon's own stdout, and in logs that other programs rotate, with the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.hangs.test_probes import until

Make = Callable[..., Daemon]

TALKER = """
[services.talker]
command = ["sh", "-c", "while read -r line; do echo \\"$line\\"; done <{directory}/say"]
log = {{ console = true, path = "out/{{instance}}.log", mode = "0644" }}
[services.json]
command = ["sh", "-c", "echo '{{\\"a\\": 1}}'; exec sleep 1000"]
log.console = "raw"
"""
FLOOD = """
[services.flood]
command = ["yes", "a line that is written for as long as it is read, and longer"]
log = { console = true, max_size = "64KiB", keep = 0 }
[services.neighbour]
command = ["sleep", "1000"]
restart = { policy = "always", initial = "0s", backoff = "fixed", max_restarts = 100000 }
"""


def test_lines_on_stdout_and_a_log_that_is_moved_away(daemon: Make) -> None:
    d = daemon("", start=False)
    os.mkfifo(d.directory / "say")
    d.write(TALKER.format(directory=d.directory))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "run", "-f", str(d.file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b'{"a": 1}\n'
        with (d.directory / "say").open("wb", buffering=0) as talk:
            talk.write(b"one\n")
            assert process.stdout.readline() == b"talker | one\n"
            log = d.directory / "out" / "talker.log"
            log.rename(log.with_name("talker.log.1"))
            talk.write(b"two\n")
            assert process.stdout.readline() == b"talker | two\n"
            assert (log.read_bytes(), log.stat().st_mode & 0o777) == (b"two\n", 0o644)
            assert d.cli("logs", "talker", "--no-prefix").stdout == "one\ntwo\n"
            d.write(TALKER.format(directory=d.directory).replace("console = true", "console = false"))
            assert d.cli("reload").returncode == 0
            talk.write(b"three\n")
            until(lambda: log.read_bytes().endswith(b"three\n"))
            d.write(TALKER.format(directory=d.directory).replace("out/", "elsewhere/"))
            assert d.cli("reload").returncode == 0
            talk.write(b"four\n")
            assert process.stdout.readline() == b"talker | four\n", "a reload ends and begins it at once"
            assert (d.directory / "elsewhere" / "talker.log").read_bytes() == b"four\n"
            assert log.read_bytes() == b"two\nthree\n"
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_nobody_reads_stdout_and_stderr(daemon: Make) -> None:
    d = daemon(FLOOD, start=False)
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "run", "-f", str(d.file)],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    try:
        said = b""
        while said.count(b"flood | a line") < 1000:
            said += os.read(reader, 65536)
        stream = d.client.stream(["events"])
        while True:
            pid = d.status("neighbour")["pid"]
            full = any("stdout is not read" in problem for problem in d.client.status()["supervisor"]["problems"])
            os.kill(pid, signal.SIGKILL)
            for message in stream:
                if message[0] == "event" and message[1]["instance"] == "neighbour" and message[1]["to"] == "running":
                    break
            if full:
                break
        assert d.status("neighbour")["pid"] != pid, "it is supervised although nothing reads the pipe"
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        os.close(reader)


APART = """
[defaults]
restart.policy = "never"
[services.plain]
command = ["sh", "-c", '''echo starts; while read -r to line; do echo "$line" >&"$to"; done <{directory}/plain''']
log.stderr = true
ready = {{ log = "^up$" }}
[services.forked]
command = ["sh", "-c", '''while read -r to line; do echo "$line" >&"$to"; done <{directory}/forked''']
no_new_privileges = true
log = {{ stderr = "out/{{instance}}.err", mode = "0644" }}
"""


def test_stderr_apart_through_the_daemon_s_death_and_an_upgrade(daemon: Make) -> None:
    d = daemon("", start=False)
    for name in ("plain", "forked"):
        os.mkfifo(d.directory / name)
    d.write(APART.format(directory=d.directory))
    d.start()
    with (
        (d.directory / "plain").open("wb", buffering=0) as plain,
        (d.directory / "forked").open("wb", buffering=0) as forked,
    ):
        plain.write(b"2 up\n")
        d.event("plain", "running")  # the pattern hears stderr
        d.signal(signal.SIGKILL)
        d.wait()
        for i in range(50):
            plain.write(b"%d %d\n" % (1 + i % 2, i))
        forked.write(b"2 bad\n1 good\n")
        d.start()
        assert d.cli("upgrade").returncode == 0
        plain.write(b"2 50\n1 51\n")
    # each shell ends at the end of its input, so all that it wrote is there
    d.transitions(("plain", "exited"), ("forked", "exited"))
    apart = [str(i) for i in (*range(1, 50, 2), 50)]
    assert d.cli("logs", "plain", "--no-prefix", "--stream", "stderr").stdout.split() == ["up", *apart]
    both = d.cli("logs", "plain", "--no-prefix").stdout.split()
    assert both[:2] == ["starts", "up"], "by time"
    assert sorted(both[2:], key=int) == [str(i) for i in range(52)]
    assert (d.directory / "out" / "forked.err").read_bytes() == b"bad\n"
    assert (d.directory / "s" / "log" / "forked.log").read_bytes() == b"good\n"
    told = [json.loads(line) for line in d.cli("logs", "forked", "--json").stdout.splitlines()]
    assert {(line["text"], line.get("stream")) for line in told} == {("good", None), ("bad", "stderr")}
    assert d.cli("logs", "--stream", "both").returncode == 2
    assert [line["text"] for line in d.client.logs("forked", stream="stdout")["lines"]] == ["good"]
