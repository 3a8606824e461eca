"""What compose runs in each container is what comes out: seen with docker-compose 1.29.2 (`config`), whose commands are
split by docker-py 5.0.3. What Docker does with restarts and health checks is held as the Docker Engine documents it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from supervisor.config.importers.compose.importer import read
from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.load import load
from supervisor.config.source.expand import parse_environment_file

PROGRAMS = ("sh", "python", "node", "gunicorn", "curl", "celery", "start", "env", "serve", "redis-cli")
CALLER = {"HOME": "/home/me", "TAG": "v2", "TOKEN": "s3cret", "EMPTY": ""}


class Run(NamedTuple):
    """What runs in the container of a service."""

    service: str
    argv: list[str]
    environment: dict[str, str]


class Case(NamedTuple):
    name: str
    text: str
    runs: list[Run]
    files: Mapping[str, str] = {}


CASES = [
    Case(
        "a command is split like words of a shell, and no shell runs it",
        """services:
  web:
    image: app
    command: gunicorn 'a b' --c="d e" && echo $$HOME > out # no comment
  sh:
    image: app
    command: sh -c 'python w.py && exec node "x y"'
""",
        [
            Run("web", ["gunicorn", "a b", "--c=d e", "&&", "echo", "$HOME", ">", "out"], {}),
            Run("sh", ["sh", "-c", 'python w.py && exec node "x y"'], {}),
        ],
    ),
    Case(
        "a list is taken as it is",
        """services:
  a: {image: app, command: [python, -m, "http.server", "8000", "a b", "$$X"]}
""",
        [Run("a", ["python", "-m", "http.server", "8000", "a b", "$X"], {})],
    ),
    Case(
        "an entrypoint stands before the command, and without a command alone",
        """services:
  a: {image: app, entrypoint: start "x y", command: [python, w.py]}
  b: {image: app, entrypoint: [start, "--now"]}
""",
        [Run("a", ["start", "x y", "python", "w.py"], {}), Run("b", ["start", "--now"], {})],
    ),
    Case(
        "variables as a mapping",
        """services:
  a:
    image: x
    command: env
    environment:
      NUM: 3
      TEXT: "yes"
      EMPTY:
      HOME:
      GONE:
      NOTHING: ""
      DOLLAR: a$$b
""",
        [
            Run(
                "a",
                ["env"],
                {"NUM": "3", "TEXT": "yes", "EMPTY": "", "HOME": "/home/me", "NOTHING": "", "DOLLAR": "a$b"},
            )
        ],
    ),
    Case(
        "variables as a list",
        """services:
  a:
    image: x
    command: env
    environment:
      - A=1=2
      - "B= two words "
      - TOKEN
      - GONE
      - C=
""",
        [Run("a", ["env"], {"A": "1=2", "B": " two words ", "TOKEN": "s3cret", "C": ""})],
    ),
    Case(
        "references with defaults, of the environment over .env",
        """services:
  a:
    image: x
    command: serve ${TAG} ${OTHER:-def} ${EMPTY:-full} ${EMPTY-none} $FROM ${MISSING} $MADE
    environment: {X: "${TAG:?needed}-$${TAG}"}
""",
        [Run("a", ["serve", "v2", "def", "full", "env", "file", "v1-/home/me-d"], {"X": "v2-${TAG}"})],
        {".env": "TAG=v1\nFROM='env file'\nMADE=${TAG}-${HOME}-${GONE:-d}${GONE}\n"},
    ),
    Case(
        "files of variables, over which the mapping goes",
        """services:
  a:
    image: x
    command: env
    env_file: [one.env, ./two.env]
    environment: {C: "9"}
  b:
    image: x
    command: env
    env_file: one.env
""",
        [
            Run("a", ["env"], {"A": "1", "B": "x # y", "C": "9"}),
            Run("b", ["env"], {"A": "1", "B": "two"}),
        ],
        {"one.env": "# c\nA=1\nB=two # c\n", "two.env": 'B="x # y"\nC=3\n'},
    ),
    Case(
        "a file of variables that reads otherwise here",
        """services:
  a: {image: x, command: env, env_file: a.env, environment: {B: own}}
