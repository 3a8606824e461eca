"""Checks of `rollout.max_surge`: whether more instances than `replicas` can run beside each other for a while."""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.config.schema.sockets import tcp_url
from supervisor.config.source.key_path import Key
from supervisor.config.source.problems import Report
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.replica import PORT, REPLICA
from supervisor.core.services.scaling import surge_of


def judge_surge(spec: ServiceSpec, report: Report) -> None:
    """Report a rollout that could replace nothing, and a service that cannot run twice."""
    rules = spec.rollout
    if rules is None:
        return
    if rules.max_unavailable == 0 and rules.max_surge == 0:
        message = "0 lets nothing be replaced while max_surge is 0; write 1 for one of them"
        report(message, "rollout", "max_unavailable")
    if not surge_of(rules, spec.replicas):
        return
    if spec.on_demand:
        report("a service that starts on demand has no instance beside the others", "rollout", "max_surge")
    if spec.end_with:
        report("cannot be combined with end_with, which applies to a service with one instance", "rollout", "max_surge")


def surge_notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) of each probe of a fixed address on which a second process of the service could not listen."""
    if spec.replicas > 1 or not surge_of(spec.rollout, spec.replicas):
        return
    held = {socket.url for socket in spec.sockets}
    for table, probe in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
        for name in ("http", "tcp"):
            text = getattr(probe, name, None)
            if text is None or PORT in text or REPLICA in text:
                continue
            asked = text.partition("://")[2].partition("/")[0] if name == "http" else text
            if asked.startswith("unix:") or tcp_url(asked) in held:
                continue
            yield (
                ("services", spec.name, table, name),
                f"rollout.max_surge starts a second process, and {asked} is one address: give each its own with "
                "`ports` and {port}, or let the supervisor hold it in `sockets`",
            )
