"""The process of a unit: its account, limits, capabilities, mounts, resources and output (systemd 252)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.systemd.files import Unit
from supervisor.config.importers.systemd.syntax import Setting, Unbalanced, boolean, seconds, size, words
from supervisor.config.schema.capabilities import NAMES

_ALL = frozenset(NAMES)
SOFT_FILES, HARD_FILES = 1024, 524_288
"""What systemd gives to a unit that says nothing of LimitNOFILE=."""
_COUNTED = ("NOFILE", "NPROC", "NICE", "RTPRIO", "SIGPENDING")
_SIZED = ("AS", "CORE", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "RSS", "STACK")
_TIMED = {"CPU": 1.0, "RTTIME": 1e-6}
"""Limits of time, with their unit in seconds."""
_PATHS = {
    "read_write_paths": ("ReadWritePaths", "ReadWriteDirectories"),
    "read_only_paths": ("ReadOnlyPaths", "ReadOnlyDirectories"),
    "inaccessible_paths": ("InaccessiblePaths", "InaccessibleDirectories"),
}
_TO_JOURNAL = ("journal", "syslog", "kmsg", "journal+console", "syslog+console", "kmsg+console")
_MASK = re.compile(r"0?[0-7]{1,3}")
_ACCOUNT = re.compile(r"[^\s:/,]+")
DYNAMIC = "nobody"
"""The account in place of one that exists only while the unit runs."""


def account(unit: Unit, table: dict[str, Any]) -> str | None:
    """Write user, group and directory, and give the user. Raises ImportRefused where systemd refuses the unit."""
    user, group = unit.text("User"), unit.text("Group")
    if unit.switch("DynamicUser"):
        here = unit.last("Service", "DynamicUser")
        user, group = DYNAMIC, None
        said = f"No account is made here: it runs as {DYNAMIC} until you make one and write it as `user`."
        unit.lose(Kind.CHOSEN, here, said)
        unit.used |= {("Service", "User"), ("Service", "Group")}
    for key, value in (("user", user), ("group", group)):
        if value is not None:
            if not _ACCOUNT.fullmatch(value):
                raise unit.refuse(
                    unit.last("Service", key.capitalize()),
                    f"{key.capitalize()}= is no account: systemd refuses the unit",
                )
            table[key] = int(value) if value.isdecimal() else value
    for setting in unit.many("Service", "SupplementaryGroups"):
        unit.lose(Kind.DROPPED, setting, "It has the groups of its user alone: add the user to these groups.")
    table["directory"] = _directory(unit, user)
    return user


def _directory(unit: Unit, user: str | None) -> str:
    setting = unit.last("Service", "WorkingDirectory")
    if setting is None:
        return "/"
    optional, value = setting.value.startswith("-"), setting.value.removeprefix("-")
    if value == "~":
        home = unit.manager.home_of(user) if user else unit.manager.home
        if home is None:
            unit.lose(Kind.CHANGED, setting, "The home of its user is not known on this host: write the directory.")
        return home or "/"
    path = unit.expanded(setting, value)
    if path is None:
        return "/"
    if not path.startswith("/"):
        raise unit.refuse(setting, "WorkingDirectory= is no absolute path: systemd refuses the unit")
    if optional:
        there = Path(path).is_dir()
        said = "The directory has to exist here." if there else f"{path} is not there now, so it runs in /."
        unit.lose(Kind.CHANGED, setting, said)
        return path if there else "/"
    return path


def scheduling(unit: Unit, table: dict[str, Any]) -> None:
    """Write umask, nice, the score for the out-of-memory killer, and limits."""
    mask = unit.last("Service", "UMask")
    table["umask"] = "0022"
    if mask is not None and _MASK.fullmatch(mask.value):
        table["umask"] = mask.value
    elif mask is not None:
        unit.ignored(mask, "is no mode in octal digits")
    for key, name, low, high in (("Nice", "nice", -20, 19), ("OOMScoreAdjust", "oom_score_adj", -1000, 1000)):
        value = unit.number(key, low, high)
        if value is not None:
            table[name] = value
    limits: dict[str, Any] = {"nofile": f"{SOFT_FILES}:{HARD_FILES}"}
    for kind in (*_COUNTED, *_SIZED, *_TIMED):
        setting = unit.last("Service", f"Limit{kind}")
        if setting is None:
            continue
        soft, colon, hard = setting.value.partition(":")
        pair = [_limit(kind, part.strip()) for part in ((soft, hard) if colon else (soft,))]
        if None in pair:
            unit.ignored(setting, "is no limit of its kind")
        else:
            limits[kind.lower()] = pair[0] if len(pair) == 1 else ":".join(map(str, pair))
    table["limits"] = limits


def _limit(kind: str, text: str) -> int | str | None:
    if text == "infinity":
        return "unlimited"
    if kind in _TIMED:
        span = seconds(f"{text}us" if kind == "RTTIME" and text.isdecimal() else text)
        return None if span is None else round(span / _TIMED[kind])
    if kind in _SIZED:
        return size(text)
    if kind == "NICE" and text[:1] in "+-" and text[1:].isdecimal():
        return 20 - int(text)
    return int(text) if text.isdecimal() else None


def privileges(unit: Unit, table: dict[str, Any]) -> None:
    """Write capabilities and no_new_privileges."""
    bounding = _capabilities(unit, "CapabilityBoundingSet", _ALL)
    if bounding is not None:
        table["capabilities"] = bounding
    ambient = _capabilities(unit, "AmbientCapabilities", frozenset())
    if ambient and table.get("user") in (None, 0, "root"):
        where = unit.last("Service", "AmbientCapabilities")
        unit.lose(Kind.DROPPED, where, "Root has these capabilities anyway, so there is nothing to write.")
    elif ambient:
        table["ambient_capabilities"] = ambient
    if unit.switch("NoNewPrivileges") or unit.switch("DynamicUser"):
        table["no_new_privileges"] = True


def _capabilities(unit: Unit, key: str, initial: frozenset[str]) -> list[str] | None:
    """The names that are left, in the kernel's order; None where the key does not occur."""
    chosen, seen = initial, False
    unit.used.add(("Service", key))
    for setting in unit.settings:
        if (setting.section, setting.key) != ("Service", key):
            continue
        seen = True
        short = {name.upper().removeprefix("CAP_") for name in setting.value.removeprefix("~").split()}
        if unknown := short - _ALL:
            unit.ignored(setting, f"has {', '.join(sorted(unknown))}, which the kernel does not know")
        without, known = setting.value.startswith("~"), short & _ALL
        if not known or chosen == initial:
            chosen = _ALL - known if without else frozenset(known)
        else:
            chosen = chosen - known if without else chosen | known
    return [f"CAP_{name}" for name in NAMES if name in chosen] if seen else None


