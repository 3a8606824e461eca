"""Kills the daemon of many beating services, and measures how long the next one takes to adopt them all, warm."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.tools.chaos import sight
from scripts.tools.chaos.judge import Judge, Violation
from scripts.tools.chaos.stage import Stage, temporary_place
from supervisor.core.text.timestamps import from_iso

SERVICES = """
[services.beat]
command = [RUN, "beat", "PLACE", "1.0"]
replicas = COUNT
ready = { notify = true }
start_timeout = "5m"
heartbeat = { source = "notify", interval = "1s", min_timeout = "2s", max_timeout = "30s" }
"""
WITHIN = 1.0
"""Seconds allowed from the exec to the last adoption."""
STARTED_WITHIN = 300.0
LOOKED_AT = 20
"""Instances whose detectors are examined for learned intervals."""


@dataclass
class Adoption:
    """The result of an adoption.

    `took`: seconds from the exec to the last event `adopted`; `suspicions`: within `watched` seconds afterwards;
    `beats`: the fewest intervals that a detector knew before and after.
    """

    count: int
    adopted: int = 0
    took: float = 0.0
    watched: float = 0.0
    suspicions: int = 0
    beats: tuple[int, int] = (0, 0)
    violations: list[Violation] = field(default_factory=list)


def adopt(count: int, warm_up: float, watch: float, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Start `count` services, let them beat for `warm_up` seconds, kill the daemon, and `watch` the next."""
    sight.adopt_orphans()
    with temporary_place() as place:
        judge = Judge(place)
        names = [f"beat@{n}" for n in range(1, count + 1)]
        for name in names:
            judge.want(name, True)
        looked_at = random.Random(seed).sample(names, min(LOOKED_AT, count))
        report = Adoption(count, watched=watch)
        with Stage(SERVICES.replace("COUNT", str(count)), judge) as stage:
            stage.start()
            if not (stage.answers() and stage.settled(STARTED_WITHIN)):
                raise SystemExit(f"they do not start: {stage.last_words()}")
            say(f"{count} services run; they beat for {warm_up:g} s")
            pause(judge, warm_up)
            before = fewest_beats(stage, looked_at)
            stage.kill()
            began = time.time()
            stage.start()
            stage.answers()
            pause(judge, watch)
            events = told(stage, began)
            adopted = [from_iso(e["at"]) for e in events if e["cause"] == "adopted"]
            report.adopted, report.took = len(adopted), max(adopted, default=began) - began
            report.suspicions = sum(e["to"] == "suspect" for e in events)
            report.beats = (before, fewest_beats(stage, looked_at))
            report.violations = judge.found + judge.restarts() + verdict(report)
            code, said = stage.down()
            if code != 0:
                report.violations.append(Violation("left behind", "-", 0.0, said.strip()))
            report.violations += judge.left_behind()
        say(f"{report.adopted} of {count} adopted, the last one {report.took * 1e3:.0f} ms after the exec")
        say(f"{report.suspicions} false suspicions in {watch:g} s")
        say(f"each detector knew at least {report.beats[0]} beats before and {report.beats[1]} after")
        for violation in report.violations[:20]:
            say(f"    {violation.kind}: {violation.instance}: {violation.text}")
        if report.violations:
            (place / "keep").touch()
            say(f"everything is kept in {place}")
    return asdict(report)


def verdict(report: Adoption) -> list[Violation]:
    def failed(kind: str, text: str) -> Violation:
        return Violation(kind, "-", 0.0, text)

    found = []
    if report.adopted != report.count:
        found.append(failed("lost", f"{report.count - report.adopted} were not adopted"))
    if report.took > WITHIN:
        found.append(failed("late", f"adoption took {report.took:.2f} s, not {WITHIN:g} s"))
    if report.suspicions:
        found.append(failed("suspected", f"{report.suspicions} services that beat all the time were suspected"))
    if report.beats[1] < report.beats[0] // 2:
        found.append(failed("cold", f"a detector knew {report.beats[0]} beats before, {report.beats[1]} after"))
    return found


def pause(judge: Judge, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        judge.look(min(left, 0.1))


def fewest_beats(stage: Stage, names: list[str]) -> int:
    return min(len(stage.client.instance(name)["intervals_s"]) for name in names)


def told(stage: Stage, since: float) -> list[dict[str, Any]]:
    """The events that daemons have logged since then (seconds since the epoch)."""
    events = (json.loads(line) for line in stage.said.read_text().splitlines() if line.startswith('{"id"'))
    return [e for e in events if from_iso(e["at"]) >= since - 0.001]
