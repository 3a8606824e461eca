"""The names of accounts, from a file like /etc/passwd."""

from __future__ import annotations

from pathlib import Path

from supervisor.adapters.linux.accounts import account_name


def test_the_first_account_with_that_number(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(
        b"# comment\nroot:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:\nweb:x:70:70::/srv:\n+::\n\xff:x:5:5::/:\n"
    )
    assert [account_name(uid, str(passwd)) for uid in (0, 70, 7, 5)] == ["root", "web", None, "�"]


def test_no_file_no_names(tmp_path: Path) -> None:
    assert account_name(0, str(tmp_path / "none")) is None


def test_the_accounts_of_this_host() -> None:
    assert account_name(0) == "root"
