from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.load import load
from supervisor.config.source import locate
from supervisor.config.source.project import default_name
from supervisor.errors import ConfigError
from supervisor.last_directories import Locations

SERVICE = '[services.a]\ncommand = "true"\n'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "app"),
        (SERVICE, "app"),
        ('[supervisor]\nname = "x"\n' + SERVICE, "x"),
        (SERVICE + '[supervisor]\nname = "x"', "x"),
        (SERVICE + ' [ supervisor ] # here\nname = "x"\n[supervisor.http]\nname = "y"', "x"),
        ('supervisor.name = "x"\n' + SERVICE, "x"),
        ('supervisor = { name = "x" }\n' + SERVICE, "x"),
        ('a = """\n[supervisor]\nname = "x"\n"""\n' + SERVICE, "app"),
        # and with errors elsewhere
        ('[supervisor]\nname = "x"\n[services.a', "x"),
        ('[supervisor]\nname = "x"\nother = 1\n[services]\na = """', "x"),
        ("[supervisor]\nname = 1\n", "app"),
        ('[supervisor]\nname = "a/b"\n', "app"),
        ("supervisor = 1\n", "app"),
        ('[supervisor]\r\nname = "\\u0078"\r\n[services.a]\r\n', "x"),
        ("[supervisor\n", "app"),
        ("[[[[", "app"),
    ],
)
def test_the_name_is_found(tmp_path: Path, text: str, name: str) -> None:
    file = tmp_path / "app" / "services.toml"
    file.parent.mkdir()
    file.write_text(text)
    assert locate.locations(file).name == (name if name == "x" else default_name(str(file)))


