"""What is written for a command whose program is known, and that it is what `check` then has nothing to note on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.importers.services_toml import service_toml
from supervisor.config.load import load
from supervisor.programs.book import BOOK, read
from supervisor.programs.suggestion import suggestion


@pytest.mark.parametrize(
    ("command", "name", "full", "keys"),
    [
        (["php-fpm8.2"], "php-fpm", ["php-fpm8.2", "-F"], {
            "ready": {"notify": True}, "heartbeat": {"source": "notify"}, "reload_signal": "USR2",
            "reload_check": ["php-fpm8.2", "-t", "-F"],
        }),
        (["nginx"], "nginx", ["nginx", "-g", "daemon off;"], {
            "reload_check": ["nginx", "-t", "-g", "daemon off;"],
        }),
        (["nginx", "-g", "worker_processes 2;", "-c", "x"], "nginx",
         ["nginx", "-g", "worker_processes 2; daemon off;", "-c", "x"], {
            "reload_check": ["nginx", "-t", "-g", "worker_processes 2; daemon off;", "-c", "x"],
        }),
        (["nginx", "-g", "user a; daemon on;"], "nginx", ["nginx", "-g", "user a; daemon off;"], {
            "reload_check": ["nginx", "-t", "-g", "user a; daemon off;"],
        }),
        (["nginx", "-g", "daemon on"], "nginx", ["nginx", "-g", "daemon off;"], {
            "reload_check": ["nginx", "-t", "-g", "daemon off;"],
        }),
        (["redis-server", "a.conf"], "redis-server", ["redis-server", "a.conf", "--supervised", "systemd"], {
            "ready": {"notify": True},
        }),
        (["haproxy", "-Ws", "-f", "x"], "haproxy", ["haproxy", "-Ws", "-f", "x"], {
            "ready": {"notify": True}, "reload_signal": "USR2", "restart": {"policy": "always"},
            "reload_check": ["haproxy", "-c", "-Ws", "-f", "x"],
        }),
        (["postgres", "-D", "x"], "postgres", ["postgres", "-D", "x"], {
            "ready": {"notify": True}, "stop_signal": "INT",
        }),
        (["uwsgi", "--ini", "x"], "uwsgi", ["uwsgi", "--ini", "x"], {"ready": {"notify": True}, "stop_signal": "INT"}),
        (["uwsgi", "--die-on-term"], "uwsgi", ["uwsgi", "--die-on-term"], {"ready": {"notify": True}}),
        (["squid"], "squid", ["squid", "--foreground"], {
            "ready": {"notify": True}, "stop_timeout": "40s", "reload_check": ["squid", "-k", "parse", "--foreground"],
        }),
        (["nice", "postfix", "-c", "x", "start-fg"], "postfix",
         ["nice", "/usr/lib/postfix/sbin/master", "-s", "-c", "x"], {}),
        (["smbd", "-D", "-s", "x"], "smbd", ["smbd", "-s", "x", "-F", "--no-process-group"],
         {"ready": {"notify": True}}),
        (["memcached", "-d"], "memcached", ["memcached"], {}),
        (["caddy", "start"], "caddy", ["caddy", "run"], {"ready": {"notify": True}}),
        (["uwsgi", "-d", "log", "--die-on-term"], "uwsgi", ["uwsgi", "--die-on-term"], {"ready": {"notify": True}}),
        (["redis-server", "--daemonize", "yes", "--supervised", "systemd"], "redis-server",
         ["redis-server", "--supervised", "systemd"], {"ready": {"notify": True}}),
        (["redis-server", "--daemonize", "no", "--supervised", "systemd"], "redis-server",
         ["redis-server", "--daemonize", "no", "--supervised", "systemd"], {"ready": {"notify": True}}),
        (["nice", "privoxy", "conf"], "privoxy", ["nice", "privoxy", "--no-daemon", "conf"], {
            "reload_check": ["nice", "privoxy", "--config-test", "--no-daemon", "conf"],
        }),
        (["./run me.sh", "x"], "run-me", ["./run me.sh", "x"], {}),
        (["python", "-m", "my.app"], "my", ["python", "-m", "my.app"], {}),
        (["python", "-c", "x"], "python", ["python", "-c", "x"], {}),
        (["…"], "service", ["…"], {}),
    ],
)  # fmt: skip
def test_what_is_suggested(command: list[str], name: str, full: list[str], keys: dict[str, Any]) -> None:
    made = suggestion(command)
    assert (made.name, made.command, made.keys) == (name, full, keys)
    assert bool(made.reasons) == (made.command != command or bool(keys))


@pytest.mark.parametrize("name", [name for path in sorted(BOOK.glob("*.toml")) for name in read(path).names])
def test_nothing_is_noted_on_what_was_suggested(name: str, tmp_path: Path) -> None:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = suggestion([str(program)])
    file = tmp_path / "services.toml"
    file.write_text(service_toml("it", {"command": made.command, **made.keys}))
    notes: list[str] = []
    load(file, {"PATH": os.environ["PATH"]}, note=notes.append)
    assert notes == []


def test_nothing_is_added_to_a_command_that_does_one_thing_and_ends() -> None:
    made = suggestion(["redis-server", "--version"])
    assert (made.name, made.command, made.keys) == ("redis-server", ["redis-server", "--version"], {})


def test_an_option_among_letters_that_share_a_dash_is_not_added_again() -> None:
    assert suggestion(["sshd", "-De"]).command == ["sshd", "-De"]


def test_a_long_name_is_cut() -> None:
    assert suggestion(["x" * 101]).name == "x" * 100


def test_where_the_own_configuration_may_say_it_the_reason_says_so() -> None:
    """With `daemon off;` there as well, nginx refuses the second one."""
    assert suggestion(["nginx"]).reasons[0] == (
        "without -g 'daemon off;' nginx goes to the background and counts as ended, unless its configuration has "
        "daemon off;"
    )
    assert suggestion(["sshd"]).reasons[0] == "without -D sshd goes to the background and counts as ended"
