"""Makes the text of `/metrics` in small steps, so that other work of the daemon can come between them.

A page is a generator: it yields after each instance, service or family, and returns the text. What is read of an
instance is of the moment of its step; the whole page takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from supervisor.adapters.metrics.collector import OUTCOMES
from supervisor.adapters.metrics.exposition import MARK, fill, labels, sample, template
from supervisor.adapters.metrics.families import (
    BALANCER_UP,
    BREAKERS,
    C_OVER_HOSTS,
    COUNTED,
    DAEMON,
    DETECTION,
    FAILURES,
    HOLDS,
    HOSTS,
    INTERVALS,
    LAST_FAILURE,
    OF_BALANCERS,
    OF_CLUSTER,
    OF_ROLLOUTS,
    RATIOS,
    RECOVERIES,
    RECOVERY,
    RESTARTS,
    ROLLOUT_PAUSED,
    ROLLOUT_STATE,
    ROLLOUTS,
    SLOTS,
    SOCKETS,
    STATE,
    VALUES,
    Family,
)
from supervisor.adapters.metrics.turns import Turns
from supervisor.core.balancing.slots import SlotState
from supervisor.core.history.ratios import Counts, is_wanted
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.spec import ServiceType
from supervisor.core.restart.tracker import Breaker
from supervisor.core.services.rollout import Stage

if TYPE_CHECKING:
    from supervisor.adapters.metrics.collector import MetricsCollector, Tally
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.balance_documents import Balance, Balanced
    from supervisor.core.model.cluster_documents import ClusterWord
    from supervisor.core.model.documents import Supervisor
    from supervisor.core.model.socket_documents import HeldSocket
    from supervisor.core.model.story_documents import Ratios
    from supervisor.core.services.rollout import Rollout

Page = Generator[None, None, bytes]
T = TypeVar("T")
Lines: TypeAlias = Callable[[str, list[str], tuple[T, ...]], list[str]]
"""The lines of a family from its name, the labels and a value for each of them."""

FIRST, LAST = -3, 6
INTERVAL_BOUNDS = tuple(2.0**e for e in range(FIRST, LAST + 1))
"""Seconds, 0.125 to 64: powers of two are bounds of the classes in which intervals are counted anyway."""
MOST_LOOKS = 30
"""Instances whose resources are read for one page, which costs more than all the rest of their metrics."""
MOST_HISTOGRAMS = 150
"""Histograms of intervals that one page computes; where there are more instances, they take turns."""

_STATES = {
    present: "".join(sample(STATE.full_name, f'{MARK},state="{state.value}"', state is present) for state in State)
    for present in State
}
"""The lines of all states, by the present state."""
_INTERVALS = template(INTERVALS.full_name, INTERVAL_BOUNDS)


class Usage(Protocol):
    """The resources that a process tree uses."""

    @property
    def cpu_percent(self) -> float: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def tasks(self) -> int: ...


class Reading(NamedTuple):
    """An instance, and what is known of it elsewhere. `written`, `lost`: bytes of its output."""

    instance: Instance
    usage: Usage | None = None
    written: int | None = None
    lost: int | None = None
    balanced: Balanced | None = None
    """None: no balancer is in front of it."""
    outdated: bool = False
    """A rollout has yet to give it the definition in force."""


class Source(Protocol):
    """What a page needs of the daemon."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def names(self) -> Iterable[str]:
        """The names of all instances."""
        ...

    def read(self, name: str) -> Reading | None:
        """One instance; None where it was removed since."""
        ...

    def sockets(self) -> Mapping[tuple[str, str], HeldSocket]:
        """The listening sockets that the daemon holds, by service and URL."""
        ...

    def rollouts(self) -> Iterable[Rollout]:
        """The newest rollout of each service that had one."""
        ...

    def balances(self) -> Iterable[Balance]:
        """The balanced services, as they were at the beginning of the page."""
        ...

    def cluster(self) -> ClusterWord | None:
        """The last message of the agent; None: there is no cluster, or no message came yet."""
        ...

    def supervisor(self) -> Supervisor:
        """The daemon itself."""
        ...


