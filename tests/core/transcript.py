"""Plays the transcripts in tests/core/scenarios.

A transcript is lines of `input -> expected`: what happens, then the state it leads to and the orders it gives.

    service NAME key=value …       begins one; keys as in services.toml, dotted for sub-tables
    start lazy | connected | idle  what starts on demand is started not by name, by a connection, and had none for long
    no-demand                      a changed configuration no longer says that it starts on demand
    start | stop | restart | reset | granted | spawned | ready | heartbeat | exited code=1 | exited signal=9 …
    maintenance on for=30m | maintenance off    it is left alone, and supervised again
    signal number=1                a user has this signal sent
    reload-refused number=1        … which is not sent, because `reload_check` did not pass
    advance 5s                     time passes; every deadline on the way fires
    advance to deadline            until the next deadline, which fires
    heartbeat x20 every=1s         twenty beats, a second apart
    crash for=5s | reboot          a new daemon restores the instance, in the same boot or in the next one
    shutdown                       as stop, because the daemon ends
    adopted | vanished             … and finds its process, or does not (`vanished tree=left`: only descendants)
    look | looked                  at a suspect's threads, first and last: `wants` (to run), `ran=`, `waited=` `slept`
                                   since the last look, `memory=` and `quota=` that its cgroup waited, `as=stopped` why
                                   it cannot run.  After `looked` the examiner answers
    probe-unknown lasted=2s        a probe could not ask; it began 2 s ago
    probe-delayed lasted=200ms     a probe that began 200 ms ago waits for a CPU
    examined | examined alive      the examiner answers; `held=` why it cannot run, `unasked` its probe cannot ask
    beat of=7 busy=30s             process 7 of the tree beats for itself (`scope = "process"`), and is busy
    beats of=7+8 x20 every=1s      several of them, twenty times
    member-look of=7               what a look at it has shown while it is busy: `gone`, `stopped`, `ran=`
    member of=7                    what was found of it: `gone`, `stopped`, `held=`, `shared=`, `ran=`
    says-stopping                  STOPPING=1
    reloading sent=-2s             RELOADING=1, sent 2 s ago by its own word
    tells bus=x.Error              ERRNO=13 and BUSERROR=x.Error
    delay-reset                    RESTART_RESET=1
    refused                        another process than the main one has sent a notification
    pause for=30s                  the daemon itself does not run for this time, and wakes late
    suspend for=8h | clock by=-1h  the host sleeps; the wall clock is set

With more than one of `replicas` there are several instances: each input begins with the instance that it is for, as in
`web@1 heartbeat`, or with `all`.

On the right: states and cause in upper case, as `RUNNING`, in the order in which they were entered, then orders:
`Spawn #2`, `Signal 15`, `Kill`, `Examine`, `Watch heartbeat`, `Release`; a number with `s` is the next deadline's
distance.  In quotation marks: why it is held, and what is reported of the clocks.
`TRANSCRIPTS=write pytest tests/core/lifecycle/test_scenarios.py` rewrites the right-hand sides; commit them only if
every change is understood.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

from supervisor.core.detection.clock_jumps import ClockJumps
from supervisor.core.detection.local_health import LoopLag
from supervisor.core.detection.schedulable_time import MEMORY, QUOTA, SchedulableTime, Wait, Waited
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.maintenance import is_over
from supervisor.core.services.service_set import ServiceSet
from tests.doubles import action_words

EPOCH = 1_000_000.0
"""Seconds by which the wall clock is ahead."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    if text.startswith("-"):
        return -seconds(text[1:])
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


def steps(text: str) -> list[dict[str, Any]]:
    """`15:10s+3:5s`: the steps of a stop."""
    pairs = (step.split(":") for step in text.split("+"))
    return [{"signal": int(number), "wait": seconds(wait)} for number, wait in pairs]


def service(words: list[str]) -> ServiceSpec:
    """`NAME key=value …` as a spec; `restart.jitter` is 0 unless given, so that delays are round."""
    plain: dict[str, Any] = {"name": words[0], "command": ["program"], "restart": {"jitter": 0.0}}
    for word in words[1:]:
        key, _, text = word.partition("=")
        *tables, last = key.split(".")
        inner = plain
        for table in tables:
            inner = inner.setdefault(table, {})
        if key == "stop":
            inner[last] = steps(text)
        elif tables[-1:] == ["exit_codes"]:
            inner[last] = [int(code) for code in text.split("+")]
        else:
            inner[last] = ["127.0.0.1", 8000] if last == "listen" else value(text)
    if "socket" in plain:
        plain["sockets"] = [{"url": "unix:@web"} | plain.pop("socket")]
    return from_plain(ServiceSpec, plain)


