"""The cluster of a plan: judges its times and placements, and adds the agent and the dead-man as services."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from supervisor.config.source.problems import Problems, Report
from supervisor.core.cluster.bounds import LABELS_BYTES, compact
from supervisor.core.cluster.lease import MARGIN, fits
from supervisor.core.cluster.share import host_number
from supervisor.core.model.cluster_spec import SETTINGS_VARIABLE, ClusterSpec, PlacementMode
from supervisor.core.model.plain import to_plain
from supervisor.core.model.spec import (
    Condition,
    DependencySpec,
    HeartbeatSpec,
    Policy,
    ReadySpec,
    RestartSpec,
    ServiceSpec,
    SupervisorSpec,
)

AGENT, DEAD_MAN = "cluster-agent", "cluster-deadman"
"""The names of the two services."""
DETECTION, SOONEST = 0.3, 0.5
"""Part of the session within which other hosts are suspected, unless the file tells; the least that it may be, in
seconds."""
FILES = ("credentials_file", "ca_file", "certificate", "private_key")


def cluster_of(
    given: Mapping[str, Any] | None, folder: Path, env: Mapping[str, str], problems: Problems
) -> ClusterSpec | None:
    """`[cluster]`; None where it is missing or lacks its servers."""
    if given is None:
        return None
    if "hosts" not in given:
        if problems.within("cluster"):  # it may be given, and wrong
            return None
        example = 'hosts = "10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/phi"'
        problems.add(("cluster",), f"needs hosts: the ZooKeeper servers, for example {example}")
        return None
    fields = dict(given)
    fields.setdefault("node", env.get("HOSTNAME") or socket.gethostname())
    fields["labels"] = tuple(sorted(given.get("labels", {}).items()))
    for key in FILES:
        if key in given:
            fields[key] = str(folder / given[key])
            _judge_file(fields[key], key, problems)
    if ("certificate" in given) is not ("private_key" in given):
        key = "certificate" if "certificate" in given else "private_key"
        problems.add(("cluster", key), "certificate and private_key are given together")
    if find_spec("kazoo") is None:
        problems.add(("cluster",), "needs kazoo: pip install 'phi-supervisor[cluster]'")
    size = len(compact(given.get("labels", {})))
    if size > LABELS_BYTES:
        problems.add(("cluster", "labels"), f"they have {size} bytes; at most {LABELS_BYTES} are told to other hosts")
    spec = ClusterSpec(**fields)
    session = spec.session_timeout
    if "detect_within" not in given:
        spec = replace(spec, detect_within=max(SOONEST, round(DETECTION * session, 3)))
    elif not SOONEST <= spec.detect_within <= session / 3:
        problems.add(
            ("cluster", "detect_within"),
            f"{spec.detect_within:g} s is not between {SOONEST:g} s and a third of session_timeout, {session / 3:g} s: "
            "a suspicion has to come well before the session ends",
        )
    if spec.failsafe and (spec.address is None or not host_number(spec.address[0])):
        problems.add(
            ("cluster", "failsafe"),
            "the other hosts answer at cluster.address, which has to be numeric: write for example "
            'address = "10.0.0.1:9180"',
        )
    if spec.contact_interval + spec.request_timeout > spec.session_timeout / 2:
        problems.add(
            ("cluster", "session_timeout"),
            f"{spec.session_timeout:g} s are less than twice contact_interval + request_timeout, "
            f"{spec.contact_interval + spec.request_timeout:g} s: one lost answer would end it",
        )
    return spec


def with_cluster(
    services: Mapping[str, ServiceSpec], cluster: ClusterSpec | None, supervisor: SupervisorSpec, problems: Problems
) -> dict[str, ServiceSpec]:
    """`services`, with the agent and the dead-man among them."""
    exclusive = {name: spec for name, spec in services.items() if spec.exclusive}
    for name, spec in services.items():
        _judge_placement(spec, problems.of(name))
    _judge_balanced(services, cluster, problems)
    if cluster is None:
        for name in exclusive if not problems.within("cluster") else ():
            problems.of(name)(f'"{exclusive[name].placement.mode}" needs [cluster]', "placement", "mode")
        return dict(services)
    stops = {name: spec.longest_stop for name, spec in exclusive.items()}
    refused = fits(cluster.contact_interval, cluster.request_timeout, cluster.session_timeout, stops)
    if refused:
        room = cluster.session_timeout - cluster.contact_interval - 2 * cluster.request_timeout - MARGIN
        wish = f"; write stop_timeout of at most {room:g} s, or a longer session" if room > 0 else ""
        problems.add(("cluster", "session_timeout"), f"{refused}{wish}")
    for name in (AGENT, DEAD_MAN):
        if name in services:
            problems.add(("services", name), "the name is taken by a part of the cluster")
            return dict(services)
    ordered = {
        name: replace(spec, depends_on=(*spec.depends_on, AGENT)) if name in exclusive else over_hosts(spec)
        for name, spec in services.items()
    }  # the agent gives the slots back when what ran under them has ended
    return {DEAD_MAN: dead_man(supervisor), AGENT: agent(supervisor, cluster)} | ordered


def over_hosts(spec: ServiceSpec) -> ServiceSpec:
    """A service that is balanced over hosts stops before the agent, which informs the other hosts that it leaves; its
    start does not wait for the agent."""
    if not spec.over_hosts:
        return spec
    agent_first = DependencySpec(service=AGENT, condition=Condition.STARTED, required=False)
    return replace(spec, depends_on=(*spec.depends_on, AGENT), dependencies=(*spec.dependencies, agent_first))


def _judge_balanced(services: Mapping[str, ServiceSpec], cluster: ClusterSpec | None, problems: Problems) -> None:
    """Balancing over hosts needs an address that HAProxy takes, and at which the instances here can be reached."""
    for name, spec in services.items():
        if not spec.over_hosts or (cluster is None and problems.within("cluster")):
            continue
        if cluster is None:
            problems.of(name)('"all" needs [cluster]', "balance", "hosts")
        elif cluster.address is None or not host_number(cluster.address[0]):
            given = "no cluster.address" if cluster.address is None else f"cluster.address {cluster.address[0]}"
            problems.of(name)(
                f"there is {given}: HAProxy on other hosts needs a numeric address of this one, for example "
                'cluster.address = "10.0.0.1:9180"', "balance", "hosts",
            )  # fmt: skip


def dead_man(supervisor: SupervisorSpec) -> ServiceSpec:
    """Kills what outlives its lease (supervisor/cluster/deadman.py)."""
    from supervisor.cluster import deadman

    return ServiceSpec(
        name=DEAD_MAN,
        command=(sys.executable, "-I", "-S", str(deadman.__file__), f"{supervisor.runtime_dir}/deadman.sock"),
        description="kills exclusive instances whose lease is over",
        directory="/",
        inherit_environment=(),
        stop_timeout=1.0,
        ready=ReadySpec(notify=True),
        heartbeat=HeartbeatSpec(source="notify", interval=0.5, min_timeout=2.0, max_timeout=5.0),
        restart=RestartSpec(policy=Policy.ALWAYS, initial=0.0, maximum=1.0, max_restarts=20, cooldown=5.0),
        oom_score_adj=-900 if os.geteuid() == 0 else 0,
    )


def agent(supervisor: SupervisorSpec, cluster: ClusterSpec) -> ServiceSpec:
    """Talks to ZooKeeper (supervisor/cluster/__main__.py)."""
    settings = json.dumps(to_plain(cluster), sort_keys=True)
    return ServiceSpec(
        name=AGENT,
        command=(sys.executable, "-m", "supervisor.cluster", supervisor.runtime_dir),
        description="holds this host's slots in ZooKeeper",
        directory="/",
        environment=((SETTINGS_VARIABLE, settings),),
        umask=0o077,
        stop_timeout=5.0,
        ready=ReadySpec(notify=True),
        heartbeat=HeartbeatSpec(source="notify", interval=1.0, min_timeout=3.0, max_timeout=10.0),
        restart=RestartSpec(policy=Policy.ALWAYS, initial=0.0, maximum=2.0, max_restarts=20, cooldown=5.0),
        depends_on=(DEAD_MAN,),
    )


def _judge_placement(spec: ServiceSpec, report: Report) -> None:
    placement = spec.placement
    if placement.mode is not PlacementMode.SPREAD and placement.instances != 1:
        report('only mode = "spread" has instances', "placement", "instances")
    if not spec.exclusive:
        for key in ("require", "prefer", "apart"):
            if getattr(placement, key):
                report('mode = "every" runs on each host that has the service; leave it out there', "placement", key)
        return
    if spec.replicas != placement.instances:
        report(f'"{placement.mode}" counts its instances over all hosts; leave replicas out', "replicas")
    for key, given in (
        ("detach", spec.detach),
        ("rollout", spec.rollout is not None),
        ("balance", spec.balance is not None),
        ("sockets", spec.on_demand),
        ("end_with", spec.end_with),
    ):
        if given:
            report(f'cannot be combined with placement.mode = "{placement.mode}"', key)


def _judge_file(path: str, key: str, problems: Problems) -> None:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        problems.add(("cluster", key), f"{path}: {error.strerror}")
        return
    if key in ("credentials_file", "private_key") and stat.S_IMODE(mode) & 0o077:
        problems.add(("cluster", key), f"{path} can be read by others; chmod 600 {path}")
