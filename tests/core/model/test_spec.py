"""What follows from the keys of a service."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model.spec import ServiceSpec


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, {"PATH", "HOME", "TZ"}),
        ({"unset_environment": ("TZ", "PATH")}, {"HOME"}),
        ({"inherit_environment": ()}, {"PATH"}),
        ({"inherit_environment": ("TZ", "NOWHERE")}, {"PATH", "TZ"}),
        ({"inherit_environment": ("TZ",), "unset_environment": ("PATH",)}, {"TZ"}),
    ],
)
def test_what_is_inherited_of_the_daemons_environment(keys: dict[str, Any], names: set[str]) -> None:
    assert ServiceSpec(name="web", command=("web",), **keys).inherited(["PATH", "HOME", "TZ"]) == names
