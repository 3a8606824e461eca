"""Where each value of a service comes from: its own line, that of [defaults], or nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.config.definition import Row, definition

TEXT = """\
[defaults]
restart = { policy = "always", initial = "2s" }
environment = { A = "1" }
ready = { tcp = "127.0.0.1:1" }
stop_timeout = "3s"

[services.web]
command = ["sleep", "5"]
environment.TOKEN = "x"
restart.initial = "1s"
ready = { http = "http://127.0.0.1/", interval = "1s" }

[services.job]
command = "true"
type = "oneshot"

[[services.job.stop]]
signal = "TERM"
wait = "5s"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "services.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def rows(name: str) -> dict[str, Row]:
    found = definition("services.toml", name)
    assert found is not None
    assert len({row.key for row in found}) == len(found)
    return {row.key: row for row in found}


@pytest.mark.parametrize(
    ("service", "key", "value", "of", "line"),
    [
        ("web", "command", ["sleep", "5"], "service", 8),
        ("web", "environment.TOKEN", "x", "service", 9),
        ("web", "environment.A", "1", "defaults", 3),
        ("web", "restart.initial", "1s", "service", 10),
        ("web", "restart.policy", "always", "defaults", 2),
        ("web", "restart.maximum", "30s", "default", 0),
        ("web", "ready.http", "http://127.0.0.1/", "service", 11),
        ("web", "ready.timeout", "1s", "default", 0),
        ("web", "stop_timeout", "3s", "defaults", 5),
        ("web", "stop_signal", "TERM", "default", 0),
        ("web", "replicas", 1, "default", 0),
        ("job", "stop", [{"signal": "TERM", "wait": "5s"}], "service", 17),
        ("job", "type", "oneshot", "service", 15),
    ],
)
def test_a_value_and_its_line(service: str, key: str, value: object, of: str, line: int) -> None:
    assert rows(service)[key] == Row(key, value, of, "services.toml" if line else "", line)


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ("web", "ready.tcp"),  # its own probe replaces that of [defaults]
        ("web", "heartbeat.interval"),  # it has no heartbeat
        ("web", "resources.for"),
        ("job", "ready.tcp"),  # a oneshot has no readiness
        ("job", "stop_timeout"),  # its steps replace it
        ("job", "stop_signal"),
    ],
)
def test_a_key_that_does_not_hold_is_not_there(service: str, key: str) -> None:
    assert key not in rows(service)


def test_the_own_keys_come_first_in_the_order_of_lines() -> None:
    found = list(rows("web").values())
    assert [row.of for row in found] == sorted((row.of for row in found), key=["service", "defaults", "default"].index)
    assert [row.key for row in found][:5] == [
        "command", "environment.TOKEN", "restart.initial", "ready.http", "ready.interval",
    ]  # fmt: skip


def test_no_such_service() -> None:
    assert definition("services.toml", "wob") is None


def test_what_parents_and_included_files_give(folder: Path) -> None:
    (folder / "conf.d").mkdir()
    (folder / "conf.d/a.toml").write_text(
        '[services.more]\nextends = "middle"\nenvironment.B = "more"\nunset = ["stop_timeout"]\n'
        '[templates.base]\nenvironment = { B = "base", C = "base" }\nstop_timeout = "5s"\nnice = 3\n'
    )
    (folder / "services.toml").write_text(
        f'include = ["conf.d/*.toml"]\n[templates.middle]\nextends = "base"\ncommand = ["true"]\nnice = 4\n{TEXT}'
    )
    found = {key: row[2:] for key, row in rows("more").items() if row.line}
    assert found == {
        "extends": ("service", "conf.d/a.toml", 2),
        "environment.B": ("service", "conf.d/a.toml", 3),
        "unset": ("service", "conf.d/a.toml", 4),
        "command": ("templates.middle", "services.toml", 4),
        "nice": ("templates.middle", "services.toml", 5),
        "environment.C": ("templates.base", "conf.d/a.toml", 6),
        "environment.A": ("defaults", "services.toml", 8),
        "restart.policy": ("defaults", "services.toml", 7),
        "restart.initial": ("defaults", "services.toml", 7),
        "ready.tcp": ("defaults", "services.toml", 9),
    }
    assert rows("more")["stop_timeout"] == Row("stop_timeout", "10s", "default", "", 0)
    assert rows("web")["command"].line == 13
