"""One watcher of circus 0.19.0 as a service."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.config.importers.circus.environment import Environments
from supervisor.config.importers.circus.logs import log_of
from supervisor.config.importers.circus.syntax import Option, Section, names_in, number, referred, truth
from supervisor.config.importers.imported import Imported, ImportRefused, Kind

GRACEFUL_TIMEOUT = 30.0
"""Seconds from the signal to SIGKILL, unless graceful_timeout says otherwise."""
RESTART = {"policy": "always", "backoff": "fixed", "initial": "100ms", "max_restarts": 1_000_000}
FIRST_DESCRIPTOR = 3
"""The number of the first descriptor that is handed over here."""
_MARKS = ("{replica}", "{port}")
_VALID = re.compile(r"[^A-Za-z0-9_.-]")
_LIMITS = frozenset({
    "as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
})  # fmt: skip
_READ = frozenset({
    "cmd", "args", "working_dir", "uid", "gid", "numprocesses", "shell", "shell_args", "stop_signal", "respawn",
    "graceful_timeout", "use_sockets", "singleton", "copy_env", "autostart", "on_demand", "close_child_stdin",
})  # fmt: skip
_SAME = frozenset(("copy_path", "send_hup", "stop_children", "close_child_stdout", "close_child_stderr"))
"""Booleans of which `false` is what is done here."""
_TOLD = {
    "warmup_delay": (Kind.DROPPED, "There is no pause from one start to the next; depends_on orders starts."),
    "executable": (Kind.IGNORED, "circus does not use it either: the program is the first word of cmd."),
    "send_hup": (Kind.CHANGED, "A reload of circus sends SIGHUP; here `supervisor signal NAME` sends reload_signal."),
    "stop_children": (Kind.CHANGED, "circus sends the stop signal to the children too; here the main process gets it, "
                      "and what is left of the tree is killed after stop_timeout."),
    "max_retry": (Kind.DROPPED, "circus gives up after so many starts that fail because the program is missing; here "
                  "such a start is tried again."),
    "priority": (Kind.DROPPED, "circus starts higher priorities first; depends_on orders starts."),
    "copy_path": (Kind.DROPPED, "PYTHONPATH does not get the modules of circusd; set it in environment."),
    "virtualenv": (Kind.DROPPED, "PATH and PYTHONPATH do not get the folders of the virtualenv; name its program by "
                   "path in command."),
    "max_age": (Kind.DROPPED, "Nothing is replaced for its age; a timer can run `supervisor restart --rolling`."),
    "max_age_variance": (Kind.DROPPED, "Nothing is replaced for its age."),
    "stdin_socket": (Kind.DROPPED, "Standard input is /dev/null; sockets are handed over from descriptor 3 on."),
    "close_child_stdout": (Kind.CHANGED, "circus discards the output; here it is kept in the log."),
    "close_child_stderr": (Kind.CHANGED, "circus discards the standard error; here it is kept in the log."),
    "check_flapping": (Kind.IGNORED, "Only a plugin of circus reads it."),
}  # fmt: skip


class Watcher:
    """Translates a section. What is changed or dropped is added to `result`."""

    def __init__(
        self,
        section: Section,
        environments: Environments,
        folder: Path,
        sections: Mapping[str, Section],
        result: Imported,
    ) -> None:
        self._section, self._environments, self._folder = section, environments, folder
        self._sections, self._result = sections, result
        self._name = section.name.removeprefix("watcher:")
        self._known = environments.known(self._name)
        self._service = self._name

    def named(self, taken: set[str]) -> str:
        """Its name here, which no other service has; a change is told."""
        valid = _VALID.sub("-", self._name).lstrip("-.")[:90] or "watcher"
        found, count = valid, 1
        while found in taken:
            count += 1
            found = f"{valid}-{count}"
        taken.add(found)
        self._service = found
        if found != self._name:
            told = f"The name of the service is {found}: letters, digits and _ . - are allowed, and each only once."
            self._result.lose(
                Kind.CHANGED, self._section.file, self._section.line, f"[{self._section.name}]", told, found
            )
        return found

    def table(self, service: str, umask: Option | None) -> dict[str, Any] | None:
        """The table of the service; None where circus does not start it. Raises ImportRefused."""
        count = int(self._number("numprocesses", 1))
        if self._left_out(count):
            return None
        directory = self._text("working_dir")
        if not Path(self._environments.real(directory)).is_absolute():
            directory = str(self._folder / directory)
        sockets = self._sockets()
        command = self._command(count, list(sockets))
        if command is None:
            return None
        table: dict[str, Any] = {"command": command, "directory": self._environments.final(directory)}
        table |= self._account()
        if umask is not None:
            table["umask"] = umask.value.removeprefix("0o").zfill(3)
        table |= self._environment(service)
        if count > 1:
            table["replicas"] = count
        if not self._true("autostart", True) or count < 1:
            table["autostart"] = False
            if count < 1:
                self._lose(Kind.CHANGED, "numprocesses", "circus starts nothing; here it is not started with the rest.")
        if sockets:
            table["sockets"] = list(sockets.values())
        table |= self._stop()
        table["restart"] = dict(RESTART) if self._true("respawn", True) else {"policy": "never"}
        if limits := self._limits():
            table["limits"] = limits
        if log := log_of(self._section, self._folder, count, self._lose):
            table["log"] = log
        self._tell_of_the_rest()
        return table

    def _left_out(self, count: int) -> bool:
        """Whether circus leaves it out, with an error in its log."""
        option = self._section.options.get("copy_path")
        reasons = {
            "singleton": self._true("singleton", False) and count not in (0, 1),
            "copy_path": option is not None and truth(option) and not self._true("copy_env", False),
            "virtualenv": "virtualenv" in self._section.options and not self._true("copy_env", False),
        }
        found = [key for key, holds in reasons.items() if holds]
        for key in found:
            needs = "one process at most" if key == "singleton" else "copy_env"
            self._lose(Kind.DROPPED, key, f"It needs {needs}: circus logs an error and leaves the watcher out.")
        return bool(found)

    def _lose(self, kind: Kind, key: str, text: str) -> None:
        option = self._section.options.get(key)
        file, line = (option.file, option.line) if option else (self._section.file, self._section.line)
        self._result.lose(kind, file, line, key, text, self._service)

    def _text(self, key: str) -> str:
        option = self._section.options.get(key)
        return referred(option.value, self._known) if option else ""

    def _number(self, key: str, default: float) -> float:
        option = self._section.options.get(key)
        if option is None:
            return default
        value = self._environments.real(referred(option.value, self._known))
        return number(Option(value, option.file, option.line), int if key == "numprocesses" else float)

    def _true(self, key: str, default: bool) -> bool:
        option = self._section.options.get(key)
        if option is None:
            return default
        value = self._environments.real(referred(option.value, self._known))
        return truth(Option(value, option.file, option.line))

    def _command(self, count: int, sockets: list[str]) -> list[str] | None:
        values = {"wid": "{replica}" if count > 1 else "1", "shell": str(self._true("shell", False))}
        values |= {"working_dir": self._text("working_dir") or str(self._folder), "numprocesses": str(count)}
        values |= {f"sockets.{name}": str(FIRST_DESCRIPTOR + index) for index, name in enumerate(sockets)}
        words: list[str] = []
        for key in ("cmd", "args", "shell_args"):
            text = self._text(key)
            if any(mark in text for mark in _MARKS):
                self._lose(Kind.CHANGED, key, "{replica} and {port} in it are replaced here by the instance's number.")
            text, written = self._environments.for_words(text)
            for name in written:
                self._lose(
                    Kind.CHANGED, key, f"The value of {name} is written into the command, as it is several words."
                )
            text = referred(text, values)
            for name in (name for name in names_in(text) if not name.startswith("sockets.")):
                told = f"$(circus.{name}) stays as it stands: circus may know it, and this import does not."
                self._lose(Kind.DROPPED, key, told)
            if key == "cmd" and "$WID" in text:
                self._lose(Kind.IGNORED, key, "$WID is not replaced, nor does circus 0.19 replace it.")
            try:
                more = shlex.split(text)
            except ValueError:
                self._lose(Kind.DROPPED, key, "Its quotes are not closed, so circus cannot start it.")
                return None
            if key == "shell_args":
                words = self._in_shell(words, more)
            else:
                words += more
        if not words:
            self._lose(Kind.DROPPED, "cmd", "There is no command, so circus cannot start it.")
            return None
        return [self._environments.final(word) for word in words]

    def _in_shell(self, words: list[str], arguments: list[str]) -> list[str]:
        """circus quotes each word before a shell gets them, so that the shell finds nothing to expand."""
        if not self._true("shell", False):
            if arguments:
                self._lose(Kind.IGNORED, "shell_args", "circus does not use it without shell.")
            return words
        if shlex.join(words) != " ".join(words):
            told = "circus quotes each word before the shell gets it: &&, $X and * are plain arguments."
            self._lose(Kind.IGNORED, "shell", told)
        return ["/bin/sh", "-c", shlex.join(words), *arguments] if words else []

    def _account(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, ours in (("uid", "user"), ("gid", "group")):
            if text := self._environments.real(self._text(key)):
                found[ours] = int(text) if text.isdecimal() else text
        if "user" in found:
            self._lose(
                Kind.CHANGED,
                "uid",
                "HOME, USER, LOGNAME and SHELL of the account are set here; circus does not set them.",
            )
        return found

    def _environment(self, service: str) -> dict[str, Any]:
        values = self._environments.of(self._name, service)
        found: dict[str, Any] = {}
        if not self._true("copy_env", False):
            found = {"inherit_environment": False, "unset_environment": ["PATH"]}
        for name, value in values.items():
            if any(mark in value for mark in _MARKS):
                told = f"{{replica}} and {{port}} in {name} are replaced here by the instance's number."
                self._lose(Kind.CHANGED, "", told)
        return found | ({"environment": values} if values else {})

    def _sockets(self) -> dict[str, str]:
        """The sockets that the command refers to, in the order in which it does, by their names in lower case."""
        names = [
            name.removeprefix("sockets.")
            for key in ("cmd", "args", "shell_args")
            for name in names_in(self._text(key))
            if name.startswith("sockets.")
        ]
        found: dict[str, str] = {}
        for name in dict.fromkeys(names):
            section = next((s for s in self._sections.values() if s.name.lower() == f"socket:{name}"), None)
            url = _url(section) if section else None
            if url is None or not self._true("use_sockets", False):
                told = f"$(circus.sockets.{name}) is no TCP or Unix socket that circus hands over; give it in sockets."
                self._lose(Kind.DROPPED, "cmd", told)
                continue
            query = ["start=demand"] if self._true("on_demand", False) else []
            if section and "so_reuseport" in section.options and truth(section.options["so_reuseport"]):
                query.append("share=reuseport")
            found[name] = url + ("?" + "&".join(query) if query else "")
            told = f"The descriptor of {name} is {FIRST_DESCRIPTOR + len(found) - 1} here, and LISTEN_FDS is set."
            self._lose(Kind.CHANGED, "use_sockets", told)
        if not found and self._true("use_sockets", False):
            self._lose(
                Kind.DROPPED, "use_sockets", "The command refers to no socket, so none is handed over; write sockets."
            )
        if not found and self._true("on_demand", False):
            self._lose(Kind.DROPPED, "on_demand", "Without a socket it is started with the others.")
        return found

    def _stop(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if option := self._section.options.get("stop_signal"):
            found["stop_signal"] = _signal(option)
        seconds = self._number("graceful_timeout", GRACEFUL_TIMEOUT)
        found["stop_timeout"] = f"{seconds:.0f}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"
        return found

    def _limits(self) -> dict[str, int | str]:
        found: dict[str, int | str] = {}
        for key, option in self._section.options.items():
            limit = key.removeprefix("rlimit_").lower()
            if not key.startswith("rlimit_"):
                continue
            if limit not in _LIMITS:
                self._lose(Kind.DROPPED, key, "The limit does not exist; circus cannot start a process with it.")
            else:
                value = int(number(option)) if option.value else -1
                found[limit] = value if value >= 0 else "unlimited"
        return found

    def _tell_of_the_rest(self) -> None:
        for key, option in self._section.options.items():
            if key in _READ or key.startswith(("rlimit_", "stdout_stream", "stderr_stream")):
                continue
            if key in _SAME and not truth(option):
                continue
            if key.startswith("hooks."):
                self._lose(
                    Kind.DROPPED, key, "Hooks are functions of Python in circusd; [[services.NAME.hooks]] run commands."
                )
            elif key in _TOLD:
                self._lose(_TOLD[key][0], key, _TOLD[key][1])
            else:
                self._lose(Kind.IGNORED, key, "circus itself does nothing with it; a plugin may.")
        if "close_child_stdin" in self._section.options and not self._true("close_child_stdin", True):
            self._lose(Kind.CHANGED, "close_child_stdin", "Standard input is /dev/null here.")


def _url(section: Section) -> str | None:
    """The address of a socket; None where it is no TCP or Unix socket that listens."""
    values = {key: option.value for key, option in section.options.items()}
    if values.get("type", "SOCK_STREAM").upper() != "SOCK_STREAM":
        return None
    if path := values.get("path"):
        return f"unix:{path}"
    host = values.get("host", "localhost").replace("localhost", "127.0.0.1")
    host = f"[{host}]" if ":" in host else host
    return f"tcp://{host}:{values.get('port', '8080')}"


def _signal(option: Option) -> str | int:
    if option.value.isdecimal():
        return int(option.value)
    match = re.match(r"(\w+)(?:\+([0-9]+))?", option.value)
    name = "" if match is None else "SIG" + match[1].upper().removeprefix("SIG")
    found = getattr(signal, name, None) if name != "SIG" else None
    if match is None or found is None:
        raise ImportRefused(option.file, option.line, "it is no signal")
    return int(found) + int(match[2] or 0) if match[2] or name.startswith("SIGRT") else name.removeprefix("SIG")
