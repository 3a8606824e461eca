"""What is refused of a sandbox because of this host, or because the service could not work in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.config.checks.sandbox import sandbox_notes
from supervisor.core.model.spec import SandboxSpec, ServiceSpec
from tests.config.conftest import Complain, Load

SERVICE = '[services.web]\ncommand = "sleep 1"\n'
HIDES = "the sandbox hides {} ({}); add it to sandbox.read_only_paths or sandbox.read_write_paths"
OUTSIDE = (
    "is looked for outside of the sandbox, where the service's own {} is not seen; take a directory that both see, "
    "such as one of sandbox.read_write_paths"
)


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that can make every sandbox."""
    monkeypatch.setattr("supervisor.config.checks.host._sandbox_refusal", lambda _: "")


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    directory = tmp_path / "hidden"
    directory.mkdir()
    return directory


def test_a_host_that_refuses(complaints: Complain, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "needs root, or user namespaces, which this host refuses (namespace: Operation not permitted)"
    monkeypatch.setattr("supervisor.config.checks.host._sandbox_refusal", lambda _: reason)
    assert complaints(SERVICE + "sandbox.private_devices = true") == [
        f"services.toml:3: services.web.sandbox: {reason}",
    ]


def test_nothing_is_tried_where_nothing_is_asked(plan: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise AssertionError("tried")

    monkeypatch.setattr("supervisor.config.checks.host._sandbox_refusal", fail)
    loaded = plan(SERVICE + "sandbox = { private_tmp = false, protect_home = false, read_only_paths = [] }")
    assert loaded.services[0].sandbox is None


def test_what_is_read(plan: Load, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    text = """[defaults.sandbox]
protect_system = true
protect_home = true
[services.web]
command = "sleep 1"
sandbox = { protect_home = "read-only", private_devices = true, read_write_paths = ["data"] }
"""
    assert plan(text).services[0].sandbox == SandboxSpec(
        protect_system="yes", protect_home="read-only", private_devices=True, read_write_paths=(f"{tmp_path}/data",)
    )


def test_a_service_must_find_its_own(complaints: Complain, tmp_path: Path, hidden: Path) -> None:
    (hidden / "program").write_text("#!/bin/sh\n")
    (hidden / "program").chmod(0o755)
    (tmp_path / "link").symlink_to("hidden")
    keys = 'sandbox.inaccessible_paths = ["hidden"]\n'
    why = HIDES.format("{}", "hidden is hidden")
    assert complaints(f'{SERVICE}{keys}directory = "hidden"') == [
        "services.toml:4: services.web.directory: " + why.format("hidden")
    ]
    for word in ("hidden/program", "link/program"):
        assert complaints(f'[services.web]\n{keys}command = ["{word}"]') == [
            f"services.toml:3: services.web.command: {why.format(word)}"
        ]


def test_what_it_is_shown_it_finds(plan: Load, hidden: Path) -> None:
    (hidden / "inner").mkdir()
    keys = 'sandbox = { inaccessible_paths = ["hidden"], read_only_paths = ["hidden/inner"] }'
    assert plan(f'{SERVICE}directory = "hidden/inner"\n{keys}').services[0].directory == f"{hidden}/inner"


@pytest.mark.parametrize(
    ("probe", "key"),
    [
        ('heartbeat = { source = "file", file = "/var/tmp/beat" }', "heartbeat.file"),
        ('heartbeat = { source = "http", http = "http://unix:/var/tmp/web.sock:/health" }', "heartbeat.http"),
        ('ready.tcp = "unix:/var/tmp/web.sock"', "ready.tcp"),
    ],
)
def test_what_is_looked_for_outside(complaints: Complain, tmp_path: Path, probe: str, key: str) -> None:
    keys = f'sandbox = {{ private_tmp = true, read_only_paths = ["{tmp_path}"] }}\n'
    assert complaints(SERVICE + keys + probe) == [f"services.toml:4: services.web.{key}: {OUTSIDE.format('/var/tmp')}"]


def test_a_path_that_a_oneshot_may_make(plan: Load, complaints: Complain) -> None:
    text = SERVICE + 'sandbox.read_write_paths = ["data"]\n'
    assert complaints(text) == ["services.toml:3: services.web.sandbox.read_write_paths[0]: data does not exist"]
    plan(text + 'depends_on = ["make"]\n[services.make]\ntype = "oneshot"\ncommand = "true"\n')


def test_a_file_that_cannot_be_touched(complaints: Complain, hidden: Path) -> None:
    keys = f'sandbox.read_only_paths = ["{hidden}"]\nheartbeat = {{ source = "file", file = "{hidden}/beat" }}'
    assert complaints(SERVICE + keys) == [
        "services.toml:4: services.web.heartbeat.file: hidden is read-only in the sandbox; "
        "add the file's directory to sandbox.read_write_paths"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give capabilities")
def test_capabilities_that_are_taken_away(complaints: Complain) -> None:
    keys = 'sandbox.private_devices = true\nuser = "nobody"\nambient_capabilities = ["MKNOD"]'
    assert complaints(SERVICE + keys) == [
        "services.toml:5: services.web.ambient_capabilities: has MKNOD or SYS_RAWIO, "
        "which sandbox.private_devices takes away"
    ]


def test_root_is_told_that_it_can_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(**keys: object) -> bool:
        return bool([*sandbox_notes(ServiceSpec(name="web", command=("x",), **keys))])  # type: ignore[arg-type]

    asked = SandboxSpec(private_tmp=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert told(sandbox=asked)
    assert told(sandbox=asked, capabilities=(0, 21))
    assert not told(sandbox=asked, capabilities=(0,))
    assert not told(sandbox=asked, user=1000)
    assert not told()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not told(sandbox=asked)
