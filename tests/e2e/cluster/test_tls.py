"""Daemons whose connection with ZooKeeper is TLS, with a certificate on either side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.tools.chaos.cluster_observer import Observer
from tests.doubles.zookeeper_servers import MISSING
from tests.doubles.zookeeper_tls import Authority, secured
from tests.e2e.cluster.hosts import LONGEST, PROGRAM, TICK, Host


@pytest.fixture
def observer(tmp_path: Path) -> Iterator[Observer]:
    if MISSING or not shutil.which("openssl"):
        pytest.skip(MISSING or "needs openssl")
    with Observer(tmp_path / "observer.sock") as one:
        yield one


def test_only_a_member_with_a_certificate_of_the_authority_takes_part(tmp_path: Path, observer: Observer) -> None:
    """The exclusive service runs where the certificates are right, and a push is accepted there without a password; a
    host that trusts another authority says why ZooKeeper is away."""
    own, other = Authority(tmp_path, "own"), Authority(tmp_path, "other")
    ensemble, address = secured(tmp_path, own, TICK)
    services = (
        f'[services.scheduler]\ncommand = ["{sys.executable}", "{PROGRAM}", "{observer.path}", "{tmp_path}/lock"]\n'
        'stop_timeout = "500ms"\nplacement = { mode = "one" }\n'
    )

    def host(node: str, ca: Path) -> Host:
        certificate, key = own.sign(node)
        more = f'ca_file = "{ca}"\ncertificate = "{certificate}"\nprivate_key = "{key}"\n'
        return Host(tmp_path / node, node, services, f"{address}/tls", more, 20 * TICK)

    good, distrusts = host("a", own.ca), host("b", other.ca)
    hosts = (good, distrusts)
    with ensemble:
        try:
            for one in hosts:
                one.start(wait=False)
            good.until(lambda word: word["engine"]["state"] == "connected")
            run = observer.next_run("scheduler", seconds=LONGEST)
            assert run.node == "a"
            away = distrusts.until(lambda word: "certificate verify failed" in word["engine"]["reason"].lower())
            assert away["engine"]["state"] == "away"
            assert away["nowhere"][0]["reason"] == "ZooKeeper has not answered yet"
            file = tmp_path / "pushed.toml"
            file.write_text(services.replace("500ms", "400ms"))
            pushed = good.cli("cluster", "push", str(file))
            assert pushed.returncode == 0, pushed
            assert [member["node"] for member in good.word()["members"]] == ["a"]
            assert all(one.node == "a" for one in observer.runs) and not observer.violations()
        finally:
            for one in hosts:
                one.stop()
