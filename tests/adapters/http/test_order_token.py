"""The file with the token of the web view's orders."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from supervisor.adapters.http.order_token import OrderToken
from supervisor.errors import OperationFailed


def test_only_its_owner_reads_it_and_each_start_makes_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "web.token"
    first = OrderToken(str(tmp_path))
    old = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(old) >= 43
    assert first.fits(old) and first.fits(f" {old}\n")
    assert not first.fits(old[:-1]) and not first.fits("") and not first.fits("é" + old)
    second = OrderToken(str(tmp_path))
    new = path.read_text().strip()
    assert new != old
    assert second.fits(new) and not second.fits(old)


def test_an_upgrade_keeps_it_and_a_file_without_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "web.token"
    OrderToken(str(tmp_path))
    old = path.read_text()
    assert OrderToken(str(tmp_path), keep=True).fits(old)
    assert path.read_text() == old
    for bad in ("", "short", "\xff" * 40):
        path.write_text(bad, encoding="latin-1")
        token = OrderToken(str(tmp_path), keep=True)
        assert not token.fits(bad) or bad == ""
        assert token.fits(path.read_text())
    path.unlink()
    assert OrderToken(str(tmp_path), keep=True).fits(path.read_text())
    path.unlink()
    path.mkdir()
    with pytest.raises(OperationFailed, match="cannot be written"):
        OrderToken(str(tmp_path), keep=True)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x" * 50)
    (tmp_path / "web.token").symlink_to(other)
    token = OrderToken(str(tmp_path), keep=True)
    assert other.read_text() == "x" * 50
    assert not token.fits("x" * 50)
    assert not (tmp_path / "web.token").is_symlink()


def test_the_group_of_the_control_socket_reads_it_too(tmp_path: Path) -> None:
    path = tmp_path / "web.token"
    OrderToken(str(tmp_path), os.getegid())
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o640, os.getegid())


def test_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "web.token"
    token = OrderToken(str(tmp_path))
    path.unlink()
    token.write()
    assert token.fits(path.read_text())
