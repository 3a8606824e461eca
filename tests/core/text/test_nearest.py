"""Which known word a mistyped one stands for; and which words are too far from it to be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.text.nearest import FEW, did_you_mean, nearest

SERVICES = ["web", "db", "cache", "worker", "scheduler", "redis", "my-mailer", "web@1", "web@2"]
KEYS = [
    "environment",
    "environment_file",
    "command",
    "directory",
    "restart",
    "autostart",
    "stop_signal",
    "start_timeout",
]
KEYS += ["stop_timeout", "depends_on", "max_tasks"]
PROGRAMS = [
    "ar",
    "bc",
    "cat",
    "clear",
    "code",
    "cpack",
    "cron",
    "echo",
    "env",
    "errno",
    "expiry",
    "free",
    "gcc",
    "gcore",
]
PROGRAMS += [
    "git",
    "gpgcompose",
    "halt",
    "init",
    "jstack",
    "kmod",
    "look",
    "lighttpd",
    "logsave",
    "mknod",
    "mount",
    "mv",
]
PROGRAMS += [
    "net",
    "nginx",
    "nice",
    "nm",
    "node",
    "nsenter",
    "p7env",
    "perl",
    "pinentry",
    "pod2man",
    "python3",
    "radicale",
]
PROGRAMS += [
    "ranlib",
    "redis-cli",
    "redis-server",
    "replace",
    "rsync",
    "runcon",
    "sleep",
    "strace",
    "su",
    "tac",
    "tail",
]
PROGRAMS += ["tor", "upower", "vipe", "watch", "bunzip2", "bundle3.1", "zip"]
PROGRAMS += [f"filler{number}" for number in range(FEW)]  # a host has more programs than these


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("wbe", "web"),  # neighbours swapped
        ("wev", "web"),  # one of three letters is another
        ("wroker", "worker"),
        ("wokrer", "worker"),
        ("orker", "worker"),
        ("qorker", "worker"),
        ("shceduler", "scheduler"),
        ("sheduller", "scheduler"),
        ("Worker", "worker"),
        ("DB", "db"),
        ("cach", "cache"),
        ("caches", "cache"),
        ("sched", "scheduler"),  # its beginning
        ("my_mailer", "my-mailer"),  # another mark
        ("mailer", "my-mailer"),  # its end
        ("redis-server", "redis"),
        ("web@3", "web@1"),
    ],
)
def test_a_service_that_is_near(word: str, meant: str) -> None:
    assert nearest(word, SERVICES, 1) == [meant]


@pytest.mark.parametrize(
    "word",
    ["wb", "dc", "api", "app", "webapp", "backend", "walker", "watcher", "mail", "cron", "celery", "redirect", "", "7"],
)
def test_a_service_that_is_another(word: str) -> None:
    assert nearest(word, SERVICES) == []


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("comand", ["command"]),
        ("env", ["environment", "environment_file"]),
        ("env_file", ["environment_file"]),
        ("tasks_max", ["max_tasks"]),
        ("working_directory", ["directory"]),
        ("autorestart", ["restart"]),  # two edits from autostart: the part that is the same counts for more
        ("autostrat", ["autostart"]),
        ("atuostrat", ["autostart"]),
        ("stopsignal", ["stop_signal"]),
        ("timeout", ["start_timeout", "stop_timeout"]),
        ("dependencies", []),
        ("image", []),
        ("numprocs", []),
    ],
)
def test_a_key(word: str, meant: list[str]) -> None:
    assert nearest(word, KEYS) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("slep", "sleep"),
        ("ehco", "echo"),
        ("cta", "cat"),
        ("nignx", "nginx"),
        ("pyhton3", "python3"),
        ("python", "python3"),
        ("redis", "redis-cli"),
        ("redis-sever", "redis-server"),
        ("redis-srevre", "redis-server"),
        ("bundle", "bundle3.1"),
    ],
)
def test_a_program_that_is_near(word: str, meant: str) -> None:
    assert nearest(word, PROGRAMS, 1) == [meant]


ABSENT = ["npm", "yarn", "bun", "deno", "uv", "php", "pip", "tsc", "erl", "go"]
ABSENT += ["gradle", "sidekiq", "gunicorn", "uvicorn", "celery", "flower", "granian", "daphne", "hypercorn", "poetry"]
ABSENT += ["httpd", "traefik", "envoy", "mongod", "consul", "nomad", "vault", "minio", "loki", "vector"]
ABSENT += ["fluentd", "logstash", "cargo", "rustc", "dotnet", "elixir", "kotlin", "lein", "stack", "vite"]
ABSENT += ["next", "webpack", "nuxt", "pm2", "forever", "nodemon", "foreman", "honcho", "dinit", "tini"]
ABSENT += [
    "monit",
    "gosu",
    "entr",
    "air",
    "modd",
    "reflex",
    "dumb-init",
    "nats-server",
    "node_exporter",
    "valkey-server",
]
ABSENT += ["watchexec"]


@pytest.mark.parametrize("word", ABSENT)
def test_a_program_that_the_host_does_not_have(word: str) -> None:
    """Before, nearly each of them was taken for something that has a few of its letters: celery for clear."""
    assert nearest(word, PROGRAMS) == []


def test_the_nearest_comes_first_and_equals_by_their_names() -> None:
    assert nearest("statsu", ["start", "status", "stop", "logs"]) == ["status"]
    assert nearest("stat", ["stats", "start", "status", "stop", "state"]) == ["start", "state", "stats"]
    assert nearest("wrokers-of-shpo", ["workers-of-shops", "workers-of-shop"]) == [
        "workers-of-shop",
        "workers-of-shops",
    ]
    assert nearest("web@9", [f"web@{number}" for number in range(5)], 2) == ["web@0", "web@1"]


def test_a_suggestion_is_the_end_of_a_sentence_or_nothing() -> None:
    assert did_you_mean("comand", ["command", "directory"]) == '; did you mean "command"?'
    assert did_you_mean("quite another", ["command", "directory"]) == ""


def test_a_word_without_end_is_compared_as_far_as_it_matters() -> None:
    assert nearest("x" * 100_000, ["command", "y" * 100_000]) == []
    assert did_you_mean(7, ["command"]) == ""


WORDS = st.text(alphabet="abc-", min_size=1, max_size=6)


@given(WORDS, st.lists(WORDS, max_size=5))
def test_what_is_told_is_known_and_each_word_is_near_itself(word: str, known: list[str]) -> None:
    assert set(nearest(word, known)) <= set(known)
    assert nearest(word, [word]) == [word]


@given(st.text(alphabet="abcdefgh", min_size=4, max_size=12), st.data())
def test_one_slip_in_a_word_of_four_letters_is_near(word: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("abcxyz"))
    replaced, put_in = word[:place] + letter + word[place + 1 :], word[:place] + letter + word[place:]
    swapped = word[: max(0, place - 1)] + word[max(0, place - 1) : place + 1][::-1] + word[place + 1 :]
    for slip in (replaced, put_in, swapped):
        assert nearest(slip, [word]) == [word]
