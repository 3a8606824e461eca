"""Puts the number of a replica into what is run and asked: `{replica}` in command, environment, probes and heartbeat.

The instances of a service differ in nothing else, so one specification describes them all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, ServiceSpec

MARK = "{replica}"
P = TypeVar("P", ReadySpec, HeartbeatSpec)


def replica_number(spec: ServiceSpec, instance: str) -> int:
    """The number of `web@3`: two more than `first_replica`; of plain `web`: `first_replica`."""
    index = instance.rpartition("@")[2] if instance != spec.name else "1"
    return spec.first_replica + int(index) - 1


def for_instance(spec: ServiceSpec, instance: str) -> ServiceSpec:
    """The specification of one instance, with its number in place of `{replica}`."""
    if not _mentions(spec):
        return spec
    number = str(replica_number(spec, instance))
    return replace(
        spec,
        command=_words(spec.command, number),
        environment=tuple((name, value.replace(MARK, number)) for name, value in spec.environment),
        ready=spec.ready and _probe(spec.ready, number),
        heartbeat=spec.heartbeat and _probe(spec.heartbeat, number),
    )


def _mentions(spec: ServiceSpec) -> bool:
    texts = [*spec.command, *(value for _, value in spec.environment)]
    for probe in (spec.ready, spec.heartbeat):
        if probe is not None:
            texts += [*(probe.exec or ()), probe.http or "", probe.tcp or "", getattr(probe, "file", None) or ""]
    return any(MARK in text for text in texts)


def _probe(probe: P, number: str) -> P:
    texts = {name: text.replace(MARK, number) for name in _TEXTS if (text := getattr(probe, name, None)) is not None}
    return replace(probe, **texts, exec=probe.exec and _words(probe.exec, number))


_TEXTS = ("http", "tcp", "file")


def _words(words: tuple[str, ...], number: str) -> tuple[str, ...]:
    return tuple(word.replace(MARK, number) for word in words)
