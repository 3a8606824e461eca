"""Expands `${VAR}`, `${VAR:-default}` and `$$` in values, and parses the files that `environment_file` names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from supervisor.config.units import quoted

_REFERENCE = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([^\s=#]+)\s*=\s*(.*)")
_BARE_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace the references in `text`. As in a shell, an empty variable takes the default too.

    A `$` that starts neither `${` nor `$$` stands for itself. Raises ValueError for a variable that is not set, or a
    reference that is malformed.
    """
    if "$" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        inside = _INSIDE.fullmatch(match[1] or "")
        if not inside:
            raise ValueError(
                f"{quoted(text)}: only ${{VAR}} and ${{VAR:-default}} are understood; write $$ for a plain $"
            )
        name, default = inside[1], inside[2]
        value = env.get(name)
        if default is not None and not value:
            return str(default)
        if value is None:
            raise ValueError(f"the variable {name} is not set; set it, or write ${{{name}:-default}}")
        return value

    return _REFERENCE.sub(replacement, text)


def parse_environment_file(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """The assignments of a `.env` file, and its errors as (line, message).

    One KEY=VALUE a line; `export ` in front, blank lines and # comments are skipped. Within "double quotes" backslash
    escapes are decoded, within 'single quotes' they are not. Other values are taken literally.
    """
    values: dict[str, str] = {}
    errors: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if not match:
            errors.append((number, f"{quoted(line.strip())} is not KEY=VALUE"))
        elif "\x00" in line:
            errors.append((number, f"{quoted(match[1])} holds a NUL character"))
        elif (value := _unquote(match[2])) is None:
            errors.append((number, f"the quotes of {match[1]} are not closed, or are followed by more text"))
        else:
            values[match[1]] = value
    return values, errors


def _unquote(raw: str) -> str | None:
    if raw.startswith("'"):
        match = _SINGLE.fullmatch(raw)
        return match[1] if match else None
    if raw.startswith('"'):
        match = _DOUBLE.fullmatch(raw)
        return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), match[1]) if match else None
    return _BARE_COMMENT.sub("", raw).rstrip()
