"""Reads a unit with its template and its drop-ins, and finds the settings that count (systemd 252)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.systemd.keys import KEYS
from supervisor.config.importers.systemd.specifiers import Manager, UnitName, UnknownSpecifier, expand
from supervisor.config.importers.systemd.syntax import Setting, boolean, seconds, settings, size

TOOL = "systemd"
_NULL = Path("/dev/null")
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass
class Unit:
    """A unit as it is in force. `service` is the name here of the service to which its losses belong."""

    name: UnitName
    path: Path
    manager: Manager
    imported: Imported
    service: str | None
    settings: list[Setting] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)

    @property
    def file(self) -> str:
        return str(self.path)

    def many(self, section: str, *keys: str) -> list[Setting]:
        """All settings of a list, of which an empty one clears those before it."""
        self.used.update((section, key) for key in keys)
        found: list[Setting] = []
        for setting in self.settings:
            if setting.section == section and setting.key in keys:
                found = [*found, setting] if setting.value else []
        return found

    def last(self, section: str, *keys: str) -> Setting | None:
        """The setting of a key that holds one value; None where none is given, or an empty one that resets it."""
        found = self.many(section, *keys)
        return found[-1] if found else None

    def given(self, section: str, *keys: str) -> Setting | None:
        """The last setting even if its value is empty."""
        self.used.update((section, key) for key in keys)
        return next((one for one in reversed(self.settings) if one.section == section and one.key in keys), None)

    def text(self, key: str, section: str = "Service") -> str | None:
        """The value of a key, with its specifiers replaced."""
        setting = self.last(section, key)
        return None if setting is None else self.expanded(setting)

    def expanded(self, setting: Setting, value: str | None = None) -> str | None:
        """A value with its specifiers replaced; None, and a loss, where systemd ignores it for one of them."""
        try:
            return self.expand(setting.value if value is None else value)
        except UnknownSpecifier:
            self.ignored(setting, "has a specifier that has no value")
            return None

    def expand(self, value: str) -> str:
        """Replace the specifiers. Raises UnknownSpecifier."""
        return expand(value, self.name, self.manager, self.path)

    def switch(self, key: str, section: str = "Service") -> bool | None:
        """A boolean; None where it is not given or is ignored."""
        setting = self.last(section, key)
        value = boolean(setting.value) if setting is not None else None
        if setting is not None and value is None:
            self.ignored(setting, "is neither yes nor no")
        return value

    def span(self, *keys: str, section: str = "Service") -> float | None:
        """Seconds; None where it is not given or is ignored."""
        setting = self.last(section, *keys)
        value = seconds(setting.value) if setting is not None else None
        if setting is not None and value is None:
            self.ignored(setting, "is no time span")
        return value

    def number(self, key: str, low: int, high: int) -> int | None:
        """A whole number of [Service] from `low` to `high`; None where it is not given or is ignored."""
        setting = self.last("Service", key)
        if setting is None:
            return None
        if _WHOLE.fullmatch(setting.value) and low <= int(setting.value) <= high:
            return int(setting.value)
        self.ignored(setting, f"is no number from {low} to {high}")
        return None

    def size(self, setting: Setting) -> int | None:
        """Bytes; None, and a loss, where systemd ignores it."""
        value = size(setting.value)
        if value is None:
            self.ignored(setting, "is no size")
        return value

    def lose(self, kind: Kind, where: Setting | None, text: str) -> None:
        """Add a loss; without a setting it is of the whole unit."""
        if where is None:
            self.imported.lose(kind, self.file, 0, "", text, self.service)
        else:
            self.imported.lose(kind, where.file, where.line, where.key, text, self.service)

    def ignored(self, setting: Setting, reason: str) -> None:
        """Add a loss for a line that systemd ignores with a warning."""
        self.lose(Kind.IGNORED, setting, f"systemd ignores this line: it {reason}.")

    def refuse(self, where: Setting | None, text: str, hint: str = "") -> ImportRefused:
        """The error to raise where systemd refuses the unit."""
        return ImportRefused(where.file if where else self.file, where.line if where else 0, text, hint)


def load(path: Path, manager: Manager, imported: Imported, service: str | None = None) -> Unit:
    """Read the unit of that file with its drop-ins.

    Of `NAME@INSTANCE.service` the file may be missing where `NAME@.service` is beside it. Raises ImportRefused where
    systemd refuses the unit, and OSError where a file cannot be read.
    """
    source = _behind_link(path)
    name = UnitName.of(source.name)
    if name.instance and not source.exists():
        source = source.with_name(name.template)
    if path.resolve() == _NULL or not source.read_bytes():
        raise ImportRefused(str(path), 0, "the unit is masked: its file is empty, so systemd never starts it")
    unit = Unit(name, source, manager, imported, service)
    for file in (source, *_drop_ins((path.parent, source.parent), name, manager)):
        _read(unit, file)
    return unit


def _behind_link(path: Path) -> Path:
    """The file of the unit for which a link stands: an alias, or a unit that is enabled or linked."""
    target, own = path.resolve(), UnitName.of(path.name)
    name = UnitName.of(target.name)
    if not path.is_symlink() or name.kind != own.kind:
        return path
    return target.with_name(path.name) if name.instance == "" else target


def _read(unit: Unit, file: Path) -> None:
    text = file.read_bytes().decode(errors="surrogateescape")
    unit.imported.files.append(file)
    found, complaints = settings(text, str(file))
    for complaint in complaints:
        if complaint.fatal:
            raise ImportRefused(str(file), complaint.line, complaint.text)
        said = f"systemd ignores this line. {complaint.text[0].upper()}{complaint.text[1:]}"
        unit.imported.lose(Kind.IGNORED, str(file), complaint.line, complaint.key, said, unit.service)
    for setting in found:
        if setting.value.isascii() or _is_utf8(setting.value):
            unit.settings.append(setting)
        else:
            unit.ignored(setting, "is not UTF-8")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _drop_ins(beside: tuple[Path, ...], name: UnitName, manager: Manager) -> list[Path]:
    """The files of the drop-in folders, sorted by their name; one of the same name counts where it is nearest.

    `beside`: the folders of the unit. One of the manager's brings all of the manager's.
    """
    folders = [folder for folder in manager.folders if any(str(one) in manager.folders for one in beside)]
    folders += [str(one) for one in beside if str(one) not in folders]
    places = [f"{folder}/{one}.d" for folder in folders for one in _drop_in_names(name)]
    places += [f"{folder}/{name.kind}.d" for folder in folders]
    files: dict[str, Path] = {}
    for place in map(Path, places):
        if place.is_dir():
            for file in sorted(place.glob("*.conf")):
                files.setdefault(file.name, file)
    return [files[key] for key in sorted(files) if files[key].resolve() != _NULL and files[key].is_file()]


def _drop_in_names(name: UnitName) -> list[str]:
    """`a-b@x.service`, `a-b@.service`, `a-@.service`: the nearest first."""
    names = [name.full] if name.instance is None else [name.full, name.template]
    at = f"@.{name.kind}" if name.instance is not None else f".{name.kind}"
    prefix = name.prefix
    while "-" in prefix.rstrip("-"):
        prefix = prefix.rstrip("-").rpartition("-")[0] + "-"
        names.append(prefix + at)
    return names


_SECTIONS = {"service": ("Unit", "Service", "Install"), "socket": ("Unit", "Socket", "Install")}
_ISOLATION = (
    "Protect", "Restrict", "SystemCall", "Private", "LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC",
    "SecureBits", "ProcSubset", "Bind", "Root", "TemporaryFileSystem", "ExecPaths", "NoExecPaths", "DevicePolicy",
    "DeviceAllow", "IPAddress", "SocketBind", "Mount", "AppArmorProfile", "SELinuxContext", "Smack", "Keyring",
    "Personality", "NetworkNamespace", "IPCNamespace",
)  # fmt: skip
_TOLD = (
    (_ISOLATION, "Nothing here isolates it in this way; `sandbox`, `capabilities` and `no_new_privileges` are there."),
    (("Condition", "Assert"), "Nothing here checks this: the service is started in any case."),
    (("OnFailure", "OnSuccess"), "No unit is started here; a hook can run a command on `failed` or `stopped`."),
    (("Documentation", "SourcePath"), "There is no place for it here."),
    (("Syslog", "Log"), "Output is kept in the log of the service and has no such property."),
    (("LoadCredential", "SetCredential"), "There are no credentials here; give it a file that it may read."),
    (("RuntimeMaxSec", "RuntimeRandomized"), "Nothing here ends a service because it has run for that long."),
    (("Upholds", "Propagate", "Reload", "StopPropagated", "StopWhenUnneeded", "JoinsNamespace"),
     "There is no such relation here; `depends_on` and `on_dependency_restart` are there."),
    (("Conflicts",), "Nothing here keeps two services from running at the same time."),
    (("FailureAction", "SuccessAction", "RebootArgument", "StartLimitAction", "JobTimeout", "JobRunning"),
     "Nothing here acts on the host; `end_with = true` ends the daemon with a service."),
    (("CPU", "IO", "BlockIO", "Memory", "Allowed", "NUMA", "StartupC", "StartupI", "Managed", "Slice", "Delegate",
      "TimerSlack", "OOMPolicy"), "This is not set here."),
)  # fmt: skip
_SILENT = frozenset(
    (
        *("CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting", "IPAccounting", "BlockIOAccounting"),
        *("DefaultDependencies", "CollectMode", "TimeoutCleanSec"),
    )
)
"""They change nothing of what is run."""


def tell_the_rest(unit: Unit) -> None:
    """Add a loss for each setting that nothing has used."""
    for setting in unit.settings:
        section, key = setting.section, setting.key
        if (section, key) in unit.used or section.startswith("X-") or key.startswith("X-") or key in _SILENT:
            continue
        if section not in _SECTIONS[unit.name.kind]:
            unit.ignored(setting, f"stands in [{section}], which a .{unit.name.kind} file does not have")
        elif key not in KEYS[section]:
            unit.ignored(setting, f"has a key that systemd 252 does not know in [{section}]")
        elif setting.value:
            text = next((text for starts, text in _TOLD if key.startswith(starts)), "Nothing here does that.")
            unit.lose(Kind.DROPPED, setting, text)
