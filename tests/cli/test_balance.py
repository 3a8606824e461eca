"""The table of `supervisor balance`."""

from __future__ import annotations

from typing import Any, cast

from supervisor.cli.balance import table
from supervisor.core.model.balance_documents import Balance


def test_instances_stand_in_the_order_of_their_numbers() -> None:
    carried = {f"web@{number}": 0 for number in (1, 10, 2)}
    one: dict[str, Any] = {"service": "web", "listen": "127.0.0.1:80", "mode": "http", "algorithm": "leastconn"}
    one |= {"free": 8, "up": True, "slots": [], "carried": carried, "load": 0.0}
    rows = table(cast("Balance", one)).splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["web@1", "web@2", "web@10"]
