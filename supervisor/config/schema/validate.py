"""Validates the keys and values of a file against the tables, and turns pydantic's errors into messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from supervisor.config.schema.several_hosts import CLUSTER, FLEET, FLEET_HOST
from supervisor.config.schema.tables import (
    EXIT_CODES,
    FILE,
    GROUP,
    HTTP_SERVER,
    SERVICE,
    SUPERVISOR,
    TARGET,
    VALIDATOR,
    WITHIN_SERVICE,
)
from supervisor.config.source.key_path import Key, dotted
from supervisor.config.source.problems import Problems
from supervisor.config.units import quoted
from supervisor.core.text.nearest import did_you_mean


def validate(raw: dict[str, Any], env: Mapping[str, str], problems: Problems) -> tuple[dict[str, Any], set[Key]]:
    """The valid part of the file, and the keys that were left out of it because they are wrong.

    A key is left out with the whole table it belongs to, up to `services.web.restart`: half a table would only cause
    further errors.
    """
    try:
        return VALIDATOR.validate_python(raw, context=env), set()
    except ValidationError as error:
        broken = set()
        for detail in error.errors(include_url=False):
            key = tuple(part for part in detail["loc"] if part != "[key]")
            problems.add(key, lambda key=key, detail=detail: _message(key, detail))  # type: ignore[misc]
            broken.add(key[: 3 if key[0] in ("services", "templates") else 2])
        return VALIDATOR.validate_python(_without(raw, broken), context=env), broken


def _without(table: dict[str, Any], broken: set[Key]) -> dict[str, Any]:
    deeper: dict[str | int, set[Key]] = {}
    for name, *rest in broken:
        deeper.setdefault(name, set()).add(tuple(rest))
    return {
        name: _without(value, deeper[name]) if name in deeper else value
        for name, value in table.items()
        if () not in deeper.get(name, ())
    }


def _message(key: Key, error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return _unknown(key)
        case "dict_type":
            return f"expected a table{_such_as(key)}, not {quoted(error['input'])}"
        case "list_type":
            of_tables = f" of tables{_such_as(key)}" if key[-1] in WITHIN_SERVICE else ""
            return f"expected a list{of_tables}, not {quoted(error['input'])}"
        case _:
            return str(error.get("ctx", {}).get("error", error["msg"]))


def _such_as(key: Key) -> str:
    """Some of the keys of the table that was expected at `key`; empty where they are not known."""
    if key[-1] == "environment":
        return ' such as { PORT = "8000" }'
    model = SERVICE if len(key) == 2 and key[0] in ("services", "templates") else WITHIN_SERVICE.get(str(key[-1]))
    return f" with keys such as {', '.join(list(model['fields'])[:3])}" if model else ""


def _unknown(key: Key) -> str:
    word = key[-1]
    known = _keys_beside(key)
    if not (suggestion := did_you_mean(word, known)):
        for table, model in WITHIN_SERVICE.items():
            if "replicas" in known and word in model["fields"]:
                suggestion = f"; it belongs in {dotted((*key[:-1], table))}"
    return f"unknown key{suggestion}"


def _keys_beside(key: Key) -> list[str]:
    """The keys that are known in the table of `key`."""
    inside = key[1:-1] if key[0] == "defaults" else key[2:-1]
    if len(key) == 1:
        model = FILE
    elif key[0] == "cluster":
        model = CLUSTER
    elif key[0] == "supervisor":
        model = SUPERVISOR if len(key) == 2 else HTTP_SERVER
    elif key[0] == "groups":
        model = GROUP
    elif key[0] == "fleet":
        model = FLEET if len(key) == 2 else FLEET_HOST
    elif inside[1:] == ("target",):
        model = TARGET
    elif inside[1:] == ("exit_codes",):
        model = EXIT_CODES
    else:
        model = WITHIN_SERVICE[str(inside[0])] if inside else SERVICE
    return list(model["fields"])
