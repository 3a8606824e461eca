"""Random faults in a cluster of three hosts, each in a network namespace of its own with a ZooKeeper server.

An exclusive service and a spread one tell an observer of each run: when it began, under what epoch, and when the last
process of its tree had ended, by one clock.  A violation is two runs of a slot at a time, an epoch that does not grow,
a tree that outlives its lease, a slot that is free for longer than it may be, or one that never comes back.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from scripts.tools.chaos.cluster_judge import ENDS_ALL, LATE, NO_CONTACT, tell_figures, verdict
from scripts.tools.chaos.cluster_network import MIDDLE, NODES, Network
from scripts.tools.chaos.cluster_observer import Observer, Run
from scripts.tools.chaos.cluster_slots import Slots
from scripts.tools.chaos.cluster_times import Times
from scripts.tools.chaos.pressure import pressure, quota_is_there, starved
from scripts.tools.chaos.private_daemon import JSON, ROOT, tell
from supervisor.client import Client
from supervisor.errors import SupervisorError

JAR = Path("/usr/share/java/zookeeper.jar")
SETTLED_WITHIN, BEGUN_WITHIN, LOOKS_EACH = 180.0, 300.0, 0.3
LOOPS, KNOWN_AFTER, MOST_DRAINS = 8, 2.0, 10
PARTS = ("cluster-agent", "cluster-deadman")
SLOTS = ("scheduler", "web@1", "web@2")
TOML = """
[supervisor]
name = "chaos-{node}"
runtime_dir = "{place}/{node}/r"
state_dir = "{place}/{node}/s"
[cluster]
hosts = "{hosts}"
node = "{node}"
address = "{address}:9180"
session_timeout = "{session:.0f}ms"
contact_interval = "{contact:.0f}ms"
request_timeout = "{request:.0f}ms"
tick_time = "{tick:.0f}ms"
[services.scheduler]
command = ["{python}", "{program}", "{place}/observer.sock", "{place}/lock"]
stop_timeout = "{stop:.0f}ms"
placement = {{ mode = "one" }}
[services.web]
command = ["{python}", "{program}", "{place}/observer.sock", "{place}/lock"]
stop_timeout = "{stop:.0f}ms"
placement = {{ mode = "spread", instances = 2 }}
"""


def hosts_of(network: Network) -> str:
    """The servers and the chroot."""
    return ",".join(f"{network.address[one]}:2181" for one in NODES) + "/chaos"


class Host:
    """One member: its daemon and its ZooKeeper server."""

    def __init__(self, network: Network, node: str, place: Path, times: Times) -> None:
        self.network, self.node, self.place = network, node, place / node
        self.place.mkdir()
        self.daemon: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None
        (self.place / "zk").mkdir()
        (self.place / "zk" / "myid").write_text(f"{NODES.index(node) + 1}\n")
        lines = [
            f"tickTime={1000 * times.tick:.0f}", f"dataDir={self.place}/zk", "clientPort=2181", "initLimit=10",
            "syncLimit=5", "admin.enableServer=false", "4lw.commands.whitelist=srvr", "preAllocSize=64",
            *(f"server.{n + 1}={network.address[one]}:2888:3888" for n, one in enumerate(NODES)),
        ]  # fmt: skip
        (self.place / "zoo.cfg").write_text("\n".join(lines) + "\n")
        hosts = hosts_of(network)
        program = ROOT / "scripts" / "tools" / "chaos" / "placed_program.py"
        (self.place / "services.toml").write_text(
            TOML.format(
                node=node, place=place, hosts=hosts, address=network.address[node],
                session=1000 * times.session, contact=1000 * times.contact, request=1000 * times.request,
                tick=1000 * times.tick, stop=1000 * times.stop, python=sys.executable, program=program,
            )
        )  # fmt: skip

    def start_server(self) -> None:
        if self.server is None or self.server.poll() is not None:
            command = ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(JAR)]
            main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
            with (self.place / "zk.log").open("ab") as log:
                self.server = subprocess.Popen(
                    [*self.network.enter(self.node), *command, main, str(self.place / "zoo.cfg")],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip

    def stop_server(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def leads(self) -> bool:
        ask = "import socket; s = socket.create_connection(('127.0.0.1', 2181), 2); s.sendall(b'srvr'); "
        ask += "print(s.recv(9999))"
        command = [*self.network.enter(self.node), sys.executable, "-c", ask]
        return b"leader" in subprocess.run(command, capture_output=True, check=False).stdout

    def start(self) -> None:
        if self.daemon is None or self.daemon.poll() is not None:
            with (self.place / "daemon.log").open("ab") as log:
                self.daemon = subprocess.Popen(
                    [*self.network.enter(self.node), *self.command("run")],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "supervisor", "-f", str(self.place / "services.toml"), *words]

    @property
    def client(self) -> Client:
        return Client(str(self.place / "r" / "control.sock"))

    def word(self) -> dict[str, Any]:
        """What the agent says; empty while there is no answer."""
        try:
            return dict(self.client.get("/v1/cluster")["word"] or {})
        except (SupervisorError, OSError):
            return {}

    def pids(self, *names: str) -> list[int]:
        """Main processes of services, `daemon` being the daemon's own."""
        assert self.daemon is not None
        rows = {row["name"]: row["pid"] for row in self.client.status()["instances"]}
        found = [self.daemon.pid if name == "daemon" else rows.get(name) or 0 for name in names]
        return [pid for pid in found if pid]

    def parts_are_there(self) -> bool:
        """Agent and dead-man are ready, and have been for a moment: what knows them has heard of their return."""
        try:
            rows = [row for row in self.client.status()["instances"] if row["name"] in PARTS]
        except (SupervisorError, OSError):
            return False
        return all(row["ready"] and (row["uptime_s"] or 0.0) > KNOWN_AFTER for row in rows)

    def settled(self) -> bool:
        if not self.parts_are_there():
            return False
        word = self.word()
        held = len(word.get("leases", ())) + len(word.get("elsewhere", ()))
        members = word.get("members", ())
        here = len(members) == len(NODES) and all(one["taking"] for one in members)
        return bool(word) and word["engine"]["state"] == "connected" and held == len(SLOTS) and here

    def end(self) -> None:
        parts = []
        with suppress(SupervisorError, OSError):
            parts = [os.pidfd_open(pid) for pid in self.pids(*PARTS)]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(self.command("down"), capture_output=True, check=False, timeout=60)
        if self.daemon is not None:
            with suppress(subprocess.TimeoutExpired):
                self.daemon.wait(20)
            self.daemon.kill()
        for fd in parts:  # of a daemon that did not end in time
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)
        self.stop_server()