""",
        [Run("a", ["env"], {"A": "a\\nb", "TOKEN": "s3cret", "D": "$HOME", "B": "own"})],
        {"a.env": "B=file\nexport A='a\\nb'\nTOKEN\nGONE\nD=$HOME\n"},
    ),
    Case(
        "anchors and merged mappings",
        """x-base: &base
  image: app
  restart: always
  environment: &env {A: "1", B: "1"}
services:
  a:
    <<: *base
    image: x
    command: env
    environment: {<<: *env, B: "2"}
  b: {<<: *base, command: [env, b]}
""",
        [Run("a", ["env"], {"A": "1", "B": "2"}), Run("b", ["env", "b"], {"A": "1", "B": "1"})],
    ),
    Case(
        "a folded command of several lines",
        """services:
  a:
    image: x
    command: >
      celery -A app
      worker --loglevel=info
      -Q "a,b"
  b:
    image: x
    command: |
      sh -c "
      echo a
      echo b"
""",
        [
            Run("a", ["celery", "-A", "app", "worker", "--loglevel=info", "-Q", "a,b"], {}),
            Run("b", ["sh", "-c", "\necho a\necho b"], {}),
        ],
    ),
    Case(
        "what is in an image alone is left out",
        """services:
  db: {image: "postgres:16", environment: {POSTGRES_PASSWORD: secret}}
  none: {image: app, command: [], entrypoint: ""}
  web: {image: app, command: serve, depends_on: [db]}
