"""What the nodes hold is read as far as it can be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.core.cluster import version_documents
from supervisor.core.cluster.documents import Member, Owner, SlotRecord, dump, member, owner, slot_record, target
from supervisor.core.cluster.versions import Record, Report, Version


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"node":7}', '{"node":"a","labels":{"x":1}}', '{"node":"a","services":[]}']
)
def test_a_member_that_is_unreadable_is_none(text: str) -> None:
    assert member(text) is None


DEEP, HALF = "[" * 100_000, '"\\ud800"'


@pytest.mark.parametrize(
    "text",
    [
        DEEP, f'{{"node":{HALF}}}', '{"node":"a b"}', '{"node":"a\\nb"}', '{"node":".."}', '{"node":"a/b"}',
        f'{{"node":"a","key":{HALF}}}', '{"node":"a","labels":{"x":NaN}}', '{"node":"a","x":' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_garbage_of_a_member_ends_no_agent(text: str) -> None:
    assert member(text) is None
    assert owner(text).mark == "" and target(DEEP) == "" and slot_record(DEEP) == SlotRecord(clean=False)
    assert version_documents.text_and_mark(DEEP) == ("", "") and version_documents.report(DEEP) is None


def test_a_member_tells_no_more_than_a_line_of_itself() -> None:
    long = "x" * 100_000
    one = member(json.dumps({"node": "a", "address": long, "version": long, "reason": long}))
    assert one is not None and {len(one.address), len(one.version), len(one.reason)} == {500}
    report = version_documents.dump_report(Report(1, reason=long))
    read = version_documents.report(report)
    assert read is not None and len(read.reason) == 500


@pytest.mark.parametrize(
    "change",
    [
        {"max_unavailable": "9" * 5000}, {"max_unavailable": "%"}, {"timeout": float("nan")}, {"timeout": 10**400},
        {"timeout": float("inf")}, {"timeout": "5"}, {"history": [{"at": 10**400}]}, {"number": 1.5}, {"turns": []},
    ],
)  # fmt: skip
def test_a_record_with_numbers_that_make_no_sense_is_none(change: dict[str, Any]) -> None:
    record = json.loads(version_documents.dump_record(Record()))
    version = Version(1, "d")._asdict()
    history = [{**version, **one} for one in change.get("history", [])]
    assert version_documents.record(json.dumps(record)) == Record()
    assert version_documents.record(json.dumps({**record, **change, "history": history})) is None


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("é", ""),
        ("\ud800", "the file has halves of characters"),
        ("x" * 65_537, "the file has 65537 bytes; at most 65536 can be pushed"),
        ("\x01" * 60_000, "the file has 360002 bytes as JSON; at most 98304 can be pushed"),
    ],
)
def test_what_goes_in_one_packet(text: str, refusal: str) -> None:
    assert version_documents.refusal(text) == refusal


def test_what_was_written_is_read() -> None:
    one = Member("a", "h:1", "1", {"zone": "x"}, {"web": "d"}, False, "why")
    assert member(dump(one)) == one
    record = SlotRecord(7, "a", False, "d", True, True)
    assert slot_record(dump(record)) == record
    assert owner(dump(Owner("a", "m"))) == Owner("a", "m") and owner("{") == Owner("", "")
    assert target('{"node":"b"}') == "b" and target("") == ""


def test_a_damaged_record_counts_as_left_by_an_unclean_end() -> None:
    assert slot_record("").clean
    for text in ("{", "[]", '{"epoch":"7"}', '{"epoch":true}'):
        assert slot_record(text) == SlotRecord(clean=False)
