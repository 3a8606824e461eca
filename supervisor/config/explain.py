"""The text of `supervisor check`: a plan in plain words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from supervisor.config.schema.kinds import BYTES
from supervisor.config.schema.tables import LIMITS
from supervisor.config.units import format_duration as span
from supervisor.config.units import format_percent, format_size
from supervisor.core.detection.detectors.registry import least_silence
from supervisor.core.model.cluster_spec import PlacementMode, PlacementSpec
from supervisor.core.model.spec import (
    BackoffKind,
    BalanceSpec,
    Condition,
    DependencySpec,
    ExitCodesSpec,
    GroupSpec,
    HeartbeatSpec,
    NotifyAccess,
    Plan,
    Policy,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    RolloutSpec,
    SandboxSpec,
    ServiceSpec,
    ServiceType,
    SocketSpec,
    Suspicion,
)
from supervisor.core.text.redact import HIDDEN, text_without_secrets, without_secrets
from supervisor.core.text.units import signal_name

WIDTH = 107
"""Characters of a line of a fact, so that a screen of 120 columns shows it whole."""
_STICKY = {"cookie": "by a cookie", "source": "by its address"}
_USUAL = ServiceSpec(name="", command=())


def plan_text(plan: Plan, included: Sequence[str] = ()) -> str:
    """The start order in waves, and the facts of each service.  `included`: the files that the first one includes."""
    started, waiting = waves(plan)
    instances = sum(spec.replicas for wave in started for spec in wave)
    lines = [
        f"{plan.supervisor.name}: {_count(len(plan.services), 'service')}, {_count(instances, 'instance')} to start",
        f"  file     {plan.path}",
        *(f"           {name}" for name in included),
        f"  sockets  {plan.supervisor.runtime_dir}",
        f"  ledger   {plan.supervisor.state_dir}",
    ]
    if plan.supervisor.listen:
        lines.append("  http     {}:{}".format(*plan.supervisor.listen))
    lines += [f"  group    {_group(group)}" for group in plan.groups if group.max_concurrent_restarts is not None]
    if plan.cluster is not None:
        lines.append(
            f"  cluster  {plan.cluster.node} on {plan.cluster.hosts}, session {span(plan.cluster.session_timeout)}"
            + (", failsafe" if plan.cluster.failsafe else "")
        )
    if plan.kept_profiles is not None:
        gone = ", ".join(f"{name} ({', '.join(profiles)})" for name, profiles in plan.inactive)
        active = ", ".join(plan.profiles) or "none"
        text = wrap(active + (f"; not there: {gone}" if gone else ""), WIDTH, break_long_words=False)
        lines.append("  profiles " + f"\n{'':<11}".join(text))
    for number, wave in enumerate(started, 1):
        lines += ["", f"{number}. " + ("at once" if number == 1 else "when what they depend on is ready")]
        lines += [line for spec in wave for line in _service(spec)]
    if waiting:
        lines += ["", "not started automatically: fallbacks, and services with autostart = false"]
        lines += [line for spec in waiting for line in _service(spec)]
    lines += ["", "defaults, where a service does not say otherwise"]
    lines += [_fact(name, fact) for name, fact in _facts(_USUAL).items() if fact]
    return "\n".join(lines) + "\n"


def _group(group: GroupSpec) -> str:
    number = group.max_concurrent_restarts
    return f"{group.name}: at most {number} of its instances {'is' if number == 1 else 'are'} starting again at once"


def waves(plan: Plan) -> tuple[list[list[ServiceSpec]], list[ServiceSpec]]:
    """Services that start together, wave by wave, and those that are not started by themselves.

    The dependencies of a service that is started are started with it.
    """
    wanted = {spec.name for spec in plan.services if spec.autostart}
    for spec in reversed(plan.services):
        if spec.name in wanted:
            wanted.update(spec.depends_on)
    depth: dict[str, int] = {}
    started: list[list[ServiceSpec]] = []
    for spec in plan.services:
        depth[spec.name] = max((depth[name] + 1 for name in spec.depends_on), default=0)
        if spec.name in wanted:
            started += [[] for _ in range(depth[spec.name] + 1 - len(started))]
            started[depth[spec.name]].append(spec)
    return started, [spec for spec in plan.services if spec.name not in wanted]


def _service(spec: ServiceSpec) -> Iterator[str]:
    title = f"   {spec.name}" + (f" ×{spec.replicas}" if spec.replicas > 1 else "")
    yield title + (f"  {spec.description}" if spec.description else "")
    for _, reason in spec.unresolved:
        yield _fact("not yet", f"{reason}; a oneshot that it waits for may make it")
    usual = _facts(_USUAL)
    for name, fact in _facts(spec).items():
        if fact and fact != usual[name]:
            yield _fact(name, fact)


def _facts(spec: ServiceSpec) -> dict[str, str]:
    return {
        "runs": _command(spec.command),
        "needs": ", ".join(_need(spec.dependency(service)) for service in spec.depends_on),
        "ready": _ready(spec),
        "beats": _heartbeat(spec.heartbeat) if spec.heartbeat else "",
        "sockets": ", ".join(map(_socket, spec.sockets)),
        "balance": _balance(spec.balance) if spec.balance else "",
        "fails": _restart(spec.restart),
        "codes": _exit_codes(spec.restart.exit_codes) if spec.restart.exit_codes else "",
        "ends": "everything, with its exit code, when it has ended for good" if spec.end_with else "",
        "over": _resources(spec.resources) if spec.resources else "",
        "ports": "{}-{}".format(*spec.ports) if spec.ports else "",
        "limits": ", ".join(_limit(name, value, dict(spec.hard_limits)) for name, value in spec.limits),
        "sandbox": _sandbox(spec.sandbox) if spec.sandbox else "",
        "paths": _paths(spec.sandbox) if spec.sandbox else "",
        "where": _placement(spec.placement) if spec.exclusive else "",
        "rolls": _rollout(spec.rollout) if spec.rollout else "",
        "reloads": reloading(spec),
        "stores": f"up to {_count(spec.fd_store, 'descriptor')} for its next process" if spec.fd_store else "",
        "stops": ", ".join(f"on {signal_name(s.signal)} within {span(s.wait)}" for s in spec.stop) + ", or killed"
        if spec.stop
        else f"on {signal_name(spec.stop_signal)}, or killed after {span(spec.stop_timeout)}",
    }


def reloading(spec: ServiceSpec) -> str:
    """Empty for a service that only gets SIGHUP."""
    awaited = spec.ready is not None and spec.ready.notify_reload
    if spec.reload_signal == _USUAL.reload_signal and not spec.reload_check and not awaited:
        return ""
    check = f", if `{_command(spec.reload_check)}` succeeds" if spec.reload_check else ""
    return f"on {signal_name(spec.reload_signal)}{check}" + (
        f", until it sends READY=1, within {span(spec.start_timeout)}" if awaited else ""
    )


def _socket(socket: SocketSpec) -> str:
    words = ["one for each instance"] if socket.reuseport else []
    if socket.on_demand:
        words.append("a connection starts it")
    if socket.idle is not None:
        words.append(f"stopped after {span(socket.idle)} without one")
    return socket.url + (f" ({', '.join(words)})" if words else "")


def _need(how: DependencySpec) -> str:
    condition = "" if how.condition is Condition.READY else str(how.condition)
    rules = [word for word in (condition, "" if how.required else "not required") if word]
    return how.service + (f" ({', '.join(rules)})" if rules else "")


def _placement(placement: PlacementSpec) -> str:
    """`on one host of the cluster, with zone = a`."""
    count = "on one host" if placement.mode is PlacementMode.ONE else f"{placement.instances} over all hosts"
    wishes = (
        *(f"with {name} = {value}" for name, value in placement.require),
        *(f"rather with {name} = {value}" for name, value in placement.prefer),
        *((f"apart by {placement.apart}",) if placement.apart else ()),
    )
    return ", ".join((f"{count} of the cluster", *wishes))


def _rollout(rollout: RolloutSpec) -> str:
    missing, then = rollout.max_unavailable, {"rollback": "rolled back", "halt": "halted"}[rollout.on_failure]
    few = f"{missing} at a time" if isinstance(missing, int) else f"{missing} of them at a time"
    if rollout.max_surge:
        few = f"{few if missing else 'none before another is ready'}, {rollout.max_surge} more meanwhile"
    return f"a change replaces {few}, each ready for {span(rollout.settle)}; {then} if one fails"


def _command(words: Sequence[str]) -> str:
    """As a shell would take it, without secrets."""
    return shlex.join(without_secrets(words)).replace(f"'{HIDDEN}'", HIDDEN)


def _fact(name: str, fact: str) -> str:
    """A command that is too long is cut, other facts go on in another line."""
    if name == "runs":
        return f"     {name:<7} {fact if len(fact) <= WIDTH else fact[: WIDTH - 1] + '…'}"
    lines = wrap(fact, WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"     {name:<7} " + f"\n{'':<13}".join(lines)


def _ready(spec: ServiceSpec) -> str:
    if spec.type is ServiceType.ONESHOT:
        return f"when it has exited successfully, within {span(spec.start_timeout)}"
    if spec.ready is None:
        return f"as soon as it runs{_enough(spec)}"
    return f"{_readiness(spec.ready)}, within {span(spec.start_timeout)}{_enough(spec)}"


def _enough(spec: ServiceSpec) -> str:
    return "" if spec.min_ready is None else f"; {spec.min_ready} of {spec.replicas} are enough"


def readiness(ready: ReadySpec) -> str:
    """What shows that a service is ready, as it stands after "ready when"."""
    if ready.http:
        return f"{text_without_secrets(ready.http)} answers"
    if ready.tcp:
        return f"{ready.tcp} accepts"
    if ready.exec:
        return f"`{_command(ready.exec)}` succeeds"
    if ready.log:
        return f"a line matches /{ready.log}/"
    if ready.notify:
        return "its main process sends READY=1" if ready.notify_access is NotifyAccess.MAIN else "it sends READY=1"
    return f"it has run for {span(ready.delay or 0)}"


def _readiness(ready: ReadySpec) -> str:
    if ready.delay is not None:
        return f"{span(ready.delay)} after its start"
    asked = f", asked every {span(ready.interval)}" if ready.http or ready.tcp or ready.exec else ""
    return f"when {readiness(ready)}{asked}"


def _heartbeat(beat: HeartbeatSpec) -> str:
    target = _command(beat.exec) if beat.exec else text_without_secrets(beat.http or beat.tcp or beat.file or "")
    target = target or beat.log or ""
    source = f"{beat.source} {target}".strip()
    if beat.target is not None:
        judged = f"a hang is detected within {span(beat.target.detect_within)}"
        judged += f", at most one false restart in {span(1 / beat.target.max_false_restarts)}"
    elif beat.detector == "timeout":
        judged = f"suspected after {span(beat.timeout)}"
    else:
        judged = f"suspected at {beat.detector} ≥ {beat.threshold:g}"
        judged += f", after {span(least_silence(beat))} to {span(beat.max_timeout)}"
    reaction = {Suspicion.REPORT: ", only reported", Suspicion.KILL_PROCESS: ", ended alone"}.get(beat.on_suspect, "")
    kept = " over one connection" if beat.keep_alive else ""
    return f"{source} every {span(beat.interval)}{kept}; {judged}{reaction}"


def _balance(balance: BalanceSpec) -> str:
    host, port = balance.listen
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    again = "each request that may run twice" if balance.retry == "idempotent" else "connections that fail"
    how = (balance.mode, balance.algorithm, *(("TLS",) if balance.certificate else ()))
    parts = [
        f"by HAProxy at {place} ({', '.join(how)})",
        f"{again} tried again elsewhere",
        *((f"a client stays with its instance ({_STICKY[balance.sticky]})",) if balance.sticky else ()),
        f"drained within {span(balance.drain)}",
    ]
    return "; ".join(parts)


def _restart(restart: RestartSpec) -> str:
    if restart.policy is Policy.NEVER:
        return "never restarted"
    first, maximum = span(restart.initial), span(restart.maximum)
    delays = f"{first}" if restart.backoff is BackoffKind.FIXED or first == maximum else f"{first} … {maximum}"
    breaker = f"breaker opens beyond {restart.max_restarts} in {span(restart.window)}"
    fallback = f", then {restart.fallback}" if restart.fallback else ""
    scope = "" if restart.strategy == "one-for-one" else f" {restart.strategy}"
    return f"restarted {restart.policy}{scope} after {delays} ({restart.backoff}); {breaker}{fallback}"


def _exit_codes(codes: ExitCodesSpec) -> str:
    rules = (("never restarted", codes.never), ("always restarted", codes.always), ("with its group", codes.group))
    return "; ".join(f"{rule} after {', '.join(map(str, which))}" for rule, which in rules if which)


def _resources(resources: ResourcesSpec) -> str:
    resource_limits = [format_size(resources.max_memory)] if resources.max_memory else []
    resource_limits += [f"{format_percent(resources.max_cpu)} CPU"] if resources.max_cpu else []
    lasting = f"{' or '.join(resource_limits)} for {span(resources.sustained)}" if resource_limits else ""
    tasks = f"{resources.max_tasks} processes and threads" if resources.max_tasks else ""
    return f"{' or '.join(filter(None, (lasting, tasks)))}: {resources.action}" if lasting or tasks else ""


def _sandbox(sandbox: SandboxSpec) -> str:
    system = {"yes": "/usr and /boot", "full": "/usr, /boot and /etc", "strict": "all but /dev, /proc and /sys"}
    home = {"yes": "hidden", "read-only": "read-only", "tmpfs": "empty"}
    parts = ["private /tmp"] if sandbox.private_tmp else []
    parts += ["private /dev"] if sandbox.private_devices else []
    parts += [f"{system[sandbox.protect_system]} read-only"] if sandbox.protect_system else []
    parts += [f"homes {home[sandbox.protect_home]}"] if sandbox.protect_home else []
    return ", ".join(parts)


def _paths(sandbox: SandboxSpec) -> str:
    lists = {
        "hidden": sandbox.inaccessible_paths,
        "read-only": sandbox.read_only_paths,
        "as on the host": sandbox.read_write_paths,
    }
    return "; ".join(f"{', '.join(paths)} {words}" for words, paths in lists.items() if paths)


def _limit(name: str, soft: int, hard: Mapping[str, int]) -> str:
    text = f"{name} {_amount(name, soft)}"
    return f"{text} (hard {_amount(name, hard[name])})" if name in hard else text


def _amount(name: str, value: int) -> str:
    if value < 0:
        return "unlimited"
    return format_size(value) if value >= 1024 and LIMITS["fields"][name]["schema"] is BYTES else str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
