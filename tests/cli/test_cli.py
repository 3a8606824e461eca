"""The commands, with a double of the daemon behind the real socket."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from supervisor.cli import fast_path
from supervisor.cli.commands import SECTIONS
from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.events import event_line
from supervisor.cli.main import main
from tests.doubles import fake_client
from tests.doubles.fake_client import view
from tests.doubles.fake_daemon import StandIn, serve

JSON = dict[str, Any]
CALM = [view("redis"), view("web@1", group="front"), view("web@2", group="front")]
LINES: dict[str, list[tuple[float | None, str]]] = {
    "redis": [(1000.0, "redis: one"), (1002.0, "redis: two"), (1004.0, "redis: three")],
    "web@1": [(1001.0, "GET /a 200"), (None, "  continued"), (1003.0, "GET /b 500")],
}


class Run:
    """The outcome of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Supervisor = Callable[..., Run]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SUPERVISOR_SOCKET", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return f"{tmp_path}/run/control.sock"


@pytest.fixture
def supervisor(capsys: pytest.CaptureFixture[str], path: str, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.setenv("SUPERVISOR_SOCKET", path)

    def run(*arguments: str) -> Run:
        code = main(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Run(code, captured.out, captured.err)

    return run


@pytest.fixture
def shop(path: str) -> Iterator[int]:
    with serve(path, fake_client.twelve(), events=fake_client.events(), lines=LINES) as pid:
        yield pid


@pytest.fixture
def calm(path: str) -> Iterator[int]:
    with serve(path, CALM, lines=LINES) as pid:
        yield pid


# -- finding the daemon ----------------------------------------------------------------------------------------------

NEEDS_DAEMON = ["status", "start", "stop", "restart", "signal", "reset", "logs", "down", "reload", "upgrade", "top"]


@pytest.mark.parametrize("command", NEEDS_DAEMON)
def test_no_daemon_is_exit_5_with_a_way_out(supervisor: Supervisor, path: str, command: str) -> None:
    run = supervisor(command)
    assert run.code == 5
    assert path in run.err
    assert "supervisor up -d" in run.err
    assert not run.out


def test_nowhere_to_look_is_exit_2(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_SOCKET")
    run = supervisor("status")
    assert run.code == 2
    assert "services.toml does not exist" in run.err
    assert "--socket" in run.err


def test_socket_is_found_through_the_file(supervisor: Supervisor, tmp_path: Path, path: str) -> None:
    file = tmp_path / "services.toml"
    file.write_text(f'[supervisor]\nruntime_dir = "{tmp_path}/run"\n[services.a]\ncommand = "a"\n')
    os.environ.pop("SUPERVISOR_SOCKET")
    with serve(path, CALM, lines=LINES, file=str(file)):
        assert supervisor("status").code == 0
        assert supervisor("status", "-f", str(file)).code == 0
        assert supervisor("-f", str(file), "logs", "redis").code == 0
        assert supervisor("logs", "--file", str(file), "redis").code == 0


@pytest.mark.parametrize(("command", "named"), [("stop redis", True), ("restart redis", True), ("status", False)])
def test_a_file_above_is_found_and_named_where_the_command_acts(
    supervisor: Supervisor, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch, command: str, named: bool
) -> None:
    file = tmp_path / "services.toml"
    file.write_text(f'[supervisor]\nruntime_dir = "{tmp_path}/run"\n[services.a]\ncommand = "a"\n')
    os.environ.pop("SUPERVISOR_SOCKET")
    below = tmp_path / "src" / "app"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with serve(path, CALM, file=str(file)):
        run = supervisor(*command.split())
        assert run.code == 0
        assert run.err == (f"using {file}, above the current directory\n" if named else "")
        assert not supervisor(*command.split(), "-f", str(file)).err, "it was named by the user"


EVERY = [
    "status", "status --watch", "start", "stop redis", "restart", "restart --no-wait", "reset", "signal redis", "logs",
    "logs -f", "events", "events -f", "why redis", "report", "down", "reload", "reload --dry-run", "upgrade", "up",
    "up -d", "top",
]  # fmt: skip


@pytest.mark.parametrize("arguments", EVERY)
def test_no_command_reaches_the_daemon_of_another_file(
    supervisor: Supervisor, tmp_path: Path, calm: int, arguments: str
) -> None:
    """Two folders have the same [supervisor] name: nothing is shown, stopped or called done."""
    file = tmp_path / "services.toml"
    file.write_text(f'[supervisor]\nruntime_dir = "{tmp_path}/run"\n[services.a]\ncommand = "a"\n')
    os.environ.pop("SUPERVISOR_SOCKET")
    run = supervisor(*arguments.split())
    assert (run.code, run.out) == (2, "")
    assert f"this daemon runs /srv/shop/services.toml, not {file}\n  Use -f /srv/shop/services.toml" in run.err
    socket = f"{tmp_path}/run/control.sock"
    assert supervisor("status", "--socket", socket).out.count("running") == len(CALM)


def test_file_on_the_command_line_outdoes_the_environment(supervisor: Supervisor, tmp_path: Path, calm: int) -> None:
    (tmp_path / "other.toml").write_text('[supervisor]\nruntime_dir = "elsewhere"\n')
    assert supervisor("status").code == 0
    run = supervisor("status", "-f", "other.toml")
    assert run.code == 5
    assert "elsewhere/control.sock" in run.err


@pytest.mark.parametrize("arguments", [["status"], ["start"], ["stop"], ["logs"], ["events"], ["reset"], ["signal"]])
def test_no_such_service_is_exit_4_with_the_nearest(supervisor: Supervisor, shop: int, arguments: list[str]) -> None:
    run = supervisor(*arguments, "rediss")
    assert run.code == 4
    assert "'rediss'" in run.err
    assert "redis" in run.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["stop", "web*"], ["web@1", "web@2"]),
        (["restart", "all"], ["redis", "web@1", "web@2"]),
        (["reset", "front:*"], ["web@1", "web@2"]),
        (["signal", "*@2"], ["web@2"]),
    ],
)
def test_patterns_are_taken_where_names_are(
    supervisor: Supervisor, calm: int, arguments: list[str], names: list[str]
) -> None:
    run = supervisor(*arguments)
    assert run.code == 0
    assert {line.split()[0] for line in run.out.splitlines()} == set(names)
    status = supervisor("status", arguments[-1]).out.splitlines()
    assert [line.split()[0] for line in status[1:]] == names
    assert supervisor("logs", arguments[-1]).code == 0
    assert supervisor("why", arguments[-1]).code == 0


