"""Reads compose files: what runs in a container of each service, and when it is started again.

Tested against docker-compose 1.29.2; restarts and health checks are those of the Docker Engine. The programs of the
images have to be installed on this host.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.compose.policy import health_of, restart_of, stop_of
from supervisor.config.importers.compose.service import Service, listed, text_of
from supervisor.config.importers.compose.syntax import Interpolation, load_yaml, read_dotenv
from supervisor.config.importers.imported import Imported, ImportedService, ImportRefused, Kind
from supervisor.config.importers.reading import Table, utf8
from supervisor.config.source.expand import parse_environment_file

_TOGETHER = "Let compose put it together: `docker compose config > together.yaml`, and import that."
_IN_IMAGE = "There is no image here: its programs have to be installed on this host."
_NOT_HERE = {
    "image": _IN_IMAGE,
    "build": _IN_IMAGE,
    "ports": "The program listens on the host itself: on the port within the container, at each address it asks for.",
    "expose": "The program listens on the host itself.",
    "volumes": "There are no mounts: the program uses the paths of the host.",
    "networks": "There are no networks: service names are not host names here, other services are at 127.0.0.1.",
    "links": "There are no networks: service names are not host names here, other services are at 127.0.0.1.",
    "logging": "The output is in the log of the service.",
    "mem_limit": 'There is no limit: write `resources = { max_memory = …, enforce = "kernel" }`.',
    "cpus": 'There is no limit: write `resources = { max_cpu = …, enforce = "kernel" }`.',
    "ulimits": "There are no limits: write `limits`.",
    "init": "The daemon adopts and ends orphaned processes, so no init is needed.",
    "container_name": "The service has its own name.",
}
_OF_CONTAINER = "It belongs to the container, and there is none here."
_TOP = ("version", "services", "name")
_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "completed",
}
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")
_HOST = re.compile(r"(?:^|[@/,=\s])([\w.-]+):[0-9]|(?://|@)([\w.-]+)(?=[/,?]|$)")
_OF_HOST = re.compile("HOST|ADDR|SERVER")
_NO_VARIABLE = re.compile(r"[\s:]")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_ORDER = (
    "type", "command", "directory", "user", "group", "environment", "environment_file", "inherit_environment",
    "replicas", "depends_on", "on_dependency_restart", "autostart", "profiles",
    "stop_signal", "stop_timeout", "start_timeout",
    "ready", "heartbeat", "restart",
)  # fmt: skip


def read(paths: Sequence[Path], environment: Mapping[str, str]) -> Imported:
    """The services of one file that have a command.

    Raises ImportRefused where compose refuses the file, where it is made of several, and without PyYAML; OSError.
    """
    if len(paths) > 1:
        raise ImportRefused(str(paths[1]), 0, "compose lays several files over each other", _TOGETHER)
    path = paths[0]
    file = _File(path, environment)
    file.read(load_yaml(str(path), utf8(path).removeprefix("\ufeff")))
    return file.imported


class _File:
    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.imported = Imported("compose")
        self.file = str(path)
        self.path = path
        self.folder = path.absolute().parent
        beside = self.folder / ".env"
        known = read_dotenv(utf8(beside)) if beside.is_file() else {}
        self.imported.files += filter(Path.is_file, [beside])
        self.variables = _nested(known, environment) | dict(environment)
        self.interpolation = Interpolation(self.variables)
        self.completed: set[str] = set()
        self.profiles: dict[str, list[str]] = {}

    def lose(self, kind: Kind, line: int, key: str, text: str) -> None:
        self.imported.lose(kind, self.file, line, key, text)

    def refuse(self, line: int, text: str, hint: str = "") -> ImportRefused:
        return ImportRefused(self.file, line, text, hint)

    def read(self, top: Any) -> None:
        if not isinstance(top, Table) or not isinstance(services := top.get("services"), Table):
            raise self.refuse(1, "it has no `services`")
        if "include" in top:
            raise self.refuse(top.line_of("include"), "compose includes other files", _TOGETHER)
        for key in top:
            if key not in _TOP and not key.startswith("x-"):
                self.lose(Kind.DROPPED, top.line_of(key), key, _NOT_HERE.get(key, _OF_CONTAINER))
        self.tell_override()
        expanded = {name: self.expanded(name, table) for name, table in services.items()}
        kept = {
            name: Service(self.imported, self.file, name, table, services.line_of(name))
            for name, table in expanded.items()
            if self.has_command(name, table, services.line_of(name))
        }
        for service in kept.values():
            for other, how in self.dependencies(service).items():
                if how.get("condition") == "service_completed_successfully":
                    self.completed.add(other)
        self.profiles = self.usable_profiles(kept)
        for service in kept.values():
            self.service(service, kept.keys(), expanded)
        self.tell_interpolation()
        if kept:
            text = "A container has the variables of its image and of the file; a service here has PATH and the file's."
            self.lose(Kind.CHANGED, 0, "environment", text)

    def tell_override(self) -> None:
        """Compose reads an override beside a file of a usual name, unless it is called with -f."""
        base, _, extension = self.path.name.rpartition(".")
        if base not in ("compose", "docker-compose") or extension not in ("yml", "yaml"):
            return
        for name in (f"{base}.override.yml", f"{base}.override.yaml"):
            if (self.folder / name).is_file():
                text = f"Compose lays {name} over it, which is not read here."
                self.lose(Kind.DROPPED, 0, "", f"{text} {_TOGETHER}")

    def tell_interpolation(self) -> None:
        if self.interpolation.used:
            names = ", ".join(sorted(self.interpolation.used))
            text = f"Variables of the environment and of .env are fixed values here, secrets included: {names}."
            self.lose(Kind.CHANGED, 0, "", text)
        if self.interpolation.missing:
            names = ", ".join(sorted(self.interpolation.missing))
            self.lose(Kind.IGNORED, 0, "", f"Not set, so compose takes an empty text for them: {names}.")

    def expanded(self, name: str, table: Any) -> Table:
        """The table of a service with its variables replaced."""
        if not isinstance(table, Table):
            raise self.refuse(0, f"the service {name} is no mapping")
        if "extends" in table:
            raise self.refuse(table.line_of("extends"), "the service extends another one", _TOGETHER)
        found: Table = self.replaced(table, table.line)
        return found

    def replaced(self, value: Any, line: int) -> Any:
        if isinstance(value, str):
            try:
                return self.interpolation.expand(value)
            except ValueError as error:
                raise self.refuse(line, str(error)) from None
        if isinstance(value, list):
            return [self.replaced(inner, line) for inner in value]
        if isinstance(value, Table):
            block = Table(value.line)
            block.lines = value.lines
            for key, inner in value.items():
                block[key] = self.replaced(inner, value.line_of(key))
            return block
        return value

    def has_command(self, name: str, table: Table, line: int) -> bool:
        if table.get("command") or table.get("entrypoint"):
            return True
        text = f"The command of {name} is in its image alone, so it is left out: add the service with its command."
        self.lose(Kind.DROPPED, line, name, text)
        return False

    def service(self, service: Service, kept: Any, every: Mapping[str, Any]) -> None:
        name = service.name
        if not _NAME.fullmatch(name):
            raise self.refuse(service.line, f"{name} is no name of a service here", "Rename it in the file.")
        table: dict[str, Any] = {"command": self.command(service), "directory": self.directory(service)}
        service.told |= {"command", "entrypoint", "profiles", "scale"}
        self.account(service, table)
        table |= self.environment(service)
        table["inherit_environment"] = False
        if replicas := self.replicas(service, table):
            table["replicas"] = replicas
        self.depend(service, table, kept, every)
        _tell_hosts(service, table, every)
        table |= stop_of(service)
        table |= health_of(service)
        table["restart"] = restart_of(service)
        if name in self.completed and table["restart"]["policy"] != "always":
            table["type"] = "oneshot"
        if name in self.profiles:
            table["profiles"] = self.profiles[name]
        elif service.table.get("profiles"):
            table["autostart"] = False
            text = "Another service needs it without its profiles, or has a profile that cannot be a name here."
            service.lose(Kind.CHANGED, "profiles", f"{text}  `supervisor start` starts it by name.")
        for key in service.table:
            if key not in service.told and not key.startswith("x-"):
                service.lose(Kind.DROPPED, key, _NOT_HERE.get(key, _OF_CONTAINER))
        if not service.table.keys() & {"image", "build"}:
            raise self.refuse(service.line, f"{name} has neither image nor build")
        ordered = {key: table[key] for key in _ORDER if key in table}
        self.imported.services.append(ImportedService(name, self.file, service.line, ordered))

    def usable_profiles(self, kept: Mapping[str, Service]) -> dict[str, list[str]]:
        """The profiles of the services of which no other one is there that needs them; none where all have profiles,
        because then nothing would be there."""
        found = {name: written for name, service in kept.items() if (written := listed(service.get("profiles")))}
        usable = {
            name: written
            for name, written in found.items()
            if all(_NAME.fullmatch(str(profile)) for profile in written)
        }
        if len(usable) == len(kept):
            return {}
        while True:  # one that loses its profiles is always there
            needed = {
                other
                for name, service in kept.items()
                for other, how in self.dependencies(service).items()
                if other in usable and how.get("required") is not False
                if not (name in usable and set(usable[name]) <= set(usable[other]))
            }
            if not needed:
                return usable
            usable = {name: written for name, written in usable.items() if name not in needed}

    def command(self, service: Service) -> list[str]:
        entrypoint, command = (self.words(service, key) for key in ("entrypoint", "command"))
        if not entrypoint:
            text = "The entrypoint of the image, if it has one, would come before it."
            service.lose(Kind.CHANGED, "command", text)
        words = [*entrypoint, *command]
        for mark in ("{replica}", "{port}"):
            if any(mark in word for word in words):
                text = f"{mark} in a command is replaced here, and cannot be written literally."
                service.lose(Kind.CHANGED, "command", text)
        return words

    def words(self, service: Service, key: str) -> list[str]:
        value = service.table.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            if not all(isinstance(word, str) for word in value):
                raise self.refuse(service.table.line_of(key), f"{key} has a word that is no text; write it in quotes")
            return list(value)
        try:
            return shlex.split(text_of(value))
        except ValueError as error:
            raise self.refuse(service.table.line_of(key), f"{key} cannot be split into words: {error}") from None

    def directory(self, service: Service) -> str:
        """The folder of the file; for a directory in the image the folder that is mounted there, if there is one."""
        if service.get("working_dir") is None:
            return str(self.folder)
        within = text_of(service.table["working_dir"])
        for source, target in _mounts(service.table.get("volumes")):
            if within == target or within.startswith(target.rstrip("/") + "/"):
                path = os.path.normpath(self.folder / source / within[len(target) :].lstrip("/"))
                service.lose(
                    Kind.CHANGED,
                    "working_dir",
                    "It is a path in the container; here it is the host folder that is mounted there.",
                )
                return path
        service.lose(
            Kind.DROPPED, "working_dir", "It is a path in the image; here it is the folder of the compose file."
        )
        return str(self.folder)

    def account(self, service: Service, table: dict[str, Any]) -> None:
        written = service.get("user")
        user, _, group = ("" if written is None else text_of(written)).partition(":")
        if not user:
            text = "Without `user` it runs as the user of the image, often root; here as the user of the daemon."
            self.imported.lose(Kind.CHOSEN, self.file, service.line, "user", text, service.name)
            return
        table["user"] = int(user) if user.isdigit() else user
        if group:
            table["group"] = int(group) if group.isdigit() else group
        service.lose(Kind.CHANGED, "user", "It is an account of this host, not of the image.")

    def environment(self, service: Service) -> dict[str, Any]:
        """`environment`, and `environment_file` where each file reads here as it does in compose."""
        written = service.get("environment")
        own: dict[str, str | None] = {}
        if isinstance(written, Table):
            if any(isinstance(value, list | dict) for value in written.values()):
                raise self.refuse(service.table.line_of("environment"), "the value of a variable is no text")
            own = {key: None if value is None else text_of(value) for key, value in written.items()}
        for entry in written if isinstance(written, list) else []:
            name, equals, given_there = str(entry).partition("=")
            if isinstance(entry, list | dict) or (not equals and _NO_VARIABLE.search(name)):
                text = "an entry of environment is neither NAME=VALUE nor NAME"
                raise self.refuse(service.table.line_of("environment"), text, "Write - NAME=VALUE, or NAME: value.")
            own[name] = given_there if equals else None
        files = self.files(service)
        given: dict[str, str] = {}
        for key, value in own.items():
            found = self.variables.get(key) if value is None else value
            if value is not None and ("{replica}" in value or "{port}" in value):
                text = f"{key} has a mark that is replaced here, and cannot be written literally."
                service.lose(Kind.CHANGED, "environment", text)
            if value is None:
                text = f"The value of {key} comes from the environment: fixed here, and left out where it is not set."
                service.lose(Kind.CHANGED, "environment", text)
            if found is not None:
                given[key] = found
        table: dict[str, Any] = {}
        if files is None:
            given = self.written_out(service) | given
        elif files:
            table["environment_file"] = files
        return ({"environment": given} if given else {}) | table

    def files(self, service: Service) -> list[Any] | None:
        """The files; None where one reads otherwise here, so that its values have to be written out."""
        found: list[Any] = []
        for path, required in self.env_files(service):
            if not path.is_file():
                if required:
                    raise self.refuse(service.table.line_of("env_file"), f"there is no {path}")
                found.append({"path": str(path), "required": False})
                continue
            text = utf8(path)
            self.imported.files.append(path)
            values, errors = parse_environment_file(text)
            if errors or values != read_dotenv(text):
                why = "`environment_file` would read it differently, so its values are written out, secrets included."
                service.lose(Kind.CHANGED, "env_file", why)
                return None
            if any("$" in value for value in values.values()):
                why = "Compose 2 replaces variables in it, compose 1 does not, and neither does the daemon."
                service.lose(Kind.CHANGED, "env_file", why)
            found.append(str(path))
        return found

    def env_files(self, service: Service) -> list[tuple[Path, bool]]:
        entries = [
            (entry.get("path"), entry.get("required", True) is not False) if isinstance(entry, Table) else (entry, True)
            for entry in listed(service.get("env_file"))
        ]
        return [(Path(os.path.normpath(self.folder / str(path))), required) for path, required in entries]

    def written_out(self, service: Service) -> dict[str, str]:
        found: dict[str, str] = {}
        for path, _ in self.env_files(service):
            for key, value in (read_dotenv(utf8(path)) if path.is_file() else {}).items():
                known = self.variables.get(key) if value is None else value
                if known is not None:
                    found[key] = known
        return found

    def replicas(self, service: Service, table: dict[str, Any]) -> int | None:
        deploy = service.get("deploy")
        deployed = deploy if isinstance(deploy, Table) else Table(0)
        key = "deploy" if "replicas" in deployed else "scale"
        written = deployed.get("replicas", service.table.get("scale"))
        for other in deployed:
            if other not in ("replicas", "restart_policy"):
                line = deployed.line_of(other)
                text = "There are no limits: write `resources`." if other == "resources" else _OF_CONTAINER
                self.imported.lose(Kind.DROPPED, self.file, line, f"deploy.{other}", text, service.name)
        if written is None:
            return None
        if not str(written).isdigit():
            raise self.refuse(service.table.line_of(key), "the number of replicas is no number")
        if int(written) == 0:
            table["autostart"] = False
            service.lose(Kind.CHANGED, key, "No replica is to run, so it is not started with the others.")
        return int(written) or None

    def dependencies(self, service: Service) -> dict[str, Table]:
        written = service.get("depends_on")
        if isinstance(written, Table):
            return {name: how if isinstance(how, Table) else Table(0) for name, how in written.items()}
        return {str(name): Table(0) for name in listed(written)}

    def depend(self, service: Service, table: dict[str, Any], kept: Any, every: Mapping[str, Any]) -> None:
        found: list[Any] = []
        line = service.table.line_of("depends_on")
        for name, how in self.dependencies(service).items():
            condition = how.get("condition", "service_started")
            if name not in every:
                raise self.refuse(line, f"it depends on {name}, which is no service")
            if condition not in _CONDITIONS:
                raise self.refuse(line, f"{condition} is no condition")
            if how.get("restart") is True:
                table["on_dependency_restart"] = "restart"
            if name not in kept:
                text = f"It depends on {name}, which is left out: see to it that {name} runs before."
                service.lose(Kind.DROPPED, "depends_on", text)
                continue
            one: dict[str, Any] = {"service": name, "condition": _CONDITIONS[condition]}
            found.append(one if how.get("required") is not False else one | {"required": False})
        if found:
            table["depends_on"] = found


def _nested(known: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of .env; `${NAME}` and `${NAME:-default}` in them are those before it, then of the environment."""
    found: dict[str, str] = {}
    for key, value in known.items():
        if value is not None:
            around = {**environment, **found}
            found[key] = _REFERENCE.sub(lambda match: around.get(match[1], match[2] or ""), value)  # noqa: B023
    return found


