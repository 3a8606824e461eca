"""The tables of a cluster's hosts, from what other hosts have written."""

from __future__ import annotations

from typing import Any, cast

from supervisor.core.model.host_documents import HostsView
from supervisor.display.hosts import instance_rows
from tests.core.history.test_replicated import host, row


def test_a_name_with_a_number_that_python_does_not_read_hides_no_other_row() -> None:
    names = ["web@10", f"web@{'9' * 5000}", "web@2"]
    view: Any = {"node": "b", "hosts": [host(*map(row, names))], "nowhere": []}
    assert [cells.texts[0] for cells in instance_rows(cast("HostsView", view))] == [names[1], "web@2", "web@10"]
