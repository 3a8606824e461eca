"""Writes docs/configuration.md from the JSON Schema of services.toml, docs/metrics.md from the table of metrics, and
docs/words.md from the table of words of other tools, and docs/programs.md from the book of programs.

Usage: scripts/reference [--check]      (--check changes nothing; exits 1 if a page is out of date)
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.tools.docs import metrics, programs, words
from supervisor.config.export.json_schema import schema
from supervisor.core.model.document_types import JSON

PATH = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"
RULES = """- Durations are strings with a unit: `500ms`, `10s`, `5m`, `2h`, `1d`, also `1h30m`. Sizes: `512MiB`, `1.5GiB`, `64KiB`. Shares of
  CPU: `150%` is one and a half cores. A bare number is an error.
- `${VAR}` and `${VAR:-default}` are replaced in commands, paths, addresses and environment values by the supervisor's own
  environment; `$$` is a dollar sign. A variable that is not set and has no default is an error.
- Relative paths begin in the folder of services.toml, also in files that it includes
  ([several-files.md](several-files.md): `include`, `extends`, `profiles`).
- Unknown keys are errors, with the nearest known key named; all errors of a file are told at once, each with its line.
- `[defaults]` takes every key of a service; a service overrides it key by key, `ready` and the heartbeat's source as a whole.
"""
HEAD = f"""# services.toml: every key and its default

This page is made from the JSON Schema that `supervisor check --schema` prints (`scripts/reference`).

{RULES}"""


def kind(key: JSON) -> str:
    if "enum" in key:
        return " or ".join(f"`{v}`" for v in key["enum"])
    if "anyOf" in key:
        return " or ".join(dict.fromkeys(kind(k) for k in key["anyOf"]))
    if "const" in key:
        return f"`{key['const']}`"
    pattern = key.get("pattern", "")
    if "/" in pattern and "ms" in pattern:
        return "rate"
    if "ms|s|m" in pattern:
        return "duration"
    if "iB" in pattern:
        return "size"
    if "%" in pattern:
        return "percentage"
    names = key.get("type", "value")
    return " or ".join([names] if isinstance(names, str) else names)


def shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def table(title: str, node: JSON) -> list[str]:
    out = [f"\n## `{title}`\n", node.get("description", ""), ""]
    plain = {n: k for n, k in node["properties"].items() if not is_table(k)}
    if plain:
        out += ["| key | value | default | |", "| --- | --- | --- | --- |"]
        for name, key in plain.items():
            default = shown(key["default"]) if "default" in key else ""
            text = f"| `{name}` | {kind(key)} | {default} | {key.get('description', '')} |"
            out.append(text.replace("  |", " |"))
    return out


def tables(root: JSON) -> Iterator[tuple[str, JSON]]:
    """The head and the schema of each table of services.toml, an inner one after the table that it is in."""
    yield from _nested("[supervisor]", root["supervisor"])
    for name in ("services", "groups"):
        of_name = root[name]
        one = of_name.get("additionalProperties") or next(iter(of_name["patternProperties"].values()))
        yield from _nested(f"[{name}.NAME]", one)
    for name in ("cluster", "fleet"):
        yield from _nested(f"[{name}]", root[name])


def _nested(title: str, node: JSON) -> Iterator[tuple[str, JSON]]:
    yield title, node
    for name, key in node["properties"].items():
        if is_table(key):
            brackets = "[[{}]]" if key.get("type") == "array" else "[{}]"
            yield from _nested(brackets.format(f"{title.strip('[]')}.{name}"), key.get("items", key))


def is_table(key: JSON) -> bool:
    return "properties" in key.get("items", key)


def page() -> str:
    root = schema()["properties"]
    out = [HEAD, "## Before all tables\n", "| key | value | |", "| --- | --- | --- |"]
    out.append(f"| `include` | {kind(root['include'])} | {root['include']['description']} |")
    for title, node in tables(root):
        if title == "[cluster]":
            out.append(f"\n## `[templates.NAME]`\n\nThe keys of a service.  {root['templates']['description']}")
        out += table(title, node)
    return "\n".join(out).rstrip() + "\n"


def main() -> int:
    late = 0
    pages = [(PATH, page()), *((made.PATH, made.page()) for made in (metrics, words, programs))]
    for path, text in pages:
        if "--check" not in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"docs/{path.name} is out of date: run scripts/reference", file=sys.stderr)
            late = 1
    return late


if __name__ == "__main__":
    sys.exit(main())