@pytest.mark.parametrize("command", ["status", "stop", "logs", "why", "events", "wait"])
def test_a_pattern_without_a_match_is_exit_4_with_the_nearest(supervisor: Supervisor, calm: int, command: str) -> None:
    run = supervisor(command, "rediss*")
    assert run.code == 4 and "redis" in run.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stat"], "Did you mean start or status?"),
        (["upp"], "Did you mean up?"),
        (["strat", "web"], "start"),
        (["status", "--jsn"], "--json"),
        (["logs", "--grep", "("], "not a regular expression"),
        (["events", "-n", "many"], "'many' is not a valid whole number"),
        (["logs", "--since", "soon"], "is not a time"),
        (["logs", "-n", "many"], "'many' is not a valid whole number"),
        (["stop", "--timeout", "5"], "is not a duration"),
        (["run", "--log-format", "xml"], "human"),
        (["completion", "tcsh"], "bash"),
        (["why"], "SERVICE"),
        (["maintenance", "web"], "There is no command 'web'; write supervisor maintenance on | off."),
        (["prometheus"], "no command"),
    ],
)
def test_usage_errors_are_exit_2(supervisor: Supervisor, shop: int, arguments: list[str], says: str) -> None:
    run = supervisor(*arguments)
    assert run.code == 2
    assert says in run.err


COMMANDS = [name for section in SECTIONS.values() for name in section]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(supervisor: Supervisor, command: str) -> None:
    run = supervisor(command, "--help")
    assert run.code == 0
    assert f"supervisor {command}" in run.out


