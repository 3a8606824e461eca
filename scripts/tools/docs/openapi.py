"""Writes supervisor/adapters/control/openapi.json, which the daemon serves.

Paths come from the table of routes, schemas from the TypedDicts of the modules core/model/*document*.py.

Usage: scripts/openapi [--check]      (--check changes nothing; exits 1 if the file is out of date)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from supervisor import __version__
from supervisor.adapters.control.event_stream import CHANGES
from supervisor.adapters.control.routes import DEADLINE, PURPOSE, ROUTES
from supervisor.adapters.http.routing import Param, Route
from supervisor.core import model
from supervisor.core.model.document_types import JSON

PATH = Path(__file__).resolve().parents[3] / "supervisor" / "adapters" / "control" / "openapi.json"

STREAM = "Stream"
PLAIN: dict[str, JSON] = {
    STREAM: {
        "type": "string",
        "description": "`event: event` (an Event, with its id), `event: status` (a Status), `event: log` (a LogMessage), "
        "`event: lagged` (cut; come back with Last-Event-ID)",
    },
    "Metrics": {"type": "string"},
    "OpenApi": {"type": "object"},
}
"""Schemas of answers that are not JSON documents."""
DOCUMENTS = [
    import_module(f"{model.__name__}.{found.name}")
    for found in iter_modules(model.__path__)
    if "document" in found.name
]
OTHER_TYPES = {STREAM: "text/event-stream", "Metrics": "text/plain"}
WIDTH = 120
ALSO = ("Error", "LogMessage")
"""Documents that no route names as its answer."""
KINDS: dict[str, JSON] = {
    "time": {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]},
    "array": {"type": "array", "items": {"type": "string"}},
}
SIMPLE: dict[object, JSON] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    Any: {},
}
ERRORS = {
    400: "the call makes no sense",
    401: "the token is missing or wrong",
    403: "not for you, or not over TCP",
    404: "no such route, service or evidence",
    409: "it was tried and did not come about",
    413: "a body of more than 1 MiB",
    422: "the configuration cannot be used",
    429: "too many streams",
    503: "too many connections",
}


def document() -> JSON:
    """The whole OpenAPI document."""
    paths: JSON = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "phi-supervisor control API",
            "version": __version__,
            "description": "Served on the control socket in runtime_dir; what is marked `x-tcp` over TCP as well, "
            "where [supervisor.http] listen asks for it.",
        },
        "servers": [{"url": "http://supervisor", "description": "curl --unix-socket RUNTIME_DIR/control.sock"}],
        "paths": paths,
        "components": {
            "schemas": schemas([route.shape for route in ROUTES] + list(ALSO)),
            "responses": {str(status): refusal(meaning) for status, meaning in ERRORS.items()},
        },
    }


# -- paths -----------------------------------------------------------------------------------------------------------


def operation(route: Route) -> JSON:
    kind = OTHER_TYPES.get(route.shape, "application/json")
    good: JSON = {"description": route.summary, "content": {kind: {"schema": reference(route.shape)}}}
    answers: JSON = {str(route.answers): good}
    if route.shape == "Readiness":
        answers["503"] = good | {"description": "some wanted instance is not ready"}
    for status in ERRORS:
        answers.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    name = route.path.strip("/").replace("v1/", "").translate(str.maketrans("/.", "__", "{}"))
    found: JSON = {
        "operationId": f"{route.method.lower()}_{name}",
        "summary": route.summary,
        "x-tcp": route.tcp,
        "responses": answers,
    }
    parameters = [parameter(p) for p in route.params if p.place != "body"]
    if route.shape == STREAM:
        resume = "resume after the event of this id"
        schema = {"type": "integer"}
        parameters.append({"name": "Last-Event-ID", "in": "header", "description": resume, "schema": schema})
        purpose = "of a command that waits for its order: more streams may be open, and the rows have no CPU and memory"
        kinds: JSON = {"type": "string", "enum": ["order"]}
        parameters.append({"name": PURPOSE, "in": "header", "description": purpose, "schema": kinds})
        changes = "take `changes` after the first `status`: only the rows that changed"
        yes: JSON = {"type": "string", "enum": ["yes"]}
        parameters.append({"name": CHANGES, "in": "header", "description": changes, "schema": yes})
    if route.method == "POST":
        late = "seconds of CLOCK_MONOTONIC until which the client waits; the order is not carried out later"
        parameters.append({"name": DEADLINE, "in": "header", "description": late, "schema": {"type": "number"}})
    if parameters:
        found["parameters"] = parameters
    fields = {p.name: values(p) | {"description": p.description} for p in route.params if p.place == "body"}
    if fields:
        body = {"type": "object", "properties": fields, "additionalProperties": False}
        found["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return found


def refusal(meaning: str) -> JSON:
    return {"description": meaning, "content": {"application/json": {"schema": reference("Error")}}}


def parameter(param: Param) -> JSON:
    return {
        "name": param.name,
        "in": param.place,
        "required": param.place == "path",
        "description": param.description,
        "schema": values(param),
    }


def values(param: Param) -> JSON:
    """The schema of a parameter's values."""
    schema = dict(KINDS.get(param.kind, {"type": param.kind}))
    if param.default is not None:
        schema["default"] = param.default
    if param.minimum is not None:
        schema["minimum"] = param.minimum
    if param.maximum is not None:
        schema["maximum"] = param.maximum
    return schema


