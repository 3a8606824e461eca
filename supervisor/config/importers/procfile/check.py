"""How foreman reads a Procfile and its `.env`, or honcho where there is no foreman, beside the import."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import ImportedService
from supervisor.config.importers.procfile.importer import DOTENV, read
from supervisor.config.importers.side_by_side import (
    CheckFailed,
    Comparison,
    Facts,
    facts_of,
    interpreter_of,
    output_of,
    program,
    where,
)

_FOREMAN = r"""
require "json"
require "foreman/engine"
require "foreman/version"
file, dotenv, texts = JSON.parse(STDIN.read)
engine = Foreman::Engine.new
engine.load_env(dotenv) if File.file?(dotenv)
engine.load_procfile(file)
processes = engine.instance_variable_get(:@processes)
processes = engine.process_names.zip(processes).reject { |_, process| process.command.strip.empty? }
found = processes.each_with_index.map do |(name, process), index|
  own = { "PORT" => engine.port_for(process, 1).to_s, "PS" => "#{name}.1" }
  ours = texts[index] ? Foreman::Process.new(texts[index], env: engine.env).expanded_command(own) : nil
  { name: name, text: process.expanded_command(own), ours: ours, variables: engine.env.merge(own) }
end
puts JSON.generate({ version: Foreman::VERSION, processes: found })
"""
_HONCHO = """
import sys
sys.path[:] = [place for place in sys.path if place]  # modules of this directory are not meant
import importlib.metadata, json, os
from honcho.environ import expand_processes, parse, parse_procfile
file, dotenv, texts = json.load(sys.stdin)
with open(file) as opened:
    processes = parse_procfile(opened.read()).processes
variables = parse(open(dotenv).read()) if os.path.isfile(dotenv) else {}
port = int(variables.get("PORT", os.environ.get("PORT", 5000)))
found = [
    {"name": one.name.rpartition(".")[0], "text": one.cmd, "ours": None,
     "variables": {key: value for key, value in one.env.items() if key != "HONCHO_PROCESS_NAME"}}
    for one in expand_processes(processes, env=variables, port=port)
]
json.dump({"version": importlib.metadata.version("honcho"), "processes": found}, sys.stdout)
"""
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHELL_TOKEN = re.compile(r"\\.|\$\$|\$[A-Za-z0-9_]+|.", re.DOTALL)
_EVAL = re.compile(r'eval "((?:[^"\\]|\\.)*)"')


def side_by_side(paths: Sequence[Path], environment: Mapping[str, str]) -> list[Comparison]:
    """Each Procfile as foreman or honcho read it, and as it is imported.  CheckFailed, ImportRefused, OSError."""
    return [_compared(path, environment) for path in paths]


def _compared(path: Path, environment: Mapping[str, str]) -> Comparison:
    services = read([path], environment).services
    foreman = shutil.which("foreman", path=environment.get("PATH"))
    hint = "Install foreman, or honcho (pipx install honcho)."
    tool = "foreman" if foreman else "honcho"
    try:
        found = foreman or program("honcho", environment, hint)
    except CheckFailed:
        raise CheckFailed(
            "--check looks for the programs foreman and honcho in PATH, and there is none", hint
        ) from None
    asked = json.dumps([str(path.absolute()), str(path.absolute().parent / DOTENV), [_text(one) for one in services]])
    option, script = ("-e", _FOREMAN) if foreman else ("-c", _HONCHO)
    text = output_of(
        [interpreter_of(found), option, script], environment, path.absolute().parent, tool=tool, given=asked
    )
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        raise CheckFailed(f"{tool} gave an answer that is not understood") from None
    made = Comparison(f"{tool} {answer['version']}")
    for index, process in enumerate(answer["processes"]):
        service = services[index] if index < len(services) else None
        ours = process["ours"] if process["ours"] is not None else service and _text(service)
        theirs = process["text"] if foreman else _with_port(process["text"], process["variables"].get("PORT", ""))
        real = Facts(
            (_plain(theirs, process["variables"]),),
            process["variables"],
            {"directory": str(path.absolute().parent)},
        )
        made.add(
            service.name if service else process["name"],
            where(service) if service else str(path),
            real,
            _ours(service, environment, str(ours), honcho=not foreman) if service else None,
        )
    return made


def _ours(service: ImportedService, environment: Mapping[str, str], text: str, *, honcho: bool) -> Facts:
    facts = facts_of(service, environment)
    variables = dict(facts.variables or {})
    if honcho:
        variables.pop("PS", None)
        text = _with_port(text, variables.get("PORT", ""))
    return Facts((_plain(text, variables),), variables, {"directory": facts.settings["directory"]})


def _text(service: ImportedService) -> str:
    """The command as a text for a shell, before the shell expands it."""
    words = [str(word) for word in service.table["command"]]
    if words[:2] != ["/bin/sh", "-c"]:
        return " ".join(words)
    text = words[2].removeprefix("exec ")
    evaluated = _EVAL.fullmatch(text)
    return re.sub(r"\\(.)", r"\1", evaluated[1]) if evaluated else text


def _with_port(text: str, port: str) -> str:
    """A line for honcho's shell with the value of $PORT, which the import may have written out.  Where the shell
    leaves $PORT as it is (in single quotes, after a backslash, in a longer name), so does this."""
    quote, out = "", []
    for token in _SHELL_TOKEN.findall(text):
        if token in ("'", '"') and quote in ("", token):
            quote = "" if quote else token
        elif quote == "'" and token == "\\'":  # within single quotes a backslash is a letter
            quote = ""
        out.append(port if token == "$PORT" and quote != "'" else token)
    return "".join(out)


def _plain(text: str, variables: Mapping[str, str]) -> str:
    """A command with the values that a shell puts in, so that both ways to write it are alike."""
    expanded = _BRACED.sub(lambda match: variables.get(match[1], match[0]), text)
    return " ".join(expanded.split()).removeprefix("exec ")
