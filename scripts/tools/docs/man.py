"""Writes the manual pages: supervisor(1) and supervisor-COMMAND(1) from the commands themselves, services.toml(5) from
the JSON Schema.

Usage: scripts/man [FOLDER]      (build/man unless given; the pages are FOLDER/man1/*.1 and FOLDER/man5/services.toml.5)

The pages are not committed. A package calls `write(folder)`. SOURCE_DATE_EPOCH sets their date.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import click

from scripts.tools.docs import reference
from supervisor import __version__
from supervisor.cli.commands import SECTIONS, cli
from supervisor.cli.options import one_line
from supervisor.config.export.json_schema import schema
from supervisor.core.model.document_types import JSON

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "man"
SEARCH = (
    "Without `-f` and `--socket`: `services.toml` in the current directory, else in the nearest directory above it, "
    "else `/etc/supervisor/services.toml`."
)
ENVIRONMENT = {
    "SUPERVISOR_SOCKET": "The control socket of the daemon that is meant, as `--socket` names it.",
    "SUPERVISOR_TRUSTED_USERS": "Users, by name or number, separated by commas, whose files may be run as root.",
    "NO_COLOR": "Where it is not empty, nothing is coloured.",
    "VISUAL, EDITOR": "The editor of `supervisor edit`.",
}
FILES = {
    "services.toml": f"What is supervised; see services.toml(5).  {SEARCH}",
    "/run/supervisor/NAME": "As root: sockets and pipes of the daemon NAME. Otherwise `$XDG_RUNTIME_DIR/supervisor/NAME`.",
    "/var/lib/supervisor/NAME": "As root: its ledger and logs. Otherwise `$XDG_STATE_HOME/supervisor/NAME`.",
}
_SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}


def escaped(text: str) -> str:
    """Text in which nothing is a request or an escape of roff."""
    text = "".join(_SPECIAL.get(c, c if c.isascii() else f"\\[u{ord(c):04X}]") for c in text)
    return f"\\&{text}" if text.startswith(".") else text


def inline(text: str) -> str:
    """One paragraph; what stands in backquotes, and the target of a link, as a manual page shows it."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(text.split()))
    parts = text.split("`")
    text = "".join(f"\\fB{escaped(part)}\\fR" if i % 2 else escaped(part) for i, part in enumerate(parts))
    lines = textwrap.wrap(text, 79, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in lines)


def paragraphs(text: str) -> list[str]:
    """Help of click, or Markdown without tables: paragraphs, lists, and lines that stay as they are after `\\b`."""
    out: list[str] = []
    for block in re.split(r"\n{2,}", text.strip()):
        if block.startswith("\b"):
            out += verbatim(block.removeprefix("\b").strip("\n"))
        elif block.startswith("- "):
            for item in re.split(r"\n(?=- )", block):
                out += [".IP \\(bu 2", inline(item.removeprefix("- "))]
        else:
            out += [".PP", inline(block)]
    return out


def verbatim(text: str) -> list[str]:
    return [".PP", ".nf", *(escaped(line) or "\\&" for line in text.splitlines()), ".fi"]


def entry(term: str, text: str) -> list[str]:
    return [".TP", f"\\fB{escaped(term)}\\fR", inline(text) or "\\&"]


def title(name: str, section: int) -> list[str]:
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    day = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    head = f'.TH "{escaped(name.upper())}" {section} {day} "phi\\-supervisor {__version__}"'
    return [head, ".nh", ".ad l"]


def name_line(name: str, summary: str) -> list[str]:
    summary = summary.rstrip(".")
    summary = summary if summary[1:2].isupper() else summary[0].lower() + summary[1:]
    return [".SH NAME", f"{escaped(name)} \\- {escaped(summary)}"]


def parts(command: click.Command) -> tuple[str, str]:
    """The help of a command, and its examples."""
    text, examples = [], []
    for block in re.split(r"\n{2,}", inspect.cleandoc(command.help or "").replace("\b\n", "\b")):
        found = re.match(r"[\b]?Examples?:\s*(.+)", block, re.S)
        if found is None:
            text.append(block)
        else:
            examples.append(re.sub(r"^ +", "", found[1], flags=re.M))
    return "\n\n".join(text), "\n".join(examples)


def context(*names: str) -> click.Context:
    """That of the command which is typed as `supervisor` and these names."""
    ctx = click.Context(cli, info_name="supervisor", **cli.context_settings)
    for name in names:
        assert isinstance(ctx.command, click.Group)
        command = ctx.command.get_command(ctx, name)
        assert command is not None
        ctx = click.Context(command, info_name=name, parent=ctx)
    return ctx


