"""The kinds of value: each a reader (values.py, addresses.py, operating_system.py …) and its JSON Schema for editors.

They use pydantic_core directly: models of pydantic would give the same answers, and add 80 ms to every start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import core_schema
from pydantic_core.core_schema import CoreSchema

from supervisor.config.schema import addresses as targets
from supervisor.config.schema import balancing, capabilities, clustering, fleet
from supervisor.config.schema import operating_system as system
from supervisor.config.schema import sockets as listening
from supervisor.config.schema import values as read
from supervisor.config.units import DURATION_PATTERN


def kind(reader: Callable[..., Any], json_schema: dict[str, Any], *, expands: bool = False) -> CoreSchema:
    """A value checked by `reader` alone; one that `expands` also gets the environment."""
    metadata = {"json_schema": json_schema}
    if expands:
        return core_schema.with_info_plain_validator_function(reader, metadata=metadata)
    return core_schema.no_info_plain_validator_function(reader, metadata=metadata)


def whole(low: int, high: int) -> CoreSchema:
    """A whole number from `low` to `high`."""
    return kind(read.whole(low, high), {"type": "integer", "minimum": low, "maximum": high})


def number(low: float, high: float) -> CoreSchema:
    """A number from `low` to `high`."""
    return kind(read.number(low, high), {"type": "number", "minimum": low, "maximum": high})


def one_of(words: Iterable[str]) -> CoreSchema:
    """One of a few words; the value is the member if they are of an enumeration."""
    return kind(read.one_of(words), {"enum": [str(word) for word in words]})


def yes_or(*words: str) -> CoreSchema:
    """true, false, or one of a few words."""
    return kind(read.yes_or(*words), {"anyOf": [{"type": "boolean"}, {"enum": list(words)}]})


def many(of: CoreSchema) -> CoreSchema:
    """A list of values of one kind."""
    return core_schema.list_schema(of, strict=True)


SHARE = kind(
    read.share,
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10_000}, {"type": "string", "pattern": r"^[0-9]{1,3}%$"}]},
)
_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}
_SOME_STRING = {"type": "string", "minLength": 1}
_DURATION = {"type": "string", "pattern": f"^{DURATION_PATTERN}$"}
_SIZE = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(KiB|MiB|GiB)$"}
_ADDRESS = {"type": "string", "pattern": ":[0-9]+$"}

TEXT = kind(read.text, _STRING)
PATH = kind(read.path, _SOME_STRING, expands=True)
NAME = kind(read.name, {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"})
NAMES = kind(read.names, _STRINGS)
_DEPENDENCY = {
    "type": "object",
    "properties": {
        "service": _STRING,
        "condition": {"enum": ["started", "ready", "completed"]},
        "required": {"type": "boolean"},
    },
    "required": ["service"],
    "additionalProperties": False,
}
DEPENDENCIES = kind(read.dependencies, {"type": "array", "items": {"anyOf": [_STRING, _DEPENDENCY]}})
WORDS = kind(read.words, {"anyOf": [_STRINGS | {"minItems": 1}, _SOME_STRING]}, expands=True)
DURATION = kind(read.duration, _DURATION)
POSITIVE_DURATION = kind(read.positive_duration, _DURATION)
RATE = kind(read.rate, {"type": "string", "pattern": rf"^[0-9]+(\.[0-9]+)?/{DURATION_PATTERN}$"})
SIZE = kind(read.size, _SIZE)
PERCENT = kind(read.percent, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"})
SWITCH = kind(read.switch, {"type": "boolean"})
CONSOLE = kind(read.console, {"anyOf": [{"type": "boolean"}, {"const": "raw"}]})
OWN_LOG = kind(read.own_log, {"anyOf": [{"type": "boolean"}, _SOME_STRING]}, expands=True)
ONLY_TRUE = kind(read.only_true, {"const": True})
ACCOUNT = kind(system.account, {"type": ["string", "integer"]})
MODE = kind(system.mode, {"type": "string", "pattern": "^(0o)?[0-7]{3,4}$"})
UMASK = kind(system.umask, {"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"})
SIGNAL = kind(system.signal_number, {"type": ["string", "integer"]})
HTTP = kind(targets.http, {"type": "string", "pattern": "^https?://"}, expands=True)
TCP = kind(targets.tcp, {"type": "string", "pattern": "^unix:|:[0-9]+$"}, expands=True)
PORTS = kind(targets.ports, {"type": "string", "pattern": "^[0-9]+(-[0-9]+)?$"}, expands=True)
LISTEN = kind(targets.listen, _ADDRESS)
ALGORITHM = kind(balancing.algorithm, _SOME_STRING)
BALANCED_SERVER = kind(balancing.server, _ADDRESS | {"pattern": ":[0-9]*([0-9]|\\{(port|replica)\\})$"}, expands=True)
CHECK_PATH = kind(balancing.check, {"type": "string", "pattern": "^/"})
HOST_ADDRESS = kind(fleet.address, _SOME_STRING, expands=True)
HOST_USER = kind(fleet.user, _SOME_STRING, expands=True)
HOST_DIRECTORY = kind(fleet.directory, _SOME_STRING, expands=True)
CLUSTER_HOSTS = kind(clustering.hosts, _SOME_STRING, expands=True)
NODE = kind(clustering.node, _SOME_STRING, expands=True)
MEMBER_ADDRESS = kind(clustering.member_address, _ADDRESS, expands=True)
LABELS = core_schema.dict_schema(
    kind(clustering.label, _SOME_STRING), kind(clustering.label_value, _SOME_STRING, expands=True)
)
SOCKET = kind(listening.listening, {"type": "string", "pattern": "^(tcp://|unix:)"}, expands=True)
CAPABILITY = kind(capabilities.capability, _STRING)
PATTERN = kind(targets.pattern, {"type": "string", "format": "regex"})
VARIABLE = kind(system.variable, _STRING)
INHERITED = kind(system.inherited, {"anyOf": [{"type": "boolean"}, _STRINGS]})
_ENVIRONMENT_FILE = {
    "type": "object",
    "properties": {"path": _SOME_STRING, "required": {"type": "boolean"}},
    "required": ["path"],
    "additionalProperties": False,
}
ENVIRONMENT_FILES = kind(
    system.environment_files,
    {"anyOf": [_SOME_STRING, {"type": "array", "items": {"anyOf": [_SOME_STRING, _ENVIRONMENT_FILE]}}]},
    expands=True,
)
ENVIRONMENT = core_schema.dict_schema(VARIABLE, kind(system.variable_value, _STRING, expands=True))
COUNT = kind(system.soft_and_hard(system.count_limit), {"type": ["integer", "string"]})
BYTES = kind(system.soft_and_hard(system.size_limit), {"type": ["integer", "string"]})