@pytest.mark.parametrize("group", [[], ["detectors"]])
def test_help_has_one_whole_line_for_each_command(
    supervisor: Supervisor, group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = supervisor(*group, "--help").out
    listed = [line for line in out.splitlines() if re.match(r"  [a-z]+  +[A-Z]", line) and "supervisor" not in line]
    assert len(listed) == (2 if group else len(COMMANDS))
    assert all(line.endswith(".") and not line.endswith("...") for line in listed), listed


@pytest.mark.parametrize("command", [*[[c] for c in COMMANDS], ["detectors", "tune"], ["detectors", "compare"]])
def test_help_gives_an_example_and_the_common_options_last(supervisor: Supervisor, command: list[str]) -> None:
    out = supervisor(*command, "--help").out
    assert "Example" in out
    options = [line.strip() for line in out.partition("Options:")[2].splitlines() if re.match(r"  -", line)]
    common = [n for n, line in enumerate(options) if re.search(r"--file|--socket|--color|--help", line)]
    assert common == list(range(len(options) - len(common), len(options)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "paints"), [("xterm-256color", True), ("dumb", False)])
def test_a_dumb_terminal_is_not_painted(monkeypatch: pytest.MonkeyPatch, term: str, paints: bool) -> None:
    monkeypatch.setenv("TERM", term)
    assert on_terminal(Terminal()) is paints
    assert on_terminal(io.StringIO()) is False


def test_help_lists_every_command(supervisor: Supervisor) -> None:
    out = supervisor("--help").out
    for section, names in SECTIONS.items():
        assert section in out
        for name in names:
            assert f"  {name} " in out


# -- status ----------------------------------------------------------------------------------------------------------


def test_status_in_columns(supervisor: Supervisor, shop: int) -> None:
    run = supervisor("status")
    head, *rows = run.out.splitlines()
    assert head.split() == ["NAME", "STATE", "READY", "PID", "UPTIME", "RESTARTS", "CPU%", "MEMORY", "PHI", "NOTE"]
    assert len(rows) == 12
    found = {row.split()[0]: row for row in rows}
    assert found["web@3"].split() == ["web@3", "running", "yes", "4433", "41s", "1", "13.1", "97.0M", "0.22"]
    assert found["mailer"].endswith("exited with code 1; next try in 4.2s")
    assert found["importer"].endswith("killed by SIGSEGV; breaker open, next try in 42s")
    assert found["maintenance-page"].endswith("connection refused, fails in 29s")
    assert found["reports"].endswith("SIGKILL in 7.0s")
    assert len({row.index(" running ") for row in rows if " running " in row}) == 1
    assert "\x1b" not in run.out


def test_status_exit_code_says_whether_all_is_up(supervisor: Supervisor, shop: int) -> None:
    assert supervisor("status").code == 3
    assert supervisor("status", "--json").code == 3
    assert supervisor("status", "web", "migrate", "reports").code == 0
    assert supervisor("status", "mailer").code == 3


def test_status_as_json(supervisor: Supervisor, shop: int) -> None:
    answer = json.loads(supervisor("status", "--json", "front").out)
    assert [row["name"] for row in answer["instances"]] == ["web@1", "web@2", "web@3"]
    assert answer["supervisor"]["pid"] == shop


def test_status_tells_of_a_target_that_cannot_be_met(supervisor: Supervisor, path: str) -> None:
    target = {
        "detect_within_s": 5.0, "max_false_restarts_per_30d": 1.0, "false_restarts_per_30d": 3.0, "needs_s": 7.2,
        "feasible": False, "sure": True,
    }  # fmt: skip
    rows = [view("a", target=target), view("b", target=target | {"sure": False}), view("c")]
    with serve(path, rows):
        told = {line.split()[0]: line for line in supervisor("status").out.splitlines()}
        assert json.loads(supervisor("status", "--json", "a").out)["instances"][0]["target"] == target
    assert told["a"].endswith("5 s gives about 3/30d; 1/30d needs 7.2 s of silence")
    assert not told["b"].endswith("silence")
    assert not told["c"].endswith("silence")


def test_status_of_hostile_texts(supervisor: Supervisor, path: str) -> None:
    with serve(path, [view("a", status="\x1b]0;owned\x07\nb  running")]):
        lines = supervisor("status").out.splitlines()
    assert len(lines) == 2
    assert "\x1b" not in lines[1]


def test_status_imports_no_face(shop: int, path: str) -> None:
    code = (
        "import sys; from supervisor.cli.main import main; main(['status', 'redis', 'mailer']);"
        "heavy = {'rich', 'textual', 'pydantic', 'pydantic_core', 'asyncio', 'psutil', 'h11'};"
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    env = dict(os.environ, SUPERVISOR_SOCKET=path)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_status_watch_as_json_goes_on(supervisor: Supervisor, path: str) -> None:
    with serve(path, [view("a", "stopped", goal="down", ready=False)]):
        with started("status", "--watch", "--json", path=path) as watching:
            states = [json.loads(watching.line())["instances"][0]["state"]]
            supervisor("start", "--no-wait", "a")
            while states[-1] != "running":
                states.append(json.loads(watching.line())["instances"][0]["state"])
    assert states[0] == "stopped"
    assert "starting" in states


# -- acting ----------------------------------------------------------------------------------------------------------


def state_of(supervisor: Supervisor, name: str) -> str:
    row = json.loads(supervisor("status", "--json", name).out)["instances"][0]
    return str(row["state"])


def test_start_returns_when_ready(supervisor: Supervisor, shop: int) -> None:
    run = supervisor("start", "mailer", "debug-shell")
    assert run.code == 0
    lines = run.out.splitlines()
    assert {"mailer  ready", "debug-shell  ready", "mailer  starting: not ready yet"} <= set(lines)
    assert lines[-1].endswith("  ready")
    assert state_of(supervisor, "mailer") == "running"


def test_start_that_fails_is_exit_1_with_the_reason(supervisor: Supervisor, path: str) -> None:
    with serve(path, CALM, broken=["web@1"]):
        run = supervisor("start")
    assert run.code == 1
    assert "web@1: exited with code 3; breaker open" in run.err
    assert "supervisor why web@1" in run.err
    assert "redis  ready" in run.out


def test_stop_returns_when_gone(supervisor: Supervisor, calm: int) -> None:
    run = supervisor("stop", "front")
    assert run.code == 0
    assert run.out.splitlines()[-2:] == ["web@1  stopped", "web@2  stopped"]
    assert "SIGKILL in 10s" in run.out
    assert state_of(supervisor, "web@1") == "stopped"
    assert state_of(supervisor, "redis") == "running"


def test_stop_gives_up_after_its_timeout(supervisor: Supervisor, path: str) -> None:
    with serve(path, CALM, stubborn=["web@2"]):
        run = supervisor("stop", "web", "--timeout", "2s")
    assert run.code == 1
    assert "web@1  stopped" in run.out
    assert "web@2: not done within 2 s: still stopping" in run.err


def test_restart_waits_for_the_next_incarnation(supervisor: Supervisor, calm: int) -> None:
    assert supervisor("restart", "redis").code == 0
    row = json.loads(supervisor("status", "--json", "redis").out)["instances"][0]
    assert (row["incarnation"], row["state"]) == (2, "running")


@pytest.mark.parametrize("wait", [[], ["--no-wait"]])
def test_an_order_that_concerns_nothing_says_so(supervisor: Supervisor, path: str, wait: list[str]) -> None:
    with serve(path, []):
        assert supervisor("restart", *wait).out == "nothing to restart: all are stopped; use `supervisor start`\n"
        assert (
            supervisor("start", *wait).out == "nothing to start: all services with autostart are up; name the others\n"
        )
        assert supervisor("reset", *wait).out == "nothing to reset: no service is configured\n"


def test_no_wait_returns_at_once(supervisor: Supervisor, path: str) -> None:
    with serve(path, CALM, stubborn=["web@2"]):
        run = supervisor("stop", "--no-wait", "web")
    assert (run.code, run.out.split()) == (0, ["web@1", "web@2"])


def test_reset_starts_what_waited(supervisor: Supervisor, shop: int) -> None:
    assert supervisor("reset", "importer", "redis").code == 0
    assert state_of(supervisor, "importer") == "running"


def test_signal(supervisor: Supervisor, shop: int) -> None:
    assert supervisor("signal", "-s", "HUP", "redis", "mailer").out == "redis  HUP sent\n"
    assert supervisor("signal", "-s", "USR1", "front").out.count("USR1 sent") == 3
    assert supervisor("signal", "-s", "NONE", "redis").code == 2
    assert supervisor("signal", "mailer").code == 1


def test_reload(supervisor: Supervisor, shop: int) -> None:
    run = supervisor("reload", "--dry-run")
    assert run.out.splitlines() == [
        "+ new",
        "- old",
        "~ web  environment (restarted)",
        "! supervisor.http.listen  takes effect when the daemon is restarted",
        "4 changes, 3 unchanged (dry run, nothing done)",
    ]
    assert json.loads(supervisor("reload", "--json").out)["applied"] is True


def test_reload_of_a_broken_file(supervisor: Supervisor, path: str) -> None:
    with serve(path, CALM, broken=["reload"]):
        run = supervisor("reload")
    assert run.code == 2
    assert "services.toml:3: services.web.comand" in run.err


def test_upgrade_waits_until_the_new_version_answers(supervisor: Supervisor, shop: int) -> None:
    run = supervisor("upgrade", "--python", "/new/python")
    assert run.out.startswith("upgraded: 1.0 → 2.0, pid ")


def test_an_upgrade_that_cannot_be_says_what_the_new_version_said(supervisor: Supervisor, path: str) -> None:
    with serve(path, CALM, broken=["upgrade"]):
        run = supervisor("upgrade")
    assert run.code == 1
    assert "the new version cannot start: no module" in run.err


# -- down ------------------------------------------------------------------------------------------------------------


def test_down_returns_when_the_daemon_is_gone(supervisor: Supervisor, path: str) -> None:
    with serve(path, [view("redis", pid=None)]) as pid:
        run = supervisor("down")
        assert run.code == 0
        assert "all services stopped, daemon ended" in run.out
        assert os.waitpid(pid, 0)[1] == 0
        assert supervisor("down").code == 5


def test_down_shows_who_holds_it_up(supervisor: Supervisor, path: str) -> None:
    def then(daemon: StandIn) -> None:
        first = daemon.down

        def down(peer: object = None) -> None:
            first()
            daemon.loop.call_at(daemon.loop.now() + 0.3, first)  # as a second `down` would

        daemon.down = down  # type: ignore[method-assign]

    with serve(path, [view("redis"), view("web")], stubborn=["web"], then=then):
        run = supervisor("down")
    assert run.code == 0
    assert run.out.count("web  stopping") == 1
    assert "SIGKILL in 10s" in run.out


def until_asleep(pid: int) -> None:
    """Until its state is S: a program that was just started still runs."""
    deadline = time.monotonic() + 20.0
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < deadline
        os.sched_yield()


def test_down_names_what_remains(supervisor: Supervisor, path: str) -> None:
    left = subprocess.Popen(["sleep", "60"])
    until_asleep(left.pid)
    try:

        def then(daemon: StandIn) -> None:
            daemon.down = lambda peer=None: daemon.loop.call_soon(daemon.ended) or None  # type: ignore[method-assign]

        with serve(path, [view("web", pid=left.pid)], then=then):
            run = supervisor("down")
        assert run.code == 1
        assert f"web: {left.pid} sleep (S)" in run.err
    finally:
        left.kill()
        left.wait()


# -- logs ------------------------------------------------------------------------------------------------------------


def test_logs_are_interleaved_by_time(supervisor: Supervisor, calm: int) -> None:
    assert supervisor("logs").out.splitlines() == [
        "redis | redis: one",
        "web@1 | GET /a 200",
        "web@1 |   continued",
        "redis | redis: two",
        "web@1 | GET /b 500",
        "redis | redis: three",
    ]


def test_logs_of_the_newest_lines(supervisor: Supervisor, calm: int) -> None:
    assert supervisor("logs", "-n", "1").out.splitlines() == ["web@1 | GET /b 500", "redis | redis: three"]
    assert supervisor("logs", "-n", "0").out == ""


def test_logs_with_grep(supervisor: Supervisor, calm: int) -> None:
    run = supervisor("logs", "--grep", "GET .* [25]00$", "--no-prefix", "-n", "5", "web")
    assert run.out.splitlines() == ["GET /a 200", "GET /b 500"]


def test_logs_grep_finds_old_lines(supervisor: Supervisor, path: str) -> None:
    many: list[tuple[float | None, str]] = [(float(n), "needle" if n == 3 else "hay") for n in range(12_000)]
    with serve(path, [view("a")], lines={"a": many}):
        assert supervisor("logs", "-n", "1", "--grep", "needle").out == "a | needle\n"


def test_logs_since(supervisor: Supervisor, path: str) -> None:
    now = time.time()
    lines: list[tuple[float | None, str]] = [(now - 7200, "old"), (now - 60, "new"), (now - 1, "newer")]
    with serve(path, [view("a")], lines={"a": lines}):
        assert supervisor("logs", "--since", "1h", "--no-prefix").out.split() == ["new", "newer"]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now - 30))
        assert supervisor("logs", "--since", stamp, "--no-prefix").out.split() == ["newer"]


