"""What a daemon reports and does where it cannot read a file that an earlier, killed daemon has saved.

The file is kept under another name, because the next save takes its place.  What runs goes on with what is left of the
records, and the problem says what that means for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from supervisor.daemon.previous_run import PLAN, ROLLOUTS, WRITTEN, PreviousRun

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.spec import Plan


class Informed(Protocol):
    """What is reported of the loss."""

    def problem(self, message: str) -> None: ...


def tell(daemon: Informed, previous: PreviousRun, adopted: int) -> None:
    """Report each loss, and keep the damaged files.  `adopted`: how many instances were taken up."""
    kept = {name: _kept(name, previous.set_aside(name)) for name in previous.damaged}
    if previous.plan is None and (adopted or PLAN in kept):
        daemon.problem(
            f"the plan that was in force cannot be read{kept.get(PLAN, '')}: what still runs is taken up as it is, "
            "and an edit made meanwhile takes effect with a restart of its service"
        )
    if WRITTEN in kept:
        daemon.problem(
            f"the fingerprints of the plan in force cannot be read{kept[WRITTEN]}: whether the file was edited for a "
            "service that lacks something is not known until the next reload"
        )
    if ROLLOUTS in kept:
        daemon.problem(f"rollouts of the earlier daemon cannot be read{kept[ROLLOUTS]}: {_meaning(previous)}")


def _kept(name: str, path: str) -> str:
    return f" ({name}, kept as {path})" if path else f" ({name})"


def _meaning(previous: PreviousRun) -> str:
    mixed = mixed_services(previous.plan, {r.service for r in previous.rollouts}, previous.instances)
    if not mixed:
        return "what was rolled out before cannot be undone"
    named = " ".join(mixed)
    one = "its" if len(mixed) == 1 else "their"
    return (
        f"a rollout of {', '.join(mixed)} may have been under way. It does not go on, {one} instances keep what they "
        f"run; `supervisor restart --rolling {named}` brings all to the definition in force"
    )


def mixed_services(plan: Plan | None, known: Iterable[str], instances: Mapping[str, JSON]) -> list[str]:
    """The services of the plan whose instances were not all replaced by one rollout, without those whose rollouts are
    `known`."""
    found = []
    for spec in plan.services if plan is not None else ():
        revisions = {instances[name].get("revision", "") for name in spec.instances if name in instances}
        if len(revisions) > 1 and spec.name not in known:
            found.append(spec.name)
    return found
