"""How the installed circus reads circus.ini, beside the import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.circus.importer import read
from supervisor.config.importers.side_by_side import (
    CheckFailed,
    Comparison,
    Facts,
    facts_of,
    interpreter_of,
    output_of,
    program,
    seconds,
    signal_name,
    where,
)

_SCRIPT = """
import sys
sys.path[:] = [place for place in sys.path if place]  # modules of this directory are not meant
import json
import circus
from circus.config import get_config
from circus.process import Process
from circus.util import ObjectDict, parse_env_dict
sys.stdout, kept = sys.stderr, sys.stdout
found = []
for one in get_config(sys.argv[1])["watchers"]:
    if one["use_sockets"] or one["numprocesses"] < 1:
        words = None
    else:
        watcher = ObjectDict(optnames=["shell_args"], shell_args=one.get("shell_args"))
        process = Process(one["name"], 1, one["cmd"], args=one["args"], working_dir=one["working_dir"],
                          shell=one["shell"], env=one["env"], watcher=watcher, spawn=False)
        words = process.format_args()
        if one["shell"]:
            words = ["/bin/sh", "-c", *words]
    found.append({
        "name": one["name"], "words": words, "copied": one["copy_env"] or one["copy_path"],
        "variables": {key: value for key, value in parse_env_dict(one["env"]).items() if key != "__name__"},
        "directory": one["working_dir"], "user": one["uid"], "group": one["gid"], "signal": int(one["stop_signal"]),
        "timeout": float(one["graceful_timeout"]), "count": one["numprocesses"], "respawn": one["respawn"],
        "autostart": one["autostart"],
    })
json.dump({"version": circus.__version__, "watchers": found}, kept)
"""


def side_by_side(paths: Sequence[Path], environment: Mapping[str, str]) -> list[Comparison]:
    """Each file as circus reads it, and as it is imported.  Raises CheckFailed, ImportRefused and OSError."""
    hint = "Install circus (pipx install circus), and put its folder of programs at the end of PATH."
    found = program("circusd", environment, hint)
    return [_compared(path, environment, interpreter_of(found)) for path in paths]


def _compared(path: Path, environment: Mapping[str, str], python: str) -> Comparison:
    services = {service.line: service for service in read([path], environment).services}
    by_name = {service.name: service for service in services.values()}
    answer = output_of([python, "-c", _SCRIPT, str(path.absolute())], environment, Path.cwd(), tool="circus")
    try:
        read_there: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise CheckFailed("circus gave an answer that is not understood") from None
    made = Comparison(f"circus {read_there['version']}")
    for one in read_there["watchers"]:
        service = by_name.pop(one["name"], None)
        if service is None and one["words"] is None:
            continue
        ours = facts_of(service, environment) if service else None
        if ours and one["copied"]:
            ours = Facts(ours.words, None, ours.settings)
        made.add(one["name"], where(service) if service else str(path), _real(one), ours)
    for service in by_name.values():
        made.add(service.name, where(service), None, facts_of(service, environment))
    return made


def _real(one: Mapping[str, Any]) -> Facts:
    settings = {
        "directory": str(Path.cwd() / (one["directory"] or "")),
        "user": str(one["user"] or ""),
        "group": str(one["group"] or ""),
        "stop signal": signal_name(one["signal"]),
        "stop timeout": seconds(one["timeout"]),
        "replicas": str(one["count"]),
        "restart": "always" if one["respawn"] else "never",
        "autostart": "yes" if one["autostart"] else "no",
    }
    return Facts(tuple(one["words"]) if one["words"] else None, one["variables"], settings)