class Cluster:
    """Three hosts, the faults, and what was seen."""

    def __init__(
        self, place: Path, network: Network, observer: Observer, dice: random.Random, times: Times,
        slots: Slots | None = None,
    ) -> None:  # fmt: skip
        self.network, self.observer, self.dice, self.times, self.slots = network, observer, dice, times, slots
        self.hosts = {node: Host(network, node, place, times) for node in NODES}
        self.struck = 0.0

    def settle(self, within: float = SETTLED_WITHIN) -> str:
        """All is as it should be; or what is not, in time."""
        for host in self.hosts.values():
            host.start_server()
            host.start()
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            running = {run.instance: run.epoch for run in self.observer.runs if run.gone is None}
            owned = self.slots is None or running == self.slots.owner
            if set(running) == set(SLOTS) and owned and all(host.settled() for host in self.hosts.values()):
                return ""
            time.sleep(LOOKS_EACH)
        running = {run.instance: run.epoch for run in self.observer.runs if run.gone is None}
        owners = self.slots.owner if self.slots is not None else {}
        words = {node: host.word() for node, host in self.hosts.items()}
        short = {n: [w.get(k) for k in ("engine", "nowhere", "problems", "members")] for n, w in words.items()}
        return f"not settled after {within:g} s: epochs that run {running}, that are owned {owners}; {short}"

    def owner(self) -> str:
        """The host on which the scheduler runs; empty: it does not run."""
        runs = reversed(self.observer.runs)
        return next((run.node for run in runs if run.instance == "scheduler" and run.gone is None), "")

    def victim(self) -> Host:
        """The owner in two of three cases."""
        owner, other = self.owner(), self.dice.choice(NODES)
        return self.hosts[owner if owner and self.dice.random() < 2 / 3 else other]

    def strike(self) -> None:
        """All that the fault does has taken effect.  To name the processes can take a busy daemon seconds before."""
        self.struck = time.clock_gettime(time.CLOCK_BOOTTIME)

    def stay(self) -> None:
        """The fault lasts."""
        self.strike()
        time.sleep(self.times.lasts)

    # -- faults: each returns when it is over ------------------------------------------------------------------------

    def link_down(self, host: Host) -> None:
        with self.network.down(host.node):
            self.stay()

    def link_down_for_a_moment(self, host: Host) -> None:
        with self.network.down(host.node):
            time.sleep(self.dice.uniform(0.05, 1 / 3) * self.times.session)

    def pair_cut(self, host: Host) -> None:
        other = self.dice.choice([node for node in NODES if node != host.node])
        with self.network.unheard([(host.node, other), (other, host.node)]):
            self.stay()

    def one_direction(self, host: Host) -> None:
        others = [node for node in NODES if node != host.node]
        away = self.dice.random() < 0.5
        with self.network.unheard([(host.node, one) if away else (one, host.node) for one in others]):
            self.stay()

    def slow_link(self, host: Host) -> None:
        with self.network.slow(host.node):
            self.stay()

    def leader_killed(self, _: Host) -> None:
        leader = next((host for host in self.hosts.values() if host.leads()), None)
        if leader is not None:
            leader.stop_server()
            time.sleep(self.dice.uniform(0.1, 0.5) * self.times.session)
            leader.start_server()

    def ensemble_down(self, _: Host) -> None:
        for host in self.hosts.values():
            host.stop_server()
        self.stay()
        for host in self.hosts.values():
            host.start_server()

    def killed(self, host: Host, names: tuple[str, ...]) -> None:
        """The daemon, if it lives, has seen it in the end: one that the next fault stops before that would start no
        other agent, which is another fault."""
        pids = host.pids(*names)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.strike()
        if "daemon" in names and host.daemon is not None:
            host.daemon.wait()
            time.sleep(self.times.lasts)
            host.start()
            return
        while set(pids) & set(host.pids(*names)):
            time.sleep(0.05)

    def stopped(self, host: Host, names: tuple[str, ...]) -> None:
        pids = host.pids(*names)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            self.stay()
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def starve(self, host: Host, names: tuple[str, ...]) -> None:
        """They run, but for a millisecond in ten seconds or so."""
        with starved(host.pids(*names)):
            self.stay()

    def host_dies(self, host: Host) -> None:
        """The daemon first: what it misses it would start again."""
        mains = host.pids("daemon", "cluster-agent", "cluster-deadman", *SLOTS)
        every = [*mains, *(child for pid in mains for child in _children(pid))]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in every:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.strike()
        host.stop_server()
        assert host.daemon is not None
        host.daemon.wait()
        time.sleep(self.times.lasts)

    def busy(self, host: Host) -> None:
        """Loops in the namespace of one host; they take the processors from all."""
        with ExitStack() as stack:
            for _ in range(LOOPS):
                loop = subprocess.Popen([*self.network.enter(host.node), sys.executable, "-c", "while True: pass"])
                stack.callback(loop.wait)
                stack.callback(loop.kill)
            self.stay()

    def drain(self, host: Host) -> None:
        subprocess.run(host.command("cluster", "drain", host.node), capture_output=True, check=False)
        subprocess.run(host.command("cluster", "drain", "--off", host.node), capture_output=True, check=False)

    def faults(self) -> dict[str, Callable[[Host], None]]:
        found: dict[str, Callable[[Host], None]] = {
            "link down": self.link_down,
            "link down for a moment": self.link_down_for_a_moment,
            "pair cut": self.pair_cut,
            "one direction cut": self.one_direction,
            "slow link": self.slow_link,
            "leader killed": self.leader_killed,
            "ensemble down": self.ensemble_down,
            "host dies": self.host_dies,
            "busy loops": self.busy,
        }
        parts = {
            "daemon": ("daemon",), "agent": ("cluster-agent",), "dead-man": ("cluster-deadman",),
            "daemon and agent": ("daemon", "cluster-agent"),
        }  # fmt: skip
        for name, names in parts.items():
            found[f"{name} killed"] = partial(self.killed, names=names)
            found[f"{name} stopped"] = partial(self.stopped, names=names)
            if quota_is_there():
                found[f"{name} starved"] = partial(self.starve, names=names)
        return found