class _Block(NamedTuple):
    """A family as it was written for these labels and values."""

    texts: list[str]
    column: tuple[Any, ...]
    text: bytes


class PageMaker:
    """Makes pages one after the other, and keeps what a later one uses again."""

    def __init__(self, collector: MetricsCollector, source: Source) -> None:
        self._collector, self._source = collector, source
        self._turns = Turns(MOST_HISTOGRAMS)
        self._histograms: dict[str, str] = {}
        """The lines of the intervals' histograms of earlier pages, where instances take turns."""
        self._labels: dict[tuple[str, str], str] = {}
        """The labels of the instances of the last page, by service and name, and those of services (without a name)."""
        self._blocks: dict[Family, _Block] = {}
        """Families of the last page."""

    def page(self) -> Page:
        """The text of `/metrics`."""
        collector, source = self._collector, self._source
        texts: list[str] = []
        states: list[State] = []
        rows: list[tuple[float | None, ...]] = []
        out = _Lines()
        services: dict[str, _Account] = {}
        total = _Account()
        names = list(source.names())
        due = self._turns.choose(names)
        present = frozenset(names)
        self._histograms = {name: text for name, text in self._histograms.items() if name in present}
        known, self._labels = self._labels, {}
        for name in names:
            reading = source.read(name)
            if reading is not None:
                i, now, tally = reading.instance, source.now(), collector.tallies.get(name)
                service = i.spec.name
                text = known.get((service, name)) or labels({"service": service, "name": name})
                self._labels[service, name] = text
                texts.append(text)
                states.append(i.state)
                rows.append(_values(reading, now))
                if i.detector is not None and i.histogram.count:
                    out.lines[INTERVALS].append(self._intervals(text, i, len(due) == len(names), name in due))
                if tally is not None:
                    out.tally(text, i, tally, now)
                account = services.get(service)
                if account is None:
                    account = services[service] = _Account()
                account.add(i, tally, reading.balanced, outdated=reading.outdated)
            yield
        ratios: list[tuple[float | None, ...]] = []
        of_services: list[str] = []
        for service, account in services.items():
            text = known.get((service, "")) or labels({"service": service})
            self._labels[service, ""] = text
            of_services.append(text)
            ratios.append(_ratios(account))
            total.include(account)
            yield
        ratios.append(_ratios(total))
        of_services.append("")
        yield
        for family, found in ((DETECTION, collector.detections), (RECOVERY, collector.recoveries)):
            for service in sorted(found):
                out.lines[family].append(found[service].lines(family.full_name, labels({"service": service})))
            yield
        for rollout in source.rollouts():
            out.rollout(rollout, collector)
        for balance in source.balances():
            out.balance(balance)
        word = source.cluster()
        if word is not None:
            out.cluster(word)
        yield
        parts = [_about_daemon(source.supervisor())]
        parts.append(self._block(STATE, texts, tuple(states), _state_lines))
        yield
        for family, column in zip(VALUES, zip(*rows, strict=True), strict=False):
            parts.append(self._block(family, texts, column, _value_lines))
            yield
        held = {labels({"service": s, "socket": url}): row for (s, url), row in source.sockets().items()}
        for family, key in SOCKETS:
            name = family.full_name
            values = ((text, row[key]) for text, row in held.items())
            _put(parts, family, [f"{name}{{{text}}} {value}\n" for text, value in values if value is not None])
        yield
        for family, ratio in zip(RATIOS, zip(*ratios, strict=True), strict=True):
            parts.append(self._block(family, of_services, ratio, _value_lines))
            yield
        for family, lines in out.lines.items():
            _put(parts, family, lines)
            yield
        return b"".join(parts)

    def _block(self, family: Family, texts: list[str], column: tuple[T, ...], lines: Lines[T]) -> bytes:
        """The family with a value for each of these labels: the text of the last page, where nothing has changed."""
        known = self._blocks.get(family)
        if known is not None and known.column == column and known.texts == texts:
            return known.text
        found = lines(family.full_name, texts, column)
        text = "".join([family.head, *found]).encode() if found else b""
        self._blocks[family] = _Block(texts, column, text)
        return text

    def _intervals(self, text: str, i: Instance, all_due: bool, due: bool) -> str:
        if all_due:
            self._histograms.clear()
            return _intervals(text, i)
        if due or i.name not in self._histograms:
            self._histograms[i.name] = _intervals(text, i)
        return self._histograms[i.name]