def test_logs_as_json(supervisor: Supervisor, calm: int) -> None:
    first = json.loads(supervisor("logs", "--json").out.splitlines()[0])
    assert first == {"instance": "redis", "at": 1000.0, "text": "redis: one"}


def test_logs_in_colour(supervisor: Supervisor, calm: int) -> None:
    out = supervisor("--color", "logs", "--grep", "GET").out
    assert "\x1b[33mweb@1 |\x1b[0m \x1b[31m\x1b[1mGET\x1b[0m /a 200" in out


def test_logs_follow_without_losing_or_repeating(path: str) -> None:
    def then(daemon: StandIn) -> None:
        def chatter(n: int = 0) -> None:
            daemon.say("a", f"line {n}")
            if n < 300:
                daemon.loop.call_at(daemon.loop.now() + 0.001, lambda: chatter(n + 1))

        daemon.loop.call_soon(chatter)

    with serve(path, [view("a")], then=then):
        with started("logs", "-f", "-n", "100000", "--no-prefix", path=path) as following:
            lines = [following.line() for _ in range(301)]
    assert lines == [f"line {n}" for n in range(301)]


# -- events ----------------------------------------------------------------------------------------------------------


def test_events_in_words(supervisor: Supervisor, shop: int) -> None:
    lines = supervisor("events", "-n", "3").out.splitlines()
    assert len(lines) == 3
    assert "reports run 1" in lines[0]
    assert "running → stopping" in lines[0]
    assert "exited with code 1" in lines[1]


