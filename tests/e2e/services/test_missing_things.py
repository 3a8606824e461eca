"""What one service lacks (its program, directory, user, environment file) concerns that service alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Daemon

Start = Callable[..., Daemon]
FAST = 'restart = { initial = "10ms", jitter = 0.0, backoff = "fixed", max_restarts = 100000 }\n'
OK = '[services.ok]\ncommand = ["sleep", "1000"]\n'
LACKING = {
    "program": ('command = ["./place/program", "1000"]\n', "place/program does not exist"),
    "directory": ('command = ["sleep", "1000"]\ndirectory = "place"\n', "place does not exist"),
    "environment file": (
        'command = ["sh", "-c", "echo $GREETING; exec sleep 1000"]\nenvironment_file = "place/env"\n'
        'ready = { log = "hello" }\n',
        "env does not exist",
    ),
    "probe": (
        'command = ["sleep", "1000"]\nready = { exec = ["./place/probe"] }\n',
        "place/probe does not exist",
    ),
}


def provide(one: Daemon) -> None:
    place = one.directory / "new"
    place.mkdir()
    for name, program in (("program", "sleep"), ("probe", "true")):
        shutil.copy(shutil.which(program) or "", place / name)
    (place / "env").write_text("GREETING=hello\n")
    place.rename(one.directory / "place")


@pytest.mark.parametrize("what", LACKING)
def test_the_others_start_and_it_starts_once_it_is_complete(daemon: Start, what: str) -> None:
    keys, reason = LACKING[what]
    one = daemon(f"[services.late]\n{keys}{FAST}{OK}", start=False)
    checked = one.cli("check")
    assert checked.returncode == 2 and reason in checked.stderr, "check still refuses"
    one.start()
    failed = one.event("late", "backoff", "spawn-failed")
    assert reason in failed["detail"]["error"]
    assert one.status("ok")["state"] == "running"
    assert reason in one.cli("why", "late").stdout
    provide(one)
    one.event("late", "running")
    if what == "environment file":
        assert one.cli("logs", "late").stdout.strip().endswith("hello")
    pid = one.status("late")["pid"]
    one.signal(signal.SIGKILL)
    one.wait()
    one.start(wait=False)
    assert one.event("late", "running", "adopted")["detail"]["pid"] == pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a service as another user")
def test_a_user_that_does_not_exist_stops_only_its_service(daemon: Start) -> None:
    one = daemon(f'[services.late]\ncommand = ["sleep", "1000"]\nuser = "no-such-user"\n{FAST}{OK}')
    failed = one.event("late", "backoff", "spawn-failed")
    assert 'the user "no-such-user" does not exist' in failed["detail"]["error"]
    assert one.status("ok")["state"] == "running"
    assert one.cli("stop", "late").returncode == 0
    one.write(f'[services.late]\ncommand = ["sleep", "1000"]\n{FAST}{OK}')
    assert one.cli("reload").returncode == 0
    assert one.cli("start", "late").returncode == 0


def test_an_edited_file_is_not_applied_by_the_way(daemon: Start) -> None:
    one = daemon(f'[services.late]\ncommand = ["./place/program", "1000"]\n{FAST}{OK}')
    one.event("late", "backoff", "spawn-failed")
    one.write(f'[services.late]\ncommand = ["./place/probe", "1000"]\n{FAST}{OK}')
    provide(one)
    one.said(lambda line: "supervisor reload" in str(line))
    assert one.status("late")["pid"] is None


def test_a_program_that_a_oneshot_builds_is_fine(daemon: Start) -> None:
    one = daemon(
        """