""",
        [Run("web", ["serve"], {})],
    ),
    Case(
        "conditions of dependencies",
        """services:
  migrate: {image: x, command: python migrate.py}
  cache: {image: x, command: serve cache, healthcheck: {test: [CMD, redis-cli, ping], interval: 5s}}
  web:
    image: x
    command: serve
    depends_on:
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_healthy}
""",
        [
            Run("migrate", ["python", "migrate.py"], {}),
            Run("cache", ["serve", "cache"], {}),
            Run("web", ["serve"], {}),
        ],
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "path").mkdir()
    for name in PROGRAMS:
        (tmp_path / "path" / name).touch(0o755)
    return tmp_path


def imported(folder: Path, text: str, name: str = "compose.yaml") -> Imported:
    (folder / name).write_text(text)
    return read([folder / name], CALLER | {"PATH": str(folder / "path")})


def runs(found: Imported) -> list[Run]:
    all_of_them = []
    for service in found.services:
        variables: dict[str, str] = {}
        for file in service.table.get("environment_file", []):
            variables |= parse_environment_file(Path(file).read_text())[0]
        variables |= service.table.get("environment", {})
        assert service.table["inherit_environment"] is False
        all_of_them.append(Run(service.name, service.table["command"], variables))
    return all_of_them


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_runs_in_a_container_is_what_comes_out(case: Case, folder: Path) -> None:
    for name, text in case.files.items():
        (folder / name).write_text(text)
    found = imported(folder, case.text)
    assert runs(found) == case.runs
    assert "s3cret" not in "".join(map(str, found.losses))
    (folder / "services.toml").write_text(services_toml(found, "x"))
    plan = load(folder / "services.toml", {"PATH": str(folder / "path")})
    assert [spec.name for spec in plan.services] == [run.service for run in case.runs]


DELAYS = {"backoff": "exponential", "initial": "100ms", "factor": 2, "maximum": "1m", "jitter": 0, "reset_after": "10s"}
PROBE = {"exec": ["/bin/sh", "-c", "curl -f x || exit 1"], "interval": "30s"}
HEALTH = {
    "start_timeout": "3m",
    "ready": PROBE | {"timeout": "30s"},
    "heartbeat": {"source": "exec", **PROBE, "probe_timeout": "30s", "detector": "timeout", "timeout": "2m"}
    | {"on_suspect": "report"},
}
POLICIES: list[tuple[str, dict[str, Any]]] = [
    ("", {"restart": {"policy": "never"}, "stop_signal": "TERM", "stop_timeout": "10s", "ready": None}),
    ('restart: "no"', {"restart": {"policy": "never"}}),
    ("restart: always", {"restart": {"policy": "always", **DELAYS, "max_restarts": 1_000_000}}),
    ("restart: unless-stopped", {"restart": {"policy": "always", **DELAYS, "max_restarts": 1_000_000}}),
    ("restart: on-failure", {"restart": {"policy": "on-failure", **DELAYS, "max_restarts": 1_000_000}}),
    (
        "restart: on-failure:3",
        {"restart": {"policy": "on-failure", **DELAYS, "max_restarts": 3, "window": "1d", "cooldown": "1d"}},
    ),
    (
        "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
        {"restart": {"policy": "on-failure", **DELAYS, "max_restarts": 2, "window": "1d", "cooldown": "1d"}},
    ),
    ("deploy: {restart_policy: {condition: none}}", {"restart": {"policy": "never"}}),
    ("deploy: {restart_policy: {}}\n    restart: 'no'", {"restart": {"policy": "never"}}),
    ("stop_signal: SIGQUIT\n    stop_grace_period: 1m30s", {"stop_signal": "QUIT", "stop_timeout": "1m30s"}),
    ("stop_signal: 15\n    stop_grace_period: 500ms", {"stop_signal": 15, "stop_timeout": "500ms"}),
    ("deploy: {replicas: 3}", {"replicas": 3, "autostart": None}),
    ("scale: 2", {"replicas": 2}),
    ("deploy: {replicas: 0}", {"replicas": None, "autostart": False}),
    ("healthcheck: {test: curl -f x || exit 1}", HEALTH),
    ("healthcheck: {test: [CMD-SHELL, curl -f x || exit 1], disable: false}", HEALTH),
    (
        "healthcheck: {test: [CMD, curl, x], interval: 1m, timeout: 5s, retries: 2, start_period: 20s}",
        {
            "start_timeout": "2m30s",
            "ready": {"exec": ["curl", "x"], "interval": "1m", "timeout": "5s"},
        },
    ),
    ("healthcheck: {disable: true}", {"ready": None, "heartbeat": None, "start_timeout": None}),
    ("healthcheck: {test: [NONE]}", {"ready": None}),
    ("healthcheck: {interval: 5s}", {"ready": None}),
    ("user: '$UID:$GID'", {"user": None, "group": None}),
    ("user: www-data", {"user": "www-data", "group": None}),
    ('user: "1000:50"', {"user": 1000, "group": 50}),
    ("working_dir: /app/sub\n    volumes: ['./src:/app:ro', 'data:/data']", {"directory": "FOLDER/src/sub"}),
    ("working_dir: /app\n    volumes: [{type: bind, source: ./src, target: /app}]", {"directory": "FOLDER/src"}),
    ("working_dir: /application\n    volumes: ['./src:/app']", {"directory": "FOLDER"}),
    ("profiles: [debug]", {"autostart": False}),  # it is the only one
    (
        "env_file: [{path: no.env, required: false}]",
        {"environment_file": [{"path": "FOLDER/no.env", "required": False}]},
    ),
]  # fmt: skip


def put(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return value.replace("FOLDER", str(folder))
    if isinstance(value, list):
        return [put(inner, folder) for inner in value]
    return {key: put(inner, folder) for key, inner in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(("text", "expected"), POLICIES)
def test_policies_are_those_of_docker(text: str, expected: dict[str, Any], folder: Path) -> None:
    table = imported(folder, f"services:\n  a:\n    command: serve\n    {text}\n    image: x\n").services[0].table
    assert {key: table.get(key) for key in expected} == put(expected, folder)


def test_dependencies_have_their_conditions(folder: Path) -> None:
    text = (
        CASES[-1].text
        + "      other: {condition: service_started, required: false, restart: true}\n  other: {image: x}\n"
    )
    found = imported(folder, text.replace("other: {image: x}", "other: {image: x, command: serve}"))
    tables = {service.name: service.table for service in found.services}
    assert tables["web"]["depends_on"] == [
        {"service": "migrate", "condition": "completed"},
        {"service": "cache", "condition": "ready"},
        {"service": "other", "condition": "started", "required": False},
    ]
    assert tables["web"]["on_dependency_restart"] == "restart"
    assert [name for name, table in tables.items() if table.get("type") == "oneshot"] == ["migrate"]


PROFILES = """\
services:
  web: {image: x, command: serve, depends_on: [db]}
  db: {image: x, command: serve, profiles: [data]}
  cache: {image: x, command: serve, profiles: [data, full]}
  admin: {image: x, command: serve, profiles: [full], depends_on: [cache]}
  both: {image: x, command: serve, profiles: [data, full], depends_on: {admin: {condition: service_started}}}
  soft: {image: x, command: serve, depends_on: {both: {condition: service_started, required: false}}}
  odd: {image: x, command: serve, profiles: ["a b"]}