def usage(ctx: click.Context) -> str:
    words = [f"\\fB{escaped(ctx.command_path)}\\fR", *map(escaped, ctx.command.collect_usage_pieces(ctx))]
    return " ".join(words)


def options(ctx: click.Context) -> list[str]:
    records = [param.get_help_record(ctx) for param in ctx.command.get_params(ctx)]
    return [line for record in records if record is not None and record[1] for line in entry(*record)]


def subcommand(ctx: click.Context) -> list[str]:
    text, examples = parts(ctx.command)
    out = [f".SS {usage(ctx)}", *paragraphs(text), *options(ctx)]
    return [*out, ".PP", "Examples:", *verbatim(examples)] if examples else out


def command_page(name: str) -> str:
    ctx = context(name)
    text, examples = parts(ctx.command)
    out = [*title(f"supervisor-{name}", 1), *name_line(f"supervisor-{name}", one_line(ctx.command))]
    out += [".SH SYNOPSIS", usage(ctx), ".SH DESCRIPTION", *paragraphs(text)]
    if isinstance(ctx.command, click.Group):
        out += [".SH COMMANDS", *(line for inner in ctx.command.commands for line in subcommand(context(name, inner)))]
    out += [".SH OPTIONS", *options(ctx)]
    out += [".SH EXAMPLES", *verbatim(examples)] if examples else []
    return finished(out, "supervisor(1)", "services.toml(5)")


def main_page() -> str:
    out = [*title("supervisor", 1), *name_line("supervisor", "a process supervisor that notices hangs and says why")]
    out += [".SH SYNOPSIS", usage(context())]
    text, examples = parts(cli)
    out += [".SH DESCRIPTION", *paragraphs(text), ".SH COMMANDS"]
    for heading, names in SECTIONS.items():
        out.append(f".SS {heading}")
        out += [line for name in names for line in entry(f"supervisor-{name}(1)", one_line(context(name).command))]
    out += [".SH OPTIONS", *options(context())]
    out += [".SH EXAMPLES", *verbatim(examples)]
    out.append(".SH EXIT STATUS")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs/commands.md").read_text(), re.M)
    out += [line for code, meaning in rows for line in entry(code, meaning)]
    out += [".SH ENVIRONMENT", *(line for name, text in ENVIRONMENT.items() for line in entry(name, text))]
    out += [".SH FILES", *(line for name, text in FILES.items() for line in entry(name, text))]
    return finished(out, "services.toml(5)")


def configuration_page() -> str:
    out = [*title("services.toml", 5), *name_line("services.toml", "the services that supervisor(1) supervises")]
    out += [".SH DESCRIPTION", *paragraphs(f"{SEARCH}\n\n{reference.RULES}")]
    out += [".SH TABLES AND KEYS"]
    for heading, node in reference.tables(schema()["properties"]):
        out += [f".SS {escaped(heading)}", *paragraphs(node.get("description", ""))]
        for key, value in node["properties"].items():
            if not reference.is_table(value):
                out += [".TP", f"\\fB{escaped(key)}\\fR ({inline(_kind(value))})", inline(_meaning(value)) or "\\&"]
    smallest = re.search(r"^## The smallest file\n+```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert smallest is not None
    out += [".SH EXAMPLES", *verbatim(smallest[1])]
    return finished(out, "supervisor(1)", "supervisor-check(1)", "supervisor-show(1)", "toml(5)")


def _kind(key: JSON) -> str:
    default = f", default {reference.shown(key['default'])}" if "default" in key else ""
    return f"{reference.kind(key)}{default}"


def _meaning(key: JSON) -> str:
    return str(key.get("description", ""))


def finished(out: list[str], *see_also: str) -> str:
    kept = [line for before, line in pairwise(["", *out]) if line != ".PP" or not before.startswith((".SH", ".SS"))]
    return "\n".join([*kept, ".SH SEE ALSO", ", ".join(map(escaped, see_also))]) + "\n"


def pages() -> dict[str, str]:
    """All pages, by their paths in a folder `man`."""
    found = {"man1/supervisor.1": main_page(), "man5/services.toml.5": configuration_page()}
    found |= {f"man1/supervisor-{name}.1": command_page(name) for name in cli.list_commands(context())}
    return found


def write(folder: Path) -> list[Path]:
    """Write all pages below `folder`, for example `usr/share/man` of a package.  Returns their paths."""
    written = []
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
        written.append(path)
    return written


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    print(f"{len(write(folder))} pages in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
