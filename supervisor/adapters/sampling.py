"""CPU and memory of process trees: read when somebody looks, and regularly only where a limit asks for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from supervisor.adapters import procfs
from supervisor.adapters.reactor import Reactor, Timer
from supervisor.core.events import Event, LimitExceeded
from supervisor.core.spec import ResourcesSpec

_SHORTEST = 0.2  # seconds; over less than that the kernel's clock ticks say nothing about a share of CPU
_LOOKS = 5  # at a resource in the time for which it may be over its limit
_LIMIT_PERIODS = (0.2, 5.0)  # seconds between two looks: the least, the most
_FORGET_PROCESSES = 30.0  # seconds


class Sample(NamedTuple):
    """`cpu_percent`: 100 is one core, since the last sample, or over its whole life where there is none."""

    cpu_percent: float
    memory_bytes: int


class Sampler:
    """Measures instances by name.

    `members(instance)` gives the pids of its tree, `cgroup(instance)` the directory of its cgroup or None; where that
    has the memory and cpu controllers, they are believed.  `post` takes `LimitExceeded`.
    """

    def __init__(
        self,
        reactor: Reactor,
        members: Callable[[str], Iterable[int]],
        post: Callable[[str, Event], None],
        cgroup: Callable[[str], str | None] = lambda _instance: None,
    ) -> None:
        self._reactor, self._members, self._post, self._cgroup = reactor, members, post, cgroup
        self._meters: dict[str, _Meter] = {}
        self._limits: dict[str, _Limits] = {}
        self._holds = 0
        self._limit_timer: Timer | None = None
        self._processes: dict[_Key, tuple[float, float]] = {}

    def read_now(self, instances: Iterable[str]) -> dict[str, Sample]:
        """A sample of each; an instance without a process is left out."""
        found: dict[str, Sample] = {}
        for instance in instances:
            sample = self._measure(instance)
            if sample is not None:
                found[instance] = sample
        return found

    def hold(self, interval: float, tick: Callable[[], None]) -> Callable[[], None]:
        """Somebody watches: call `tick()` every `interval` seconds, and remember what was read from one `read_now` to
        the next.  Returns what ends it."""
        self._holds += 1
        ticker = _Ticker(self._reactor, interval, tick)

        def release() -> None:
            if ticker.stop():
                self._holds -= 1
                if not self._holds:
                    self._meters = {name: m for name, m in self._meters.items() if name in self._limits}

        return release

    def limit(self, instance: str, incarnation: int, resources: ResourcesSpec | None) -> None:
        """Hold this incarnation to its limits from now on; None, or a spec without limits: to none."""
        if resources is None or (resources.max_memory is None and resources.max_cpu is None):
            self._limits.pop(instance, None)
            if not self._holds:
                self._meters.pop(instance, None)
            return
        self._limits[instance] = _Limits(incarnation, resources)
        self._look_by(self._reactor.now() + _period(resources))

    def tree(self, pids: Iterable[int]) -> list[dict[str, Any]]:
        """A row for each process, with its share of CPU since the last time it was asked for."""
        now = self._reactor.now()
        rows = []
        for pid in pids:
            stat = procfs.stat(pid)
            if stat is None:
                continue
            key = (pid, stat.start)
            spent = (stat.utime + stat.stime) * procfs.TICK
            since, before = self._processes.get(key, (now - _age(stat.start), 0.0))
            self._processes[key] = (now, spent)
            rows.append(
                {
                    "pid": pid,
                    "ppid": stat.ppid,
                    "command": " ".join(procfs.command_line(pid))[:1000] or f"[{stat.name}]",
                    "state": stat.state,
                    "cpu_percent": round(_percent(spent - before, now - since), 1),
                    "memory_bytes": stat.rss,
                    "threads": stat.threads,
                }
            )
        self._processes = {k: seen for k, seen in self._processes.items() if now - seen[0] < _FORGET_PROCESSES}
        return rows

    def _measure(self, instance: str) -> Sample | None:
        usage = _of_cgroup(self._cgroup(instance)) or _of_processes(self._members(instance))
        if usage is None:
            self._meters.pop(instance, None)
            return None
        now = self._reactor.now()
        meter = self._meters.get(instance)
        if meter is None:
            meter = _Meter(now, usage.spent, _percent(sum(usage.spent.values()), usage.age))
            if self._holds or instance in self._limits:
                self._meters[instance] = meter
        elif now - meter.at >= _SHORTEST:
            # Who was not there before has spent all it has since then.
            delta = sum(spent - meter.spent.get(key, 0.0) for key, spent in usage.spent.items())
            meter.percent = _percent(delta, now - meter.at)
            meter.at, meter.spent = now, usage.spent
        return Sample(meter.percent, usage.memory)

    # -- limits --------------------------------------------------------------------------------------------------

    def _look_by(self, when: float) -> None:
        if self._limit_timer is not None:
            if self._limit_timer.when <= when:
                return
            self._limit_timer.cancel()
        self._limit_timer = self._reactor.call_at(when, self._look_at_limits)

    def _look_at_limits(self) -> None:
        self._limit_timer = None
        now = self._reactor.now()
        for instance, limits in self._limits.items():
            sample = self._measure(instance)
            for excess in limits.check(sample, now) if sample is not None else ():
                self._post(instance, excess)
        if self._limits:
            self._look_by(now + min(_period(limits.spec) for limits in self._limits.values()))


_Key = tuple[int, int]  # pid and start time; (0, 0) is a whole cgroup


class _Usage(NamedTuple):
    """CPU seconds spent by each, bytes, and the seconds since the first of them began."""

    spent: dict[_Key, float]
    memory: int
    age: float


class _Meter:
    """What was read last, to tell how much has been spent since."""

    __slots__ = ("at", "percent", "spent")

    def __init__(self, at: float, spent: dict[_Key, float], percent: float) -> None:
        self.at, self.spent, self.percent = at, spent, percent


class _Ceiling:
    """One resource: says once when it has been over its limit for too long, and again only after it was below."""

    __slots__ = ("_limit", "_resource", "_since", "_sustained", "_told")

    def __init__(self, resource: str, limit: float, sustained: float) -> None:
        self._resource, self._limit, self._sustained = resource, limit, sustained
        self._since: float | None = None
        self._told = False

    def check(self, incarnation: int, value: float, now: float) -> LimitExceeded | None:
        if value <= self._limit:
            self._since, self._told = None, False
            return None
        if self._since is None:
            self._since = now
        if self._told or now - self._since < self._sustained:
            return None
        self._told = True
        return LimitExceeded(incarnation, self._resource, value, self._limit)


class _Limits:
    """The ceilings of one incarnation."""

    __slots__ = ("_cpu", "_incarnation", "_memory", "spec")

    def __init__(self, incarnation: int, spec: ResourcesSpec) -> None:
        self.spec = spec
        self._incarnation = incarnation
        self._memory = _Ceiling("memory", spec.max_memory, spec.sustained) if spec.max_memory is not None else None
        self._cpu = _Ceiling("cpu", spec.max_cpu, spec.sustained) if spec.max_cpu is not None else None

    def check(self, sample: Sample, now: float) -> list[LimitExceeded]:
        found = []
        if self._memory is not None:
            found.append(self._memory.check(self._incarnation, sample.memory_bytes, now))
        if self._cpu is not None:
            found.append(self._cpu.check(self._incarnation, sample.cpu_percent / 100, now))
        return [excess for excess in found if excess is not None]


class _Ticker:
    """Calls back on a grid; moments that were slept through are skipped."""

    __slots__ = ("_callback", "_interval", "_reactor", "_timer")

    def __init__(self, reactor: Reactor, interval: float, callback: Callable[[], None]) -> None:
        self._reactor, self._interval, self._callback = reactor, interval, callback
        self._timer: Timer | None = reactor.call_at(reactor.now() + interval, self._tick)

    def stop(self) -> bool:
        """False: it was stopped before."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _tick(self) -> None:
        assert self._timer is not None
        late = self._reactor.now() - self._timer.when
        slots = 1 + late // self._interval
        self._timer = self._reactor.call_at(self._timer.when + slots * self._interval, self._tick)
        self._callback()


