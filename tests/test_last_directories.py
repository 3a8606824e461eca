"""Where a daemon of a file ran is known although the file is gone; only what this user wrote is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor import last_directories
from supervisor.last_directories import Locations, entry, forget, look_up, remember, runtime_root

FILE, PLACES = "/srv/ä\udcff/services.toml", Locations("shop", "/srv/r", "/srv/s", "/srv/ä\udcff/services.toml")


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(last_directories, "runtime_root", lambda env: f"{env['XDG_RUNTIME_DIR']}/supervisor")
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_what_is_remembered_is_found_until_it_is_forgotten(env: dict[str, str]) -> None:
    assert look_up(FILE, env) is None
    remember(PLACES, env)
    remember(PLACES, env)
    assert look_up(FILE, env) == PLACES
    assert look_up("/srv/other.toml", env) is None
    found = Path(entry(FILE, env))
    assert (found.stat().st_mode & 0o777, found.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(found.parent.iterdir()) == [found]
    forget(FILE, env)
    forget(FILE, env)
    assert look_up(FILE, env) is None


def test_files_with_the_same_checksum_do_not_answer_for_each_other(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zlib.crc32", lambda _: 7)
    remember(PLACES, env)
    assert look_up("/srv/other.toml", env) is None


@pytest.mark.parametrize("content", [b"", b"x", b"\0\0\0", FILE.encode(errors="surrogateescape") + b"\0a\0b"])
def test_garbage_is_nothing(env: dict[str, str], content: bytes) -> None:
    remember(PLACES, env)
    Path(entry(FILE, env)).write_bytes(content)
    assert look_up(FILE, env) is None


def test_what_others_could_have_written_is_not_believed(env: dict[str, str]) -> None:
    remember(PLACES, env)
    Path(entry(FILE, env)).chmod(0o666)
    assert look_up(FILE, env) is None
    Path(entry(FILE, env)).unlink()
    os.mkfifo(entry(FILE, env))
    assert look_up(FILE, env) is None
    Path(entry(FILE, env)).unlink()
    Path(entry(FILE, env)).parent.chmod(0o777)
    remember(PLACES, env)
    assert look_up(FILE, env) is None


def test_a_place_that_cannot_be_written_is_no_error(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "supervisor").write_text("")
    remember(PLACES, env)
    assert look_up(FILE, env) is None


def test_where_runtime_directories_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert runtime_root({"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/user/7/supervisor"
    assert runtime_root({}) == "/tmp/supervisor-7"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert runtime_root({"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/supervisor"


def test_all_that_have_not_ended_are_found_and_only_what_this_user_wrote(env: dict[str, str]) -> None:
    assert last_directories.not_ended(env) == []
    other = Locations("other", "/srv/o", "/srv/t", "/srv/other.toml")
    remember(PLACES, env)
    remember(other, env)
    assert sorted(last_directories.not_ended(env)) == [other, PLACES]
    Path(entry(other.file, env)).chmod(0o666)
    Path(entry(FILE, env)).with_suffix(".17").write_bytes(b"half written")
    assert last_directories.not_ended(env) == [PLACES]
    forget(FILE, env)
    assert last_directories.not_ended(env) == []
