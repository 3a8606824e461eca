"""The balancer: drives HAProxy by the rules of slots, as one of the daemon's own services.

After each turn in which an instance has changed, what is wanted is compared with the slots, the file is written, and
commands go to HAProxy.  Looks read back its state: often while a slot is being drained, else at the interval of its
heartbeat, because an answer of its worker is the beat of the service.  Nothing here waits.

Rules are in core/balancing.  Where no service has `balance`, this module is not imported.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from supervisor.adapters.balancing.exchange import Exchange
from supervisor.adapters.balancing.files import place, taken, write
from supervisor.adapters.balancing.together import Together
from supervisor.core.balancing import answers
from supervisor.core.balancing.command_lines import batches
from supervisor.core.balancing.haproxy_config import Backend, longest_drain, mark, slots_for, text, words
from supervisor.core.balancing.load import Load
from supervisor.core.balancing.reloads import Reloads
from supervisor.core.balancing.slots import Command, Seen, Slots, SlotState, Wanted
from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.core.model.spec import BALANCER
from supervisor.core.services.balanced import OTHER_HOST, balanced, leaving, standing_in, wanted
from supervisor.core.services.scaling import surge_of
from supervisor.daemon.haproxy_reload import ANSWER, RELOAD_LOOK, Outcome, Reload
from supervisor.daemon.parts import Parts
from supervisor.daemon.reload import put_in_force

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.loop import Timer
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.actions import Record
    from supervisor.core.model.balance_documents import Balance
    from supervisor.core.model.spec import Plan, ServiceSpec

BEAT = 0.5
"""Seconds from one question for a sign of life to the next."""
DRAIN_LOOK = 0.05
"""The same while a slot is being drained."""
STATISTICS = 2.0
"""Seconds from one reading of all statistics to the next, which also reads back our states."""
GRACE = 5.0
"""Seconds after the longest drain in which an old worker has to be gone."""


class Balancer:
    """Drives HAProxy.  `changed` is called for each record, `turn` after records and after each turn of the engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._loop = parts.loop
        self._place = place(parts.runtime_dir, BALANCER)
        self._plan: Plan | None = None
        self._services: dict[str, ServiceSpec] = {}
        self._fallbacks: dict[str, str] = {}
        """The fallbacks of the services, by the name of the service."""
        self._slots: dict[str, Slots] = {}
        self._reloads = Reloads()
        self._load = Load()
        self._worker: answers.Worker | None = None
        self._old: dict[int, float] = {}
        """Old workers, and since when they are known."""
        self._written = ""
        self._definition: object = None
        """What the mark of the file was made for."""
        self._dirty = True
        self._asking = False
        self._statistics_at = 0.0
        self._not_before = 0.0
        """No command is sent again before: a refused or lost one is not repeated at once."""
        self._timer: Timer | None = None
        self._told = self._unloaded = ""
        self._used: frozenset[tuple[str, int]] | None = None

    # -- what the daemon tells -----------------------------------------------------------------------------------

    def changed(self, record: Record) -> None:
        """An instance has changed.  Where no service is balanced any more, HAProxy may not be needed from now on."""
        service = record.service
        concerned = service == BALANCER or service in self._services or not self._services
        self._dirty = self._dirty or concerned or service in self._fallbacks.values()

    def turn(self) -> None:
        """Compare what is wanted with the slots, where something has changed."""
        plan = self._parts.service_set.plan
        if plan is not self._plan:
            self._take_plan(plan)
        if self._dirty:
            self._dirty = False
            self._review()
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        """Stop a HAProxy that nothing needs any more: the rollout that took `balance` away, or brought it, is over."""
        service_set = self._parts.service_set
        fitting = service_set.named(service_set.plan)
        if not service_set.closing and len(fitting.services) < len(service_set.plan.services):
            put_in_force(self._parts, fitting)

    def before_start(self, instance: str) -> None:
        """HAProxy is about to be started: write the file from which it serves at once.  OSError."""
        if instance != BALANCER:
            return
        if self._parts.service_set.plan is not self._plan:
            self._take_plan(self._parts.service_set.plan)
        now = self._loop.now()
        self._worker, self._old = None, {}
        self._reloads.loaded = ""
        for name, slots in self._slots.items():
            slots.fresh(now)
            slots.want(self._wanted(name), now)
        self._write(always=True)

    # -- the review ----------------------------------------------------------------------------------------------

    def _take_plan(self, plan: Plan) -> None:
        self._plan, self._dirty = plan, True
        self._services = self._leaving() | {spec.name: spec for spec in balanced(plan)}
        self._services = {name: self._services[name] for name in sorted(self._services)}
        fallbacks = ((name, spec.restart.fallback) for name, spec in self._services.items())
        self._fallbacks = {name: fallback for name, fallback in fallbacks if fallback is not None}
        for name in [name for name in self._slots if name not in self._services]:
            del self._slots[name]
        for name, spec in self._services.items():
            count = slots_for(spec.replicas + surge_of(spec.rollout, spec.replicas), spec.balance)
            if name not in self._slots:
                self._slots[name] = Slots(count)
                # The worker does not know it: there is nothing to read.
                self._slots[name].known = self._worker is not None
            self._slots[name].grow(count)

    def _review(self) -> None:
        now, haproxy = self._loop.now(), self._haproxy
        if self._plan is not None and self._services.keys() - self._leaving() - {s.name for s in balanced(self._plan)}:
            self._take_plan(self._plan)  # the last process of a service that is not balanced any more is gone
        for name, slots in self._slots.items():
            slots.want(self._wanted(name), now)
            if slots.lacking:
                slots.grow(slots_for(len(slots.slots)))
        if self._answers(haproxy) and now >= self._not_before:
            self._send()  # first of all: each millisecond is another request to a suspect
        if self._worker is not None and all(slots.known for slots in self._slots.values()):
            self._write()
        if self._answers(haproxy):
            self._reload_if_due(now)
        self._go_on_with_stops(haproxy)
        self._tell_hosts()
        self._wake(now)

    def _go_on_with_stops(self, haproxy: Instance | None) -> None:
        """Tell the rules which instances are drained; without a HAProxy they all are."""
        runs = haproxy is not None and haproxy.alive
        for name, slots in self._slots.items():
            if not runs:
                drained = [one.name for one in self._instances(name) if one.draining]
            else:
                drained = [] if self._reloads.running else slots.drained()
            for instance in drained:
                one = self._parts.service_set.instances[instance]
                if self._parts.cluster is None or self._parts.cluster.balanced.released(one):
                    self._parts.engine.post(instance, ev.Drained(one.incarnation))

    @property
    def _haproxy(self) -> Instance | None:
        return self._parts.service_set.instances.get(BALANCER)

    @staticmethod
    def _answers(haproxy: Instance | None) -> bool:
        return haproxy is not None and haproxy.state in (State.RUNNING, State.SUSPECT)

    def _leaving(self) -> dict[str, ServiceSpec]:
        return leaving(self._parts.service_set.instances.values())

    def _instances(self, service: str) -> list[Instance]:
        found = self._parts.service_set.instances
        return [one for one in found.values() if one.spec.name == service]

    # -- other hosts ---------------------------------------------------------------------------------------------

    def _wanted(self, service: str) -> list[Wanted]:
        """The instances of the service here, those of other hosts where they are balanced, too, and its fallback."""
        cluster, spec, own = self._parts.cluster, self._services[service], self._instances(service)
        found = wanted(own)
        if cluster is not None:
            found += cluster.balanced.wanted(spec)
        if spec.balance is not None and service in self._fallbacks:
            found += standing_in(spec.balance, own, found, self._instances(self._fallbacks[service]))
        return found

    def used(self) -> frozenset[tuple[str, int]] | None:
        """The instances of other hosts that slots hold, and their incarnations; None: that is not known."""
        if self._haproxy is None or not self._haproxy.alive:
            return frozenset()
        slots = [slot for slots in self._slots.values() for slot in slots.slots if slot.state is not SlotState.FREE]
        if not all(one.known for one in self._slots.values()) or not all(slot.instance for slot in slots):
            return None
        return frozenset((slot.instance, slot.incarnation) for slot in slots if OTHER_HOST in slot.instance)

    def hosts_changed(self) -> None:
        """The instances of other hosts are others, or what they still use of this host's."""
        self._dirty = True
        self._loop.call_soon(self.turn)

    def _awaits_hosts(self, service: str) -> bool:
        """The slots are not read before it is known which instances other hosts have."""
        cluster = self._parts.cluster
        return cluster is not None and cluster.balanced.awaited(self._services[service])

    def _tell_hosts(self) -> None:
        """Other hosts wait for what is used here."""
        if self._parts.cluster is not None and (used := self.used()) != self._used:
            self._used = used
            self._parts.cluster.review()

    # -- the file ------------------------------------------------------------------------------------------------

    def _backends(self) -> list[Backend]:
        found = []
        for name, spec in self._services.items():
            if spec.balance is not None:
                found.append(Backend(name, spec.balance, self._slots[name].slots))
        return found

    def _write(self, *, always: bool = False) -> None:
        backends = self._backends()
        definition = self._plan, tuple((one.name, len(one.slots)) for one in backends)
        if definition != self._definition:
            self._definition = definition
            self._reloads.wanted = mark(self._place, backends)
        content = text(self._place, backends)
        if content != self._written or always:
            try:
                write(self._place, content)
                self._written = content
            except OSError as error:
                if always:
                    raise
                self._problem(f"the file of HAProxy cannot be written: {error}")

    # -- commands ------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send what HAProxy has to be told; maintenance is for old workers as well."""
        for name, slots in self._slots.items():
            for batch in batches(name, slots.commands()):
                lines = [words(name, command) for command in batch]
                stops = [line for command, line in zip(batch, lines, strict=True) if not command.ready]
                told = Together(partial(self._told_all, name, batch))
                Exchange(self._loop, self._place.worker, ";".join(lines), told.expect(), timeout=ANSWER)
                for pid in self._old if stops else ():
                    text_of = "\n".join(f"@!{pid} {line}" for line in stops)
                    Exchange(self._loop, self._place.master, text_of, told.expect(), timeout=ANSWER)

    def _told_all(self, service: str, batch: list[Command], told: list[str | None]) -> None:
        slots, now = self._slots.get(service), self._loop.now()
        if slots is None:
            return
        refused = next(answers.refusals(told[0]), "") if told[0] is not None else "no answer"
        if refused or None in told:
            slots.lost(batch, now)
            self._not_before = now + BEAT
            if told[0] is not None and refused:
                self._problem(f"HAProxy refuses a command for {service}: {refused}")
        else:
            for command in batch:
                slots.confirmed(command, now)
        self._look_soon()

    # -- looks ---------------------------------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        haproxy = self._haproxy
        if not self._answers(haproxy):
            self._cancel_timer()
            return
        unsettled = any(slots.unsettled for slots in self._slots.values())
        when = now + (DRAIN_LOOK if unsettled and not self._asking else BEAT)
        due = self._reloads.deadline
        if due is not None:
            when = min(when, max(due, now + RELOAD_LOOK))
        if self._timer is not None and self._timer.when <= when:
            return
        self._cancel_timer()
        self._timer = self._loop.call_at(when, self._timer_fired)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_soon(self) -> None:
        """What was told is looked at at once: an instance may wait for it."""
        self._cancel_timer()
        self._timer = self._loop.call_at(self._loop.now(), self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._answers(self._haproxy) and not self._asking:
            self._look()
        now = self._loop.now()
        if self._answers(self._haproxy):
            self._reload_if_due(now)
        self._wake(now)

    def _look(self) -> None:
        """Ask the worker, and each old one where a slot may still be used by it."""
        began = self._loop.now()
        whole = self._worker is None or not all(slots.read for slots in self._slots.values())
        draining = {name: slots.draining for name, slots in self._slots.items()}
        if whole:
            questions = ["show stat -1 4 -1"]
        elif began >= self._statistics_at:
            questions = ["show stat -1 4 -1 no-maint"]
            questions += [f"show stat {name} 4 {n}" for name, numbers in draining.items() for n in numbers]
        else:
            questions = [f"show stat {name} 4 {n}" for name, numbers in draining.items() for n in numbers[:60]]
        complete = whole or began >= self._statistics_at
        if complete:
            self._statistics_at = began + STATISTICS
        self._asking = True
        seen = Together(partial(self._saw, began, whole, complete))
        Exchange(self._loop, self._place.worker, ";".join(["show info", *questions]), seen.expect(), timeout=ANSWER)
        Exchange(self._loop, self._place.master, "show proc", seen.expect(), timeout=ANSWER)
        for pid in self._old:
            asked = (
                "\n".join(f"@!{pid} {question.removesuffix(' no-maint')}" for question in questions)
                or f"@!{pid} show version"
            )
            Exchange(self._loop, self._place.master, asked, seen.expect(), timeout=ANSWER)

    def _saw(self, began: float, whole: bool, complete: bool, told: list[str | None]) -> None:
        self._asking = False
        now, haproxy = self._loop.now(), self._haproxy
        worker = answers.worker(told[0]) if told[0] is not None else None
        if haproxy is None or worker is None or told[0] is None:
            self._wake(now)
            return
        self._parts.engine.post(BALANCER, ev.Heartbeat(haproxy.incarnation, now))
        there = answers.processes(told[1]) if told[1] is not None else None
        if there is not None:
            self._take_processes(there, worker, now)
        if self._worker is None or self._worker.pid != worker.pid:
            first = self._worker is None
            self._contact(worker)
            if not first or there is None or self._old:
                self._look_soon()
                return
        if there is None or None in told or self._reloads.running:
            self._wake(now)  # an old worker may still serve what this look does not show
            return
        rows = answers.together(answers.statistics(text) for text in (told[0], *told[2:]) if text is not None)
        self._load.take(rows, worker.pid, {name: slots.slots for name, slots in self._slots.items()})
        if len(told) != 2 + len(self._old):  # since the question a worker became an old one, or ended
            self._look_soon()
            return
        for name, slots in self._slots.items():
            if not slots.known and self._awaits_hosts(name):
                continue
            seen = [row.seen for row in rows if row.backend == name]
            if complete and not whole:
                shown = {one.number for one in seen}
                lacking = (s for s in slots.slots if s.state is SlotState.ACTIVE and s.ready and s.number not in shown)
                seen += [Seen(slot.number, False, slot.there) for slot in lacking]
            slots.look(seen, began, now, whole=whole)
        self._dirty = False
        self._review()

    def _contact(self, worker: answers.Worker) -> None:
        """Another worker answers than before."""
        self._worker = worker
        for slots in self._slots.values():
            slots.begin()

    def _take_processes(self, there: answers.Processes, worker: answers.Worker, now: float) -> None:
        """Note the old workers; one that stays for too long is killed."""
        self._reloads.seen(worker.mark, worker.age, there.reloads, now)
        if self._unloaded and worker.mark == self._reloads.wanted:
            self._parts.problems.remove(self._unloaded)
            self._told = self._unloaded = ""
        self._old = {pid: self._old.get(pid, now) for pid in there.old}
        patience = longest_drain(self._backends()) + GRACE
        for pid, since in self._old.items():
            if now - since > patience and self._kill(pid):
                self._parts.say("warning", f"an old worker of HAProxy (pid {pid}) stayed after a reload: killed")

    def _kill(self, pid: int) -> bool:
        """Kill this process, if it is one of HAProxy's tree."""
        with suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if pid in self._parts.processes.members(BALANCER):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    return True
            finally:
                os.close(descriptor)
        return False

    # -- reload --------------------------------------------------------------------------------------------------

    def _reload_if_due(self, now: float) -> None:
        if self._worker is None or not self._reloads.due(now):
            return
        loaded = set(self._worker.addresses)
        listens = self._written.partition('description "')[2].partition('"')[0].split()[2:]
        refused = next(filter(None, (taken(address) for address in listens if address not in loaded)), "")
        self._reloads.began(now)
        if refused:  # it may be free at the next try
            self._reloads.ended()
            self._not_reloaded(f"cannot listen on {refused}")
            return
        Reload(
            self._loop,
            self._place,
            self._haproxy_program(),
            worker=lambda: self._worker.pid if self._worker is not None else None,
            runs=lambda: self._answers(self._haproxy),
            done=self._reload_ended,
        )

    def _reload_ended(self, outcome: Outcome, why: str) -> None:
        if outcome is Outcome.LOADED:
            self._reloaded()
        elif outcome is Outcome.REFUSED:
            self._refuse(why)
        else:
            self._reloads.ended()
            self._problem("HAProxy did not show a new worker after a reload")
            self._look_soon()

    def _haproxy_program(self) -> str:
        haproxy = self._haproxy
        return haproxy.spec.command[0] if haproxy is not None else "haproxy"

    def _refuse(self, why: str) -> None:
        """The file cannot be loaded: HAProxy goes on with the one before.  Another one is tried again."""
        self._reloads.refused = self._reloads.wanted
        self._reloads.ended()
        self._not_reloaded(why)
        self._dirty = True
        self._loop.call_soon(self.turn)

    def _reloaded(self) -> None:
        self._reloads.ended()
        self._worker = None
        for slots in self._slots.values():
            slots.begin()
        self._parts.say("info", "HAProxy reloaded")
        self._look_soon()

    def _not_reloaded(self, why: str) -> None:
        """Report it; the report stands until the file in force is loaded."""
        self._unloaded = f"HAProxy is not reloaded, and goes on as it was: {why}"
        self._problem(self._unloaded)

    def _problem(self, message: str) -> None:
        """Report a problem, once in a row."""
        if message != self._told:
            self._told = message
            self._parts.problem(message)

    # -- for the control API -------------------------------------------------------------------------------------

    def view(self) -> list[Balance]:
        """The services with their slots and what they carry."""
        haproxy, now = self._haproxy, self._loop.now()
        up = self._answers(haproxy) and self._worker is not None
        return [self._load.view(spec, self._slots[name].slots, up=up, now=now) for name, spec in self._services.items()]
