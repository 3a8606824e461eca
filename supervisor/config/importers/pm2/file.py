"""Reads an ecosystem file of PM2: a literal is read here, everything else is evaluated by node.

Evaluating runs the code of the file, as PM2 does.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.pm2.syntax import BeyondLiterals, read_literal
from supervisor.config.importers.reading import Table

LONGEST = 20.0
"""Seconds that node has to evaluate a file."""

EVALUATE = """
const fs = require('fs'), vm = require('vm'), url = require('url');
const [, kind, file, result] = process.argv;
const plain = (key, value) => typeof value === 'bigint' ? String(value)
  : typeof value === 'number' && !isFinite(value) ? undefined : value;
const write = found => { fs.writeFileSync(result, JSON.stringify(found, plain)); process.exit(0); };
const failed = error => {
  const place = (String(error && error.stack).split(file + ':')[1] || '').match(/^[0-9]+/);
  const known = (text, form) => form.test(text) ? text : '';
  const kind = !(error instanceof Error) ? 'no error, but a value'
    : known(error.name, /^(\\w{1,20})?Error$/) || 'an error';
  const code = known(error && error.code, /^[A-Z_]{1,40}$/);
  write({error: code ? `${kind}, ${code}` : kind, line: place ? Number(place[0]) : 0});
};
(async () => kind === 'json'
  ? vm.runInThisContext('(' + fs.readFileSync(file) + ')', {filename: file, timeout: 1000})
  : kind === 'mjs' ? {...await import(url.pathToFileURL(file))} : require(file)
)().then(value => write({value: value === undefined ? null : value})).catch(failed);
"""

Evaluate = Callable[[str, Path, Path, Mapping[str, str]], Any]
"""Kind of file, file, the directory in which it is called, and the environment: what EVALUATE writes."""


def kind_of(name: str) -> str:
    """json, js or mjs, as PM2 decides by the name of a file; "" for a name that PM2 takes for a program."""
    for extension, kind in ((".json", "json"), (".config.js", "js"), (".config.cjs", "js"), (".config.mjs", "mjs")):
        if extension in name:
            return kind
    return ""


def read_file(
    path: Path, text: str, called_in: Path, environment: Mapping[str, str], evaluate: Evaluate
) -> tuple[Any, bool]:
    """What the file says, and whether it has been evaluated. Objects are `Table`, with lines.

    Raises ImportRefused where node is needed and missing, or refuses the file.
    """
    kind = kind_of(path.name) or ("mjs" if path.suffix == ".mjs" else "js")
    try:
        return read_literal(text, module=kind != "json"), False
    except BeyondLiterals as beyond:
        if shutil.which("node", path=environment.get("PATH")) is None:
            raise ImportRefused(
                str(path),
                beyond.line,
                f"{beyond.what}, so only node can tell what the file says, and there is no node in PATH",
                "Install node, or write the file as a plain object without code.",
            ) from None
    found = evaluate(kind, path.absolute(), called_in, environment)
    if "error" in found:
        hint = "Its text is not printed, as it may hold a secret."
        if kind != "json":
            hint += f" `node {shlex.quote(str(path))}` prints it."
        raise ImportRefused(str(path), int(found["line"]), f"the file throws in node: {found['error']}", hint)
    return _Lines(text).marked(found["value"]), True


def evaluate_by_node(kind: str, path: Path, called_in: Path, environment: Mapping[str, str]) -> Any:
    """Run the file by node, with the environment of the caller. Raises ImportRefused where it gives nothing in time."""
    with tempfile.TemporaryDirectory(prefix="phi-import-") as folder:
        result = Path(folder) / "result.json"
        node = shutil.which("node", path=environment.get("PATH")) or "node"
        try:
            subprocess.run(
                [node, "-e", EVALUATE, "--", kind, str(path), str(result)],
                cwd=called_in,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ImportRefused(str(path), 0, f"node has not evaluated it within {LONGEST:g} s") from None
        try:
            return json.loads(result.read_text())
        except (FileNotFoundError, ValueError):
            raise ImportRefused(str(path), 0, "node has ended without a result: the file ends the process") from None


class _Lines:
    """Finds the lines of what node has given: of an application, where its name stands; of a key, the nearest one."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def marked(self, value: Any) -> Any:
        apps = (value.get("apps") or value.get("pm2")) if isinstance(value, dict) else value
        found = self._marked(value, 0, 0, len(self._lines))
        if not isinstance(apps, list):
            return found
        begins = [0]
        for app in apps:
            begins.append(self._begin(app, begins[-1]))
        marked = []
        for app, before, begin in zip(apps, begins[:-1], begins[1:], strict=True):
            last = min((other for other in begins if other > begin), default=len(self._lines) + 1) - 1
            marked.append(self._marked(app, begin, before + 1, last) if begin > before else self._marked(app, 0, 1, 0))
        if isinstance(found, Table):
            found["apps" if value.get("apps") else "pm2"] = marked
            return found
        return marked

    def _begin(self, app: Any, after: int) -> int:
        """The line with the name or the script of an application; `after` where there is none."""
        words = (
            [app[key] for key in ("name", "script") if isinstance(app.get(key), str)] if isinstance(app, dict) else []
        )
        for word in words:
            quoted = re.compile(rf"""['"`]{re.escape(word)}['"`]""")
            for number in range(after + 1, len(self._lines) + 1):
                if quoted.search(self._lines[number - 1]):
                    return number
        return after

    def _marked(self, value: Any, line: int, first: int, last: int) -> Any:
        if isinstance(value, list):
            return [self._marked(inner, line, first, last) for inner in value]
        if not isinstance(value, dict):
            return value
        table = Table(line)
        for key, inner in value.items():
            table.lines[key] = self._nearest(key, line, first, last)
            table[key] = self._marked(inner, table.lines[key], first, last)
        return table

    def _nearest(self, key: str, line: int, first: int, last: int) -> int:
        pattern = re.compile(rf"""(?:^|[\s{{,'"]){re.escape(key)}['"]?\s*(?::|,|$)""")
        found = [number for number in range(max(first, 1), last + 1) if pattern.search(self._lines[number - 1])]
        return min(found, key=lambda number: abs(number - line), default=line)
