"""What a plan is in memory after it was read."""

from __future__ import annotations

from typing import Any

from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan


def test_equal_parts_of_services_are_one_object() -> None:
    """`restart` and `log` of thousands of services are mostly the same."""
    services: list[dict[str, Any]] = [
        {"name": name, "command": ["true"], "restart": {"max_restarts": 7}, "log": {"keep": 3}} for name in "ab"
    ]
    services.append({"name": "c", "command": ["true"], "restart": {"max_restarts": 8}})
    folder = {"name": "x", "runtime_dir": "/r", "state_dir": "/s"}
    a, b, c = from_plain(Plan, {"supervisor": folder, "services": services, "path": "/f"}).services
    assert a.restart is b.restart and a.log is b.log
    assert (c.restart.max_restarts, a.restart.max_restarts) == (8, 7)
    assert a is not b
