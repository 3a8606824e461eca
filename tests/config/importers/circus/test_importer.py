"""Files of circus as public projects have them, and what circus 0.19.0 made of each.

The words, the environment and the working directory of each process were compared with those that a program in the
place of every command printed when circusd started it. circusd adds a variable `__name__`, which is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.importers.circus.importer import read
from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.load import load

NOTHING = {"inherit_environment": False, "unset_environment": ["PATH"]}


@dataclass
class Case:
    """`tables`: what is in the table of each service, apart from restart and log, and stop_timeout where it is 30s."""

    ini: str
    tables: dict[str, dict[str, Any]]
    more: dict[str, str] = field(default_factory=dict)
    caller: dict[str, str] = field(default_factory=dict)
    losses: list[tuple[Kind, int, str]] = field(default_factory=list)


CASES = {
    "the_least": Case(
        "[watcher:web]\ncmd = /opt/node main.js\n", {"web": {"command": ["/opt/node", "main.js"], **NOTHING}}
    ),
    "args_and_quotes": Case(
        "[watcher:web]\n"
        'cmd=/opt/node \'two words\' "a\\"b" a\\ b && $X *\n'
        "args : --one\n"
        '  --more "x y"\n'
        "  # kept\n"
        "# dropped\n"
        "  --last ; comment\n",
        {
            "web": {
                "command": [
                    *("/opt/node", "two words", 'a"b', "a b", "&&", "$X", "*", "--one"),
                    *("--more", "x y", "#", "kept", "--last", ";", "comment"),
                ],
                **NOTHING,
            }
        },
    ),
    "comments": Case(
        "; first\n[watcher:web]\ncmd = /opt/node a;b ; c\nREM x = y\nargs = '--x ;y'\n",
        {},
        losses=[(Kind.DROPPED, 5, "args")],
    ),
    "processes_with_numbers": Case(
        "[watcher:web]\ncmd = /opt/node --id=$(circus.wid) ((CIRCUS.WID)) $WID $(circus.numprocesses) $(circus.shell)\n"
        "numprocesses = 2\nuse_sockets = no\n[watcher:one]\ncmd = /opt/node $(circus.wid) $(circus.nothing)\n",
        {
            "web": {
                "command": ["/opt/node", "--id={replica}", "{replica}", "$WID", "2", "False"],
                "replicas": 2,
                **NOTHING,
            },
            "one": {"command": ["/opt/node", "1", "$(circus.nothing)"], **NOTHING},
        },
        losses=[(Kind.IGNORED, 2, "cmd"), (Kind.DROPPED, 6, "cmd")],
    ),
    "environments": Case(
        "[watcher:web]\ncmd = /opt/node $(circus.env.root)/x $(circus.env.home) '$(circus.env.words)' $(circus.env.b)\n"
        "[watcher:worker]\ncmd = /opt/node\ncopy_env = True\n"
        "[env]\nROOT = /srv\nHERE = $HOME/a $NONE ((circus.env.home)) $(circus.env.ROOT)\n"
        "[env:web, other]\nB = $(circus.wid) $lower $$ ${X}\nROOT = /own\n"
        '[env:w*]\nC = c = d\nEMPTY = ""\n',
        {
            "web": {
                "command": ["/opt/node", "/own/x", "${HOME}", "a b", "1", "$lower", "$$", "${X}"],
                **NOTHING,
                "environment": {
                    "ROOT": "/own",
                    "HERE": "${HOME}/a  ${HOME} $(circus.env.ROOT)",
                    "B": "$(circus.wid) $lower $$ ${X}",
                    "C": "c = d",
                    "EMPTY": "",
                },
            },
            "worker": {
                "command": ["/opt/node"],
                "environment": {
                    "ROOT": "/srv",
                    "HERE": "${HOME}/a  ${HOME} $(circus.env.ROOT)",
                    "C": "c = d",
                    "EMPTY": "",
                },
            },
        },
        caller={"WORDS": "a b"},
        losses=[
            (Kind.IGNORED, 1, "NONE"),
            (Kind.CHANGED, 2, "cmd"),
            (Kind.IGNORED, 3, "NONE"),
        ],
    ),
    "in_a_shell": Case(
        "[watcher:a]\ncmd = exec /opt/node 'x y' $HOME && /opt/node\nshell = 1\nshell_args = zero '$0 one'\n"
        "[watcher:b]\ncmd = /opt/node b\nshell = yes\n[watcher:c]\ncmd = /opt/node c\nshell_args = x\n",
        {
            "a": {
                "command": ["/bin/sh", "-c", "exec /opt/node 'x y' '$HOME' '&&' /opt/node", "zero", "$0 one"],
                **NOTHING,
            },
            "b": {"command": ["/bin/sh", "-c", "/opt/node b"], **NOTHING},
            "c": {"command": ["/opt/node", "c"], **NOTHING},
        },
        losses=[(Kind.IGNORED, 3, "shell"), (Kind.IGNORED, 10, "shell_args")],
    ),
    "working_directories": Case(
        "[watcher:a]\ncmd = /opt/node $(circus.working_dir)\nworking_dir = sub\n"
        "[watcher:b]\ncmd = /opt/node\nworking_dir = $(circus.env.tmpdir)\n"
        "[watcher:c]\ncmd = /opt/node $(circus.working_dir)\n",
        {
            "a": {"command": ["/opt/node", "sub"], "directory": "@DIR@/sub", **NOTHING},
            "b": {"command": ["/opt/node"], "directory": "${TMPDIR}", **NOTHING},
            "c": {"command": ["/opt/node", "@DIR@"], **NOTHING},
        },
        caller={"TMPDIR": "/tmp"},
    ),
    "includes": Case(
        "[circus]\ninclude = more.ini none*.ini\ninclude_dir = conf.d\ncheck_delay = 5\n"
        "[watcher:web]\ncmd = /opt/node first\n",
        {
            "web": {"command": ["/opt/node", "first"], "replicas": 2, **NOTHING},
            "job": {"command": ["/opt/run", "job"], **NOTHING},
        },
        more={
            "more.ini": "[watcher:web]\ncmd = /opt/node second\nnumprocesses = 2\n",
            "conf.d/a.ini": "[watcher:job]\ncmd = /opt/run job\n",
            "conf.d/b.txt": "[watcher:other]\ncmd = /opt/run other\n",
        },
        losses=[(Kind.IGNORED, 2, "include"), (Kind.IGNORED, 2, "cmd"), (Kind.DROPPED, 4, "check_delay")],
    ),
    "policies": Case(
        "[watcher:a]\ncmd = /opt/node\nstop_signal = SIGQUIT\ngraceful_timeout = 2.5\nrespawn = false\npriority = 3\n"
        "[watcher:b]\ncmd = /opt/node\nstop_signal = int\ngraceful_timeout = 90\nautostart = off\nsingleton = true\n"
        "[watcher:c]\ncmd = /opt/node\nstop_signal = 10\nnumprocesses = 0\nwarmup_delay = 1\nmax_retry = 3\n"
        "[watcher:d]\ncmd = /opt/node\nstop_signal = rtmin+2\nsend_hup = 0\nstop_children = true\n",
        {
            "a": {"command": ["/opt/node"], "stop_signal": "QUIT", "stop_timeout": "2500ms", **NOTHING},
            "b": {
                "command": ["/opt/node"],
                "stop_signal": "INT",
                "stop_timeout": "90s",
                "autostart": False,
                **NOTHING,
            },
            "c": {"command": ["/opt/node"], "stop_signal": 10, "autostart": False, **NOTHING},
            "d": {"command": ["/opt/node"], "stop_signal": 36, **NOTHING},
        },
        losses=[
            (Kind.DROPPED, 6, "priority"),
            (Kind.CHANGED, 16, "numprocesses"),
            (Kind.DROPPED, 17, "warmup_delay"),
            (Kind.DROPPED, 18, "max_retry"),
            (Kind.CHANGED, 23, "stop_children"),
        ],
    ),
    "limits_and_the_rest": Case(
        "[watcher:a]\ncmd = /opt/node\nrlimit_nofile = 1000\nrlimit_core =\nhooks.before_start = m.f, true\n"
        "max_age = 5\nown = 1\nexecutable = /x\nclose_child_stdin = no\nclose_child_stdout = yes\n"
        "[plugin:flapping]\nuse = circus.plugins.flapping.Flapping\n[other]\nx = 1\n[watcher:none]\n",
        {"a": {"command": ["/opt/node"], "limits": {"nofile": 1000, "core": "unlimited"}, **NOTHING}},
        losses=[
            (Kind.DROPPED, 5, "hooks.before_start"),
            (Kind.DROPPED, 6, "max_age"),
            (Kind.IGNORED, 7, "own"),
            (Kind.IGNORED, 8, "executable"),
            (Kind.CHANGED, 9, "close_child_stdin"),
            (Kind.CHANGED, 10, "close_child_stdout"),
            (Kind.DROPPED, 11, "[plugin:flapping]"),
            (Kind.IGNORED, 13, "[other]"),
        ],
    ),
    "names": Case(
        "[watcher:my app]\ncmd = /opt/node a\n[watcher:my-app]\ncmd = /opt/node b\n",
        {"my-app": {"command": ["/opt/node", "a"], **NOTHING}, "my-app-2": {"command": ["/opt/node", "b"], **NOTHING}},
        losses=[(Kind.CHANGED, 1, "[watcher:my app]"), (Kind.CHANGED, 3, "[watcher:my-app]")],
    ),
    "defaults_of_all": Case(
        "[circus]\numask = 027\n[DEFAULT]\nnumprocesses = 2\n[watcher:a]\ncmd = /opt/node\n"
        "[watcher:b]\ncmd = /opt/node b\nnumprocesses = 1\n",
        {
            "a": {"command": ["/opt/node"], "umask": "027", "replicas": 2, **NOTHING},
            "b": {"command": ["/opt/node", "b"], "umask": "027", **NOTHING},
        },
    ),
}
"""@DIR@ is the folder of circus.ini."""


def imported(folder: Path, ini: str, more: Mapping[str, str], caller: Mapping[str, str]) -> Imported:
    (folder / "circus.ini").write_text(ini)
    (folder / "conf.d").mkdir()
    for name, text in more.items():
        (folder / name).write_text(text)
    return read([folder / "circus.ini"], {"HOME": "/root", **caller}, folder)


@pytest.mark.parametrize("name", CASES)
def test_what_circus_runs(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    found = imported(tmp_path, case.ini, case.more, case.caller)
    tables = {}
    for service in found.services:
        tables[service.name] = {key: value for key, value in service.table.items() if key not in ("restart", "log")}
        assert service.table["restart"]["policy"] == (
            "never" if "respawn" in case.ini and service.name == "a" else "always"
        )
        assert service.table["log"] == {"console": "raw"}
    expected = {
        service: {"directory": str(tmp_path), "stop_timeout": "30s"} | table for service, table in case.tables.items()
    }
    assert tables == in_folder(expected, str(tmp_path))
    of_lines = [(loss.line, str(loss.kind), loss.key) for loss in found.losses if loss.line]
    assert sorted(of_lines) == sorted((line, str(kind), key) for kind, line, key in case.losses)


def in_folder(value: Any, folder: str) -> Any:
    """The value with the folder in place of @DIR@."""
    if isinstance(value, dict):
        return {key: in_folder(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_folder(inner, folder) for inner in value]
    return value.replace("@DIR@", folder) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("ini", "line"),
    [
        ("cmd = x\n", 1),
        ("[watcher:a]\ncmd = x\nno option\n", 3),
        ("[watcher:a]\n= x\n goes on\n", 3),
        ("[watcher:a]\ncmd = x\nnumprocesses = two\n", 3),
        ("[watcher:a]\ncmd = x\nshell = perhaps\n", 3),
        ("[watcher:a]\ncmd = x\nstop_signal = STOPPING\n", 3),
        ("[watcher:a]\ncmd = x\nstop_signal = +\n", 3),
        ("[watcher:a]\ncmd = x\nrlimit_nofile = many\n", 3),
    ],
)
def test_what_circus_refuses_is_refused_with_its_line(ini: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=rf"circus\.ini:{line}: "):
        imported(tmp_path, ini, {}, {})


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circus.ini").write_bytes(b"[watcher:a]\ncmd = \xe9\n")
    with pytest.raises(ImportRefused, match="not UTF-8"):
        read([tmp_path / "circus.ini"], {})


@pytest.mark.parametrize(
    ("options", "log", "losses"),
    [
        ("stdout_stream.class = StdoutStream\n", {"console": "raw"}, []),
        (
            "stdout_stream.filename = out.log\nstderr_stream.class = FileStream\nstderr_stream.filename = out.log\n",
            {"path": "@DIR@/out.log", "rotate": False},
            [],
        ),
        (
            "stdout_stream.class = circus.stream.WatchedFileStream\nstdout_stream.filename = /o\n"
            "stderr_stream.filename = /e\nstdout_stream.time_format = %H\n",
            {"path": "/o", "stderr": "/e", "rotate": False, "timestamps": True},
            [(Kind.CHANGED, 6, "stdout_stream.time_format")],
        ),
        (
            "stdout_stream.filename = /o\nstdout_stream.max_bytes = 1536\nstdout_stream.backup_count = 3\n",
            {"console": "raw", "path": "/o", "max_size": "1.5KiB", "keep": 3, "compress": False},
            [(Kind.CHANGED, 1, "")],
        ),
        (
            "stderr_stream.filename = /e\nstderr_stream.max_bytes = 1000000\n",
            {"console": "raw", "stderr": "/e", "max_size": "976.5625KiB", "keep": 0, "compress": False},
            [(Kind.CHANGED, 1, "")],
        ),
        (
            "stdout_stream.class = m.Own\nstdout_stream.level = 3\nnumprocesses = 2\nstderr_stream.filename = /e\n",
            {"console": "raw", "stderr": "/e", "rotate": False},
            [
                (Kind.CHANGED, 1, ""),
                (Kind.CHANGED, 1, ""),
                (Kind.DROPPED, 3, "stdout_stream.class"),
                (Kind.DROPPED, 4, "stdout_stream.level"),
            ],
        ),
    ],
)
def test_where_the_output_goes(
    options: str, log: dict[str, Any], losses: list[tuple[Kind, int, str]], tmp_path: Path
) -> None:
    found = imported(tmp_path, "[watcher:a]\ncmd = x\n" + options, {}, {})
    assert found.services[0].table["log"] == in_folder(log, str(tmp_path))
    told = sorted((loss.line, str(loss.kind), loss.key) for loss in found.losses if loss.line)
    assert told == sorted((line, str(kind), key) for kind, line, key in losses)


SOCKETS = """\
[watcher:web]
cmd = /opt/chaussette --fd $(circus.sockets.web) --other ((circus.sockets.Admin)) app
use_sockets = yes
[watcher:late]
cmd = /opt/chaussette --fd $(circus.sockets.api)
use_sockets = yes
on_demand = yes
[watcher:none]
cmd = /opt/chaussette --fd $(circus.sockets.web) $(circus.sockets.udp)
[watcher:all]
cmd = /opt/chaussette
use_sockets = yes
on_demand = yes
[socket:web]
port = 8000
backlog = 5
[socket:admin]
path = /run/admin.sock
[socket:api]
host = ::1
port = 8001
so_reuseport = yes
[socket:udp]
type = SOCK_DGRAM
port = 8002
"""


def test_sockets_are_handed_over_from_the_third_descriptor_on(tmp_path: Path) -> None:
    found = imported(tmp_path, SOCKETS, {}, {})
    web, late, none, every = (service.table for service in found.services)
    assert web["command"] == ["/opt/chaussette", "--fd", "3", "--other", "4", "app"]
    assert web["sockets"] == ["tcp://127.0.0.1:8000", "unix:/run/admin.sock"]
    assert late["command"] == ["/opt/chaussette", "--fd", "3"]
    assert late["sockets"] == ["tcp://[::1]:8001?start=demand&share=reuseport"]
    assert "sockets" not in none
    assert "sockets" not in every
    assert [
        (loss.line, loss.kind, loss.service) for loss in found.losses if loss.line and loss.kind is Kind.DROPPED
    ] == [
        (9, Kind.DROPPED, "none"),
        (9, Kind.DROPPED, "none"),
        (12, Kind.DROPPED, "all"),
        (13, Kind.DROPPED, "all"),
        (16, Kind.DROPPED, None),
    ]


def test_restarts_have_no_end_and_that_is_told_once(tmp_path: Path) -> None:
    found = imported(tmp_path, "[watcher:a]\ncmd = x\n[watcher:b]\ncmd = y\nworking_dir = /\n", {}, {})
    restart = {"policy": "always", "backoff": "fixed", "initial": "100ms", "max_restarts": 1_000_000}
    assert [service.table["restart"] for service in found.services] == [restart] * 2
    assert [loss.kind for loss in found.losses] == [Kind.CHOSEN] * 2


def test_an_account_and_what_it_adds(tmp_path: Path) -> None:
    found = imported(tmp_path, "[watcher:a]\ncmd = x\nuid = www-data\ngid = 33\n", {}, {})
    assert (found.services[0].table["user"], found.services[0].table["group"]) == ("www-data", 33)
    assert [(loss.kind, loss.line) for loss in found.losses if loss.line] == [(Kind.CHANGED, 3)]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("cmd = 'x\n", "cmd"),
        ("cmd = x\nnumprocesses = 2\nsingleton = yes\n", "singleton"),
        ("cmd = x\ncopy_path = yes\n", "copy_path"),
        ("cmd = x\nvirtualenv = /venv\n", "virtualenv"),
        ("args = \n", "cmd"),
        ("shell = yes\n", "cmd"),
    ],
)
def test_what_circus_cannot_start_is_no_service(options: str, key: str, tmp_path: Path) -> None:
    found = imported(tmp_path, "[watcher:a]\n" + options, {}, {})
    assert found.services == []
    assert [(loss.kind, loss.key) for loss in found.losses] == [(Kind.DROPPED, key)]


def test_what_stays_out_of_a_limit_and_of_an_environment_is_told(tmp_path: Path) -> None:
    ini = "[watcher:a]\ncmd = x\nrlimit_foo = 1\ncopy_env = 1\ncopy_path = 1\nvirtualenv = /v\nsend_hup = 1\n"
    found = imported(tmp_path, ini, {}, {})
    assert "limits" not in found.services[0].table
    assert [(loss.line, loss.key) for loss in found.losses if loss.line] == [
        (3, "rlimit_foo"),
        (5, "copy_path"),
        (6, "virtualenv"),
        (7, "send_hup"),
    ]


def test_what_is_written_loads_as_it_was_meant(tmp_path: Path) -> None:
    ini = (
        "[watcher:a]\ncmd = /bin/sh -c 'echo $X {replica}' $(circus.env.home)\nnumprocesses = 2\n"
        "[env]\nX = $TOKEN/x${HOME}$HOME {port}\nY = {replica}\n"
        "[env:b]\nZ=1\nZ=2\n[watcher:b]\ncmd = sh\ncopy_env = 1\n"
    )
    found = imported(tmp_path, ini, {}, {"TOKEN": "s3 cret"})
    assert [loss.line for loss in found.losses if "{replica}" in loss.text] == [1, 1, 2, 10, 10]
    found.services[0].table["environment"].pop("X")
    found.services[1].table["environment"]["X"] = type(found.services[1].table["environment"]["X"])(
        "${TOKEN}/x$${HOME}"
    )
    text = services_toml(found, "supervisor init --from circus.ini")
    assert "s3 cret" not in text
    (tmp_path / "services.toml").write_text(text)
    plan = load(tmp_path / "services.toml", {"PATH": "/bin:/usr/bin", "HOME": "/home/x", "TOKEN": "s3 cret"})
    a, b = plan.services
    assert a.command == ("/bin/sh", "-c", "echo $X {replica}", "/home/x")
    assert (a.inherit_environment, a.unset_environment, a.restart.policy) == ((), ("PATH",), "always")
    assert dict(b.environment) == {"X": "s3 cret/x${HOME}", "Y": "{replica}", "Z": "1"}
