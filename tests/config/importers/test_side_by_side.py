"""`init --check`: each tool's own reader beside the import.

Programs that answer stand in for the readers, apart from systemd's; `scripts/imports` asks the real ones.
"""

import json
import os
import shutil
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.importers.formats import by_tool
from supervisor.config.importers.side_by_side import CheckFailed, Comparison, Facts, check
from supervisor.config.importers.systemd import check as systemd_check

FILES = {
    "procfile": ("Procfile", "web: serve -p $PORT\nclock: tick && tock '$DB'\n"),
    "circus": ("circus.ini", "[watcher:web]\ncmd = serve 'a b'\nworking_dir = /srv\n[env:web]\nA = q7z\n"),
    "compose": (
        "compose.yaml",
        "services:\n  web:\n    image: x\n    command: serve 'a b' $$X\n    environment: {A: q7z}\n"
        "    restart: always\n    stop_grace_period: 1m30s\n    stop_signal: SIGINT\n    deploy: {replicas: 2}\n"
        "    healthcheck: {test: ask $$A, interval: 5s}\n"
        "    depends_on: {first: {condition: service_completed_successfully}}\n"
        "  first: {image: x, command: run, restart: 'on-failure:3'}\n",
    ),
    "pm2": (
        "ecosystem.json",
        "[{name: 'web', script: '/bin/cat', args: 'a', interpreter: 'none', stop_exit_codes: [3],"
        " max_memory_restart: '1M', env: {A: 'q7z'}}]",
    ),
}
DOTENV = "DB=q7z\n"
WATCHER = {
    "name": "web", "words": ["serve", "a b"], "copied": False, "variables": {"A": "q7z"}, "directory": "/srv",
    "user": None, "group": None, "signal": 15, "timeout": 30.0, "count": 1, "respawn": True, "autostart": True,
}  # fmt: skip
APP = {
    "name": "web", "script": "/bin/cat", "interpreter": "none", "options": [], "args": ["a"], "cluster": False,
    "directory": "HERE", "instances": 1, "autorestart": True, "autostart": True, "variables": {"A": "q7z", "SEEN": "1"},
    "caller": {"SEEN": "1"}, "starts": None, "never": [3], "memory": 1048576,
}  # fmt: skip
CONFIG: dict[str, dict[str, dict[str, Any]]] = {
    "services": {
        "web": {
            "command": ["serve", "a b", "$$X"], "environment": {"A": "q7z"}, "restart": "always",
            "stop_signal": "SIGINT", "stop_grace_period": "1m30s", "deploy": {"replicas": 2},
            "healthcheck": {"test": ["CMD-SHELL", "ask $$A"], "interval": "5s", "timeout": "30s"},
            "depends_on": {"first": {"condition": "service_completed_successfully"}},
        },
        "first": {"command": ["run"], "restart": "on-failure:3"},
    }
}  # fmt: skip


def foreman_processes(web: str = "serve -p 5000", value: str = "q7z") -> list[dict[str, Any]]:
    variables = {"PORT": "5000", "PS": "web.1", "DB": value}
    return [
        {"name": "web", "text": web, "ours": "serve -p 5000", "variables": variables},
        {"name": "clock", "text": "tick && tock 'q7z'", "ours": "tick && tock 'q7z'",
         "variables": {"PORT": "5100", "PS": "clock.1", "DB": value}},
    ]  # fmt: skip