def _put(parts: list[bytes], family: Family, lines: list[str]) -> None:
    """Add a family; one without samples is left out."""
    if lines:
        parts.append("".join([family.head, *lines]).encode())


class _Account:
    """The instances of one service, or of all, and their failures."""

    __slots__ = ("counts", "failures", "recovered")

    def __init__(self) -> None:
        self.counts = Counts()
        self.failures = self.recovered = 0

    def add(self, i: Instance, tally: Tally | None, balanced: Balanced | None, *, outdated: bool) -> None:
        wanted = is_wanted(i.goal, i.spec.type, i.state, i.cause)
        self.counts.add(wanted, i.available, i.pid is not None, i.current and not outdated)
        if balanced is not None:
            self.counts.carried(balanced["requests"])
        if tally is not None:
            self.failures += tally.failures
            self.recovered += tally.recoveries(i.spec.type is ServiceType.ONESHOT)

    def include(self, other: _Account) -> None:
        """Count all that `other` has counted."""
        self.counts.include(other.counts)
        self.failures += other.failures
        self.recovered += other.recovered

    def ratios(self) -> Ratios:
        return self.counts.ratios(self.failures, self.recovered)


class _Lines:
    """Lines by family, because the lines of a family must stand together."""

    def __init__(self) -> None:
        self.lines: dict[Family, list[str]] = {
            family: []
            for family in (INTERVALS, *COUNTED, DETECTION, RECOVERY, *OF_ROLLOUTS, *OF_BALANCERS, *OF_CLUSTER)
        }

    def tally(self, text: str, i: Instance, tally: Tally, now: float) -> None:
        for family, by_cause in ((FAILURES, tally.causes), (RESTARTS, tally.restarts)):
            for cause, count in by_cause.items():
                self._add(family, f'{text},cause="{cause}"', count)
        if tally.causes:
            self._add(RECOVERIES, text, tally.recoveries(i.spec.type is ServiceType.ONESHOT))
            self._add(LAST_FAILURE, text, round(max(0.0, now - tally.last), 3))
        for family, count in ((BREAKERS, tally.openings), (HOLDS, tally.holds)):
            if count:
                self._add(family, text, count)

    def rollout(self, rollout: Rollout, collector: MetricsCollector) -> None:
        """Every outcome has a sample from the start, because `increase` does not count the first value of a series."""
        text = labels({"service": rollout.service})
        for stage in Stage:
            self._add(ROLLOUT_STATE, f'{text},state="{stage.value}"', int(rollout.stage is stage))
        self._add(ROLLOUT_PAUSED, text, int(rollout.paused))
        for outcome in OUTCOMES:
            count = collector.rollouts.get((rollout.service, outcome), 0)
            self._add(ROLLOUTS, f'{text},outcome="{outcome}"', count)

    def balance(self, balance: Balance) -> None:
        text, states = labels({"service": balance["service"]}), [slot["state"] for slot in balance["slots"]]
        self._add(BALANCER_UP, text, int(balance["up"]))
        for state in (SlotState.ACTIVE, SlotState.DRAINING):
            self._add(SLOTS, f'{text},state="{state.value}"', states.count(state.value))
        self._add(SLOTS, f'{text},state="{SlotState.FREE.value}"', balance["free"])

    def cluster(self, word: ClusterWord) -> None:
        """C has no sample before the versions were read."""
        pushed, suspects = word.get("pushed"), set(word.get("suspects", ()))  # an agent of an earlier build tells none
        if pushed is not None:
            self._add(C_OVER_HOSTS, "", pushed["consistency"])
        here = [one["node"] for one in word["members"] if one["here"]]
        suspected = sum(node in suspects for node in here)
        counts = {"here": len(here) - suspected, "away": len(word["members"]) - len(here), "suspect": suspected}
        for state, count in counts.items():
            self._add(HOSTS, f'state="{state}"', count)

    def _add(self, family: Family, text: str, value: float) -> None:
        self.lines[family].append(sample(family.full_name, text, value))


