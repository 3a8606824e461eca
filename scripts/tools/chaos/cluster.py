"""Random faults in a cluster of three hosts, each in a network namespace of its own with a ZooKeeper server.

An exclusive service and a spread one tell an observer of each run: when it began, under what epoch, and when the last
process of its tree had ended, by one clock.  A violation is two runs of a slot at a time, an epoch that does not grow,
a slot that is free for longer than it may be, or one that never comes back.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from scripts.tools.chaos.cluster_network import NODES, Network
from scripts.tools.chaos.cluster_observer import Observer, Run
from scripts.tools.chaos.private_daemon import JSON, ROOT, tell
from supervisor.client import Client
from supervisor.errors import SupervisorError

JAR = Path("/usr/share/java/zookeeper.jar")
SESSION, TICK, STOP, CONTACT, REQUEST = 10.0, 2.0, 2.0, 1.0, 2.0
BOUND = SESSION + 2 * TICK + STOP + CONTACT
"""Seconds for which a slot may be free although two hosts reach each other."""
LASTS = 1.5 * SESSION
"""Seconds of a fault that does not end by itself: longer than the session."""
SETTLED_WITHIN = 90.0
LOOPS, KNOWN_AFTER = 8, 2.0
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
session_timeout = "{session}s"
[services.scheduler]
command = ["{python}", "{program}", "{place}/observer.sock", "{place}/lock"]
stop_timeout = "{stop}s"
placement = {{ mode = "one" }}
[services.web]
command = ["{python}", "{program}", "{place}/observer.sock", "{place}/lock"]
stop_timeout = "{stop}s"
placement = {{ mode = "spread", instances = 2 }}
"""


