"""Compiles the configuration again while the daemon runs: for a reload, and for a service that lacked something.

The compiler runs in a child (config/compile.py), so that nothing waits for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from supervisor import own_sources
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal
from supervisor.core.model.plan_text import plan_from_json
from supervisor.core.model.spec import Plan
from supervisor.core.services.unresolved import completed, why
from supervisor.daemon.parts import Parts
from supervisor.daemon.reload import keep_plan_in_force
from supervisor.errors import ConfigError
from supervisor.launch import compiler_command, given_profiles, kept_profiles

if TYPE_CHECKING:
    from supervisor.adapters.processes.child_command import CommandResult

COMPILE_TIMEOUT = 60.0
"""Seconds in which a configuration has to compile."""


def compile_file(
    loop: EventLoop,
    plan: Plan,
    done: Callable[[Plan | ConfigError], None],
    version: Sequence[str] = (),
    profiles: Sequence[str] | None = None,
) -> None:
    """Compile the file of `plan`, the one in force, and call `done` with the new plan, or with what is wrong; never
    before this returns.

    `version`: options that say which version of a cluster's configuration, as launch.compiler_command takes them.
    `profiles`: those that the user gave, in place of the active ones.
    Where the compiler's files were replaced it is not started, and what it has made while they were is not used: this
    daemon need not understand it."""
    from supervisor.adapters.processes.child_command import WHOLE, ChildCommand

    if own_sources.replaced():
        loop.call_soon(partial(done, _replaced()))
        return
    options = kept_profiles(plan.kept_profiles) if profiles is None else given_profiles(profiles) or kept_profiles(())
    try:
        ChildCommand(
            loop,
            compiler_command(plan.path, [*version, *options]),
            lambda outcome: done(_replaced() if own_sources.replaced() else _plan(outcome)),
            timeout=COMPILE_TIMEOUT,
            environment=os.environ,
            keep=WHOLE,
            errors_apart=True,
        )
    except OSError as error:
        failed = ConfigError(f"the configuration cannot be compiled: {error.strerror}")
        loop.call_soon(partial(done, failed))


def _replaced() -> ConfigError:
    return ConfigError(own_sources.REPLACED, "It applies the edited file, too.")


def _plan(outcome: CommandResult) -> Plan | ConfigError:
    if outcome.exit_code == 0:
        return plan_from_json(outcome.output.decode())
    if outcome.exit_code == ConfigError.exit_code and outcome.output:
        return ConfigError(json.loads(outcome.output)["error"])
    said = outcome.errors.decode(errors="replace").strip()
    return ConfigError(said or f"the compiler failed: {outcome.ending}")


class Completion:
    """Starts instances of which the host lacked something when the file was compiled: it is compiled again first.

    `spawn` starts one that is complete now; else its start has failed, and the rules decide when it is tried again.
    One compilation serves all that were asked for before it began."""

    def __init__(self, parts: Parts, spawn: Callable[[act.Spawn], None]) -> None:
        self._parts = parts
        self._spawn = spawn
        self._waiting: list[act.Spawn] = []
        self._busy = False

    def ask(self, action: act.Spawn) -> None:
        self._waiting.append(action)
        if not self._busy:
            self._compile()

    def _compile(self) -> None:
        asked, self._waiting = self._waiting, []

        def compiled(result: Plan | ConfigError) -> None:
            self._busy = False
            for action in asked:
                self.go_on(action, result)
            if self._waiting and not self._busy:
                self._compile()

        self._busy = True
        compile_file(self._parts.loop, self._parts.service_set.plan, compiled)

    def go_on(self, action: act.Spawn, result: Plan | ConfigError | None = None) -> None:
        """Go on with a start that had to wait, if it is still wanted.  `result`: of the compilation that it waited
        for."""
        parts = self._parts
        instance = parts.service_set.instances.get(action.instance)
        if instance is None or instance.incarnation != action.incarnation:
            return
        if instance.goal is Goal.DOWN:
            self._fail(action, "it was stopped before it was started")
            return
        if result is not None and instance.spec.unresolved:
            found = (
                completed(instance.spec, result)
                if isinstance(result, Plan)
                else f"{why(instance.spec)}; {result.message}"
            )
            if isinstance(found, str):
                self._fail(action, found)
                return
            parts.service_set.complete(found)
            keep_plan_in_force(parts)
        self._spawn(action)

    def _fail(self, action: act.Spawn, reason: str) -> None:
        self._parts.engine.post(action.instance, ev.SpawnFailed(action.incarnation, reason))