def _state_lines(_name: str, texts: list[str], states: tuple[State, ...]) -> list[str]:
    return [_STATES[state].replace(MARK, text) for text, state in zip(texts, states, strict=True)]


def _value_lines(name: str, texts: list[str], values: tuple[float | None, ...]) -> list[str]:
    """None: there is no sample.  Empty labels are those of the daemon as a whole."""
    found = zip(texts, values, strict=True)
    return [f"{name}{{{t}}} {v}\n" if t else f"{name} {v}\n" for t, v in found if v is not None]


def _ratios(account: _Account) -> tuple[float | None, ...]:
    """One value for each family of `RATIOS`, in its order."""
    found = account.ratios()
    keys = (found["replication"], found["consistency"], found["load"], found["fault_ratio"])
    return (*keys, found["recovery_ratio"])


def _values(reading: Reading, now: float) -> tuple[float | None, ...]:
    """One value for each family of `VALUES`, in its order."""
    i, usage = reading.instance, reading.usage
    detector = i.detector
    heard = detector is not None and detector.last is not None and i.pid is not None
    return (
        int(i.pid is not None),
        int(i.goal is Goal.UP),
        int(i.available),
        i.incarnation,
        _ago(i.started_at, now),
        round(detector.suspicion(now), 3) if detector and heard and i.blind_since is None else None,
        _ago(detector.last, now) if detector and heard else None,
        usage.memory_bytes if usage is not None else None,
        round(usage.cpu_percent, 1) if usage is not None else None,
        usage.tasks if usage is not None else None,
        int(i.tracker.breaker is Breaker.OPEN),
        int(i.maintenance is not None),
        int(i.held is not None),
        i.restarts,
        i.false_suspicions,
        reading.written,
        reading.lost,
        *(_carried(reading.balanced) if reading.balanced else (None,) * 5),
    )


def _carried(balanced: Balanced) -> tuple[int, ...]:
    active = int(balanced["slot"] == "active")
    return active, balanced["sessions"], balanced["queue"], balanced["requests"], balanced["errors"]


def _ago(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, now - then), 3)


def _intervals(text: str, i: Instance) -> str:
    counts = [0] * (len(INTERVAL_BOUNDS) + 1)
    for exponent, count in i.histogram.by_exponent().items():
        counts[min(max(exponent, FIRST), LAST + 1) - FIRST] += count
    return fill(_INTERVALS, text, counts, round(i.histogram.total, 6))


def _about_daemon(supervisor: Supervisor) -> bytes:
    lag = supervisor["lag_ms"]
    values: tuple[Any, ...] = (
        1,
        supervisor["uptime_s"],
        None if lag is None else lag / 1000,
        supervisor["memory_bytes"],
        supervisor["host_starved"],
        len(supervisor["problems"]),
    )
    about = labels({"version": supervisor["version"], "name": supervisor["name"]})
    return "".join(
        family.head + sample(family.full_name, about if family.labels else "", value)
        for family, value in zip(DAEMON, values, strict=True)
        if value is not None
    ).encode()
