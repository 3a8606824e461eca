"""Files, releases, start and stop on three installed hosts, in waves of one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import supervisor
from tests.fleet.conftest import SERVICES, Fleet, fleet_in_a_short_place

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def installed(client_key: Path, wheels: None) -> Iterator[Fleet]:
    """Three bare hosts, installed by one command."""
    with fleet_in_a_short_place(client_key) as fleet:
        for name in NAMES:
            fleet.host(name)
        rows = fleet.document("install")
        assert {row["state"] for row in rows.values()} == {"ready"}
        yield fleet


def changed_source(folder: Path, file: str, text: str, version: str) -> Path:
    """Another version of the supervisor: a copy with `text` at the end of one of its files."""
    package = folder / "supervisor"
    shutil.copytree(Path(supervisor.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    with (package / file).open("a") as there:
        there.write(text)
    return folder


def releases(fleet: Fleet) -> dict[str, str]:
    return {name: row["release"] for name, row in fleet.document("status").items()}


def process(fleet: Fleet, name: str) -> int:
    """The process of the service."""
    pid: int = json.loads(fleet.on(name, "status", "--json").stdout)["instances"][0]["pid"]
    return pid


def test_a_file_is_pushed_once_in_waves(installed: Fleet) -> None:
    installed.write(SERVICES + '[services.more]\ncommand = ["sleep", "1001"]\n')
    rows = installed.document("push")
    assert {tuple(row["steps"]) for row in rows.values()} == {("configure", "reload", "health")}
    assert {row["status"]["wanted"] for row in rows.values()} == {2}
    assert "a  wave 1 of 3" in installed.said and "c  wave 3 of 3" in installed.said
    assert "nothing was changed" in installed.run("push")


def test_a_file_that_a_host_refuses_changes_nothing(installed: Fleet) -> None:
    before = {name: row["config_sha256"] for name, row in installed.document("status").items()}
    installed.write(SERVICES + '[services.more]\ncommand = ["/no/such/program"]\n')
    rows = installed.document("push", code=1)
    assert rows["a"]["error"]["step"] == "place services.toml"
    assert "services.more.command" in rows["a"]["error"]["message"]
    assert [rows[name]["error"]["kind"] for name in "bc"] == ["not-begun", "not-begun"]
    assert {name: row["config_sha256"] for name, row in installed.document("status").items()} == before


def test_a_file_with_which_a_service_fails_is_put_back(installed: Fleet) -> None:
    before = {name: row["config_sha256"] for name, row in installed.document("status").items()}
    installed.write(SERVICES + '[services.more]\ncommand = ["sleep", "1003"]\nready.exec = ["false"]\n')
    rows = installed.document("push", "--ready-within", "2s", code=1)
    assert rows["a"]["error"]["step"] == "await ready"
    assert "more starting" in rows["a"]["error"]["message"]
    assert "the former services.toml was put back" in rows["a"]["error"]["message"]
    after = installed.document("status")
    assert {name: row["config_sha256"] for name, row in after.items()} == before
    assert {row["state"] for row in after.values()} == {"ready"}


def test_a_host_that_is_down_is_shown_and_started(installed: Fleet) -> None:
    assert installed.document("down", "-H", "b")["b"]["steps"] == ["stop"]
    rows = installed.document("status", code=3)
    assert [rows[name]["state"] for name in NAMES] == ["ready", "down", "ready"]
    assert installed.document("down", "-H", "b")["b"]["steps"] == []
    assert [row["steps"] for row in installed.document("start").values()] == [[], ["start", "health"], []]
    assert [row["steps"] for row in installed.document("start").values()] == [[], [], []]


def test_a_release_goes_over_all_hosts_and_services_keep_running(
    installed: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [process(installed, name) for name in NAMES]
    monkeypatch.setenv("PYTHONPATH", str(changed_source(tmp_path, "errors.py", "", "7.0.0")))
    rows = installed.document("upgrade")
    assert {tuple(row["steps"]) for row in rows.values()} == {("send", "build", "upgrade", "health", "activate")}
    after = installed.document("status")
    assert {row["status"]["version"] for row in after.values()} == {"7.0.0"}
    assert {row["release"].rpartition("-")[0] for row in after.values()} == {"7.0.0"}
    assert [process(installed, name) for name in NAMES] == before
    assert "nothing was changed" in installed.run("upgrade")
    assert "nothing was changed" in installed.run("install")


def test_a_release_that_cannot_take_over_stops_at_the_first_wave(
    installed: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = releases(installed)
    source = changed_source(tmp_path, "daemon/runtime.py", "\nraise SystemExit('this version is broken')\n", "8.0.0")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(source))
        rows = installed.document("upgrade", code=1)
    assert rows["a"]["error"]["step"] == "upgrade"
    assert [rows[name]["error"]["kind"] for name in "bc"] == ["not-begun", "not-begun"]
    assert releases(installed) == before


def test_a_release_with_which_services_are_not_ready_is_put_back(
    installed: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, served = releases(installed), [process(installed, name) for name in NAMES]
    never = "\n_view = instance_view\n\n\ndef instance_view(i, now):\n    return {**_view(i, now), 'ready': False}\n"
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(changed_source(tmp_path, "core/services/status.py", never, "9.0.0")))
        rows = installed.document("upgrade", "--ready-within", "1s", code=1)
    assert rows["a"]["error"]["step"] == "await ready"
    assert f"release {before['a']} was put back" in rows["a"]["error"]["message"]
    assert [rows[name]["error"]["kind"] for name in "bc"] == ["not-begun", "not-begun"]
    assert releases(installed) == before
    assert {row["state"] for row in installed.document("status").values()} == {"ready"}
    assert [process(installed, name) for name in NAMES] == served


def test_a_host_without_a_connection_stops_no_wave(installed: Fleet) -> None:
    installed.hosts["a"].stop()
    try:
        installed.write(SERVICES + '[services.other]\ncommand = ["sleep", "1002"]\n')
        rows = installed.document("push", code=1)
        assert rows["a"]["error"]["kind"] == "unreachable"
        assert [rows[name]["steps"] for name in "bc"] == [["configure", "reload", "health"]] * 2
    finally:
        installed.hosts["a"].start()
    assert [row["steps"] != [] for row in installed.document("push").values()] == [True, False, False]
