"""Included files, parents and profiles, in a daemon that lives through reloads, crashes and an upgrade."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Daemon

Start = Callable[..., Daemon]
SLEEPS = '[services.{}]\ncommand = ["sleep", "1000"]\n'
BASE = '[templates.base]\ncommand = ["sleep", "1000"]\nenvironment = { A = "1", B = "1" }\n'
MAIL = '[services.mail]\nextends = "base"\nenvironment.B = "2"\n'
PROFILES = (
    SLEEPS.format("web") + SLEEPS.format("dev") + 'profiles = ["dev"]\n' + SLEEPS.format("ops") + 'profiles = ["ops"]\n'
)


def write(one: Daemon, **files: str) -> None:
    """Files of conf.d, and a services.toml that includes all of them."""
    one.write(SLEEPS.format("web"))
    one.file.write_text(f'include = ["conf.d/*.toml"]\n{one.file.read_text()}')
    folder = one.directory / "conf.d"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


def pids(one: Daemon) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in one.client.get("/v1/status")["instances"]}


def difference(one: Daemon, *options: str) -> dict[str, object]:
    """What a reload changes."""
    result = one.cli("reload", "--json", *options)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    return {key: answer[key] for key in ("added", "removed", "changed")}


def killed(one: Daemon) -> None:
    one.signal(signal.SIGKILL)
    one.wait()


@pytest.fixture(autouse=True)
def no_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_PROFILES", raising=False)


def test_a_reload_sees_files_that_are_new_changed_and_gone(daemon: Start) -> None:
    one = daemon("", start=False)
    write(one, base=BASE, mail=MAIL)
    one.start()
    one.transitions(("web", "running"), ("mail", "running"))
    before = pids(one)
    assert before.keys() == {"web", "mail"}

    write(one, new=SLEEPS.format("new"))
    assert difference(one) == {"added": ["new"], "removed": [], "changed": {}}
    one.event("new", "running")
    write(one, base=BASE.replace('A = "1"', 'A = "3"'))
    assert difference(one) == {"added": [], "removed": [], "changed": {"mail": ["environment"]}}
    one.event("mail", "running", "spawned")
    shown = one.cli("show", "mail").stdout
    assert "conf.d/base.toml:3 [templates.base]" in shown and "conf.d/mail.toml:3" in shown
    with open(f"/proc/{pids(one)['mail']}/environ", "rb") as file:
        environment = file.read().split(b"\0")
    assert {b"A=3", b"B=2"} <= set(environment)

    (one.directory / "conf.d/new.toml").unlink()
    assert difference(one) == {"added": [], "removed": ["new"], "changed": {}}
    assert pids(one)["web"] == before["web"], "what did not change keeps running"


def test_a_file_that_cannot_be_used_is_named_and_what_runs_goes_on_over_a_crash(daemon: Start) -> None:
    one = daemon("", start=False)
    write(one, base=BASE, mail=MAIL)
    one.start()
    one.transitions(("web", "running"), ("mail", "running"))
    before = pids(one)
    os.mkfifo(one.directory / "conf.d/z.toml")
    refused = one.cli("reload")
    assert refused.returncode == 2 and "z.toml is not a regular file" in refused.stderr
    assert f"{one.file}:1: include[0]" in refused.stderr
    (one.directory / "conf.d/z.toml").unlink()
    (one.directory / "conf.d/base.toml").unlink()
    assert f"{one.directory}/conf.d/mail.toml:2: services.mail.extends: there is no" in one.cli("reload").stderr
    killed(one)
    one.start(wait=False)
    one.problem("the configuration is refused")
    one.event("mail", "running", "adopted")
    assert pids(one) == before
    write(one, base=BASE)
    assert difference(one) == {"added": [], "removed": [], "changed": {}}


def test_profiles_are_kept_until_the_daemon_ends_in_order(daemon: Start) -> None:
    one = daemon(PROFILES, start=False).start("--profile", "dev")
    one.transitions(("web", "running"), ("dev", "running"))
    before = pids(one)
    assert before.keys() == {"web", "dev"}
    status = one.cli("status")
    assert status.returncode == 0 and "~ active profiles: dev; not there: ops (ops)\n" in status.stderr
    refused = one.cli("start", "ops")
    assert refused.returncode == 4 and "`supervisor reload --profile dev --profile ops` adds it" in refused.stderr

    assert difference(one) == {"added": [], "removed": [], "changed": {}}
    one.write(PROFILES + SLEEPS.format("more") + 'profiles = ["dev"]\n')
    assert difference(one)["added"] == ["more"]
    one.event("more", "running")
    one.from_now()
    assert one.cli("upgrade").returncode == 0
    one.said(lambda line: "trees by" in str(line))
    before = pids(one)
    assert before.keys() == {"web", "dev", "more"}
    killed(one)
    one.start()
    one.event("dev", "running", "adopted")
    assert pids(one) == before

    assert difference(one, "--profile", "ops") == {"added": ["ops"], "removed": ["dev", "more"], "changed": {}}
    one.event("ops", "running")
    wrong = one.cli("reload", "--profile", "opps")
    assert wrong.returncode == 2 and 'did you mean "ops"?' in wrong.stderr and "Known: dev, ops" in wrong.stderr
    assert difference(one, "--no-profile")["removed"] == ["ops"]
    assert difference(one, "--profile", "ops")["added"] == ["ops"]
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    one.start()
    one.event("web", "running")
    assert pids(one).keys() == {"web"}


def test_the_environment_names_profiles_too(daemon: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_PROFILES", "ops")
    one = daemon(PROFILES)
    one.transitions(("web", "running"), ("ops", "running"))
    assert pids(one).keys() == {"web", "ops"}
    checked = one.cli("check")
    assert "  profiles ops; not there: dev (dev)\n" in checked.stdout
    assert "not there: ops (ops)" in one.cli("check", "--profile", "dev").stdout
    assert f"run -f {one.file} --profile ops\n" in one.cli("systemd").stdout
    assert "dev is not there" in one.cli("show", "dev").stderr
