"""The check before a reload that a command of a known program has."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.programs.book import recognized
from supervisor.programs.reload import ends_at_reload, reload_check


def check(*command: str) -> list[str] | None:
    found = recognized(command)
    assert found is not None
    return reload_check(found[0], command)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["nginx", "-c", "x"], ["nginx", "-t", "-c", "x"]),
        (["/usr/sbin/sshd", "-D", "-f", "x"], ["/usr/sbin/sshd", "-t", "-D", "-f", "x"]),
        (["php-fpm8.2", "-F", "-y", "x"], ["php-fpm8.2", "-t", "-F", "-y", "x"]),
        (["python", "-m", "gunicorn", "a:b"], ["python", "-m", "gunicorn", "--check-config", "a:b"]),
        (
            ["nice", "-n", "5", "haproxy", "-f", "x", "--", "y"],
            ["nice", "-n", "5", "haproxy", "-c", "-f", "x", "--", "y"],
        ),
        (["mosquitto", "-c", "x"], None),
        (["memcached"], None),
    ],
)
def test_a_check_by_the_program_itself(command: list[str], expected: list[str] | None) -> None:
    assert check(*command) == expected


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("unbound-checkconf", "nsd-checkconf", "promtool"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["unbound", "-d", "-c", "x"], ["unbound-checkconf", "x"]),
        (["unbound", "-d", "-cx"], ["unbound-checkconf", "x"]),
        (["unbound", "-d", "-c"], ["unbound-checkconf"]),
        (["unbound", "-d"], ["unbound-checkconf"]),
        (["nsd", "-d", "-c", "x"], ["nsd-checkconf", "x"]),
        (["nsd", "-d"], None),
        (["prometheus", "--config.file=x"], ["promtool", "check", "config", "x"]),
        (["prometheus", "--config.file", "x"], ["promtool", "check", "config", "x"]),
        (["prometheus", "--config.files=x"], None),
    ],
)
def test_a_check_by_another_program(command: list[str], expected: list[str] | None, tools: Path) -> None:
    assert check(*command) == expected


def test_a_program_that_is_not_installed_checks_nothing(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert check("unbound", "-d") is None
    assert check(f"{tools}/unbound", "-d") == [f"{tools}/unbound-checkconf"], "it is looked for beside it"


@pytest.mark.parametrize(
    ("name", "end"), [("sshd", "exit 255"), ("unbound", "exit 1"), ("nginx", ""), ("haproxy", ""), ("memcached", "")]
)
def test_how_a_broken_file_ends_it_at_a_reload(name: str, end: str) -> None:
    found = recognized([name])
    assert found is not None
    assert ends_at_reload(found[0]) == end