def host() -> dict[str, Any]:
    """Load, CPUs that we may use, pressure (`some avg10`, percent; None where the kernel does not tell), our memory."""
    own = procfs.stat(os.getpid())
    return {
        "load": [round(load, 2) for load in os.getloadavg()],
        "cpus": len(os.sched_getaffinity(0)),
        "psi": {resource: _pressure(resource) for resource in ("cpu", "memory", "io")},
        "memory_bytes": own.rss if own else None,
    }


def _pressure(resource: str) -> float | None:
    line = procfs.read(f"/proc/pressure/{resource}") or b""
    try:
        return float(line.partition(b"avg10=")[2].split(b" ", 1)[0])
    except ValueError:
        return None


def _of_processes(pids: Iterable[int]) -> _Usage | None:
    spent: dict[_Key, float] = {}
    memory = 0
    for pid in pids:
        stat = procfs.stat(pid)
        if stat is not None:
            spent[pid, stat.start] = (stat.utime + stat.stime) * procfs.TICK
            memory += stat.rss
    if not spent:
        return None
    return _Usage(spent, memory, _age(min(start for _, start in spent)))


def _of_cgroup(directory: str | None) -> _Usage | None:
    """As the controllers count; memory without file pages that would be given back at once."""
    if directory is None:
        return None
    current = procfs.read(f"{directory}/memory.current")
    cpu = procfs.read(f"{directory}/cpu.stat")
    if current is None or cpu is None:
        return None
    try:
        seconds = _field(cpu, b"usage_usec") / 1e6
        reclaimable = _field(procfs.read(f"{directory}/memory.stat") or b"", b"inactive_file")
        began = os.stat(directory).st_ctime  # noqa: PTH116
        return _Usage({(0, 0): seconds}, max(0, int(current) - reclaimable), max(0.1, time.time() - began))
    except (OSError, ValueError):
        return None


def _field(content: bytes, name: bytes) -> int:
    for line in content.splitlines():
        key, _, value = line.partition(b" ")
        if key == name:
            return int(value)
    return 0


def _age(start: int) -> float:
    """Seconds since a process began, from its start time in ticks since boot."""
    return max(0.1, time.clock_gettime(time.CLOCK_BOOTTIME) - start * procfs.TICK)


def _percent(spent: float, seconds: float) -> float:
    return 100.0 * max(0.0, spent) / max(seconds, 1e-3)


def _period(resources: ResourcesSpec) -> float:
    least, most = _LIMIT_PERIODS
    return min(max(resources.sustained / _LOOKS, least), most)
