"""How the installed PM2 reads an ecosystem file, beside the import.

PM2's own reader runs in node.  It makes no folder for logs, starts no program and asks no daemon.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import ImportedService
from supervisor.config.importers.pm2.app import usable_name
from supervisor.config.importers.pm2.importer import read
from supervisor.config.importers.side_by_side import (
    CheckFailed,
    Comparison,
    Facts,
    Row,
    facts_of,
    output_of,
    program,
    seconds,
    where,
)

_SCRIPT = """
const fs = require('fs'), path = require('path');
const [, root, file, named, answer] = process.argv;
fs.mkdirSync = () => undefined;
for (const name of ['log', 'info', 'warn', 'error']) console[name] = () => undefined;
const before = {...process.env};
const Common = require(path.join(root, 'lib/Common.js'));
const config = Common.parseConfig(fs.readFileSync(file), file);
const listed = config.apps || config.pm2 || config;
const apps = Common.verifyConfs(Array.isArray(listed) ? listed : [listed]);
if (apps instanceof Error) process.exit(2);
const found = [];
for (const app of apps) {
  let one;
  try {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
    if (named) app.env = {...app.env, ...app['env_' + named]};
    one = Common.resolveAppAttributes({cwd: process.cwd(), pm2_home: process.env.PM2_HOME}, app);
  } catch (error) { found.push({name: String(app.name), refused: true}); continue; }
  found.push({
    name: one.name, script: one.pm_exec_path, interpreter: one.exec_interpreter, options: one.node_args || [],
    args: (one.args || []).map(String), cluster: one.exec_mode === 'cluster_mode', directory: one.pm_cwd,
    autorestart: one.autorestart !== false, autostart: one.autostart !== false, kill: one.kill_timeout,
    user: one.uid, group: one.gid, delay: one.restart_delay, growing: one.exp_backoff_restart_delay,
    instances: one.instances, starts: one.max_restarts ?? null, memory: one.max_memory_restart,
    never: [].concat(one.stop_exit_codes ?? []).map(Number),
    variables: Object.fromEntries(Object.entries(one.env || {}).filter(([, value]) =>
      value !== undefined).map(([key, value]) => [key,
      typeof value === 'object' ? JSON.stringify(value) : String(value)])), caller: before,
  });
}
fs.writeFileSync(answer, JSON.stringify({version: require(path.join(root, 'package.json')).version, apps: found}));
process.exit(0);
"""
_KILL_TIMEOUT = 1.6
_STARTS = 16
_OWN = ("PM2_HOME", "PWD")
"""Variables that PM2 itself adds; a shell sets PWD itself."""


def side_by_side(paths: Sequence[Path], environment: Mapping[str, str], env: str | None = None) -> list[Comparison]:
    """Each file as PM2 reads it, and as it is imported.  Raises CheckFailed, ImportRefused and OSError."""
    found = program("pm2", environment, "Install it (npm install -g pm2).")
    root = next((one for one in Path(found).resolve().parents if (one / "lib/Common.js").is_file()), None)
    if root is None:
        raise CheckFailed(f"{found} is no installation of PM2 from npm, so its reader cannot be asked")
    node = program("node", environment, "Install it: PM2 runs in node.")
    return [_compared(path, environment, node, root, env) for path in paths]


def _compared(path: Path, environment: Mapping[str, str], node: str, root: Path, env: str | None) -> Comparison:
    services = read([path], environment, env=env).services
    with tempfile.TemporaryDirectory(prefix="phi-import-") as folder:
        answer = Path(folder, "answer.json")
        command = [node, "-e", _SCRIPT, "--", str(root), str(path.absolute()), env or "", str(answer)]
        around = {**environment, "PM2_HOME": folder, "PM2_PROGRAMMATIC": "true"}
        output_of(command, around, path.absolute().parent, tool="pm2")
        try:
            read_there: dict[str, Any] = json.loads(answer.read_text())
        except (OSError, ValueError):
            raise CheckFailed("pm2 gave an answer that is not understood") from None
    made = Comparison(f"pm2 {read_there['version']}")
    left = list(services)
    for app in read_there["apps"]:
        service = next((one for one in left if _fits(one, app)), None)
        if service is not None:
            left.remove(service)
        if app.get("refused"):
            told = ("pm2 refuses it: its script or its interpreter is not there",)
            if service is not None:  # else the import leaves it out, too
                made.rows.append(Row(str(app["name"]), where(service), told))
            continue
        real = _real(app)
        if sum(_fits(one, app) for one in services) == 1 and int(app.get("instances") or 0) > 0:
            real.settings["replicas"] = str(app["instances"])  # else each is a service, or it is by the number of CPUs
        ours = _ours(service, environment, app) if service else None
        made.add(str(app["name"]), where(service) if service else str(path), real, ours)
    return made


def _fits(service: ImportedService, app: Mapping[str, Any]) -> bool:
    name = usable_name(str(app["name"]))
    return service.name == name or service.name.startswith(f"{name}-")


def _real(app: Mapping[str, Any]) -> Facts:
    words = [app["script"], *map(str, app["args"])]
    if app["cluster"]:
        words = ["node", *map(str, app["options"]), *words]
    elif app.get("interpreter") not in (None, "none"):
        words = [Path(app["interpreter"]).name, *map(str, app["options"]), *words]
    caller = app["caller"]
    variables = {
        name: value for name, value in app["variables"].items() if caller.get(name) != value and name not in _OWN
    }
    settings = {
        "directory": os.path.normpath(app["directory"]),
        "user": str(app.get("user") or ""),
        "group": str(app.get("group") or ""),
        "stop timeout": seconds(float(app["kill"]) / 1000 if app.get("kill") else _KILL_TIMEOUT),
        "restart": "always" if app["autorestart"] else "never",
        "autostart": "yes" if app["autostart"] else "no",
    }
    if "starts" in app:
        never = sorted({int(code) for code in app.get("never") or () if code is not None})
        settings["exit codes without a restart"] = ", ".join(map(str, never))
        settings["memory"] = str(int(app.get("memory") or 0) or "")
    if app["autorestart"] and "starts" in app and not app.get("delay") and not app.get("growing"):
        settings["most restarts"] = str(int(app["starts"] if app["starts"] is not None else _STARTS) - 1)
    if app.get("delay"):
        settings["first delay of a restart"] = seconds(float(app["delay"]) / 1000)
    return Facts(tuple(words), variables, settings)


def _ours(service: ImportedService, environment: Mapping[str, str], app: Mapping[str, Any]) -> Facts:
    """PM2 adds the numbers of an instance when it starts it; so they are left out, as what the caller has already."""
    facts = facts_of(service, environment, int(service.table.get("first_replica", 0)))
    counted = {"NODE_APP_INSTANCE", service.table.get("instance_var", "")} - app["variables"].keys()
    variables = {
        name: value
        for name, value in (facts.variables or {}).items()
        if name not in counted and app["caller"].get(name) != value and name in {*app["variables"], "PORT"}
    }
    words = list(facts.words or ())
    if words and app.get("interpreter") not in (None, "none"):
        words[0] = Path(words[0]).name
    settings = dict(facts.settings)
    if settings["user"]:
        variables["HOME"] = app["variables"].get("HOME", "")  # that of the account, which the daemon sets
        settings["user"], settings["group"] = _numbers(settings["user"], settings["group"])
    return Facts(tuple(words), variables, settings)


def _numbers(user: str, group: str) -> tuple[str, str]:
    """The numbers of an account and of its group, which PM2 looks up; the names where there is no such account."""
    try:
        account = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        if not group:
            return str(account.pw_uid), str(account.pw_gid)
        return str(account.pw_uid), group if group.isdigit() else str(grp.getgrnam(group).gr_gid)
    except KeyError:
        return user, group
