"""The judge of faults in a cluster: which tree has outlived its lease, and what several runs come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.tools.chaos.cluster_judge import IN_TIME, LATE, UNSEEN, WENT_ON, figures, together, verdict
from scripts.tools.chaos.cluster_observer import Run
from scripts.tools.chaos.cluster_slots import Slots, node

SESSION, BEGAN = 10.0, 100.0
RUN = Run("a", "web@1", 7, 4711, begin=50.0, alone=True)


@pytest.mark.parametrize(
    ("run", "unowned", "no_contact", "said"),
    [
        (RUN, None, True, WENT_ON),
        (RUN, 112.0, True, LATE),
        (replace(RUN, gone=108.8, gone_after=108.7), 112.0, True, IN_TIME),
        (replace(RUN, gone=108.8, gone_after=108.7), None, True, IN_TIME),
        (replace(RUN, gone=112.2, gone_after=112.1), 112.0, False, LATE),
        (replace(RUN, gone=111.9, gone_after=111.8), 112.0, False, IN_TIME),
        (replace(RUN, gone=111.9, gone_after=111.8), 112.0, True, LATE),
        (replace(RUN, gone=112.2, gone_after=112.1, said_end=111.9), 112.0, False, IN_TIME),
        (replace(RUN, gone=115.0, gone_after=109.0), 112.0, True, UNSEEN),
    ],
    ids=[
        "runs, and its node is there",
        "runs, and its node is gone",
        "killed in time",
        "killed in time, its node not yet gone",
        "killed after its node was gone",
        "a lease that was prolonged after the fault began",
        "nothing could prolong it",
        "its own word of its end",
        "the observer did not run for six seconds",
    ],
)
def test_what_became_of_a_tree(run: Run, unowned: float | None, no_contact: bool, said: str) -> None:
    assert verdict(run, BEGAN, SESSION, unowned, no_contact=no_contact) == said


def test_the_end_of_an_owner_is_seen() -> None:
    slots = Slots([], "", [])
    for epoch, at in ((None, 1.0), (5, 2.0), (5, 3.0), (None, 4.0), (9, 5.0), (11, 6.0)):
        slots.heard("web@1", epoch, at)
    assert slots.owner == {"web@1": 11}
    assert [slots.gone("web@1", epoch) for epoch in (5, 9, 11)] == [4.0, 6.0, None]
    assert [node(one) for one in ("scheduler", "web@2")] == ["/slots/scheduler@0/owner", "/slots/web@1/owner"]


def test_the_figures_of_several_runs() -> None:
    first = {
        "faults": 3, "runs": 9, "seed": 1, "violations": [], "late": [],
        "kinds": {"daemon killed": 2, "busy loops": 1, "drain": 1},
        "trees": {"daemon killed": {IN_TIME: 3}, "busy loops": {WENT_ON: 1}},
        "takeovers": {"daemon killed": [3.0, 4.0]},
    }  # fmt: skip
    second = {
        "faults": 2, "runs": 5, "seed": 2, "violations": ["two at a time"], "late": ["slow"],
        "kinds": {"daemon killed": 1, "agent killed": 1},
        "trees": {"daemon killed": {LATE: 1}, "agent killed": {WENT_ON: 2}},
        "takeovers": {"daemon killed": [9.0]},
    }  # fmt: skip
    whole = together([first, second])
    assert whole["kinds"] == {"daemon killed": 3, "busy loops": 1, "drain": 1, "agent killed": 1}
    assert whole["violations"] == ["seed 2: two at a time"]
    told = figures(whole)
    assert told[0] == "5 random faults on three hosts, 14 runs of slots: 1 violations, 1 late"
    assert told[-1].endswith("gone by its lease's end in 3 of 4; 2 more went on under a lease that was prolonged")
    row = next(line for line in told if line.startswith("daemon killed"))
    assert " ".join(row.split()) == "daemon killed 3 4 3 0 1 0 median 4.00 s, worst 9.00 s of 3"
