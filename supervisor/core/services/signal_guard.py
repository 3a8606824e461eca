"""Signal guard: whether a signal would end or stop a process, and which checks have to pass before a reload signal.

`supervisor signal` sends reload signals.  Their default action is to end the process, so a program that does not know
them would be ended by an order that only meant to reload it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.text.units import signal_name

if TYPE_CHECKING:
    from supervisor.core.model.spec import ServiceSpec

_HARMLESS = frozenset(("SIGCHLD", "SIGURG", "SIGWINCH", "SIGCONT"))
_STOPPING = frozenset(("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"))


class SignalMasks(NamedTuple):
    """Sets of signals, as in /proc/PID/status: bit 0 is signal 1.

    `blocked`: blocked in every thread that does not wait for signals; such a signal is read by sigwait or a signalfd.
    """

    caught: int
    ignored: int
    blocked: int


def consequence(number: int, masks: SignalMasks) -> str:
    """What the signal would do to the process by its default action: "end", "stop", or nothing (empty)."""
    handled = masks.caught | masks.ignored | masks.blocked
    if signal_name(number) in _HARMLESS or handled >> (number - 1) & 1:
        return ""
    return "stop" if signal_name(number) in _STOPPING else "end"


class ReloadCheck(NamedTuple):
    """A `reload_check` that has to pass first, and the instances that it is for.  `spec`: that of the first of them."""

    spec: ServiceSpec
    instances: list[str]


def checks(numbers: Mapping[str, int], specs: Mapping[str, ServiceSpec]) -> list[ReloadCheck]:
    """The checks before these signals are sent.  `numbers`: the signal for each instance.  `specs`: of each instance
    (core/services/replica.py).

    Instances whose check is the same command in the same environment have one in common."""
    found: dict[tuple[object, ...], ReloadCheck] = {}
    for name, number in numbers.items():
        spec = specs[name]
        if spec.reload_check and number == spec.reload_signal:
            key = spec.name, spec.reload_check, spec.environment
            found.setdefault(key, ReloadCheck(spec, [])).instances.append(name)
    return list(found.values())


def refusal(numbers: Mapping[str, int], masks: Mapping[str, SignalMasks]) -> tuple[str, str] | None:
    """Why these signals are not sent, and what to do instead; None where every process handles its own.

    `numbers`: the signal for each instance.  `masks`: what the processes do; one without an entry has ended."""
    ends = {name: consequence(number, masks[name]) for name, number in numbers.items() if name in masks}
    unable = [name for name, what in ends.items() if what]
    if not unable:
        return None
    said = [f"{name} does not handle {signal_name(numbers[name])}, which would {ends[name]} it" for name in unable]
    sent = {signal_name(numbers[name]).removeprefix("SIG").removeprefix("signal ") for name in unable}
    insist = f"-s {sent.pop()}" if len(sent) == 1 else "-s SIGNAL"
    nothing = "; nothing was sent" if len(numbers) > 1 else ""
    return "; ".join(said) + nothing, f"Use `supervisor restart {' '.join(unable)}`, or {insist} to insist."
