"""Reads ecosystem files of PM2 (`.json`, `.config.js`, `.config.cjs`, `.config.mjs`): what PM2 7.0.4 starts of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Imported, ImportedService, ImportRefused, Kind
from supervisor.config.importers.pm2.app import App, js_string, usable_name
from supervisor.config.importers.pm2.command import Command, command_of
from supervisor.config.importers.pm2.file import Evaluate, evaluate_by_node, kind_of, read_file
from supervisor.config.importers.pm2.policy import log_of, ready_of, resources_of, restart_of, stop_of
from supervisor.config.importers.pm2.settings import ENVIRONMENT_OF, KEYS, Refused, Settings, settings, truthy
from supervisor.config.importers.reading import Table, utf8

_NOT_HERE = {
    "watch": "Nothing restarts it when a file changes: `supervisor restart NAME` does, or `supervisor reload`.",
    "watch_delay": "Nothing watches files.",
    "watch_options": "Nothing watches files.",
    "ignore_watch": "Nothing watches files.",
    "cron_restart": "There are no timed restarts: let cron or a timer of systemd run `supervisor restart NAME`.",
    "post_update": "There is no deployment; run these commands before `supervisor reload`.",
    "pid_file": "There is no pid file: `supervisor status --json` has the pid.",
    "append_env_to_name": "The name stays as it is.",
    "source_map_support": "PM2 turns it on by its wrapper: write NODE_OPTIONS=--enable-source-maps into `environment`.",
    "disable_source_map_support": "Source maps are off here, unless NODE_OPTIONS turns them on.",
    "vizion": "Nothing reads the repository that the program comes from.",
    "force": "It has no effect in a file.",
    "write": "It has no effect in a file.",
    "name_prefix": "It has no effect in a file.",
    "install_url": "It has no effect in a file.",
    "windowsHide": "It has no effect on Linux.",
    "username": "PM2 replaces it by the name of the calling user.",
    "kill_retry_time": "The end of the processes is noticed at once.",
}
_WITHOUT_EFFECT = frozenset(("force", "write", "name_prefix", "install_url", "windowsHide", "username"))
_MONITORING = "It belongs to the monitoring of PM2, which is not here."
_TOP = {
    "deploy": "There is no deployment by `pm2 deploy`; see `supervisor fleet` for other hosts.",
    "static": "There is no server of static files: make a service of one, for example of nginx.",
}


def read(
    paths: Sequence[Path],
    environment: Mapping[str, str],
    *,
    called_in: Path | None = None,
    env: str | None = None,
    cpus: int | None = None,
    evaluate: Evaluate = evaluate_by_node,
) -> Imported:
    """The applications of the files.

    `called_in`: where pm2 would be called, from which relative paths go; the folder of each file unless given. `env`:
    the NAME of `pm2 start --env NAME`, whose `env_NAME` then counts. `cpus`: how many the host has; counted unless
    given. A file that is no mere literal is run by node, with `environment`.

    Raises ImportRefused where PM2 refuses the file, or node is needed and missing, and OSError.
    """
    imported = Imported("pm2")
    for path in paths:
        folder = called_in or path.absolute().parent
        value, evaluated = read_file(path, utf8(path), folder, environment, evaluate)
        reader = _File(imported, str(path), folder, environment, env, cpus or os.cpu_count() or 1)
        if evaluated:
            text = "node has evaluated it: what it takes from the environment is a fixed value here, secrets included."
            reader.lose(Kind.CHANGED, 0, "", text)
        reader.read(value, counts_as_file=bool(kind_of(path.name)))
        if env is not None and not reader.env_found:
            reader.lose(Kind.IGNORED, 0, f"env_{env}", "No application has it; PM2 warns and starts them without.")
    _separate_groups(imported)
    return imported


def _separate_groups(imported: Imported) -> None:
    """Give a namespace another name where a service has it: here the names of groups and services are of one kind."""
    taken = {service.name for service in imported.services}
    for service in imported.services:
        name = service.table.get("group_name")
        if name in taken:
            other = f"{name}-group"
            while other in taken:
                other += "-"
            service.table["group_name"] = other
            text = f"A service has the name of the namespace, so the group is {other} here."
            imported.lose(Kind.CHANGED, service.file, service.line, "namespace", text, service.name)


class _File:
    def __init__(
        self, imported: Imported, file: str, folder: Path, environment: Mapping[str, str], env: str | None, cpus: int
    ) -> None:
        self.imported = imported
        self.file = file
        self.folder = folder
        self.environment = environment
        self.env = env
        self.env_found = False
        self.cpus = cpus
        self.deploy: Mapping[str, Any] = {}
        self.removed: list[str] = []
        """Variables that an earlier application has removed for all: `filter_env` with one name."""

    def read(self, value: Any, *, counts_as_file: bool) -> None:
        if not isinstance(value, dict | list):
            raise ImportRefused(self.file, 0, "it gives no object with `apps`")
        if not counts_as_file:
            self.lose(
                Kind.CHANGED,
                0,
                "",
                "PM2 would run a file of this name as a program; here it is read as an ecosystem file.",
            )
        commands: list[Command] = []
        for app in self.apps(value):
            if not isinstance(app, Table):
                raise ImportRefused(self.file, 0, "an application is an object with `script`")
            commands.extend(self.app(app))
        self.tell_differences(commands)

    def lose(self, kind: Kind, line: int, key: str, text: str) -> None:
        self.imported.lose(kind, self.file, line, key, text)

    def apps(self, value: Any) -> list[Any]:
        """The applications, which PM2 looks for under `apps`, `pm2`, or takes the whole for."""
        if not isinstance(value, Table):
            return list(value)
        name = next((name for name in ("apps", "pm2") if truthy(value.get(name))), None)
        for key in value:
            if key in _TOP and truthy(value[key]):
                self.lose(Kind.DROPPED, value.line_of(key), key, _TOP[key])
            elif name is not None and key not in (name, *_TOP):
                self.lose(Kind.IGNORED, value.line_of(key), key, "PM2 reads no such key beside the applications.")
        if isinstance(deploy := value.get("deploy"), dict):
            self.deploy = deploy
        found = value if name is None else value[name]
        return found if isinstance(found, list) else [found]

    def app(self, table: Table) -> Iterable[Command]:
        try:
            found = settings(table)
        except Refused as error:
            raise ImportRefused(self.file, error.line, error.text) from None
        script = found.values.get("script")
        if not script:
            text = "It has no `script`, so PM2 does not start it, and it is left out."
            self.lose(Kind.IGNORED, table.line, str(found.values.get("name", "")), text)
            return
        directory = os.path.normpath(self.folder / (found.values.get("cwd") or ""))
        app = App(self.imported, self.file, table, found, self.name(table, found), directory, self.environment)
        command = command_of(app, self.cpus)
        variables = self.variables(app, command)
        services = self.services(app, command, variables)
        for key in found.unknown:
            app.lose(Kind.IGNORED, key, "PM2 knows no such key.")
        self.imported.services.extend(services)
        yield command

    def name(self, table: Table, found: Settings) -> str:
        written = found.values.get("name") or _name_of(str(found.values["script"]))
        usable = name = usable_name(written)
        taken = {service.name for service in self.imported.services}
        number = 2
        while name in taken:
            name, number = f"{usable}-{number}", number + 1
        line = table.line_of("name")
        if name != usable:
            text = f"Another application has the name, and PM2 numbers their instances together; it is {name} here."
            self.imported.lose(Kind.CHANGED, self.file, line, "name", text, name)
        elif name != written:
            text = f"A name has letters, digits and _ . - only; it is {name} here."
            self.imported.lose(Kind.CHANGED, self.file, line, "name", text, name)
        return name

    def services(self, app: App, command: Command, variables: dict[str, str]) -> list[ImportedService]:
        table: dict[str, Any] = {"command": command.words, "directory": app.directory}
        app.told |= {"name", "cwd", "script", "execute_command"}
        self.account(app, table)
        if unset := [name for name in self.filtered(app) if name not in variables]:
            table["unset_environment"] = unset
        if app.get("autostart") is False:
            table["autostart"] = False
        if (namespace := app.get("namespace")) not in (None, "", "default"):
            table["group_name"] = usable_name(namespace)
            if table["group_name"] != namespace:
                text = f"A name has letters, digits and _ . - only; it is {table['group_name']} here."
                app.lose(Kind.CHANGED, "namespace", text)
        table |= stop_of(app)
        ready_of(app)
        table["restart"] = restart_of(app)
        if resources := resources_of(app):
            table["resources"] = resources
        counted = truthy(app.get("instances")) or str(app.get("exec_mode")).startswith("cluster")
        if log := log_of(app, command.instances, cluster_or_counted=counted):
            table["log"] = log
        services = self.instances(app, command, table, variables)
        self.tell_rest(app, services)
        return services

    def variables(self, app: App, command: Command) -> dict[str, str]:
        """The variables that PM2 gives it beside those of the caller."""
        written = app.get("env", {})
        found: dict[str, Any] = dict(written) if isinstance(written, dict) else {}
        if written and not isinstance(written, dict):
            app.lose(Kind.DROPPED, "env", "It is no object, so it names no variables.")
        if port := app.get("port"):
            found["PORT"] = port
        if app.get("uid") is not None:
            found.pop("HOME", None)
        if command.python:
            found["PYTHONUNBUFFERED"] = "1"
        for key, values in app.table.items():
            if not ENVIRONMENT_OF.fullmatch(key):
                continue
            if self.env is None or key != f"env_{self.env}":
                name = key.removeprefix("env_")
                app.lose(Kind.DROPPED, key, f"PM2 takes it only with `--env {name}`, and so does this import.")
            elif isinstance(values, dict):
                self.env_found = True
                deployed = self.deploy.get(self.env)
                found |= (deployed.get("env") or {}) if isinstance(deployed, dict) else {}
                found |= values
        for key in found:
            if key in KEYS:
                line = app.table.line_of("env")
                text = "PM2 reads a variable of this name as a setting of its own, too; here it is only a variable."
                self.imported.lose(Kind.DROPPED, self.file, line, key, text, app.name)
        return {key: js_string(value) for key, value in found.items()}

    def account(self, app: App, table: dict[str, Any]) -> None:
        user, group = app.get("uid"), app.get("gid")
        if not user and not group:
            return
        if not user:
            raise ImportRefused(self.file, app.line_of("gid"), "PM2 refuses gid without uid")
        table["user"] = user
        if group:
            table["group"] = group
        text = (
            "USER, LOGNAME and SHELL are those of the account, with PM2 HOME alone; it has the groups of the account,"
            " with PM2 none beside its own."
        )
        app.lose(Kind.CHANGED, "uid", text)

    def filtered(self, app: App) -> list[str]:
        """The variables of the caller that it does not get."""
        written = app.get("filter_env")
        if written is True:
            app.lose(Kind.IGNORED, "filter_env", "`true` has no effect in PM2: it gets all variables.")
        if isinstance(written, str) and written:
            self.removed.append(written)
            app.lose(Kind.CHANGED, "filter_env", "As in PM2, the applications after it do not get the variable either.")
        parts = [js_string(part) for part in written] if isinstance(written, list) else []
        if parts:
            text = "PM2 leaves out each variable whose name contains one of these; those set now are left out here."
            app.lose(Kind.CHANGED, "filter_env", text)
        matching = [name for name in self.environment if any(part in name for part in parts)]
        return sorted({*self.removed, *matching})

    def instances(
        self, app: App, command: Command, table: dict[str, Any], variables: dict[str, str]
    ) -> list[ImportedService]:
        """The service, or one for each instance where the numbers of its variables cannot be written for all."""
        number = app.get("instance_var") or "NODE_APP_INSTANCE"
        counted = app.get("increment_var")
        first = _number(variables.get(counted, "")) if counted else 0
        count = command.instances
        self.tell_marks(app, command.words, variables)
        if count == 1:
            made = variables | ({counted: js_string(first)} if counted else {})
            return [self.service(app, app.name, {**table, "environment": _with_number(made, number, "0")})]
        table |= {"replicas": count, "first_replica": 0}
        variables = _with_number(variables, number, "{replica}")
        if not counted or first == 0:
            made = variables | ({counted: "{replica}"} if counted else {})
            return [self.service(app, app.name, {**table, "environment": made})]
        if counted.endswith("PORT") and first > 0 and first + count <= 65_536 and first == int(first):
            made = variables | {counted: "{port}"}
            if counted == "PORT":
                del made["PORT"]
            elif "PORT" not in made:
                app.lose(Kind.CHANGED, "increment_var", "PORT is set to the same number, too.")
            ports = f"{int(first)}-{int(first) + count - 1}"
            return [self.service(app, app.name, {**table, "ports": ports, "environment": made})]
        return self.each(app, table, variables, number, counted, first)

    def each(
        self, app: App, table: dict[str, Any], variables: dict[str, str], number: str, counted: str, first: float
    ) -> list[ImportedService]:
        """A service for each instance."""
        alone = {key: value for key, value in table.items() if key not in ("replicas", "first_replica")}
        text = "No instances of one service can have these numbers, so each is a service of its own."
        app.lose(Kind.CHANGED, "increment_var", text)
        services = []
        for index in range(table["replicas"]):
            made = variables | {counted: js_string(first + index)}
            if made[number] == "{replica}":
                made[number] = str(index)
            name = app.name if index == 0 else f"{app.name}-{index}"
            services.append(self.service(app, name, {**alone, "environment": made}))
        return services

    def service(self, app: App, name: str, table: dict[str, Any]) -> ImportedService:
        ordered = {key: table[key] for key in _ORDER if key in table}
        return ImportedService(name, self.file, app.table.line, ordered)

    def tell_marks(self, app: App, words: list[str], variables: dict[str, str]) -> None:
        for mark in ("{replica}", "{port}"):
            if any(mark in word for word in words):
                app.lose(
                    Kind.CHANGED, "args", f"{mark} in a command is replaced here, and cannot be written literally."
                )
            for key in (key for key, value in variables.items() if mark in value):
                line = app.table.line_of("env")
                text = f"{mark} in a variable is replaced here, and cannot be written literally."
                self.imported.lose(Kind.CHANGED, self.file, line, key, text, app.name)

    def tell_rest(self, app: App, services: list[ImportedService]) -> None:
        """Add a loss for each key of PM2 that nothing has used."""
        for key, value in app.settings.values.items():
            if key in app.told:
                continue
            kind = Kind.IGNORED if key in _WITHOUT_EFFECT else Kind.DROPPED
            if key in ("watch", "ignore_watch", "watch_delay", "watch_options") and value is False:
                continue
            app.lose(kind, key, _NOT_HERE.get(key, _MONITORING))

    def tell_differences(self, commands: list[Command]) -> None:
        """Tell once what is the same for all applications."""
        if not commands:
            return
        self.lose(
            Kind.CHANGED,
            0,
            "env",
            "PM2 passes on the variables of its caller, and its own settings (name, pm_id, PM2_HOME …); here the"
            " variables are those of the daemon, without the settings.",
        )
        if any(command.node for command in commands):
            self.lose(
                Kind.CHANGED,
                0,
                "script",
                "PM2 loads scripts of node through a wrapper: process.send, @pm2/io, source maps, and its own path as"
                " process.argv[1]; here node runs the script itself.",
            )
        self.lose(
            Kind.CHANGED,
            0,
            "max_restarts",
            "PM2 gives up for good, and counts only ends within min_uptime of a start soon after the first; here the"
            " breaker counts all restarts within `window`, and tries again after `cooldown`.",
        )
        own = [service for service in self.imported.services if service.file == self.file]
        if any("path" not in service.table.get("log", {}) for service in own):
            self.lose(
                Kind.CHANGED,
                0,
                "out_file",
                "PM2 writes ~/.pm2/logs/NAME-out.log and NAME-error.log, without a limit; where no file is named, both"
                " outputs are here in one log of the daemon (`supervisor logs`), which is rotated.",
            )


_ORDER = (
    "command", "directory", "user", "group", "environment", "unset_environment", "replicas", "first_replica", "ports",
    "group_name", "autostart", "stop_signal", "stop_timeout", "restart", "resources", "log",
)  # fmt: skip


def _name_of(script: str) -> str:
    """The name that PM2 gives an application without one: that of the script, less its extension."""
    base = Path(script).name
    dot = base.rfind(".")
    return base[:dot] if dot > 0 else base


def _with_number(variables: dict[str, str], name: str, number: str) -> dict[str, str]:
    return {name: number} | variables


def _number(text: str) -> float:
    try:
        number = float(text or 0)
    except ValueError:
        return 0
    return int(number) if number.is_integer() else number
