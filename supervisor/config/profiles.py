"""Says which profiles are active, and takes out the services of the others."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from supervisor.config.source.problems import Problems
from supervisor.config.units import quoted
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.text.nearest import did_you_mean
from supervisor.errors import ConfigError

VARIABLE = "SUPERVISOR_PROFILES"
ALL = "*"
"""Stands for all profiles, also for those that an edited file has in addition."""
PLAN, RUNNING = "plan.json", "running"
"""Files in the runtime directory: the plan of the last daemon, and the mark that it has not ended in order
(daemon/previous_run.py)."""


class Wanted(NamedTuple):
    """The profiles that are to be active.  `given`: where the user named them; a name that no service has is an error
    then.  Empty: they are those of an earlier plan, and may be gone from the file."""

    names: tuple[str, ...]
    given: str = ""


def split(text: str) -> tuple[str, ...]:
    """`dev,full` as names, each once."""
    return tuple(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))


def by_environment(env: Mapping[str, str]) -> Wanted:
    """What SUPERVISOR_PROFILES says."""
    return Wanted(split(env.get(VARIABLE, "")), VARIABLE)


def remembered(env: Mapping[str, str], runtime_dir: str) -> Wanted:
    """What SUPERVISOR_PROFILES says, else what the previous daemon with this runtime directory had, if it did not end
    in order."""
    if found := by_environment(env).names:
        return Wanted(found, VARIABLE)
    directory = Path(runtime_dir)
    with suppress(OSError, ValueError, TypeError, AttributeError):
        if (directory / RUNNING).exists():
            kept = json.loads((directory / PLAN).read_bytes()).get("profiles", ())
            return Wanted(tuple(str(name) for name in kept))
    return Wanted(())


def active_of(wished: Wanted, known: Collection[str], shown: str) -> tuple[str, ...]:
    """The active profiles, in the order of their names.  ConfigError for one that the user gave and no service has;
    `shown`: the file's name for the user."""
    unknown = [name for name in wished.names if name not in known and name != ALL]
    if unknown and wished.given:
        near = did_you_mean(unknown[0], known)
        raise ConfigError(
            f"{wished.given}: no service of {shown} has the profile {quoted(unknown[0])}{near}",
            f"Known: {', '.join(sorted(known)) or 'none'}",
        )
    return (ALL,) if ALL in wished.names else tuple(sorted(set(wished.names) & set(known)))


def is_active(profiles: Iterable[str], active: Collection[str]) -> bool:
    """Whether a service with these profiles is there."""
    profiles = list(profiles)
    return not profiles or ALL in active or any(name in active for name in profiles)


def without_inactive(
    specs: Mapping[str, ServiceSpec], inactive: Mapping[str, tuple[str, ...]], problems: Problems
) -> dict[str, ServiceSpec]:
    """The services that are there.  One that needs a service that is not is reported; what it does not require is left
    out of its dependencies."""
    there = {name: spec for name, spec in specs.items() if name not in inactive}
    groups = {spec.group_name for spec in there.values()}
    gone = {name: (f'"{name}"', profiles) for name, profiles in inactive.items()}
    for name, profiles in inactive.items():
        group = specs[name].group_name if name in specs else None
        if group is not None and group not in groups and group not in specs:
            gone[group] = f'the group "{group}"', profiles
    found = {}
    for name, spec in there.items():
        for index, needed in enumerate(spec.depends_on):
            if needed in gone and spec.dependency(needed).required:
                problems.of(name)(_not_there(name, *gone[needed], needed), "depends_on", index)
        fallback = spec.restart.fallback
        if fallback in gone:
            problems.of(name)(_not_there(name, *gone[fallback]), "restart", "fallback")
        if gone.keys().isdisjoint(spec.depends_on):
            found[name] = spec
            continue
        found[name] = replace(
            spec,
            depends_on=tuple(one for one in spec.depends_on if one not in gone),
            dependencies=tuple(one for one in spec.dependencies if one.service not in gone),
        )
    return found


def _not_there(name: str, needed: str, profiles: Iterable[str], service: str = "") -> str:
    listed = ", ".join(json.dumps(one, ensure_ascii=False) for one in profiles)
    first = next(iter(profiles))
    without = f', or {{ service = "{service}", required = false }}' if service else ""
    return (
        f"{needed} is only there with one of the profiles {listed}: start with --profile {first}, "
        f"or give {name} profiles = [{listed}]{without}"
    )