ANSWERS: dict[str, Any] = {
    "procfile": {"version": "0.87.2", "processes": foreman_processes()},
    "circus": {"version": "0.19.0", "watchers": [WATCHER]},
    "compose": CONFIG,
    "pm2": {"version": "7.0.4", "apps": [APP]},
}
OTHERS: dict[str, tuple[Any, list[str]]] = {
    "procfile": (
        {"version": "0.87.2", "processes": foreman_processes("serve -p 1", "k9w")},
        ["command line: 'serve -p 1' in foreman, 'serve -p 5000' here",
         "variable DB: another value in foreman, another value here",
         "variable DB: another value in foreman, another value here"],
    ),
    "circus": (
        {"version": "0.19.0", "watchers": [WATCHER | {"words": ["serve"], "timeout": 5.0, "variables": {"B": "k9w"}}]},
        ["command line: serve in circus, serve 'a b' here", "variable A: not set in circus, set here",
         "variable B: set in circus, not set here", "stop timeout: 5 s in circus, 30 s here"],
    ),
    "compose": (
        {"services": {"web": CONFIG["services"]["web"] | {
            "restart": "no", "environment": {"A": "k9w"}, "deploy": {"replicas": 3}, "depends_on": ["first"],
            "healthcheck": {"test": ["CMD", "ask", "q7z"]}},
            "first": {"command": ["run"], "restart": "on-failure"}, "more": {"command": "x"}}},
        ["variable A: another value in docker-compose, another value here",
         "restart: never in docker-compose, always here",
         "replicas: 3 in docker-compose, 2 here",
         "depends_on: first started in docker-compose, first completed here",
         "healthcheck: another value in docker-compose, another value here",
         "most restarts: without end in docker-compose, 3 here",
         "docker-compose runs it, and the import does not"],
    ),
    "pm2": (
        {"version": "7.0.4", "apps": [
            APP | {"args": ["b"], "kill": 3000, "starts": 3, "never": [4], "memory": 2048, "instances": 2}]},
        ["command line: /bin/cat b in pm2, /bin/cat a here", "stop timeout: 3 s in pm2, 1.6 s here",
         "exit codes without a restart: 4 in pm2, 3 here", "memory: 2048 in pm2, 1048576 here",
         "most restarts: 2 in pm2, 15 here", "replicas: 2 in pm2, 1 here"],
    ),
}  # fmt: skip
PROGRAMS = {"procfile": "foreman", "circus": "circusd", "compose": "docker-compose", "pm2": "node"}


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def install(folder: Path, tool: str, answer: str) -> Mapping[str, str]:
    """Put a reader that gives the answer in the place of the tool's; the environment in which it is found."""
    place = folder / "bin"
    (folder / "answer").write_text(answer.replace("HERE", str(folder)))
    give = f"#!{sys.executable} -S\nimport sys\nanswer = open({str(folder / 'answer')!r}).read()\n"
    if tool == "pm2":
        module = folder / "pm2"
        script(module / "lib/Common.js", "")
        place.mkdir()
        (place / "pm2").symlink_to(script(module / "bin/pm2", ""))
        script(place / "node", f"{give}open(sys.argv[-1], 'w').write(answer)\n")
    elif tool == "compose":
        script(
            place / PROGRAMS[tool],
            f"{give}print('docker-compose version 1.29.2' if sys.argv[-1] == 'version' else answer)\n",
        )
    else:
        reader = script(folder / "reader", f"{give}print(answer)\n")
        script(place / PROGRAMS[tool], f"#!{reader}\n")
    return {"PATH": str(place), "SEEN": "1"}


def compared(folder: Path, tool: str, answer: Any) -> Comparison:
    name, text = FILES[tool]
    (folder / name).write_text(text)
    if tool == "procfile":
        (folder / ".env").write_text(DOTENV)
    environment = install(folder, tool, answer if isinstance(answer, str) else json.dumps(answer))
    (one,) = check(by_tool([folder / name]), environment)
    return one


@pytest.mark.parametrize("tool", list(ANSWERS))
def test_what_both_understand_alike_is_no_difference(tool: str, tmp_path: Path) -> None:
    if tool == "compose":
        pytest.importorskip("yaml")
    found = compared(tmp_path, tool, ANSWERS[tool])
    assert [row.differences for row in found.rows] == [()] * len(found.rows)
    assert found.rows[0].service == "web" and FILES[tool][0] in found.rows[0].where
    assert {"command line", "variables"} <= found.compared


