"""Reads a plan from its JSON, service by service.

`json.loads` would make the plain data of all services at once.  The specifications that are made of these data stay,
and would lie between them in memory: where the data were, a daemon of five thousand services would keep 2 MiB of holes.
"""

from __future__ import annotations

from dataclasses import replace
from json import JSONDecoder
from typing import Any

from supervisor.core.model.plain import PlainReader
from supervisor.core.model.spec import Plan, ServiceSpec

_decode = JSONDecoder().raw_decode


def plan_from_json(text: str) -> Plan:
    """The plan whose `to_plain` this is, as JSON.  Raises one of `saved.GARBAGE` where it is damaged, or of another
    version (plain.py)."""
    reader = PlainReader()
    services: list[ServiceSpec] = []
    others: dict[str, Any] = {}
    at = _after(text, 0, "{")
    while not text.startswith("}", at):
        key, at = _decode(text, at)
        at = _after(text, at, ":")
        if key == "services":
            others[key] = ()
            at = _after(text, at, "[")
            while not text.startswith("]", at):
                plain, at = _decode(text, at)
                services.append(reader.read(ServiceSpec, plain))
                at = _next(text, at, "]")
            at = _next(text, at + 1, "}")
        else:
            others[key], at = _decode(text, at)
            at = _next(text, at, "}")
    if _space(text, at + 1) < len(text):
        raise ValueError("there is more behind the plan")
    return replace(reader.read(Plan, others), services=tuple(services))


def _next(text: str, at: int, end: str) -> int:
    """Where the next part begins, or the list of parts ends."""
    at = _space(text, at)
    return at if text.startswith(end, at) else _after(text, at, ",")


def _after(text: str, at: int, mark: str) -> int:
    at = _space(text, at)
    if not text.startswith(mark, at):
        raise ValueError(f"{mark} expected at {at}")
    return _space(text, at + 1)


def _space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at
