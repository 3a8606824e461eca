"""What PM2 7.0.4 starts of an ecosystem file is what comes out: seen there, with programs that print their arguments,
environment and directory.

CASE is the folder of the file, BIN a folder in PATH. What PM2 runs as `node WRAPPER arguments` is noted as
`node script arguments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.pm2.importer import read
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.load import load

PROGRAMS = ("bash", "gunicorn", "node", "npm", "python", "python3", "ruby")
FILES = ("app.js", "api/dist/server.js", "api/worker.js", "jobs/run.sh", "jobs/tick.py", "venv/bin/python", "bin/agent")
CALLER = {"HOME": "/home/deploy", "CALLER": "yes", "SECRET_KEY": "s3cret", "LANG": "C"}


class Process(NamedTuple):
    """A process as PM2 starts it: `set` are the variables that the caller has not, or has otherwise."""

    service: str
    argv: list[str]
    set: dict[str, str]
    unset: tuple[str, ...] = ()
    directory: str = "CASE"


class Case(NamedTuple):
    name: str
    text: str
    processes: list[Process]
    file: str = "ecosystem.config.js"
    evaluated: Any = None


def numbered(number: int = 0, **variables: str) -> dict[str, str]:
    return {"NODE_APP_INSTANCE": str(number)} | variables


CASES = [
    Case(
        "a JSON file with comments, single quotes, products and commas at the end",
        """{
          /* all services */
          'apps': [{
            name: 'web', // the site
            script: "./app.js",
            args: '--port 8080 --title "Hello there" --motd=\\'a b\\'',
            env: {'TIMEOUT': 30 * 1000, RATIO: .5, DEBUG: false, NONE: null, LIST: [1, 'x', {a: 1.0}], EMPTY: '',},
          },],
        }""",
        [
            Process(
                "web",
                ["node", "CASE/app.js", "--port", "8080", "--title", "Hello there", "--motd='a b'"],
                numbered(TIMEOUT="30000", RATIO="0.5", DEBUG="false", NONE="null", LIST='[1,"x",{"a":1}]', EMPTY=""),
            )
        ],
        "process.json",
    ),
    Case(
        "quotes group only where they open a word, and nothing is escaped or expanded",
        r"""module.exports = {apps: [{script: 'app.js', name: 'q',
          args: "a\\ b $HOME * 'c d'e \"f g\" h='i j' '' k\"l m\" ~"}]};""",
        [
            Process(
                "q",
                ["node", "CASE/app.js", "a\\", "b", "$HOME", "*", "c d", "e", "f g", "h='i j'", 'k"l', 'm"', "~"],
                numbered(),
            )
        ],
    ),
    Case(
        "arguments in an array are taken as they are, numbers too",
        """module.exports = {apps: {
          script: 'app.js', args: ['--n', 3, 'two words', '', true], node_args: '--no-warnings --stack-size=900'}}""",
        [
            Process(
                "app",
                ["node", "--no-warnings", "--stack-size=900", "CASE/app.js", "--n", "3", "two words", "", "true"],
                numbered(),
            )
        ],
    ),
    Case(
        "the script is looked for in cwd, the name is that of the script",
        """'use strict'
        module.exports = {
          apps: [
            {cwd: './api', script: 'dist/server.js', env: {NODE_ENV: 'production'}},
            {cwd: 'api', script: './worker.js', interpreter_args: ['--no-warnings'], env_staging: {NODE_ENV: 'x'}},
          ],
          deploy: {production: {user: 'root', ref: 'origin/main'}},
        };
        """,
        [
            Process("server", ["node", "CASE/api/dist/server.js"], numbered(NODE_ENV="production"), (), "CASE/api"),
            Process("worker", ["node", "--no-warnings", "CASE/api/worker.js"], numbered(), (), "CASE/api"),
        ],
    ),
    Case(
        "a program of PATH without an extension is run by node",
        "module.exports = {apps: [{name: 'site', script: 'npm', args: 'run start -- --port 80'}]}",
        [Process("site", ["node", "BIN/npm", "run", "start", "--", "--port", "80"], numbered())],
    ),
    Case(
        "a script with a space is given to bash, and its arguments are dropped",
        """[{name: 'plain', script: 'python3 jobs/tick.py --once', args: 'dropped'},
            {name: 'shell', script: 'python3 jobs/tick.py "$CALLER" && true'},
            {name: 'none', script: 'not-there --once'},
            {script: 'gunicorn app:app -b 0.0.0.0:8000'}]""",
        [
            Process("plain", ["python3", "jobs/tick.py", "--once"], numbered()),
            Process("shell", ["BIN/bash", "-c", 'python3 jobs/tick.py "$CALLER" && true'], numbered()),
            Process("none", ["BIN/bash", "-c", "not-there --once"], numbered()),
            Process("gunicorn-app-app--b-0.0.0", ["gunicorn", "app:app", "-b", "0.0.0.0:8000"], numbered()),
        ],
        "apps.json",
    ),
    Case(
        "Python by its extension or by an interpreter of its own is unbuffered",
        """module.exports = {apps: [
          {script: 'jobs/tick.py', env: {PYTHONUNBUFFERED: '0'}},
          {name: 'venv', script: 'gunicorn', interpreter: 'CASE/venv/bin/python', args: ['app:app', '-w', 4]},
        ]}""",
        [
            Process("tick", ["python", "CASE/jobs/tick.py"], numbered(PYTHONUNBUFFERED="1")),
            Process(
                "venv",
                ["CASE/venv/bin/python", "BIN/gunicorn", "app:app", "-w", "4"],
                numbered(PYTHONUNBUFFERED="1"),
            ),
        ],
    ),
    Case(
        "a shell script, and a program that is run as it is",
        """{apps: [{script: 'jobs/run.sh', interpreterArgs: '-e'},
                   {script: './bin/agent', interpreter: 'none', args: 'serve'}]}""",
        [
            Process("run", ["bash", "-e", "CASE/jobs/run.sh"], numbered()),
            Process("agent", ["CASE/bin/agent", "serve"], numbered()),
        ],
        "all.json",
    ),
    Case(
        "a cluster of as many instances as CPUs less one, and one that is called fork",
        """module.exports = {apps: [
          {name: 'clu', script: 'app.js', instances: -1, env: {PORT: 3000}},
          {name: 'forks', script: 'app.js', instances: 'max', exec_mode: 'fork', instance_var: 'ID'},
        ]}""",
        [
            Process("clu", ["node", "CASE/app.js"], numbered(0, PORT="3000")),
            Process("forks", ["node", "CASE/app.js"], {"ID": "0"}),
            Process("forks", ["node", "CASE/app.js"], {"ID": "1"}),
        ],
    ),
    Case(
        "variables that count up with the instances",
        """module.exports = {apps: [
          {name: 'a', script: 'jobs/run.sh', instances: 2, increment_var: 'PORT', env: {PORT: 4000}},
          {name: 'b', script: 'jobs/run.sh', instances: 2, increment_var: 'WS_PORT', env: {WS_PORT: '5000', PORT: 1}},
          {name: 'c', script: 'jobs/run.sh', instances: 2, increment_var: 'N'},
          {name: 'd', script: 'jobs/run.sh', instances: 2, increment_var: 'SHARD', env: {SHARD: 7}},
        ]}""",
        [
            Process("a", ["bash", "CASE/jobs/run.sh"], numbered(0, PORT="4000")),
            Process("a", ["bash", "CASE/jobs/run.sh"], numbered(1, PORT="4001")),
            Process("b", ["bash", "CASE/jobs/run.sh"], numbered(0, WS_PORT="5000", PORT="1")),
            Process("b", ["bash", "CASE/jobs/run.sh"], numbered(1, WS_PORT="5001", PORT="1")),
            Process("c", ["bash", "CASE/jobs/run.sh"], numbered(0, N="0")),
            Process("c", ["bash", "CASE/jobs/run.sh"], numbered(1, N="1")),
            Process("d", ["bash", "CASE/jobs/run.sh"], numbered(0, SHARD="7")),
            Process("d-1", ["bash", "CASE/jobs/run.sh"], numbered(1, SHARD="8")),
        ],
    ),
    Case(
        "other names of keys, and values that PM2 takes for none",
        """[{cmd: 'jobs/run.sh', port: 8080, env: {PORT: 1}, autorestart: false, killTimeout: 0},
            {exec: 'app.js', name: 'exec', nodeArgs: '--no-warnings', max_restarts: 0, foo: 1}]""",
        [
            Process("run", ["bash", "CASE/jobs/run.sh"], numbered(PORT="8080")),
            Process("exec", ["node", "--no-warnings", "CASE/app.js"], numbered()),
        ],
        "list.json",
    ),
    Case(
        "variables of the caller that are left out",
        """module.exports = {apps: [
          {name: 'all', script: 'app.js', filter_env: true},
          {name: 'some', script: 'app.js', filter_env: ['SECRET', 'LANG'], env: {LANG: 'de'}},
          {name: 'one', script: 'app.js', filter_env: 'CALLER'},
          {name: 'after', script: 'app.js'},
        ]}""",
        [
            Process("all", ["node", "CASE/app.js"], numbered()),
            Process("some", ["node", "CASE/app.js"], numbered(LANG="de"), ("SECRET_KEY",)),
            Process("one", ["node", "CASE/app.js"], numbered(), ("CALLER",)),
            Process("after", ["node", "CASE/app.js"], numbered(), ("CALLER",)),
        ],
    ),
    Case(
        "a module with code is what node makes of it",
        """const path = require('path');
        const common = {script: path.join(__dirname, 'app.js'), max_restarts: 3};
        module.exports = {
          apps: ['one', 'two'].map(name => ({
            ...common,
            name,
            env: {WHO: process.env.CALLER, MISSING: process.env.NOT_THERE, ROLE: `${name}-role`},
          })),
        };""",
        [
            Process("one", ["node", "CASE/app.js"], numbered(WHO="yes", ROLE="one-role")),
            Process("two", ["node", "CASE/app.js"], numbered(WHO="yes", ROLE="two-role")),
        ],
        "ecosystem.config.cjs",
        {
            "apps": [
                {
                    "script": "CASE/app.js",
                    "max_restarts": 3,
                    "name": name,
                    "env": {"WHO": "yes", "ROLE": f"{name}-role"},
                }
                for name in ("one", "two")
            ]
        },
    ),
    Case(
        "names that are twice there, or cannot be names here",
        """module.exports = {apps: [
          {name: 'My App/1', script: 'app.js', namespace: 'back end'},
          {name: 'x', script: 'jobs/run.sh', instance_var: 'A'},
          {name: 'x', script: 'app.js', instance_var: 'B'},
          {name: 'no script'},
        ]}""",
        [
            Process("My-App-1", ["node", "CASE/app.js"], numbered()),
            Process("x", ["bash", "CASE/jobs/run.sh"], {"A": "0"}),
            Process("x-2", ["node", "CASE/app.js"], {"B": "0"}),
        ],
    ),
]


def put(value: Any, folder: Path) -> Any:
    """The value with paths in place of CASE and BIN."""
    if isinstance(value, str):
        return value.replace("CASE", str(folder)).replace("BIN", str(folder / "path"))
    if isinstance(value, Process):
        return Process(*(put(part, folder) for part in value))
    if isinstance(value, list):
        return [put(inner, folder) for inner in value]
    return {key: put(inner, folder) for key, inner in value.items()} if isinstance(value, dict) else value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*FILES, *(f"path/{name}" for name in PROGRAMS)):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/usr/bin/env node\n")
        file.chmod(0o755)
    return tmp_path


def caller(folder: Path) -> dict[str, str]:
    return CALLER | {"PATH": str(folder / "path")}


def imported(folder: Path, text: str, name: str = "ecosystem.config.js", **options: Any) -> Imported:
    file = folder / name
    file.write_text(put(text, folder))
    environment = caller(folder) | options.pop("environment", {})
    given: dict[str, Any] = {"cpus": 2, "evaluate": not_evaluated} | options
    return read([file], environment, **given)


def not_evaluated(kind: str, path: Path, called_in: Path, environment: Mapping[str, str]) -> Any:
    raise AssertionError("node is not needed")


def processes(found: Imported, environment: Mapping[str, str]) -> list[Process]:
    """Each instance as it is started here."""
    all_of_them = []
    for service in found.services:
        table = service.table
        for index in range(table.get("replicas", 1)):
            marks = {"{replica}": str(table.get("first_replica", 1) + index)}
            variables = dict(table["environment"])
            if "ports" in table:
                marks["{port}"] = str(int(table["ports"].split("-")[0]) + index)
                variables.setdefault("PORT", "{port}")
            for mark, text in marks.items():
                variables = {key: value.replace(mark, text) for key, value in variables.items()}
            unset = tuple(table.get("unset_environment", ()))
            assert set(unset) <= environment.keys()
            all_of_them.append(Process(service.name, table["command"], variables, unset, table["directory"]))
    return all_of_them


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_pm2_starts_is_what_comes_out(case: Case, folder: Path) -> None:
    def evaluate(kind: str, path: Path, called_in: Path, environment: Mapping[str, str]) -> Any:
        assert case.evaluated is not None, "node is not needed"
        assert (kind, called_in, environment["CALLER"]) == ("js", folder, "yes")
        return {"value": put(case.evaluated, folder)}

    found = imported(folder, case.text, case.file, evaluate=evaluate)
    assert processes(found, caller(folder)) == put(case.processes, folder)
    told = [str(loss) for loss in found.losses]
    assert any("node has evaluated it" in text for text in told) == (case.evaluated is not None)
    assert "s3cret" not in "".join(told)
    (folder / "services.toml").write_text(services_toml(found, "x"))
    plan = load(folder / "services.toml", caller(folder))
    assert [spec.name for spec in plan.services] == list(dict.fromkeys(service.name for service in found.services))


ALWAYS = {"policy": "always", "backoff": "fixed", "initial": "0s", "jitter": 0}
BREAKER = {"max_restarts": 15, "window": "16s", "cooldown": "1m"}
GROWING = {"policy": "always", "backoff": "exponential", "maximum": "15s", "factor": 1.5, "jitter": 0}
POLICIES: list[tuple[str, dict[str, Any]]] = [
    ("", {"restart": ALWAYS | BREAKER, "stop_signal": "INT", "stop_timeout": "1s600ms", "log": None}),
    ("autorestart: false, stop_exit_codes: [0]", {"restart": {"policy": "never"}}),
    ("max_restarts: 4, min_uptime: '5s'", {"restart": ALWAYS | BREAKER | {"max_restarts": 3, "window": "20s"}}),
    ("max_restarts: 0, min_uptime: 0, killTimeout: 0", {"restart": ALWAYS | BREAKER, "stop_timeout": "1s600ms"}),
    ("restart_delay: -1", {"restart": ALWAYS | BREAKER}),
    ("min_uptime: '0s'", {"restart": ALWAYS | {"max_restarts": 1_000_000}}),
    ("restart_delay: 400", {"restart": ALWAYS | BREAKER | {"initial": "400ms"}}),
    ("restart_delay: 1050", {"restart": ALWAYS | BREAKER | {"initial": "1s50ms"}}),
    ("restart_delay: '3000'", {"restart": ALWAYS | {"initial": "3s", "max_restarts": 1_000_000}}),
    ("restart_delay: 45000", {"restart": ALWAYS | {"initial": "45s", "maximum": "45s", "max_restarts": 1_000_000}}),
    (
        "exp_backoff_restart_delay: 100, restart_delay: 5",
        {"restart": GROWING | {"initial": "100ms", "reset_after": "30s", "max_restarts": 1_000_000}},
    ),
    (
        "exp_backoff_restart_delay: 100, max_restarts: 5",
        {
            "restart": GROWING
            | {"initial": "100ms", "reset_after": "30s", "max_restarts": 4, "window": "5s", "cooldown": "1m"}
        },
    ),
    ("stop_exit_codes: [143, '0', 0]", {"restart": ALWAYS | BREAKER | {"exit_codes": {"never": [0, 143]}}}),
    ("stop_exit_codes: 3", {"restart": ALWAYS | BREAKER | {"exit_codes": {"never": [3]}}}),
    ("kill_timeout: 10000", {"stop_timeout": "10s"}),
    ("kill_timeout: -1", {"stop_timeout": "0s"}),
    ("max_memory_restart: '300M'", {"resources": {"max_memory": "300MiB", "for": "30s", "action": "restart"}}),
    ("max_memory_restart: 1500", {"resources": {"max_memory": "1.4648KiB", "for": "30s", "action": "restart"}}),
    ("max_memory_restart: '2G'", {"resources": {"max_memory": "2GiB", "for": "30s", "action": "restart"}}),
    ("autostart: false, namespace: 'back'", {"autostart": False, "group_name": "back"}),
    ("namespace: 'default'", {"group_name": None}),
    ("user: 'www-data', gid: 'adm'", {"user": "www-data", "group": "adm"}),
    ("uid: '1000'", {"user": 1000, "group": None}),
    ("user: 'www-data', env: {HOME: '/x', A: 1}", {"environment": {"NODE_APP_INSTANCE": "0", "A": "1"}}),
    ("env: {NODE_APP_INSTANCE: 'mine'}", {"environment": {"NODE_APP_INSTANCE": "mine"}}),
    (
        "out_file: 'logs/o.log', error_file: '~/e.log'",
        {"log": {"path": "CASE/logs/o.log", "rotate": False, "stderr": "/home/deploy/e.log"}},
    ),
    ("out: '/var/o.log', err: '/var/o.log'", {"log": {"path": "/var/o.log", "rotate": False}}),
    ("out_file: '/var/o.log'", {"log": {"path": "/var/o.log", "rotate": False, "stderr": True}}),
    ("error_file: '/var/e.log'", {"log": {"stderr": "/var/e.log"}}),
    ("log_file: '/var/c.log', time: true", {"log": {"path": "/var/c.log", "rotate": False, "timestamps": True}}),
    ("out_file: '/dev/null', error_file: 'NULL', disable_logs: true", {"log": None}),
    ("out_file: '/dev/stdout', error_file: '/dev/stderr'", {"log": {"console": "raw"}}),
    (
        "instances: 2, exec_mode: 'fork', output: '/var/o.log'",
        {"log": {"path": "/var/o-{instance}.log", "rotate": False, "stderr": True}},
    ),
    (
        "instances: 2, exec_mode: 'fork', out_file: '/var/o.log', error: '/var/o.log', combine_logs: true",
        {"log": {"path": "/var/o.log", "rotate": False}},
    ),
]


@pytest.mark.parametrize(("text", "expected"), POLICIES)
def test_policy_and_logs_are_those_of_pm2(text: str, expected: dict[str, Any], folder: Path) -> None:
    found = imported(folder, f"module.exports = {{apps: [{{script: 'app.js', {text}}}]}}")
    table = found.services[0].table
    assert {key: table.get(key) for key in expected} == put(expected, folder)


def test_the_variables_of_pm2_itself_count(folder: Path) -> None:
    environment = {"PM2_KILL_SIGNAL": "SIGTERM", "PM2_KILL_TIMEOUT": "9000", "EXP_BACKOFF_RESET_TIMER": "60000"}
    text = "module.exports = [{script: 'app.js', exp_backoff_restart_delay: 100}]"
    table = imported(folder, text, environment=environment).services[0].table
    assert (table["stop_signal"], table["stop_timeout"], table["restart"]["reset_after"]) == ("TERM", "9s", "1m")


TOLD = [
    ("watch: ['src'],\nignore_watch: 'node_modules'", [(Kind.DROPPED, 2, "watch"), (Kind.DROPPED, 3, "ignore_watch")]),
    ("watch: false", []),
    ("cron_restart: '0 3 * * *'", [(Kind.DROPPED, 2, "cron_restart")]),
    ("env: {A: 'x'},\nenv_production: {A: 'y'}", [(Kind.DROPPED, 3, "env_production")]),
    ("env: {A: 'x',\nname: 'y'}", [(Kind.DROPPED, 2, "name")]),
    ("autostrat: false", [(Kind.IGNORED, 2, "autostrat")]),
    ("wait_ready: true,\nlistenTimeout: 5000", [(Kind.CHANGED, 2, "wait_ready"), (Kind.DROPPED, 3, "listenTimeout")]),
    ("treekill: false", [(Kind.CHANGED, 2, "treekill")]),
    ("shutdown_with_message: true", [(Kind.CHANGED, 2, "shutdown_with_message")]),
    ("instances: 2", [(Kind.CHANGED, 2, "instances")]),
    ("instances: 0", [(Kind.CHOSEN, 2, "instances"), (Kind.CHANGED, 2, "instances")]),
    ("exec_mode: 'cluster', instances: 3", [(Kind.CHANGED, 2, "exec_mode")]),
    ("exec_mode: 'cluster', interpreter: 'python'", [(Kind.IGNORED, 2, "interpreter")]),
    ("post_update: ['npm install']", [(Kind.DROPPED, 2, "post_update")]),
    ("pmx: false, io: {}", [(Kind.DROPPED, 2, "io"), (Kind.DROPPED, 2, "pmx")]),
    ("force: true", [(Kind.IGNORED, 2, "force")]),
    ("max_memory_restart: '1G'", [(Kind.CHANGED, 2, "max_memory_restart")]),
    ("uid: 0, user: 'deploy'", [(Kind.CHANGED, 2, "user")]),
    ("interpreter: 'ts-node'", [(Kind.CHOSEN, 2, "interpreter")]),
    ("interpreter: 'node@18.2.0'", [(Kind.CHOSEN, 2, "interpreter")]),
    ("args: '--id {replica}'", [(Kind.CHANGED, 2, "args")]),
    ("env: {A: '{port}'}", [(Kind.CHANGED, 2, "A")]),
    (
        "log_date_format: 'YYYY', log_type: 'json'",
        [(Kind.CHANGED, 2, "log_date_format"), (Kind.DROPPED, 2, "log_type")],
    ),
    ("namespace: 'a b'", [(Kind.CHANGED, 2, "namespace")]),
    ("exp_backoff_restart_delay: 20000", [(Kind.CHANGED, 2, "exp_backoff_restart_delay")]),
]


@pytest.mark.parametrize(("text", "expected"), TOLD)
def test_what_is_not_taken_over_is_told_with_its_line(
    text: str, expected: list[tuple[Kind, int, str]], folder: Path
) -> None:
    found = imported(folder, "module.exports = {apps: [{script: 'app.js',\n" + text + "}]}")
    told = [(loss.kind, loss.line, loss.key) for loss in found.losses if loss.line]
    delays = [one for one in told if one[0] is Kind.CHOSEN and "delay" in one[2]]
    assert sorted(one for one in told if one not in delays) == sorted(expected)
    assert all(loss.service == "app" for loss in found.losses if loss.line)


@pytest.mark.parametrize(
    ("env", "ports"), [("env: {PORT: 8080}", "8080-8082"), ("env: {PORT: 'x'}", "3000-3002"), ("", "3000-3002")]
)
def test_a_cluster_is_told_the_ports_that_its_instances_could_have(env: str, ports: str, folder: Path) -> None:
    found = imported(folder, "module.exports = [{script: 'app.js', exec_mode: 'cluster', instances: 3, " + env + "}]")
    (told,) = (loss.text for loss in found.losses if loss.key == "exec_mode")
    assert f'`ports = "{ports}"` sets PORT, where `environment` does not' in told


def test_what_holds_for_the_whole_file_is_told_once(folder: Path) -> None:
    text = "module.exports = {\napps: [{script: 'app.js'}, {script: 'jobs/run.sh'}],\ndeploy: {a: {}},\nother: 1}"
    found = imported(folder, text)
    assert [(loss.kind, loss.line, loss.key) for loss in found.losses if loss.service is None] == [
        (Kind.DROPPED, 3, "deploy"),
        (Kind.IGNORED, 4, "other"),
        (Kind.CHANGED, 0, "env"),
        (Kind.CHANGED, 0, "script"),
        (Kind.CHANGED, 0, "max_restarts"),
        (Kind.CHANGED, 0, "out_file"),
    ]


def test_a_script_that_pm2_would_not_find_is_told(folder: Path) -> None:
    found = imported(folder, "module.exports = {apps: [{script: 'dist/gone.js'}, {script: './serve'}]}")
    assert [service.table["command"] for service in found.services] == [
        ["node", f"{folder}/dist/gone.js"],
        ["node", f"{folder}/serve"],
    ]
    assert [loss.kind for loss in found.losses if loss.key == "script" and loss.line] == [Kind.CHOSEN, Kind.CHOSEN]


def test_a_script_with_another_interpreter_in_its_first_line_is_run_by_node_all_the_same(folder: Path) -> None:
    (folder / "start").write_text("#!/bin/sh\n")
    (folder / "binary").write_bytes(b"\x7fELF\x00")
    found = imported(folder, "module.exports = [{script: 'start'}, {script: 'binary'}]")
    assert [service.table["command"] for service in found.services] == [
        ["node", f"{folder}/start"],
        [f"{folder}/binary"],
    ]
    assert [(loss.kind, loss.service) for loss in found.losses if loss.line] == [(Kind.IGNORED, "start")]


def test_typescript_is_run_by_bun_or_by_node(folder: Path) -> None:
    (folder / "a.ts").touch()
    text = "module.exports = [{script: 'a.ts'}]"
    assert imported(folder, text).services[0].table["command"] == ["node", f"{folder}/a.ts"]
    (folder / "path/bun").touch(0o755)
    assert imported(folder, text).services[0].table["command"] == ["bun", f"{folder}/a.ts"]


def test_a_version_of_nvm(folder: Path) -> None:
    text = "module.exports = [{script: 'app.js', interpreter: 'node@18.2.0'}]"
    command = imported(folder, text, environment={"NVM_DIR": "/nvm"}).services[0].table["command"]
    assert command[0] == "/nvm/versions/node/v18.2.0/bin/node"


def test_the_variables_of_a_chosen_environment_come_last(folder: Path) -> None:
    text = """module.exports = {
      apps: [{script: 'app.js', port: 80, env: {A: 1, B: 1, C: 1},
              env_production: {A: 3, PORT: 443}, env_test: {A: 4}}],
      deploy: {production: {env: {B: 2}}}}"""
    found = imported(folder, text, env="production")
    assert found.services[0].table["environment"] == numbered(A="3", B="2", C="1", PORT="443")
    assert [loss.key for loss in found.losses if loss.kind is Kind.DROPPED] == ["deploy", "env_test"]


def test_relative_paths_go_from_where_pm2_is_called(folder: Path) -> None:
    found = imported(folder, "module.exports = [{script: 'worker.js'}]", called_in=folder / "api")
    table = found.services[0].table
    assert (table["command"], table["directory"]) == (["node", f"{folder}/api/worker.js"], f"{folder}/api")


REFUSED = [
    ("[{script: 'app.js',\nmin_uptime: 20}]", 2, "min_uptime is less than 100"),
    ("[{script: 'app.js',\nmax_memory_restart: '1.5G'}]", 2, "max_memory_restart does not have the form"),
    ("[{script: 'app.js',\nautorestart: 'no'}]", 2, "autorestart has to be of the type boolean"),
    ("[{script: 'app.js',\nargs: 3}]", 2, "args has to be of the type array or string"),
    ("[{script: 'app.js',\nexec_mode: 'clusters'}]", 2, "exec_mode does not have the form"),
    ("[{script: 'app.js',\nmax_restarts: -1}]", 2, "max_restarts is less than 0"),
    ("[{script: 'app.js',\nname: 3}]", 2, "name has to be of the type string"),
    ("[{script: 'app.js',\ngid: 'adm'}]", 2, "refuses gid without uid"),
    ("['app.js']", 0, "an application is an object"),
    ("'app.js'", 0, "no object"),
]


@pytest.mark.parametrize(("text", "line", "message"), REFUSED)
def test_what_pm2_refuses_is_refused_with_its_line(text: str, line: int, message: str, folder: Path) -> None:
    with pytest.raises(ImportRefused, match=message) as raised:
        imported(folder, text, "apps.json")
    assert raised.value.message.startswith(f"{folder}/apps.json:{line}:" if line else f"{folder}/apps.json: ")


def test_a_file_of_another_name_is_read_and_told(folder: Path) -> None:
    found = imported(folder, "module.exports = [{script: 'app.js'}]", "pm2.js")
    assert "would run a file of this name as a program" in found.losses[0].text


def test_a_file_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "a.json").write_bytes(b"[\n{script: '\xff'}]")
    with pytest.raises(ImportRefused, match=r"a\.json:2: it is not UTF-8"):
        read([folder / "a.json"], {})


def test_a_name_in_a_second_file_is_another_service(folder: Path) -> None:
    for name in ("a.json", "b.json"):
        (folder / name).write_text("[{script: 'app.js'}]")
    found = read([folder / "a.json", folder / "b.json"], caller(folder))
    assert [(service.name, service.file) for service in found.services] == [
        ("app", f"{folder}/a.json"),
        ("app-2", f"{folder}/b.json"),
    ]


def test_a_namespace_with_the_name_of_a_service_gets_another(folder: Path) -> None:
    text = """module.exports = [{name: 'api', script: 'app.js', namespace: 'api'},
      {name: 'api-group', script: 'app.js',
       namespace: 'api'}]"""
    found = imported(folder, text)
    assert [service.table["group_name"] for service in found.services] == ["api-group-", "api-group-"]
    told = [(loss.line, loss.service) for loss in found.losses if loss.key == "namespace"]
    assert told == [(1, "api"), (2, "api-group")]
    (folder / "services.toml").write_text(services_toml(found, "x"))
    load(folder / "services.toml", caller(folder))


def test_fewer_instances_than_cpus_by_more_than_one_are_no_cluster(folder: Path) -> None:
    found = imported(folder, "module.exports = [{script: 'app.js', instances: -2}]", cpus=5)
    assert found.services[0].table["replicas"] == 3
    assert [loss.kind for loss in found.losses if loss.key == "instances"] == [Kind.CHOSEN]
