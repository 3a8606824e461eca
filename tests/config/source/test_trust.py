"""Files that root refuses to read or run, because another user could have changed them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.config.source import trust
from supervisor.trusted_users import VARIABLE
from tests.config.conftest import Complain, Load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to lose")
SOMEBODY = 12345
WEB = '[services.web]\ncommand = "true"\n'


@pytest.fixture(autouse=True)
def ask_anew() -> Iterator[None]:
    """Answers are remembered for a process, which tests are not."""
    yield
    for remembered in (trust._problem, trust._trusted):
        remembered.cache_clear()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "run.sh"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o602, "is writable by everyone, which lets everyone run commands as root; `chmod o-w"),
        (0o620, "is writable by the group 12345, which lets it run commands as root; `chmod g-w"),
    ],
)
def test_a_configuration_that_others_can_write(complaints: Complain, tmp_path: Path, mode: int, words: str) -> None:
    file = tmp_path / "services.toml"
    file.touch()
    file.chmod(mode)
    os.chown(file, 0, SOMEBODY)
    assert words in complaints(WEB)[0]


def test_a_configuration_that_belongs_to_somebody_else(
    plan: Load, complaints: Complain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services.toml").touch()
    os.chown(tmp_path / "services.toml", SOMEBODY, 0)
    assert complaints(WEB)[0].startswith("refused as root: services.toml belongs to 12345, which lets")
    monkeypatch.setenv(VARIABLE, f"nobody, {SOMEBODY}, no-such-user")
    ask_anew_now()
    assert plan(WEB).services


def ask_anew_now() -> None:
    trust._problem.cache_clear()
    trust._trusted.cache_clear()


def test_a_directory_that_leads_to_it(complaints: Complain, plan: Load, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert "is writable by everyone" in complaints(WEB)[0]
    ask_anew_now()
    tmp_path.chmod(0o1777)  # as /tmp: no user can replace a file of another
    assert plan(WEB).services


@pytest.mark.parametrize(
    "text",
    [
        'command = ["{script}"]',
        'command = ["true"]\nready.exec = ["{script}"]',
        'command = ["true"]\nheartbeat = {{ source = "exec", exec = ["{script}"] }}',
        'command = ["true"]\nhooks = [{{ on = ["failed"], run = ["{script}"] }}]',
        'command = ["/bin/sh", "-e", "{script}", "x"]',
        'command = ["true"]\nenvironment_file = "{script}"',
    ],
)
def test_what_root_would_run(complaints: Complain, plan: Load, script: Path, text: str) -> None:
    given = "[services.web]\n" + text.format(script=script) + "\n"
    script.write_text("X=1\n")
    assert plan(given).services
    os.chown(script, SOMEBODY, 0)
    ask_anew_now()
    assert "belongs to 12345, which lets 12345 run commands as root" in complaints(given)[0]


def test_what_a_service_runs_as_somebody_else_is_its_own_business(plan: Load, script: Path) -> None:
    os.chown(script, SOMEBODY, 0)
    assert plan(f'[services.web]\ncommand = ["{script}"]\nuser = {SOMEBODY}\ngroup = {SOMEBODY}\n').services


def test_where_a_link_leads_matters_as_much(complaints: Complain, script: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", SOMEBODY, 0)
    (tmp_path / "theirs" / "x.sh").symlink_to(script)
    (tmp_path / "link.sh").symlink_to(tmp_path / "theirs" / "x.sh")
    given = f'[services.web]\ncommand = ["{tmp_path}/theirs/x.sh"]\n'
    assert "theirs belongs to 12345" in complaints(given)[0]


def test_a_link_that_leads_to_itself_is_no_end_of_the_reading(plan: Load, tmp_path: Path) -> None:
    (tmp_path / "loop.sh").symlink_to("loop.sh")
    plan(f'[services.web]\ncommand = ["/bin/sh", "{tmp_path}/loop.sh"]\n')


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["sh", "a.sh"], "a.sh"),
        (["/usr/bin/python3.11", "-u", "a.py", "b"], "a.py"),
        (["bash", "-c", "x"], None),
        (["python3", "-m", "app"], None),
        (["redis-server", "redis.conf"], None),
        ([], None),
    ],
)
def test_which_word_is_a_program(command: list[str], file: str | None) -> None:
    assert trust.script(command) == file
