"""A member's own file and the version that was pushed: what comes from which, and where an error stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.config.compile import _version
from supervisor.config.load import load
from supervisor.config.pushed import Kept, kept
from supervisor.core.cluster.version_documents import DIRECTORY, VERSION, digest_of
from supervisor.core.model.spec import Plan
from supervisor.errors import ConfigError

OWN = """
[supervisor]
name = "demo"
max_concurrent_restarts = 3
[cluster]
hosts = "127.0.0.1:2181"
node = "a"
[services.web]
command = ["/bin/sleep", "1"]
"""
PUSHED = """
[supervisor]
max_concurrent_restarts = 9
[cluster]
node = "other"
[services.web]
command = ["/bin/sleep", "2"]
[services.more]
command = ["/bin/sleep", "3"]
"""


def planned(tmp_path: Path, pushed: str, own: str = OWN) -> Plan:
    (tmp_path / "services.toml").write_text(own)
    path = tmp_path / "7.toml"
    path.write_text(pushed)
    version = Kept(7, "d", str(path))
    return load(tmp_path / "services.toml", {"PATH": "/usr/bin:/bin"}, pushed=lambda _: version)


def test_services_come_from_the_version_and_the_host_from_its_own_file(tmp_path: Path) -> None:
    plan = planned(tmp_path, PUSHED)
    assert {spec.name: spec.command for spec in plan.services if not spec.name.startswith("cluster-")} == {
        "web": ("/bin/sleep", "2"), "more": ("/bin/sleep", "3"),
    }  # fmt: skip
    assert plan.cluster is not None and plan.cluster.node == "a" and plan.supervisor.max_concurrent_restarts == 3
    assert plan.path == str(tmp_path / "services.toml")
    assert plan.pushed is not None and (plan.pushed.number, plan.pushed.differs) == (7, True)
    same = planned(tmp_path, '[services.web]\ncommand = ["/bin/sleep", "1"]\n')
    assert same.pushed is not None and not same.pushed.differs


def test_an_error_is_told_with_the_file_in_which_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        planned(tmp_path, "[services.web]\ncomand = 1\n", OWN.replace("node", "nod"))
    assert f"{tmp_path}/7.toml:2: services.web.comand" in error.value.message
    assert f"{tmp_path}/services.toml:7: cluster.nod" in error.value.message


def test_without_a_cluster_or_a_version_the_file_is_read_as_it_is(tmp_path: Path) -> None:
    alone = planned(tmp_path, PUSHED, '[services.web]\ncommand = ["/bin/sleep", "1"]\n')
    assert alone.pushed is None and alone.services[0].command == ("/bin/sleep", "1")
    plan = load(tmp_path / "services.toml", {"PATH": "/bin"}, pushed=lambda _: None)
    assert plan.pushed is None


def test_the_version_that_a_host_keeps(tmp_path: Path) -> None:
    assert kept(str(tmp_path)) is None
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    record, text = directory / VERSION, directory / "7.toml"
    text.write_text(PUSHED)
    record.write_text(json.dumps({"number": 7, "digest": digest_of(PUSHED), "file": "7.toml"}))
    assert kept(str(tmp_path)) == Kept(7, digest_of(PUSHED), str(text))
    text.write_text(PUSHED + "#")
    assert kept(str(tmp_path)) is None, "it is damaged"
    text.write_text(PUSHED)
    record.write_text(json.dumps({"number": 0, "digest": digest_of(PUSHED), "file": "7.toml"}))
    assert kept(str(tmp_path)) is None, "it goes back to its own file"
    record.write_text("{}")
    assert kept(str(tmp_path)) is None


def test_which_version_is_compiled() -> None:
    assert _version(["services.toml"]) is kept
    assert _version(["services.toml", "--own-file"])("/state") is None
    assert _version(["services.toml", "--version", "7", "d", "/p"])("/state") == Kept(7, "d", "/p")


def test_a_version_is_one_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"7\.toml:1: include: what is pushed is one file"):
        planned(tmp_path, 'include = ["conf.d/*.toml"]\n' + PUSHED)


def test_the_files_of_the_host_are_not_read_where_a_version_was_pushed(tmp_path: Path) -> None:
    plan = planned(tmp_path, PUSHED, 'include = ["gone.toml"]\n' + OWN)
    assert plan.service("more") is not None and plan.pushed is not None and plan.pushed.differs
