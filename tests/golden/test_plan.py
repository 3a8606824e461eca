"""The plan of commit 5600521 is read as it was meant, and is written in the same way.

tests/golden/5600521 was written by that build and is never changed.  A test that fails here says that another version
would misread what this one writes, or the other way round.  A new key is added to the lists in this file.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from supervisor.core.model import spec
from supervisor.core.model.plain import KEYS, from_plain, to_plain
from supervisor.core.model.spec import (
    BackoffKind,
    ConsoleMode,
    Enforce,
    Evidence,
    HeartbeatSpec,
    HookSpec,
    LogSpec,
    Plan,
    Policy,
    Reaction,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    SandboxSpec,
    ServiceSpec,
    ServiceType,
    SocketSpec,
    Strategy,
    SupervisorSpec,
    TargetSpec,
)
from tests.golden.files import GOLDEN, plain

JSON = dict[str, Any]

EVERY_KEY: JSON = {
    "supervisor": {
        "name": "demo",
        "runtime_dir": "/run/demo",
        "state_dir": "/srv/demo/state",
        "max_concurrent_restarts": 3,
        "wait_ready": False,
        "group": 7,
        "listen": ["127.0.0.1", 9180],
        "token_file": "/srv/demo/token",
        "certificate": "/srv/demo/crt",
        "private_key": "/srv/demo/key",
    },
    "services": [
        {
            "name": "web",
            "command": ["/bin/web", "-v"],
            "description": "the shop",
            "directory": "/srv/demo",
            "user": 33,
            "group": 34,
            "extra_groups": [4, 5],
            "umask": 18,
            "environment": [["GREETING", "hello"]],
            "replicas": 2,
            "depends_on": ["db"],
            "autostart": False,
            "type": "oneshot",
            "group_name": "shop",
            "on_dependency_restart": "restart",
            "stop_signal": 2,
            "stop_timeout": 11.0,
            "reload_signal": 10,
            "dump_signal": 12,
            "evidence": "core",
            "start_timeout": 31.0,
            "limits": [["nofile", 256]],
            "nice": 5,
            "oom_score_adj": 100,
            "detach": True,
            "sockets": [{"url": "tcp://127.0.0.1:80", "mode": 384, "label": "front"}],
            "no_new_privileges": True,
            "capabilities": [10],
            "ambient_capabilities": [12],
            "ready": {
                "http": "http://h/r",
                "tcp": "h:1",
                "exec": ["/bin/r"],
                "log": "up",
                "notify": True,
                "delay": 1.5,
                "interval": 0.25,
                "timeout": 2.0,
            },
            "heartbeat": {
                "source": "http",
                "interval": 0.5,
                "http": "http://h/b",
                "tcp": "h:2",
                "exec": ["/bin/b"],
                "file": "/srv/demo/beat",
                "log": "tick",
                "probe_timeout": 3.0,
                "detector": "chen",
                "threshold": 9.0,
                "min_timeout": 2.5,
                "max_timeout": 33.0,
                "timeout": 6.0,
                "on_suspect": "report",
                "target": {"detect_within": 4.0, "max_false_restarts": 1e-06},
            },
            "restart": {
                "policy": "always",
                "success_exit_codes": [0, 3],
                "backoff": "linear",
                "initial": 0.5,
                "maximum": 40.0,
                "factor": 3.0,
                "jitter": 0.1,
                "reset_after": 61.0,
                "max_restarts": 6,
                "window": 62.0,
                "cooldown": 63.0,
                "strategy": "rest-for-one",
                "fallback": "page",
            },
            "resources": {
                "max_memory": 1000000,
                "max_cpu": 1.5,
                "max_tasks": 20,
                "sustained": 32.0,
                "action": "report",
                "enforce": "kernel",
            },
            "log": {
                "max_size": 65536,
                "keep": 2,
                "compress": False,
                "timestamps": True,
                "console": "raw",
                "path": "/var/log/shop/{instance}.log",
                "mode": 0o644,
                "owner": 1002,
                "group": 1003,
                "rotate": False,
            },
            "hooks": [{"on": ["failed"], "run": ["/bin/hook"], "notify": "json://h", "timeout": 34.0}],
            "inherit_environment": ["LANG"],
            "unset_environment": ["TZ"],
            "hard_limits": [["nofile", 512]],
            "first_replica": 0,
            "unresolved": [["services.toml:3: services.web.command", "it does not exist"]],
            "sandbox": {
                "private_tmp": True,
                "private_devices": True,
                "protect_system": "strict",
                "protect_home": "tmpfs",
                "read_write_paths": ["/srv/w"],
                "read_only_paths": ["/srv/r"],
                "inaccessible_paths": ["/srv/i"],
            },
        }
    ],
    "path": "/srv/demo/services.toml",
    "folder": "1:2:3",
}
"""A plan in which nothing is as it is by default, as it is written."""

EVERY_FIELD = Plan(
    supervisor=SupervisorSpec(
        name="demo",
        runtime_dir="/run/demo",
        state_dir="/srv/demo/state",
        max_concurrent_restarts=3,
        wait_ready=False,
        group=7,
        listen=("127.0.0.1", 9180),
        token_file="/srv/demo/token",
        certificate="/srv/demo/crt",
        private_key="/srv/demo/key",
    ),
    services=(
        ServiceSpec(
            name="web",
            command=("/bin/web", "-v"),
            description="the shop",
            directory="/srv/demo",
            user=33,
            group=34,
            extra_groups=(4, 5),
            umask=18,
            environment=(("GREETING", "hello"),),
            replicas=2,
            depends_on=("db",),
            autostart=False,
            type=ServiceType.ONESHOT,
            group_name="shop",
            on_dependency_restart="restart",
            stop_signal=2,
            stop_timeout=11.0,
            reload_signal=10,
            dump_signal=12,
            evidence=Evidence.CORE,
            start_timeout=31.0,
            limits=(("nofile", 256),),
            nice=5,
            oom_score_adj=100,
            detach=True,
            sockets=(SocketSpec(url="tcp://127.0.0.1:80", mode=0o600, label="front"),),
            no_new_privileges=True,
            capabilities=(10,),
            ambient_capabilities=(12,),
            ready=ReadySpec(
                http="http://h/r",
                tcp="h:1",
                exec=("/bin/r",),
                log="up",
                notify=True,
                delay=1.5,
                interval=0.25,
                timeout=2.0,
            ),
            heartbeat=HeartbeatSpec(
                source="http",
                interval=0.5,
                http="http://h/b",
                tcp="h:2",
                exec=("/bin/b",),
                file="/srv/demo/beat",
                log="tick",
                probe_timeout=3.0,
                detector="chen",
                threshold=9.0,
                min_timeout=2.5,
                max_timeout=33.0,
                timeout=6.0,
                on_suspect=Reaction.REPORT,
                target=TargetSpec(detect_within=4.0, max_false_restarts=1e-6),
            ),
            restart=RestartSpec(
                policy=Policy.ALWAYS,
                success_exit_codes=(0, 3),
                backoff=BackoffKind.LINEAR,
                initial=0.5,
                maximum=40.0,
                factor=3.0,
                jitter=0.1,
                reset_after=61.0,
                max_restarts=6,
                window=62.0,
                cooldown=63.0,
                strategy=Strategy.REST_FOR_ONE,
                fallback="page",
            ),
            resources=ResourcesSpec(
                max_memory=1000000,
                max_cpu=1.5,
                max_tasks=20,
                sustained=32.0,
                action=Reaction.REPORT,
                enforce=Enforce.KERNEL,
            ),
            log=LogSpec(
                max_size=65536,
                keep=2,
                compress=False,
                timestamps=True,
                console=ConsoleMode.RAW,
                path="/var/log/shop/{instance}.log",
                mode=0o644,
                owner=1002,
                group=1003,
                rotate=False,
            ),
            hooks=(HookSpec(on=("failed",), run=("/bin/hook",), notify="json://h", timeout=34.0),),
            inherit_environment=("LANG",),
            unset_environment=("TZ",),
            hard_limits=(("nofile", 512),),
            first_replica=0,
            unresolved=(("services.toml:3: services.web.command", "it does not exist"),),
            sandbox=SandboxSpec(
                private_tmp=True,
                private_devices=True,
                protect_system="strict",
                protect_home="tmpfs",
                read_write_paths=("/srv/w",),
                read_only_paths=("/srv/r",),
                inaccessible_paths=("/srv/i",),
            ),
        ),
    ),
    path="/srv/demo/services.toml",
    folder="1:2:3",
)

DEFAULTS: dict[type, JSON] = {
    SupervisorSpec: {
        "name": "default",
        "runtime_dir": "",
        "state_dir": "",
        "max_concurrent_restarts": 8,
        "wait_ready": True,
        "group": None,
        "listen": None,
        "token_file": "",
        "certificate": "",
        "private_key": "",
    },
    ServiceSpec: {
        "description": "",
        "directory": None,
        "user": None,
        "group": None,
        "extra_groups": None,
        "umask": None,
        "environment": (),
        "replicas": 1,
        "depends_on": (),
        "autostart": True,
        "type": "service",
        "group_name": None,
        "on_dependency_restart": "ignore",
        "stop_signal": 15,
        "stop_timeout": 10.0,
        "reload_signal": 1,
        "dump_signal": None,
        "evidence": "look",
        "start_timeout": 30.0,
        "limits": (),
        "nice": 0,
        "oom_score_adj": 0,
        "detach": False,
        "sockets": (),
        "no_new_privileges": False,
        "capabilities": None,
        "ambient_capabilities": (),
        "ready": None,
        "heartbeat": None,
        "restart": RestartSpec(),
        "resources": None,
        "log": LogSpec(),
        "hooks": (),
        "inherit_environment": None,
        "unset_environment": (),
        "hard_limits": (),
        "first_replica": 1,
        "unresolved": (),
        "sandbox": None,
    },
    ReadySpec: {
        "http": None,
        "tcp": None,
        "exec": None,
        "log": None,
        "notify": False,
        "delay": None,
        "interval": 0.5,
        "timeout": 1.0,
    },
    HeartbeatSpec: {
        "source": "notify",
        "interval": 1.0,
        "http": None,
        "tcp": None,
        "exec": None,
        "file": None,
        "log": None,
        "probe_timeout": 1.0,
        "detector": "phi",
        "threshold": 8.0,
        "min_timeout": 2.0,
        "max_timeout": 30.0,
        "timeout": 5.0,
        "on_suspect": "restart",
        "target": None,
    },
    TargetSpec: {"detect_within": 5.0, "max_false_restarts": 1 / 2592000.0},
    RestartSpec: {
        "policy": "on-failure",
        "success_exit_codes": (0,),
        "backoff": "exponential",
        "initial": 0.1,
        "maximum": 30.0,
        "factor": 2.0,
        "jitter": 0.2,
        "reset_after": 60.0,
        "max_restarts": 5,
        "window": 60.0,
        "cooldown": 60.0,
        "strategy": "one-for-one",
        "fallback": None,
    },
    ResourcesSpec: {
        "max_memory": None,
        "max_cpu": None,
        "max_tasks": None,
        "sustained": 30.0,
        "action": "restart",
        "enforce": "sampling",
    },
    LogSpec: {
        "max_size": 10485760,
        "keep": 5,
        "compress": True,
        "timestamps": False,
        "console": "no",
        "path": None,
        "mode": None,
        "owner": None,
        "group": None,
        "rotate": True,
    },
    SandboxSpec: {
        "private_tmp": False,
        "private_devices": False,
        "protect_system": "",
        "protect_home": "",
        "read_write_paths": (),
        "read_only_paths": (),
        "inaccessible_paths": (),
    },
    HookSpec: {"on": (), "run": None, "notify": None, "timeout": 30.0},
    SocketSpec: {"mode": 0o660, "label": ""},
    Plan: {"path": "", "folder": ""},
}
"""What a plan means by a key that it does not have."""
REQUIRED: dict[type, JSON] = {
    ServiceSpec: {"name": "x", "command": ["y"]},
    SocketSpec: {"url": "unix:/x"},
    Plan: {"supervisor": {}, "services": []},
}


def test_every_field_of_a_spec_has_a_key() -> None:
    kinds = {one for one in vars(spec).values() if isinstance(one, type) and dataclasses.is_dataclass(one)}
    assert set(KEYS) == kinds
    for kind in kinds:
        assert set(KEYS[kind]) == {field.name for field in dataclasses.fields(kind)}, kind


def test_the_keys_of_a_plan() -> None:
    service = EVERY_KEY["services"][0]
    written = {
        Plan: EVERY_KEY,
        SupervisorSpec: EVERY_KEY["supervisor"],
        ServiceSpec: service,
        SocketSpec: service["sockets"][0],
        HookSpec: service["hooks"][0],
        ReadySpec: service["ready"],
        HeartbeatSpec: service["heartbeat"],
        TargetSpec: service["heartbeat"]["target"],
        RestartSpec: service["restart"],
        ResourcesSpec: service["resources"],
        LogSpec: service["log"],
        SandboxSpec: service["sandbox"],
    }
    assert {kind: set(keys.values()) for kind, keys in KEYS.items()} == {k: set(plain) for k, plain in written.items()}


def test_a_plan_with_every_key() -> None:
    assert from_plain(Plan, EVERY_KEY) == EVERY_FIELD
    assert plain(to_plain(EVERY_FIELD)) == EVERY_KEY


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_what_a_key_that_is_left_out_means(kind: type) -> None:
    """What equals its default is not written, so another version must have the same default."""
    required = REQUIRED.get(kind, {})
    made: Any = from_plain(kind, required)
    found = {key: getattr(made, name) for name, key in KEYS[kind].items() if key not in required}
    assert found == DEFAULTS[kind]
    assert plain(to_plain(made)) == required | ({"name": "default"} if kind is SupervisorSpec else {}) | (
        {"supervisor": {"name": "default"}} if kind is Plan else {}
    )


def test_the_plan_in_force_is_read_and_written_as_it_is() -> None:
    text = (GOLDEN / "plan.json").read_text().rstrip("\n")
    plan = from_plain(Plan, json.loads(text))
    assert json.dumps(to_plain(plan), separators=(",", ":")) == text
    web = plan.service("web")
    assert web == ServiceSpec(
        name="web",
        command=("sh", "-c", "echo listening; exec sleep 1000"),
        directory="/srv/demo",
        environment=(("GREETING", "hello"),),
        replicas=2,
        depends_on=("migrate",),
        stop_signal=2,
        stop_timeout=3.0,
        limits=(("nofile", 256),),
        sockets=(SocketSpec(url="unix:/srv/demo/web.sock", mode=0o600, label="front"),),
    )
