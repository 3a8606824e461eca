"""The restart tracker: decides by policy, restart intensity and breaker whether a failed instance is started again.

The restart intensity is Erlang/OTP's: more than `max_restarts` restarts within `window` open the breaker.  After its
cooldown an open breaker allows one trial (half-open).  If the trial is healthy the breaker closes; if it fails the
breaker opens again for twice as long.

    CLOSED ──too many failures──▶ OPEN ──cooldown over──▶ HALF_OPEN ──healthy──▶ CLOSED
                                   ▲──────────failed, cooldown × 2─────────┘
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.model.saved import GARBAGE, integer, number, optional_number, sequence
from supervisor.core.model.spec import Policy, RestartSpec
from supervisor.core.restart import backoff

LONGEST_COOLDOWN = 3600.0
"""Seconds; no cooldown grows beyond that, unless the configured one is longer."""
MOST_COOLDOWNS = 32.0
"""A cooldown grows to at most this many configured ones."""
_AGES = 1e12


class Breaker(StrEnum):
    """The usual states of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """What follows a failure: a restart after `delay` seconds, or an open breaker with a trial at `retry_at`."""

    restart: bool
    delay: float
    breaker: Breaker
    reason: str
    retry_at: float | None


def wants_restart(
    spec: RestartSpec, oneshot: bool, exit_code: int | None, signal: int | None, ended_for_failure: bool, rule: str = ""
) -> bool:
    """Whether the policy wants a restart after this exit.

    `ended_for_failure`: the supervisor ended it because of a failure that it detected (silence, a limit, a start
    timeout), so that it failed whatever its exit status is.  An unknown exit (neither code nor signal) is a failure.  A
    oneshot that succeeded is not restarted under any policy.  `rule`: what `exit_codes` says, which goes before.
    """
    if rule:
        return rule != "never"
    failed = ended_for_failure or signal is not None or exit_code not in spec.success_exit_codes
    if spec.policy is Policy.NEVER:
        return False
    return failed or (spec.policy is Policy.ALWAYS and not oneshot)


class RestartTracker:
    """The restarts of one instance.  Times are monotonic seconds."""

    __slots__ = ("_previous", "_restarts", "_spec", "attempt", "breaker", "cooldown", "retry_at")

    breaker: Breaker
    attempt: int
    """Restarts since the instance was last healthy; the delay depends on it."""
    cooldown: float
    """Seconds for which the breaker is open, or will be the next time."""
    retry_at: float | None
    """When the open breaker allows its trial; None unless it is open."""

    def __init__(self, spec: RestartSpec) -> None:
        self._spec = spec
        self.reset()

    def reconfigure(self, spec: RestartSpec) -> None:
        """Follow another specification from now on; keep the history."""
        self._spec = spec
        self.cooldown = max(self.cooldown, spec.cooldown) if self.breaker is not Breaker.CLOSED else spec.cooldown

    def reset(self) -> None:
        """Forget the history and close the breaker."""
        self.breaker = Breaker.CLOSED
        self.attempt = 0
        self.cooldown = self._spec.cooldown
        self.retry_at = None
        self._previous = 0.0
        self._restarts: tuple[float, ...] = ()

    def failed(self, now: float, rng: Callable[[], float]) -> RestartDecision:
        """Decide after a failure for which the policy wants a restart."""
        spec = self._spec
        if self.breaker is Breaker.OPEN:
            return self._refuse("the breaker is open")
        if self.breaker is Breaker.HALF_OPEN:
            self.cooldown = min(2.0 * self.cooldown, self._longest_cooldown())
            return self._open(now, "the trial failed")
        self._restarts = self._recent(now)
        if len(self._restarts) >= spec.max_restarts:
            return self._open(now, f"more than {spec.max_restarts} restarts within {spec.window:g} s")
        self._restarts += (now,)
        self.attempt += 1
        self._previous = backoff.delay(spec, self.attempt, self._previous, rng)
        reason = f"restart {len(self._restarts)} of at most {spec.max_restarts} within {spec.window:g} s"
        return RestartDecision(True, self._previous, self.breaker, reason, None)

    def trial(self, now: float) -> None:
        """The cooldown is over: allow one trial."""
        if self.breaker is Breaker.OPEN:
            self.breaker = Breaker.HALF_OPEN
            self.retry_at = None

    def healthy(self, now: float) -> bool:
        """The instance was healthy for `reset_after`: restart the backoff.  True if that closed the breaker.

        While the breaker is closed, restarts leave the window only by age.  A `reset_after` shorter than the window
        would otherwise let a flapping instance restart for ever.
        """
        if self.breaker is Breaker.HALF_OPEN:
            self.reset()
            return True
        self.reset_delay()
        self._restarts = self._recent(now)
        return False

    def reset_delay(self) -> None:
        """Delay the next restart as the first one; what the breaker counts stays."""
        self.attempt = 0
        self._previous = 0.0

    def restarts_in_window(self, now: float) -> int:
        return len(self._recent(now))

    def snapshot(self, now: float) -> dict[str, object]:
        """JSON-able; times as seconds before (`ages`) or after (`retry_in`) now."""
        return {
            "breaker": self.breaker.value,
            "attempt": self.attempt,
            "cooldown": self.cooldown,
            "retry_in": None if self.retry_at is None else self.retry_at - now,
            "previous": self._previous,
            "ages": [now - t for t in self._recent(now)],
        }

    def restore(self, snapshot: Mapping[str, object], now: float) -> None:
        """Continue from a snapshot under the present specification.  A damaged snapshot leaves a new tracker."""
        self.reset()
        spec = self._spec
        try:
            breaker = Breaker(str(snapshot["breaker"]))
            attempt = integer(snapshot["attempt"], 0, 2**63)
            cooldown = number(snapshot["cooldown"], 0.0, _AGES)
            retry_in = optional_number(snapshot["retry_in"], -_AGES, _AGES)
            previous = number(snapshot["previous"], 0.0, _AGES)
            ages = [number(age, 0.0, _AGES) for age in sequence(snapshot["ages"], spec.max_restarts)]
            if (breaker is Breaker.OPEN) is (retry_in is None):
                raise ValueError("a breaker has a time to retry when it is open, and only then")
        except GARBAGE:
            return
        self.breaker, self.attempt, self._previous = breaker, attempt, min(previous, spec.maximum)
        self.cooldown = min(max(cooldown, spec.cooldown), self._longest_cooldown())
        self.retry_at = None if retry_in is None else now + min(retry_in, self.cooldown)
        self._restarts = tuple(sorted(now - age for age in ages))

    def _recent(self, now: float) -> tuple[float, ...]:
        return self._restarts[bisect_left(self._restarts, now - self._spec.window) :]

    def _open(self, now: float, reason: str) -> RestartDecision:
        self.breaker = Breaker.OPEN
        self.retry_at = now + self.cooldown
        return self._refuse(f"{reason}; the breaker opens for {self.cooldown:g} s")

    def _refuse(self, reason: str) -> RestartDecision:
        return RestartDecision(False, 0.0, self.breaker, reason, self.retry_at)

    def _longest_cooldown(self) -> float:
        """32 cooldowns or an hour, whichever is shorter, but at least the configured cooldown."""
        return max(self._spec.cooldown, min(LONGEST_COOLDOWN, MOST_COOLDOWNS * self._spec.cooldown))
