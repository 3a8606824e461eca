"""The runtime directories of all daemons that a user may see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.config.source import known_daemons
from supervisor.config.source.known_daemons import Known
from supervisor.last_directories import FOLDER, Locations


def test_usual_places_and_what_was_written_down_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "supervisor"
    for name in ("shop", "blog", FOLDER):
        (root / name).mkdir(parents=True)
    (root / "file").touch()
    (root / "link").symlink_to(root / "shop")
    shop = Locations("shop", f"{root}/shop", "/s", "/srv/shop/services.toml")
    away = Locations("away", "/srv/away/run", "/s", "/srv/away/services.toml")
    monkeypatch.setattr(known_daemons, "not_ended", lambda _env: [shop, away])
    monkeypatch.setattr(known_daemons, "_roots", lambda _env: [f"{tmp_path}/none", str(root)])
    assert known_daemons.known_daemons({}) == [
        Known("away", "/srv/away/run", "/srv/away/services.toml", ended=False),
        Known("blog", f"{root}/blog"),
        Known("shop", f"{root}/shop", "/srv/shop/services.toml", ended=False),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_a_root_of_another_user_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.setattr(known_daemons, "not_ended", lambda _env: [])
    monkeypatch.setattr(known_daemons, "_roots", lambda _env: [str(tmp_path)])
    assert known_daemons.known_daemons({}) != []
    os.chown(tmp_path, 12345, 12345)
    assert known_daemons.known_daemons({}) == []


def test_a_user_has_directories_with_and_without_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    roots = ["/run/user/1000/supervisor", "/tmp/supervisor-1000", "/run/supervisor"]
    assert known_daemons._roots({"XDG_RUNTIME_DIR": "/run/user/1000"}) == roots
    assert set(known_daemons._roots({})) == set(roots)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert known_daemons._roots({}) == ["/run/supervisor"]
