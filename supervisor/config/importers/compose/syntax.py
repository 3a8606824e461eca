"""The syntax of compose files: YAML with the line of each key, `${NAME:-default}`, and .env files as compose has them.

Tested against docker-compose 1.29.2. Where the documentation of Compose 2 differs (`yes` is a text, defaults within
defaults, `${NAME:+other}`), Compose 2 is followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.reading import Table

if TYPE_CHECKING:
    import yaml

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_BINDING = re.compile(
    r"""[^\S\n]*(?:export[^\S\n]+)?(?P<key>'[^'\n]+'|[^=\#\s]+)[^\S\n]*
        (?P<value>=[^\S\n]*(?:'(?P<single>(?:\\'|[^'])*)'|"(?P<double>(?:\\"|[^"])*)"|(?P<bare>[^\n]*)))?
        [^\S\n]*(?:\#[^\n]*)?(?:\n|\Z)""",
    re.VERBOSE,
)
MOST_VALUES = 200_000
"""The values of a file, those of an alias counted wherever it stands."""
_SKIPPED = re.compile(r"(?:\s*(?:#[^\n]*)?\n)*\s*(?:#[^\n]*)?")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def load_yaml(file: str, text: str) -> Any:
    """The value of the text; mappings are `Table`. Raises ImportRefused where it is not YAML, and without PyYAML."""
    try:
        import yaml
    except ImportError:
        hint = "pip install 'phi-supervisor[compose]'"
        raise ImportRefused(file, 0, "PyYAML is needed to read it, and is not installed", hint) from None

    class Loader(yaml.SafeLoader):
        """Compose's types: `yes`, `12:30` and dates are texts."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - as the library declares it
            first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    def mapping(loader: Loader, node: yaml.MappingNode) -> Table:
        loader.flatten_mapping(node)
        block = Table(node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node, deep=True))
            block[key] = loader.construct_object(value_node, deep=True)
            block.lines[key] = key_node.start_mark.line + 1
        return block

    for kind, pattern, first in (
        ("bool", _BOOL, "tTfF"),
        ("int", _INT, "-+0123456789"),
        ("float", _FLOAT, "-+.0123456789"),
    ):
        whole = re.compile(rf"(?:{pattern.pattern})\Z")
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", whole, list(first))
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_growth(file, node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ImportRefused(file, line, f"it is not YAML: {error.problem or error.context}") from None
    except RecursionError:
        raise ImportRefused(file, 0, "its values are nested too deeply") from None
    except (yaml.YAMLError, ValueError):
        raise ImportRefused(file, 0, "it is not YAML") from None
    finally:
        loader.dispose()


def _refuse_growth(file: str, node: yaml.Node) -> None:
    """ImportRefused where aliases make more values of the file than MOST_VALUES, or a value contains itself."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            if known == 0:
                raise ImportRefused(file, line_of(node), "an alias stands within the value that it means")
            return known
        sizes[id(node)] = 0
        found = 1
        for child in node.value if isinstance(node.value, list) else ():
            for one in child if isinstance(child, tuple) else (child,):
                found += size(one)
                if found > MOST_VALUES:
                    told = f"its aliases make more than {MOST_VALUES} values of the file"
                    raise ImportRefused(file, line_of(node), told)
        sizes[id(node)] = found
        return found

    def line_of(node: yaml.Node) -> int:
        return int(node.start_mark.line) + 1

    size(node)


class Interpolation:
    """Replaces `$NAME`, `${NAME:-default}` and their like; `$$` is a dollar sign. `missing` has what is not set."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.missing: set[str] = set()
        self.used: set[str] = set()

    def expand(self, text: str) -> str:
        """The text with its references replaced. ValueError where one is malformed, or a required one is missing."""
        try:
            found, end = self._until(text, 0, within=False)
        except RecursionError:
            raise ValueError("the references stand too deep in one another") from None
        assert end == len(text)
        return found

    def _until(self, text: str, at: int, *, within: bool) -> tuple[str, int]:
        parts = []
        while at < len(text):
            if within and text[at] == "}":
                break
            if text[at] != "$":
                parts.append(text[at])
                at += 1
            elif text.startswith("$$", at):
                parts.append("$")
                at += 2
            else:
                part, at = self._reference(text, at + 1)
                parts.append(part)
        return "".join(parts), at

    def _reference(self, text: str, at: int) -> tuple[str, int]:
        braced = text.startswith("{", at)
        name = _NAME.match(text, at + braced)
        if name is None:
            raise ValueError("a $ is followed by no name; write $$ for a dollar sign")
        at = name.end()
        value = self._variables.get(name[0])
        self.used.add(name[0])
        if not braced:
            return self._plain(name[0], value), at
        operator = _OPERATOR.match(text, at)
        other = ""
        if operator:
            other, at = self._until(text, operator.end(), within=True)
        if not text.startswith("}", at):
            raise ValueError(f"the reference to {name[0]} is not closed, or not understood")
        given = value if not operator or ":" not in operator[0] else value or None
        if operator is None:
            return self._plain(name[0], value), at + 1
        kind = operator[0][-1]
        if kind == "+":
            return ("" if given is None else other), at + 1
        if given is None and kind == "?":
            raise ValueError(f"the variable {name[0]} is required, and not set")
        return (other if given is None else given), at + 1

    def _plain(self, name: str, value: str | None) -> str:
        if value is None:
            self.missing.add(name)
        return value or ""


def read_dotenv(text: str) -> dict[str, str | None]:
    """The variables of a .env file; None for a name without `=`. Lines that are no assignment are skipped."""
    found: dict[str, str | None] = {}
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    at = 0
    while True:
        skipped = _SKIPPED.match(text, at)
        at = skipped.end() if skipped else at
        if at >= len(text):
            return found
        match = _BINDING.match(text, at)
        if match is None:
            end = text.find("\n", at)
            at = len(text) if end < 0 else end + 1
            continue
        found[match["key"].strip("'")] = _value(match)
        at = match.end()


def _value(match: re.Match[str]) -> str | None:
    if match["value"] is None:
        return None
    if match["single"] is not None:
        return re.sub(r"\\([\\'])", r"\1", match["single"])
    if match["double"] is not None:
        return re.sub(r"\\([\\'\"abfnrtv])", lambda found: _ESCAPES.get(found[1], found[1]), match["double"])
    return re.sub(r"\s+#.*", "", match["bare"]).rstrip()
