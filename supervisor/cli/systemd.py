"""`systemd`: prints a unit with which systemd runs the daemon."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target, profile_option
from supervisor.errors import OperationFailed
from supervisor.launch import MODULE

ASSUMED = 252
"""The version of systemd that is assumed where none is installed."""


@click.command()
@daemon_options("-f", "--file")
@profile_option
@click.option("--user", is_flag=True, help="A unit for your own service manager (`systemctl --user`).")
@pass_target
def systemd(target: DaemonTarget, user: bool) -> None:
    """Print a systemd unit that runs services.toml.

    docs/systemd.md explains its use.

    Example: supervisor systemd > /etc/systemd/system/shop.service"""
    from supervisor.config.export.systemd_unit import unit
    from supervisor.config.load import load

    plan = load(target.file, profiles=target.wanted_profiles)
    places = _defaults(target.file)
    root = os.geteuid() == 0
    if user and root:  # root has the directories of the system, also with --user
        places = (False, False)
    elif not user and not root:  # the unit will run as root
        here = plan.supervisor
        plan = replace(
            plan,
            supervisor=replace(
                here,
                runtime_dir=f"/run/supervisor/{here.name}" if places[0] else here.runtime_dir,
                state_dir=f"/var/lib/supervisor/{here.name}" if places[1] else here.state_dir,
            ),
        )
    try:
        text = unit(plan, [sys.executable, *MODULE, "supervisor"], user=user, version=_version(), places=places)
    except ValueError as error:
        raise OperationFailed(str(error)) from None
    name = f"supervisor-{plan.supervisor.name}.service"
    folder = "~/.config/systemd/user" if user else "/etc/systemd/system"
    control = "systemctl --user" if user else "systemctl"
    click.echo(f"# supervisor systemd -f … > {folder}/{name}")
    click.echo(f"# {control} daemon-reload && {control} enable --now {name}")
    click.echo(text, nl=False)


def _defaults(path: str) -> tuple[bool, bool]:
    """Whether the file leaves the runtime and the state directory at their defaults."""
    import tomllib

    with open(path, "rb") as file:
        table = tomllib.load(file).get("supervisor", {})
    return "runtime_dir" not in table, "state_dir" not in table


def _version() -> int:
    program = shutil.which("systemctl")
    if program is None:
        return ASSUMED
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else ASSUMED
