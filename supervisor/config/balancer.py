"""Adds the HAProxy of a plan as a service of its own, where another service has `balance`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from supervisor.config.source.key_path import Key
from supervisor.config.source.problems import Problems
from supervisor.core.balancing.haproxy_config import Place, address
from supervisor.core.balancing.version import missing
from supervisor.core.model.spec import (
    BALANCER,
    BalanceSpec,
    HeartbeatSpec,
    Policy,
    ReadySpec,
    RestartSpec,
    ServiceSpec,
    ServiceType,
    SupervisorSpec,
)
from supervisor.core.services.replica import behind
from supervisor.core.services.scaling import surge_of
from supervisor.errors import OperationFailed


def with_balancer(
    services: Mapping[str, ServiceSpec], supervisor: SupervisorSpec, env: Mapping[str, str], problems: Problems
) -> dict[str, ServiceSpec]:
    """`services`, with HAProxy among them, on which the balanced ones depend: it is started first and stopped last."""
    balanced = {name: spec.balance for name, spec in services.items() if spec.balance is not None}
    if not balanced:
        return dict(services)
    judge(services, balanced, supervisor, problems)
    program = _program(env, balanced, problems)
    if BALANCER in services:
        problems.add(("services", BALANCER), f"the name is taken by the HAProxy in front of {', '.join(balanced)}")
        return dict(services)
    place = Place(f"{supervisor.runtime_dir}/{BALANCER}")
    if re.search(r"[\s,]", place.directory):
        problems.add(("supervisor", "runtime_dir"), "HAProxy takes no directory with a blank or a comma in its name")
    depending = {
        name: replace(spec, depends_on=(*spec.depends_on, BALANCER)) if name in balanced else spec
        for name, spec in services.items()
    }
    added = balancer(program, place, list(balanced))
    if not program:
        added = replace(added, command=("haproxy", *added.command[1:]), unresolved=(("balance", missing()),))
    return {BALANCER: added} | depending


def balancer(program: str, place: Place, names: list[str]) -> ServiceSpec:
    """HAProxy with a master, which reports that it is ready.  Its beat is an answer of its worker to the daemon."""
    return ServiceSpec(
        name=BALANCER,
        command=(program, "-Ws", "-f", place.file, "-S", f"{place.master},mode,600"),
        description=f"in front of {', '.join(names)}",
        directory="/",
        umask=0o077,
        inherit_environment=(),
        stop_timeout=2.0,
        reload_signal=12,
        ready=ReadySpec(notify=True),
        heartbeat=HeartbeatSpec(source=BALANCER, interval=0.5, min_timeout=2.0, max_timeout=5.0),
        restart=RestartSpec(policy=Policy.ALWAYS, maximum=2.0, max_restarts=10, cooldown=10.0),
    )


def fallback_notes(services: Mapping[str, ServiceSpec]) -> Iterator[tuple[Key, str]]:
    """(key, note) of each fallback of a balanced service to which HAProxy could send no request."""
    for name, spec in services.items():
        fallback = services.get(spec.restart.fallback or "")
        if spec.balance is not None and fallback is not None and not behind(spec.balance, fallback, fallback.name):
            yield (
                ("services", name, "restart", "fallback"),
                f'"{fallback.name}" gets no requests from HAProxy: give it `ports`, '
                "because balance.server has {port}",
            )


def judge(
    services: Mapping[str, ServiceSpec],
    balanced: Mapping[str, BalanceSpec],
    supervisor: SupervisorSpec,
    problems: Problems,
) -> None:
    """Report addresses that are taken twice, instances that share one, and keys that do not fit together."""
    taken = (
        {f"tcp://{address(supervisor.listen)}": "the daemon itself (supervisor.http.listen)"}
        if supervisor.listen
        else {}
    )
    taken |= {s.url: f'"{name}" (sockets)' for name, spec in services.items() for s in spec.sockets}
    for name, balance in balanced.items():
        report, spec = problems.of(name), services[name]
        url = f"tcp://{address(balance.listen)}"
        if url in taken:
            report(f"{address(balance.listen)} is taken: {taken[url]} listens on it", "balance", "listen")
        taken[url] = f'"{name}" (balance)'
        for other, one in services.items():
            if one.ports is not None and one.ports[0] <= balance.listen[1] <= one.ports[1]:
                report(f'{address(balance.listen)} is one of the `ports` of "{other}"', "balance", "listen")
        most = spec.replicas + surge_of(spec.rollout, spec.replicas)
        if most > 1 and "{" not in balance.server:
            report(
                f'is one address for {most} instances; write for example "127.0.0.1:{{port}}"',
                "balance",
                "server",
            )
        if _listens_itself(balance):
            report(
                f"{balance.server} is where HAProxy itself listens: give the instances another port",
                "balance",
                "server",
            )
        if spec.type is ServiceType.ONESHOT:
            report('makes no sense with type = "oneshot": it takes no requests', "balance")
        if balance.mode == "tcp":
            for key, used in (
                ("check", balance.check is not None),
                ("sticky", balance.sticky == "cookie"),
                ("retry", balance.retry == "idempotent"),
            ):
                if used:
                    report('needs mode = "http"', "balance", key)
        if balance.certificate and (why := _refused(balance.certificate)):
            report(why, "balance", "certificate")


def _listens_itself(balance: BalanceSpec) -> bool:
    """Whether HAProxy would send the requests to its own port."""
    host, _, port = balance.server.rpartition(":")
    listens, own = balance.listen
    return port == str(own) and (listens in ("0.0.0.0", "::") or host.strip("[]") == listens)


def _refused(certificate: str) -> str:
    from supervisor.adapters.balancing.certificate import refusal

    return refusal(certificate)


def _program(env: Mapping[str, str], balanced: Mapping[str, BalanceSpec], problems: Problems) -> str:
    from supervisor.adapters.balancing.program import usable

    try:
        return usable(env)
    except (OperationFailed, FileNotFoundError) as error:
        for name in balanced:
            problems.of(name)(str(error), "balance", missing=isinstance(error, FileNotFoundError))
    return ""
