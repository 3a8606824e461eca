"""Words of supervisorctl, docker compose, systemctl and pm2: each is run as ours or answered with ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from supervisor.cli.commands import SECTIONS, cli
from supervisor.cli.main import main
from supervisor.cli.words.known_words import ALIASES, ANSWERS, ARGUMENTS, OPTIONS, SHARED, TOOLS, understood
from tests.doubles.fake_client import view
from tests.doubles.fake_daemon import serve

OURS = {name for section in SECTIONS.values() for name in section}
CALM = [view("redis"), view("web@1", group="front"), view("web@2", group="front")]
LINES: dict[str, list[tuple[float | None, str]]] = {"web@1": [(1000.0 + i, f"line {i}") for i in range(20)]}
SAID = [*(answer.says for answer in ANSWERS.values()), *ARGUMENTS.values()]
SAID += [says for known in OPTIONS.values() for says in known.values()]
SAID += [says for alias in ALIASES.values() for says in alias.options.values() if isinstance(says, str)]

Supervisor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def supervisor(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Supervisor]:
    path = f"{tmp_path}/run/control.sock"
    monkeypatch.setenv("SUPERVISOR_SOCKET", path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    with serve(path, CALM, lines=LINES):
        yield run


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, f"there is no command {name}"
    return found


def options(name: str) -> set[str]:
    return {option for param in command(name).params for option in (*param.opts, *param.secondary_opts)} | {"--help"}


# -- the tables ------------------------------------------------------------------------------------------------------


def test_each_word_has_one_meaning() -> None:
    assert set(SHARED) <= OURS
    assert not OURS & {*ALIASES, *ANSWERS}
    assert not set(ALIASES) & set(ANSWERS)
    assert set(OPTIONS) | set(ARGUMENTS) <= OURS


def test_sixty_words_and_those_of_each_tool_are_known() -> None:
    words = {word: tools for word, (tools, _) in SHARED.items()}
    words |= {word: one.tools for table in (ALIASES, ANSWERS) for word, one in table.items()}
    assert len(words) >= 60
    for tool in TOOLS:
        assert sum(tool in tools for tools in words.values()) >= 20


@pytest.mark.parametrize("says", sorted(set(SAID)))
def test_an_answer_is_one_line_and_names_what_there_is(says: str) -> None:
    assert "\n" not in says
    assert says.count('"') % 2 == 0
    for quoted in re.findall(r'"supervisor ([^"]+)"', says):
        name, *words = quoted.split()
        known = options(name)
        if name in ("cluster", "fleet", "rollout", "maintenance"):
            continue
        assert {word for word in words if word.startswith("-")} <= known | {"0s", "--", "-C"}, quoted


@pytest.mark.parametrize("word", sorted(word for word, alias in ALIASES.items() if alias.command[:1] > ("-",)))
def test_an_alias_is_a_command_with_options_of_ours(word: str) -> None:
    alias = ALIASES[word]
    if alias.command == ("--version",):
        return
    name, *fixed = alias.command
    ours = [one for replaced in alias.options.values() if not isinstance(replaced, str) for one in replaced]
    assert {*fixed, *ours} <= options(name)


# -- what is typed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("ps", "status"),
        ("ps -a --json web", "status --json web"),
        ("list", "status"),
        ("list-units --all --no-pager", "status"),
        ("stats web", "status --watch web"),
        ("tail web", "logs web"),
        ("tail -f web", "logs -f web"),
        ("tail -f web stderr", "logs -f --stream stderr web"),
        ("tail web@1 stdout", "logs --stream stdout web@1"),
        ("tail --help", "logs --help"),
        ("journalctl -u web", "logs web"),
        ("journalctl --unit=web -n 20", "logs web -n 20"),
        ("journalctl -fu web", "logs -f web"),
        ("journalctl -xeu web", "logs web"),
        ("journalctl -n50 -u web", "logs -n50 web"),
        ("journalctl --lines=5 -S 1h --no-pager", "logs -n 5 --since 1h"),
        ("journalctl -u web -- -u", "logs web -- -u"),
        ("shutdown", "down"),
        ("kill -s HUP web", "signal -s HUP web"),
        ("kill --signal=USR1 web redis", "signal -s USR1 web redis"),
        ("kill web -s SIGUSR2", "signal -s SIGUSR2 web"),
        ("kill --help", "signal --help"),
        ("sendSignal SIGHUP web", "signal -s SIGHUP web"),
        ("monit", "top"),
        ("describe web", "status web"),
        ("info web", "status web"),
        ("pstree web", "tree web"),
        ("systemd-cgls -l", "tree"),
        ("list-dependencies --reverse web", "tree --depends --reverse web"),
        ("list-dependencies --plain --all", "tree --depends --ascii"),
        ("help", "--help"),
        ("help logs", "logs --help"),
        ("version", "--version"),
    ],
)
def test_what_means_the_same_is_run(typed: str, ours: str) -> None:
    assert understood(typed.split()) == ours.split()


@pytest.mark.parametrize(
    "typed",
    [
        "kill web",
        "kill",
        "kill -s KILL web",
        "kill -s sigkill web",
        "kill -s 9 web",
        "kill -s TERM web",
        "kill -s HUP",
        "kill --kill-whom=all -s HUP web",
        "tail -100 web",
        "sendSignal web",
        "journalctl --until 10s -u web",
        "journalctl -o json",
        "ps -q",
    ],
)
def test_what_would_do_something_else_is_answered(supervisor: Supervisor, typed: str) -> None:
    code, out, err = supervisor(*typed.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"supervisor {typed.split()[0]}: ") and err.count("\n") == 1


@pytest.mark.parametrize("word", sorted(ANSWERS))
def test_a_word_with_another_meaning_is_answered_in_one_line(supervisor: Supervisor, word: str) -> None:
    for arguments in ([], ["web"], ["--help"]):
        assert supervisor(word, *arguments) == (2, "", f"supervisor {word}: {ANSWERS[word].says}\n")


def test_an_update_is_a_reload_and_never_an_upgrade(supervisor: Supervisor) -> None:
    says = 'here it is "supervisor reload", which applies an edited services.toml'
    for word in ("update", "daemon-reload"):
        assert supervisor(word) == (2, "", f"supervisor {word}: {says}\n")
    for word in ("updte", "updates"):
        code, out, err = supervisor(word)
        assert (code, out) == (2, "") and says in err and "upgrade" not in err


@pytest.mark.parametrize("option", [f"{name} {one}" for name, known in OPTIONS.items() for one in known])
def test_an_option_that_ours_does_not_have_is_answered(supervisor: Supervisor, option: str) -> None:
    name, one = option.split()
    assert supervisor(name, one) == (2, "", f"supervisor {name} {one}: {OPTIONS[name][one]}\n")


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_a_name_that_ours_does_not_take_is_answered(supervisor: Supervisor, name: str) -> None:
    assert supervisor(name, "web") == (2, "", f"supervisor {name} takes no name: {ARGUMENTS[name]}\n")


def test_errors_of_nested_commands_are_their_own(supervisor: Supervisor) -> None:
    code, _, err = supervisor("cluster", "status", "-l")
    assert code == 2 and "No such option" in err


@pytest.mark.parametrize("words", [("HUP", "web"), ("web", "HUP")])
def test_a_signal_among_the_names_is_told_to_be_an_option(supervisor: Supervisor, words: tuple[str, str]) -> None:
    code, _, err = supervisor("signal", *words)
    assert code == 4 and err.splitlines()[-1].strip() == "The signal is an option: supervisor signal -s HUP web"


def test_an_unknown_name_is_no_signal(supervisor: Supervisor) -> None:
    code, _, err = supervisor("signal", "WBE", "web")
    assert code == 4 and "option" not in err


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("ps web", "status web"),
        ("ps --json", "status --json"),
        ("tail web", "logs web"),
        ("journalctl -u web@1 -n 2", "logs -n 2 web@1"),
        ("logs --tail 2 web", "logs -n 2 web"),
        ("logs --tail=1 --no-log-prefix web", "logs -n 1 --no-prefix web"),
        ("kill -s HUP web", "signal -s HUP web"),
        ("help", "--help"),
        ("help status", "status --help"),
        ("version", "--version"),
    ],
)
def test_an_alias_prints_and_returns_what_ours_does(supervisor: Supervisor, typed: str, ours: str) -> None:
    found = supervisor(*typed.split())
    expected = supervisor(*ours.split())
    assert found[::2] == expected[::2]
    assert re.sub(r"\d", "", found[1]) == re.sub(r"\d", "", expected[1]), "but for ages"
    assert found[1]


def test_the_options_before_a_word_hold_for_it(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = os.environ["SUPERVISOR_SOCKET"]
    monkeypatch.delenv("SUPERVISOR_SOCKET")
    assert supervisor("--socket", socket, "ps", "redis")[0] == 0


def completions(words: str) -> list[str]:
    env = dict(os.environ, _SUPERVISOR_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    run = [sys.executable, "-c", "import sys; from supervisor.cli.main import main; sys.exit(main())"]
    result = subprocess.run(run, capture_output=True, text=True, env=env, check=False)
    assert not result.stderr
    return [line.split(",")[1] for line in result.stdout.split()]


def test_completion(supervisor: Supervisor) -> None:
    assert completions("supervisor jour") == ["journalctl"]
    assert completions("supervisor st") == ["status", "start", "stop"]
    assert completions("supervisor tail web@") == ["web@1", "web@2"]
    assert completions("supervisor update wh") == completions("supervisor nonsense wh") == ["why"], "as a first word"


def test_a_service_with_a_name_is_added(supervisor: Supervisor) -> None:
    """`pm2 start --name x app.js` makes a service of a command, as `add` does."""
    assert '"supervisor add NAME" makes one' in supervisor("start", "--name", "x", "app.js")[2]