# -- schemas ---------------------------------------------------------------------------------------------------------


def schemas(names: Sequence[str]) -> JSON:
    """The schemas of these documents, and of all that they refer to, by name in alphabetical order."""
    found: JSON = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = (
                PLAIN[name]
                if name in PLAIN
                else described(next(getattr(m, name) for m in DOCUMENTS if hasattr(m, name)))
            )
            todo += referred(found[name])
    return dict(sorted(found.items()))


def described(shape: Any) -> JSON:
    """The schema of a TypedDict."""
    properties: JSON = {}
    required: list[str] = []
    optional = shape.__optional_keys__
    for name, hint in get_type_hints(shape, include_extras=True).items():
        if get_origin(hint) in (NotRequired, Required):
            optional = optional | {name} if get_origin(hint) is NotRequired else optional - {name}
            (hint,) = get_args(hint)
        properties[name] = schema_of(hint)
        if name not in optional:
            required.append(name)
    return {"type": "object", "description": sentence(shape), "properties": properties, "required": required}


def sentence(shape: Any) -> str:
    return " ".join((shape.__doc__ or "").split())


def schema_of(hint: Any) -> JSON:
    """The schema of a field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = schema_of(arguments[0])
        for extra in arguments[1:]:
            word, value = extra if isinstance(extra, tuple) else ("description", extra)
            found = found | {word: value}
        return found
    if origin in (Union, UnionType):
        return either([schema_of(argument) for argument in arguments])
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        inner = schema_of(arguments[1])
        return {"type": "object"} | ({"additionalProperties": inner} if inner else {})
    return reference(hint.__name__) if is_typeddict(hint) else dict(SIMPLE[hint])


def either(options: list[JSON]) -> JSON:
    """One of several schemas; for a simple type and null, that type with null beside it."""
    first, *rest = options
    if rest == [SIMPLE[NoneType]] and "type" in first and "enum" not in first:
        return first | {"type": [first["type"], "null"]}
    return {"anyOf": options}


def reference(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def referred(schema: object) -> Iterator[str]:
    """The names of the schemas that a schema refers to."""
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key == "$ref":
                yield inner.rpartition("/")[2]
            else:
                yield from referred(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from referred(inner)


def laid_out(value: object, indent: int = 0, begun: int = 0) -> str:
    """JSON with everything on one line that fits on one. `begun`: characters that stand before it already."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + begun + len(line) < WIDTH or not isinstance(value, dict | list):
        return line
    if isinstance(value, dict):
        begin, end = "{}"
        parts = [f'"{key}": {laid_out(inner, indent + 1, len(key) + 4)}' for key, inner in value.items()]
    else:
        begin, end = "[]"
        parts = [laid_out(inner, indent + 1) for inner in value]
    inside = ",\n".join(" " * (indent + 1) + part for part in parts)
    return f"{begin}\n{inside}\n{' ' * indent}{end}"


def text() -> str:
    return laid_out(document()) + "\n"


def main() -> None:
    if "--check" in sys.argv:
        if not PATH.exists() or PATH.read_text() != text():
            sys.exit(f"{PATH} is out of date: run scripts/openapi")
    else:
        PATH.write_text(text())


if __name__ == "__main__":
    main()
