"""The agent's main loop: ZooKeeper's events and the messages of daemon and dead-man go in, requests and leases go out.

One thread decides.  kazoo's threads only post events; a request is waited for no longer than `request_timeout`, and
the connection is then made again, because a client that asks often never notices by itself that its server is gone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor import heartbeat
from supervisor.adapters.zookeeper.client import Options, Session, ZooKeeper, now
from supervisor.adapters.zookeeper.events import Answered, Changed, Connected, Disconnected, Event, Expired
from supervisor.cluster.beat_packet import key_of
from supervisor.cluster.beats import Beats
from supervisor.cluster.packets import KNOCK, Packets
from supervisor.cluster.session_file import Kept, SessionFile
from supervisor.core.cluster import push_word, word
from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.budget import fitted
from supervisor.core.cluster.holding import FAILSAFE
from supervisor.core.cluster.knowledge import STALE
from supervisor.core.cluster.local import Local, Settings
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.pushes import Pushes, There, untrusted
from supervisor.core.cluster.requests import MEMBERS, Answer, Request, Result
from supervisor.core.cluster.share import host_number

if TYPE_CHECKING:
    from supervisor.core.model.cluster_spec import ClusterSpec

TICK = 0.5
"""Seconds that the loop waits at most."""
ENDING, CLOSING = 3.0, 1.0
"""Seconds that an agent that ends takes to give slots back, and to end its session."""


class Process:
    """`run` returns when the agent has ended; its exit code."""

    def __init__(self, spec: ClusterSpec, runtime_dir: str, version: str, mark: str) -> None:
        """`mark`: unique, used where no earlier agent's session goes on.  OperationFailed."""
        self._spec = spec
        self._events: deque[Event] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._file = SessionFile(f"{runtime_dir}/cluster-session.json")
        kept = self._file.read(spec.hosts, spec.node)
        self._kept = kept or Kept(spec.hosts, spec.node, mark)
        address = f"{spec.address[0]}:{spec.address[1]}" if spec.address else ""
        self._beats: Beats | None = None
        refused = key = ""
        if spec.address is not None and host_number(spec.address[0]):
            key = key_of(self._kept.mark, _boot())
            try:
                self._beats = Beats(
                    spec.node, spec.address, key, spec.detect_within, spec.session_timeout,
                    lambda node, moment: self.agent.promise(node, moment),
                    lambda node, sent, seconds, moment: self.agent.promised(node, sent, seconds, moment),
                )  # fmt: skip
            except OSError as error:
                refused = f"no heartbeats to other hosts: {address}: {error.strerror}"
        self.agent = Agent(
            Settings(
                spec.node, address, version, dict(spec.labels),
                spec.contact_interval, spec.request_timeout, spec.tick_time,
                key if self._beats is not None else "", spec.session_timeout if spec.failsafe else 0.0,
            ),
            self._kept.mark, now(),
        )  # fmt: skip
        self._pushes = Pushes(spec.node, untrusted(spec.hosts, spec.credentials_file, spec.certificate))
        if refused:
            self.agent.problems["heartbeats"] = refused
        options = Options(
            spec.hosts, spec.session_timeout, spec.request_timeout,
            spec.credentials_file, spec.ca_file, spec.certificate, spec.private_key,
        )  # fmt: skip
        self._zookeeper = ZooKeeper(options, self.post, Session(kept.session, kept.password) if kept else None)
        self._daemon, self._dead_man = Packets(f"{runtime_dir}/cluster.sock"), Packets(f"{runtime_dir}/deadman.sock")
        self._asked_at = 0.0
        self._out: tuple[int, Request, float] | None = None
        self._names: dict[Slot, str] = {}
        self._renewed: dict[tuple[str, int], float] = {}
        self._said, self._said_at = b"", -1e9
        self._able, self._behind = False, ""
        self._safe = ""
        self._heard_at, self._began = -1e9, now()
        self._since, self._state = now(), ""
        self._silent_until = self._since + (spec.session_timeout if kept else 0.0)
        self._end_at: float | None = None
        self._term = False

    def post(self, event: Event) -> None:
        """From any thread."""
        self._events.append(event)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """End in order; from a signal handler, too."""
        self._term = True
        os.eventfd_write(self._wake, 1)

    def run(self) -> int:
        """Until it has ended."""
        self._zookeeper.start()
        heartbeat.ready()
        while True:
            self._wait()
            heartbeat.beat()
            moment = now()
            self._take_events(moment)
            self._hear(moment)
            self._give_up(moment)
            self._ask(moment)
            self._ask_hosts(moment)
            self._tell(moment)
            self._renew()
            over = self._zookeeper.check()
            if over is not None:
                say(f"the connection to ZooKeeper is given up: {over.reason}")
                return 1
            if self._heard_at < 0 and moment - self._began > self._spec.session_timeout:
                say("the daemon has said nothing: the session is left, so that other hosts take the slots")
                return 1  # nothing was renewed for so long: what ran under an earlier agent has ended with its lease
            if self._term and self._may_end(moment):
                self._end()
                return 0

    # -- what comes --------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until something has come, or may be due."""
        moment, longest = now(), min(TICK, self._spec.contact_interval)
        if self._out is not None:
            longest = min(longest, self._out[2] + self._spec.request_timeout - moment)
        elif (due := self.agent.contact_due(self._asked_at)) is not None:
            longest = min(longest, due - moment)
        if self._daemon.fileno() < 0 or self._dead_man.fileno() < 0:
            longest = min(longest, KNOCK)
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for one in (self._daemon, self._dead_man):
            if one.fileno() >= 0:
                poll.register(one.fileno(), select.POLLIN)
        if self._beats is None:
            poll.poll(max(1.0, 1000.0 * longest))
        else:
            self._beat_while(poll, self._beats, moment + longest)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _beat_while(self, poll: select.poll, beats: Beats, until: float) -> None:
        """Wait for anything but heartbeats, of which only a new suspicion, or the end of one, concerns the others."""
        poll.register(beats.fileno(), select.POLLIN)
        changed, ready = False, set[int]()
        while not changed and not ready - {beats.fileno()} and (left := until - now()) > 0:
            ready = {found for found, _ in poll.poll(max(1.0, 1000.0 * min(left, beats.due - now())))}
            facts = self.agent.facts
            beats.members(facts.members() if self.agent.knows else {}, now(), facts.hosts())
            changed = beats.turn(now())

    def _take_events(self, moment: float) -> None:
        while self._events:
            event = self._events.popleft()
            match event:
                case Connected():
                    self.agent.connected(event.session, event.granted)
                    self._pushes.connected()
                    self._out = None
                    self._keep(event)
                case Disconnected():
                    self.agent.disconnected()
                    self._pushes.disconnected()
                    self._out = None
                case Expired():
                    self.agent.expired()
                    self._pushes.disconnected()
                    self._out = None
                case Answered() if self._out is not None and event.number == self._out[0]:
                    self._out = None
                    self._answered(event.answer, moment)
                case Changed():
                    self._changed(event)

    def _changed(self, event: Changed) -> None:
        if not self._pushes.changed(event.verb, event.path):
            self.agent.changed(event.verb, event.path)

    def _keep(self, event: Connected) -> None:
        """So that the next agent goes on with this session."""
        kept = self._kept._replace(session=event.session, password=event.password)
        if kept == self._kept:
            return
        self._kept = kept
        try:
            self._file.write(kept)
        except OSError as error:
            say(f"the session cannot be kept for the next agent: {error}")

    def _hear(self, moment: float) -> None:
        if self._daemon.connect(moment):
            self._said = b""
        for packet in self._daemon.packets():
            try:
                answer = json.loads(packet)
                local, names = word.local(answer), word.tree_names(answer)
                push_word.hear(self._pushes, answer)
            except (ValueError, TypeError, KeyError) as error:
                say(f"the daemon said what cannot be read: {type(error).__name__} {error}")
                continue
            self._names, self._heard_at, self._able = names, moment, local.able
            self._tell_agent(local, moment)
        if self._dead_man.connect(moment):
            self._renewed.clear()
        for packet in self._dead_man.packets():
            words = packet.decode(errors="replace").split()
            if len(words) == 4 and words[0] == "gone" and words[2].isdigit():
                slot = next((one for one, name in self._names.items() if name == words[1]), None)
                if slot is not None:
                    self.agent.ended(slot, int(words[2]))

    # -- what goes ---------------------------------------------------------------------------------------------------

    def _give_up(self, moment: float) -> None:
        """The request may have been carried out, or still be: the core treats it so."""
        if self._out is not None and moment - self._out[2] >= self._spec.request_timeout:
            _, request, sent = self._out
            self._out = None
            self._answered(Answer(request, Result.UNKNOWN, sent, reason="no answer in time"), moment)
            self._zookeeper.drop()

    def _ask(self, moment: float) -> None:
        if self._out is None:
            self._asked_at = moment
            self._judge_version(moment)
            there, pushes, agent = self._there(), self._pushes, self.agent
            first = pushes.next_request(there, moment) if pushes.unread else None
            request = first or agent.next_request(moment) or pushes.next_request(there, moment)
            if request is not None:
                self._out = self._zookeeper.send(request), request, moment

    def _ask_hosts(self, moment: float) -> None:
        """What the leases of this host need while ZooKeeper is away."""
        asked = self.agent.hosts_to_ask(moment)
        if self._beats is not None:
            self._beats.ask(asked, moment)
        said = self.agent.problems.get(FAILSAFE, "")
        if said != self._safe:
            self._safe = said
            say(said or "ZooKeeper answers again, or there is nothing to keep: failsafe is over")

    def _answered(self, answer: Answer, moment: float) -> None:
        """Whichever of both has asked takes it."""
        self.agent.answered(answer, moment)
        self._pushes.answered(answer, moment)

    def _tell_agent(self, local: Local, moment: float) -> None:
        """A host that does not run the configuration in force takes no slot, whatever its daemon could do."""
        self._behind = self._pushes.behind()
        limited = replace(local, able=False, reason=self._behind) if self._behind and local.able else local
        self.agent.told(limited, moment)

    def _judge_version(self, moment: float) -> None:
        """What was read changes that at once, so that no slot is taken or given back by a word from before.  A daemon
        that is silent gets no other one."""
        local, spoke = self.agent.local, moment - self._heard_at <= STALE * self._spec.contact_interval
        if local is not None and spoke and self._able and self._pushes.behind() != self._behind:
            self._tell_agent(replace(local, able=True, reason=""), self._heard_at)

    def _there(self) -> There:
        """The hosts, as the agent has read them."""
        members = {}
        for node in self.agent.facts.members():
            read = self.agent.facts.nodes.get(f"{MEMBERS}/{node}")
            if read is not None:
                members[node] = read.created
        own = self.agent.facts.nodes.get(f"{MEMBERS}/{self._spec.node}")
        doubled = own is None or own.session != self.agent.session
        return There(members, frozenset(self.agent.facts.hosts()), doubled, self.agent.doubled())

    def _tell(self, moment: float) -> None:
        """The daemon hears of each change at once, and that the agent lives each contact interval.

        An agent that goes on with a session says nothing before it has read what that holds: what runs under it would
        be stopped.  Meanwhile the leases that the daemon has heard of run on, and they are over with the session."""
        if not self.agent.knows and moment < self._silent_until:
            return
        away = self.agent.away(moment)
        state = f"{away} {self.agent.refused()} {self.agent.session}"
        if state != self._state:
            self._state, self._since = state, moment
        suspicion = self._beats.suspicion if self._beats is not None else None
        told = word.word(self.agent, moment, self._since, self._zookeeper.reason, suspicion)
        told["outcomes"] += self._pushes.outcomes()
        pushed = self._pushes.word(self._there())
        if pushed is not None:
            told["pushed"] = pushed
        told = fitted(told)
        same = json.dumps({**told, "at": 0}).encode()
        due = same != self._said or moment - self._said_at >= self._spec.contact_interval
        if due and self._daemon.send(json.dumps(told, separators=(",", ":")).encode()):
            self._said, self._said_at = same, moment

    def _renew(self) -> None:
        for one in self.agent.leases(now()):
            name = self._names.get(Slot(one.service, one.slot))
            if name is None or self._renewed.get((name, one.epoch)) == one.kill_at:
                continue
            if self._dead_man.send(f"renew {name} {one.epoch} {one.kill_at:.6f}".encode()):
                self._renewed[name, one.epoch] = one.kill_at

    # -- the end -----------------------------------------------------------------------------------------------------

    def _may_end(self, moment: float) -> bool:
        """What is to be given back has been given back, by what the daemon has said since the end was wanted."""
        if self._end_at is None:
            self.agent.ending = True
            self._end_at, self._ending_since = moment + ENDING, moment
            self._said = b""
            return False
        heard = self._heard_at > self._ending_since or self._daemon.fileno() < 0
        return moment >= self._end_at or (heard and self._out is None and self.agent.settled(moment))

    def _end(self) -> None:
        """End the session only if it holds nothing: what runs under it goes on, for the next agent."""
        heartbeat.stopping()
        if self.agent.holds() or not self.agent.session:
            return
        self._file.remove()
        closing = threading.Thread(target=self._zookeeper.close, daemon=True)
        closing.start()
        closing.join(CLOSING)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def say(text: str) -> None:
    """To the log of the agent."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def handle_signals(stop: Callable[[], None]) -> None:
    """End in order at TERM and INT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())