"""


def test_profiles_are_taken_over_where_nothing_needs_a_service_without_them(folder: Path) -> None:
    found = imported(folder, PROFILES)
    tables = {service.name: service.table for service in found.services}
    assert {name: table.get("profiles", table.get("autostart")) for name, table in tables.items()} == {
        "web": None, "db": False, "cache": False, "admin": False, "both": ["data", "full"], "soft": None,
        "odd": False,
    }  # fmt: skip
    assert [loss.service for loss in found.losses if loss.key == "profiles"] == ["db", "cache", "admin", "odd"]


TOLD = [
    ("build: .", [(Kind.DROPPED, 4, "build")]),
    ("ports: ['80:80']", [(Kind.DROPPED, 4, "ports")]),
    ("volumes: ['a:/b']\n    networks: [x]", [(Kind.DROPPED, 4, "volumes"), (Kind.DROPPED, 5, "networks")]),
    ("privileged: true\n    x-own: 1", [(Kind.DROPPED, 4, "privileged")]),
    ("working_dir: /app", [(Kind.DROPPED, 4, "working_dir")]),
    ("restart: on-failure:3", [(Kind.CHANGED, 4, "restart")]),
    ("deploy: {resources: {}, replicas: 2}", [(Kind.DROPPED, 4, "deploy.resources")]),
    ("deploy: {restart_policy: {}}", [(Kind.CHANGED, 4, "deploy")]),
    ("restart: always\n    deploy: {restart_policy: {}}", [(Kind.IGNORED, 5, "deploy")]),
    ("healthcheck: {test: x}", [(Kind.CHANGED, 4, "healthcheck")]),
    ("healthcheck: {interval: 1s}", [(Kind.DROPPED, 4, "healthcheck")]),
    ("environment: [TOKEN]", [(Kind.CHANGED, 4, "environment")]),
    ("environment: {A: '{port}'}", [(Kind.CHANGED, 4, "environment")]),
    ("environment: {B: '{replica}'}", [(Kind.CHANGED, 4, "environment")]),
    ("profiles: [a]", [(Kind.CHANGED, 4, "profiles")]),
    ("user: root", [(Kind.CHANGED, 4, "user")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TOLD)
def test_what_is_not_taken_over_is_told_with_its_line(
    text: str, expected: list[tuple[Kind, int, str]], folder: Path
) -> None:
    found = imported(folder, f"services:\n  a:\n    command: serve\n    {text}\n    image: x\n")
    told = [(loss.kind, loss.line, loss.key) for loss in found.losses if loss.line]
    of_each = [(Kind.CHANGED, 3, "command"), (Kind.CHOSEN, 2, "user"), (Kind.DROPPED, text.count("\n") + 5, "image")]
    assert sorted(one for one in told if one not in of_each) == sorted(expected)
    assert all(loss.service == "a" for loss in found.losses if loss.line)


HOSTS = [
    ("environment: {URL: 'redis://db:6379/0'}", ["environment"]),
    ("environment: {URL: 'postgres://me:secret@db/shop'}", ["environment"]),
    ("environment: {SERVERS: 'x:1,db:2'}", ["environment"]),
    ("environment: [DB_HOST=db]", ["environment"]),
    ("entrypoint: wait-for db:5432", ["command"]),
    ("environment: {ROLE: db, PATHS: '/srv/db/x', OWN: 'a:80', NAMES: 'mydb:1'}", []),
    ("entrypoint: manage db", []),
]


@pytest.mark.parametrize(("text", "keys"), HOSTS)
def test_names_of_services_that_stand_for_hosts_are_told(text: str, keys: list[str], folder: Path) -> None:
    """Without the value, which may be a secret."""
    content = f"services:\n  a:\n    command: serve\n    {text}\n    image: x\n  db: {{image: y, command: z}}\n"
    told = [loss for loss in imported(folder, content).losses if "127.0.0.1" in loss.text]
    assert [loss.key for loss in told] == keys
    assert all(loss.text.startswith("db: ") and "secret" not in loss.text and loss.line in (3, 4) for loss in told)


def test_what_holds_for_the_whole_file_is_told_once(folder: Path) -> None:
    (folder / "compose.override.yaml").touch()
    text = "version: '3'\nx-a: 1\nservices:\n  db: {image: x}\n  a: {build: ., command: x $TAG $GO, depends_on: [db]}"
    found = imported(folder, f"{text}\nvolumes: {{}}")
    assert [(loss.kind, loss.line, loss.key) for loss in found.losses if loss.service is None] == [
        (Kind.DROPPED, 6, "volumes"),
        (Kind.DROPPED, 0, ""),
        (Kind.DROPPED, 4, "db"),
        (Kind.CHANGED, 0, ""),
        (Kind.IGNORED, 0, ""),
        (Kind.CHANGED, 0, "environment"),
    ]
    assert [loss.line for loss in found.losses if loss.key == "depends_on"] == [5]


REFUSED = [
    ("a: 1", 1, "has no `services`"),
    ("services:\n  a: 1", 0, "a is no mapping"),
    ("include: [x]\nservices: {}", 1, "includes other files"),
    ("services:\n  a:\n    extends: {service: b}", 3, "extends another"),
    ("services:\n  a:\n    command: serve $", 3, "write \\$\\$ for a dollar sign"),
    ("services:\n  a:\n    command: serve ${NO:?x}", 3, "NO is required"),
    ("services:\n  a:\n    command: serve 'x", 3, "cannot be split"),
    ("services:\n  a:\n    command: [serve, 80]", 3, "command has a word that is no text"),
    ("services:\n  a:\n    command: serve\n    env_file: none.env", 4, "there is no"),
    ("services:\n  a:\n    command: serve\n    depends_on: [b]", 4, "depends on b, which is no service"),
    ("services:\n  a:\n    command: serve\n    depends_on: {a: {condition: x}}", 4, "x is no condition"),
    ("services:\n  a:\n    command: serve\n    restart: sometimes", 4, "no restart policy"),
    ("services:\n  a:\n    command: serve\n    stop_grace_period: soon", 4, "no duration"),
    ("services:\n  a:\n    command: &x [*x]", 3, "an alias stands within the value that it means"),
    ("services:\n  a:\n    command: serve\n    environment: {A: [1]}", 4, "is no text"),
    ("services:\n  a:\n    command: serve\n    healthcheck: {test: x, retries: y}", 4, "retries is no number"),
    ("services:\n  a:\n    command: serve\n    scale: many", 4, "is no number"),
    ("services:\n  a:\n    command: serve\n    healthcheck: {test: [curl]}", 4, "test begins with"),
    ("services:\n  a:\n    command: " + "${A:-" * 3000 + "}" * 3000, 3, "too deep in one another"),
    ("services:\n  a: {command: serve}", 2, "a has neither image nor build"),
    ("services:\n  -a: {command: serve}", 2, "no name of a service"),
]


@pytest.mark.parametrize("entry", ["TOKEN: hunter2", "'TOKEN: hunter2'", "TOKEN hunter2", "[hunter2]"])
def test_an_entry_that_is_no_variable_is_refused_without_its_value(entry: str, folder: Path) -> None:
    with pytest.raises(ImportRefused, match="neither NAME=VALUE nor NAME") as raised:
        imported(folder, f"services:\n  a:\n    image: x\n    command: serve\n    environment:\n    - {entry}")
    assert "hunter2" not in raised.value.message
    assert raised.value.message.startswith(f"{folder}/compose.yaml:5:")


@pytest.mark.parametrize(("text", "line", "message"), REFUSED)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, message: str, folder: Path) -> None:
    with pytest.raises(ImportRefused, match=message) as raised:
        imported(folder, text)
    assert raised.value.message.startswith(f"{folder}/compose.yaml:{line}:" if line else f"{folder}/compose.yaml: ")


def test_several_files_are_for_compose_to_put_together(folder: Path) -> None:
    with pytest.raises(ImportRefused, match="docker compose config"):
        read([folder / "a.yaml", folder / "b.yaml"], {})


def test_a_file_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"services:\n  \xff: 1")
    with pytest.raises(ImportRefused, match=r"a\.yaml:2: it is not UTF-8"):
        read([folder / "a.yaml"], {})


def test_a_mark_in_a_command_is_told(folder: Path) -> None:
    found = imported(folder, "services:\n  a: {image: x, entrypoint: 'start {replica}'}")
    assert [loss.text.split()[0] for loss in found.losses if loss.kind is Kind.CHANGED and loss.line] == ["{replica}"]