def test_events_as_json(supervisor: Supervisor, shop: int) -> None:
    found = [json.loads(line) for line in supervisor("events", "--json", "web").out.splitlines()]
    assert [e["id"] for e in found] == [105, 106]
    assert {"id", "at", "service", "instance", "incarnation", "from", "to", "cause", "detail"} <= set(found[0])


def test_events_since(supervisor: Supervisor, shop: int) -> None:
    ids = [json.loads(line)["id"] for line in supervisor("events", "--json", "--since", "30s").out.splitlines()]
    assert ids == list(range(107, 114))


def test_events_since_are_all_of_them(supervisor: Supervisor, path: str) -> None:
    many = [fake_client.event(n, "a", "running", "running", "ready", ago=10) for n in range(1, 2501)]
    with serve(path, [view("a")], events=many):
        assert supervisor("events", "--json", "--since", "1m").out.count("\n") == 2500


def test_events_follow_goes_on_where_the_list_ends(supervisor: Supervisor, path: str) -> None:
    with serve(path, [view("a")], events=fake_client.events()):
        with started("events", "-f", "-n", "2", "--json", path=path) as following:
            ids = [json.loads(following.line())["id"] for _ in range(2)]
            supervisor("restart", "--no-wait", "a")
            ids += [json.loads(following.line())["id"] for _ in range(3)]
    assert ids == [112, 113, 114, 115, 116]


