"""Checks that what a daemon answers is what its OpenAPI document says, and nothing besides.

The document leaves its objects open, so that a client goes on working with a later version; here they are closed, so
that a field that is served and not documented is found.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema_rs

from scripts.tools.docs.openapi import schemas
from supervisor.adapters.control.openapi import document
from supervisor.client import Client

DOCUMENT: dict[str, Any] = json.loads(document())
MESSAGES = {"event": "Event", "status": "Status", "log": "LogMessage", "lagged": "Nothing", "connected": "Nothing"}
"""The documents of the stream's messages."""


def check_document(name: str, value: object) -> None:
    """`value` is a document of this name.  AssertionError tells what is wrong with it."""
    wrong = [f"{error.instance_path}: {error.message}" for error in _validator(name).iter_errors(value)]
    assert not wrong, f"not a {name}: {wrong[:5]} in {value}"


def check_answer(method: str, target: str, status: int, answer: object) -> None:
    """It is what the document promises for this call."""
    check_document(_promised(method.lower(), target.partition("?")[0], status), answer)


def _promised(method: str, path: str, status: int) -> str:
    """The name of the schema."""
    for pattern, operations in DOCUMENT["paths"].items():
        parts, given = pattern.split("/"), path.split("/")
        same = len(parts) == len(given) and all(p == g or p.startswith("{") for p, g in zip(parts, given, strict=True))
        if same and method in operations:
            response = operations[method]["responses"][str(status)]
            if "$ref" in response:
                response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
            name: str = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            return name
    return "Error"


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    found = _closed(DOCUMENT["components"]["schemas"] | schemas([name]))
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": found}}
    )


def _closed(schema: Any) -> Any:
    """The same schema, in which an object has no field that is not described."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(inner) for key, inner in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        found["additionalProperties"] = False
    return found


class CheckedClient(Client):
    """A client that checks each answer."""

    def _ask(self, method: str, target: str, body: bytes | None = None) -> Any:
        answer = super()._ask(method, target, body)
        accepted = method == "POST" and not target.startswith("/v1/reload")
        check_answer(method, target, 202 if accepted else 200, answer)
        return answer
