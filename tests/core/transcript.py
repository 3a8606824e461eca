"""Plays the transcripts in tests/core/scenarios.

A transcript is lines of `input -> expected`: what happens, then the state it leads to and the orders it gives.

    service NAME key=value …       begins one; keys as in services.toml, dotted for sub-tables
    start | stop | restart | reset | granted | spawned | ready | heartbeat | exited code=1 | exited signal=9 …
    advance 5s                     time passes; every deadline on the way fires
    advance to deadline            until the next deadline, which fires
    heartbeat x20 every=1s         twenty beats, a second apart
    crash for=5s | reboot          a new supervisor in the same boot takes the instance up, or one in the next boot
    shutdown                       as stop, because the supervisor ends
    adopted | vanished             … and finds its process, or does not (`vanished tree=left`: only descendants)

On the right: states and cause in upper case, as `RUNNING`, in the order in which they were entered, then orders:
`Spawn #2`, `Signal 15`, `Kill`, `Examine`, `Watch heartbeat`, `Release`; a number with `s` is the next deadline's
distance.  `TRANSCRIPTS=write pytest tests/core/test_scenarios.py` writes the right-hand sides anew; commit them
only if every change is understood.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

from supervisor.core import actions as act
from supervisor.core import events as ev
from supervisor.core.causes import Cause
from supervisor.core.instance import Instance
from supervisor.core.spec import ServiceSpec, from_plain

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    for unit, factor in _UNITS.items():
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdigit():
            return float(text[: -len(unit)]) * factor
    raise ValueError(f"not a duration: {text}")


def value(text: str) -> Any:
    try:
        return seconds(text)
    except ValueError:
        pass
    if text in ("yes", "no"):
        return text == "yes"
    if text.isdigit():
        return int(text)
    count, slash, time = text.partition("/")
    if slash and count.isdigit():
        return int(count) / seconds(time)
    return float(text) if text.replace(".", "", 1).isdigit() else text


def service(words: list[str]) -> ServiceSpec:
    """`NAME key=value …` as a spec; `restart.jitter` is 0 unless given, so that delays are round."""
    plain: dict[str, Any] = {"name": words[0], "command": ["program"], "restart": {"jitter": 0.0}}
    for word in words[1:]:
        key, _, text = word.partition("=")
        *tables, last = key.split(".")
        inner = plain
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[last] = value(text)
    return from_plain(ServiceSpec, plain)


class Play:
    """One instance in virtual time.  The fleet's `granted` is given by hand, so that waiting can be seen."""

    def __init__(self, spec: ServiceSpec) -> None:
        self.instance = Instance(spec.name, spec, lambda: 0.5)
        self.now = 1000.0

    def line(self, text: str) -> str:
        """Carry out one left-hand side; the right-hand side that it gives."""
        out: list[str] = []
        for step in text.split(","):
            self._do(step.split(), out)
        deadline = self.instance.deadline
        if deadline is not None:
            out.append(f"{round(deadline - self.now, 3):g}s")
        return "  ".join(out)

    def _do(self, words: list[str], out: list[str]) -> None:
        name = words[0]
        options = dict(w.split("=", 1) for w in words[1:] if "=" in w)
        if name == "advance":
            self._advance(words, out)
        elif name in ("crash", "reboot"):
            self._crash(same_boot=name == "crash")
            self.now += seconds(options.get("for", "0s"))
        elif name == "heartbeat" and len(words) > 1 and words[1].startswith("x"):
            every = seconds(options["every"])
            for _ in range(int(words[1][1:])):
                self._until(self.now + every, out)
                self._step(ev.Heartbeat(self.instance.incarnation, self.now), out)
        else:
            self._step(self._event(name, words, options), out)

    def _crash(self, *, same_boot: bool) -> None:
        """The supervisor dies, and the next one reads what was saved."""
        saved = json.loads(json.dumps(self.instance.snapshot(self.now)))
        self.instance = Instance(self.instance.name, self.instance.spec, lambda: 0.5)
        self.instance.restore(saved, crashed=same_boot)

    def _advance(self, words: list[str], out: list[str]) -> None:
        if words[1:] == ["to", "deadline"]:
            assert self.instance.deadline is not None, "nothing to wait for"
            self._until(self.instance.deadline, out)
        else:
            self._until(self.now + seconds(words[1]), out)

    def _until(self, when: float, out: list[str]) -> None:
        for _ in range(1000):
            deadline = self.instance.deadline
            if deadline is None or deadline > when:
                break
            self.now = max(self.now, deadline)
            self._step(ev.Timeout(), out)
        else:
            raise AssertionError("deadlines do not advance")
        self.now = max(self.now, when)

    def _event(self, name: str, words: list[str], options: dict[str, str]) -> ev.Event:
        i = self.instance
        n = int(options.get("incarnation", i.incarnation))
        empty = options.get("tree") != "left"
        match name:
            case "start":
                return ev.Start()
            case "stop":
                return ev.Stop(later="later" in words, force="force" in words)
            case "shutdown":
                return ev.Stop(Cause.SHUTDOWN)
            case "restart":
                return ev.Restart()
            case "reset":
                return ev.Reset()
            case "granted":
                return ev.Granted()
            case "spawned":
                return ev.Spawned(n, 4711)
            case "spawn-failed":
                return ev.SpawnFailed(n, "program: No such file or directory")
            case "adopted":
                return ev.Adopted(n, 4711, 60.0)
            case "vanished":
                return ev.Vanished(n, empty)
            case "ready":
                return ev.Ready(n, "notify")
            case "heartbeat":
                return ev.Heartbeat(n, self.now)
            case "probe-failed":
                return ev.ProbeFailed(n, "HTTP 503")
            case "exited":
                code, sig = options.get("code"), options.get("signal")
                return ev.Exited(n, int(code) if code else None, int(sig) if sig else None, empty)
            case "tree-empty":
                return ev.TreeEmpty(n)
            case "lingering":
                return ev.Lingering(n, ("4712 child (D)",))
            case "examined":
                ran = seconds(options.get("ran", "0s"))
                return ev.Examined(n, "alive" in words, options.get("held"), {"processes": []}, ran)
            case "over-limit":
                return ev.LimitExceeded(n, options["resource"], 2.0, 1.0)
            case "triggered":
                return ev.Triggered(n)
            case "extended":
                return ev.Extended(n, seconds(options["by"]))
            case "stalled":
                return ev.Stalled(seconds(options["for"]))
            case "mainpid":
                return ev.MainPid(n, 4712)
            case "status":
                return ev.StatusText(n, options["text"])
            case "reconfigured":
                return ev.Reconfigure(replace(i.spec, description="new"), "restart" in words)
        raise ValueError(f"no such event: {name}")

    def _step(self, event: ev.Event, out: list[str]) -> None:
        for action in self.instance.step(event, self.now):
            if isinstance(action, act.Record):
                note = "" if action.before is not action.after else "~"
                out.append(f"{note}{action.after.value.upper()}({action.cause.value})")
            elif isinstance(action, act.Spawn):
                out.append(f"Spawn #{action.incarnation}")
            elif isinstance(action, act.Signal):
                out.append(f"Signal {action.number}{' to the tree' if action.tree else ''}")
            elif isinstance(action, act.Watch):
                out.append(f"Watch {action.purpose.value}")
            else:
                out.append(type(action).__name__)


def play(text: str) -> str:
    """The transcript with its right-hand sides as the rules give them."""
    result: list[str] = []
    current: Play | None = None
    for line in text.splitlines():
        left = line.partition("->")[0].rstrip()
        if not left.strip() or left.lstrip().startswith("#"):
            result.append(line.rstrip())
        elif left.split()[0] == "service":
            current = Play(service(shlex.split(left)[1:]))
            result.append(left)
        else:
            assert current is not None, "a transcript begins with `service`"
            right = current.line(left)
            result.append(f"{left:<38} -> {right}".rstrip())
    return "\n".join(result) + "\n"
