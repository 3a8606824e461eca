"""The book of programs: its files are whole, agree with what was seen, and are found by the commands of users."""

from __future__ import annotations

import signal
import tomllib
from pathlib import Path

import pytest

from supervisor.programs.book import BOOK, has_option, read, recognized
from supervisor.programs.recognition import program_words
from supervisor.programs.reload import FILE, OPTIONAL_FILE

FILES = sorted(BOOK.glob("*.toml"))
KEYS = {
    "foreground": {"one_of", "none_of", "file", "with", "value", "first", "instead"},
    "ready": {"needs", "instead"},
    "heartbeat": {"above", "instead"},
    "stop": {"signal", "timeout", "command", "because", "with", "but", "file"},
    "reload": {"signal", "means", "check", "file"},
}
SEEN = {"version", "source", "on", "start", "stop", "hangup"}
SEEN_SOMETIMES = {"child_ended", "reload", "broken_start", "broken_reload", "background", "sockets"}


def test_no_two_files_have_one_name() -> None:
    names = [name for path in FILES for name in read(path).names]
    assert len(names) == len(set(names)) >= 90


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_the_book(path: Path) -> None:
    first, *_ = path.read_text().splitlines()
    table = tomllib.loads(path.read_text())
    assert tomllib.loads(first) == {"names": table["names"]}, "names are looked for in the first line alone"
    assert set(table) <= {"names", "title", "application", "once", "seen", "ends", "needs", *KEYS}
    for key, known in KEYS.items():
        assert set(table.get(key, ())) <= known
    for need in table.get("needs", ()):
        assert {"option", "because"} <= set(need) <= {"option", "because", "with", "file"}
    for end in table.get("ends", ()):
        assert {"code", "means"} <= set(end) <= {"code", "means", "with", "but", "policy"}
        assert not end["means"].endswith(".")
    assert set(table["seen"]) >= SEEN and set(table["seen"]) <= SEEN | SEEN_SOMETIMES
    for name in {table.get(key, {}).get("signal") for key in ("stop", "reload")} - {None}:
        assert hasattr(signal, f"SIG{name}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_advice_follows_from_what_was_seen(path: Path) -> None:
    program = read(path)
    seen = program.seen
    if program.foreground and "background" in seen:
        leaves = seen["background"].startswith("exit 0, ") and not seen["background"].endswith(" 0 left")
        # It may stay with NOTIFY_SOCKET, which a service without notify does not get.
        assert leaves or seen["background"] == "stays"
    if program.ready.get("needs"):
        assert program.notifies
    if "above" in program.heartbeat:
        assert program.beats
    if program.reload:
        assert seen["reload"].startswith("goes on")
    if check := program.reload.get("check", "").split():
        own, file = check[0] in program.names, {FILE, OPTIONAL_FILE} & set(check)
        assert bool(file) is ("file" in program.reload) and not (own and file), "its own gets all arguments"
        assert len(check) > 1
    if program.stop:
        assert {"signal", "timeout", "command"} & set(program.stop) and "because" in program.stop
        ended = seen["stop"][program.stop.get("signal", "TERM")]
        assert ended.endswith(" left") if "command" in program.stop else ended.startswith("exit 0")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/usr/sbin/nginx", "-g", "daemon off;"], ("nginx", "-g", "daemon off;")),
        (["php-fpm8.2", "-F"], ("php-fpm", "-F")),
        (["python3", "-m", "gunicorn", "app:app"], ("gunicorn", "app:app")),
        (["/venv/bin/python3.11", "-u", "-W", "ignore", "/venv/bin/celery", "worker"], ("celery", "worker")),
        (["python", "-m", "uvicorn.main", "a:b"], ("uvicorn", "a:b")),
        (["python", "serve.py"], ("serve",)),
        (["python", "-c", "import gunicorn"], ()),
        (["python"], ()),
        (["env", "-i", "A=1", "redis-server"], ("redis-server",)),
        (["env", "--", "redis-server"], ("redis-server",)),
        (["nice", "-n", "5", "tini", "--", "haproxy", "-Ws"], ("haproxy", "-Ws")),
        (["bundle", "exec", "puma", "-C", "x"], ("puma", "-C", "x")),
        (["ruby", "-I", "lib", "bin/puma"], ("puma",)),
        (["java", "-Xmx1g", "-cp", "a:b", "org.apache.QuorumPeerMain", "c"], ("QuorumPeerMain", "c")),
        (["java", "-jar", "app.jar"], ("java", "-jar", "app.jar")),
        (["java"], ("java",)),
        (["sh", "-c", "nginx"], ("sh", "-c", "nginx")),
        (["7"], ("7",)),
        ([], ()),
        (["env"], ()),
    ],
)
def test_the_program_of_a_command(command: list[str], words: tuple[str, ...]) -> None:
    assert program_words(command) == words


