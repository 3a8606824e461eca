"""Tables in depends_on, by the real command."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

SHOP = """
[services.cache]
command = ["false"]
restart = { max_restarts = 0, cooldown = "1h" }
[services.migrate]
command = ["true"]
type = "oneshot"
[services.slow]
command = ["sleep", "1000"]
ready = { log = "never said" }
[services.web]
command = ["sleep", "1000"]
depends_on = [
    "migrate",
    { service = "cache", required = false },
    { service = "gone", required = false },
    { service = "slow", condition = "started" },
]
[services.late]
command = ["sleep", "1000"]
depends_on = [{ service = "slow", required = false }]
"""


def test_optional_dependencies_and_conditions_are_waited_for(daemon: Make) -> None:
    d = daemon(SHOP)
    d.event("web", "running")
    assert d.status("cache")["state"] in ("backoff", "failed")
    assert d.status("slow")["ready"] is False
    assert d.status("late")["waiting_for"] == "slow"
    assert "waiting for slow" in d.cli("status").stdout
    assert "it still waits for slow" in d.cli("why", "late").stdout
    assert d.cli("stop", "slow").returncode == 0
    d.event("late", "running")
    shown = d.cli("check").stdout
    assert "migrate, cache (not required), slow (started)" in shown


def test_bad_dependencies_are_refused(daemon: Make) -> None:
    for table, text in {
        '{ service = "cache", condition = "healthy" }': "condition is started, ready or completed",
        '{ condition = "ready" }': "a dependency needs service",
        '{ service = "cache", required = 1 }': "required is true or false, not 1",
        '{ service = "cache", require = false }': '"require" is not a key of a dependency',
        '{ service = "gone" }': 'there is no service or group "gone"',
        '{ service = "web", required = false }': "dependency cycle",
    }.items():
        toml = (
            '[services.cache]\ncommand = ["true"]\n[services.web]\ncommand = ["true"]\ndepends_on = [' + table + "]\n"
        )
        refused = daemon(toml, start=False).cli("check")
        assert (refused.returncode, text in refused.stderr) == (2, True), refused.stderr


def test_a_dependency_table_can_name_a_group(daemon: Make) -> None:
    toml = """
[services.a]
command = ["sleep", "1000"]
group_name = "g"
[services.b]
command = ["sleep", "1000"]
group_name = "g"
autostart = false
depends_on = [{ service = "g", required = false }]
[services.web]
command = ["sleep", "1000"]
depends_on = [{ service = "g", required = false }]
"""
    d = daemon(toml)
    d.event("web", "running")
    assert d.status("b")["state"] == "stopped"
