"""Routes and their parameters: matches paths, and checks and converts the values that a request carries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor.core.text.timestamps import from_iso
from supervisor.errors import UsageError


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. `kind`: string, integer, number, boolean, time, or array (of strings). `place`: path, query or
    body.
    """

    name: str
    kind: str
    description: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    place: str = "query"


Params = tuple[Param, ...]
_ESCAPE = re.compile(rb"%(?:[0-9A-Fa-f]{2})?")
_HUGE = 1e11  # seconds since the epoch, in the year 5138; later times overflow calendars


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `shape` names the schema of a successful answer. `tcp`: served over TCP, too."""

    method: str
    path: str
    handler: Callable[[Any, Any], None]
    summary: str
    shape: str
    params: Params = ()
    answers: int = 200
    tcp: bool = False


def match(routes: Sequence[Route], path: str) -> list[tuple[Route, dict[str, str]]]:
    """Every route of this path, whatever its method, each with the values of its `{…}` parts."""
    found = []
    parts = path.split("/")
    for route in routes:
        pattern = route.path.split("/")
        if len(pattern) != len(parts):
            continue
        args = {}
        for wanted, given in zip(pattern, parts, strict=True):
            if wanted.startswith("{") and given:
                args[wanted[1:-1]] = decoded(given)
            elif wanted != given:
                break
        else:
            found.append((route, args))
    return found


def arguments(route: Route, path_args: dict[str, str], query: str, body: bytes) -> dict[str, Any]:
    """Every parameter of the route by name. Raises UsageError for one that is unknown, of a wrong kind or out of
    bounds.
    """
    given: dict[str, Any] = dict(path_args)
    texts = _parsed(query)
    fields = _object(body) if body else {}
    for place, names in (("query", texts), ("body", fields)):
        known = [p.name for p in route.params if p.place == place]
        for name in names:
            if name not in known:
                takes = ", ".join(known) or "nothing"
                raise UsageError(f"{route.path} has no {place} parameter {name!r}", f"it takes {takes}")
    for name in (name for name, value in fields.items() if value is None):  # null must not mean "all"
        raise UsageError(f"{name} is null", "leave it out instead")
    out = {}
    for param in route.params:
        if param.place == "query":
            values = texts.get(param.name)
            given_value = values if param.kind == "array" or values is None else values[-1]
        else:
            given_value = (fields if param.place == "body" else given).get(param.name)
        out[param.name] = _checked(param, given_value)
    return out


def _checked(param: Param, value: Any) -> Any:
    if value is None:
        return [] if param.kind == "array" else param.default
    try:
        value = _READERS[param.kind](value)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{param.name} must be {_A[param.kind]}, not {value!r}", param.description) from None
    if param.minimum is not None and param.maximum is not None and not param.minimum <= value <= param.maximum:
        raise UsageError(f"{param.name} must be between {param.minimum:g} and {param.maximum:g}, not {value}")
    if param.minimum is not None and not value >= param.minimum:
        raise UsageError(f"{param.name} must be at least {param.minimum:g}, not {value}")
    return value


def _parsed(query: str) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            out.setdefault(decoded(name.replace("+", " ")), []).append(decoded(value.replace("+", " ")))
    return out


def decoded(text: str) -> str:
    """`text` with %XX decoded. Raises UsageError if the result is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return _ESCAPE.sub(_octet, text.encode("latin-1")).decode()
    except ValueError:
        raise UsageError(f"{text!r} is not percent-encoded UTF-8") from None


def _octet(escape: re.Match[bytes]) -> bytes:
    if len(escape[0]) == 1:
        raise ValueError
    return bytes.fromhex(escape[0][1:].decode())


def _object(body: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is not JSON: {error}") from None
    if not isinstance(plain, dict):
        raise UsageError("the body must be a JSON object")
    return plain


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not abs(number) < _HUGE:
        raise ValueError
    return number


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError
    return [_text(item) for item in value]


def _time(value: Any) -> float:
    """Seconds since the epoch, from a number or ISO 8601."""
    try:
        return _number(value)
    except ValueError:
        return from_iso(_text(value).replace(" ", "+"))  # the plus of a UTC offset that was not encoded


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _whole,
    "number": _number,
    "boolean": _switch,
    "array": _texts,
    "time": _time,
}
_A = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list of texts",
    "time": "a time",
}
