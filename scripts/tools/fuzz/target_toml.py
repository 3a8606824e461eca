"""Fuzzes services.toml: any bytes as a file.

The file is either refused with ConfigError, whose every line is printable and names the file, or it gives a plan that
reaches the daemon unchanged and stays within the limits of the model. Nothing is started, written or opened.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from scripts.tools.fuzz.campaign import Wrong
from scripts.tools.fuzz.mutation import TEXTS, pick, spoil, text
from supervisor.config.checks import host
from supervisor.config.export.json_schema import schema
from supervisor.config.load import load
from supervisor.config.source import read, trust
from supervisor.config.source.locate import locations
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.spec import Plan
from supervisor.core.services.plan_diff import difference
from supervisor.errors import ConfigError
from supervisor.last_directories import Locations

ROOT = Path(__file__).parents[3]
JSON = dict[str, Any]
MOST_TEXT = 2_000_000
VALUES = (
    *('"5s"', '"1m30s"', '"0s"', '"10MiB"', '"50%"', '"1.5h"', '"99999999999d"', '"1e9s"', "5", "0", "-1", "1.5"),
    *("true", "false", "[]", "{}", '[""]', "nan", "inf", "1979-05-27T07:32:00Z", "07:32:00", '"unlimited"'),
    *('"TERM"', '"SIGKILL"', '"KILL"', "9", '"http://127.0.0.1:80/x"', '"127.0.0.1:80"', '"[::1]:80"', '":80"'),
    *('"https://x"', '"localhost:99999"', '"(a+)+$"', '"("', '"[[:alpha:]]"', '"a{1000}{1000}"', '"${PORT}"'),
    *('"${NO_SUCH}"', '"${"', '"$"', '["true"]', '["sh", "-c", "x"]', '"true \'"', '"tcp://127.0.0.1:0"', '"unix:x"'),
    *('"unix:@x"', '"root"', '"nobody"', "65534", '"022"', '"a"', '"b"', '["a", "b"]', '["a", "a"]', '["on"]'),
    *(
        '"phi"',
        '"notify"',
        '"on-failure"',
        '"exponential"',
        '"one-for-all"',
        '"CAP_NET_ADMIN"',
        '[{ on = ["failed"] }]',
    ),
)
LIKELY = {
    "ready": (
        "{ notify = true }",
        '{ delay = "1s" }',
        '{ tcp = "127.0.0.1:80" }',
        '{ log = "up" }',
        '{ exec = "true" }',
    ),
    "heartbeat": ('{ source = "notify" }', '{ source = "log", log = "a+" }', '{ source = "tcp", tcp = "h:1" }'),
    "restart": ('{ policy = "always", initial = "1s" }', '{ max_restarts = 3, window = "1m" }', "{ jitter = 0.5 }"),
    "hooks": ('[{ on = ["failed"], run = ["true", "x"] }]', "[]"),
    "environment": ('{ A = "1", B = "${PORT}" }', '{ C = "" }', '{ D = "a\\tb" }'),
    "environment_file": ('"environment"',),
    "limits": ("{ nofile = 100 }", '{ core = "unlimited", as = "1GiB" }'),
    "depends_on": ('["a"]', "[]", '["b"]'),
    "stop_signal": ('"INT"', "15", '"SIGUSR1"'),
    "dump_signal": ('"QUIT"', "12"),
    "reload_signal": ('"HUP"',),
    "directory": ('"bin"', '"."'),
    "user": ('"root"', "0"),
    "group": ('"root"', "0"),
    "umask": ('"022"', '"0o077"'),
    "name": ('"demo"', '"x-1"'),
    "listen": ('"127.0.0.1:9180"', '"[::1]:0"'),
    "runtime_dir": ('"r"', '"/run/x"'),
    "sockets": ('["tcp://127.0.0.1:80"]', '["unix:s?mode=0600&name=x"]', "[]"),
    "capabilities": ('["CAP_CHOWN"]', "[]"),
    "description": ('"what it is"', '""'),
    "success_exit_codes": ("[0, 1]",),
}
KEYS = ("x", "command", '"é"', "a.b", '""', "services", "supervisor", "defaults", "ready", "name", "'quoted key'")


class TomlTarget:
    """See campaign.Target."""

    def __init__(self) -> None:
        self._place = tempfile.mkdtemp(prefix="fuzz-", dir=next((d for d in ("/dev/shm",) if os.path.isdir(d)), None))  # noqa: PTH112
        programs = Path(self._place, "bin")
        programs.mkdir()
        for name in ("true", "sh"):
            (programs / name).write_text("#!/bin/sh\n")
            (programs / name).chmod(0o755)
        Path(self._place, "environment").write_text("A=1\n")
        self._env = {"PATH": str(programs), "HOME": self._place, "PORT": "8000", "EMPTY": ""}
        self._file = f"{self._place}/services.toml"
        self._files = sorted(os.listdir(self._place))  # noqa: PTH208
        self._schema = schema()
        # The owners of these few files do not change between inputs, and checking them takes a third of the time.
        known = cache(trust.require_trusted)
        for module in (read, host):
            setattr(module, "require_trusted", known)  # noqa: B010 - a name that the module only imports
        self._corpus = _corpus()

    def make(self, rng: Random) -> bytes:
        if rng.random() < 0.35:
            return spoil(rng, pick(rng, self._corpus), self._corpus)
        data = self._document(rng).encode("utf-8", "surrogatepass")
        return spoil(rng, data, self._corpus) if rng.random() < 0.25 else data

    def run(self, data: bytes) -> str:
        with open(self._file, "wb") as file:
            file.write(data)
        place = self._locate() if crc32(data) % 4 == 0 else None
        try:
            plan = load(self._file, self._env)
        except ConfigError as error:
            self._judge_error(error)
            return "refused"
        if place is not None and plan.supervisor.runtime_dir != place.runtime_dir:
            raise Wrong(f"it is looked for in {place}, and is in {plan.supervisor.runtime_dir}")
        _judge_plan(plan)
        return "accepted"

    def close(self) -> None:
        files = sorted(os.listdir(self._place))  # noqa: PTH208
        shutil.rmtree(self._place)
        if files not in (self._files, sorted([*self._files, "services.toml"])):
            raise Wrong(f"files were written: {files}")

    def _locate(self) -> Locations | None:
        try:
            return locations(self._file, self._env)
        except ConfigError:
            return None

    def _judge_error(self, error: ConfigError) -> None:
        said = str(error)
        if not said.strip() or len(said) > MOST_TEXT:
            raise Wrong(f"an error of {len(said)} characters")
        for line in said.split("\n"):
            if not line.isprintable():
                raise Wrong(f"that would reach a terminal: {line[:200]!r}")
        if not said.startswith((self._file, f"refused as root: {self._file}")):
            raise Wrong(f"where is that? {said[:200]!r}")

    def _document(self, rng: Random) -> str:
        """Tables of the schema, with values that may be valid."""
        lines: list[str] = []
        top = self._schema["properties"]
        wrong = pick(rng, (0.0, 0.0, 0.02, 0.2))
        if rng.random() < 0.3:
            lines += ["[supervisor]", *_keys(rng, top["supervisor"], 0.3, wrong)]
        if rng.random() < 0.2:
            lines += ["[defaults]", *_keys(rng, top["defaults"], 0.03, wrong)]
        for name in ("a", "b", "web-1")[: 1 + int(rng.random() * 3)]:
            lines += [f"[services.{name}]"]
            if rng.random() >= wrong:
                lines.append('command = "true"')
            lines += [line for line in _keys(rng, top["defaults"], 0.05, wrong) if not line.startswith("command ")]
        return "\n".join(lines) + "\n"


def _corpus() -> list[bytes]:
    """The worked example, table by table, and a few small files."""
    example = (ROOT / "supervisor/demo/services.toml").read_text().replace("# ", "")
    tables = [f"[{part}".encode() for part in example.split("\n[")[1:]]
    return [
        b'[services.a]\ncommand = "true"\n',
        b'[services.a]\ncommand = ["true", "${PORT}"]\nenvironment = { A = "1" }\nenvironment_file = "environment"\n',
        b'[defaults]\nstop_timeout = "5s"\n[services.a]\ncommand = "true"\n[services.b]\ncommand = "true"\n'
        b'depends_on = ["a"]\nready = { http = "http://127.0.0.1:80/" }\nheartbeat = { source = "notify" }\n',
        b'[supervisor]\nname = "x"\nruntime_dir = "/run/x"\n[supervisor.http]\nlisten = "127.0.0.1:9180"\n'
        b'[services.a]\ncommand = "true"\nhooks = [{ on = ["failed"], run = ["true"] }]\n',
        b'[services.a]\ncommand = """\ntrue"""\nsockets = ["tcp://127.0.0.1:80"]\nlimits = { nofile = 10 }\n',
        b"[[services]]\n" * 3,
        b"a = " + b"[" * 2000,
        b"a." * 3000 + b"b = 1",
        *tables,
    ]


def _keys(rng: Random, table: JSON, how_many: float, wrong: float) -> list[str]:
    """Some keys of a table of the schema; inner tables as inline tables. `wrong`: how often something is invalid."""
    found = []
    for name, described in table["properties"].items():
        if rng.random() < how_many:
            found.append(f"{name} = {_value(rng, name, described, wrong)}")
    if rng.random() < wrong:
        found.append(f"{pick(rng, KEYS)} = {_value(rng, '', {}, wrong)}")
    return found


def _value(rng: Random, name: str, described: JSON, wrong: float) -> str:
    if rng.random() < wrong:
        return pick(rng, VALUES) if rng.random() < 0.7 else _quoted(text(rng))
    if name in LIKELY:
        return pick(rng, LIKELY[name])
    if "properties" in described:
        return "{ " + ", ".join(_keys(rng, described, 0.15, wrong)) + " }"
    if "enum" in described:
        return _quoted(str(pick(rng, described["enum"])))
    kind = described.get("type")
    if kind == "boolean":
        return pick(rng, ("true", "false"))
    if kind in ("integer", "number"):
        return pick(rng, ("1", "2", "10", "100"))
    if kind == "array":
        values = (_value(rng, name, described.get("items", {}), wrong) for _ in range(int(rng.random() * 3)))
        return "[" + ", ".join(values) + "]"
    pattern = described.get("pattern", "")
    if "ms|s" in pattern:
        return pick(rng, ('"5s"', '"100ms"', '"1h"', '"1m30s"'))
    if "KiB" in pattern:
        return pick(rng, ('"10MiB"', '"1KiB"'))
    return pick(rng, VALUES) if rng.random() < 0.5 else _quoted(pick(rng, TEXTS))


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _judge_plan(plan: Plan) -> None:
    """Check that the daemon would read the same plan, and that its numbers are finite."""
    plain = json.dumps(to_plain(plan), allow_nan=False)
    again = from_plain(Plan, json.loads(plain))
    if again != plan:
        raise Wrong("the daemon reads another plan")
    if difference(plan, again).changed:
        raise Wrong("a plan differs from itself")
    names = {service.name for service in plan.services}
    for service in plan.services:
        if not service.command or not names.issuperset(service.depends_on):
            raise Wrong(f"{service.name} cannot be started: {service.command} {service.depends_on}")
