"""Measures CPU, memory and tasks of process trees: on request, and periodically only where a limit is set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import usage as counters
from supervisor.adapters.processes.usage import Key, age, percent
from supervisor.core.detection.resource_limits import ResourceLimits
from supervisor.core.model.events import Event
from supervisor.core.model.spec import ResourcesSpec

if TYPE_CHECKING:
    from supervisor.core.model.documents import HostFigures, Process

_SHORTEST = 0.2  # seconds; over less, the kernel's clock ticks are too coarse for a share of CPU
_LOOKS = 5  # measurements in the time for which a resource may be over its limit
_LIMIT_PERIODS = (0.2, 5.0)  # seconds between two measurements: minimum, maximum
_TASKS_PERIOD = 1.0  # the maximum where tasks are limited, because these can multiply fast
_FORGET_PROCESSES = 30.0  # seconds after the last request for a process
_IDLE_FOR = 30.0  # seconds after which what has not run is read all the same: the kernel may have taken memory from it


class Sample(NamedTuple):
    """The usage of one instance.

    `cpu_percent`: 100 is one core; since the last sample, or over its whole life where there is none.  `tasks`:
    processes and threads.
    """

    cpu_percent: float
    memory_bytes: int
    tasks: int = 1


class Sampler:
    """Measures instances by name.

    `members(instance)` gives the pids of its tree, `cgroup(instance)` the directory of its cgroup or None; where that
    has the memory and cpu controllers, their counters are used.  `limit_commands(instance, most)` limits
    the tasks of its probes and hooks.  `post` takes `LimitExceeded`.  `paused(instance)` reads why its main process
    cannot run.

    While the status is followed, an instance of which no process has run since the last look is not read again: it is
    as it was.  To stop or freeze a process lets it run for a moment, too, and only what runs can fork.
    """

    def __init__(
        self,
        loop: EventLoop,
        members: Callable[[str], Iterable[int]],
        post: Callable[[str, Event], None],
        cgroup: Callable[[str], str | None] = lambda _instance: None,
        limit_commands: Callable[[str, int], None] = lambda _instance, _most: None,
        paused: Callable[[str], str | None] = lambda _instance: None,
    ) -> None:
        self._loop, self._members, self._post, self._cgroup = loop, members, post, cgroup
        self._limit_commands = limit_commands
        self._read_paused = paused
        self._meters: dict[str, _Meter] = {}
        self._limits: dict[str, ResourceLimits] = {}
        self._holds = 0
        self._keep = False
        """Readings are kept because the same caller comes again and again."""
        self._limit_timer: Timer | None = None
        self._processes: dict[Key, tuple[float, float]] = {}

    def read_now(self, instances: Iterable[str], *, keep: bool = False) -> dict[str, Sample]:
        """Measure each instance now; one without a process is left out. `keep`: measure the CPU from now on until the
        next call, however long that takes."""
        self._keep |= keep
        found: dict[str, Sample] = {}
        for instance in instances:
            sample = self._measure(instance)
            if sample is not None:
                found[instance] = sample
        return found

    def paused(self, instance: str) -> str | None:
        """Why its main process cannot run, at the time of the last `read_now`; None where it can."""
        meter = self._meters.get(instance)
        if meter is None:
            return self._read_paused(instance)
        if not meter.paused_is_known:
            meter.paused, meter.paused_is_known = self._read_paused(instance), True
        return meter.paused

    def hold(self, interval: float, tick: Callable[[], None], *, keep: bool = True) -> Callable[[], None]:
        """Call `tick()` every `interval` seconds.  `keep`: keep what `read_now` has read for its next call.

        Returns the function that ends it.
        """
        self._holds += keep
        ticker = _Ticker(self._loop, interval, tick)

        def release() -> None:
            if ticker.stop() and keep:
                self._holds -= 1
                if not self._holds and not self._keep:
                    self._meters = {name: m for name, m in self._meters.items() if name in self._limits}

        return release

    def limit(self, instance: str, incarnation: int, resources: ResourcesSpec | None) -> None:
        """Check this incarnation against its limits from now on; None, or a spec without limits: check nothing."""
        if resources is None or {resources.max_memory, resources.max_cpu, resources.max_tasks} == {None}:
            self._limits.pop(instance, None)
            if not self._holds:
                self._meters.pop(instance, None)
            return
        self._limits[instance] = ResourceLimits(incarnation, resources)
        self._look_by(self._loop.now() + _period(resources))

    def tree(self, pids: Iterable[int]) -> list[Process]:
        """A row for each process, with its share of CPU since the last request for it."""
        from supervisor.core.text.redact import without_secrets

        now = self._loop.now()
        rows: list[Process] = []
        for pid in pids:
            stat = procfs.stat(pid)
            if stat is None:
                continue
            key = (pid, stat.start)
            spent = (stat.utime + stat.stime) * procfs.TICK
            since, before = self._processes.get(key, (now - age(stat.start), 0.0))
            self._processes[key] = (now, spent)
            rows.append(
                {
                    "pid": pid,
                    "ppid": stat.ppid,
                    "command": " ".join(without_secrets(procfs.command_line(pid)))[:1000] or f"[{stat.name}]",
                    "state": stat.state,
                    "cpu_percent": round(percent(spent - before, now - since), 1),
                    "memory_bytes": stat.rss,
                    "threads": stat.threads,
                }
            )
        self._processes = {k: seen for k, seen in self._processes.items() if now - seen[0] < _FORGET_PROCESSES}
        return rows

    def _measure(self, instance: str, *, exact: bool = False) -> Sample | None:
        """`exact`: read all, also of what has not run."""
        now, meter = self._loop.now(), self._meters.get(instance)
        if meter is not None and not exact and now - meter.read_at < _IDLE_FOR and meter.has_not_run():
            if now - meter.at >= _SHORTEST:
                meter.at = now
                meter.sample = meter.sample._replace(cpu_percent=0.0) if meter.sample.cpu_percent else meter.sample
            return meter.sample
        pids = self._members(instance)
        clocks = {pid: counters.cpu_clock(pid) for pid in pids} if self._holds else {}
        usage = counters.of_cgroup(self._cgroup(instance)) or counters.of_processes(pids)
        if usage is None:
            self._meters.pop(instance, None)
            return None
        if meter is None:
            share = percent(sum(usage.spent.values()), usage.age)
            meter = _Meter(now, usage.spent, Sample(share, usage.memory, usage.tasks))
            if self._keep or self._holds or instance in self._limits:
                self._meters[instance] = meter
        else:
            share = meter.sample.cpu_percent
            if now - meter.at >= _SHORTEST:
                # A process that is new since then has spent all its CPU time since then.
                delta = sum(spent - meter.spent.get(key, 0.0) for key, spent in usage.spent.items())
                share = percent(delta, now - meter.at)
                meter.at, meter.spent = now, usage.spent
            meter.sample = Sample(share, usage.memory, usage.tasks)
        meter.read_at, meter.clocks, meter.paused_is_known = now, clocks, False
        return meter.sample

    # -- limits --------------------------------------------------------------------------------------------------

    def _look_by(self, when: float) -> None:
        if self._limit_timer is not None:
            if self._limit_timer.when <= when:
                return
            self._limit_timer.cancel()
        self._limit_timer = self._loop.call_at(when, self._look_at_limits)

    def _look_at_limits(self) -> None:
        self._limit_timer = None
        now = self._loop.now()
        for instance, limits in self._limits.items():
            sample = self._measure(instance, exact=True)
            if limits.spec.max_tasks is not None:
                self._limit_commands(instance, limits.spec.max_tasks)
            for excess in (
                limits.check(sample.cpu_percent / 100, sample.memory_bytes, now, sample.tasks)
                if sample is not None
                else ()
            ):
                self._post(instance, excess)
        if self._limits:
            self._look_by(now + min(_period(limits.spec) for limits in self._limits.values()))


class _Meter:
    """The last reading, to compute what has been spent since, and to tell whether anything has run since."""

    __slots__ = ("at", "clocks", "paused", "paused_is_known", "read_at", "sample", "spent")

    def __init__(self, at: float, spent: dict[Key, float], sample: Sample) -> None:
        self.at, self.spent, self.sample = at, spent, sample
        self.read_at = at
        self.clocks: dict[int, int | None] = {}
        """The CPU clock of each of its processes, from before the reading; empty: it is read each time."""
        self.paused: str | None = None
        self.paused_is_known = False

    def has_not_run(self) -> bool:
        """None of its processes has run or ended since the reading."""
        clock = counters.cpu_clock
        for pid, before in self.clocks.items():
            if before is None or clock(pid) != before:
                return False
        return bool(self.clocks)


class _Ticker:
    """Calls back on a grid that does not drift; missed moments are skipped."""

    __slots__ = ("_callback", "_interval", "_loop", "_timer")

    def __init__(self, loop: EventLoop, interval: float, callback: Callable[[], None]) -> None:
        self._loop, self._interval, self._callback = loop, interval, callback
        self._timer: Timer | None = loop.call_at(loop.now() + interval, self._tick)

    def stop(self) -> bool:
        """Stop.  False: it was stopped before."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _tick(self) -> None:
        assert self._timer is not None
        late = self._loop.now() - self._timer.when
        slots = 1 + late // self._interval
        self._timer = self._loop.call_at(self._timer.when + slots * self._interval, self._tick)
        self._callback()


def host() -> HostFigures:
    """The host's load, usable CPUs and pressure (`some avg10` in percent, None if unknown), and the daemon's memory."""
    own = procfs.stat(os.getpid())
    return {
        "load": [round(load, 2) for load in os.getloadavg()],
        "cpus": len(os.sched_getaffinity(0)),
        "psi": {"cpu": _pressure("cpu"), "memory": _pressure("memory"), "io": _pressure("io")},
        "memory_bytes": own.rss if own else None,
    }


def _pressure(resource: str) -> float | None:
    line = procfs.read(f"/proc/pressure/{resource}") or b""
    try:
        return float(line.partition(b"avg10=")[2].split(b" ", 1)[0])
    except ValueError:
        return None


def _period(resources: ResourcesSpec) -> float:
    minimum, maximum = _LIMIT_PERIODS
    if resources.max_tasks is not None:
        maximum = _TASKS_PERIOD
    return min(max(resources.sustained / _LOOKS, minimum), maximum)