def sandbox(unit: Unit, table: dict[str, Any], folders: list[str]) -> None:
    """Write the sandbox. `folders` are the directories that systemd would make: the unit may write to them."""
    dynamic, strict = unit.last("Service", "DynamicUser"), unit.switch("DynamicUser")
    found: dict[str, Any] = {}
    for key, name in (("PrivateTmp", "private_tmp"), ("PrivateDevices", "private_devices")):
        given = unit.switch(key)
        if given or (key == "PrivateTmp" and strict):
            found[name] = True
            if key == "PrivateTmp":
                where = unit.last("Service", key) or dynamic
                unit.lose(Kind.CHANGED, where, "/tmp and /var/tmp of its own are in memory here.")
    for key, name, others, least in (
        ("ProtectSystem", "protect_system", ("full", "strict"), "strict"),
        ("ProtectHome", "protect_home", ("read-only", "tmpfs"), "read-only"),
    ):
        setting = unit.last("Service", key)
        value: Any = least if strict else False
        if setting is not None:
            value = setting.value if setting.value in others else boolean(setting.value)
            if value is None:
                unit.ignored(setting, "has an unknown value")
            elif strict and key == "ProtectSystem":
                value = "strict"
        if value:
            found[name] = value
    for name, keys in _PATHS.items():
        paths = [path for setting in unit.many("Service", *keys) for path in _paths(unit, setting)]
        if "/" in paths:
            paths.remove("/")
            found |= _root(unit, name, unit.last("Service", *keys))
        if paths:
            found[name] = paths
    if folders and found.get("protect_system") == "strict":
        made = [folder for folder in folders if Path(folder).exists()]
        if paths := list(dict.fromkeys([*found.get("read_write_paths", []), *made])):
            found["read_write_paths"] = paths
        if missing := [folder for folder in folders if folder not in made]:
            said = f"Add {', '.join(missing)} to `sandbox.read_write_paths` when it has been made."
            unit.lose(Kind.CHANGED, unit.last("Service", "ProtectSystem") or dynamic, said)
    if found:
        table["sandbox"] = found


