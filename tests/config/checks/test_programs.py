"""A service that expects what its program is known not to do is pointed out, with what to write; others are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.config.checks.test_shell_syntax import found

NGINX = (
    'nginx goes to the background and counts as ended; add "-g" "daemon off;", unless its configuration has daemon off;'
)


@pytest.mark.parametrize(
    ("command", "keys", "said"),
    [
        (["nginx"], "", [f"command: {NGINX}"]),
        (["nginx", "-g", "daemon off;"], "", []),
        (
            ["nginx", "-g", "user a;"],
            "",
            [f"command: {NGINX}".replace('"-g" "daemon off;"', '"daemon off;" to its -g')],
        ),
        (
            ["php-fpm8.2"],
            "",
            [
                'command: PHP-FPM goes to the background and counts as ended; add "-F" or "--nodaemonize", '
                "unless its configuration has daemonize = no"
            ],
        ),
        (
            ["memcached", "-d"],
            "",
            ["command: memcached goes to the background with -d and counts as ended; leave it out"],
        ),
        (["rsync", "-a", "one", "two"], "", []),
        (["nginx", "-t"], "", []),
        (["sshd", "-De"], "", []),
        (["postgres", "--version"], "", []),
        (["pdns_recursor", "--daemon=no"], "", []),
        (
            ["rsync", "--daemon"],
            "",
            ['command: the rsync daemon goes to the background and counts as ended; add "--no-detach"'],
        ),
        (
            ["nginx", "-g", "daemon off;"],
            "ready = { notify = true }",
            ["ready.notify: nginx sends no READY=1, so that it is never ready; write ready.tcp"],
        ),
        (
            ["redis-server"],
            "ready = { notify = true }",
            ['ready.notify: Redis sends READY=1 only with "--supervised" "systemd"'],
        ),
        (["redis-server", "--supervised", "systemd"], "ready = { notify = true }", []),
        (
            ["etcd"],
            'heartbeat = { source = "notify" }',
            ['heartbeat.source: etcd sends no WATCHDOG=1; write source = "tcp"'],
        ),
        (["tor"], 'heartbeat = { source = "notify" }', []),
        (["php-fpm", "-F"], 'heartbeat = { source = "notify" }', []),
        (
            ["php-fpm", "-F"],
            'heartbeat = { source = "notify", interval = "500ms" }',
            ['heartbeat.interval: PHP-FPM sends WATCHDOG=1 only at intervals of "1s" or more'],
        ),
        (
            ["postgres"],
            "",
            [
                "stop_signal: at TERM PostgreSQL waits for the last client to go, and is killed where that "
                'takes longer than stop_timeout; write stop_signal = "INT"'
            ],
        ),
        (["postgres"], 'stop_signal = "INT"', []),
        (
            ["uwsgi", "--ini", "x"],
            "",
            [
                "stop_signal: at TERM uWSGI starts again and does not end; "
                'write stop_signal = "INT", unless its configuration has die-on-term = true'
            ],
        ),
        (["uwsgi", "--ini", "x", "--die-on-term"], "", []),
        (
            ["squid", "--foreground"],
            "",
            [
                "stop_timeout: at TERM Squid waits shutdown_lifetime, 30 s by default, also where no client is "
                "connected; "
                'write stop_timeout = "40s", unless its configuration has a shorter shutdown_lifetime'
            ],
        ),
        (["squid", "--foreground"], 'stop_timeout = "40s"', []),
        (
            ["dnsdist", "-C", "x"],
            "",
            [
                "command: without --supervised dnsdist reads commands, and exits 0 at the end of its standard input; "
                'add "--supervised"'
            ],
        ),
        (["dnsdist", "--supervised"], "", []),
        (
            ["uwsgi", "--die-on-term", "--module", "x"],
            "",
            [
                "command: without --need-app uWSGI sends READY=1 and goes on without an application that it cannot "
                'load; add "--need-app", unless its configuration has need-app = true'
            ],
        ),
        (["uwsgi", "--die-on-term", "--need-app", "--module", "x"], "", []),
        (
            ["postfix", "start-fg"],
            "",
            [
                "command: the mail system goes on when postfix start-fg is sent TERM, and when postfix start has "
                'ended; write "/usr/lib/postfix/sbin/master" "-s"'
            ],
        ),
        (["postfix", "check"], "", []),
        (
            ["caddy", "start"],
            "",
            ['command: Caddy goes to the background with start and counts as ended; write "run" in its place'],
        ),
        (["slapd"], "", ['command: slapd goes to the background and counts as ended; add "-d" "0"']),
        (["slapd", "-d", "256"], "", []),
        (
            ["hypercorn", "a:b"],
            "",
            ['restart.policy: Hypercorn exits 0 also where its application cannot be loaded; write policy = "always"'],
        ),
        (["hypercorn", "a:b"], 'restart = { policy = "always" }', []),
        (["uvicorn", "a:b"], "", []),
        (["uvicorn", "a:b", "--workers", "1"], "", []),
        (["uvicorn", "a:b", "--workers=1"], "", []),
        (["uvicorn", "a:b"], "ready = { notify = true }\nheartbeat = { source = 'notify' }", []),
        (["my-own-server", "-d"], "ready = { notify = true }", []),
    ],
)
def test_what_is_noted(command: list[str], keys: str, said: list[str], tmp_path: Path) -> None:
    text = f"[services.web]\ncommand = {words(tmp_path, command)}\nreload_check = 'true'\n{keys}\n"
    assert [note.partition(": services.web.")[2] for note in found(tmp_path, text)] == said


def test_a_program_that_a_broken_file_ends_at_a_reload_needs_a_check(tmp_path: Path) -> None:
    """`found` leaves the folder out of what is said."""
    command = words(tmp_path, ["sshd", "-D", "-f", "x"])
    (note,) = found(tmp_path, f"[services.web]\ncommand = {command}\n")
    assert note.endswith(
        "services.web.reload_check: a reload with an error in the configuration ends sshd (exit 255); "
        'write reload_check = ["sshd", "-t", "-D", "-f", "x"]'
    )
    assert found(tmp_path, f"[services.web]\ncommand = {words(tmp_path, ['haproxy', '-f', 'x'])}\n") == []


def test_a_socket_that_the_program_would_not_take_is_noted(tmp_path: Path) -> None:
    command = words(tmp_path, ["nginx", "-g", "daemon off;"])
    (note,) = found(tmp_path, f'[services.web]\ncommand = {command}\nsockets = ["tcp://127.0.0.1:8000"]\n')
    assert ": services.web.sockets: nginx takes no LISTEN_FDS" in note


def words(place: Path, command: list[str]) -> str:
    """The command as TOML, with a program of that name in `place`."""
    program = place / command[0]
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return json.dumps([str(program), *command[1:]])
