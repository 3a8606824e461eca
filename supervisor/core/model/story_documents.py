"""The documents of `report --json` and `why --json`, which tell what was; those of the present stand in `documents.py`.

Names that end in `_s` are seconds.  None means that there is no such thing at the moment.

Import it under TYPE_CHECKING: at run time the documents are plain dicts.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from supervisor.core.model.document_types import JSON, Seconds, Stamp, State

# -- `report --json` -------------------------------------------------------------------------------------------------


class Ratios(TypedDict):
    """The ratios; null: there is nothing to divide by."""

    replication: float | None
    consistency: float | None
    load: float | None
    fault_ratio: float | None
    recovery_ratio: float | None


class Detection(TypedDict):
    """How long failures of one cause went unnoticed."""

    mean_s: Seconds | None
    max_s: Seconds | None


class Figures(Ratios):
    """How well it went, of one service or of all."""

    instances: int
    wanted_s: Seconds
    ready_s: Seconds
    unknown_s: Seconds
    availability: float | None
    failures: int
    failures_by_cause: dict[str, int]
    recovered: int
    restarts: int
    restarts_by_cause: Annotated[dict[str, int], "breaker-trial: the trial after a cooldown"]
    breaker_opened: int
    false_suspicions: int
    holds: int
    mtbf_s: Seconds | None
    outages: int
    mttr_s: Seconds | None
    longest_outage_s: Seconds | None
    detection_mean_s: Seconds | None
    detection_max_s: Seconds | None
    detection_by_cause: dict[str, Detection]


class ServiceFigures(Figures):
    """The figures of one service."""

    service: str


class Report(TypedDict):
    """`report --json`."""

    since: Stamp
    until: Stamp
    seconds: Seconds
    services: list[ServiceFigures]
    total: Figures


# -- `why --json` ----------------------------------------------------------------------------------------------------


class Excuse(TypedDict):
    """A silence that never became a suspicion."""

    at: Stamp
    why: str | None
    for_s: Seconds | None


class Outlook(TypedDict):
    """What comes next, and in how many seconds; null: no clock decides."""

    what: str
    in_s: Seconds | None


class IncidentStory(TypedDict):
    """One incident in words."""

    at: Stamp
    incarnation: int
    cause: str
    outcome: str
    by_person: bool
    says: str
    place: Annotated[str | None, "where the process was: hangs at FILE:LINE in FUNCTION()"]
    detail: JSON
    evidence_id: int | None
    seen: list[str]
    captured: list[str]
    said: list[str]
    known: NotRequired[Annotated[list[str], "changed files, and what is known of such an end of its program"]]
    decided: list[str]
    after: list[str]


class Moment(TypedDict):
    """What was said, and when."""

    at: Stamp
    says: str


class Refused(Moment):
    """A reload signal that was not sent; `output`: the last lines of `reload_check`."""

    output: list[str]


class Why(TypedDict):
    """`why --json`: the last failures of one instance."""

    instance: str
    service: str
    state: State | None
    ready: bool | None
    now: str
    target: str | None
    known_since: Stamp | None
    failures: int
    false_alarms: int
    excused: list[Excuse]
    last_order: Annotated[Moment | None, "the last order of a user whose client is known"]
    incidents: list[IncidentStory]
    fails_since: NotRequired[
        Annotated[Moment, "it fails since a signal of a user; that incident comes before the last"]
    ]
    refused: NotRequired[Annotated[Refused, "the last reload that its check refused, where none has passed since"]]
    rollout: NotRequired[Annotated[str, "what became of the last rollout of its service, where that failed"]]
    processes: NotRequired[Annotated[list[Moment], "what happened to processes that beat for themselves"]]
    silent: NotRequired[Annotated[list[str], "what is to be said of such processes now"]]
    next: Outlook
