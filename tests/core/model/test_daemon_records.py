"""Records of the daemon itself, as the ledger keeps them and as they are told."""

from __future__ import annotations

import pytest

from supervisor.core.model.actions import Record
from supervisor.core.model.daemon_records import DAEMON, host_heard, host_suspected
from supervisor.core.text.causes import phrase


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (host_suspected("b"), "host b is under suspicion: its heartbeats fail to come"),
        (host_heard("b"), "host b is under suspicion no more"),
    ],
)
def test_a_suspicion_between_hosts_names_the_host(record: Record, said: str) -> None:
    assert (record.instance, record.before, dict(record.detail)) == (DAEMON, record.after, {"host": "b"})
    assert phrase(record.cause, record.detail) == said