def _tell_hosts(service: Service, table: Mapping[str, Any], every: Mapping[str, Any]) -> None:
    """Tell of names of other services that stand where a host does; no value is told."""
    texts = {"environment": table.get("environment", {}), "command": dict(enumerate(table["command"]))}
    for key, given in texts.items():
        hosts = {host for variable, value in given.items() for host in _hosts(str(variable), value)}
        if found := sorted(host for host in hosts if host in every and host != service.name):
            text = f"{', '.join(found)}: a service is a host name only in a compose network; write 127.0.0.1."
            service.lose(Kind.CHANGED, key, text)


def _hosts(variable: str, value: str) -> set[str]:
    """What stands in a text with a port or in an address; the whole text of a variable of a host."""
    found = {host for pair in _HOST.findall(value) for host in pair if host}
    return found | ({value} if _OF_HOST.search(variable.upper()) else set())


def _mounts(volumes: Any) -> list[tuple[str, str]]:
    """The folders of the host that are mounted, each with its path in the container."""
    found = []
    for volume in listed(volumes):
        if isinstance(volume, Table):
            if volume.get("type") == "bind":
                found.append((str(volume.get("source")), str(volume.get("target"))))
        elif str(volume).startswith((".", "/")) and ":" in str(volume):
            source, target = str(volume).split(":")[:2]
            found.append((source, target))
    return found