class Play:
    """One instance in virtual time.  The permission to start (`granted`) is an input, so that waiting can be seen."""

    def __init__(self, spec: ServiceSpec, records: list[act.Record]) -> None:
        self.instance = Instance(spec.name, spec, lambda: 0.5)
        self.records = records
        self.now = 1000.0
        self.asleep = self.stepped = 0.0
        self.loop_lag = LoopLag()
        self.running = SchedulableTime()
        self.thread: Waited = Waited(0.0)
        self.group = {MEMORY: 0.0, QUOTA: 0.0}

    @property
    def deadline(self) -> float | None:
        return self.instance.deadline

    def line(self, text: str) -> str:
        """Carry out one left-hand side; the right-hand side that it gives."""
        out: list[str] = []
        for part in text.split(","):
            self._do(part.split(), out)
        deadline = self.deadline
        if deadline is not None:
            out.append(f"{round(deadline - self.now, 3):g}s")
        return "  ".join(out)

    def _do(self, words: list[str], out: list[str]) -> None:
        name = words[0]
        options = dict(w.split("=", 1) for w in words[1:] if "=" in w)
        if name == "advance":
            self._advance(words, out)
        elif name in ("look", "looked"):
            held = self._look(words, options)
            if name == "looked":
                self._step(ev.SuspectExamined(self.instance.incarnation, False, held, {}, self.running.ran), out)
        elif name == "pause":
            self._pause(seconds(options["for"]), out)
        elif name in ("suspend", "clock"):
            self._set_clocks(name, options, out)
        elif name in ("crash", "reboot"):
            self._crash(same_boot=name == "crash")
            self.now += seconds(options.get("for", "0s"))
        elif name == "heartbeat" and len(words) > 1 and words[1].startswith("x"):
            every = seconds(options["every"])
            for _ in range(int(words[1][1:])):
                self._until(self.now + every, out)
                self._step(ev.Heartbeat(self.instance.incarnation, self.now), out)
        elif name == "beats":
            for _ in range(int(words[2][1:])):
                self._until(self.now + seconds(options["every"]), out)
                for one in options["of"].split("+"):
                    self._step(ev.Heartbeat(self.instance.incarnation, self.now, process=(int(one), 1)), out)
        else:
            self._step(self._event(name, words, options), out)

    def _crash(self, *, same_boot: bool) -> None:
        """The supervisor dies, and the next one reads what was saved."""
        saved = json.loads(json.dumps(self.instance.snapshot(self.now)))
        self.instance = Instance(self.instance.name, self.instance.spec, lambda: 0.5)
        self.instance.restore(saved, crashed=same_boot, ahead=None if same_boot else EPOCH)

    def _advance(self, words: list[str], out: list[str]) -> None:
        if words[1:] == ["to", "deadline"]:
            assert self.deadline is not None, "nothing to wait for"
            self._until(self.deadline, out)
        else:
            self._until(self.now + seconds(words[1]), out)

    def _until(self, when: float, out: list[str]) -> None:
        for _ in range(1000):
            deadline = self.deadline
            if deadline is None or deadline > when:
                break
            self.now = max(self.now, deadline)
            self._fire(out)
        else:
            raise AssertionError("deadlines do not advance")
        self.now = max(self.now, when)

    def _fire(self, out: list[str]) -> None:
        self._step(ev.EndMaintenance() if is_over(self.instance, self.now) else ev.Timeout(), out)

    def _pause(self, lasts: float, out: list[str]) -> None:
        expected, self.now = self.deadline, self.now + lasts
        stall = self.loop_lag.woke(self.now, expected)
        out.append(f'"late by {stall:g} s"')
        self._stall(stall, out)
        self._until(self.now, out)

    def _stall(self, lasts: float, out: list[str]) -> None:
        self._step(ev.DaemonStalled(lasts), out)

    def _set_clocks(self, name: str, options: dict[str, str], out: list[str]) -> None:
        """Nothing of it reaches the rules: the only clock that they know stood still, or knows nothing of it."""

        def read() -> tuple[float, float, float]:
            return self.now, self.now + self.asleep, self.now + self.asleep + self.stepped

        clocks = ClockJumps(*read())
        if name == "suspend":
            self.asleep += seconds(options["for"])
        else:
            self.stepped += seconds(options["by"])
        slept, stepped = clocks.look(*read())
        out.append(f'"suspended for {slept:g} s"' if slept else f'"set by {stepped:g} s"')

    def _look(self, words: list[str], options: dict[str, str]) -> str | None:
        """Why it is to be held, as the examiner would find it."""
        of = {key: seconds(options.get(key, "0s")) for key in ("waited", "ran", MEMORY, QUOTA)}
        before = self.thread
        slept = before.sleeps + ("slept" in words)
        self.thread = Waited(before.seconds + of["waited"], before.ran + of["ran"], slept, "wants" in words)
        self.group = {key: known + of[key] for key, known in self.group.items()}
        waited: dict[Wait, Waited] = {4711: self.thread, **{key: Waited(known) for key, known in self.group.items()}}
        blocked = options.get("as")
        self.running.look(self.now, waited, blocked=blocked is not None)
        return blocked or self.running.held

    def _event(self, name: str, words: list[str], options: dict[str, str]) -> ev.Event:
        i = self.instance
        n = int(options.get("incarnation", i.incarnation))
        empty = options.get("tree") != "left"
        match name:
            case "start":
                return ev.Start(Cause.AUTOSTART, lazy=True) if "lazy" in words else ev.Start()
            case "stop":
                return ev.Stop(later="later" in words, force="force" in words)
            case "shutdown":
                return ev.Stop(Cause.SHUTDOWN)
            case "restart":
                return ev.Restart()
            case "reset":
                return ev.Reset()
            case "maintenance" if "off" in words:
                return ev.EndMaintenance()
            case "maintenance":
                lasts = seconds(options["for"]) if "for" in options else None
                return ev.BeginMaintenance(self.now + EPOCH, lasts, "new disk")
            case "signal":
                return ev.SendSignal(int(options["number"]))
            case "reload-refused":
                return ev.ReloadRefused(int(options["number"]), "exit code 1", ("conf:1: unknown word",))
            case "connected":
                return ev.Connected("unix:@web")
            case "idle":
                return ev.Idle(n, 600.0)
            case "no-demand":
                return ev.Reconfigure(replace(i.spec, sockets=()), restart=True)
            case "granted":
                return ev.StartPermitted()
            case "spawned":
                return ev.Spawned(n, 4711)
            case "spawn-failed":
                stuck = 4711 if "stuck" in words else None
                return ev.SpawnFailed(n, "program: No such file or directory", stuck)
            case "adopted":
                return ev.Adopted(n, 4711, 60.0)
            case "vanished":
                return ev.NotFoundOnAdoption(n, empty)
            case "ready":
                return ev.Ready(n, "notify")
            case "heartbeat":
                return ev.Heartbeat(n, self.now)
            case "probe-failed":
                return ev.ProbeFailed(n, "HTTP 503")
            case "probe-delayed":
                return ev.ProbeDelayed(n, self.now - seconds(options.get("lasted", "0s")))
            case "probe-unknown":
                return ev.ProbeUnknown(n, "redis-cli: no such file", self.now - seconds(options.get("lasted", "0s")))
            case "exited":
                code, sig = options.get("code"), options.get("signal")
                return ev.Exited(n, int(code) if code else None, int(sig) if sig else None, empty)
            case "drained":
                return ev.Drained(n)
            case "tree-empty":
                return ev.TreeEmpty(n)
            case "lingering":
                return ev.KillIncomplete(n, ("4712 child (D)",))
            case "examined":
                ran = seconds(options.get("ran", "0s"))
                unasked = "redis-cli: no such file" if "unasked" in words else None
                held, shared = options.get("held", options.get("shared")), "shared" in options
                return ev.SuspectExamined(n, "alive" in words, held, {"processes": []}, ran, unasked, shared)
            case "beat":
                busy = seconds(options["busy"]) if "busy" in options else None
                doing = options.get("doing", "")
                return ev.Heartbeat(n, self.now, process=(int(options["of"]), 1), busy=busy, doing=doing)
            case "member" | "member-look":
                ran = seconds(options.get("ran", "0s"))
                held = options.get("held", options.get("shared"))
                process, shared = (int(options["of"]), 1), "shared" in options
                evidence: dict[str, Any] = {"processes": []} if "evidence" in words else {}
                if name == "member-look":
                    return ev.MemberLookedAt(n, process, "gone" in words, "stopped" in words, ran)
                return ev.MemberExamined(n, process, "gone" in words, "stopped" in words, held, evidence, ran, shared)
            case "says-stopping":
                return ev.Stopping(n)
            case "over-limit":
                return ev.LimitExceeded(n, options["resource"], 2.0, 1.0)
            case "triggered":
                return ev.Triggered(n)
            case "extended":
                return ev.Extended(n, seconds(options["by"]))
            case "stalled":
                return ev.DaemonStalled(seconds(options["for"]))
            case "refused":
                return ev.NotifyRefused(n, 4713)
            case "reloading":
                return ev.ReloadBegun(n, self.now + seconds(options["sent"]) if "sent" in options else None)
            case "tells":
                return ev.ErrorTold(n, 13, "Permission denied", options.get("bus", ""))
            case "delay-reset":
                return ev.DelayReset(n)
            case "mainpid":
                return ev.MainPid(n, 4712)
            case "status":
                return ev.StatusText(n, options["text"])
            case "reconfigured":
                return ev.Reconfigure(replace(i.spec, description="new"), "restart" in words)
            case "replaced":
                cause = Cause.PUT_BACK if "back" in words else Cause.ROLLED_OUT
                return ev.Replace(replace(i.spec, description=cause.value), "0badcafe", cause)
        raise ValueError(f"no such event: {name}")

    def _step(self, event: ev.Event, out: list[str]) -> None:
        self._tell(step(self.instance, event, self.now), out)

    def _tell(self, actions: list[act.Action], out: list[str]) -> None:
        for action in actions:
            if isinstance(action, act.Examine) and not action.again:
                self.running = SchedulableTime(action.ran)
            if isinstance(action, act.Record):
                self.records.append(action)
                note = "" if action.before is not action.after else "~"
                held = f' "{action.detail["held"]}"' if action.cause in (Cause.HELD, Cause.PROCESS_HELD) else ""
                out.append(f"{note}{action.after.value.upper()}({action.cause.value}){held}")
            elif isinstance(action, act.Spawn):
                out.append(f"Spawn #{action.incarnation}")
            elif isinstance(action, act.Signal):
                out.append(f"Signal {action.number}{' to the tree' if action.tree else ''}")
            elif isinstance(action, act.ExamineMember | act.LookAtMember | act.KillMember):
                out.append(f"{action_words.word(action)} {action.process[0]}")
            elif isinstance(action, act.StartMonitoring):
                out.append(f"Watch {action.purpose.value}")
            else:
                out.append(action_words.word(action))


