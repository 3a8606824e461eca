"""Ways to change bytes at random, and values that often break programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

NUMBERS = (
    *("0", "1", "-1", "2", "7", "255", "256", "4095", "4096", "65535", "65536", "2147483647", "2147483648"),
    *("4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    *("18446744073709551616", "-9223372036854775809", "1e3", "1e308", "1e309", "-0.0", "nan", "inf", "-inf", "+1"),
    *("00", "007", "0x10", "1_000", " 1", "1 ", "٣", "²", "", "0.1", ".5", "5.", "9" * 30, "9" * 4400, "1" * 400),
)
TEXTS = (
    *("", " ", "a", "web", "web@1", "web@2", "web@99", "front", "db", "..", "../../etc/passwd", "/", "//", "\\", "*"),
    *("%", "%s%n", "%00", "\x00", "\x1b[2J", "\r\n", "\n", "\t", "'", '"', "`id`", "$(id)", "${HOME}", "{{", "}"),
    *("é", "\u202e", "\ufeff", "\ud7ff", "𝕏" * 3, "x" * 300, "HUP", "SIGKILL", "9", "SIGSIGHUP", "true", "null"),
    *("2026-01-31T12:00:00Z", "2026-02-30T99:00:00Z", "1769860800", "0:0", "1:99999999999999999999", ":", "1:2:3"),
)
CHUNKS = (b"\x00", b"\n", b"\r\n", b"\r\n\r\n", b"=", b"%", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"{", b"}", b"[")


def pick(rng: Random, choices: Sequence[T]) -> T:
    """As `choice`, which takes three times as long."""
    return choices[int(rng.random() * len(choices))]


def text(rng: Random) -> str:
    """A word, a number, or a mixture."""
    roll = rng.random()
    if roll < 0.4:
        return pick(rng, TEXTS)
    if roll < 0.7:
        return pick(rng, NUMBERS)
    if roll < 0.8:
        return pick(rng, TEXTS) + pick(rng, TEXTS)
    return "".join(chr(int(rng.random() * 0x250)) for _ in range(int(rng.random() * 12)))


def spoil(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A few random changes; some insert parts of `others`."""
    for _ in range(1 + int(rng.random() * 4)):
        data = pick(rng, _CHANGES)(rng, data, others)
    return data


def _place(rng: Random, data: bytes) -> int:
    return int(rng.random() * (len(data) + 1))


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    start = _place(rng, data)
    return start, min(len(data), start + 1 + int(rng.random() ** 3 * 40))


def _flip(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes((int(rng.random() * 256),)) + data[at + 1 :]


def _insert(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = _place(rng, data)
    return data[:at] + pick(rng, CHUNKS) + data[at:]


def _word(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + text(rng).encode("utf-8", "surrogatepass") + data[end:]


def _cut(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _truncate(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    return data[: _place(rng, data)]


def _repeat(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * (1 + int(rng.random() ** 4 * 60)) + data[end:]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = pick(rng, others)
    return data[: _place(rng, data)] + other[_place(rng, other) :]


_CHANGES: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip,
    _flip,
    _insert,
    _word,
    _word,
    _cut,
    _truncate,
    _repeat,
    _splice,
)
