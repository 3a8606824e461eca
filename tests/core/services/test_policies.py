"""Small decisions, each as a table: sockets, monitoring, problems, requirements of the host."""

from __future__ import annotations

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SocketSpec, SupervisorSpec
from supervisor.core.services.host_requirements import descriptor_shortage, distant_directories, runtime_directory_mode
from supervisor.core.services.monitoring_policy import MonitoringChange, monitoring_change
from supervisor.core.services.problems import Problems
from supervisor.core.services.socket_policy import open_sockets, storing

URLS = ("tcp://127.0.0.1:80", "unix:///run/a")
OPEN = {State.STARTING, State.RUNNING, State.SUSPECT, State.STOPPING, State.BACKOFF}


@pytest.mark.parametrize("state", State)
def test_a_socket_stays_open_unless_its_service_is_at_rest(state: State) -> None:
    sockets = [{"url": url} for url in URLS]
    served = Instance("a", from_plain(ServiceSpec, {"name": "a", "command": ["x"], "sockets": sockets}), lambda: 0.5)
    served.state = state
    other = Instance("b", from_plain(ServiceSpec, {"name": "b", "command": ["x"]}), lambda: 0.5)
    assert open_sockets([served, other]) == (set(URLS) if state in OPEN else set())


def test_the_socket_of_an_instance_that_stays_down_is_closed() -> None:
    spec = ServiceSpec(
        name="a", command=("x",), replicas=2, ports=(80, 81), sockets=(SocketSpec(url="tcp://127.0.0.1:{port}"),)
    )
    instances = [Instance(name, spec, lambda: 0.5) for name in spec.instances]
    instances[1].state = State.RUNNING
    assert open_sockets(instances) == {"tcp://127.0.0.1:81"}


@pytest.mark.parametrize("state", State)
def test_what_is_stored_is_kept_unless_its_service_is_at_rest(state: State) -> None:
    keeping = Instance("a", ServiceSpec(name="a", command=("x",), fd_store=1), lambda: 0.5)
    other = Instance("b", ServiceSpec(name="b", command=("x",)), lambda: 0.5)
    keeping.state = other.state = state
    assert storing([keeping, other]) == ({"a"} if state in OPEN else set())


def test_what_waits_for_a_connection_keeps_what_it_has_stored() -> None:
    sockets = (SocketSpec(url=URLS[0], on_demand=True),)
    one = Instance("a", ServiceSpec(name="a", command=("x",), fd_store=1, sockets=sockets), lambda: 0.5)
    one.goal, one.state = Goal.UP, State.STOPPED
    assert storing([one]) == {"a"}


NOTHING = MonitoringChange(sample=False, apply_limits=False, end=False)
SAMPLE = MonitoringChange(sample=True, apply_limits=False, end=False)
END = MonitoringChange(sample=False, apply_limits=False, end=True)


@pytest.mark.parametrize(
    ("before", "after", "cause", "change"),
    [
        (State.STARTING, State.RUNNING, Cause.READY, SAMPLE),
        (State.SUSPECT, State.RUNNING, Cause.HEARTBEAT_RESUMED, SAMPLE),
        (State.RUNNING, State.RUNNING, Cause.RELOADED, MonitoringChange(True, True, False)),
        (State.RUNNING, State.RUNNING, Cause.MEMORY_LIMIT, NOTHING),
        (State.RUNNING, State.SUSPECT, Cause.SILENT, NOTHING),
        (State.STOPPED, State.STARTING, Cause.STARTED_BY_USER, NOTHING),
        (State.STARTING, State.STARTING, Cause.SPAWNED, NOTHING),
        (State.RUNNING, State.STOPPING, Cause.STOPPED_BY_USER, END),
        (State.RUNNING, State.BACKOFF, Cause.EXITED, END),
        (State.SUSPECT, State.FAILED, Cause.SILENT, END),
        (State.STOPPED, State.STOPPED, Cause.RELOADED, END),
        (State.STOPPING, State.STOPPING, Cause.STOPPED_BY_USER, NOTHING),
    ],
)
def test_what_runs_is_monitored(before: State, after: State, cause: Cause, change: MonitoringChange) -> None:
    assert monitoring_change(Record("a", "a", 1, Goal.UP, before, after, cause, {})) == change


def test_the_newest_problems_are_kept_each_once() -> None:
    problems = Problems()
    for number in range(20):
        problems.add(f"{number}")
    problems.add("0")
    assert list(problems) == [f"{number}" for number in range(20)]
    problems.add("new")
    assert list(problems) == [*(f"{number}" for number in range(1, 20)), "new"]


@pytest.mark.parametrize(
    ("limit", "instances", "with_stderr", "needed"),
    [
        (1024, 256, 0, None),
        (1023, 256, 0, 1024),
        (256, 0, 0, None),
        (255, 0, 0, 256),
        (1024, 1000, 0, 3256),
        (1456, 240, 240, None),
        (1455, 240, 240, 1456),
    ],
)
def test_a_low_limit_of_descriptors_is_said(limit: int, instances: int, with_stderr: int, needed: int | None) -> None:
    text = descriptor_shortage(limit, instances, with_stderr)
    assert (f"LimitNOFILE={needed}" in text and f"ulimit -n {needed}" in text) if needed else text == ""


@pytest.mark.parametrize(
    ("users", "group", "mode"),
    [
        ([], None, 0o700),
        ([None, 1000], None, 0o700),
        ([None, 0], None, 0o711),
        ([None], 50, 0o710),
        ([1001], 50, 0o711),
    ],
)
def test_the_runtime_directory_admits_what_has_to_reach_into_it(
    users: list[int | None], group: int | None, mode: int
) -> None:
    services = [from_plain(ServiceSpec, {"name": f"s{n}", "command": ["x"], "user": u}) for n, u in enumerate(users)]
    plan = Plan(supervisor=SupervisorSpec(group=group), services=tuple(services))
    assert runtime_directory_mode(plan, 1000) == mode


@pytest.mark.parametrize(
    ("keys", "user", "mode"),
    [
        ({"ready": {"notify": True}}, 0, 0o711),
        ({"ready": {"notify": True}}, 1000, 0o700),
        ({"ready": {"tcp": "h:1"}}, 0, 0o700),
        ({"heartbeat": {"source": "notify"}}, 0, 0o711),
        ({"heartbeat": {"source": "file", "file": "/x"}}, 0, 0o700),
        ({}, 0, 0o700),
    ],
)
def test_what_root_starts_may_notify_as_another_user(keys: dict[str, object], user: int, mode: int) -> None:
    service = from_plain(ServiceSpec, {"name": "web", "command": ["x"], **keys})
    plan = Plan(supervisor=SupervisorSpec(), services=(service,))
    assert runtime_directory_mode(plan, user) == mode


def test_the_daemons_own_directories_are_named_where_they_may_not_answer() -> None:
    assert distant_directories({"/run/x": None, "/home/u/x": "/home"}) == [
        "/home/u/x is on /home, a file system that may not answer: supervision would wait for it"
    ]
