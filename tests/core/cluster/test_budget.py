"""What agent and daemon tell each other fits in one message, whatever else there is to tell."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from supervisor.core.cluster.bounds import INCIDENTS_BYTES, PACKET, STATUS_BYTES, compact
from supervisor.core.cluster.budget import PUSH, answer, fitted
from supervisor.core.model.cluster_documents import ClusterWord

LONG = "x" * 500


def word(hosts: int, slots: int, share: int, **more: Any) -> ClusterWord:
    nodes = [f"host-{number:03}" for number in range(hosts)]
    found: dict[str, Any] = {
        "node": nodes[0], "at": 1.0, "engine": {}, "believe_s": 9.0, "completed": [], "problems": ["odd"],
        "outcomes": [], "heard": nodes, "suspects": [],
        "leases": [{"service": "web", "slot": number, "epoch": number, "start_at": 1.0, "stop_at": 2.0,
                    "kill_at": 3.0, "released": False} for number in range(slots)],
        "elsewhere": [{"service": "web", "slot": number, "node": nodes[-1]} for number in range(slots)],
        "nowhere": [{"service": "web", "slot": number, "reason": "; ".join(f"{n}: it is drained" for n in nodes)}
                    for number in range(slots)],
        "members": [{"node": node, "address": "10.0.0.1:9", "version": "1", "labels": {"l": "y" * 300}, "here": True,
                     "drained": False, "taking": True, "reason": LONG, "slots": []} for node in nodes],
        "hosts": [{"node": node, "address": "10.0.0.1:9", "share": {"takes": ["z" * share]}} for node in nodes],
        "pushed": {
            "turn": {"number": 2, "digest": "d", "seq": 1}, "number": 9, "in_force": 2, "phase": "rolling",
            "history": [{"number": number, "reason": LONG} for number in range(10)],
            "hosts": [{"node": node, "number": 2, "health": "failed", "reason": LONG} for node in nodes],
        },
        **more,
    }  # fmt: skip
    return cast("ClusterWord", found)


def test_a_word_that_fits_goes_as_it_is() -> None:
    told = word(3, 5, 100)
    assert fitted(told) is told


def test_a_hundred_hosts_with_a_hundred_slots_that_none_takes_are_heard() -> None:
    """The reasons alone are longer than a message.  One that is cut cannot be read, and the leases end."""
    told = word(100, 100, 500)
    assert len(compact(told["nowhere"])) > PACKET / 2 and len(compact(told)) > PACKET
    found = fitted(told)
    assert len(compact(found)) <= PACKET
    assert (found["leases"], found["elsewhere"], found["pushed"]["turn"]) == (
        told["leases"], told["elsewhere"], told["pushed"]["turn"],
    )  # fmt: skip
    assert [one["node"] for one in found["members"]] == [one["node"] for one in told["members"]]
    assert found["hosts"] == told["hosts"], "what is balanced goes on"
    assert found["problems"] == [
        "odd",
        "the agent knows more than one message of 256 KiB holds; left out: the history of pushed versions, labels and "
        "versions of hosts, and the ends of long reasons",
    ]


def test_what_is_needed_least_goes_first() -> None:
    record = {"id": "1", "done": True, "error": "", "record": {"summary": "s" * 50_000}}
    text = "t" * 90_000
    base = word(20, 5, 5000, outcomes=[record, {"id": "2", "done": True, "error": ""}])
    base["pushed"]["text"] = text
    names = ("history", "labels", "what another host", "balanced instances")
    size = len(compact(base))
    for number, limit in enumerate((size + 2000, size, size - 20_000, 215_000, 160_000)):
        found = fitted(base, limit)
        assert len(compact(found)) <= limit
        told = found["problems"][-1]
        assert [name in told for name in names] == [place < number for place in range(4)], (limit, told)
        assert found["pushed"]["text"] == text
        shares = [bool(one["share"]) for one in found["hosts"] or ()]
        assert all(shares) if number < 4 else shares[0] and not shares[-1]
    assert fitted(base, size)["pushed"]["history"] == [base["pushed"]["history"][2], base["pushed"]["history"][9]]
    refused = fitted(base, 215_000)["outcomes"]
    assert [(one["id"], one["done"]) for one in refused] == [("1", False), ("2", True)] and "record" not in refused[0]


def test_where_nothing_is_pushed_or_shared_there_is_less_to_leave_out() -> None:
    told = word(100, 300, 0)
    told["hosts"] = None
    del told["pushed"]
    found = fitted(told, 100_000)
    assert found["hosts"] is None and "pushed" not in found and found["leases"] == told["leases"]


@pytest.mark.parametrize(("own", "push", "left_out"), [
    (1000, 90_000, []),
    (100_000, 90_000, ["the failures and events of this host"]),
    (160_000, 90_000, ["the failures and events of this host", "the summary of its instances"]),
    (200_000, 90_000, ["the failures and events of this host", "the summary of its instances", PUSH]),
])  # fmt: skip
def test_the_answer_of_a_daemon_fits(own: int, push: int, left_out: list[str]) -> None:
    texts = compact({"share": "s" * own}), compact({"text": "t" * push})
    status, incidents = compact({"s": "x" * (STATUS_BYTES - 20)}), compact({"i": "x" * (INCIDENTS_BYTES - 20)})
    text, told = answer(*texts, status, incidents)
    assert told == left_out and len(text) <= PACKET
    found = json.loads(text)
    assert found["share"] == "s" * own and len(found["pushes"]) == (PUSH not in told)
    assert (found["status"] == {}, found["incidents"] == {}) == (len(told) > 1, len(told) > 0)
    assert json.loads(answer('{"a":1}', "", "{}", "{}")[0])["pushes"] == []