def _root(unit: Unit, name: str, setting: Setting | None) -> dict[str, Any]:
    """What stands for `/` in a list of paths, where no list here can have it."""
    if name != "read_only_paths":
        unit.lose(Kind.DROPPED, setting, "The root directory itself cannot be in this list here.")
        return {}
    unit.lose(Kind.CHANGED, setting, '`protect_system = "strict"` stands for /: /dev, /proc and /sys can be written.')
    return {"protect_system": "strict"}


def _paths(unit: Unit, setting: Setting) -> list[str]:
    found = []
    try:
        given = words(setting.value)
    except Unbalanced as error:
        unit.ignored(setting, str(error))
        return []
    for word in given:
        path = unit.expanded(setting, word.lstrip("-+"))
        if path is None:
            continue
        if not path.startswith("/"):
            unit.ignored(setting, "has a path that is not absolute")
        elif word.lstrip("+").startswith("-") and not Path(path).exists():
            unit.lose(Kind.DROPPED, setting, f"{path} is not there now, and a path of `sandbox` has to exist.")
        else:
            found.append(path)
    return found


def resources(unit: Unit, table: dict[str, Any]) -> None:
    """Write limits of memory, CPU and tasks."""
    found: dict[str, Any] = {}
    memory = unit.last("Service", "MemoryMax", "MemoryLimit")
    if memory is not None and memory.value != "infinity":
        if memory.value.endswith("%"):
            unit.lose(Kind.DROPPED, memory, "A share of the host's memory has no counterpart: write a size.")
        elif value := unit.size(memory):
            found["max_memory"] = f"{value / 1024:.3f}".rstrip("0").rstrip(".") + "KiB"
    quota = unit.last("Service", "CPUQuota")
    if quota is not None:
        if quota.value.endswith("%") and quota.value[:-1].replace(".", "", 1).isdecimal():
            found["max_cpu"] = quota.value
        else:
            unit.ignored(quota, "is no percentage")
    tasks = unit.last("Service", "TasksMax")
    if tasks is not None and tasks.value != "infinity":
        if tasks.value.isdecimal() and int(tasks.value):
            found["max_tasks"] = int(tasks.value)
        else:
            unit.lose(Kind.DROPPED, tasks, "A share of the host's tasks has no counterpart: write a number.")
    if found:
        found |= {"enforce": "kernel", "action": "report"}
        where = memory or quota or tasks
        said = "The kernel enforces it where the daemon has a cgroup of its own; elsewhere it is only reported."
        unit.lose(Kind.CHANGED, where, said)
        table["resources"] = found


def output(unit: Unit, table: dict[str, Any]) -> None:
    """Write where output goes: the unit's files, or else its log here."""
    places: dict[str, str] = {}
    for key in ("StandardOutput", "StandardError"):
        setting = unit.last("Service", key)
        if setting is None or setting.value in ("inherit", *_TO_JOURNAL):
            if setting is not None and setting.value != "inherit":
                places[key] = ""
                unit.lose(Kind.CHANGED, setting, "It is kept in the log of the service here, not in the journal.")
            continue
        how, colon, path = setting.value.partition(":")
        if colon and how in ("file", "append", "truncate"):
            places[key] = unit.expanded(setting, path) or ""
            if how != "append":
                unit.lose(Kind.CHANGED, setting, "The file is appended to here.")
        else:
            places[key] = ""
            unit.lose(Kind.CHANGED, setting, "It is kept in the log of the service here.")
    standard, errors = places.get("StandardOutput", ""), places.get("StandardError")
    log: dict[str, Any] = {}
    if standard:
        log["path"] = standard
    if errors is not None and errors != standard:
        log["stderr"] = errors or True
    if log:
        log["rotate"] = False
        for name in (standard, errors or ""):
            if "{instance}" in name:
                unit.lose(Kind.CHANGED, unit.last("Service", "StandardOutput"), "{instance} is replaced here.")
        table["log"] = log
    stdin = unit.last("Service", "StandardInput")
    if stdin is not None and stdin.value != "null":
        unit.lose(Kind.CHANGED, stdin, "Its standard input is /dev/null here.")
