from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from supervisor.config.export.json_schema import schema


def keys(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key in table.get("properties", {}).items():
        yield path + name, key
        yield from keys(key.get("items", key), f"{path}{name}.")


def test_every_key_is_described_and_nothing_else_is_allowed() -> None:
    described = dict(keys(schema()))
    assert {path for path, key in described.items() if not key.get("description")} == set()
    tables = [key for key in described.values() if "properties" in key]
    assert tables and all(table["additionalProperties"] is False for table in tables)


def test_defaults_are_those_of_the_specs_as_the_file_spells_them() -> None:
    described = {path.removeprefix("defaults."): key.get("default") for path, key in keys(schema())}
    expected = {
        "supervisor.max_concurrent_restarts": 8,
        "supervisor.name": None,
        "stop_timeout": "10s",
        "stop_signal": "TERM",
        "type": "service",
        "autostart": True,
        "command": None,
        "ready.interval": "500ms",
        "ready.notify": None,
        "heartbeat.threshold": 8.0,
        "restart.success_exit_codes": [0],
        "restart.window": "1m",
        "resources.for": "30s",
        "log.max_size": "10MiB",
    }
    assert {path: described[path] for path in expected} == expected


def test_services_are_like_defaults() -> None:
    found = schema()["properties"]
    assert list(found["services"]["patternProperties"].values()) == [found["defaults"]]


def test_it_is_json() -> None:
    assert json.loads(json.dumps(schema()))["$schema"].startswith("https://json-schema.org/")