[services.build]
type = "oneshot"
command = ["sh", "-c", "mkdir new; cp $(command -v sleep) new/program; mv new place"]
[services.built]
command = ["./place/program", "1000"]
depends_on = ["build"]
""",
        start=False,
    )
    checked = one.cli("check")
    assert checked.returncode == 0 and "place/program does not exist" in checked.stdout
    one.start()
    assert one.event("built", "running")["incarnation"] == 1
    assert not [line for line in one.lines if "does not exist" in str(line)]


def test_an_unrelated_edit_is_applied_while_a_program_is_away(daemon: Start, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(shutil.which("sleep") or "", program)
    web = f'[services.web]\ncommand = ["{program}", "1000"]\n'
    one = daemon(web)
    pid = one.event("web", "running")["detail"]["pid"]
    program.rename(tmp_path / "away")
    one.write(web + OK)
    assert one.cli("reload").returncode == 0
    one.event("ok", "running")
    problems = one.client.get("/v1/status")["supervisor"]["problems"]
    assert len(problems) == 1 and f"{program} does not exist" in problems[0]
    assert one.cli("upgrade").returncode == 0
    assert one.client.get("/v1/status")["supervisor"]["problems"] == problems, "the upgrade found it, too"
    assert one.status("web")["pid"] == pid
    one.write(web.replace("1000", "1001") + OK)
    for command in ("reload", "upgrade"):
        refused = one.cli(command)
        assert refused.returncode != 0 and f"{program} does not exist" in refused.stderr
    one.signal(signal.SIGKILL)
    one.wait()
    one.from_now()
    one.start(wait=False)
    one.problem(f"{program} does not exist")
    assert one.event("web", "running", "adopted")["detail"]["pid"] == pid, "as a reload would have refused it"
    (tmp_path / "away").rename(program)
    assert one.cli("reload").returncode == 0
    one.event("web", "running")
    assert one.client.get("/v1/status")["supervisor"]["problems"] == []
    assert one.status("web")["pid"] != pid


def test_an_unrelated_edit_is_applied_while_an_environment_file_is_away(daemon: Start, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("GREETING=hello\n")
    web = f'[services.web]\ncommand = ["sleep", "1000"]\nenvironment_file = "{file}"\n'
    one = daemon(web)
    pid = one.event("web", "running")["detail"]["pid"]
    file.rename(tmp_path / "away")
    one.write(web + OK)
    assert one.cli("reload").returncode == 0
    one.event("ok", "running")
    problems = one.client.get("/v1/status")["supervisor"]["problems"]
    assert len(problems) == 1 and f"{file} does not exist" in problems[0]
    assert one.cli("upgrade").returncode == 0
    one.event("web", "running", "adopted")
    assert one.client.get("/v1/status")["supervisor"]["problems"] == problems
    one.write(web + OK + OK.replace("ok", "more"))
    assert one.cli("reload").returncode == 0
    one.event("more", "running")
    one.signal(signal.SIGKILL)
    one.wait()
    one.from_now()
    one.start(wait=False)
    one.problem(f"{file} does not exist")
    assert one.event("web", "running", "adopted")["detail"]["pid"] == pid
    one.write(web + "nice = 1\n" + OK)
    for command in ("reload", "upgrade"):
        refused = one.cli(command)
        assert refused.returncode != 0 and f"{file} does not exist" in refused.stderr
    one.write(web + OK)
    (tmp_path / "away").rename(file)
    assert one.cli("reload").returncode == 0
    assert one.client.get("/v1/status")["supervisor"]["problems"] == []
    assert one.status("web")["pid"] == pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a service as another user")
def test_an_unrelated_edit_is_applied_while_a_user_is_away(daemon: Start, tmp_path: Path) -> None:
    accounts = tmp_path / "passwd"
    accounts.write_text("root:x:0:0::/root:/bin/sh\nweb:x:70:70::/:/bin/sh\n")
    web = '[services.web]\ncommand = ["sleep", "1000"]\nuser = "web"\ngroup = "root"\ndirectory = "/"\n'
    one = daemon(web, start=False)
    bind = ("unshare", "-m", "sh", "-c", f'mount --bind {accounts} /etc/passwd && exec "$@"', "sh")
    if subprocess.run([*bind, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces")
    one.start(prefix=bind)
    pid = one.event("web", "running")["detail"]["pid"]
    accounts.write_text("root:x:0:0::/root:/bin/sh\n")
    one.write(web + OK)
    assert one.cli("reload").returncode == 0
    one.event("ok", "running")
    problems = one.client.get("/v1/status")["supervisor"]["problems"]
    assert len(problems) == 1 and 'the user "web" does not exist' in problems[0]
    os.kill(pid, signal.SIGKILL)
    assert one.event("web", "running")["incarnation"] == 2, "it starts again as the user that it had"
    assert one.cli("upgrade").returncode == 0
    assert one.client.get("/v1/status")["supervisor"]["problems"] == problems
    one.write(web.replace("1000", "1001") + OK)
    refused = one.cli("reload")
    assert refused.returncode == 2 and 'the user "web" does not exist' in refused.stderr