def needs() -> None:
    """SystemExit where something is missing."""
    if os.geteuid() != 0 or not JAR.exists() or not all(shutil.which(name) for name in ("java", "ip", "tc", "nsenter")):
        raise SystemExit("needs root, Debian's zookeeper, and ip, tc and nsenter")


def cluster(
    count: int, seed: int, say: Callable[[str], None], times: Times, only: Sequence[str] = (),
    seconds: float | None = None,
) -> JSON:  # fmt: skip
    """`count` faults; `only`: of these kinds; `seconds`: none begins later."""
    needs()
    dice = random.Random(seed)
    report: JSON = {"faults": 0, "violations": [], "kinds": {}, "trees": {}, "takeovers": {}, "seed": seed, "runs": 0}
    report |= {"late": [], "session": times.session}
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    with (
        place_of_hosts(lambda: report["violations"] or report["late"], say) as place,
        Network() as network,
        Observer(place / "observer.sock") as observer,
        Slots(network.enter(MIDDLE), hosts_of(network), SLOTS) as slots,
    ):
        world = Cluster(place, network, observer, dice, times, slots)
        kinds = world.faults()
        if unknown := set(only) - set(kinds):
            raise SystemExit(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(kinds)}")
        chosen, order = sorted(only or kinds), list[str]()
        try:
            if wrong := world.settle(BEGUN_WITHIN):
                raise SystemExit(wrong)
            for _ in range(count):
                if time.monotonic() > until:
                    break
                if not order:
                    order = dice.sample(chosen, len(chosen))
                kind, host = order.pop(), world.victim()
                _one(world, kind, kinds[kind], host, report, say)
                report["faults"] += 1
                _keep(place, report, observer, slots)
            for _ in range(max(1, min(report["faults"], MOST_DRAINS * 6) // 6)):
                _one(world, "drain", world.drain, world.victim(), report, say)
        except KeyboardInterrupt:
            say("interrupted")
        finally:
            report = _keep(place, report, observer, slots)
            for one in world.hosts.values():
                one.end()
    tell_figures(report, say)
    return tell(report, say)


def _keep(place: Path, report: JSON, observer: Observer, slots: Slots) -> JSON:
    """The report up to now; it is written down, so that it is there also where this process is killed."""
    violations = report["violations"] + observer.violations()
    whole = report | {"violations": violations, "runs": len(observer.runs)}
    seen = [asdict(run) | {"unowned": slots.gone(run.instance, run.epoch)} for run in observer.runs]
    clock = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    (place / "seen.json").write_text(json.dumps({"clock": clock, "report": whole, "runs": seen}, indent=1))
    return whole


def _one(
    world: Cluster, kind: str, fault: Callable[[Host], None], host: Host, report: JSON, say: Callable[[str], None]
) -> None:
    assert world.slots is not None
    owned = [run for run in world.observer.runs if run.gone is None]
    began, waited = time.clock_gettime(time.CLOCK_BOOTTIME), pressure()
    world.struck = began
    fault(host)
    lasted = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    wrong = world.settle()
    busy = (pressure() - waited) / (time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    free = [(run, *_followed(world.observer.runs, run)) for run in owned if run.gone is not None]
    gaps = [nxt.begin - (run.gone or 0.0) for run, nxt in free if nxt is not None]
    report["kinds"][kind] = report["kinds"].get(kind, 0) + 1
    report["takeovers"].setdefault(kind, []).extend(round(gap, 2) for gap in gaps)
    left = ", ".join(
        f"{run.instance} ended after {gone - world.struck:.1f} s, free for {nxt.begin - gone:.2f} s"
        for run, nxt in free
        if nxt is not None and (gone := run.gone or 0.0)
    )
    number = f"{time.strftime('%T')} {report['faults'] + 1:3}"
    say(f"{number} {kind} ({host.node}): {left or 'nothing ended'}; pressure {busy:.0%}")
    found: list[str] = [f"{kind} ({host.node}): {wrong}"] if wrong else []
    trees = report["trees"].setdefault(kind, {})
    for run in owned:
        hit = kind == ENDS_ALL or run.node == host.node
        unowned = world.slots.gone(run.instance, run.epoch)
        said = verdict(run, world.struck, world.times.session, unowned, no_contact=hit and kind in NO_CONTACT)
        if hit:
            trees[said] = trees.get(said, 0) + 1
        if said == LATE:
            moment = f"{kind} ({host.node}) at {world.struck:.2f} s"
            found.append(f"{moment}: {run} outlived its lease; unowned at {unowned}")
    bound = world.times.bound + (lasted + world.times.session if kind == ENDS_ALL else 0.0)
    free_for = [f"a slot was free for {gap:.1f} s; pressure {busy:.0%}" for gap in gaps if gap > bound]
    late = [f"{kind} ({host.node}): {text}" for text in free_for]
    for text in (*found, *late):
        say(f"  {text}")
    report["late"] += late
    report["violations"] += found


def _followed(runs: list[Run], run: Run) -> tuple[Run | None]:
    return (next((one for one in runs if one.instance == run.instance and one.begin > run.begin), None),)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def place_of_hosts(keep: Callable[[], object] = bool, say: Callable[[str], None] = print) -> Iterator[Path]:
    """A folder for files and logs of all hosts; `keep`: whether it is left for a look into the logs."""
    place = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        yield place
    finally:
        if keep():
            say(f"logs, and what was seen of each run: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