def test_why_tells_of_every_instance(supervisor: Supervisor, shop: int) -> None:
    run = supervisor("why", "worker")
    assert run.code == 0
    assert "worker@1 is " in run.out
    assert "worker@2 is " in run.out
    stories = [json.loads(line) for line in supervisor("why", "--json", "worker@2").out.splitlines()]
    assert [story["instance"] for story in stories] == ["worker@2"]
    assert supervisor("why", "wrker").code == 4


def test_why_with_all_that_was_captured(supervisor: Supervisor, shop: int, path: str) -> None:
    run = supervisor("why", "worker@2", "--evidence")
    assert run.code == 0
    assert "py-spy" in run.out and 'File "worker.py", line 41 in wait' in run.out
    assert json.loads(supervisor("why", "worker@2", "--evidence", "--json").out)
    run = supervisor("why", "web@1", "--evidence")
    assert run.code == 1
    assert "no evidence of web@1 is recorded" in run.err


def test_a_word_that_steers_no_rollout_is_told_with_those_that_do(supervisor: Supervisor, shop: int) -> None:
    run = supervisor("rollout", "stop", "web")
    assert (run.code, "'stop'" in run.err, "Or write pause, resume, undo and one service." in run.err) == (
        4,
        True,
        True,
    )
    run = supervisor("rollout", "stop")
    assert (run.code, "Or write" in run.err) == (4, False)
    run = supervisor("rollout", "undo")
    assert (run.code, run.err.splitlines()[1]) == (2, "  For example: supervisor rollout undo web")


def test_report_in_columns_and_as_json(supervisor: Supervisor, shop: int) -> None:
    figures = json.loads(supervisor("report", "--json", "--since", "1h").out)
    assert {"replication", "consistency", "load", "fault_ratio", "recovery_ratio"} <= set(figures["total"])
    out = supervisor("report").out
    assert "importer " in out
    assert "failures: " in out and "× no heartbeat" in out.partition("restarts: ")[2]
    assert all(len(line) <= 100 for line in out.splitlines())


def test_report_as_a_page(supervisor: Supervisor, shop: int, tmp_path: Path) -> None:
    page = supervisor("report", "--html", "-").out
    assert page.startswith("<!DOCTYPE html>") and "importer" in page and page.endswith("</html>\n")
    file = tmp_path / "month.html"
    run = supervisor("report", "--since", "1h", "--html", str(file))
    assert (run.code, run.out) == (0, "") and f"wrote {file}" in run.err
    assert file.read_text().startswith("<!DOCTYPE html>")
    refused = supervisor("report", "--html", str(tmp_path / "no" / "page.html"))
    assert refused.code == 1 and "cannot write" in refused.err and "No such file" in refused.err
    assert supervisor("report", "--html", "-", "--json").code == 2