class Host:
    """One member: its daemon and its ZooKeeper server."""

    def __init__(self, network: Network, node: str, place: Path) -> None:
        self.network, self.node, self.place = network, node, place / node
        self.place.mkdir()
        self.daemon: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None
        (self.place / "zk").mkdir()
        (self.place / "zk" / "myid").write_text(f"{NODES.index(node) + 1}\n")
        lines = [
            f"tickTime={1000 * TICK:.0f}", f"dataDir={self.place}/zk", "clientPort=2181", "initLimit=10", "syncLimit=5",
            "admin.enableServer=false", "4lw.commands.whitelist=srvr", "preAllocSize=64",
            *(f"server.{n + 1}={network.address[one]}:2888:3888" for n, one in enumerate(NODES)),
        ]  # fmt: skip
        (self.place / "zoo.cfg").write_text("\n".join(lines) + "\n")
        hosts = ",".join(f"{network.address[one]}:2181" for one in NODES) + "/chaos"
        program = ROOT / "scripts" / "tools" / "chaos" / "placed_program.py"
        (self.place / "services.toml").write_text(
            TOML.format(
                node=node, place=place, hosts=hosts, address=network.address[node], session=f"{SESSION:g}",
                stop=f"{STOP:g}",
                python=sys.executable, program=program,
            )
        )  # fmt: skip

    def start_server(self) -> None:
        if self.server is None or self.server.poll() is not None:
            command = ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(JAR)]
            main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
            with (self.place / "zk.log").open("ab") as log:
                self.server = subprocess.Popen(
                    [*self.network.enter(self.node), *command, main, str(self.place / "zoo.cfg")],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
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
        subprocess.run(self.command("down"), capture_output=True, check=False, timeout=60)
        if self.daemon is not None:
            with suppress(subprocess.TimeoutExpired):
                self.daemon.wait(20)
            self.daemon.kill()
        self.stop_server()


class Cluster:
    """Three hosts, the faults, and what was seen."""

    def __init__(self, place: Path, network: Network, observer: Observer, dice: random.Random) -> None:
        self.network, self.observer, self.dice = network, observer, dice
        self.hosts = {node: Host(network, node, place) for node in NODES}

    def settle(self) -> str:
        """All is as it should be; or what is not, in time."""
        for host in self.hosts.values():
            host.start_server()
            host.start()
        deadline = time.monotonic() + SETTLED_WITHIN
        while time.monotonic() < deadline:
            running = {run.instance for run in self.observer.runs if run.gone is None}
            if running == set(SLOTS) and all(host.settled() for host in self.hosts.values()):
                return ""
            time.sleep(0.1)
        missing = sorted(set(SLOTS) - {run.instance for run in self.observer.runs if run.gone is None})
        words = {node: host.word().get("engine") for node, host in self.hosts.items()}
        return f"not settled after {SETTLED_WITHIN:g} s: {missing} do not run; {words}"

    def owner(self) -> str:
        return next(
            run.node for run in reversed(self.observer.runs) if run.instance == "scheduler" and run.gone is None
        )

    def victim(self) -> Host:
        """The owner in two of three cases."""
        return self.hosts[self.owner() if self.dice.random() < 2 / 3 else self.dice.choice(NODES)]

    # -- faults: each returns when it is over ------------------------------------------------------------------------

    def link_down(self, host: Host) -> None:
        with self.network.down(host.node):
            time.sleep(LASTS)

    def link_down_for_a_moment(self, host: Host) -> None:
        with self.network.down(host.node):
            time.sleep(self.dice.uniform(0.5, SESSION / 3))

    def pair_cut(self, host: Host) -> None:
        other = self.dice.choice([node for node in NODES if node != host.node])
        with self.network.unheard([(host.node, other), (other, host.node)]):
            time.sleep(LASTS)

    def one_direction(self, host: Host) -> None:
        others = [node for node in NODES if node != host.node]
        away = self.dice.random() < 0.5
        with self.network.unheard([(host.node, one) if away else (one, host.node) for one in others]):
            time.sleep(LASTS)

    def slow_link(self, host: Host) -> None:
        with self.network.slow(host.node):
            time.sleep(LASTS)

    def leader_killed(self, _: Host) -> None:
        leader = next((host for host in self.hosts.values() if host.leads()), None)
        if leader is not None:
            leader.stop_server()
            time.sleep(self.dice.uniform(1.0, 5.0))
            leader.start_server()

    def ensemble_down(self, _: Host) -> None:
        for host in self.hosts.values():
            host.stop_server()
        time.sleep(LASTS)
        for host in self.hosts.values():
            host.start_server()

    def killed(self, host: Host, names: tuple[str, ...]) -> None:
        """The daemon, if it lives, has seen it in the end: one that the next fault stops before that would start no
        other agent, which is another fault."""
        pids = host.pids(*names)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if "daemon" in names and host.daemon is not None:
            host.daemon.wait()
            time.sleep(LASTS)
            host.start()
            return
        while set(pids) & set(host.pids(*names)):
            time.sleep(0.05)

    def stopped(self, host: Host, names: tuple[str, ...]) -> None:
        pids = host.pids(*names)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(LASTS)
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def host_dies(self, host: Host) -> None:
        """The daemon first: what it misses it would start again."""
        mains = host.pids("daemon", "cluster-agent", "cluster-deadman", *SLOTS)
        every = [*mains, *(child for pid in mains for child in _children(pid))]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in every:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        host.stop_server()
        assert host.daemon is not None
        host.daemon.wait()
        time.sleep(LASTS)

    def busy(self, host: Host) -> None:
        """Loops in the namespace of one host; they take the processors from all."""
        with ExitStack() as stack:
            for _ in range(LOOPS):
                loop = subprocess.Popen([*self.network.enter(host.node), sys.executable, "-c", "while True: pass"])
                stack.callback(loop.wait)
                stack.callback(loop.kill)
            time.sleep(LASTS)

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
        return found


def needs() -> None:
    """SystemExit where something is missing."""
    if os.geteuid() != 0 or not JAR.exists() or not all(shutil.which(name) for name in ("java", "ip", "tc", "nsenter")):
        raise SystemExit("needs root, Debian's zookeeper, and ip, tc and nsenter")


def cluster(count: int, seed: int, say: Callable[[str], None], only: str = "") -> JSON:
    """`count` faults; `only`: of this kind."""
    needs()
    dice = random.Random(seed)
    report: JSON = {"faults": 0, "violations": [], "takeovers": {}, "drains": [], "seed": seed}
    with place_of_hosts() as place, Network() as network, Observer(place / "observer.sock") as observer:
        world = Cluster(place, network, observer, dice)
        try:
            if wrong := world.settle():
                raise SystemExit(wrong)
            kinds = world.faults()
            order: list[str] = []
            for number in range(count):
                if not order:
                    order = [only] if only else dice.sample(sorted(kinds), len(kinds))
                kind, host = order.pop(), world.victim()
                _one(world, kind, kinds[kind], host, report, say, number)
            for _ in range(max(1, count // 6)):
                _one(world, "drain", world.drain, world.hosts[world.owner()], report, say, -1)
        finally:
            for one in world.hosts.values():
                one.end()
        report["violations"] += observer.violations()
        report["runs"] = len(observer.runs)
    for name in ("drain", "host dies"):
        if taken := report["takeovers"].get(name):
            say(f"{name}: median {statistics.median(taken):.2f} s, worst {max(taken):.2f} s of {len(taken)}")
    return tell(report, say)


def _one(
    world: Cluster, kind: str, fault: Callable[[Host], None], host: Host, report: JSON, say: Callable[[str], None],
    number: int,
) -> None:  # fmt: skip
    owned = [run for run in world.observer.runs if run.gone is None]
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    fault(host)
    wrong = world.settle()
    free = [(run, *_followed(world.observer.runs, run)) for run in owned if run.gone is not None]
    gaps = [nxt.begin - (run.gone or 0.0) for run, nxt in free if nxt is not None]
    report["faults"] += number >= 0
    report["takeovers"].setdefault(kind, []).extend(round(gap, 2) for gap in gaps)
    left = ", ".join(
        f"{run.instance} ended after {(run.gone or 0.0) - began:.1f} s, free for {nxt.begin - (run.gone or 0.0):.2f} s"
        for run, nxt in free
        if nxt is not None
    )
    say(f"{number + 1:3} {kind} ({host.node}): {left or 'nothing ended'}")
    if wrong:
        report["violations"].append(f"{kind} ({host.node}): {wrong}")
    bound = BOUND + (LASTS + SESSION if kind == "ensemble down" else 0.0)
    report["violations"] += [f"{kind}: a slot was free for {gap:.1f} s" for gap in gaps if gap > bound]


def _followed(runs: list[Run], run: Run) -> tuple[Run | None]:
    return (next((one for one in runs if one.instance == run.instance and one.begin > run.begin), None),)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def place_of_hosts() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name:
        yield Path(name)
