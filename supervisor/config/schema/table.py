"""A table of services.toml and its keys, as pydantic-core has them."""

from __future__ import annotations

from pydantic_core import core_schema
from pydantic_core.core_schema import TypedDictField, TypedDictSchema


def table(description: str, keys: dict[str, TypedDictField]) -> TypedDictSchema:
    """A table in which every key is optional, and no other key is allowed."""
    metadata = {"description": description}
    return core_schema.typed_dict_schema(keys, total=False, extra_behavior="forbid", metadata=metadata)


def key(kind: core_schema.CoreSchema, description: str = "") -> TypedDictField:
    """A key of a table; one whose value is a table itself is described there."""
    return core_schema.typed_dict_field(kind, metadata={"description": description})
