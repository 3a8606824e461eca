"""Injects one fault after the other into the services of a running daemon, and reports what became of each.

Without --file it starts a daemon of its own, with a few of the example's services in a temporary place, and ends it
afterwards. Only processes that the daemon names as its own are signalled, through pidfds, after their start time has
been compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.tools.arguments import duration
from scripts.tools.bench.ports import free_port
from supervisor.adapters.linux import procfs
from supervisor.client import Client
from supervisor.config.source.locate import locations
from supervisor.core.model.documents import Event

ROOT = Path(__file__).resolve().parents[3]
SERVICES = """
[supervisor]
name = "chaos"
runtime_dir = "{place}/r"
state_dir = "{place}/s"
[defaults]
restart = {{ initial = "100ms", max_restarts = 1000, jitter = 0.0, backoff = "fixed" }}
stop_timeout = "2s"
[services.web]
command = ["{python}", "{root}/examples/web.py", "{port}"]
ready = {{ http = "http://127.0.0.1:{port}/healthz", interval = "100ms" }}
[services.web.heartbeat]
source = "http"
http = "http://127.0.0.1:{port}/healthz"
interval = "500ms"
probe_timeout = "500ms"
min_timeout = "2s"
max_timeout = "30s"
[services.worker]
command = ["{python}", "{root}/examples/worker.py"]
environment = {{ CHAOS = "hang-on-usr1" }}
replicas = 2
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "250ms", min_timeout = "1s", max_timeout = "30s" }}
[services.quiet]
command = ["sleep", "1000000"]
"""
FAULTS = ("kill", "stop", "hang", "starve")
PATIENCE = 60.0
"""Seconds within which a fault must be detected, and then healed."""
STOPPED_FOR, STARVED_FOR = 6.0, 8.0
FAILING = {"backoff", "failed", "suspect", "stopping", "exited"}


@dataclass
class Outcome:
    """The result of one fault. Times are seconds after the injection; None: it did not happen."""

    fault: str
    instance: str
    detected: float | None
    cause: str
    healed: float | None

    @property
    def good(self) -> bool:
        return self.healed is not None


class EventLog:
    """Collects the daemon's events as they arrive."""

    def __init__(self, client: Client) -> None:
        self.events: list[tuple[float, Event]] = []
        self._news = threading.Condition()
        self._stream = client.stream(["events"])
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(Exception):  # the daemon has ended; the waiting test reports it
            for message in self._stream:
                if message[0] == "event":
                    with self._news:
                        self.events.append((time.monotonic(), message[1]))
                        self._news.notify_all()

    def first(self, since: float, wanted: Callable[[Event], bool], patience: float) -> Any:
        """(seconds after `since`, event) of the first event that is `wanted`, or None within `patience` seconds."""
        deadline = time.monotonic() + patience
        seen = 0
        with self._news:
            while True:
                for at, event in self.events[seen:]:
                    if at >= since and wanted(event):
                        return at - since, event
                seen = len(self.events)
                if not self._news.wait(deadline - time.monotonic()):
                    return None


