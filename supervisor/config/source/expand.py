"""Expands `${VAR}`, `${VAR:-default}` and `$$` in values, and parses the files that `environment_file` names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from supervisor.config.units import quoted

_REFERENCE = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([^\s=#]+)\s*=\s*(.*)")
_BARE_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_QUOTED = {"'": re.compile(r"'([^']*)'"), '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)}
_LINE_ENDS = re.compile(r"\r+(?=\n|\Z)")
_AFTER_QUOTES = re.compile(r"\s*(?:#.*)?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
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

    One KEY=VALUE a line; `export ` in front, blank lines and # comments are skipped. A value in quotes may go on over
    several lines: within "double quotes" backslash escapes are decoded, within 'single quotes' they are not. Other
    values are taken literally.
    """
    values: dict[str, str] = {}
    errors: list[tuple[int, str]] = []
    text = _LINE_ENDS.sub("", text)
    number, start = 1, 0
    while start <= len(text):
        first_line = number
        end = _line_end(text, start)
        line = text[start:end]
        match = _ASSIGNMENT.fullmatch(line)
        if match and match[2][:1] in _QUOTED and (found := _quoted_value(text, start + match.start(2))) is not None:
            value, end = found
            number += text.count("\n", start, end)
        else:
            value = _BARE_COMMENT.sub("", match[2]).rstrip() if match else ""
            found = None
        number, start = number + 1, end + 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not match:
            errors.append((first_line, f"{quoted(line.strip())} is not KEY=VALUE"))
        elif found is None and match[2][:1] in _QUOTED:
            errors.append((first_line, f"the quotes of {match[1]} are not closed, or are followed by more text"))
        elif "\x00" in match[1] + value:
            errors.append((first_line, f"{quoted(match[1])} holds a NUL character"))
        else:
            values[match[1]] = value
    return values, errors


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _quoted_value(text: str, start: int) -> tuple[str, int] | None:
    """The value in quotes that begins at `start`, and the end of the line on which it ends; None unless it is well
    formed."""
    quote = text[start]
    match = _QUOTED[quote].match(text, start)
    if match is None:
        return None
    end = _line_end(text, match.end())
    if not _AFTER_QUOTES.fullmatch(text, match.end(), end):
        return None
    return match[1] if quote == "'" else _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), match[1]), end
