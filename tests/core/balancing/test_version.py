"""Which HAProxy can be used."""

from __future__ import annotations

import pytest

from supervisor.core.balancing.version import missing, unusable


@pytest.mark.parametrize("version", ["2.6.12-1+deb12u4 2026/10/17", "2.8.0", "3.0.3-abc", "10.0"])
def test_a_version_that_is_new_enough(version: str) -> None:
    assert unusable(f"HAProxy version {version} - https://haproxy.org/\nStatus: …\n", "/usr/sbin/haproxy") == ""


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("HAProxy version 2.4.22-1 2023/02/14\n", "/x is HAProxy 2.4.22-1; 2.6 or newer is needed (package haproxy)"),
        ("HA-Proxy version 1.8.4 2018/02/08\n", "/x is not HAProxy: its -v prints HA-Proxy version 1.8.4 2018/02/08"),
        ("", "/x is not HAProxy: its -v prints nothing"),
    ],
)
def test_a_version_that_is_too_old_and_another_program(printed: str, why: str) -> None:
    assert unusable(printed, "/x") == why


def test_the_message_for_a_missing_program() -> None:
    assert missing() == "no haproxy on this machine; install 2.6 or newer (package haproxy)"