# -- check, init, completion -----------------------------------------------------------------------------------------


def test_init_writes_what_check_takes(supervisor: Supervisor, tmp_path: Path) -> None:
    assert supervisor("init").code == 0
    run = supervisor("check")
    assert run.code == 0
    assert "hello" in run.out
    again = supervisor("init")
    assert again.code == 1
    assert "--force" in again.err
    assert supervisor("init", "--force").code == 0


def test_what_is_made_of_a_secret_file_may_be_read_by_its_readers_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    """Also where that file is only named by one that is given, and for an instance, which has no file of its own."""
    (tmp_path / "web@.service").write_text(
        f"[Service]\nEnvironmentFile={tmp_path}/secret\nExecStart=/bin/true %i\n[Install]\nWantedBy=multi-user.target\n"
    )
    (tmp_path / "secret").touch(0o600)
    made = supervisor("init", "--from", "web@1.service", "-o", "made.toml")
    assert (made.code, "web-1" in made.out) == (0, True)
    assert (tmp_path / "made.toml").stat().st_mode & 0o777 == 0o600


def test_check_tells_what_the_host_has(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "large.toml").write_text(
        '[services.a]\ncommand = "sleep 1"\nreplicas = 3\n[services.a.resources]\nmax_memory = "1000000GiB"\n'
        '[services.b]\ncommand = "sleep 1"\n'
    )
    run = supervisor("check", "large.toml")
    assert run.code == 0
    assert "this host has " in run.out
    assert "max_memory of all instances adds up to 2930 TiB, more than this host has" in run.out


