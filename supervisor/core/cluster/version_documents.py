"""What the nodes of pushed configurations hold, as JSON.  Another build may have written it: what is unreadable counts
as missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from supervisor.core.cluster.bounds import read
from supervisor.core.cluster.versions import Health, Phase, Record, Report, State, Turn, Version

CONFIG, CURRENT, APPLIED = "/config", "/config/current", "/applied"
DIRECTORY, VERSION = "pushed", "version.json"
"""In the state directory of a host: the texts of versions, and the file that tells which of them it runs."""
LARGEST, LARGEST_AS_JSON = 64 * 1024, 96 * 1024
"""Bytes of a file that can be pushed, and of its JSON.  It goes in one packet between daemon and agent, beside all else
that they tell."""
LONGEST = 500
"""Characters of the reason of a failure."""


def text_path(number: int) -> str:
    """The node of a version's text."""
    return f"{CONFIG}/{number}"


def is_share(text: str) -> bool:
    """Whether it is a number of hosts, or a part of them such as 25%, and not 0."""
    number = text.removesuffix("%")
    return number.isascii() and number.isdecimal() and len(text) < 10 and int(number) > 0


def refusal(text: str) -> str:
    """Why a text cannot be pushed; empty: it can."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "the file has halves of characters"
    if size > LARGEST:
        return f"the file has {size} bytes; at most {LARGEST} can be pushed"
    if len(json.dumps(text)) > LARGEST_AS_JSON:
        return f"the file has {len(json.dumps(text))} bytes as JSON; at most {LARGEST_AS_JSON} can be pushed"
    return ""


def digest_of(text: str) -> str:
    """Distinguishes two texts."""
    return sha256(text.encode()).hexdigest()[:16]


def dump_record(record: Record) -> str:
    """The record, the same text for the same content."""
    plain = {
        "number": record.number, "in_force": record.in_force, "phase": record.phase, "seq": record.seq,
        "turns": {host: turn._asdict() for host, turn in record.turns.items()},
        "max_unavailable": record.max_unavailable, "timeout": record.timeout,
        "history": [one._asdict() for one in record.history],
    }  # fmt: skip
    return _json(plain)


def record(text: str) -> Record | None:
    """The record; None where it is unreadable."""
    try:
        raw = read(text)
        return Record(
            _int(raw["number"]), _int(raw["in_force"]), Phase(raw["phase"]), _int(raw["seq"]),
            {str(host): _turn(one) for host, one in raw["turns"].items()},
            _share(raw["max_unavailable"]), _float(raw["timeout"]), tuple(_version(one) for one in raw["history"]),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def dump_report(report: Report) -> str:
    """A host's own words of its configuration."""
    return _json(report._asdict())


def report(text: str) -> Report | None:
    """A host's words; None where they are unreadable."""
    try:
        raw = read(text)
        return Report(
            _int(raw["number"]), str(raw["digest"]), _int(raw["seq"]), Health(raw["health"]),
            str(raw["reason"])[:LONGEST],
            bool(raw["differs"]),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return None


def dump_text(text: str, mark: str) -> str:
    """The node of a version.  `mark`: unique to the push, so that it differs from another one with the same number."""
    return _json({"mark": mark, "text": text})


def text_and_mark(data: str) -> tuple[str, str]:
    """The text of a version and its mark; both empty where they are unreadable."""
    try:
        raw = read(data)
        return str(raw["text"]), str(raw["mark"])
    except (ValueError, TypeError, KeyError):
        return "", ""


def _turn(raw: Mapping[str, Any]) -> Turn:
    return Turn(_int(raw["number"]), _int(raw["seq"]), bool(raw["given_up"]))


def _version(raw: Mapping[str, Any]) -> Version:
    return Version(
        _int(raw["number"]), str(raw["digest"]), str(raw["by"]), str(raw["host"]), _float(raw["at"]), str(raw["mark"]),
        _int(raw["origin"]), State(raw["state"]), str(raw["reason"])[:LONGEST], str(raw["failed_on"]),
    )  # fmt: skip


def _int(value: object) -> int:
    if type(value) is not int:
        raise TypeError("no number")
    return value


def _float(value: object) -> float:
    if not isinstance(value, int | float) or not abs(value) < 1e15:
        raise TypeError("no number")
    return float(value)


def _share(value: object) -> str:
    """A number of hosts, or a part of them.  ValueError."""
    text = str(value)
    if not is_share(text):
        raise ValueError(f"{text!r} is no number of hosts")
    return text


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