class Chaos:
    """The faults. Each waits until its victim is healed, or reports that it is not."""

    def __init__(self, client: Client, services: list[str], say: Callable[[str], None]) -> None:
        self.client, self.services, self.say = client, services, say
        self.watch = EventLog(client)
        self.outcomes: list[Outcome] = []
        self.began = time.monotonic()

    def victims(self, fault: str) -> list[str]:
        """Healthy instances that this fault can be injected into."""
        rows = self.client.status(self.services)["instances"]
        up = [r for r in rows if r["state"] == "running" and r["ready"] and r["pid"] is not None]
        if fault == "stop":  # an instance without a heartbeat cannot be suspected
            up = [r for r in up if r["detector"] is not None]
        if fault == "hang":
            up = [r for r in up if r["pid"] and procfs.environment_value(r["pid"], "CHAOS") == "hang-on-usr1"]
        return [r["name"] for r in up]

    def inject(self, fault: str, dice: random.Random) -> bool:
        """Inject a fault; False if there is no instance for it."""
        if fault == "starve":
            self._told(self._starve())
            return True
        victims = self.victims(fault)
        if not victims:
            return False
        self._told({"kill": self._kill, "stop": self._stop, "hang": self._hang}[fault](dice.choice(victims)))
        return True

    def _told(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        detected = f"detected {outcome.detected * 1e3:7.0f} ms" if outcome.detected is not None else f"{'–':>19}"
        healed = "NOT HEALED" if outcome.healed is None else f"healed {outcome.healed * 1e3:7.0f} ms"
        at = time.monotonic() - self.began
        self.say(f"{at:7.1f} s  {outcome.fault:<6} {outcome.instance:<12} {detected}  {healed}  {outcome.cause}")

    @contextlib.contextmanager
    def _main_process(self, name: str) -> Iterator[int]:
        """A pidfd of the instance's process as the daemon names it, checked by its start time."""
        pid = self.client.instance(name)["pid"]
        if pid is None:
            raise ProcessLookupError(f"{name} has no process")
        fd = os.pidfd_open(pid)
        try:
            again = self.client.instance(name)
            if again["pid"] != pid or procfs.start_time(pid) is None:
                raise ProcessLookupError(f"{name} has just changed its process")
            yield fd
        finally:
            os.close(fd)

    def _follow(self, fault: str, name: str, since: float) -> Outcome:
        def about(event: Event) -> bool:
            return bool(event["instance"] == name)

        found = self.watch.first(since, lambda e: about(e) and e["to"] in FAILING, PATIENCE)
        if found is None:
            return Outcome(fault, name, None, f"not noticed within {PATIENCE:g} s", None)
        detected, event = found
        back = self.watch.first(since + detected, lambda e: about(e) and _came_back(e), PATIENCE)
        how = f"{event['cause']}, then {back[1]['cause']}" if back else event["cause"]
        return Outcome(fault, name, detected, how, detected + back[0] if back else None)

    def _kill(self, name: str) -> Outcome:
        with self._main_process(name) as fd:
            since = time.monotonic()
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        return self._follow("kill", name, since)

    def _hang(self, name: str) -> Outcome:
        with self._main_process(name) as fd:
            since = time.monotonic()
            signal.pidfd_send_signal(fd, signal.SIGUSR1)
        return self._follow("hang", name, since)

    def _stop(self, name: str) -> Outcome:
        """SIGSTOP: must be noticed and held, not taken for a crash, and healthy again after SIGCONT."""
        with self._main_process(name) as fd:
            since = time.monotonic()
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
            try:
                held = self.watch.first(since, lambda e: e["instance"] == name and e["cause"] == "held", STOPPED_FOR)
                time.sleep(max(0.0, STOPPED_FOR - (time.monotonic() - since)))  # it stays stopped for this long
            finally:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGCONT)
        outcome = self._follow("stop", name, since)
        outcome.cause = ("held as stopped, " if held else "NOT HELD, ") + outcome.cause
        return outcome

    def _starve(self) -> Outcome:
        """Run twice as many busy loops as there are cores: no service may be restarted for it."""
        since = time.monotonic()
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
        try:
            time.sleep(STARVED_FOR)  # the duration of the fault itself
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        hurt = self.watch.first(since, lambda e: e["to"] in ("backoff", "failed", "stopping"), 0.5)
        doubted = sum(at >= since and e["to"] == "suspect" for at, e in self.watch.events)
        if hurt:
            return Outcome("starve", hurt[1]["instance"], hurt[0], f"restarted for it: {hurt[1]['cause']}", None)
        return Outcome("starve", "the host", None, f"none restarted, {doubted} false suspicions", STARVED_FOR)


def _came_back(event: Event) -> bool:
    return bool(event["to"] == "running" and event["from"] != "running")


