"""Points out a command that has another manager start a program, and ends: what is to run is not its child."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from supervisor.config.source.key_path import Key
from supervisor.core.model.spec import ServiceSpec, ServiceType

_STARTS = {"start", "restart", "reload-or-restart", "try-restart"}


def other_manager_notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) of `systemctl start NAME`, `service NAME start` and the like; a oneshot may mean it."""
    program, *rest = spec.command or ("",)
    name = posixpath.basename(program)
    words = [word for word in rest if not word.startswith("-")]
    if spec.type is ServiceType.ONESHOT or _STARTS.isdisjoint(words):
        return
    if name == "systemctl" and len(words) > 1 and words[0] in _STARTS:
        found = f"; `systemctl cat {words[1]}` shows it, and `supervisor init --from` takes its file over"
        manager, started = "systemd", words[1]
    elif name in ("service", "rc-service", "invoke-rc.d") and len(words) > 1:
        found, manager, started = "", f"the system ({name})", words[0]
    elif posixpath.dirname(program) == "/etc/init.d":
        found, manager, started = "", "its script", name
    else:
        return
    yield (
        ("services", spec.name, "command"),
        f"{manager} runs {started} in the background, and this command ends; "
        f"write the command of {started} itself{found}",
    )
