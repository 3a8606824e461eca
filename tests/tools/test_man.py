"""The manual pages: they have every command, option and key, and are well-formed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from scripts.tools.docs import man
from supervisor.cli.commands import cli
from supervisor.config.export.json_schema import schema

PAGES = man.pages()


def read(name: str) -> str:
    """A page as it is read: without escapes of roff."""
    text = re.sub(r"\\f[BR]|\\&", "", PAGES[name]).replace("\\-", "-")
    return re.sub(r"\\\[u([0-9A-F]+)\]", lambda found: chr(int(found[1], 16)), text)


def flags(command: click.Command) -> set[str]:
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    return {name for option in options for name in [*option.opts, *option.secondary_opts]} | {"--help", "-h"}


@pytest.mark.parametrize("name", cli.list_commands(man.context()))
def test_a_page_has_every_option_and_subcommand(name: str) -> None:
    page = read(f"man1/supervisor-{name}.1")
    command = man.context(name).command
    known = flags(command)
    for inner, sub in command.commands.items() if isinstance(command, click.Group) else ():
        assert f".SS supervisor {name} {inner}" in page
        known |= flags(sub)
    terms = re.findall(r"^\.TP\n(-.+)$", page, re.M)
    assert known == {word for term in terms for word in re.findall(r"(?<!\S)--?[a-zA-Z][\w-]*", term)}


def test_the_first_page_names_every_command_and_exit_code() -> None:
    page = read("man1/supervisor.1")
    assert re.findall(r"^supervisor-(\w+)\(1\)$", page, re.M) == cli.list_commands(man.context())
    statuses = page.partition(".SH EXIT STATUS")[2].partition(".SH")[0]
    assert re.findall(r"^\.TP\n(\d)$", statuses, re.M) == list("012345")
    assert "supervisor why web" in page.partition(".SH EXAMPLES")[2]


def test_services_toml_has_every_key() -> None:
    page = read("man5/services.toml.5")
    service = next(iter(schema()["properties"]["services"]["patternProperties"].values()))
    keys = page.partition(".SS [services.NAME]\n")[2].partition(".SS")[0]
    plain = {name for name, key in service["properties"].items() if "properties" not in key.get("items", key)}
    assert set(re.findall(r"^\.TP\n(\w+) \(", keys, re.M)) == plain
    assert "\n.SS [services.NAME.heartbeat]\n" in page


def test_text_that_roff_would_read_as_a_request_or_an_escape() -> None:
    assert (
        man.inline(".env is read; C:\\new, 'a' and `--to`")
        == "\\&.env is read; C:\\enew, \\(aqa\\(aq and \\fB\\-\\-to\\fR"
    )
    wrapped = man.inline("word " * 15 + ".env")
    assert not [line for line in wrapped.splitlines() if line.startswith(".")]


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc")
def test_pages_are_well_formed(tmp_path: Path) -> None:
    written = [str(path) for path in man.write(tmp_path)]
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *written], capture_output=True, text=True, check=False
    )
    assert not done.stdout
    assert done.returncode == 0
