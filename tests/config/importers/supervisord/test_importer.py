"""What supervisord 4.3.0 makes of files as in public projects, and that the import gives the same.

`seen.json` holds what its own reader gave for each process of `files.py`: the command (split as
supervisord splits it), environment, directory and policy.  Stand-ins in place of the programs, started by supervisord,
saw the same arguments, variables and directories.  HERE is the folder of the file.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from supervisor.cli.init import init
from supervisor.config.importers.formats import beside
from supervisor.config.importers.imported import Imported, ImportRefused, Kind, Loss
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.importers.supervisord.importer import Programs, read, read_source
from supervisor.config.importers.supervisord.logs import written_size
from supervisor.config.importers.supervisord.syntax import Source
from supervisor.config.load import load
from supervisor.config.source.expand import expand
from supervisor.config.units import parse_duration, parse_size
from supervisor.core.model.spec import BackoffKind, RestartSpec
from supervisor.core.restart.tracker import Breaker, RestartTracker
from tests.config.importers.supervisord.files import ENVIRONMENT, FILES

SEEN: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("seen.json").read_text())
BRACES = "names that are odd"
"""The file with {replica} and {port}, which have a meaning here."""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files, and make the folder in which supervisord is started."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("HERE", str(folder)))
    (folder / "cwd").mkdir()
    return folder / "supervisord.conf"


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Imported]:
    """Imports a text."""

    def made(text: str, environment: Mapping[str, str] = ENVIRONMENT) -> Imported:
        path = write(tmp_path, {"supervisord.conf": text})
        return read([path], environment, cwd=tmp_path / "cwd", host="vm")

    return made


def programs(name: str, folder: Path) -> Programs:
    return read_source(Source(write(folder, FILES[name])), ENVIRONMENT, cwd=folder / "cwd", host="vm")


def table(found: Imported, name: str) -> dict[str, Any]:
    return next(service.table for service in found.services if service.name == name)


def losses(found: Imported, key: str, service: str | None = None) -> list[Loss]:
    return [loss for loss in found.losses if loss.key == key and loss.service == service]


def as_read(found: Imported) -> dict[str, Any]:
    """The tables as services.toml has them, with all references replaced."""

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return expand(value, ENVIRONMENT)
        if isinstance(value, list):
            return [replaced(one) for one in value]
        return {key: replaced(one) for key, one in value.items()} if isinstance(value, dict) else value

    return {name: replaced(one) for name, one in tomllib.loads(services_toml(found, "x"))["services"].items()}


@pytest.mark.parametrize("name", FILES)
def test_each_process_is_what_supervisord_makes_of_it(name: str, tmp_path: Path) -> None:
    found = programs(name, tmp_path)
    written = as_read(found.imported) if found.imported.services else {}
    processes = {}
    for service, of_it in found.processes.items():
        one = written[service]
        for number, process in enumerate(of_it, one.get("first_replica", 1)):
            command = one["command"][3:] if "sockets" in one else one["command"]

            def with_number(text: str, number: int = number) -> str:
                return text if name == BRACES else text.replace("{replica}", str(number))

            processes[process.group, process.name] = {
                "command": [with_number(word) for word in command],
                "environment": {key: with_number(value) for key, value in one.get("environment", {}).items()},
                "directory": one["directory"],
                "autorestart": one["restart"]["policy"],
                "startsecs": parse_duration(one["ready"]["delay"]) if "ready" in one else 0,
                "exitcodes": one["restart"].get("success_exit_codes", [0]),
                "stopwaitsecs": parse_duration(one.get("stop_timeout", "10s")),
                "autostart": one.get("autostart", True),
            }
    base = tmp_path / "cwd"
    if found.imported.services and "[supervisord]\ndirectory" in FILES[name]["supervisord.conf"].replace(" = ", "="):
        base = tmp_path / ("work" if name == "paths" else "")
    wanted = {}
    for seen in json.loads(json.dumps(SEEN[name]).replace("HERE", str(tmp_path))):
        keys = ("command", "environment", "autorestart", "startsecs", "exitcodes", "stopwaitsecs", "autostart")
        directory = str((base / (seen["directory"] or "")).resolve())
        wanted[seen["group"], seen["name"]] = {key: seen[key] for key in keys} | {"directory": directory}
    assert processes == wanted


@pytest.mark.parametrize("name", [name for name in FILES if name not in (BRACES, "nothing to start")])
def test_what_is_written_is_loaded(name: str, tmp_path: Path) -> None:
    found = programs(name, tmp_path)
    path = tmp_path / "services.toml"
    path.write_text(services_toml(found.imported, "x"))
    plan = load(path, ENVIRONMENT, tolerate_missing=True)
    assert {spec.name for spec in plan.services} == set(found.processes)


def test_no_value_of_a_variable_is_told(tmp_path: Path) -> None:
    for name in FILES:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        told = "\n".join(map(str, programs(name, folder).imported.losses))
        for secret in (ENVIRONMENT["PASSWORD"], ENVIRONMENT["OPTIONS"], "hunter2", "user@host", "all of them"):
            assert secret not in told


# -- numprocs ----------------------------------------------------------------------------------------------------------

CANNOT = "a number in their commands that {replica} cannot stand for"
COPIES = "[supervisord]\n[program:w]\nprocess_name=%(program_name)s_%(process_num)02d\nnumprocs=3\n"


@pytest.mark.parametrize(
    ("rest", "words", "first"),
    [
        ("command=run", ["run"], None),
        ("command=run %(process_num)d", ["run", "{replica}"], 0),
        ("command=run %(process_num)d\nnumprocs_start=1", ["run", "{replica}"], None),
        ("command=run 80%(process_num)02d x%(process_num)s\nnumprocs_start=10", None, "2 different numbers"),
        ("command=run -p 80%(process_num)02d --log /8%(process_num)03d/8000", ["run", "-p", "{replica}", "--log",
         "/{replica}/8000"], 8000),
        ("command=run w%(process_num)02d", None, CANNOT),
        ('command=run\nenvironment=N="%(process_num)02d"', None, "a number in N that {replica} cannot stand for"),
        ("command=run\ndirectory=/srv/%(process_num)d", None, "their directories"),
        ("command=run %(process_num)d\nnumprocs_start=-1", None, "a number in their commands that {replica} cannot "
         "stand for"),
        ("command=run a%(process_num)2d\nnumprocs_start=9", None, "the number of their arguments"),
        ("command=run\nenvironment=A%(process_num)d=x", None, "the names of their variables"),
        ("command=run %(process_num)x\nnumprocs_start=9", None, CANNOT),
        ("command=run %(process_num)o\nnumprocs_start=6", None, CANNOT),
        ("command=run\nstdout_logfile=/%(process_num)d/x", None, "their stdout_logfile"),
        ("command=run\nstdout_logfile=/x%(process_num)x\nnumprocs_start=9", None, "their stdout_logfile"),
        ("command=run\nstdout_logfile=/x1%(process_num)x\nnumprocs_start=9", None, "their stdout_logfile"),
        ("command=run\nstdout_logfile=/x%(process_num)x-\nnumprocs_start=10", None, "their stdout_logfile"),
        ("command=run 200000%(process_num)d", None, "a number that is too high for first_replica"),
    ],
)  # fmt: skip
def test_copies_are_replicas_where_one_number_that_counts_is_all_they_differ_in(
    rest: str, words: list[str] | None, first: int | str | None, imported: Callable[..., Imported]
) -> None:
    found = imported(COPIES + rest)
    if words is None:
        assert len(found.services) == 3
        assert {service.table["group_name"] for service in found.services} == {"w"}
        assert [loss.text for loss in losses(found, "numprocs", found.services[0].name)] == [
            f"The copies differ in {first}: each is a service, in the group w."
        ]
    else:
        (service,) = found.services
        assert (service.name, service.table["replicas"]) == ("w", 3)
        assert (service.table["command"], service.table.get("first_replica")) == (words, first)


def test_the_log_of_a_copy_has_the_name_of_the_instance(imported: Callable[..., Imported]) -> None:
    found = imported(COPIES + "command=run\nstdout_logfile=HERE/w-%(process_num)02d.log\nredirect_stderr=true")
    assert table(found, "w")["log"]["path"].endswith("/w-{instance}.log")
    (loss,) = losses(found, "stdout_logfile", "w")
    assert loss.kind is Kind.CHANGED


# -- starts, restarts and stops ----------------------------------------------------------------------------------------


def restart_spec(one: Mapping[str, Any]) -> RestartSpec:
    return RestartSpec(
        backoff=BackoffKind(one["backoff"]),
        initial=parse_duration(one["initial"]),
        maximum=parse_duration(one["maximum"]),
        reset_after=parse_duration(one["reset_after"]),
        window=parse_duration(one["window"]),
        max_restarts=one["max_restarts"],
        jitter=one["jitter"],
    )


@pytest.mark.parametrize("retries", [1, 3, 10])
@pytest.mark.parametrize("startsecs", [1, 5])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_it_gives_up_after_as_many_starts_as_supervisord(
    retries: int, startsecs: int, part: float, imported: Callable[..., Imported]
) -> None:
    """Each start fails after a part of startsecs."""
    found = imported(f"[supervisord]\n[program:w]\ncommand=run\nstartretries={retries}\nstartsecs={startsecs}")
    tracker = RestartTracker(restart_spec(table(found, "w")["restart"]))
    now, waits = 0.0, []
    while True:
        now += part * startsecs
        decision = tracker.failed(now, lambda: 0.5)
        if not decision.restart:
            break
        waits.append(decision.delay)
        now += decision.delay
    assert waits == list(range(1, retries + 1))
    assert tracker.breaker is Breaker.OPEN


def test_a_program_that_runs_for_longer_is_started_again_for_ever(imported: Callable[..., Imported]) -> None:
    found = imported("[supervisord]\n[program:w]\ncommand=run\nautorestart=true")
    tracker = RestartTracker(restart_spec(table(found, "w")["restart"]))
    now = 0.0
    for _ in range(1000):
        now += 3.0
        tracker.healthy(now)
        decision = tracker.failed(now, lambda: 0.5)
        assert decision.restart
        assert decision.delay == 1.0
        now += decision.delay


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("startsecs=0\nautorestart=false", {"restart": {"policy": "never"}}),
        ("startsecs=0\nautorestart=true",
         {"restart": {"policy": "always", "initial": "0s", "max_restarts": 1_000_000}}),
        ("startsecs=40\nautorestart=no",
         {"ready": {"delay": "40s"}, "start_timeout": "70s", "restart": {"policy": "never"}}),
        ("startsecs=0\nautorestart=false\nexitcodes=0,1",
         {"restart": {"policy": "never", "success_exit_codes": [0, 1]}}),
    ],
)  # fmt: skip
def test_what_a_start_and_an_end_mean(text: str, wanted: dict[str, Any], imported: Callable[..., Imported]) -> None:
    one = table(imported(f"[supervisord]\n[program:w]\ncommand=run\n{text}"), "w")
    assert {key: one[key] for key in ("ready", "start_timeout", "restart") if key in one} == wanted


def test_what_is_told_of_restarts(imported: Callable[..., Imported]) -> None:
    found = imported("[supervisord]\n[program:w]\ncommand=run\nautorestart=false\n[program:v]\ncommand=run")
    assert [loss.line for loss in losses(found, "autorestart", "w")] == [4]
    assert [loss.line for loss in losses(found, "startretries")] == [0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        ("stopsignal=sigint\nstopwaitsecs=30", {"stop_signal": "INT", "stop_timeout": "30s"}),
        ("stopsignal=12", {"stop_signal": "USR2"}),
        ("stopwaitsecs=-1", {"stop_timeout": "0s"}),
    ],
)
def test_how_it_is_stopped(text: str, wanted: dict[str, Any], imported: Callable[..., Imported]) -> None:
    one = table(imported(f"[supervisord]\n[program:w]\ncommand=run\n{text}"), "w")
    assert {key: one[key] for key in ("stop_signal", "stop_timeout") if key in one} == wanted


def test_priorities_order_starts_and_stops_and_do_not_wait_for_readiness(imported: Callable[..., Imported]) -> None:
    found = imported(
        "[supervisord]\n[program:c]\ncommand=run\n[program:a]\ncommand=run\npriority=1\n"
        "[program:b]\ncommand=run\npriority=5\n[program:d]\ncommand=run\npriority=5\n[program:e]\ncommand=run"
    )
    order = {
        service.name: [one["service"] for one in service.table.get("depends_on", [])] for service in found.services
    }
    assert order == {"a": [], "b": ["a"], "d": ["a"], "c": ["b", "d"], "e": ["b", "d"]}
    assert table(found, "b")["depends_on"] == [{"service": "a", "condition": "started", "required": False}]
    assert [loss.line for loss in losses(found, "priority", "b")] == [9]


def test_without_a_priority_nothing_is_ordered(imported: Callable[..., Imported]) -> None:
    found = imported("[supervisord]\n[program:c]\ncommand=run\npriority=999\n[program:a]\ncommand=run")
    assert not any("depends_on" in service.table for service in found.services)


# -- logs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {"stderr": True, "max_size": "50MiB", "keep": 10, "compress": False}),
        ("redirect_stderr=true", {"max_size": "50MiB", "keep": 10, "compress": False}),
        ("stdout_logfile=HERE/a", {"path": "HERE/a", "mode": "0644", "stderr": True, "max_size": "50MiB", "keep": 10,
         "compress": False}),
        ("stdout_logfile=HERE/a\nstderr_logfile=HERE/a\nstdout_logfile_maxbytes=0",
         {"path": "HERE/a", "mode": "0644", "rotate": False}),
        ("stdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\nredirect_stderr=true", {"console": "raw"}),
        ("stdout_logfile=/dev/fd/1\nstdout_logfile_maxbytes=0\nstderr_logfile=/dev/fd/2\nstderr_logfile_maxbytes=0",
         {"console": "raw"}),
        ("stdout_logfile=NONE\nstderr_logfile=NONE", {"stderr": True}),
        ("stdout_logfile=NONE\nstderr_logfile=HERE/e\nstderr_logfile_backups=2\nstderr_logfile_maxbytes=1GB",
         {"stderr": "HERE/e", "mode": "0644", "max_size": "1GiB", "keep": 2, "compress": False}),
    ],
)  # fmt: skip
def test_where_it_logs(text: str, wanted: dict[str, Any], tmp_path: Path, imported: Callable[..., Imported]) -> None:
    one = table(imported(f"[supervisord]\n[program:w]\ncommand=run\n{text}"), "w")["log"]
    assert json.loads(json.dumps(one).replace(str(tmp_path), "HERE")) == wanted


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/null", "it is not a file on a disk"),
        ("HERE/", "it is a directory"),
        ("HERE/{x}", "braces in the name of a log have a meaning"),
        ("HERE/open/x", "every user can write in its directory"),
        ("HERE/open", "it is not a regular file"),
    ],
)
def test_a_file_that_cannot_be_a_log_here_is_told(
    path: str, reason: str, tmp_path: Path, imported: Callable[..., Imported]
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    found = imported(f"[supervisord]\n[program:w]\ncommand=run\nredirect_stderr=true\nstdout_logfile={path}")
    assert "path" not in table(found, "w")["log"]
    (loss,) = losses(found, "stdout_logfile", "w")
    assert f"because {reason}" in loss.text


@pytest.mark.parametrize("size", [1, 1023, 1024, 1000, 1_000_000, 50 * 1024**2, 3 * 1024**3, 2**40 + 7])
def test_a_size_is_written_to_the_byte(size: int) -> None:
    assert parse_size(written_size(size)) == size


# -- what is told, and what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "kind", "line"),
    [
        ("autostrat=false", "autostrat", Kind.IGNORED, 4),
        ("environment=A=one two", "environment", Kind.IGNORED, 4),
        ("environment=A=p#q", "environment", Kind.IGNORED, 4),
        ("user=nobody", "user", Kind.CHANGED, 4),
        ("stopasgroup=true", "stopasgroup", Kind.CHANGED, 4),
        ("serverurl=http://x", "serverurl", Kind.DROPPED, 4),
        ("stdout_events_enabled=true", "stdout_events_enabled", Kind.DROPPED, 4),
        ("stderr_capture_maxbytes=1KB", "stderr_capture_maxbytes", Kind.DROPPED, 4),
        ("stdout_syslog=true", "stdout_syslog", Kind.DROPPED, 4),
        ("redirect_stderr=true\nstderr_logfile=/tmp/x", "stderr_logfile", Kind.IGNORED, 5),
        ("stdout_logfile=/dev/stdout", "stderr_logfile", Kind.CHANGED, 2),
        ("stdout_logfile=/not/there/x", "stdout_logfile", Kind.CHANGED, 4),
        ("directory=~/x", "directory", Kind.IGNORED, 4),
        ("directory=", "directory", Kind.CHANGED, 4),
        ("startretries=0", "startretries", Kind.CHANGED, 4),
        ("process_name=other", "process_name", Kind.CHANGED, 4),
    ],
)
def test_each_key_that_differs_is_told(
    text: str, key: str, kind: Kind, line: int, imported: Callable[..., Imported]
) -> None:
    found = imported(f"[supervisord]\n[program:w]\ncommand=run\n{text}")
    assert (kind, line) in [(loss.kind, loss.line) for loss in losses(found, key, "w")]


@pytest.mark.parametrize("word", ["&&", "|", ">", "$HOME", "${A:-b}", "$(date)", "~/x"])
def test_a_command_that_looks_like_one_of_a_shell_is_told(word: str, imported: Callable[..., Imported]) -> None:
    found = imported(f"[supervisord]\n[program:w]\ncommand=run {word} x\n[program:s]\ncommand=sh -c 'run {word}'")
    assert [loss.kind for loss in losses(found, "command", "w")] == [Kind.IGNORED]
    assert losses(found, "command", "s") == []


@pytest.mark.parametrize(
    ("text", "key", "kind"),
    [
        ("[supervisord]\nlogfile=/x", "logfile", Kind.DROPPED),
        ("[supervisord]\nminprocs=500", "minprocs", Kind.DROPPED),
        ("[supervisord]\nminfds=5000", "minfds", Kind.CHANGED),
        ("[supervisord]\nuser=root", "user", Kind.CHANGED),
        ("[supervisord]\ndirectory=/", "directory", Kind.CHOSEN),
        ("[supervisord]\nnodaemon=true\numask=077", "umask", Kind.IGNORED),
        ("[supervisord]\nlogfle=/x", "logfle", Kind.IGNORED),
        ("[supervisord]\nenvironment=A=b c", "environment", Kind.IGNORED),
        ("[supervisord]\n[include]\nfiles=supervisord.conf\nfile=x", "file", Kind.IGNORED),
        (
            "[supervisord]\nminfds=1000\nminprocs=200\nsilent=false\nlogfile_backups=1",
            "logfile_backups",
            Kind.DROPPED,
        ),
        ("[supervisord]\n[progam:x]\ncommand=x", "[progam:x]", Kind.IGNORED),
        ("[supervisord]\n[inet_http_server]\nport=9001", "[inet_http_server]", Kind.DROPPED),
        ("[supervisord]\n[supervisorctl]", "[supervisorctl]", Kind.DROPPED),
        ("[supervisord]\n[ctlplugin:x]", "[ctlplugin:x]", Kind.DROPPED),
        ("[supervisord]\n[include]\nfiles=no/*.conf", "files", Kind.IGNORED),
        ("[supervisord]\n[eventlistener:e]\ncommand=x\nevents=TICK_5", "[eventlistener:e]", Kind.DROPPED),
        ("[supervisord]\n[DEFAULT]\nautostrat=1", "autostrat", Kind.IGNORED),
    ],
)
def test_what_becomes_no_service_is_told(text: str, key: str, kind: Kind, imported: Callable[..., Imported]) -> None:
    assert [loss.kind for loss in losses(imported(text), key)] == [kind]


REFUSED = [
    ("command=run", 1, "stands before any [section]"),
    ("[a]\nx=1\n  [supervisord]\n[program:w]\ncommand=run", 0, "no section [supervisord]"),
    ("[supervisord]\n[program:w]\ncommand=run\nnonsense", 4, "neither key=value"),
    ("[supervisord]\n[program:w]", 2, "has no command"),
    ("[supervisord]\n[program:w]\ncommand=run %(nothing)s", 3, "%(nothing)s has no value"),
    ("[supervisord]\n[program:w]\ncommand=run %(ENV_NOT_SET)s", 3, "%(ENV_NOT_SET)s has no value"),
    ("[supervisord]\n[program:w]\ncommand=run 50%", 3, "% is not followed by (name)s"),
    ("[supervisord]\n[program:w]\ncommand=date +%s", 3, "stands for all variables"),
    ("[supervisord]\n[program:w]\ncommand=run\nautostart=maybe", 4, "autostart: is not one of"),
    ("[supervisord]\n[program:w]\ncommand=run\nnumprocs=2", 4, "numprocs needs %(process_num)"),
    (
        "[supervisord]\n[program:w]\ncommand=run\nprocess_name=%(process_num)s\nnumprocs=999999999", 5,
        "more than 1000 processes",
    ),
    ("[supervisord]\n[program:w]\ncommand=run\nstopasgroup=true\nkillasgroup=false", 5, "is refused"),
    ("[supervisord]\n[program:w]\ncommand=run\nexitcodes=0,256", 4, "exit codes from 0 to 255"),
    ("[supervisord]\n[program:w]\ncommand=run\nstopsignal=BANG", 4, "name of a signal"),
    ("[supervisord]\n[program:w]\ncommand=run\nstopsignal=9999", 4, "is not a signal"),
    ("[supervisord]\n[program:w]\ncommand=run\numask=9", 4, "octal"),
    ("[supervisord]\n[program:w]\ncommand=run\nautorestart=sometimes", 4, "unexpected, true or false"),
    ("[supervisord]\n[program:w]\ncommand=run\nstartsecs=1s", 4, "whole number"),
    ("[supervisord]\n[program:w]\ncommand=run\nenvironment=A=", 4, "is not KEY=value"),
    ("[supervisord]\n[program:w]\ncommand=run\nenvironment=A='x", 4, "quote is not closed"),
    ("[supervisord]\n[program:w]\ncommand=run\nenvironment=A=b@c,D=e", 4, "is not KEY=value"),
    ("[supervisord]\n[program:a b]\ncommand=run", 2, "is not a name"),
    ("[supervisord]\n[program:w]\ncommand=run\nstdout_logfile=/tmp/100%%", 4, "% is not followed"),
    ("[supervisord]\nenvironment=H=%(host_node_name)s", 2, "%(host_node_name)s has no value"),
    ("[supervisord]\n[group:g]\nprograms=w", 3, "neither a program nor"),
    ("[supervisord]\n[program:w]\ncommand=x\n[fcgi-program:w]\ncommand=x\nsocket=tcp://a:1\n[group:g]\nprograms=w", 8,
     "both a program"),
    ("[supervisord]\n[fcgi-program:w]\ncommand=x", 2, "has no socket"),
    ("[supervisord]\n[fcgi-program:w]\ncommand=x\nsocket=unix://relative", 4, "does not begin with /"),
    ("[supervisord]\n[eventlistener:w]\ncommand=x", 2, "has no events"),
    ("[supervisord]\n[eventlistener:w]\ncommand=x\nevents=TICK_5\nredirect_stderr=true", 5, "is refused"),
    ("[supervisord]\n[include]", 2, "[include] has no files"),
    ("[supervisord]\n[include]\nfiles=%(ENV_NOT_SET)s", 3, "%(ENV_NOT_SET)s has no value"),
    ("[DEFAULT]\nautostart=maybe\n[supervisord]\n[program:w]\ncommand=run", 2, "autostart: is not one of"),
    ("[supervisord]\n[fcgi-program:w]\ncommand=x\nsocket=tcp://a", 4, "neither tcp://HOST:PORT"),
    ("[supervisord]\n[fcgi-program:w]\ncommand=x\nsocket=tcp://a:1\nsocket_mode=0700", 4, "only a Unix socket"),
    ("[supervisord]\n[inet_http_server]", 2, "has no port"),
    ("[supervisord]\n[inet_http_server]\nport=1\nusername=a", 2, "both username and password"),
    ("[supervisord]\n[rpcinterface:x]", 2, "has no supervisor.rpcinterface_factory"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED)
def test_what_supervisord_refuses_is_refused(
    text: str, line: int, reason: str, tmp_path: Path, imported: Callable[..., Imported]
) -> None:
    with pytest.raises(ImportRefused) as refused:
        imported(text)
    where = f"{tmp_path}/supervisord.conf" + (f":{line}" if line else "")
    assert str(refused.value).startswith(f"{where}: ")
    assert reason in str(refused.value)


def test_the_value_of_a_variable_is_in_no_error(imported: Callable[..., Imported]) -> None:
    with pytest.raises(ImportRefused) as refused:
        imported('[supervisord]\n[program:w]\ncommand=run\nenvironment=A="%(ENV_PLAIN)s",B=@%(ENV_PASSWORD)s\'')
    assert ENVIRONMENT["PASSWORD"] not in str(refused.value) + refused.value.hint


# -- variables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "environment", "words"),
    [
        ("run %(ENV_A)s", {"A": "x"}, ["run", "${A}"]),
        ("run '%(ENV_A)s/%(ENV_B)s'", {"A": "x y", "B": "$"}, ["run", "${A}/${B}"]),
        ("run %(ENV_A)s", {"A": "x y"}, ["run", "x", "y"]),
        ("run %(ENV_A)s", {"A": "'x y'"}, ["run", "x y"]),
        ("run '%(ENV_A)3s|'", {"A": "x"}, ["run", "  x|"]),
        ("run $%(ENV_A)s$$", {"A": "x"}, ["run", "$$${A}$$$$"]),
        ("run %(ENV_A-B)s", {"A-B": "x"}, ["run", "x"]),
        ("run %(ENV_C)s", {}, ["run", "own"]),
        ("run 'a %(ENV_A)s", {"A": "b'"}, ["run", "a b"]),
    ],
)
def test_a_variable_becomes_a_reference_where_that_means_the_same(
    command: str, environment: dict[str, str], words: list[str], imported: Callable[..., Imported]
) -> None:
    found = imported(f"[supervisord]\n[program:w]\ncommand={command}\nenvironment=C=own", environment)
    assert table(found, "w")["command"] == words
    literal = [loss for loss in losses(found, "[program:w]", "w") if "is written out" not in loss.text]
    assert literal == []


def test_a_value_that_is_written_out_is_told(imported: Callable[..., Imported]) -> None:
    found = imported("[supervisord]\n[program:w]\ncommand=run %(ENV_A)s", {"A": "x y"})
    (loss,) = losses(found, "[program:w]", "w")
    assert "A has now is written out" in loss.text


def test_a_value_that_looks_like_a_variable_of_a_shell_is_not_told(imported: Callable[..., Imported]) -> None:
    text = "[supervisord]\n[program:w]\ncommand=run $X %(ENV_A)s\nstdout_logfile=/dev/%(ENV_B)s"
    found = imported(text, {"A": "pass $word", "B": "hidden"})
    told = "\n".join(map(str, found.losses))
    assert "$word" not in told
    assert "hidden" not in told
    assert "$X is passed on" in told


# -- includes ----------------------------------------------------------------------------------------------------------


def test_an_included_file_keeps_its_lines_and_overrides_key_by_key(tmp_path: Path) -> None:
    found = programs("groups, priorities and includes", tmp_path).imported
    (priority,) = losses(found, "priority", "web")
    assert (priority.file, priority.line) == (str(tmp_path / "conf.d/20-web.conf"), 4)
    assert table(found, "db")["ready"] == {"delay": "5s"}
    assert table(found, "web")["directory"] == "/"


def test_a_file_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, {"supervisord.conf": "[supervisord]\n[include]\nfiles=cwd"})
    (loss,) = losses(read([path], {}, cwd=tmp_path, host="vm"), "files")
    assert "cannot be read: Is a directory" in loss.text


def test_a_program_in_a_group_whose_name_is_taken_is_not_started(imported: Callable[..., Imported]) -> None:
    found = imported("[supervisord]\n[program:a]\ncommand=a\n[program:b]\ncommand=b\n[group:a]\nprograms=b")
    assert [service.name for service in found.services] == ["b"]
    assert "the group a is [group:a]" in losses(found, "[program:a]")[0].text


def test_of_processes_with_one_name_the_last_is_started(imported: Callable[..., Imported]) -> None:
    found = imported(
        "[supervisord]\n[program:a]\ncommand=a\nprocess_name=x\n[program:b]\ncommand=b\nprocess_name=x\n"
        "[group:g]\nprograms=a,b"
    )
    assert [service.name for service in found.services] == ["b"]


def test_the_socket_of_a_fastcgi_program_is_its_stdin(tmp_path: Path) -> None:
    found = programs("listeners and sockets", tmp_path).imported
    assert table(found, "php")["sockets"] == ["unix:/run/php.sock?mode=0770"]
    assert table(found, "php")["command"][:2] == ["/bin/sh", "-c"]
    assert "sockets" not in table(found, "grouped")


def test_a_file_that_a_main_file_would_include_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, {"supervisord.conf": "[program:w]\ncommand=%(here)s/run"})
    found = read([path], ENVIRONMENT, cwd=tmp_path, host="vm")
    assert table(found, "w")["command"] == [f"{tmp_path}/run"]
    assert found.losses[0].kind is Kind.CHOSEN


def test_files_are_read_together(tmp_path: Path) -> None:
    main = write(tmp_path, {"supervisord.conf": "[supervisord]\nenvironment=A=1\n[include]\nfiles=a.conf"})
    (tmp_path / "a.conf").write_text("[program:a]\ncommand=run")
    (tmp_path / "b.conf").write_text("[program:b]\ncommand=run %(here)s")
    (tmp_path / "other.conf").write_text("[supervisord]\n[program:c]\ncommand=run")
    paths = [tmp_path / "b.conf", main, tmp_path / "a.conf", tmp_path / "other.conf"]
    found = read(paths, ENVIRONMENT, cwd=tmp_path, host="vm")
    assert [(service.name, service.table.get("environment")) for service in found.services] == [
        ("a", {"A": "1"}),
        ("b", {"A": "1"}),
        ("c", None),
    ]
    assert table(found, "b")["command"] == ["run", str(tmp_path)]
    assert {Path(file).name for file in found.files} == {"supervisord.conf", "a.conf", "b.conf", "other.conf"}


def test_a_reference_in_a_directory_stays_one_where_the_path_is_shortened(tmp_path: Path) -> None:
    text = "[supervisord]\n[program:w]\ncommand=r\ndirectory=HERE/%(ENV_PLAIN)s"
    found = read([write(tmp_path, {"supervisord.conf": text})], ENVIRONMENT, cwd=tmp_path, host="vm")
    beside(found, tmp_path)
    assert tomllib.loads(services_toml(found, "x"))["services"]["w"]["directory"] == "${PLAIN}"


def test_what_is_made_of_a_private_file_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"supervisord.conf": "[supervisord]\n[include]\nfiles=*.ini", "a.ini": "[program:a]\ncommand=sh"})
    (tmp_path / "supervisord.conf").chmod(0o644)
    (tmp_path / "a.ini").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(init, ["--from", "supervisord.conf"]).exit_code == 0
    assert (tmp_path / "services.toml").stat().st_mode & 0o777 == 0o600


def test_a_variable_that_closes_a_quote_is_written_out(imported: Callable[..., Imported]) -> None:
    text = '[supervisord]\nenvironment=S="a%(ENV_Q)s\n[program:w]\ncommand=run %(ENV_P)s\nenvironment=E="b%(ENV_Q)s'
    found = imported(text, {"Q": 'x"', "P": "p"})
    assert table(found, "w")["environment"] == {"S": "ax", "E": "bx"}
    assert table(found, "w")["command"] == ["run", "p"]
    assert "P, Q has now is written out" in losses(found, "[program:w]", "w")[0].text


def test_names_that_are_taken_get_a_number(imported: Callable[..., Imported]) -> None:
    found = imported(
        "[supervisord]\n[program:a+b]\ncommand=run\n[program:a-b]\ncommand=run\n[program:c]\ncommand=run\n"
        "[group:a*b]\nprograms=c"
    )
    assert {service.name for service in found.services} == {"c", "a-b", "a-b-2"}
    assert table(found, "c")["group_name"] == "a-b-group"


def test_the_directory_of_the_daemon_may_begin_with_a_home(tmp_path: Path) -> None:
    path = write(tmp_path, {"supervisord.conf": "[supervisord]\ndirectory=~/x\n[program:w]\ncommand=run"})
    found = read([path], {"HOME": "/home/me"}, cwd=tmp_path, host="vm")
    assert table(found, "w")["directory"] == "/home/me/x"


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_bytes(b"[supervisord]\n[program:w]\ncommand=\xff")
    with pytest.raises(ImportRefused, match="not UTF-8"):
        read([path], {}, cwd=tmp_path, host="vm")
