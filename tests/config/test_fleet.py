"""[fleet]: what is read, what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.fleet import load_fleet
from supervisor.core.model.fleet_spec import FleetHost, FleetSpec
from supervisor.errors import ConfigError
from tests.config.conftest import Complain, Load

SERVICE = '\n[services.web]\ncommand = "true"\n'
HOSTS = 'hosts = [{ name = "a", address = "10.0.0.1" }]\n'


def test_a_fleet(tmp_path: Path, plan: Load) -> None:
    text = (
        "[fleet]\nhosts = [\n"
        '  { name = "a", address = "${NET}.1", user = "ops", port = 2222, labels = { zone = "x", disk = "ssd" } },\n'
        '  { name = "b" },\n]\ndirectory = "./srv//phi/"\nwave = 2\n' + SERVICE
    )
    (tmp_path / "services.toml").write_text(text)
    assert load_fleet(str(tmp_path / "services.toml"), {"NET": "10.0.0"}) == FleetSpec(
        hosts=(
            FleetHost(name="a", address="10.0.0.1", user="ops", port=2222, labels=(("disk", "ssd"), ("zone", "x"))),
            FleetHost(name="b", address="b"),
        ),
        directory="srv/phi",
        wave=2,
    )


def test_the_services_need_not_make_sense_where_the_fleet_is_led(tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text(
        f'[fleet]\n{HOSTS}[services.web]\ncommand = "/no/such/program"\nuser = "x"\n'
    )
    spec = load_fleet(str(tmp_path / "services.toml"))
    assert (spec.directory, spec.wave, len(spec.hosts)) == ("/opt/phi", "25%", 1)


def test_a_file_without_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text(SERVICE)
    with pytest.raises(ConfigError, match=r"services.toml has no \[fleet\]") as caught:
        load_fleet(str(tmp_path / "services.toml"))
    assert "hosts = [" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", '1: fleet: no hosts; write for example hosts = [{ name = "a", address = "10.0.0.1" }]'),
        ("hosts = 3", "2: fleet.hosts: expected a list, not 3"),
        ("host = []", '2: fleet.host: unknown key; did you mean "hosts"?'),
        ('hosts = [{ name = "a", adress = "b" }]', '2: fleet.hosts[0].adress: unknown key; did you mean "address"?'),
        (
            'hosts = [\n{ address = "b" }]',
            '3: fleet.hosts[0]: a host needs a name; write for example { name = "a", address = "10.0.0.1" }',
        ),
        ('hosts = [{ name = "a" },\n{ name = "a", port = 1 }]', '3: fleet.hosts[1]: another host is named "a", too'),
        (
            'hosts = [{ name = "a" },\n{ name = "b", address = "a" }]',
            '3: fleet.hosts[1]: "b" is the same host as "a": address, port and user are the same',
        ),
        (
            'hosts = [{ name = "a", address = "ops@b" }]',
            '2: fleet.hosts[0].address: "ops@b": write the user as a key of its own: user = "ops"',
        ),
        (
            'hosts = [{ name = "a", address = "b:2222" }]',
            '2: fleet.hosts[0].address: "b:2222": write the port as a key of its own: port = 2222',
        ),
        (
            'hosts = [{ name = "a", address = "-oProxyCommand=x" }]',
            '2: fleet.hosts[0].address: "-oProxyCommand=x" is not a host; write for example "10.0.0.1" or '
            '"db1.example.org"',
        ),
        (
            'hosts = [{ name = "a", user = "-x" }]',
            '2: fleet.hosts[0].user: "-x" is not the name of a user; write for example "ops"',
        ),
        ('hosts = [{ name = "a", port = 0 }]', "2: fleet.hosts[0].port: 0 is not from 1 to 65535"),
        ('hosts = [{ name = "a", labels = { zone = 1 } }]', "2: fleet.hosts[0].labels.zone: expected a string, not 1"),
        (
            HOSTS + 'directory = "/opt/my phi"',
            '3: fleet.directory: "/opt/my phi" cannot be the directory; write for example "/opt/phi": letters, digits '
            "and _ @ + = : , . - alone, and no ..",
        ),
        (
            HOSTS + 'directory = "../phi"',
            '3: fleet.directory: "../phi" cannot be the directory; write for example "/opt/phi": letters, digits '
            "and _ @ + = : , . - alone, and no ..",
        ),
        (
            HOSTS + f'directory = "/{"a" * 60}"',
            f'3: fleet.directory: "/{"a" * 58}…" is too long: at most 60 characters',
        ),
        (
            HOSTS + 'wave = "0%"',
            '3: fleet.wave: "0%" is not a part of the instances; write for example "25%", or 1',
        ),
    ],
)
def test_complaints(text: str, complaint: str, complaints: Complain) -> None:
    assert complaints(f"[fleet]\n{text}\n{SERVICE}") == [f"services.toml:{complaint}"]
