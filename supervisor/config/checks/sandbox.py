"""Checks a service's sandbox: whether this host can make it, and whether the service finds in it what it needs.

Probes look from outside, so a file or socket that only the service sees would never be found by them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from supervisor.config.checks.host import Host
from supervisor.config.source.key_path import Key
from supervisor.config.source.problems import Report
from supervisor.config.source.trust import script
from supervisor.core.model.spec import SandboxSpec, ServiceSpec
from supervisor.core.services.sandbox_view import CLOSED, Place, View, covering

_DEVICE_CAPABILITIES = {17, 27}  # CAP_SYS_RAWIO, CAP_MKNOD
_ADMIN = 21  # CAP_SYS_ADMIN
_LISTS = ("read_write_paths", "read_only_paths", "inaccessible_paths")


def judge_sandbox(spec: ServiceSpec, sandbox: SandboxSpec, host: Host, report: Report) -> None:
    """Report what is wrong with a sandbox, or with the service in it."""
    if not _paths_exist(sandbox, report):
        return
    if sandbox.private_devices and _DEVICE_CAPABILITIES & set(spec.ambient_capabilities):
        report("has MKNOD or SYS_RAWIO, which sandbox.private_devices takes away", "ambient_capabilities")
    if refused := host.sandbox_refusal(sandbox):
        report(refused, "sandbox")
        return
    view = host.sandbox_view(sandbox)
    remedy = "add it to sandbox.read_only_paths or sandbox.read_write_paths"
    for key, path in _inside(spec, host):
        if place := _hidden(view, path):
            report(f"the sandbox hides {path} ({_why(place)}); {remedy}", *key)
    for key, path in _from_outside(spec):
        if place := _hidden(view, path):
            report(
                f"is looked for outside of the sandbox, where the service's own {place.path} is not seen; take a "
                "directory that both see, such as one of sandbox.read_write_paths",
                *key,
            )
    beat = spec.heartbeat
    if beat and beat.file and (place := covering(view, _real(beat.file))) and place.view is View.READ_ONLY:
        report(
            f"{place.path} is read-only in the sandbox; add the file's directory to sandbox.read_write_paths",
            "heartbeat",
            "file",
        )


def sandbox_notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) where the service could undo its sandbox."""
    if spec.sandbox is None or os.geteuid() != 0 or spec.user not in (None, 0):
        return
    if spec.capabilities is None or _ADMIN in spec.capabilities:
        message = "root can undo it; set user, or capabilities without SYS_ADMIN"
        yield ("services", spec.name, "sandbox"), message


def _paths_exist(sandbox: SandboxSpec, report: Report) -> bool:
    found = True
    for key in _LISTS:
        for index, path in enumerate(getattr(sandbox, key)):
            if os.path.realpath(path) == "/":
                instead = ', write protect_system = "strict"' if key == "read_only_paths" else ""
                report(f"cannot be /{instead}", "sandbox", key, index)
                found = False
            elif not os.path.exists(path):  # noqa: PTH110
                report(f"{path} does not exist", "sandbox", key, index, missing=True)
                found = False
    return found


def _inside(spec: ServiceSpec, host: Host) -> Iterator[tuple[Key, str]]:
    """What the service itself needs to find: (key, path)."""
    if spec.directory is None or not spec.command:
        return
    yield ("directory",), spec.directory
    path = next((value for name, value in spec.environment if name == "PATH"), None)
    try:
        yield ("command",), str(host.program(spec.command[0], spec.directory, path))
    except ValueError:
        return  # told already
    if (word := script(spec.command)) and (file := Path(spec.directory, word)).exists():
        yield ("command",), str(file)


def _from_outside(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """What the service makes and the daemon looks for: (key, path)."""
    for table, probe in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
        for key in ("http", "tcp", "file"):
            value = getattr(probe, key, None) or ""
            path = value if key == "file" else value.partition("unix:")[2].partition(":")[0]
            if path.startswith("/"):
                yield (table, key), path


def _hidden(view: Sequence[Place], path: str) -> Place | None:
    """What hides a path, or what its links lead to."""
    for real in (_real(path), os.path.realpath(path)):
        place = covering(view, real)
        if place is not None and place.view in CLOSED:
            return place
    return None


def _real(path: str) -> str:
    """The path without links but for the last name."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)  # noqa: PTH118


def _why(place: Place) -> str:
    names = {
        View.PRIVATE: "private_tmp",
        View.DEVICES: "private_devices",
        View.EMPTY: 'protect_home = "tmpfs"',
    }
    return names.get(place.view, f"{place.path} is hidden")
