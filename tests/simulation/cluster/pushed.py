"""What daemon/cluster/pushed.py does: it keeps the text of a version, puts it in force, and waits for what it restarts.

A text names the definition of each service, and the hosts on which it fails: `7: beat=3 web=2 bad=b,c`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisor.core.cluster.pushes import Push
from supervisor.core.cluster.version_documents import digest_of
from supervisor.core.cluster.versions import Health, Report
from supervisor.core.model.actions import State
from tests.simulation.cluster.processes import NEVER

if TYPE_CHECKING:
    from tests.simulation.cluster.daemon import Daemon

Version = tuple[int, str]
"""Its number and its digest."""
OWN_FILE: Version = (0, "")
LOOK = 0.25


def definition(text: str, service: str) -> str:
    """That of a service in a text; empty: its host's own."""
    return next((word.partition("=")[2] for word in text.split() if word.startswith(f"{service}=")), "")


def fails_on(text: str, node: str) -> bool:
    return node in definition(text, "bad").split(",")


class Pushed:
    """`orders`: pushes of persons whose outcome is not known yet."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.host, self.world = daemon, daemon.host, daemon.world
        self.orders: dict[str, Push] = {}
        self.told: Version = self.host.saved.version
        self._turn: dict[str, Any] | None = None
        self._seq, self.reason = 0, ""
        self.health = Health.CHANGING if self.host.saved.changing else Health.READY
        self._text = ""
        self._wants: Version | None = None
        self._keep = False
        self._compiled_at = NEVER
        self._look_at = self.host.now() + LOOK if self.host.saved.changing else NEVER

    @property
    def due(self) -> float:
        return min(self._compiled_at, self._look_at)

    def heard(self, word: Any) -> None:
        if word is not None:
            self._turn = word["turn"]
            self._text = word.get("text") or self._text
            self._keep = word.get("keep", False)
            self._follow()

    def answer(self) -> tuple[Report, Version | None, tuple[Push, ...], Version, str | None]:
        report = Report(*self.told, self._seq, self.health, self.reason)
        text = self.host.saved.texts.get(self.told, "") if self._keep else None
        return report, self._wants, tuple(self.orders.values()), self.host.saved.version, text

    def turn(self, now: float) -> None:
        if now >= self._compiled_at:
            self._compiled_at = NEVER
            if self._turn is not None and (self._turn["number"], self._turn["digest"]) != self.told:
                self._follow()
            else:
                self._apply(now)
        if now >= self._look_at:
            self._look(now)

    def _follow(self) -> None:
        if self._turn is None or self._compiled_at < NEVER:
            return
        told: Version = self._turn["number"], self._turn["digest"]
        if told == self.told:
            self._seq, self._wants = self._turn["seq"], None
            return
        texts = self.host.saved.texts
        if told != OWN_FILE and told not in texts:
            if digest_of(self._text) != told[1]:
                self._wants = told
                return
            texts[told] = self._text
        self.told, self._seq, self._wants = told, self._turn["seq"], None
        self.health, self.reason, self._look_at = Health.CHANGING, "", NEVER
        self._compiled_at = self.host.now() + self.world.dice.uniform(0.05, 1.0)
        self.world.trace(f"{self.host.node}: changes to version {told[0]}")
        self.world.observer.changes(self.host, told)

    def _apply(self, now: float) -> None:
        """What has another definition is restarted: its old run ends before the next one begins."""
        host, saved = self.host, self.host.saved
        before = {rules.service: host.digest_of(rules.service) for rules in self.world.rules}
        saved.version, saved.changing, host.rules_since = self.told, True, self.world.now
        for one in self.daemon.instances.values():
            if host.digest_of(one.slot.service) != before[one.slot.service]:
                self.daemon.stop_instance(one, now)
        self._look_at = now + LOOK

    def _look(self, now: float) -> None:
        self._look_at = NEVER
        if fails_on(self.host.saved.text, self.host.node):
            self.health, self.reason = Health.FAILED, "web is not ready"
        elif any(one.state is State.STOPPING for one in self.daemon.instances.values()):
            self._look_at = now + LOOK
            return
        else:
            self.health = Health.READY
        self.host.saved.changing = False