@pytest.mark.parametrize(
    ("root", "env", "runtime", "state"),
    [
        (True, {"XDG_RUNTIME_DIR": "/x"}, "/run/supervisor/app", "/var/lib/supervisor/app"),
        (
            False,
            {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/s"},
            "/run/user/7/supervisor/app",
            "/s/supervisor/app",
        ),
        (False, {}, "/tmp/supervisor-7/app", "/home/seven/.local/state/supervisor/app"),
    ],
)
def test_where_things_are_kept(
    monkeypatch: pytest.MonkeyPatch, root: bool, env: dict[str, str], runtime: str, state: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 7)
    monkeypatch.setenv("HOME", "/home/seven")
    file = "/srv/app/services.toml"
    assert locate.locate(file, {"name": "app"}, env) == ("app", runtime, state, file)


def test_given_directories_are_relative_to_the_file() -> None:
    table = {"runtime_dir": "run", "state_dir": "/${WHERE}"}
    assert locate.locate("/srv/app/services.toml", table, {"WHERE": "x"})[:3] == (
        "app",
        "/srv/app/run",
        "/x",
    )


def test_daemon_and_clients_agree(tmp_path: Path, env: dict[str, str]) -> None:
    file = tmp_path / "services.toml"
    file.write_text('[supervisor]\nname = "x"\nruntime_dir = "${HOME}/r"\n' + SERVICE)
    supervisor = load(file, env).supervisor
    assert locate.locations(file, env) == (
        supervisor.name,
        supervisor.runtime_dir,
        supervisor.state_dir,
        str(file),
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        locate.locations(tmp_path / "services.toml")


def test_the_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_wide = tmp_path / "etc.toml"
    monkeypatch.setattr(locate, "SYSTEM_WIDE", str(system_wide))
    monkeypatch.chdir(tmp_path)
    assert locate.default_path() == "services.toml"
    system_wide.touch()
    assert locate.default_path() == str(system_wide)
    Path("services.toml").touch()
    assert locate.default_path() == "services.toml"


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, two below `tmp_path`."""
    monkeypatch.setattr(locate, "SYSTEM_WIDE", f"{tmp_path}/etc.toml")
    monkeypatch.setattr(locate, "look_up", lambda *_: None)
    below = tmp_path / "app" / "src"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.delenv("PWD", raising=False)
    return below


def test_the_nearest_file_above_is_taken(tmp_path: Path, below: Path) -> None:
    (tmp_path / "etc.toml").touch()
    (tmp_path / "services.toml").touch()
    assert locate.default_path() == str(tmp_path / "services.toml"), "rather than the system-wide one"
    (below.parent / "services.toml").touch()
    assert locate.default_path() == str(below.parent / "services.toml")
    (below / "services.toml").touch()
    assert locate.default_path() == "services.toml"


def test_a_linked_folder_above_keeps_its_name(tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "current").symlink_to("app")
    (below.parent / "services.toml").touch()
    monkeypatch.setenv("PWD", f"{tmp_path}/current/src")
    assert locate.default_path() == str(tmp_path / "current" / "services.toml")


def test_a_daemon_whose_file_is_gone_is_not_taken_for_that_of_a_file_above(
    tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` would end another one."""
    (tmp_path / "services.toml").touch()
    known = Locations("src", "/r", "/s", f"{below}/services.toml")
    monkeypatch.setattr(locate, "look_up", lambda file, _env: known if file == known.file else None)
    assert locate.default_path() == "services.toml"


def test_a_directory_or_file_that_others_can_change_is_passed_over(tmp_path: Path, below: Path) -> None:
    (tmp_path / "services.toml").touch()
    near = below.parent / "services.toml"
    near.touch()
    for place, mode in ((below.parent, 0o1777), (below.parent, 0o777), (near, 0o666)):
        before = place.stat().st_mode
        place.chmod(mode)
        assert locate.default_path() == str(tmp_path / "services.toml")
        place.chmod(before)
    assert locate.default_path() == str(near)
    near.unlink()
    near.mkdir()
    assert locate.default_path() == str(tmp_path / "services.toml")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_what_another_user_owns_is_passed_over_unless_he_is_trusted(
    tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services.toml").touch()
    near = below.parent / "services.toml"
    near.touch()
    for place in (near, below.parent):
        os.chown(place, 12345, 12345)
        monkeypatch.delenv("SUPERVISOR_TRUSTED_USERS", raising=False)
        assert locate.default_path() == str(tmp_path / "services.toml")
        monkeypatch.setenv("SUPERVISOR_TRUSTED_USERS", "12345")
        assert locate.default_path() == str(near)
        os.chown(place, 0, 0)
    monkeypatch.delenv("SUPERVISOR_TRUSTED_USERS")
    near.unlink()
    (tmp_path / "foreign").touch()
    near.symlink_to(tmp_path / "foreign")
    os.chown(tmp_path / "foreign", 12345, 12345)
    assert locate.default_path() == str(tmp_path / "services.toml")


def test_the_search_ends_at_the_border_of_the_file_system(
    tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services.toml").touch()
    real = os.stat

    def other_device(path: str, **options: bool) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if path == str(below.parent) else found

    monkeypatch.setattr(os, "stat", other_device)
    assert locate.default_path() == "services.toml"


def test_a_current_directory_that_is_gone_has_nothing_above_it(below: Path) -> None:
    below.rmdir()
    assert locate.default_path() == "services.toml"


def test_it_needs_none_of_the_heavy_modules() -> None:
    code = (
        "import sys, supervisor.config.source.locate;"
        " print({'pydantic', 'pydantic_core', 'click', 'json'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_a_relative_path_begins_where_the_shell_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that `current`, a link that moves between releases, stays one project."""
    release, current = tmp_path / "releases" / "1", tmp_path / "current"
    release.mkdir(parents=True)
    current.symlink_to(release)
    monkeypatch.chdir(release)
    monkeypatch.setenv("PWD", str(current))
    assert locate.absolute("services.toml") == str(current / "services.toml")
    assert locate.absolute("../x.toml") == str(tmp_path / "x.toml")
    for outdated in (str(tmp_path), f"{current}/", "releases/1", "", f"{tmp_path}/gone"):
        monkeypatch.setenv("PWD", outdated)
        assert locate.absolute("services.toml") == str(release / "services.toml")


def test_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="current directory no longer exists"):
        locate.absolute("services.toml")
    assert locate.absolute("/x/services.toml") == "/x/services.toml"


PLAIN_LINES = st.sampled_from(
    [
        "", "  # a comment", "\t", 'name = "x"', "name = 'x' # y", "state_dir=\"/s p\"", 'name = "a\\u0041"',
        "wait_ready = true",
        "max_concurrent_restarts = 12#", "max_concurrent_restarts = 012", "a.b = 1", '"name" = "x"', "name = x", "name",
        'name = "x" y', "name = \"a", "name = [", "]", "[services.a]", "[supervisor.http]", "x_-1 = false", "x = +1",
        "name = \"\x01\"", "name = \"\t\"", "= 1", "x = 1\r", "\rx = 1", "é = 1", "x = 1_0", "x = ²", 'name = ""',
    ]
)  # fmt: skip


@given(st.lists(PLAIN_LINES, max_size=2), st.lists(PLAIN_LINES, max_size=4), st.sampled_from(["", " ", " # x", " x"]))
def test_what_is_read_without_a_parser_is_what_the_parser_reads(head: list[str], body: list[str], after: str) -> None:
    section = locate._own_lines("\n".join([*head, f"[ supervisor ]{after}", *body]))
    found = locate._plain_values(section)
    if found is not None:
        assert tomllib.loads("\n".join([*section, ""])).get("supervisor", {}) == found


def test_a_usual_file_is_read_without_a_parser() -> None:
    text = '# mine\n\n[supervisor]  # all optional\nname = "x"\nwait_ready = true\r\n\n[services.a]\ncommand = ["b"]\n'
    assert locate._plain_values(locate._own_lines(text)) == {"name": "x", "wait_ready": True}
    assert locate._plain_values(locate._own_lines('[services.a]\ncommand = ["b"]\n')) == {}