def test_check_tells_every_error(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[services.a]\ncomand = "a"\n[services.b]\ncommand = "b"\nstop_timeout = 5\n')
    run = supervisor("check", "bad.toml")
    assert run.code == 2
    assert "bad.toml:2" in run.err
    assert "bad.toml:5" in run.err
    assert supervisor("check", "missing.toml").code == 2


def test_check_prints_the_schema(supervisor: Supervisor) -> None:
    assert "services" in json.loads(supervisor("check", "--schema").out)["properties"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(supervisor: Supervisor, shell: str) -> None:
    assert "_SUPERVISOR_COMPLETE" in supervisor("completion", shell).out


def test_completion_knows_the_services(shop: int, path: str) -> None:
    env = dict(
        os.environ,
        SUPERVISOR_SOCKET=path,
        _SUPERVISOR_COMPLETE="bash_complete",
        COMP_WORDS="supervisor stop web",
        COMP_CWORD="2",
    )
    command = [sys.executable, "-c", "import sys; from supervisor.cli.main import main; sys.exit(main())"]
    out = subprocess.run(command, capture_output=True, text=True, env=env).stdout
    assert [line.split(",")[1] for line in out.split()] == ["web", "web@1", "web@2", "web@3"]


# -- as a process ----------------------------------------------------------------------------------------------------


class started:  # noqa: N801 - reads as a verb
    """`supervisor …` running; its lines one by one."""

    def __init__(self, *arguments: str, path: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, SUPERVISOR_SOCKET=path, PYTHONUNBUFFERED="1"),
            text=True,
        )

    def __enter__(self) -> started:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it has ended: {self.process.stderr and self.process.stderr.read()}"
        return line.rstrip("\n")


def test_interrupt_is_quiet(path: str) -> None:
    with serve(path, CALM, events=fake_client.events()), started("events", "-f", "-n", "1", path=path) as run:
        run.line()
        run.process.send_signal(signal.SIGINT)
        _, err = run.process.communicate(timeout=20)
        assert run.process.returncode == 130
        assert not err.strip()


def test_broken_pipe_is_quiet(path: str) -> None:
    with serve(path, CALM, events=fake_client.events()), started("events", "-f", "-n", "1", path=path) as run:
        run.line()
        assert run.process.stdout is not None
        run.process.stdout.close()
        run.process.stdout = None
        assert main(["stop", "redis", "--socket", path, "--no-wait"]) == 0
        assert run.process.wait(20) == 1
        assert run.process.stderr is not None
        assert run.process.stderr.read() == ""


def on_a_terminal(*arguments: str, path: str, columns: int = 100) -> str:
    """What `supervisor …` writes to a terminal."""
    main_end, other = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = dict(os.environ, SUPERVISOR_SOCKET=path, TERM="xterm-256color")
    process = subprocess.Popen([sys.executable, "-m", "supervisor", *arguments], stdout=other, stderr=other, env=env)
    os.close(other)
    out = b""
    while select.select([main_end], [], [], 20)[0]:
        try:
            data = os.read(main_end, 65536)
        except OSError:
            break
        out += data
    os.close(main_end)
    process.wait(20)
    return out.decode()


def test_status_on_a_terminal_is_loud_where_it_is_not_well(shop: int, path: str) -> None:
    out = on_a_terminal("status", path=path)
    assert "\x1b[1;31mfailed" in out
    assert "\x1b[1;33mbackoff" in out
    assert "\x1b[2;32mrunning" in out
    assert "4 should be up but are not" in out


def test_status_on_a_narrow_terminal_keeps_what_matters(shop: int, path: str) -> None:
    out = on_a_terminal("status", "--no-color", path=path, columns=80)
    rows = out.splitlines()
    assert all(len(row) <= 80 for row in rows)
    assert "importer" in out
    assert "exited with code 1" in out
    assert " pid " not in rows[0]


def test_no_color_on_a_terminal(shop: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in on_a_terminal("status", path=path)
    assert "\x1b[" not in on_a_terminal("logs", path=path)


def test_logs_on_a_terminal_cannot_command_it(path: str) -> None:
    hostile: dict[str, list[tuple[float | None, str]]] = {
        "a": [(1.0, "\x1b]0;owned\x07\x1b[2Jok \x1b[31mred\x1b[0m\tx")]
    }
    with serve(path, [view("a")], lines=hostile):
        out = on_a_terminal("logs", "--no-prefix", path=path)
    assert "\x1b]" not in out
    assert "\x1b[2J" not in out
    assert "\x1b[31mred\x1b[0m" in out


@pytest.mark.parametrize(("incarnation", "named"), [(0, "web@1  "), (5, "web@1 run 5  ")])
def test_an_event_names_a_run_only_where_there_was_one(incarnation: int, named: str) -> None:
    event = fake_client.event(1, "web@1", "stopped", "starting", "autostart")
    event["incarnation"] = incarnation
    line = click.unstyle(event_line(event))
    assert f"  {named}" in line
    assert "run 0" not in line


# -- show ------------------------------------------------------------------------------------------------------------


SHOWN = """\
[defaults]
environment = { API_TOKEN = "hidden-value" }
[services.web]
command = ["sleep", "5", "--password", "hidden-value", "${HOME}"]
stop = [{ signal = "TERM", wait = "5s" }]
"""


def test_show_tells_the_line_of_each_value_and_no_secret(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text(SHOWN)
    run = supervisor("show", "-f", "services.toml", "web@1")
    assert run.code == 0
    rows = [line.split(maxsplit=1) for line in run.out.splitlines()]
    assert rows[1] == ["services.toml:4", 'command                ["sleep", "5", "--password", "***", "${HOME}"]']
    assert rows[2] == ["services.toml:5", 'stop                   [{signal = "TERM", wait = "5s"}]']
    assert rows[3] == ["services.toml:2", '[defaults]  environment.API_TOKEN  "***"']
    assert "have their defaults: --all" in run.out
    both = run.out + supervisor("show", "-f", "services.toml", "web", "--json", "--all").out
    assert "hidden-value" not in both and '"key": "restart.policy"' in both


def test_show_of_a_service_that_is_not_there(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text(SHOWN)
    run = supervisor("show", "-f", "services.toml", "wob")
    assert run.code == 4 and 'did you mean "web"?' in run.err


@pytest.mark.parametrize(
    ("arguments", "lean"),
    [
        ("status --json web", True),
        ("start web worker@1", True),
        ("start --no-wait web", False),
        ("reset", True),
        ("restart web", False),
        ("wait web", True),
        ("wait web --for stopped --timeout 5s", True),
        ("wait", False),
        ("wait web --for tea", False),
        ("wait web --timeout soon", False),
        ("wait web --timeout", False),
        ("start --for ready", False),
    ],
)
def test_common_commands_do_not_need_click_which_says_what_is_wrong_with_others(arguments: str, lean: bool) -> None:
    assert (fast_path.understood(arguments.split(), DaemonTarget()) is not None) is lean


def test_without_click_wait_and_start_do_what_they_say(supervisor: Supervisor, calm: int) -> None:
    assert supervisor("wait", "redis", "--for", "started", "--timeout", "5s").code == 0
    run = supervisor("wait", "redis", "--for", "completed", "--timeout", "0.01s")
    assert run.code == 1 and "not completed within 0.01 s" in run.err and "redis: still running" in run.err
    run = supervisor("start", "redis")
    assert (run.code, run.out.splitlines()[-1]) == (0, "redis  ready")
