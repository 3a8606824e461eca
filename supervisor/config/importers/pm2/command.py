"""The command of an application as PM2 7.0.4 runs it: script, interpreter, arguments, and whether it is a cluster."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.pm2.app import App, js_string

INTERPRETERS = {
    ".sh": "bash", ".py": "python", ".rb": "ruby", ".php": "php", ".pl": "perl", ".js": "node", ".coffee": "coffee",
    ".ls": "lsc", ".ts": "bun", ".tsx": "bun",
}  # fmt: skip
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./ -]*")
_OF_THE_SHELL = {
    ".", "alias", "bg", "case", "cd", "command", "declare", "do", "done", "echo", "else", "eval", "exec",
    "exit", "export", "false", "fi", "fg", "for", "function", "if", "jobs", "kill", "let", "local", "printf",
    "pwd", "read", "readonly", "return", "set", "shift", "source", "test", "then", "time", "times", "trap",
    "true", "type", "ulimit", "umask", "unset", "until", "wait", "while",
}  # fmt: skip
_PORT_OF_ONE = (
    "The instances of a cluster share one port, which the process of PM2 listens on; here each listens for itself, so"
    ' give each a port of its own: `ports = "%d-%d"` sets PORT, where `environment` does not, and `balance` puts'
    " HAProxy in front."
)
_PORT = 3000  # where the file names none


class Command(NamedTuple):
    """What is run, and how many times. `node`: PM2 would load it through its own wrapper."""

    words: list[str]
    instances: int
    node: bool
    python: bool


def command_of(app: App, cpus: int) -> Command:
    """The command. PM2 does not start an application without a script: the caller checks that."""
    script = app.get("script")
    if " " in script and (shell := app.which("bash") or app.which("sh")):
        words = _by_shell(app, shell, script)
        interpreter = app.get("exec_interpreter")
        instances = _instances(app, cpus)
        return Command([*_prefix(app, interpreter), *words], instances, False, "python" in (interpreter or ""))
    path = _script(app, script)
    interpreter = _interpreter(app, path)
    cluster = _is_cluster(app, interpreter)
    node = cluster or re.search(r"(node|bun)$", interpreter) is not None
    if cluster and app.get("exec_interpreter") and not interpreter.endswith("node"):
        app.lose(Kind.IGNORED, "exec_interpreter", "In cluster mode PM2 runs the script by its own node.")
    arguments = [js_string(argument) for argument in app.get("args", [])]
    words = [*_prefix(app, "node" if cluster else interpreter), path, *arguments]
    instances = _instances(app, cpus)
    if cluster and instances > 1:
        key = "instances" if app.get("exec_mode") is None else "exec_mode"
        given = js_string((app.get("env") or {}).get("PORT", ""))
        first = int(given) if given.isdecimal() else _PORT
        app.lose(Kind.CHANGED, key, _PORT_OF_ONE % (first, first + instances - 1))
    return Command(words, instances, node, "python" in interpreter)


def _prefix(app: App, interpreter: str | None) -> list[str]:
    options = app.get("node_args", [])
    if interpreter in (None, "none"):
        if options:
            app.lose(Kind.IGNORED, "node_args", "There is no interpreter that takes them.")
        return []
    return [str(interpreter), *map(js_string, options)]


def _by_shell(app: App, shell: str, script: str) -> list[str]:
    """PM2 gives a script with a space in it to bash -c."""
    if app.get("args"):
        app.lose(Kind.IGNORED, "args", "PM2 drops the arguments where the script has a space in it.")
    first = script.split()[0]
    plain = _PLAIN_WORDS.fullmatch(script) and "=" not in first and first not in _OF_THE_SHELL
    if plain and ("/" not in first or first.startswith("/")) and app.which(first):
        return script.split()
    app.lose(
        Kind.CHANGED,
        "script",
        "PM2 sends its stop signal to all processes at once; here the shell gets it, and what it leaves behind"
        " afterwards: write `exec` before the last command of the line.",
    )
    return [shell, "-c", script]


def _script(app: App, script: str) -> str:
    path = os.path.normpath(Path(app.directory) / script)
    if Path(path).exists():
        return path
    if found := app.which(script):
        return found
    app.lose(
        Kind.CHOSEN, "script", "The file does not exist, so PM2 would not start it; its path is taken as it is written."
    )
    return path


def _interpreter(app: App, path: str) -> str:
    written: str | None = app.get("exec_interpreter") or None
    extension = Path(path).suffix
    if written is None:
        found = _by_extension(app, path, extension)
    elif "node@" in written:
        found = _node_of_nvm(app, written)
    else:
        found = written
    if found not in ("none", "node") and app.which(found) is None:
        key = "exec_interpreter" if written else "script"
        app.lose(Kind.CHOSEN, key, f"There is no interpreter {found}, so PM2 would not start it.")
    return os.path.normpath(Path(app.directory) / found) if "/" in found else found


def _by_extension(app: App, path: str, extension: str) -> str:
    found = INTERPRETERS.get(extension)
    if found == "python" and app.which("python") is None and app.which("python3"):
        return "python3"
    if found == "bun" and extension == ".ts" and app.which("bun") is None:
        app.lose(Kind.CHOSEN, "script", "There is no bun in PATH: PM2 runs it by node, which strips its types.")
        return "node"
    if found is not None:
        return found
    begin = _first_bytes(path)
    if b"\0" in begin:
        return "none"
    first = begin.split(b"\n", 1)[0]
    if first.startswith(b"#!") and b"node" not in first:
        text = "PM2 runs it by node, whatever its first line says, which fails; write `interpreter`."
        app.lose(Kind.IGNORED, "script", text)
    return "node"


def _first_bytes(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(512)
    except OSError:
        return b""


def _node_of_nvm(app: App, written: str) -> str:
    folder = app.environment.get("NVM_DIR")
    if folder is None:
        app.lose(Kind.CHOSEN, "exec_interpreter", "There is no nvm (NVM_DIR) with this version, so node is taken.")
        return "node"
    return f"{folder}/versions/node/v{written.split('@')[1]}/bin/node"


def _is_cluster(app: App, interpreter: str) -> bool:
    mode = app.get("exec_mode")
    if mode is not None:
        return str(mode).startswith("cluster")
    instances = app.get("instances")
    by_node = re.search(r"(node|bun)$", interpreter) is not None
    return by_node and instances is not None and (instances >= 1 or instances in (0, -1))


def _instances(app: App, cpus: int) -> int:
    written: Any = app.get("instances")
    if written is None:
        return 1
    number = int(written)
    if number <= 0:
        number = max(1, number + cpus)
        app.lose(Kind.CHOSEN, "instances", f"It follows the CPUs of the host; written as {number}, for {cpus} CPUs.")
    return number
