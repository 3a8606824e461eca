"""The agent's process: the real agent, in the main loop of cluster/process.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.knowledge import STALE
from supervisor.core.cluster.lease import MARGIN
from supervisor.core.cluster.local import Local
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.pushes import Pushes, There
from supervisor.core.cluster.requests import MEMBERS, Answer, Request
from supervisor.core.services.lease_gate import Told
from tests.simulation.cluster.connection import Connection, given_up
from tests.simulation.cluster.processes import Process

if TYPE_CHECKING:
    from tests.simulation.cluster.host import Host


NOBODY = There({}, frozenset())


class AgentProcess(Process):
    def __init__(self, host: Host) -> None:
        super().__init__(host)
        kept = host.session_file
        self.mark = kept[1] if kept else f"{host.node}:{self.world.serial()}"
        self.agent = Agent(host.settings, self.mark, host.now())
        self.pushes = Pushes(host.node, "" if self.world.pushes else "there are none")
        self._behind, self._able, self._heard_at = "", False, -1e9
        self.connection = Connection(self, kept[0] if kept else 0)
        self._out: tuple[int, Request, float] | None = None
        self._renewed: dict[tuple[str, int], float] = {}
        self._silent_until = host.now() + (self.world.granted if kept else 0.0)
        self._said: Any = None
        self._said_at = -1e9
        self._dead_man = host.dead_man
        self._daemon = None if not host.daemon.alive else host.daemon
        if self._daemon is not None:
            self._daemon.post(("agent came",))
        self.wake(self.world.now)

    def die(self) -> None:
        if self.alive:
            self.connection.close()
        super().die()

    def turn(self) -> None:
        host, agent = self.host, self.agent
        now = host.now()
        if self._daemon is not host.daemon and host.daemon.alive:
            self._daemon, self._said = host.daemon, None
            self._daemon.post(("agent came",))
        if self._dead_man is not host.dead_man and host.dead_man.alive:
            self._dead_man = host.dead_man
            self._renewed.clear()
        for event in self.take():
            match event:
                case ("connected", session):
                    agent.connected(session, self.world.granted)
                    self.pushes.connected()
                    self._out = None
                    host.session_file = (session, self.mark)
                case ("disconnected",):
                    agent.disconnected()
                    self.pushes.disconnected()
                    self._out = None
                case ("expired",):
                    agent.expired()
                    self.pushes.disconnected()
                    self._out = None
                case ("answered", number, answer):
                    if self._out is not None and number == self._out[0]:
                        self._out = None
                        self._answered(answer, now)
                case ("changed", verb, path):
                    if not self.pushes.changed(verb, path):
                        agent.changed(verb, path)
                case ("daemon", local, said):
                    self.pushes.told(*said)
                    self._heard_at, self._able = now, local.able
                    self._tell_agent(local, now)
                case ("dead-man", "gone", name, epoch, _):
                    agent.ended(self.world.slot(name), int(epoch))
                case ("ask", node, sent):
                    seconds = agent.promise(node, now)
                    if seconds:
                        self.world.observer.promised(host, node, host.world_time(now + seconds))
                        self.world.direct(host, node, ("promise", host.node, sent, seconds))
                case ("promise", node, sent, seconds):
                    agent.promised(node, sent, seconds, now)
        if self._out is not None and now - self._out[2] >= self.world.request_timeout:
            _, request, sent = self._out
            self._out = None
            self._answered(given_up(request, sent), now)
            self.connection.drop()
        if self._out is None:
            self._judge_version(now)
            there, pushes = self._there(), self.pushes
            first = pushes.next_request(there, now) if pushes.unread else None
            asked = first or agent.next_request(now) or pushes.next_request(there, now)
            if asked is not None:
                self.world.observer.asked(host, asked)
                self._out = self.connection.send(asked), asked, now
        for node in agent.hosts_to_ask(now):
            self.world.direct(host, node, ("ask", host.node, now))
        self._tell(now)
        if self._out is not None:
            self.wake_local(self._out[2] + self.world.request_timeout)
        elif agent.contact is not None and agent._connected:
            self.wake_local(max(now, agent.contact.sent + self.world.contact_interval))
        away = self.world.failsafe and "failsafe" in agent.problems
        self.wake_local(now + self.world.contact_interval / (2 if away else 1))

    def _answered(self, answer: Answer, now: float) -> None:
        self.agent.answered(answer, now)
        self.pushes.answered(answer, now)

    def _tell_agent(self, local: Local, now: float) -> None:
        self._behind = self.pushes.behind()
        limited = replace(local, able=False, reason=self._behind) if self._behind and local.able else local
        self.agent.told(limited, now)

    def _judge_version(self, now: float) -> None:
        local, spoke = self.agent.local, now - self._heard_at <= STALE * self.world.contact_interval
        if local is not None and spoke and self._able and self.pushes.behind() != self._behind:
            self._tell_agent(replace(local, able=True, reason=""), self._heard_at)

    def _there(self) -> There:
        facts, node = self.agent.facts, self.host.node
        if not self.world.pushes:
            return NOBODY
        read = {one: facts.nodes.get(f"{MEMBERS}/{one}") for one in facts.members()}
        own = facts.nodes.get(f"{MEMBERS}/{node}")
        doubled = own is None or own.session != self.agent.session
        members = {one: found.created for one, found in read.items() if found is not None}
        return There(members, frozenset(facts.hosts()), doubled, self.agent.doubled())

    def _tell(self, now: float) -> None:
        """Leases go to the daemon, and renewals to the dead-man."""
        agent, host = self.agent, self.host
        leases = agent.leases(now)
        if agent.knows or now >= self._silent_until:
            node = host.node
            owners = agent.owners()
            told = Told(
                node, {Slot(one.service, one.slot): one for one in leases},
                {slot: owner for slot, owner in owners.items() if owner != node}, agent.done(),
            )  # fmt: skip
            pushed = self.pushes.word(self._there()) if self.world.pushes else None
            news = (told, pushed, self.pushes.outcomes())
            if (news != self._said or now - self._said_at >= self.world.contact_interval) and self._daemon is not None:
                self._said, self._said_at = news, now
                believe = agent.contact.granted - MARGIN if agent.contact is not None else 0.0
                outcomes = frozenset(one["id"] for one in (*agent.orders.outcomes(), *self.pushes.outcomes()))
                self._daemon.post(("word", told, believe, outcomes, now, pushed))
        for one in leases:
            name = self.world.name(Slot(one.service, one.slot))
            if self._renewed.get((name, one.epoch)) != one.kill_at and self._dead_man.alive:
                self._renewed[name, one.epoch] = one.kill_at
                self._dead_man.post((["renew", name, str(one.epoch), repr(one.kill_at)], self))
            self.world.observer.leased(host, one)
