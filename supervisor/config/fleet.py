"""Loads [fleet] alone: the services of the file need not make sense on the machine from which a fleet is led."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from supervisor.config.checks.fleet import fleet
from supervisor.config.schema.validate import validate
from supervisor.config.source.problems import Problems
from supervisor.config.source.read import parse, read_text
from supervisor.core.model.fleet_spec import FleetSpec
from supervisor.errors import ConfigError


def load_fleet(path: str, env: Mapping[str, str] = os.environ) -> FleetSpec:
    """The fleet that the file describes.  ConfigError with one line for each problem."""
    text = read_text(Path(path))
    problems = Problems(path, text)
    raw = parse(text, path)
    if "fleet" not in raw:
        raise ConfigError(
            f"{path} has no [fleet]",
            'Write [fleet], and below it for example: hosts = [{ name = "a", address = "10.0.0.1" }]',
        )
    given, _ = validate({"fleet": raw["fleet"]}, env, problems)
    spec = fleet(given.get("fleet", {}), problems)
    problems.raise_any()
    return spec


def needed_extras(path: str) -> frozenset[str]:
    """The extras of the supervisor that a host needs for this file."""
    return frozenset({"cluster"} & parse(read_text(Path(path)), path).keys())