@pytest.mark.parametrize(
    ("arguments", "option", "given"),
    [
        (["-F"], "-F", True),
        (["--workers", "2"], "--workers", True),
        (["--workers=2"], "--workers", True),
        (["--workers-max"], "--workers", False),
        (["-g", "daemon off; worker_processes 2;"], "-g daemon off;", True),
        (["-g", "worker_processes 2;"], "-g daemon off;", False),
        (["--daemonize=no"], "--daemonize yes", False),
        (["--daemonize", "yes"], "--daemonize yes", True),
        (["x-F"], "-F", False),
        (["-g"], "-g daemon off;", False),
        (["--daemon=no"], "--daemon", False),
        (["--daemon=yes"], "--daemon", True),
    ],
)
def test_an_option_is_given(arguments: list[str], option: str, given: bool) -> None:
    assert has_option(arguments, option) is given


@pytest.mark.parametrize(
    "command",
    [
        ["nginx", "-t"],
        ["nice", "-n", "5", "nginx", "-qt"],
        ["nginx", "-s", "reload"],
        ["redis-server", "--version"],
        ["postgres", "--single", "-D", "data", "main"],
        ["haproxy", "-c", "-f", "haproxy.cfg"],
        ["rsyslogd", "-N1"],
        ["supervisord", "-v"],
        ["caddy", "validate"],
        ["python", "-m", "gunicorn", "app:app", "--check-config"],
    ],
)
def test_a_command_that_does_one_thing_and_ends_is_not_in_the_book(command: list[str]) -> None:
    assert recognized(command) is None


@pytest.mark.parametrize(
    "command",
    [
        ["haproxy", "-Ws"],
        ["caddy", "run", "--config", "validate"],
        ["caddy", "reverse-proxy", "--to", ":90"],
        ["postgres", "-c", "port=1"],
        ["redis-server", "--port", "1"],
    ],
)
def test_a_command_that_goes_on_is_in_the_book(command: list[str]) -> None:
    assert recognized(command) is not None


@pytest.mark.parametrize("name", [name for path in FILES for name in read(path).names])
def test_each_name_finds_its_file(name: str) -> None:
    found = recognized([name])
    assert found is not None and name in found[0].names


def test_another_program_is_not_in_the_book() -> None:
    assert recognized(["my-own-server"]) is None
    assert recognized(["mariadb", "-e", "select 1"]) is None, "the client is not the server"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (
            ["haproxy", "-Ws"],
            0,
            [
                "HAProxy's master exits 0 also where its worker alone was sent TERM",
                "HAProxy exits 0 when it is sent TERM",
            ],
        ),
        (["php-fpm8.2", "-F"], 78, ["PHP-FPM exits 78 where it cannot read its configuration, also at a reload"]),
        (["nginx"], 1, ["nginx exits 1 where it cannot read its configuration"]),
        (["node", "api.js"], 1, ["Node.js exits 1 where it cannot load or run its application"]),
        (["nginx"], 0, ["nginx exits 0 when it is sent TERM, INT or QUIT"]),
        (["nginx"], 3, []),
    ],
)
def test_what_an_exit_code_may_mean(command: list[str], code: int, said: list[str]) -> None:
    found = recognized(command)
    assert found is not None
    assert list(found[0].meanings(code, found[1])) == said
