"""The version of the configuration that was pushed to all hosts of a cluster, as this host keeps it.

It gives what the hosts run: [defaults], services and groups.  What a host is stays its own: [supervisor], [cluster] and
[fleet] are read from its own file, so that no push can cut it off from the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.source.locate import locate
from supervisor.config.source.problems import Problems
from supervisor.config.source.read import parse, read_text
from supervisor.core.cluster.version_documents import DIRECTORY, VERSION, digest_of
from supervisor.core.model.cluster_spec import PushedSpec

OWN = ("supervisor", "cluster", "fleet")


class Kept(NamedTuple):
    """A version on disk.  `number` and `digest`: as ZooKeeper names it."""

    number: int
    digest: str
    path: str


def kept(state_dir: str) -> Kept | None:
    """The version that this host is to run; None: its own file, also where the version cannot be read.

    Number 0 is the own file, too: the record of a change back to that stays until the change has ended."""
    directory = Path(state_dir) / DIRECTORY
    try:
        raw = json.loads((directory / VERSION).read_bytes())
        found = Kept(int(raw["number"]), str(raw["digest"]), str(directory / str(raw["file"])))
        if not found.number:
            return None
        text = Path(found.path).read_bytes().decode()
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if digest_of(text) == found.digest else None


def with_version(
    file: Path,
    own: tuple[str, str],
    raw: Mapping[str, Any],
    pushed: Callable[[str], Kept | None],
    env: Mapping[str, str],
) -> tuple[dict[str, Any], Problems, PushedSpec] | None:
    """The tables with the pushed version, where its problems are reported, and which one it is; None: there is none.

    `own`: the name of the host's own file for the user, and its text; `raw`: its tables.  ConfigError."""
    table = raw.get("supervisor")
    version = pushed(locate(str(file), table if isinstance(table, dict) else {}, env).state_dir)
    if version is None:
        return None
    text = read_text(Path(version.path))
    tables = parse(text, version.path)
    spec = PushedSpec(
        number=version.number, digest=version.digest, path=version.path, differs=differ(raw, tables)
    )  # fmt: skip
    problems = Problems(*own)
    number = problems.add_file(version.path, text)
    for kind in tables.keys() - set(OWN) | {"services"}:
        problems.place((kind,), number)
    if "include" in tables:
        problems.add(("include",), "what is pushed is one file; put all services into it")
    return combined(raw, tables), problems, spec


def combined(own: Mapping[str, Any], pushed: Mapping[str, Any]) -> dict[str, Any]:
    """The tables by which this host runs the pushed version."""
    return {key: own[key] for key in OWN if key in own} | _shared(pushed)


def differ(own: Mapping[str, Any], pushed: Mapping[str, Any]) -> bool:
    """Whether a host's own file has other services than the pushed version."""
    return _text(_shared(own)) != _text(_shared(pushed))


def _shared(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in OWN}


def _text(raw: Mapping[str, Any]) -> str:
    return json.dumps(raw, sort_keys=True, default=repr)
