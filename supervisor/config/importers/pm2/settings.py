"""The settings of an application as PM2 7.0.4 reads them: other names of a key, types, and the defaults it gives.

PM2 takes 0, "" and false for "not given" where a key is no single word in lower case: `max_restarts: 0` is 16.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from supervisor.config.importers.reading import Table

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_WORDS = re.compile(r"""[^\s"'=]+="[^"]*"|[^\s"'=]+='[^']*'|"([^"]*)"|'([^']*)'|\S+""")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "array": list,
    "object": dict,
}
_BYTES = {"G": 1024**3, "M": 1024**2, "K": 1024}
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000}


class _Key(NamedTuple):
    types: str
    aliases: tuple[str, ...] = ()
    pattern: str = ""
    least: float | None = None
    units: dict[str, int] | None = None


KEYS: dict[str, _Key] = {
    "script": _Key("string", ("exec",)),
    "name": _Key("string"),
    "name_prefix": _Key("string"),
    "filter_env": _Key("boolean array string"),
    "namespace": _Key("string"),
    "install_url": _Key("string"),
    "cwd": _Key("string"),
    "args": _Key("array string"),
    "exec_interpreter": _Key("string", ("interpreter",)),
    "node_args": _Key("array string", ("interpreter_args", "interpreterArgs")),
    "out_file": _Key("string", ("out_log", "output", "out")),
    "error_file": _Key("string", ("err_log", "err_file", "err", "error")),
    "log_file": _Key("boolean string", ("log",)),
    "disable_logs": _Key("boolean"),
    "log_type": _Key("string"),
    "log_date_format": _Key("string"),
    "time": _Key("boolean"),
    "env": _Key("object string"),
    "max_memory_restart": _Key("string number", (), r"[0-9]+[GMK]?", None, _BYTES),
    "pid_file": _Key("string", ("pid",)),
    "restart_delay": _Key("number"),
    "exp_backoff_restart_delay": _Key("number"),
    "source_map_support": _Key("boolean"),
    "disable_source_map_support": _Key("boolean"),
    "wait_ready": _Key("boolean"),
    "instances": _Key("number"),
    "kill_timeout": _Key("number"),
    "shutdown_with_message": _Key("boolean"),
    "listen_timeout": _Key("number"),
    "cron_restart": _Key("string number", ("cron",)),
    "merge_logs": _Key("boolean", ("combine_logs",)),
    "vizion": _Key("boolean"),
    "autostart": _Key("boolean"),
    "autorestart": _Key("boolean"),
    "stop_exit_codes": _Key("array number"),
    "watch_delay": _Key("number"),
    "watch": _Key("boolean array string"),
    "ignore_watch": _Key("array string"),
    "watch_options": _Key("object"),
    "min_uptime": _Key("number string", (), r"[0-9]+[hms]?", 100, _MILLISECONDS),
    "max_restarts": _Key("number", (), "", 0),
    "execute_command": _Key("boolean"),
    "exec_mode": _Key("string", (), r"(?:cluster|fork)(?:_mode)?"),
    "force": _Key("boolean"),
    "append_env_to_name": _Key("boolean"),
    "post_update": _Key("array"),
    "trace": _Key("boolean"),
    "disable_trace": _Key("boolean"),
    "v8": _Key("boolean"),
    "event_loop_inspector": _Key("boolean"),
    "deep_monitoring": _Key("boolean"),
    "increment_var": _Key("string"),
    "instance_var": _Key("string"),
    "pmx": _Key("boolean string"),
    "automation": _Key("boolean"),
    "treekill": _Key("boolean"),
    "port": _Key("number"),
    "username": _Key("string"),
    "uid": _Key("number string", ("user",)),
    "gid": _Key("number string"),
    "windowsHide": _Key("boolean"),
    "kill_retry_time": _Key("number"),
    "write": _Key("boolean"),
    "io": _Key("object"),
}
"""Every key of PM2's schema, in its order."""
ENVIRONMENT_OF = re.compile(r"env_\S+")
_FOR_SCRIPT = ("cmd", "command")


class Refused(Exception):
    """PM2 refuses the whole file for a value."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


class Settings(NamedTuple):
    """`values` by PM2's own key, `written` the key of the file for each, `unknown` the keys that PM2 ignores."""

    values: dict[str, Any]
    written: dict[str, str]
    unknown: tuple[str, ...]


def truthy(value: Any) -> bool:
    """As JavaScript: an empty object and an empty array count as well."""
    return isinstance(value, list | dict) or bool(value)


def words(text: str) -> list[str]:
    """The arguments of one string, as PM2 splits it: quotes group only where they open a word, nothing is escaped."""
    found = []
    for match in _WORDS.finditer(text):
        word = match[0]
        if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
            word = word[1:-1]
        if word.strip():
            found.append(word)
    return found


def settings(app: Table) -> Settings:
    """What PM2 makes of an application's table. Raises Refused."""
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    app = _prepared(app)
    names = {name for key in KEYS for name in _names(key)}
    for key in KEYS:
        value, name = app.get(key), key
        for alias in _names(key)[1:]:
            if not truthy(value):
                value, name = app.get(alias), alias
        if value is not None:
            values[key], written[key] = _valid(key, value, app.line_of(name)), name
    unknown = (key for key in app if key not in names and not ENVIRONMENT_OF.fullmatch(key))
    return Settings(values, written, tuple(key for key in unknown if key not in _FOR_SCRIPT))


def _prepared(app: Table) -> Table:
    """The table after what PM2 does to it before it looks at the types."""
    table = Table(app.line)
    table.update(app)
    table.lines.update(app.lines)
    for other in _FOR_SCRIPT:
        if truthy(app.get(other)) and not truthy(table.get("script")):
            table["script"], table.lines["script"] = app[other], app.line_of(other)
    if app.get("execute_command") is True:
        table["exec_mode"] = "fork"
    instances = app.get("instances")
    if isinstance(instances, str):
        number = re.match(r"\s*[+-]?[0-9]+", instances)
        table["instances"] = int(number[0]) if number else 0
    return table


def _names(key: str) -> list[str]:
    """The names of a key, in the order in which PM2 looks for them; where the key is one word, the last is itself."""
    first, *rest = key.split("_")
    camel = first + "".join(part[:1].upper() + part[1:] if len(part) > 1 else part for part in rest)
    return [key, *KEYS[key].aliases, camel]


def _valid(key: str, value: Any, line: int) -> Any:
    rule = KEYS[key]
    types = rule.types.split()
    if "number" in types and isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        value = int(number) if number.is_integer() else number
    if not any(_is(value, kind) for kind in types):
        raise Refused(line, f"{key} has to be of the type {' or '.join(types)}, and PM2 refuses the file")
    if isinstance(value, str) and rule.pattern and not re.fullmatch(rule.pattern, value):
        raise Refused(line, f"{key} does not have the form that PM2 requires, and PM2 refuses the file")
    if rule.least is not None and not isinstance(value, str) and value < rule.least:
        raise Refused(line, f"{key} is less than {rule.least:g}, and PM2 refuses the file")
    if isinstance(value, str) and types[0] == "array":
        return words(value)
    if isinstance(value, str) and rule.units and len(value) > 1:
        return int(value[:-1]) * rule.units[value[-1]]
    return value


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
