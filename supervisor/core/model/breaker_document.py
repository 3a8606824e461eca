"""The document of the breaker of one service, which an application may ask for on each of its calls.

Import it under TYPE_CHECKING: at run time the document is a plain dict.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from supervisor.core.model.document_types import Breaker, Seconds


class Successes(TypedDict):
    """What went well."""

    ready: Annotated[int, "how often an instance became ready, or a oneshot succeeded"]
    healthy: Annotated[int, "how often the breaker of an instance closed, because it stayed healthy or was reset"]


class BreakerStatus(TypedDict):
    """The breaker of a service, and what happened within the last `window_s`, since the daemon began."""

    service: str
    state: Annotated[Breaker, "with replicas: closed while the breakers of `min_ready` (one, unless given) are"]
    ready: Annotated[bool, "enough instances are ready"]
    since_s: Annotated[
        Seconds | None, "how long the state lasts; null: it never changed, or not since the daemon began"
    ]
    next_trial_in_s: Annotated[Seconds | None, "when an open breaker allows the next try"]
    on_open: Annotated[str, "what dependants do while it is open: hold, stop or ignore"]
    fallback: Annotated[str | None, "the service that takes its place while it is open"]
    window_s: Seconds
    successes: Successes
    failures: Annotated[dict[str, int], "by cause, as in the events"]
    rejections: Annotated[int, "restarts that the breaker refused, and starts of dependants that wait for it"]
    trials: int
