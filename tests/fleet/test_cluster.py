"""`fleet install` on bare hosts whose services.toml has [cluster]."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.fleet.conftest import SERVICES, Fleet

SHOW = (
    '"$HOME/phi/current/bin/python" -P -m supervisor -f "$HOME/phi/services.toml" status --cluster --json; echo $? >&2'
)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_one_command_makes_three_bare_hosts_a_cluster(fleet: Fleet, wheels: None, tmp_path: Path) -> None:
    """Each gets what only a cluster needs, too; then any of them shows all."""
    with Ensemble(tmp_path) as ensemble:
        for name in "abc":
            fleet.host(name)
        cluster = f'[cluster]\nhosts = "{ensemble.hosts}/fleet"\nnode = "${{HOST}}"\ntick_time = "500ms"\n'
        job = '[services.job]\ncommand = ["sleep", "1000"]\nstop_timeout = "1s"\nplacement = { mode = "one" }\n'
        fleet.write(f"{SERVICES}{job}{cluster}")
        began = time.monotonic()
        rows = fleet.document("install")
        sys.stdout.write(f"installed on three bare hosts within {time.monotonic() - began:.1f} s\n")
        assert {row["state"] for row in rows.values()} == {"ready"}
        while (row := fleet.document("run", "-H", "a", "--", SHOW)["a"])["stderr"] != "0\n":
            assert time.monotonic() < began + 300.0, row
        sys.stdout.write(f"all are shown as ready after {time.monotonic() - began:.1f} s\n")
        assert [one["node"] for one in json.loads(row["stdout"])["hosts"]] == ["a", "b", "c"]
        assert "nothing was changed" in fleet.run("install")
        fleet.end()
