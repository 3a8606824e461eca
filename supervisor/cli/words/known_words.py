"""Words of supervisorctl, docker compose, systemctl and pm2: what happens here when they are typed.

A word that means the same here is run with its options.  Every other one is never run: the answer is one line that
names our command.  `scripts/reference` makes docs/words.md from these tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

SUPERVISORCTL, COMPOSE, SYSTEMCTL, PM2 = "supervisorctl", "docker compose", "systemctl", "pm2"
TOOLS = (SUPERVISORCTL, COMPOSE, SYSTEMCTL, PM2)

Arguments = list[str]
Options = Mapping[str, tuple[str, ...] | str]
"""For each option of the other tool our options (empty: what happens anyway), or the answer."""

SIGNAL = re.compile(r"(SIG)?[A-Z]+[0-9+-]*|[0-9]+")
"""A signal as the other tools take it."""


class Alias(NamedTuple):
    """A word that is run as `command`.

    `fit`: rearranges its arguments, or answers them.  `note`: for the documentation."""

    tools: tuple[str, ...]
    command: tuple[str, ...]
    options: Options = MappingProxyType({})
    fit: Callable[[Arguments], Arguments | str] | None = None
    note: str = ""


class Answer(NamedTuple):
    """A word that is not run.  `says` follows `supervisor WORD: `."""

    tools: tuple[str, ...]
    says: str


def _output(arguments: Arguments) -> Arguments | str:
    """`tail [-f] NAME [stdout|stderr]`."""
    if any(re.fullmatch(r"-\d+", one) for one in arguments):
        return 'a number of bytes is not taken; "supervisor logs -n N NAME" prints the last N lines'
    names = [one for one in arguments if not one.startswith("-")]
    if len(names) == 2 and names[1] in ("stdout", "stderr"):
        options = [one for one in arguments if one.startswith("-")]
        return [*options, "--stream", names[1], names[0]]
    return arguments


def _kill(arguments: Arguments) -> Arguments | str:
    """`kill -s SIGNAL NAME…`: the tools differ in a `kill` without a signal, and in one that ends the process."""
    words = iter([word for one in arguments for word in one.split("=", 1)])
    number, names = "", []
    for word in words:
        if word in ("-s", "--signal"):
            number = next(words, "")
        else:
            names.append(word)
    ends = number.upper().removeprefix("SIG") in ("KILL", "9", "TERM", "15", "INT", "2", "QUIT", "3")
    if names and not ends and SIGNAL.fullmatch(number) and not any(name.startswith("-") for name in names):
        return ["-s", number, *names]
    return (
        '"supervisor stop NAME" stops it, with KILL after its stop_timeout; "supervisor signal -s KILL NAME" kills it, '
        "and its restart policy starts it again"
    )


def _send(arguments: Arguments) -> Arguments | str:
    """`sendSignal SIGNAL NAME`."""
    if len(arguments) > 1 and SIGNAL.fullmatch(arguments[0]):
        return ["-s", *arguments]
    return 'here it is "supervisor signal -s SIGNAL NAME"'


def _page(arguments: Arguments) -> Arguments | str:
    """`help [COMMAND]`."""
    return [*arguments[:1], "--help"]


NO_CONTAINER = "a service is a process of this host, without a container or an image"
IN_THE_FILE = 'edit services.toml, then "supervisor reload" applies it'
BOOT = (
    '"supervisor systemd" prints the unit that starts the daemon at boot; autostart in services.toml says which '
    "services start with it"
)
KEPT = "the daemon keeps its services over a crash and over an upgrade by itself; nothing has to be saved or restored"
ONE_FILE = "the services are those of services.toml, and -f FILE names another one"
LOGS_ROTATE = "no command empties a log; log.max_size and log.keep in services.toml rotate it"
ENVIRONMENT = '"supervisor exec NAME -- env" prints the variables of a service'
PIDS = '"supervisor status NAME" shows the pid, --json prints it for scripts'
ROLLING = (
    '"supervisor signal NAME" sends its reload_signal, "supervisor restart --rolling NAME" replaces one instance after '
    "the other"
)
UPGRADE = '"supervisor upgrade" replaces the daemon by the installed version; its services run on'
RESTART_UP = '"supervisor restart" without a name restarts what is up, and nothing else'
NO_END = "only the beginning of a period can be given, with --since"
NO_PRIORITY = "the output of a service has no priorities"
CAPITALS = '"supervisor logs --grep RE NAME" is case-sensitive; (?i) before RE makes it ignore case'
BEGIN = "--since TIME is the beginning of what is printed"
READY = '"supervisor wait --for ready --timeout 0s NAME" has exit code 0 if it is ready now, else 1'
FROZEN = 'no process is frozen; "supervisor maintenance on NAME" leaves it alone, "supervisor stop NAME" stops it'
THE_HOST = "only the services of services.toml are controlled here, not the host and its units"
NO_SHELL = 'there is no shell to leave: each command is one call of "supervisor"'
LIMITS = 'the table resources of a service in services.toml limits it; "supervisor reload" applies the file'

ALIASES: dict[str, Alias] = {
    "help": Alias(TOOLS, (), fit=_page, note="`help COMMAND` is `COMMAND --help`"),
    "version": Alias((SUPERVISORCTL, COMPOSE, PM2), ("--version",)),
    "ps": Alias(
        (COMPOSE, PM2),
        ("status",),
        {
            "-a": (), "--all": (), "--no-trunc": (), "--orphans": (),
            "-q": PIDS, "--quiet": PIDS,
            "--format": "--json prints one JSON object",
            "--services": '"supervisor check" lists the services',
            "--filter": "name the services, or patterns: 'web*'",
            "--status": "name the services, or patterns: 'web*'",
        },
        note="all instances, also those that do not run; exit code 3 where one that should be up is not",
    ),
    "list": Alias((PM2,), ("status",)),
    "describe": Alias((PM2,), ("status",), note="one name prints its page; `show NAME` its definition"),
    "desc": Alias((PM2,), ("status",)),
    "info": Alias((PM2,), ("status",)),
    "pstree": Alias((SYSTEMCTL,), ("tree",), note="the program of that name, for services"),
    "systemd-cgls": Alias((SYSTEMCTL,), ("tree",), {"-l": (), "--full": (), "--no-pager": (), "-a": (), "--all": ()}),
    "list-dependencies": Alias(
        (SYSTEMCTL,),
        ("tree", "--depends"),
        {"-a": (), "--all": (), "--no-pager": (), "-l": (), "--full": (), "--plain": ("--ascii",)},
    ),
    "l": Alias((PM2,), ("status",)),
    "list-units": Alias(
        (SYSTEMCTL,),
        ("status",),
        {"-a": (), "--all": (), "--no-pager": (), "-l": (), "--full": (), "--failed": '"supervisor status" marks them'},
    ),
    "stats": Alias(
        (COMPOSE,), ("status", "--watch"), {"-a": (), "--all": (), "--no-stream": 'here it is "supervisor status"'}
    ),
    "monit": Alias((PM2,), ("top",)),
    "dash": Alias((PM2,), ("top",)),
    "dashboard": Alias((PM2,), ("top",)),
    "tail": Alias((SUPERVISORCTL,), ("logs",), fit=_output, note="lines, not bytes; `-f` follows"),
    "journalctl": Alias(
        (SYSTEMCTL,),
        ("logs",),
        {
            "-u": (), "--unit": (), "-e": (), "--pager-end": (), "-x": (), "--catalog": (), "--no-pager": (),
            "-a": (), "--all": (), "-q": (), "--quiet": (),
            "-f": ("-f",), "--follow": ("-f",), "-n": ("-n",), "--lines": ("-n",),
            "-S": ("--since",), "--since": ("--since",),
            "-g": CAPITALS,
            "--grep": CAPITALS,
            "-o": "--json prints one JSON object per line", "--output": "--json prints one JSON object per line",
            "-r": "the newest line is the last one", "--reverse": "the newest line is the last one",
            "-U": NO_END, "--until": NO_END,
            "-b": BEGIN, "--boot": BEGIN,
            "-k": THE_HOST, "--dmesg": THE_HOST,
            "-p": NO_PRIORITY, "--priority": NO_PRIORITY,
        },
    ),
    "shutdown": Alias((SUPERVISORCTL,), ("down",)),
    "kill": Alias(
        (COMPOSE, SYSTEMCTL, PM2),
        ("signal",),
        fit=_kill,
        note="with `-s SIGNAL NAME` and a signal that does not end the process; to main processes",
    ),
    "sendSignal": Alias((PM2,), ("signal",), fit=_send, note="`sendSignal HUP web` is `signal -s HUP web`"),
}  # fmt: skip
"""Words that are run as a command of ours."""

ANSWERS: dict[str, Answer] = {
    # The configuration.
    "update": Answer((SUPERVISORCTL, PM2), 'here it is "supervisor reload", which applies an edited services.toml'),
    "updatePM2": Answer((PM2,), UPGRADE),
    "reread": Answer((SUPERVISORCTL,), '"supervisor reload --dry-run" prints changes, "supervisor reload" makes them'),
    "daemon-reload": Answer((SYSTEMCTL,), 'here it is "supervisor reload", which applies an edited services.toml'),
    "daemon-reexec": Answer((SYSTEMCTL,), UPGRADE),
    "remove": Answer((SUPERVISORCTL,), f"take the service out: {IN_THE_FILE}"),
    "rm": Answer((COMPOSE,), f'"supervisor stop NAME" stops it; to remove it, {IN_THE_FILE}'),
    "delete": Answer((PM2,), f'"supervisor stop NAME" stops it; to remove it, {IN_THE_FILE}'),
    "del": Answer((PM2,), f'"supervisor stop NAME" stops it; to remove it, {IN_THE_FILE}'),
    "revert": Answer((SYSTEMCTL,), f"take the change back: {IN_THE_FILE}"),
    "cat": Answer((SYSTEMCTL,), '"supervisor show NAME" prints the definition, each value with its line'),
    "config": Answer((COMPOSE,), '"supervisor check" validates services.toml and prints the plan'),
    "convert": Answer((COMPOSE,), '"supervisor check" validates services.toml and prints the plan'),
    "conf": Answer((PM2,), IN_THE_FILE),
    "get": Answer((PM2,), '"supervisor show NAME" prints the definition, each value with its line'),
    "set": Answer((PM2,), IN_THE_FILE),
    "unset": Answer((PM2,), IN_THE_FILE),
    "multiset": Answer((PM2,), IN_THE_FILE),
    "ecosystem": Answer((PM2,), '"supervisor init" writes services.toml; --from FILE reads that of another tool'),
    "set-property": Answer((SYSTEMCTL,), LIMITS),
    "set-environment": Answer((SYSTEMCTL,), f"environment in services.toml is what a service gets: {IN_THE_FILE}"),
    "unset-environment": Answer((SYSTEMCTL,), f"environment in services.toml is what a service gets: {IN_THE_FILE}"),
    "import-environment": Answer((SYSTEMCTL,), f"environment in services.toml is what a service gets: {IN_THE_FILE}"),
    "show-environment": Answer((SYSTEMCTL,), ENVIRONMENT),
    "env": Answer((PM2,), ENVIRONMENT),
    # At boot.
    "enable": Answer((SYSTEMCTL,), BOOT),
    "disable": Answer((SYSTEMCTL,), BOOT),
    "reenable": Answer((SYSTEMCTL,), BOOT),
    "preset": Answer((SYSTEMCTL,), BOOT),
    "is-enabled": Answer((SYSTEMCTL,), BOOT),
    "startup": Answer((PM2,), BOOT),
    "unstartup": Answer((PM2,), BOOT),
    "mask": Answer((SYSTEMCTL,), f"autostart = false keeps it down, and it can still be started: {IN_THE_FILE}"),
    "unmask": Answer((SYSTEMCTL,), f"autostart says whether it starts with the daemon: {IN_THE_FILE}"),
    "link": Answer((SYSTEMCTL, PM2), ONE_FILE),
    "save": Answer((PM2,), KEPT),
    "dump": Answer((PM2,), KEPT),
    "resurrect": Answer((PM2,), KEPT),
    "cleardump": Answer((PM2,), KEPT),
    # State.
    "avail": Answer((SUPERVISORCTL,), '"supervisor check" prints all services, "supervisor status" what runs'),
    "pid": Answer((SUPERVISORCTL, PM2), PIDS),
    "id": Answer((PM2,), f"a service has no number; {PIDS}"),
    "jlist": Answer((PM2,), 'here it is "supervisor status --json", whose fields have other names'),
    "prettylist": Answer((PM2,), 'here it is "supervisor status --json", whose fields have other names'),
    "slist": Answer((PM2,), 'here it is "supervisor status --json", whose fields have other names'),
    "ping": Answer((PM2,), '"supervisor status" has exit code 5 where no daemon answers'),
    "is-active": Answer((SYSTEMCTL,), READY),
    "is-failed": Answer((SYSTEMCTL,), READY),
    "is-system-running": Answer((SYSTEMCTL,), '"supervisor status" has exit code 3 where one that should be up is not'),
    "list-unit-files": Answer((SYSTEMCTL,), '"supervisor check" prints all services of services.toml'),
    "list-sockets": Answer((SYSTEMCTL,), '"supervisor status --json" has the sockets that the daemon holds'),
    "list-timers": Answer((SYSTEMCTL,), "a service has no timer: run the command from cron or from a timer of systemd"),
    "list-jobs": Answer((SYSTEMCTL,), '"supervisor status" shows what starts and stops'),
    "port": Answer((COMPOSE,), 'no port is published; "supervisor status --json" has the sockets of a service'),
    "images": Answer((COMPOSE,), NO_CONTAINER),
    "volumes": Answer((COMPOSE,), NO_CONTAINER),
    # Actions.
    "try-restart": Answer((SYSTEMCTL,), RESTART_UP),
    "condrestart": Answer((SYSTEMCTL,), RESTART_UP),
    "reload-or-restart": Answer((SYSTEMCTL,), ROLLING),
    "try-reload-or-restart": Answer((SYSTEMCTL,), ROLLING),
    "gracefulReload": Answer((PM2,), ROLLING),
    "reset-failed": Answer((SYSTEMCTL,), 'here it is "supervisor reset NAME", which also starts it at once'),
    "isolate": Answer((SYSTEMCTL,), '"supervisor stop NAME" and "supervisor start NAME" act on groups, too'),
    "cancel": Answer((SYSTEMCTL,), '"supervisor stop NAME" ends a start that takes long'),
    "pause": Answer((COMPOSE,), FROZEN),
    "unpause": Answer((COMPOSE,), FROZEN),
    "freeze": Answer((SYSTEMCTL,), FROZEN),
    "thaw": Answer((SYSTEMCTL,), FROZEN),
    "create": Answer((COMPOSE,), '"supervisor up -d" starts everything but services with autostart = false'),
    "build": Answer((COMPOSE,), f"{NO_CONTAINER}; nothing is built"),
    "pull": Answer((COMPOSE,), f"{NO_CONTAINER}; nothing is pulled"),
    "push": Answer((COMPOSE,), '"supervisor cluster push FILE" or "supervisor fleet push" copies files to other hosts'),
    "cp": Answer((COMPOSE,), f"{NO_CONTAINER}; copy the files with cp"),
    "export": Answer((COMPOSE,), NO_CONTAINER),
    "commit": Answer((COMPOSE,), NO_CONTAINER),
    "watch": Answer((COMPOSE,), 'no file is watched; "supervisor restart NAME" restarts it'),
    "trigger": Answer((PM2,), '"supervisor signal -s SIGNAL NAME" sends it a signal'),
    "deploy": Answer((PM2,), '"supervisor fleet push" copies files to hosts over ssh'),
    "serve": Answer((PM2,), "a web server is a service like any other: [services.NAME] in services.toml"),
    "inspect": Answer((PM2,), 'no debugger is attached; "supervisor why NAME" prints where it hung'),
    "profile": Answer((PM2,), 'no profile is made; "supervisor why NAME" prints where it hung'),
    "install": Answer((PM2,), "there are no modules; hooks in services.toml run commands and send notifications"),
    "uninstall": Answer((PM2,), "there are no modules; hooks in services.toml run commands and send notifications"),
    "plus": Answer((PM2,), '"supervisor top" shows the dashboard'),
    "imonit": Answer((PM2,), '"supervisor top" shows the dashboard'),
    "clean": Answer((SYSTEMCTL,), "directories of services are never removed"),
    "poweroff": Answer((SYSTEMCTL,), THE_HOST),
    "reboot": Answer((SYSTEMCTL,), THE_HOST),
    "halt": Answer((SYSTEMCTL,), THE_HOST),
    "suspend": Answer((SYSTEMCTL,), THE_HOST),
    # Output.
    "attach": Answer((COMPOSE, PM2), '"supervisor logs -f NAME" follows the output; stdin is /dev/null'),
    "fg": Answer((SUPERVISORCTL,), '"supervisor logs -f NAME" follows the output; stdin is /dev/null'),
    "maintail": Answer((SUPERVISORCTL,), '"supervisor events" prints what the daemon did'),
    "clear": Answer((SUPERVISORCTL,), LOGS_ROTATE),
    "flush": Answer((PM2,), LOGS_ROTATE),
    "reloadLogs": Answer((PM2,), "logs need not be opened again: the daemon rotates them itself"),
    "log-level": Answer((SYSTEMCTL,), '"supervisor events" prints what the daemon did; it has no log levels'),
    "open": Answer((SUPERVISORCTL,), "-f FILE or --socket PATH names the daemon that a command talks to"),
    "quit": Answer((SUPERVISORCTL,), NO_SHELL),
    "exit": Answer((SUPERVISORCTL,), NO_SHELL),
}  # fmt: skip
"""Words that are not run, with their answers."""

SHARED: dict[str, tuple[tuple[str, ...], str]] = {
    "start": (TOOLS, "without a name all services with autostart; waits until ready"),
    "stop": (TOOLS, "without a name all services; waits until ended"),
    "restart": (TOOLS, "waits until ready"),
    "status": (
        (SUPERVISORCTL, SYSTEMCTL, PM2),
        "one name prints its page, as that of systemctl; exit code 3 where a service that should be up is not",
    ),
    "ls": ((COMPOSE, PM2), "all daemons of this host; `ps` and `list` print the instances of one"),
    "signal": ((SUPERVISORCTL,), "the signal is an option: `signal -s HUP web`"),
    "reload": (
        (SUPERVISORCTL, SYSTEMCTL, PM2),
        "applies an edited services.toml, and takes no service: `signal NAME` sends its reload signal, "
        "`restart --rolling NAME` replaces its instances one by one; nothing restarts the daemon with all services",
    ),
    "up": ((COMPOSE,), "shows the dashboard unless `-d` is given"),
    "down": ((COMPOSE,), "also ends the daemon; takes no service: `stop NAME`"),
    "logs": ((COMPOSE, PM2), "follows only with `-f`; `--tail N` and `--no-log-prefix` are known"),
    "events": ((COMPOSE,), "the history; follows only with `-f`"),
    "top": ((COMPOSE,), "the dashboard; `tree NAME` prints the processes of a service"),
    "exec": ((COMPOSE,), "as the service, in your terminal: `-i`, `-t` and `-T` are taken, and do nothing"),
    "scale": ((COMPOSE, PM2), "`scale web=4`"),
    "wait": ((COMPOSE,), "until ready, or `--for stopped`"),
    "run": ((COMPOSE,), "the daemon in the foreground; takes no service and no command"),
    "reset": ((PM2,), "closes a breaker and clears backoff; counters are kept"),
    "report": ((PM2,), "how reliable the services were"),
    "add": ((SUPERVISORCTL,), "appends a service to services.toml: `add web -- COMMAND`"),
    "show": ((SYSTEMCTL, PM2), "the definition of a service, each value with its line; `status NAME` is its page"),
    "edit": ((SYSTEMCTL,), "the file that has the service, or services.toml; a running daemon applies it"),
    "init": ((PM2,), "writes services.toml; `--from ecosystem.config.js` takes services over"),
    "completion": ((PM2,), "for bash, zsh and fish"),
}  # fmt: skip
"""Words that are commands here, too, and how these differ."""

_WAITS_READY = 'here it is "supervisor up -d", which returns when all services are ready'
_STOPS_WITHIN = "stop_timeout in services.toml says how long a service may take; --timeout TIME limits the wait"
_NO_WAIT = "here it is --no-wait"
_ONE_SCREEN = 'nothing is paged; "supervisor logs NAME" prints whole lines'
_VARIABLE = '"supervisor exec NAME -- env KEY=VALUE COMMAND" sets a variable'
_DIRECTORY = '"supervisor exec NAME -- env -C DIRECTORY COMMAND" runs it elsewhere'
_USER = "it has the user of the service; sudo -u USER stands after --"
_FILE_FIRST = 'a service is a table of services.toml; "supervisor add NAME" makes one'

OPTIONS: dict[str, dict[str, str]] = {
    "up": {
        "--build": f"{NO_CONTAINER}; nothing is built",
        "--pull": f"{NO_CONTAINER}; nothing is pulled",
        "--wait": _WAITS_READY,
        "--force-recreate": '"supervisor restart" restarts what is up',
        "--no-recreate": "what is up is left as it is",
        "--no-deps": "required = false in depends_on says that a service can do without another",
        "--no-start": "autostart = false in services.toml keeps a service down",
        "--remove-orphans": '"supervisor reload" stops what services.toml no longer has',
        "--scale": '"supervisor scale SERVICE=N" sets the number of replicas',
        "--abort-on-container-exit": "end_with = true in services.toml ends everything with a service",
        "--exit-code-from": "end_with = true in services.toml ends everything with a service, and with its exit code",
        "--watch": 'no file is watched; "supervisor reload" applies an edited services.toml',
        "-t": _STOPS_WITHIN,
    },
    "down": {
        "-v": NO_CONTAINER,
        "--volumes": NO_CONTAINER,
        "--rmi": NO_CONTAINER,
        "--remove-orphans": "everything is stopped, also what services.toml no longer has",
        "-t": _STOPS_WITHIN,
        "--timeout": "stop_timeout in services.toml says how long a service may take",
    },
    "start": {
        "--no-block": _NO_WAIT,
        "--wait": "the command waits until all are ready",
        "--name": _FILE_FIRST,
        "-n": _FILE_FIRST,
        "-i": 'replicas in services.toml, or "supervisor scale SERVICE=N"',
        "--instances": 'replicas in services.toml, or "supervisor scale SERVICE=N"',
        "--watch": 'no file is watched; "supervisor restart NAME" restarts it',
        "--only": "name the services: start NAME…",
        "--update-env": '"supervisor reload" applies an edited services.toml',
    },
    "stop": {"--no-block": _NO_WAIT, "-t": _STOPS_WITHIN},
    "restart": {
        "--no-block": _NO_WAIT,
        "-t": _STOPS_WITHIN,
        "--no-deps": "on_dependency_restart in services.toml says whether dependants restart, too",
        "--update-env": '"supervisor reload" applies an edited services.toml',
        "--only": "name the services: restart NAME…",
    },
    "status": {
        "-l": _ONE_SCREEN,
        "--full": _ONE_SCREEN,
        "--no-pager": _ONE_SCREEN,
        "--lines": '"supervisor logs -n N NAME" prints the last lines',
        "-n": '"supervisor logs -n N NAME" prints the last lines',
        "-a": "all instances are shown",
        "--all": "all instances are shown",
    },
    "logs": {
        "-t": "log.timestamps = true in services.toml writes the time before each line; --json prints it",
        "--timestamps": "log.timestamps = true in services.toml writes the time before each line; --json prints it",
        "--timestamp": "log.timestamps = true in services.toml writes the time before each line; --json prints it",
        "--until": NO_END,
        "--err": 'here it is "supervisor logs --stream stderr"',
        "--out": 'here it is "supervisor logs --stream stdout"',
        "--raw": "here it is --no-prefix",
        "--nostream": "without -f nothing is followed",
        "--highlight": "here it is --grep RE, which prints only these lines",
        "--index": 'name the instance: "supervisor logs web@2"',
    },
    "exec": {
        "-e": _VARIABLE,
        "--env": _VARIABLE,
        "-w": _DIRECTORY,
        "--workdir": _DIRECTORY,
        "-u": _USER,
        "--user": _USER,
        "-d": 'the shell does that: "supervisor exec NAME -- COMMAND" and &',
        "--detach": 'the shell does that: "supervisor exec NAME -- COMMAND" and &',
        "--privileged": "it has the rights of the service; for others run the command without supervisor exec",
        "--index": 'name the instance: "supervisor exec web@2 -- COMMAND"',
    },
}
"""Options of the other tools that our command of the same name does not have, with the answers."""

ARGUMENTS: dict[str, str] = {
    "reload": ROLLING,
    "down": '"supervisor stop NAME" stops one service; down stops all and ends the daemon',
    "run": 'it runs the daemon; "supervisor start NAME" starts a service, "supervisor exec NAME -- COMMAND" a command',
    "top": '"supervisor tree NAME" prints its processes, "supervisor status NAME" its page',
    "upgrade": 'it replaces the daemon; "supervisor restart --rolling NAME" replaces the instances of a service',
}
"""Commands of ours that take no arguments, other than those of the same name elsewhere, with the answers."""


def understood(arguments: Sequence[str]) -> Arguments | str | None:
    """Our arguments that stand for a word and what follows it, or the answer; None for an unknown word."""
    word, given = arguments[0], list(arguments[1:])
    if answer := ANSWERS.get(word):
        return answer.says
    alias = ALIASES.get(word)
    if alias is None:
        return None
    found = _in_our_options(given, alias.options)
    if isinstance(found, list) and alias.fit is not None and "--help" not in found:
        found = alias.fit(found)
    return found if isinstance(found, str) else [*alias.command, *found]


def _in_our_options(given: Arguments, options: Options) -> Arguments | str:
    found: Arguments = []
    rest = iter(given)
    for argument in rest:
        if argument == "--":
            return [*found, argument, *rest]
        for one in _apart(argument, options):
            name, equals, value = one.partition("=")
            ours = options.get(name) if one.startswith("-") else None
            if isinstance(ours, str):
                return f"{name}: {ours}"
            if ours is None:
                found.append(one)
            else:
                found += [*ours, *([value] if equals else [])]
    return found


def _apart(argument: str, options: Options) -> list[str]:
    """`-xeu` as -x, -e and -u, where all of them are known."""
    letters = [f"-{letter}" for letter in argument[1:]]
    if re.fullmatch(r"-[A-Za-z]{2,}", argument) and all(one in options for one in letters):
        return letters
    return [argument]
