"""[fleet] with nothing but its hosts."""

from __future__ import annotations

from supervisor.core.model.fleet_spec import FleetHost, FleetSpec


def test_what_is_left_out_is_up_to_ssh_and_small_waves() -> None:
    host = FleetHost(name="a", address="10.0.0.1")
    assert (host.user, host.port, host.labels) == ("", None, ())
    fleet = FleetSpec(hosts=(host,))
    assert (fleet.directory, fleet.wave) == ("/opt/phi", "25%")
