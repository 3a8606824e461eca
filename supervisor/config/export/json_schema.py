"""The JSON Schema of services.toml, for editors: every key with its meaning and default."""

from __future__ import annotations

from dataclasses import MISSING, fields
from signal import Signals
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from supervisor.config.schema import kinds, several_hosts
from supervisor.config.schema import tables as model
from supervisor.config.units import format_duration, format_rate, format_size
from supervisor.core.model.fleet_spec import FleetHost, FleetSpec
from supervisor.core.model.spec import (
    HeartbeatSpec,
    HookSpec,
    LogSpec,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    SandboxSpec,
    ServiceSpec,
    SupervisorSpec,
    TargetSpec,
)

_SPECS = (
    (model.READY, ReadySpec),
    (model.HEARTBEAT, HeartbeatSpec),
    (model.TARGET, TargetSpec),
    (model.RESTART, RestartSpec),
    (model.RESOURCES, ResourcesSpec),
    (model.LOG, LogSpec),
    (model.SANDBOX, SandboxSpec),
    (model.HOOK, HookSpec),
    (model.SERVICE, ServiceSpec),
    (model.SUPERVISOR, SupervisorSpec),
    (several_hosts.FLEET, FleetSpec),
    (several_hosts.FLEET_HOST, FleetHost),
)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12)."""
    generator = _Generator()
    return {"$schema": generator.schema_dialect, "title": "services.toml", **generator.generate(model.FILE)}


def defaults(table: core_schema.TypedDictSchema) -> dict[str, Any]:
    """The defaults of a table's keys, as they would be written in the file."""
    spec = next((spec for described, spec in _SPECS if described is table), None)
    if spec is None:
        return {}
    known = {f.name: f.default for f in fields(spec) if f.default not in (MISSING, None, "", ())}
    if spec is SupervisorSpec:
        del known["name"]  # its default is the folder's name
    given = {name: model.IN_SPEC.get(name, name) for name in table["fields"]}
    return {
        name: _as_written(known[attribute], table["fields"][name]["schema"])
        for name, attribute in given.items()
        if attribute in known and table["fields"][name]["schema"] is not kinds.ONLY_TRUE
    }


def _as_written(value: Any, kind: core_schema.CoreSchema) -> Any:
    if kind in (kinds.DURATION, kinds.POSITIVE_DURATION):
        return format_duration(value)
    if kind is kinds.CONSOLE:
        return False
    if kind is kinds.RATE:
        return format_rate(value)
    if kind is kinds.SIZE:
        return format_size(value)
    if kind is kinds.SIGNAL:
        return Signals(value).name.removeprefix("SIG")
    return list(value) if isinstance(value, tuple) else value


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:
        return False  # the key is its own title

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        return dict(schema["metadata"]["json_schema"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        described = super().typed_dict_schema(schema)
        described["description"] = schema["metadata"]["description"]
        for name, default in defaults(schema).items():
            described["properties"][name]["default"] = default
        return described

    def typed_dict_field_schema(self, schema: core_schema.TypedDictField) -> JsonSchemaValue:
        described = super().typed_dict_field_schema(schema)
        if text := schema["metadata"]["description"]:
            described["description"] = text
        return described
