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


def test_a_fallback_that_stands_in_is_named_and_has_no_share() -> None:
    slot = {"slot": 1, "instance": "sorry", "address": "127.0.0.1:8", "state": "active", "since_s": 1.0, "status": "UP"}
    slot |= {"weight": 1, "sessions": 0, "queue": 0, "rate": 3, "errors": 0, "requests": 30}
    one: dict[str, Any] = {"service": "web", "listen": "127.0.0.1:80", "mode": "http", "algorithm": "leastconn"}
    one |= {"free": 7, "up": True, "slots": [slot], "carried": {"web": 10}, "load": 10.0}
    rows = {row.split()[0]: row.split() for row in table(cast("Balance", one)).splitlines()[2:]}
    assert rows["sorry"][-3:] == ["30", "–", "fallback"]
    assert rows["web"][-5:] == ["10", "1.00", "takes", "no", "requests"]
