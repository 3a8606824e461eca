"""Commands by which another manager starts the program: a note, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.checks.other_managers import other_manager_notes
from supervisor.core.model.spec import ServiceSpec, ServiceType
from tests.config.checks.test_shell_syntax import found

ENDS = "in the background, and this command ends; write the command of"


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (
            "systemctl --now restart db",
            f"systemd runs db {ENDS} db itself; `systemctl cat db` shows it, and `supervisor init --from` takes its "
            "file over",
        ),
        ("/usr/sbin/service db start", f"the system (service) runs db {ENDS} db itself"),
        ("/etc/init.d/db start", f"its script runs db {ENDS} db itself"),
        ("systemctl status db", None),
        ("systemctl start", None),
        ("service start", None),
        ("/opt/db/db start", None),
        ("/etc/init.d/db status", None),
    ],
)
def test_another_manager_is_noted(command: str, note: str | None) -> None:
    spec = ServiceSpec(name="a", command=tuple(command.split()))
    assert [text for _, text in other_manager_notes(spec)] == ([note] if note else [])


def test_a_oneshot_may_mean_it() -> None:
    spec = ServiceSpec(name="a", command=("systemctl", "start", "db"), type=ServiceType.ONESHOT)
    assert list(other_manager_notes(spec)) == []


def test_check_says_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "service").write_text("#!/bin/sh\n")
    (tmp_path / "service").chmod(0o755)
    (note,) = found(tmp_path, f'[services.a]\ncommand = "{tmp_path}/service db start"\n')
    assert note == f"services.toml:2: services.a.command: the system (service) runs db {ENDS} db itself"
