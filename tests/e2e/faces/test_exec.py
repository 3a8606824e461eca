"""`supervisor exec` beside real services: what the command has, its terminal, and that it is no part of them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from supervisor.adapters.processes.sandbox import refusal
from supervisor.core.model.spec import SandboxSpec
from tests.e2e.conftest import PATIENCE, Daemon, alive

SUPERVISOR = [sys.executable, "-m", "supervisor"]
SHOW = "import json, os, resource, sys; print(json.dumps([dict(os.environ), os.getcwd(), os.umask(0), resource.getrlimit(7), os.getuid()]))"  # noqa: E501
WEB = """
[services.web]
command = ["sleep", "1000"]
replicas = 2
ports = "18000-18003"
directory = "/usr"
umask = "027"
limits = { nofile = 333 }
environment = { KEY = "v-{replica}" }
environment_file = "web.env"
unset_environment = ["UNWANTED"]
heartbeat = { source = "activity", interval = "30s", max_timeout = "1h" }

[services.off]
command = ["sleep", "1000"]
autostart = false
environment = { KEY = "off" }
"""


def web(daemon: Callable[..., Daemon], toml: str = WEB) -> Daemon:
    made = daemon(toml, start=False)
    (made.directory / "web.env").write_text("FROM_FILE=yes\nAPI_TOKEN=geheim\n")
    return made


@pytest.fixture
def started(daemon: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setenv("UNWANTED", "1")
    monkeypatch.setenv("OF_THE_DAEMON", "1")
    made = web(daemon).start()
    made.transitions(("web@1", "running"), ("web@2", "running"))
    monkeypatch.delenv("OF_THE_DAEMON")
    monkeypatch.setenv("OF_THE_CALLER", "1")
    return made


def shown(d: Daemon, name: str) -> list:  # type: ignore[type-arg]
    ran = d.cli("exec", name, "--", sys.executable, "-c", SHOW)
    assert ran.returncode == 0, ran.stderr
    found: list = json.loads(ran.stdout)  # type: ignore[type-arg]
    return found


def test_it_has_what_the_instance_has(started: Daemon) -> None:
    env, directory, umask, nofile, user = shown(started, "web@2")
    assert (env["KEY"], env["PORT"], env["FROM_FILE"], env["API_TOKEN"]) == ("v-2", "18001", "yes", "geheim")
    assert (env["SUPERVISOR_SERVICE"], env["SUPERVISOR_INSTANCE"]) == ("web", "web@2")
    assert env["OF_THE_DAEMON"] == "1" and not env.keys() & {"UNWANTED", "OF_THE_CALLER"}
    assert not env.keys() & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "SUPERVISOR_ID"}, "it cannot speak for the service"
    assert (directory, umask, nofile, user) == ("/usr", 0o027, [333, 333], os.geteuid())


def test_of_several_the_first_that_is_ready_is_taken_and_told(started: Daemon) -> None:
    started.client.post("/v1/stop", {"services": ["web@1"]})
    started.event("web@1", "stopped")
    ran = started.cli("exec", "web", "printenv", "SUPERVISOR_INSTANCE")
    assert ran.stdout == "web@2\n"
    assert ran.stderr == "supervisor exec: web@2, the first of 2 instances that is ready\n"


def test_of_a_stopped_service_the_definition_is_taken(started: Daemon) -> None:
    ran = started.cli("exec", "off", "--", "printenv", "KEY")
    assert (ran.returncode, ran.stdout) == (0, "off\n")
    assert "off is stopped: the command gets what its definition says" in ran.stderr


def test_without_a_daemon_the_file_is_taken(daemon: Callable[..., Daemon]) -> None:
    ran = web(daemon).cli("exec", "web@2", "--", "sh", "-c", "echo $KEY $PORT $FROM_FILE; pwd")
    assert ran.stdout == "v-2 18001 yes\n/usr\n"
    assert "no daemon runs: web@2 as " in ran.stderr and "geheim" not in ran.stderr


def test_the_exit_code_is_that_of_the_command(started: Daemon) -> None:
    def code(*command: str) -> int:
        return started.cli("exec", "off", "--", *command).returncode

    assert code("sh", "-c", "exit 7") == 7
    assert code("sh", "-c", "kill -TERM $$") == -signal.SIGTERM, "a shell calls this 143"
    assert code("there-is-no-such-program") == 127
    assert code("/etc/passwd") == 126


def test_a_wrong_name(started: Daemon) -> None:
    ran = started.cli("exec", "wep", "--", "true")
    assert ran.returncode == 4 and "web" in ran.stderr
    ran = started.cli("exec", "*", "--", "true")
    assert ran.returncode == 2 and "Name one: off, web" in ran.stderr
    for command in ([], ["--", ""]):
        ran = started.cli("exec", "web", *command)
        assert ran.returncode == 2 and "supervisor exec web -- sh" in ran.stderr


def test_no_stop_and_no_restart_waits_for_it_or_ends_it(started: Daemon) -> None:
    command = [*SUPERVISOR, "-f", str(started.file), "exec", "web@1", "--", "sh", "-c", "echo here; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as beside:
        assert beside.stdout is not None and beside.stdout.readline() == "here\n"
        try:
            pid = started.status("web@1")["pid"]
            assert started.cli("restart", "web@1").returncode == 0
            assert started.status("web@1")["pid"] != pid
            assert started.cli("stop", "web@1").returncode == 0
            assert started.status("web@1")["state"] == "stopped"
            assert alive(beside.pid)
            assert started.stop() == 0, "nor does the daemon"
            assert alive(beside.pid)
        finally:
            beside.kill()


def test_it_is_limited_beside_the_service(started: Daemon) -> None:
    """In a cgroup of its own, where the daemon has any; else in that of the caller."""
    group = started.cli("exec", "web@1", "--", "cat", "/proc/self/cgroup").stdout.rpartition("0::")[2].strip()
    if started.client.status()["supervisor"]["trees"] == "cgroup":
        assert re.search(r"/phi-test-\w{8}/exec:web@1$", group)
    else:
        assert "phi-test" not in group


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_has_the_user_of_the_service(daemon: Callable[..., Daemon]) -> None:
    d = daemon('[services.app]\ncommand = ["sleep", "1000"]\ndirectory = "/"\nuser = "nobody"\n')
    d.event("app", "running")
    ran = d.cli("exec", "app", "--", "sh", "-c", "id -u; id -g; id -G; echo $HOME")
    expected = subprocess.run(
        ["sh", "-c", "id -u nobody; id -g nobody; id -G nobody; getent passwd nobody | cut -d: -f6"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == expected.stdout


@pytest.mark.skipif(refusal(SandboxSpec(private_tmp=True)) != "", reason="no sandbox can be made here")
def test_it_is_in_the_sandbox_of_the_running_service(daemon: Callable[..., Daemon]) -> None:
    file = Path(f"/tmp/phi-exec-{os.getpid()}")
    toml = f'[services.box]\ncommand = ["sh", "-c", "echo inside > {file}; echo made; exec sleep 1000"]\n'
    toml += 'ready = { log = "made" }\ndirectory = "/"\nsandbox = { private_tmp = true }\n'
    d = daemon(toml)
    d.event("box", "running", "ready")
    ran = d.cli("exec", "box", "--", "cat", str(file))
    assert (ran.stdout, ran.stderr) == ("inside\n", "")
    assert not file.exists()
    assert d.cli("stop", "box").returncode == 0
    ran = d.cli("exec", "box", "--", "ls", "-A", "/tmp")
    assert (ran.returncode, ran.stdout) == (0, "") and "in a new sandbox" in ran.stderr


# -- the terminal ----------------------------------------------------------------------------------------------------


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(command[0], command, os.environ | environment)
            finally:
                os._exit(99)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for(self, pattern: str) -> None:
        """Until this has been written since the last call."""
        give_up = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, give_up - time.monotonic()))
            assert ready, self.seen
            try:
                self.seen += os.read(self.fd, 65536).decode()
            except OSError:
                raise AssertionError(f"it has ended: {self.seen}") from None
        self.seen = self.seen[found.end() :]

    def ended(self) -> int:
        """Its exit code; the negative number of the signal that ended it."""
        with suppress(OSError):
            while os.read(self.fd, 65536):
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def make(command: list[str], **environment: str) -> Terminal:
        made.append(Terminal(command, **environment))
        return made[-1]

    yield make
    for one in made:
        os.close(one.fd)  # hangs up


def test_it_has_the_terminal_of_the_caller(started: Daemon, terminal: Callable[..., Terminal]) -> None:
    code = "test -t 0 && test -t 1 && test -t 2 && echo TERM=$TERM; read line; echo got $line; exit 9"
    t = terminal([*SUPERVISOR, "-f", str(started.file), "exec", "-it", "web@1", "sh", "-c", code], TERM="vt220")
    t.wait_for("TERM=vt220")
    t.type("hello\n")
    t.wait_for("got hello")
    assert t.ended() == 9


def test_ctrl_c_goes_to_the_command(started: Daemon, terminal: Callable[..., Terminal]) -> None:
    code = "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 1; done"
    t = terminal([*SUPERVISOR, "-f", str(started.file), "exec", "web@1", "--", "sh", "-c", code])
    t.wait_for("ready")
    t.type("\x03")
    t.wait_for("caught")
    assert t.ended() == 4
    t = terminal(
        [*SUPERVISOR, "-f", str(started.file), "exec", "web@1", "--", "sh", "-c", "echo ready; exec sleep 1000"]
    )
    t.wait_for("ready")
    t.type("\x03")
    assert t.ended() == -signal.SIGINT


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_job_control_works(started: Daemon, terminal: Callable[..., Terminal]) -> None:
    t = terminal(["bash", "--norc", "--noprofile", "-i"], PS1="prompt> ", HISTFILE="", INPUTRC="/dev/null")
    t.wait_for("prompt> ")
    # It says when it has been continued: from then on the terminal is its own.  It starts no process: a shell that is
    # in vfork() while its child is stopped before the exec does not stop.
    code = "trap 'echo resu''med' CONT; echo rea''dy; while :; do read -r line; done"
    t.type(f'{" ".join(SUPERVISOR)} -f {started.file} exec web@1 -- sh -c "{code}"\n')
    t.wait_for("ready\r?\n")
    t.type("\x1a")
    t.wait_for("Stopped")
    t.wait_for("prompt> ")
    t.type("jobs -p | xargs ps -o stat= -p; echo sta''te\n")
    t.wait_for("T[^\n]*\n[^\n]*state")
    t.type("fg\n")
    t.wait_for("resumed\r?\n")
    t.type("\x03")
    t.wait_for("prompt> ")
    t.type("echo code=$?.\n")
    t.wait_for("code=130\\.")
    t.type("exit\n")
    t.ended()
