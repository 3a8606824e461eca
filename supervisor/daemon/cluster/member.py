"""The daemon's part in a cluster: it runs what the agent's leases allow, after the dead-man has confirmed each tree.

The agent sends which slots this host holds, and until when; the answer is what the daemon has.  A lease goes to the
dead-man as soon as it arrives, with the mark that the processes of its epoch will carry in their environment, and
nothing is started before the dead-man has confirmed it.  So a tree is known before its first process runs, and ends
with its lease also where this daemon does not live to see that.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from supervisor.adapters.cluster.packets import PacketConnection, PacketListener, connect
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.core.cluster import budget
from supervisor.core.cluster.lease import MARGIN, Lease, Phase
from supervisor.core.cluster.placement import Slot
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.cluster_spec import PlacementMode
from supervisor.core.model.plain import to_plain
from supervisor.core.model.spec import ServiceSpec, ServiceType
from supervisor.core.services.lease_gate import Told, slot_of
from supervisor.daemon.cluster.balanced_hosts import BalancedHosts
from supervisor.daemon.cluster.orders import Orders, Pushes
from supervisor.daemon.cluster.pushed import PushedConfiguration
from supervisor.daemon.cluster.view.hosts import Hosts
from supervisor.daemon.cluster.view.record import OwnRecord
from supervisor.daemon.ordered_by import ordered_by
from supervisor.daemon.parts import Parts

if TYPE_CHECKING:
    from supervisor.adapters.http.messages import Peer
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.cluster_documents import (
        ClusterView,
        ClusterWord,
        NewOrder,
        OrderOutcome,
        PlacedInstance,
        PlacedService,
    )
    from supervisor.core.model.cluster_spec import ClusterSpec
    from supervisor.core.model.host_documents import HostDetail, HostsView
    from supervisor.core.model.push_documents import NewPush
    from supervisor.core.model.spec import Plan

BEAT, KNOCK = 1.0, 0.1
"""Seconds between two words to the dead-man, and between two attempts to reach it."""
PAUSED = 2.5 * BEAT
"""Seconds without a word to the dead-man, after which this daemon has not run for a while."""
UNANSWERED = 4
"""Beats without an answer of the dead-man, after which it is replaced: it stands still, and would kill nothing."""
DEAD_MAN = "cluster-deadman"
MARK = "SUPERVISOR_LEASE"
"""The variable by which the dead-man finds the processes of one lease."""


class Cluster:
    """Made with the first plan that has `[cluster]`."""

    def __init__(self, parts: Parts, spec: ClusterSpec) -> None:
        """OSError where the socket for the agent cannot be made."""
        self._parts, self._spec = parts, spec
        self._agent = PacketListener(f"{parts.runtime_dir}/cluster.sock", parts.loop, self._heard, self._tell)
        self._dead_man: PacketConnection | None = None
        self._known: dict[tuple[str, int], bool] = {}
        """The trees told to the dead-man, by instance and epoch, and whether it has confirmed them."""
        self._grouped: set[tuple[str, int]] = set()
        self._unanswered = 0
        self._said_at = parts.now()
        self._timer = parts.loop.call_at(parts.now(), self._beat)
        self._last = b""
        self._left_out: list[str] = []
        self._places: Told | None = None
        self._orders, self._pushes = Orders(), Pushes()
        self._own = OwnRecord(parts, self._tell)
        self._hosts = Hosts(parts, spec.node, self._own, self._orders, self._tell)
        self._pushed = PushedConfiguration(parts, self._tell)
        self.balanced = BalancedHosts(parts, spec)
        self._word: ClusterWord | None = None
        self._heard_at = 0.0
        self._ahead = _ahead(parts)
        """By how much CLOCK_BOOTTIME was ahead when the leases arrived.  It grows while the host sleeps: the end of a
        lease that is converted back by a later one would be later by the sleep."""
        self._believed = spec.session_timeout - MARGIN
        self._beat()

    # -- the agent -----------------------------------------------------------------------------------------------

    def review(self) -> None:
        """An instance has changed, or the plan: send the agent and the dead-man what they need of it."""
        self._tell_trees()
        self._own.review()
        if self._answer() != self._last:
            self._tell()

    def environment(self, instance: str) -> tuple[tuple[str, str], ...]:
        """What a process of an exclusive instance gets in addition."""
        epoch = self._parts.service_set.instances[instance].epoch
        return (
            ("SUPERVISOR_EPOCH", str(epoch)),
            (MARK, self._mark(epoch)),
            ("SUPERVISOR_NODE", self._spec.node),
        )

    def view(self) -> ClusterView:
        """The agent's last message."""
        age = None if self._word is None else round(self._parts.now() - self._heard_at, 3)
        return {"age_s": age, "word": self._word}

    def order(self, order: NewOrder) -> str:
        """Take an order for the agent; its number."""
        number = self._orders.take(order)
        self._tell()
        return number

    def push(self, push: NewPush, peer: Peer | None) -> str:
        """Take a push or an undo for the agent; its number."""
        giver = ordered_by(peer) if peer is not None else {}
        by = str(giver.get("user") or giver.get("uid", ""))
        number = self._pushes.take(push, by, self._parts.wall_clock())
        self._tell()
        return number

    def outcome(self, number: str) -> OrderOutcome | None:
        """What became of an order; None where that is not known yet."""
        return self._orders.outcome(number) or self._pushes.outcome(number)

    def reloaded(self) -> None:
        """A person has ordered a reload, which was carried out."""
        self._pushed.reloaded()

    def current(self, plan: Plan) -> bool:
        """Whether a plan was compiled from the version of the configuration that this host keeps now."""
        return self._pushed.current(plan)

    def problems(self) -> list[str]:
        """The problems of the version of the configuration that this host runs."""
        return self._pushed.problems()

    def hosts(self, done: Callable[[HostsView], None]) -> None:
        """What all hosts have published; `done` is called when that was read, or was not read in time."""
        self._hosts.all(self._word, self._heard_at, done)

    def host(self, node: str, done: Callable[[HostDetail], None]) -> None:
        """The same of one host, with its record."""
        self._hosts.one(node, self._word, done)

    def close(self) -> None:
        """Leave the sockets; the dead-man goes on with what it knows."""
        self._own.close()
        self._hosts.close()
        self._agent.close()
        if self._dead_man is not None:
            self._dead_man.close()

    def _heard(self, packet: bytes) -> None:
        """The agent's word.  What is no sense is not followed: leases then end by themselves."""
        try:
            word: ClusterWord = json.loads(packet)
            told = told_by(word, ahead := _ahead(self._parts))
            believed = float(word["believe_s"]) or self._believed  # 0: no session, so that there is no lease either
            self._orders.ended(word["outcomes"])
            self._pushes.ended(word["outcomes"])
            pushed = word.get("pushed")
        except (ValueError, TypeError, KeyError) as error:
            self._parts.say("warning", f"the cluster agent said what cannot be read: {error!r}")
            return
        self._word, self._heard_at, self._ahead = word, self._parts.now(), ahead
        self.balanced.hear(word)
        if self._heard_at - self._said_at > PAUSED:
            # This daemon was stopped: what the dead-man has killed since then has to arrive before anything starts.
            self._known = dict.fromkeys(self._known, False)
            self._guard()
            self._say_beat()
        if believed != self._believed:
            self._believed = believed
            self._say_beat()  # before anything is started that lives as long
        self._parts.engine.order(self._parts.service_set.lease(told, self._parts.now()))
        self._forget_ended()
        self._watch_leases(told)
        if replace(told, leases={}) != self._places:  # what runs elsewhere is no part of this host's summary
            self._places = replace(told, leases={})
            self._own.review()
        self._pushed.heard(pushed)
        self._tell()

    def _tell(self) -> None:
        self._last = self._answer()
        self._agent.send(self._last)

    def _answer(self) -> bytes:
        """What this daemon has: the placed services with their rules, and what is there of each slot."""
        service_set = self._parts.service_set
        services: list[PlacedService] = []
        present: list[PlacedInstance] = []
        for spec in service_set.plan.services:
            if spec.exclusive:
                instances = [service_set.instances[name] for name in spec.instances]
                services.append(placed(spec, wanted=any(may_run(i) for i in instances)))
                present += [_present(i) for i in instances]
        reason = "its daemon is ending" if service_set.closing else ""
        if not reason and self._dead_man is None:
            reason = "its dead-man process is not there"
        answer = {
            "heard": self._word["at"] if self._word is not None else 0.0,
            "able": not reason,
            "reason": reason,
            "services": services,
            "instances": present,
            "orders": self._orders.open(),
            "pushed": self._pushed.answer(),
            "share": self.balanced.share(),
        }
        own = json.dumps(answer, separators=(",", ":"))  # a ClusterAnswer, whose last parts are JSON already
        pushes = self._pushes.open()
        push = json.dumps(pushes[0], separators=(",", ":")) if pushes else ""
        text, left_out = budget.answer(own, push, self._own.status, self._own.incidents)
        if pushes and budget.PUSH in left_out:
            error = "the file does not fit in one message beside all else that this host tells its agent"
            self._pushes.ended([{"id": pushes[0]["id"], "done": False, "error": error}])
        if left_out != self._left_out:
            self._left_out = left_out
            if left_out:
                self._parts.say("warning", f"the cluster agent is not told everything: left out: {', '.join(left_out)}")
        return text.encode()

    # -- the dead-man --------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        if self._dead_man is None:
            self._knock()
        elif self._unanswered >= UNANSWERED:
            self._replace_dead_man()
        else:
            self._say_beat()
        self._timer.cancel()
        wait = KNOCK if self._dead_man is None else BEAT
        self._timer = self._parts.loop.call_at(self._parts.now() + wait, self._beat)

    def _knock(self) -> None:
        """Reach the dead-man, and let it know all trees."""
        path = f"{self._parts.runtime_dir}/deadman.sock"
        self._dead_man = connect(path, self._parts.loop, self._dead_man_said, self._dead_man_lost)
        if self._dead_man is None:
            return
        self._known.clear()
        self._grouped.clear()
        self._unanswered = 0
        self._say_beat()  # first: a tree of a daemon that has said nothing is killed
        gate = self._parts.service_set.roster.gate
        if gate is not None and gate.told is not None:
            self._watch_leases(gate.told)
        self._tell_trees()

    def _say_beat(self) -> None:
        sent = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._dead_man is not None and self._dead_man.send(f"beat {self._believed:.3f} {sent:.6f}".encode()):
            self._unanswered += 1
            self._said_at = self._parts.now()
            self._dead_man.send(b"trees")  # to be answered

    def _replace_dead_man(self) -> None:
        """A process that is stopped is held by the rules of heartbeats, but this one must not stand still."""
        process = self._parts.processes.by_instance.get(DEAD_MAN)
        if process is not None:
            self._parts.say("warning", f"{DEAD_MAN} has not answered {self._unanswered} times: it is replaced")
            process.tree.kill()
        self._unanswered = 0

    def _dead_man_lost(self) -> None:
        self._dead_man = None
        self._timer.cancel()  # the next one is to know the trees soon
        self._timer = self._parts.loop.call_at(self._parts.now() + KNOCK, self._beat)
        self._known.clear()
        self._guard()

    def _dead_man_said(self, packet: bytes) -> None:
        self._unanswered = 0
        words = packet.decode(errors="replace").split()
        if len(words) >= 3 and words[0] in ("watched", "gone"):
            key = words[1], int(words[2])
            if words[0] == "watched" and key in self._known:
                self._known[key] = True
                self._guard()
            elif words[0] == "watched":
                self._forget(key)  # of an earlier daemon, or of a lease before this one
            elif words[0] == "gone":
                killed, known = words[3:] == ["killed"], self._known.pop(key, None) is not None
                if killed and known:
                    self._parts.say("warning", f"the lease of {key[0]} was over: the dead-man process killed it")
                self._grouped.discard(key)
                self._guard()  # it is not started again before the dead-man knows it again
                if killed:  # one that has ended was forgotten before that
                    self._forget(key)
                    self._parts.engine.order(self._parts.service_set.ended_with_lease(*key, self._parts.now()))

    def _forget(self, key: tuple[str, int]) -> None:
        """Let the dead-man forget a tree of which this daemon has nothing.  Until then it kills what appears of it."""
        name, epoch = key
        instance = self._parts.service_set.instances.get(name)
        if self._dead_man is not None and not (instance is not None and instance.alive and instance.epoch == epoch):
            self._dead_man.send(f"forget {name} {epoch}".encode())

    def _guard(self) -> None:
        """Nothing starts under a new epoch before the dead-man has forgotten what ran under the one before."""
        parts = self._parts
        first: dict[str, int] = {}
        for name, epoch in self._known:
            first[name] = min(epoch, first.get(name, epoch))
        guarded = frozenset(key for key, confirmed in self._known.items() if confirmed and first[key[0]] == key[1])
        parts.engine.order(parts.service_set.guard(guarded, parts.now()))

    def _watch_leases(self, told: Told) -> None:
        """Let the dead-man know each lease before anything is started under it.

        Not one that is over: the dead-man would kill at once what starts when the lease is renewed in that moment."""
        instances, now = self._parts.service_set.instances, self._parts.now()
        for slot, lease in told.leases.items():
            spec = self._parts.service_set.plan.service(slot.service)
            if spec is None or slot.number >= len(spec.instances) or lease.phase(now) is Phase.KILL:
                continue
            name = spec.instances[slot.number]
            if (name, lease.epoch) not in self._known and name in instances:
                self._watch(name, lease.epoch, lease.kill_at)

    def _tell_trees(self) -> None:
        """Give the dead-man the control groups of what runs, and let it forget what has ended."""
        gate = self._parts.service_set.roster.gate
        if self._dead_man is None or gate is None:
            return
        for name, instance in self._parts.service_set.instances.items():
            if not instance.spec.exclusive or not instance.epoch:
                continue
            key, kill_at = (name, instance.epoch), gate.kill_at(instance)
            process = self._parts.processes.by_instance.get(name)
            if instance.alive and process is not None and key not in self._grouped:
                tree = process.tree
                group = tree.path if isinstance(tree, CgroupTree) else ""
                if group or key not in self._known:
                    self._watch(name, instance.epoch, kill_at, group)
                self._grouped.add(key)
        self._forget_ended()

    def _forget_ended(self) -> None:
        """Let the dead-man forget each tree that has ended and has no lease: the next run may be in its control group,
        and would be killed at the end of the lease before."""
        gate, instances = self._parts.service_set.roster.gate, self._parts.service_set.instances
        for name, epoch in [key for key, confirmed in self._known.items() if confirmed]:
            held = gate.epoch(instances[name]) if gate is not None and name in instances else 0
            if epoch != held:
                self._forget((name, epoch))

    def _watch(self, name: str, epoch: int, kill_at: float | None, group: str = "") -> None:
        """`kill_at` None: an earlier daemon started it, and the end of its lease is not known here.

        The dead-man then keeps the end that it knows, and kills at once what it does not know."""
        if self._dead_man is None:
            return
        mark = f"{MARK}={self._mark(epoch)}"
        descriptors: list[int] = []
        with suppress(OSError):
            if group:
                descriptors.append(os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._known.setdefault((name, epoch), False)
        moment = 0.0 if kill_at is None else kill_at + self._ahead
        self._dead_man.send(f"watch {name} {epoch} {moment:.6f} {mark}".encode(), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _mark(self, epoch: int) -> str:
        return f"{self._parts.id}:{epoch}"


_OWN_TO_A_HOST: dict[str, Any] = {
    "unresolved": (),
    "environment": (),
    "directory": None,
    "user": None,
    "group": None,
    "extra_groups": None,
}
"""What the rules of the same file are without: it may differ by host."""


def _ahead(parts: Parts) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - parts.now()


def told_by(word: ClusterWord, ahead: float) -> Told:
    """Takes a message of the agent.  `ahead`: by how much CLOCK_BOOTTIME is ahead of the monotonic clock, in seconds.

    ValueError, TypeError or KeyError where it is none."""
    leases = {}
    for one in word["leases"]:
        slot = Slot(str(one["service"]), int(one["slot"]))
        moments = (float(one["start_at"]) - ahead, float(one["stop_at"]) - ahead, float(one["kill_at"]) - ahead)
        leases[slot] = Lease(*slot, int(one["epoch"]), *moments, bool(one["released"]))
    return Told(
        str(word["node"]),
        leases,
        {Slot(str(one["service"]), int(one["slot"])): str(one["node"]) for one in word["elsewhere"]},
        frozenset(word["completed"]),
        {Slot(str(one["service"]), int(one["slot"])): str(one["reason"]) for one in word["nowhere"]},
    )


def placed(spec: ServiceSpec, *, wanted: bool) -> PlacedService:
    """A placed service, for the agent.  Its digest is the same on hosts whose rules for it are the same."""
    placement = spec.placement
    rules = json.dumps(to_plain(replace(spec, **_OWN_TO_A_HOST)), sort_keys=True)
    return {
        "service": spec.name,
        "mode": "one" if placement.mode is PlacementMode.ONE else "spread",
        "instances": placement.instances,
        "require": dict(placement.require),
        "prefer": dict(placement.prefer),
        "apart": placement.apart,
        "digest": sha256(rules.encode()).hexdigest()[:16],
        "stop_timeout": spec.longest_stop,
        "wanted": wanted,
        "completes": spec.type is ServiceType.ONESHOT,
    }


def may_run(instance: Instance) -> bool:
    """This host is to run it, so far as it can: a service that has failed here is tried on another host."""
    return instance.goal is Goal.UP and instance.maintenance is None and instance.state is not State.FAILED


def _present(instance: Instance) -> PlacedInstance:
    slot = slot_of(instance)
    return {
        "name": instance.name,
        "service": slot.service,
        "slot": slot.number,
        "epoch": instance.epoch,
        "gone": not instance.alive,
        "completed": instance.state is State.EXITED and instance.cause is Cause.SUCCEEDED,
        "ready": instance.ready,
    }