@contextlib.contextmanager
def own_daemon(say: Callable[[str], None]) -> Iterator[Client]:
    """A daemon in a temporary place, ready."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chaos-") as place:
        file = Path(place, "services.toml")
        file.write_text(SERVICES.format(place=place, python=sys.executable, root=ROOT, port=port))
        command = [sys.executable, "-m", "supervisor"]
        log = Path(place, "log")
        say(f"a daemon of our own, in {place}")
        subprocess.run([*command, "-f", str(file), "up", "-d"], check=True, stdout=log.open("w"))
        try:
            yield Client(f"{place}/r/control.sock")
        finally:
            subprocess.run([*command, "-f", str(file), "down"], check=False, stdout=subprocess.DEVNULL)


def summary(outcomes: list[Outcome]) -> list[str]:
    lines = [f"{'FAULT':<8}{'INJECTED':>9}{'DETECTED':>9}{'HEALED':>8}{'DETECTED AFTER':>22}{'HEALED AFTER':>22}"]
    for fault in FAULTS:
        of = [o for o in outcomes if o.fault == fault]
        if not of:
            continue
        detected = [o.detected for o in of if o.detected is not None]
        healed = [o.healed for o in of if o.healed is not None]
        lines.append(
            f"{fault:<8}{len(of):>9}{len(detected):>9}{len(healed):>8}{_spread(detected):>22}{_spread(healed):>22}"
        )
    return [*lines, "AFTER: median, longest"]


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.0f}, {max(times) * 1e3:.0f} ms" if times else "–"


def hardships(name: str, say: Callable[[str], None]) -> int:
    from scripts.tools.chaos.hardship import HARDSHIPS, endure, private_mounts

    if name not in ("all", *HARDSHIPS):
        for known, function in HARDSHIPS.items():
            print(f"{known:<20} {function.__doc__}")
        return 0 if name == "list" else 2
    private_mounts()
    found = [endure(hardship, say) for hardship in (HARDSHIPS if name == "all" else [name])]
    return 1 if any(found) else 0


def report_of_mode(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The report of the mode that the options name, or None where they name none: single faults, then.

    A mode is imported where it runs, since each needs other programs.
    """
    seed, seconds = options.seed, options.seconds
    if options.soak:
        from scripts.tools.chaos.soak import soak

        kills = 100 if options.kills is None and seconds is None else options.kills
        return soak(kills, seconds, seed, options.trees, say)
    if options.starvation:
        from scripts.tools.chaos.starvation import starvation

        return starvation(seconds or 120.0, say)
    if options.programs:
        from scripts.tools.chaos.endurance import endurance

        return endurance(seconds or 3600.0, options.loops, seed, options.service, say)
    if options.hangs:
        from scripts.tools.chaos.hangs import hangs

        return hangs(options.hangs, seed, say)
    if options.celery:
        from scripts.tools.chaos.celery_fleet import celery_fleet

        return celery_fleet(options.celery, seed, seconds or 900.0, say)
    if options.frozen:
        from scripts.tools.chaos.frozen import frozen

        return frozen(seconds or 30.0, options.frozen, say)
    if options.adopt:
        from scripts.tools.chaos.adopt import adopt

        watch = seconds or 60.0
        return adopt(options.adopt, min(watch, 20.0), watch, seed, say)
    if options.rollouts:
        from scripts.tools.chaos.rollouts import rollouts

        return rollouts(options.rollouts, seed, say)
    if options.cluster:
        from scripts.tools.chaos.cluster import cluster
        from scripts.tools.chaos.cluster_side_by_side import side_by_side
        from scripts.tools.chaos.cluster_times import SESSION, Times

        try:
            times = Times(options.session or SESSION)
        except ValueError as error:
            raise SystemExit(f"--session: {error}") from error
        only = [kind.strip() for kind in options.only.split(",") if kind.strip()]
        if options.side_by_side > 1:
            return side_by_side(options.side_by_side, options.cluster, seed, times, only, seconds, say)
        return cluster(options.cluster, seed, say, times, only, seconds)
    if options.suspicion:
        from scripts.tools.chaos.suspicion import suspicion

        return suspicion(options.suspicion, seed, say)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("-f", "--file", help="the services.toml of a running daemon; else one is started")
    parser.add_argument(
        "--for", dest="seconds", type=duration, metavar="TIME", help="30m, 90s … [60s; --soak: no limit]"
    )
    parser.add_argument("--rounds", type=int, help="so many faults instead of a time")
    parser.add_argument("--faults", default=",".join(FAULTS), help=f"[{','.join(FAULTS)}]")
    parser.add_argument(
        "--service", action="append", default=[], help="only this service, instance or group; repeatable"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the dice that choose faults, victims and pauses [0]")
    parser.add_argument(
        "--soak", action="store_true", help="kill the daemon in a loop, with twenty services of our own"
    )
    parser.add_argument("--kills", type=int, help="with --soak: so many; 0: only watch the daemon [100, or --for]")
    parser.add_argument("--trees", choices=("cgroup", "descent"), help="with --soak: insist on it [what there is]")
    parser.add_argument(
        "--hardship", metavar="NAME|all", help="bad surroundings: full-disk … (`--hardship list` tells)"
    )
    parser.add_argument(
        "--starvation", action="store_true", help="healthy workers on a starved host, and one that hangs"
    )
    parser.add_argument(
        "--hangs", type=int, metavar="N", help="so many hangs of 10 Hz workers: how soon are they found?"
    )
    parser.add_argument(
        "--frozen", type=int, metavar="N", help="stop the daemon itself among N beating services [--for 30s]"
    )
    parser.add_argument(
        "--adopt", type=int, metavar="N", help="SIGKILL with N beating services, then watch [--for 60s]"
    )
    parser.add_argument(
        "--programs", action="store_true", help="real programs on a busy host, with faults [--for 1h]; --service: only"
    )
    parser.add_argument("--loops", type=int, default=16, help="with --programs: so many busy loops [16]")
    parser.add_argument(
        "--rollouts",
        type=int,
        metavar="N",
        help="N rolling restarts, good releases and bad ones under load, the daemon killed in half of them",
    )
    parser.add_argument(
        "--celery", type=int, metavar="N", help="so many tasks of a Celery fleet whose parts are hurt [--for 15m]"
    )
    parser.add_argument(
        "--cluster", type=int, metavar="N", help="so many faults in a cluster of three hosts on ZooKeeper (root)"
    )
    parser.add_argument(
        "--side-by-side",
        type=int,
        default=1,
        metavar="M",
        help="with --cluster: the faults are shared by M clusters [1]",
    )
    parser.add_argument(
        "--only", default="", metavar="KIND,…", help="with --cluster: faults of these kinds, separated by commas [all]"
    )
    parser.add_argument(
        "--session",
        type=duration,
        metavar="TIME",
        help="with --cluster: length of a ZooKeeper session, at least 3.4s; the other times follow from it [10s]",
    )
    parser.add_argument(
        "--suspicion",
        type=int,
        metavar="MINUTES",
        help="hosts that suspect each other, with loss and busy loops (root)",
    )
    parser.add_argument("--json", action="store_true", help="the outcomes as JSON on stdout, the rest on stderr")
    options = parser.parse_args()
    faults = options.faults.split(",")
    if unknown := set(faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    if not options.cluster and (options.session or options.only or options.side_by_side != 1):
        parser.error("--session, --only and --side-by-side are of --cluster")

    def say(text: str) -> None:
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    if (report := report_of_mode(options, say)) is not None:
        if options.celery or options.json:
            print(json.dumps(report, indent=None if options.json else 1))
        return 1 if report["violations"] or report.get("late") else 0
    if options.hardship:
        return hardships(options.hardship, say)
    if options.file:
        place: contextlib.AbstractContextManager[Client] = contextlib.nullcontext(
            Client(f"{locations(options.file).runtime_dir}/control.sock")
        )
    else:
        place = own_daemon(say)
    dice = random.Random(options.seed)
    with place as client:
        chaos = Chaos(client, options.service, say)
        left_out: set[str] = set()
        while (
            len(chaos.outcomes) < options.rounds
            if options.rounds
            else time.monotonic() - chaos.began < (options.seconds or 60.0)
        ):
            possible = [f for f in faults if f not in left_out]
            if not possible:
                break
            fault = possible[len(chaos.outcomes) % len(possible)]
            if not chaos.inject(fault, dice):
                left_out.add(fault)
                say(f"{fault} is left out: no service that it can be tried on (see docs/chaos.md)")
            time.sleep(dice.uniform(0.1, 0.5))  # faults come at random times
    for line in summary(chaos.outcomes):
        say(line)
    if options.json:
        print(json.dumps([asdict(o) for o in chaos.outcomes]))
    return 0 if chaos.outcomes and all(o.good for o in chaos.outcomes) else 1


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell that starts this in the background ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