@pytest.mark.parametrize("tool", list(OTHERS))
def test_each_difference_is_named_and_no_value_of_a_variable(tool: str, tmp_path: Path) -> None:
    if tool == "compose":
        pytest.importorskip("yaml")
    answer, told = OTHERS[tool]
    found = compared(tmp_path, tool, answer)
    assert [difference for row in found.rows for difference in row.differences] == told
    assert "q7z" not in repr(found) and "k9w" not in repr(found)


@pytest.mark.parametrize(("tool", "answer"), [(tool, answer) for tool in ANSWERS for answer in ("", "nonsense: [")])
def test_an_answer_that_makes_no_sense_is_told(tool: str, answer: str, tmp_path: Path) -> None:
    if tool == "compose":
        pytest.importorskip("yaml")
    with pytest.raises(CheckFailed, match="gave an answer that is not understood"):
        compared(tmp_path, tool, answer)


@pytest.mark.parametrize(
    ("tool", "program"),
    [
        ("procfile", "the programs foreman and honcho in PATH"),
        ("circus", "the program circusd in PATH"),
        ("compose", r"docker-compose and podman-compose in PATH"),
        ("pm2", "the program pm2 in PATH"),
    ],
)
def test_a_tool_that_is_not_installed_is_named(tool: str, program: str, tmp_path: Path) -> None:
    if tool == "compose":
        pytest.importorskip("yaml")
    name, text = FILES[tool]
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckFailed, match=f"--check looks for .*{program}, and there is none"):
        check(by_tool([tmp_path / name]), {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("line", "alike"),
    [
        ("serve -p $PORT", True),
        ('serve "it\'s $PORT"', True),
        ("serve '$PORT'", False),
        ("serve \\$PORT", False),
        ("serve 'a\\' '$PORT'", False),
        ("serve $$PORT", False),
        ("serve $PORTAL", False),
    ],
)
def test_the_port_that_honcho_leaves_to_the_shell(line: str, alike: bool, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(f"web: {line}\n")
    process = {"name": "web", "text": line, "ours": None, "variables": {"PORT": "5000"}}
    environment = install(tmp_path, "procfile", json.dumps({"version": "2.0.0", "processes": [process]}))
    (tmp_path / "bin" / "foreman").rename(tmp_path / "bin" / "honcho")
    (found,) = check(by_tool([tmp_path / "Procfile"]), environment)
    assert found.tool == "honcho 2.0.0"
    assert [bool(row.differences) for row in found.rows] == [not alike]


def test_a_tool_that_refuses_the_file_is_told(tmp_path: Path) -> None:
    environment = install(tmp_path, "circus", "")
    (tmp_path / "reader").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "circus.ini").write_text(FILES["circus"][1])
    with pytest.raises(CheckFailed, match=r"circus refuses the file \(exit code 3\)"):
        check(by_tool([tmp_path / "circus.ini"]), environment)


UNIT = """\
[Service]
ExecStart=/bin/sh "a b" foo"c d" %i ${A} $B \\x41 $$X
Environment=A=1 "B=2 3" "TOKEN=q7z k9w"
Restart=on-failure
KillSignal=QUIT
TimeoutStopSec=1min 7s
WorkingDirectory=-/srv
UMask=0077
"""


def systemd_is_here() -> bool:
    return shutil.which("systemd", path=os.pathsep.join(systemd_check.PLACES)) is not None


@pytest.mark.skipif(not systemd_is_here(), reason="systemd is not installed")
def test_systemd_itself_reads_a_unit_with_its_drop_in(tmp_path: Path) -> None:
    (tmp_path / "web@.service").write_text(UNIT)
    (tmp_path / "web@.service").chmod(0o600)
    (tmp_path / "web@.service.d").mkdir()
    (tmp_path / "web@.service.d" / "x.conf").write_text("[Service]\nRestartSec=3\nTimeoutStopSec=infinity\n")
    (one,) = check(by_tool([tmp_path / "web@1.service"]), {})
    assert one.tool.startswith("systemd ")
    assert [(row.service, row.differences) for row in one.rows] == [("web-1", ())]
    assert one.compared >= {"command line", "variables", "umask", "stop timeout", "first delay of a restart"}


@pytest.mark.skipif(not systemd_is_here(), reason="systemd is not installed")
def test_a_unit_that_systemd_reads_in_another_way_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.service").write_text(UNIT)
    real = systemd_check.dump_of

    def other(*arguments: Any) -> systemd_check.Dump:
        (tmp_path / "web.service").write_text(UNIT.replace("QUIT", "INT").replace("k9w", "l0l").replace("a b", "a"))
        return real(*arguments)

    monkeypatch.setattr(systemd_check, "dump_of", other)
    (one,) = check(by_tool([tmp_path / "web.service"]), {})
    assert one.rows[0].differences == (
        "command line: /bin/sh a 'fooc d' '' 1 2 3 A '$X' in systemd, /bin/sh 'a b' 'fooc d' '' 1 2 3 A '$X' here",
        "variable TOKEN: another value in systemd, another value here",
        "stop signal: INT in systemd, QUIT here",
    )


@pytest.mark.parametrize("arrow", ["->", "→"])
def test_systemd_prints_one_of_two_arrows(tmp_path: Path, arrow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 252 the first, version 262 the second."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # the program below is not run as another user
    lines = [
        f"{arrow} By units:",
        f"\t{arrow} Unit web.service:",
        "\t\tUnit Load State: loaded",
        f"\t\t{arrow} ExecStart:",
        "\t\t\tCommand Line: /bin/a b",
    ]
    systemd = script(tmp_path / "systemd", "\n".join(["#!/bin/sh", "cat <<'END'", *lines, "END", ""]))
    dump = systemd_check.dump_of(str(systemd), {}, [])
    assert dump == {"web.service": {"Unit Load State": ["loaded"], "ExecStart": ["/bin/a b"]}}


def test_without_systemd_its_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.service").write_text(UNIT)
    monkeypatch.setattr(systemd_check, "PLACES", (str(tmp_path),))
    with pytest.raises(CheckFailed, match=f"looks for the program systemd in {tmp_path}, and there is none"):
        check(by_tool([tmp_path / "web.service"]), {})


def test_a_command_line_is_shown_without_the_values_of_variables() -> None:
    made = Comparison("pm2 7")
    variables = {"TOKEN": "hunter2", "PORT": "5000"}
    made.add("a", "f:1", Facts(("run", "hunter2", "5000"), variables, {}), Facts(("run", "5000"), variables, {}))
    made.add("b", "f:2", Facts(("run", "hunter2"), variables, {}), Facts(("run", "$TOKEN"), {}, {}))
    (first, second) = made.rows
    assert first.differences == ("command line: run $TOKEN 5000 in pm2, run 5000 here",)
    assert "command line: " in second.differences[0] and "hunter2" not in repr(made)


def test_an_application_that_pm2_refuses_differs_only_where_the_import_takes_it(tmp_path: Path) -> None:
    refused = [{"name": "web", "refused": True}, {"name": "no script", "refused": True}]
    found = compared(tmp_path, "pm2", {"version": "7.0.4", "apps": refused})
    assert [row.differences for row in found.rows] == [("pm2 refuses it: its script or its interpreter is not there",)]


@pytest.mark.parametrize(
    ("tool", "program"), [("procfile", "honcho"), ("circus", "circusd"), ("supervisord", "supervisord")]
)
def test_no_module_of_the_directory_of_the_files_is_run(
    tool: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, text = FILES.get(tool, ("supervisord.conf", "[supervisord]\n[program:web]\ncommand=serve\n"))
    (tmp_path / name).write_text(text)
    for module in ("json", "circus", "honcho", "supervisor"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    script(tmp_path / "bin" / program, f"#!{sys.executable}\n")
    with suppress(CheckFailed):  # the tool is not there; its Python is
        check(by_tool([tmp_path / name]), {"PATH": str(tmp_path / "bin")})
    assert not (tmp_path / "was-run").exists()