class Company(Play):
    """The replicas of one service.  What several instances do in the same way is written once."""

    def __init__(self, spec: ServiceSpec, records: list[act.Record]) -> None:
        super().__init__(spec, records)
        self.service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=(spec,)), lambda: 0.5)
        self._said: list[tuple[str, str]] = []

    @property
    def deadline(self) -> float | None:
        return min((i.deadline for i in self.service_set.instances.values() if i.deadline is not None), default=None)

    def line(self, text: str) -> str:
        self._said = []
        right = super().line(text)
        by_words: dict[str, list[str]] = {}
        for name, words in self._said:
            by_words.setdefault(words, []).append(name)
        told = [f"{self._who(names)}: {words}" for words, names in by_words.items()]
        return "  ".join([*told, right]) if right else "  ".join(told)

    def _who(self, names: list[str]) -> str:
        return "all" if names == list(self.service_set.instances) else " ".join(dict.fromkeys(names))

    def _do(self, words: list[str], out: list[str]) -> None:
        if words[0] in ("advance", "pause"):
            super()._do(words, out)
            return
        who, *rest = words
        names = list(self.service_set.instances) if who == "all" else [who]
        if rest[0] == "heartbeat" and len(rest) > 1:  # in turn: a beat of each, then the next
            for _ in range(int(rest[1][1:])):
                self._until(self.now + seconds(rest[2].removeprefix("every=")), out)
                self._each(names, ["heartbeat"], out)
        else:
            self._each(names, rest, out)

    def _each(self, names: list[str], words: list[str], out: list[str]) -> None:
        for name in names:
            self.instance = self.service_set.instances[name]
            super()._do(words, out)

    def _step(self, event: ev.Event, out: list[str]) -> None:
        if isinstance(event, ev.Start):
            self._tell(self.service_set.start([self.instance.name], self.now), out)
        else:
            self._tell(self.service_set.step(self.instance.name, event, self.now), out)

    def _fire(self, out: list[str]) -> None:
        self._tell(self.service_set.tick(self.now), out)

    def _stall(self, lasts: float, out: list[str]) -> None:
        self._tell(self.service_set.stalled(lasts, self.now), out)

    def _tell(self, actions: list[act.Action], out: list[str]) -> None:
        for action in actions:
            told: list[str] = []
            super()._tell([action], told)
            self._said += [(action.instance, words) for words in told]


def play(text: str, records: list[act.Record] | None = None) -> str:
    """The transcript with its right-hand sides as the rules give them.  Every record is appended to `records`."""
    records = [] if records is None else records
    result: list[str] = []
    current: Play | None = None
    for line in text.splitlines():
        left = line.partition("->")[0].rstrip()
        if not left.strip() or left.lstrip().startswith("#"):
            result.append(line.rstrip())
        elif left.split()[0] == "service":
            spec = service(shlex.split(left)[1:])
            current = (Company if spec.replicas > 1 else Play)(spec, records)
            result.append(left)
        else:
            assert current is not None, "a transcript begins with `service`"
            right = current.line(left)
            result.append(f"{left:<38} -> {right}".rstrip())
    return "\n".join(result) + "\n"
