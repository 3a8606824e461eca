"""`[cluster]` and `placement`: what is refused, with the numbers, and what is added to the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.cluster import AGENT, DEAD_MAN
from supervisor.config.explain import plan_text
from supervisor.config.load import load
from supervisor.core.model.cluster_spec import PlacementMode
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.errors import ConfigError

CLUSTER = """
[cluster]
hosts = "127.0.0.1:2181,127.0.0.1:2182/phi"
node = "${NODE}"
address = "10.0.0.1:9180"
labels = { zone = "a" }
"""
BEAT = """
[services.beat]
command = ["/bin/sleep", "9"]
stop_timeout = "3s"
placement = { mode = "one", require = { zone = "a" }, prefer = { disk = "ssd" } }
[services.tasks]
command = ["/bin/sleep", "9"]
stop_timeout = "1s"
placement = { mode = "spread", instances = 3, apart = "zone" }
"""


def loaded(tmp_path: Path, text: str) -> Plan:
    file = tmp_path / "services.toml"
    file.write_text(text)
    haproxy = tmp_path / "haproxy"
    haproxy.write_text('#!/bin/sh\necho "HAProxy version 2.6.12-1 2023/12/16"\n')
    haproxy.chmod(0o755)
    return load(file, {"PATH": f"{tmp_path}:/usr/bin:/bin", "NODE": "a1"})


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, text)
    return str(error.value)


def test_a_plan_with_a_cluster(tmp_path: Path) -> None:
    plan = loaded(tmp_path, CLUSTER + BEAT)
    assert plan.cluster is not None
    assert (plan.cluster.node, plan.cluster.address, plan.cluster.labels) == (
        "a1",
        ("10.0.0.1", 9180),
        (("zone", "a"),),
    )
    beat, tasks = plan.service("beat"), plan.service("tasks")
    assert beat is not None and tasks is not None
    assert (beat.placement.mode, beat.instances) == (PlacementMode.ONE, ("beat",))
    assert tasks.instances == ("tasks@1", "tasks@2", "tasks@3"), "one for each slot, on every host"
    names = [spec.name for spec in plan.services]
    assert names.index(DEAD_MAN) < names.index(AGENT)
    assert from_plain(Plan, to_plain(plan)) == plan
    told = plan_text(plan)
    assert "cluster  a1 on 127.0.0.1:2181,127.0.0.1:2182/phi, session 10s" in told
    assert "on one host of the cluster, with zone = a, rather with disk = ssd" in told
    assert "3 over all hosts of the cluster, apart by zone" in told


def test_failsafe_is_off_unless_given(tmp_path: Path) -> None:
    for more in ("", "failsafe = true\n"):
        plan = loaded(tmp_path, CLUSTER + more + BEAT)
        assert plan.cluster is not None and plan.cluster.failsafe is bool(more)
        assert ("session 10s, failsafe" in plan_text(plan)) is bool(more)


def test_without_a_cluster_nothing_is_added(tmp_path: Path) -> None:
    plan = loaded(tmp_path, '[services.a]\ncommand = ["/bin/true"]')
    assert plan.cluster is None and [spec.name for spec in plan.services] == ["a"]
    assert "cluster" not in to_plain(plan) and "placement" not in to_plain(plan)["services"][0]


@pytest.mark.parametrize(
    ("cluster", "services", "told"),
    [
        ("", BEAT, 'services.beat.placement.mode: "one" needs [cluster]'),
        ("[cluster]\n", BEAT, "cluster: needs hosts"),
        (
            CLUSTER,
            BEAT.replace('"3s"', '"10s"'),
            'cluster.session_timeout: a session of 10 s is too short: contact_interval 1 s + 2 × request_timeout 2 s + '
            'stop_timeout 10 s of "beat" + 1 s are 16 s; write stop_timeout of at most 4 s, or a longer session',
        ),
        (CLUSTER + 'session_timeout = "5s"\n', "", "5 s are less than twice contact_interval + request_timeout, 3 s"),
        (CLUSTER + 'certificate = "no.pem"\n', "", "certificate and private_key are given together"),
        (CLUSTER + 'credentials_file = "none"\n', "", "none: No such file or directory"),
        (
            CLUSTER.replace('address = "10.0.0.1:9180"', "failsafe = true"), "",
            "cluster.failsafe: the other hosts answer at cluster.address, which has to be numeric",
        ),
        (CLUSTER.replace("10.0.0.1:9180", "web1:9180") + "failsafe = true\n", "", "has to be numeric"),
        (CLUSTER + 'zone = "a"\n', "", "cluster.zone: unknown key"),
        (CLUSTER.replace("127.0.0.1:2181", "zk1"), BEAT, "cluster.hosts: "),
        (CLUSTER.replace("${NODE}", "a/b"), BEAT, 'cluster.node: "a/b" is no name of a host'),
        (CLUSTER, BEAT.replace('mode = "one",', 'mode = "one", instances = 2,'), 'only mode = "spread" has instances'),
        (CLUSTER, BEAT.replace('mode = "one"', 'mode = "every"'), "leave it out there"),
        (CLUSTER, BEAT.replace('"1s"', '"1s"\nreplicas = 2'), "over all hosts; leave replicas out"),
        (CLUSTER, BEAT.replace('"3s"', '"3s"\ndetach = true'), "detach: cannot be combined with placement.mode"),
        (CLUSTER, BEAT + '[services.cluster-agent]\ncommand = ["/bin/true"]', "taken by a part of the cluster"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, cluster: str, services: str, told: str) -> None:
    assert told in refused(tmp_path, cluster + (services or '[services.a]\ncommand = ["/bin/true"]\n'))


@pytest.mark.parametrize("line", ['hosts = "zk1"', ""])
def test_what_is_wrong_in_the_table_is_told_once(tmp_path: Path, line: str) -> None:
    """And not again as what is missing, or of each placed service."""
    told = refused(tmp_path, f"[cluster]\n{line}\n{BEAT}{BALANCED}")
    assert told.count("\n") == 0
    assert told.endswith('write for example "127.0.0.1:2181" ([::1]:2181 for IPv6)' if line else '/phi"'), told


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("user:word")
    (tmp_path / "secret").chmod(0o644)
    assert "chmod 600" in refused(tmp_path, CLUSTER + 'credentials_file = "secret"\n' + BEAT)


BALANCED = """
[services.web]
command = ["/bin/sleep", "9"]
balance = { listen = "127.0.0.1:8000", server = "127.0.0.1:8001", hosts = "all" }
"""


def test_balanced_over_hosts(tmp_path: Path) -> None:
    """It stops before the agent, and does not wait for it."""
    web = loaded(tmp_path, CLUSTER + BALANCED).service("web")
    assert web is not None and web.over_hosts and AGENT in web.depends_on
    assert not web.dependency(AGENT).required
    assert from_plain(ServiceSpec, to_plain(web)) == web
    own = loaded(tmp_path, CLUSTER + BALANCED.replace('"all"', '"own"')).service("web")
    assert own is not None and not own.over_hosts and AGENT not in own.depends_on


@pytest.mark.parametrize(
    ("session", "wish", "found"),
    [("10s", "", 3.0), ("20s", "", 6.0), ("10s", "500ms", 0.5), ("10s", "400ms", None), ("9s", "4s", None)],
)
def test_how_soon_a_host_is_suspected(tmp_path: Path, session: str, wish: str, found: float | None) -> None:
    text = CLUSTER + f'session_timeout = "{session}"\n' + (f'detect_within = "{wish}"\n' if wish else "")
    if found is None:
        assert "cluster.detect_within" in refused(tmp_path, text + BALANCED)
    else:
        cluster = loaded(tmp_path, text + BALANCED).cluster
        assert cluster is not None and cluster.detect_within == found


@pytest.mark.parametrize(
    ("cluster", "complaint"),
    [
        ("", "needs [cluster]"),
        (CLUSTER.replace('address = "10.0.0.1:9180"', ""), "there is no cluster.address"),
        (CLUSTER.replace("10.0.0.1:9180", "web.example:9180"), "there is cluster.address web.example"),
        (CLUSTER.replace("10.0.0.1:9180", "0.0.0.0:9180"), "needs a numeric address"),
    ],
)
def test_balancing_over_hosts_needs_an_address(tmp_path: Path, cluster: str, complaint: str) -> None:
    assert complaint in refused(tmp_path, cluster + BALANCED)


def test_labels_that_are_too_long_for_the_other_hosts_are_refused(tmp_path: Path) -> None:
    """ZooKeeper closes the connection of a member whose node is too large."""
    labels = ", ".join(f'l{number} = "{"x" * 90}"' for number in range(50))
    told = refused(tmp_path, CLUSTER.replace('labels = { zone = "a" }', f"labels = {{ {labels} }}"))
    assert "at most 4096 are told to other hosts" in told
