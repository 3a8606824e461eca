"""`ls`: the daemons of this host, with doubles behind real sockets."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.daemons import look as looking
from supervisor.cli.daemons.look import look
from supervisor.cli.daemons.ls import cells
from supervisor.cli.main import main
from supervisor.client import Client
from supervisor.config.source import known_daemons
from supervisor.config.source.known_daemons import Known
from supervisor.errors import NoDaemon, OperationFailed
from tests.doubles.fake_client import view
from tests.doubles.fake_daemon import serve

ROWS = [view("redis"), view("web@1"), view("web@2", ready=False, state="starting"), view("off", goal="down", pid=None)]


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Known]:
    """A socket that takes connections, and no one reads them."""
    place = tmp_path / "silent"
    place.mkdir()
    (place / "lock").write_text("4242 17\n")
    (place / "source").write_text("1:2:3\n/srv/silent/services.toml\n")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{place}/control.sock")
        listening.listen(4)
        yield Known("silent", str(place))


def test_what_is_ready_is_told_of_those_that_should_be(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    with serve(f"{tmp_path}/run/control.sock", ROWS, file=str(file)) as pid:
        known = [Known("shop", f"{tmp_path}/run")]
        (found,) = look(known)
        assert (found["state"], found["pid"], found["ready"], found["wanted"]) == ("running", pid, 2, 3)
        assert found["file_exists"] is False
    assert look(known) == [], "it has left no trace, so it may have ended in order"


def test_one_that_does_not_answer_is_named_from_what_it_wrote(silent: Known) -> None:
    (found,) = look([silent], within=0.05)
    assert (found["name"], found["state"], found["pid"]) == ("silent", "no-answer", 4242)
    assert (found["file"], found["ready"], found["file_exists"]) == ("/srv/silent/services.toml", None, None)


def test_one_that_hangs_does_not_hold_up_the_others(silent: Known, tmp_path: Path) -> None:
    with serve(f"{tmp_path}/run/control.sock", ROWS):
        found = look([silent, Known("shop", f"{tmp_path}/run"), silent])
    assert [one["state"] for one in found] == ["no-answer", "running", "no-answer"]


@pytest.mark.parametrize(("ended", "states"), [(False, ["killed"]), (None, [])])
def test_one_that_did_not_end_in_order_was_killed(tmp_path: Path, ended: bool | None, states: list[str]) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid()} 1\n")  # of an earlier process with this number
    file = tmp_path / "services.toml"
    found = look([Known("shop", str(tmp_path), str(file), ended)])
    assert [one["state"] for one in found] == states
    assert all(one["pid"] is None and one["file_exists"] is False for one in found)


def test_one_that_starts_or_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "holder_lives", lambda _place: True)
    (tmp_path / "lock").write_text("77 1\n")
    (found,) = look([Known("shop", str(tmp_path))])
    assert (found["state"], found["pid"]) == ("starting", 77)


@pytest.mark.parametrize(("error", "states"), [(NoDaemon("denied"), []), (OperationFailed("no status"), ["no-answer"])])
def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, states: list[str]) -> None:
    def status(_client: Client) -> None:
        raise error

    monkeypatch.setattr(Client, "status", status)
    assert [one["state"] for one in look([Known("shop", str(tmp_path))])] == states


def test_a_directory_that_is_gone_is_left_out(tmp_path: Path) -> None:
    assert look([Known("shop", f"{tmp_path}/none", "/srv/services.toml", ended=False)]) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_nothing_in_a_directory_of_another_user_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    with serve(f"{tmp_path}/run/control.sock", ROWS):
        os.chown(tmp_path / "run", 12345, 12345)
        monkeypatch.setattr(Client, "status", lambda _client: asked.set())
        assert look([Known("shop", f"{tmp_path}/run", "/srv/services.toml", ended=False)]) == []
    assert not asked.is_set()


def test_active_profiles_are_noted(tmp_path: Path) -> None:
    daemon: Any = {"name": "shop", "pid": 7, "config": "/srv/services.toml", "profiles": ["dev", "full"]}
    one = looking._answered(Known("shop", str(tmp_path)), {"supervisor": daemon, "instances": ROWS})
    assert one["profiles"] == ["dev", "full"] and cells(one)[-1].endswith("profiles dev, full")


def test_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, silent: Known
) -> None:
    known = [Known("dead", str(tmp_path), "/srv/gone.toml", ended=False), Known("shop", f"{tmp_path}/run")]
    monkeypatch.setattr(known_daemons, "known_daemons", lambda: known)
    with serve(f"{tmp_path}/run/control.sock", ROWS) as pid:
        assert main(["ls"]) == 0
        head, dead, shop = capsys.readouterr().out.splitlines()
        assert main(["ls", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)["daemons"]
    assert head.split() == ["NAME", "PID", "READY", "FILE", "NOTE"]
    assert dead.split()[:4] == ["dead", "–", "–", "/srv/gone.toml"]
    assert dead.endswith("was killed; `status` shows what still runs, file is gone")
    assert shop.split()[1:] == [str(pid), "2/3", "/srv/shop/services.toml", "file", "is", "gone"]
    assert [one["state"] for one in listed] == ["killed", "running"]

    monkeypatch.setattr(known_daemons, "known_daemons", list)
    assert main(["ls"]) == 0
    told = capsys.readouterr()
    assert not told.out and "supervisor up -d" in told.err
