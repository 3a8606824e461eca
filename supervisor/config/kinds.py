"""The types of the keys of services.toml: a reader, and what an editor is told of it in JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from supervisor.config import values as read

JsonSchema = dict[str, Any]


class Kind:
    """An annotation: pydantic reads the value with `reader` alone, and describes it as `schema`."""

    def __init__(self, reader: Callable[..., Any], schema: JsonSchema, *, expands: bool = False) -> None:
        self.reader, self.schema, self.expands = reader, schema, expands

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        if self.expands:
            return core_schema.with_info_plain_validator_function(self.reader)
        return core_schema.no_info_plain_validator_function(self.reader)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return dict(self.schema)


class Whole(Kind):
    """A whole number from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(read.whole(low, high), {"type": "integer", "minimum": low, "maximum": high})


class Number(Kind):
    """A number from `low` to `high`."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(read.number(low, high), {"type": "number", "minimum": low, "maximum": high})


class OneOf(Kind):
    """One of a few words; of an enumeration it gives the member."""

    def __init__(self, words: Any) -> None:
        super().__init__(read.one_of(words), {"enum": [str(word) for word in words]})


_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}
_SOME_STRING = {"type": "string", "minLength": 1}
_DURATION = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"}
_SIZE = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(KiB|MiB|GiB)$"}
_ADDRESS = {"type": "string", "pattern": ":[0-9]+$"}

Text = Annotated[str, Kind(read.text, _STRING)]
Path = Annotated[str, Kind(read.path, _SOME_STRING, expands=True)]
Name = Annotated[str, Kind(read.name, {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$"})]
Names = Annotated[tuple[str, ...], Kind(read.names, _STRINGS)]
Words = Annotated[
    tuple[str, ...], Kind(read.words, {"anyOf": [_STRINGS | {"minItems": 1}, _SOME_STRING]}, expands=True)
]
Duration = Annotated[float, Kind(read.duration, _DURATION)]
PositiveDuration = Annotated[float, Kind(read.positive_duration, _DURATION)]
Size = Annotated[int, Kind(read.size, _SIZE)]
Percent = Annotated[float, Kind(read.percent, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"})]
Switch = Annotated[bool, Kind(read.switch, {"type": "boolean"})]
OnlyTrue = Annotated[bool, Kind(read.only_true, {"const": True})]
Account = Annotated[str | int, Kind(read.account, {"type": ["string", "integer"]})]
Umask = Annotated[int, Kind(read.umask, {"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"})]
Signal = Annotated[int, Kind(read.signal_number, {"type": ["string", "integer"]})]
Http = Annotated[str, Kind(read.http, {"type": "string", "pattern": "^http://"}, expands=True)]
Tcp = Annotated[str, Kind(read.tcp, _ADDRESS, expands=True)]
Listen = Annotated[tuple[str, int], Kind(read.listen, _ADDRESS)]
Pattern = Annotated[str, Kind(read.pattern, {"type": "string", "format": "regex"})]
Variable = Annotated[str, Kind(read.variable, _STRING)]
VariableValue = Annotated[str, Kind(read.variable_value, _STRING, expands=True)]
Count = Annotated[int, Kind(read.count_limit, {"type": ["integer", "string"]})]
Bytes = Annotated[int, Kind(read.size_limit, {"type": ["integer", "string"]})]
