"""Invalid input, and the exact message for it, with line and key path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.core.text.nearest import FEW
from supervisor.errors import ConfigError
from tests.config.conftest import Complain, Load

SERVICE = '[services.web]\ncommand = "sleep 1"\n'

WITHIN_SERVICE = [
    # unknown and later keys
    ("comand = 1", 'comand: unknown key; did you mean "command"?'),
    ("zzz = 1", "zzz: unknown key"),
    ('env = { A = "1" }', 'env: unknown key; did you mean "environment"?'),
    ("e = 1", "e: unknown key"),
    ('policy = "always"', "policy: unknown key; it belongs in services.web.restart"),
    ('restart.polcy = "always"', 'restart.polcy: unknown key; did you mean "policy"?'),
    (
        'heartbeat.target = { detect_witin = "5s" }',
        'heartbeat.target.detect_witin: unknown key; did you mean "detect_within"?',
    ),
    # what is wanted of detection
    ('heartbeat.target = "5s"', 'heartbeat.target: expected a table, not "5s"'),
    (
        "heartbeat.target.max_false_restarts = 1",
        'heartbeat.target.max_false_restarts: expected a rate such as "1/30d", not 1',
    ),
    (
        'heartbeat.target.max_false_restarts = "1 a month"',
        'heartbeat.target.max_false_restarts: "1 a month" is not a rate; write a number and a duration, '
        'for example "1/30d"',
    ),
    (
        'heartbeat.target.max_false_restarts = "1/30"',
        'heartbeat.target.max_false_restarts: "30" is not a duration; write "30s" (units: ms s m h d)',
    ),
    (
        'heartbeat.target.max_false_restarts = "1/0s"',
        'heartbeat.target.max_false_restarts: "1/0s": the duration must be longer than 0',
    ),
    (
        'heartbeat.target.max_false_restarts = "0/30d"',
        'heartbeat.target.max_false_restarts: "0/30d": never cannot be promised; write for example "1/365d"',
    ),
    (
        'heartbeat = { interval = "10s", target = { detect_within = "30s", max_false_restarts = "3/1m" } }',
        "heartbeat.target.max_false_restarts: is one in 20s, with a beat every 10s: "
        "that is every other beat; write a smaller rate",
    ),
    (
        'heartbeat = { interval = "5s", target = { detect_within = "5s" } }',
        "heartbeat.target.detect_within: 5s cannot be kept with a beat every 5s: write at least 10s500ms, "
        "or let it beat more often",
    ),
    (
        'heartbeat = { source = "activity", interval = "2s", target = { detect_within = "4s" } }',
        "heartbeat.target.detect_within: 4s cannot be kept with a beat every 2s: write at least 6s500ms, "
        "or let it beat more often",
    ),
    (
        'heartbeat.target.detect_within = "1m"',
        "heartbeat.target.detect_within: 1m is more than max_timeout, 30s: raise that too",
    ),
    (
        'heartbeat = { threshold = 8, target = { detect_within = "5s" } }',
        "heartbeat.threshold: cannot be combined with target; leave one of them out",
    ),
    (
        'heartbeat = { detector = "phi", target = { detect_within = "5s" } }',
        "heartbeat.detector: cannot be combined with target; leave one of them out",
    ),
    # sockets and capabilities
    ('sockets = "tcp://127.0.0.1:80"', 'sockets: expected a list, not "tcp://127.0.0.1:80"'),
    (
        'sockets = ["127.0.0.1:80"]',
        'sockets[0]: "127.0.0.1:80" is not a socket; write for example "tcp://127.0.0.1:8000", "tcp://[::1]:8000" '
        'or "unix:/run/app.sock"',
    ),
    (
        'sockets = ["tcp://example.org:80"]',
        'sockets[0]: "tcp://example.org:80": write an address, not a name, for example tcp://127.0.0.1:80, '
        "or for all addresses: tcp://0.0.0.0:80 and tcp://[::]:80",
    ),
    ('sockets = ["tcp://127.0.0.1:0"]', "sockets[0]: 0 is not a port: they go from 1 to 65535"),
    ('sockets = ["tcp://[::1]:99999"]', "sockets[0]: 99999 is not a port: they go from 1 to 65535"),
    (
        'sockets = ["unix:/x?mode=8"]',
        'sockets[0]: "8" is not a mode; write three octal digits, for example "unix:/run/app.sock?mode=0660"',
    ),
    (
        'sockets = ["tcp://127.0.0.1:80?mode=600"]',
        'sockets[0]: "tcp://127.0.0.1:80?mode=600": only a path can have a mode',
    ),
    (
        'sockets = ["unix:/x?nam=a"]',
        'sockets[0]: "nam" is not a socket option, only mode, name, share, start, idle are; did you mean "name"?',
    ),
    ('sockets = ["unix:/x?start=later"]', "sockets[0]: start=later is not known; write start=demand"),
    ('sockets = ["unix:/x?share=yes"]', "sockets[0]: share=yes is not known; write share=reuseport"),
    (
        'sockets = ["unix:/x?share=reuseport"]',
        'sockets[0]: "unix:/x?share=reuseport": only a TCP address can be shared by share=reuseport',
    ),
    (
        'sockets = ["unix:/x?idle=10m"]',
        'sockets[0]: "unix:/x?idle=10m": idle needs start=demand: nothing would start the service again',
    ),
    (
        'sockets = ["unix:/x?start=demand&idle=10ms"]',
        "sockets[0]: idle=10ms is too short, at least 1s: the service would be stopped and started again all the time",
    ),
    (
        'sockets = ["unix:/x?start=demand&idle=10"]',
        'sockets[0]: "10" is not a duration; write "10s" (units: ms s m h d)',
    ),
    (
        'type = "oneshot"\nsockets = ["unix:/x?start=demand"]',
        "sockets[0]: a oneshot cannot start on demand: it runs once and accepts no connections",
    ),
    ('sockets = ["unix:/x?name=a:b"]', 'sockets[0]: "a:b" is not a valid socket name: use letters, digits and _ . -'),
    (f'sockets = ["unix:/{"x" * 107}"]', f"sockets[0]: /{'x' * 107} is too long for a socket: at most 107 bytes"),
    ('sockets = ["unix:/x", "unix:/./x"]', "sockets[1]: unix:/x is taken: this service listens on unix:/x"),
    (
        'sockets = ["tcp://127.0.0.1:80"]\nready.tcp = "localhost:80"',
        "ready.tcp: localhost:80 is one of `sockets`: the daemon holds it open, so that it always accepts; "
        "use http, exec or notify",
    ),
    (
        'capabilities = ["NET_BIND"]',
        'capabilities[0]: "NET_BIND" is not a capability; did you mean "CAP_NET_BIND_SERVICE"?',
    ),
    # sandboxes
    (
        'sandbox.protect_system = "ful"',
        'sandbox.protect_system: "ful" is not one of true, false, "full", "strict"; did you mean "full"?',
    ),
    ("sandbox.protect_home = 1", 'sandbox.protect_home: 1 is not one of true, false, "read-only", "tmpfs"'),
    ("private_tmp = true", "private_tmp: unknown key; it belongs in services.web.sandbox"),
    ('sandbox.read_only_paths = "/srv"', 'sandbox.read_only_paths: expected a list, not "/srv"'),
    ('sandbox.read_only_paths = ["nowhere"]', "sandbox.read_only_paths[0]: nowhere does not exist"),
    (
        'sandbox.read_only_paths = ["/usr/.."]',
        'sandbox.read_only_paths[0]: cannot be /, write protect_system = "strict"',
    ),
    ('sandbox.inaccessible_paths = ["/"]', "sandbox.inaccessible_paths[0]: cannot be /"),
    # durations
    ("stop_timeout = 10", 'stop_timeout: 10 has no unit; write for example "10s" (units: ms s m h d)'),
    ("stop_timeout = 1.5", 'stop_timeout: 1.5 has no unit; write for example "1.5s" (units: ms s m h d)'),
    ('stop_timeout = "10"', 'stop_timeout: "10" is not a duration; write "10s" (units: ms s m h d)'),
    ('stop_timeout = "5 minutes"', 'stop_timeout: "5 minutes" is not a duration; write "5m" (units: ms s m h d)'),
    ('stop_timeout = "soon"', 'stop_timeout: "soon" is not a duration; write for example "30s" (units: ms s m h d)'),
    ('stop_timeout = "40000d"', 'stop_timeout: "40000d" is longer than a hundred years'),
    ("stop_timeout = []", 'stop_timeout: expected a duration such as "30s", not an array'),
    ("stop_timeout = 2026-01-01", 'stop_timeout: expected a duration such as "30s", not a date or time'),
    ('start_timeout = "0s"', "start_timeout: must be longer than 0"),
    ('heartbeat.interval = "0ms"', "heartbeat.interval: must be longer than 0"),
    # sizes and percentages
    ("log.max_size = 10", 'log.max_size: 10 has no unit; write for example "10MiB" (units: KiB MiB GiB)'),
    ('log.max_size = "10MB"', 'log.max_size: "10MB" is not a size; write "10MiB" (units: KiB MiB GiB)'),
    ('log.max_size = "big"', 'log.max_size: "big" is not a size; write for example "512MiB" (units: KiB MiB GiB)'),
    ('log.max_size = "0KiB"', "log.max_size: must be larger than 0"),
    ("log.console = 1", 'log.console: expected true, false or "raw", not 1'),
    ('log.console = "json"', 'log.console: expected true, false or "raw", not "json"'),
    ('log.mode = "755"', 'log.mode: expected a mode of a file in octal digits, such as "0640", not "755"'),
    ('log.mode = "0640"', "log.mode: has no effect without path: the state directory is closed to other users"),
    (
        'log = { path = "l/x.log", owner = "rooot" }',
        'log.owner: the user "rooot" does not exist; did you mean "root"?',
    ),
    ('log.path = "logs/"', "log.path: logs/ is a directory; write the path of a file, for example logs/{instance}.log"),
    (
        'log.path = "/dev/stdout"',
        "log.path: /dev/stdout is not a file on a disk; console = true prints lines on the daemon's stdout",
    ),
    ('log.path = "logs/{name}.log"', 'log.path: "{name}.log": only {instance} is understood'),
    (
        'log.path = "{instance}/out.log"',
        "log.path: only the name of the file can have {instance} in it, not its directory",
    ),
    ('log.max_size = "99999999999GiB"', 'log.max_size: "99999999999GiB" is larger than 8 EiB'),
    (
        "resources.max_cpu = 1.5",
        'resources.max_cpu: expected a percentage such as "150%" (100% is one core), not 1.5',
    ),
    (
        'resources.max_cpu = "1.5"',
        'resources.max_cpu: "1.5" is not a percentage; write for example "150%" (100% is one core)',
    ),
    ('resources.max_cpu = "0%"', "resources.max_cpu: must be more than 0%"),
    # numbers
    ("replicas = 0", "replicas: 0 is not from 1 to 10000"),
    ("replicas = 10001", "replicas: 10001 is not from 1 to 10000"),
    ("replicas = true", "replicas: expected a whole number from 1 to 10000, not true"),
    ('replicas = "2"', 'replicas: expected a whole number from 1 to 10000, not "2"'),
    ("replicas = 2\nmin_ready = 3", "min_ready: 3 is more than replicas, 2"),
    ("min_ready = 0", "min_ready: 0 is not from 1 to 10000"),
    # ports
    ("ports = 18000", "ports: expected a string, not 18000"),
    (
        'ports = "18000:18010"',
        'ports: "18000:18010" is not a range of ports; write for example "18000-18031"',
    ),
    ('ports = "18010-18000"', 'ports: "18010-18000" ends before it begins; write "18000-18010"'),
    ('ports = "0-10"', "ports: 0 is not a port: they go from 1 to 65535"),
    ('ports = "65530-65536"', "ports: 65536 is not a port: they go from 1 to 65535"),
    ('replicas = 3\nports = "18000-18001"', "ports: 18000-18001: 2 ports for 3 instances"),
    ('replicas = 3\nports = "18000"', "ports: 18000-18000: 1 port for 3 instances"),
    (
        'sockets = ["tcp://127.0.0.1:{port}"]',
        'sockets[0]: {port} stands for a port of `ports`, which is not given; write for example ports = "18000-18031"',
    ),
    (
        'environment = { URL = "http://x:{port}/" }',
        "environment.URL: {port} stands for a port of `ports`, which is not given; write for example "
        'ports = "18000-18031"',
    ),
    (
        'ready.tcp = "127.0.0.1:{port}"',
        'ready.tcp: {port} stands for a port of `ports`, which is not given; write for example ports = "18000-18031"',
    ),
    (
        'replicas = 2\nports = "18000-18001"\nready.tcp = "127.0.0.1:1{port}"',
        "ready.tcp: web@2: 118001 is not a port: they go from 1 to 65535",
    ),
    (
        'replicas = 100\nheartbeat = { source = "http", http = "http://[::1]:800{replica}/" }',
        "heartbeat.http: web@100: 800100 is not a port: they go from 1 to 65535",
    ),
    (
        'replicas = 100\nsockets = ["tcp://[::1]:800{replica}"]',
        "sockets[0]: web@100: 800100 is not a port: they go from 1 to 65535",
    ),
    (
        'ports = "18000-18010"\nsockets = ["tcp://127.0.0.1:18003"]',
        "sockets[0]: tcp://127.0.0.1:18003 is one of the `ports` of this service",
    ),
    (
        'replicas = 3\nsockets = ["tcp://127.0.0.1:800{replica}", "tcp://0.0.0.0:8003"]',
        "sockets[1]: tcp://0.0.0.0:8003 is taken: this service listens on tcp://127.0.0.1:8003",
    ),
    (
        'sockets = ["tcp://{replica}:80"]',
        'sockets[0]: "tcp://{replica}:80": write an address, not a name, for example tcp://127.0.0.1:80, '
        "or for all addresses: tcp://0.0.0.0:80 and tcp://[::]:80",
    ),
    (
        f'replicas = 100\nsockets = ["unix:/{"x" * 104}{{replica}}"]',
        f"sockets[0]: web@100: /{'x' * 104}100 is too long for a socket: at most 107 bytes",
    ),
    ("nice = 20", "nice: 20 is not from -20 to 19"),
    ("oom_score_adj = -1001", "oom_score_adj: -1001 is not from -1000 to 1000"),
    ("restart.factor = 0.5", "restart.factor: 0.5 is not from 1 to 1000"),
    ("restart.factor = nan", "restart.factor: nan is not from 1 to 1000"),
    ("restart.factor = inf", "restart.factor: inf is not from 1 to 1000"),
    ("restart.jitter = 1.1", "restart.jitter: 1.1 is not from 0 to 1"),
    ("restart.success_exit_codes = [0, 256]", "restart.success_exit_codes[1]: 256 is not from 0 to 255"),
    ("restart.success_exit_codes = 0", "restart.success_exit_codes: expected a list, not 0"),
    ("heartbeat.threshold = 0", "heartbeat.threshold: 0 is not from 0.1 to 300"),
    ('limits.nofile = "1KiB"', 'limits.nofile: expected a whole number or "unlimited", not "1KiB"'),
    ("limits.nofile = -1", 'limits.nofile: expected a whole number or "unlimited", not -1'),
    ("limits.as = 1.5", 'limits.as: expected a size such as "2GiB", a number of bytes or "unlimited", not 1.5'),
    ("limits.nofiles = 1", 'limits.nofiles: unknown key; did you mean "nofile"?'),
    # words out of a few
    (
        'restart.policy = "allways"',
        'restart.policy: "allways" is not one of always, on-failure, never; did you mean "always"?',
    ),
    ('type = "task"', 'type: "task" is not one of service, oneshot'),
    (
        'heartbeat.on_suspect = "restrat"',
        'heartbeat.on_suspect: "restrat" is not one of restart, report, kill-process; did you mean "restart"?',
    ),
    (
        'heartbeat.source = "log"\nheartbeat.scope = "process"',
        'heartbeat.scope: source = "log" does not tell which process beats; notify, celery, activity and exec do',
    ),
    (
        'heartbeat.source = "http"\nheartbeat.http = "https://127.0.0.1/"\nheartbeat.keep_alive = true',
        'heartbeat.keep_alive: only for source = "http" with an http:// URL; leave it out',
    ),
    (
        'heartbeat.on_suspect = "kill-process"',
        'heartbeat.on_suspect: "kill-process" needs scope = "process"',
    ),
    (
        'heartbeat.source = "activity"\nheartbeat.scope = "process"\nheartbeat.on_suspect = "kill-process"',
        'heartbeat.on_suspect: no process is ended because it was idle; source = "activity" shows that only, write '
        "restart or report",
    ),
    (
        'heartbeat.source = "celery"\nheartbeat.tcp = "127.0.0.1:6379"\nheartbeat.exec = ["/bin/true"]',
        'heartbeat.exec: source = "celery" asks the broker in one way: tcp or exec',
    ),
    (
        'heartbeat.source = "htpp"',
        'heartbeat.source: "htpp" is not one of notify, http, tcp, exec, file, log, activity, celery; did you mean '
        '"http"?',
    ),
    ('stop_signal = "TREM"', 'stop_signal: "TREM" is not a signal; did you mean "TERM"?'),
    ("stop_signal = 99", "stop_signal: 99 is not a signal of this system"),
    ("stop_signal = true", 'stop_signal: expected a signal such as "TERM", not true'),
    ("autostart = 1", "autostart: expected true or false, not 1"),
    ("umask = 22", 'umask: expected octal digits in a string, such as "022", not 22'),
    ('umask = "089"', 'umask: expected octal digits in a string, such as "022", not "089"'),
    ('umask = "1777"', 'umask: expected octal digits in a string, such as "022", not "1777"'),
    # strings
    ("description = 1", "description: expected a string, not 1"),
    ('description = "a\\u0000"', "description: holds a NUL character"),
    ('directory = ""', "directory: is empty; leave the key out instead"),
    (
        'group_name = "-a"',
        'group_name: "-a" is not a valid name: up to 100 letters, digits and _ . -, not first . or -',
    ),
    (
        'group_name = ".a"',
        'group_name: ".a" is not a valid name: up to 100 letters, digits and _ . -, not first . or -',
    ),
    (
        'group_name = "a b"',
        'group_name: "a b" is not a valid name: up to 100 letters, digits and _ . -, not first . or -',
    ),
    ('group_name = "web"', 'group_name: "web" is already the name of a service'),
    # the environment
    ("environment.PORT = 80", 'environment.PORT: 80 is not a string; write "80"'),
    ('environment."A=B" = ""', 'environment."A=B": "A=B" is not a variable name'),
    ('environment.A = "${NOPE}"', "environment.A: the variable NOPE is not set; set it, or write ${NOPE:-default}"),
    (
        'environment.A = "${A B}"',
        'environment.A: "${A B}": only ${VAR} and ${VAR:-default} are understood; write $$ for a plain $',
    ),
    (
        'environment.A = "${HOME"',
        'environment.A: "${HOME": only ${VAR} and ${VAR:-default} are understood; write $$ for a plain $',
    ),
    ("environment = 1", 'environment: expected a table such as { PORT = "8000" }, not 1'),
    (
        'restart = "always"',
        'restart: expected a table with keys such as policy, success_exit_codes, backoff, not "always"',
    ),
    ("stop = { wait = '5s' }", "stop: expected a list of tables with keys such as signal, wait, not a table"),
    (
        "inherit_environment = 1",
        'inherit_environment: expected true, false or a list of variables such as ["LANG"], not 1',
    ),
    ('inherit_environment = ["A=B"]', 'inherit_environment: "A=B" is not a variable name'),
    ('unset_environment = [""]', 'unset_environment[0]: "" is not a variable name'),
    (
        "environment_file = [{ required = false }]",
        'environment_file: expected a path or { path = ".env", required = false }, not a table',
    ),
    (
        'environment_file = [{ path = "x", optional = true }]',
        'environment_file: expected a path or { path = ".env", required = false }, not a table',
    ),
    ('environment_file = [{ path = "no", required = true }]', "environment_file: no does not exist"),
    # resource limits
    ('limits.nofile = "5:4"', 'limits.nofile: "5:4": the soft limit, in front, is more than the hard one'),
    (
        'limits.nofile = "unlimited:4"',
        'limits.nofile: "unlimited:4": the soft limit, in front, is more than the hard one',
    ),
    ('limits.nofile = "1:2:3"', 'limits.nofile: expected a whole number or "unlimited", not "2:3"'),
    ('environment_file = ".env"', "environment_file: .env does not exist"),
    # addresses and patterns
    (
        'ready.http = "localhost:80/"',
        'ready.http: "localhost:80/" is not an http://host[:port]/path, https://… or http://unix:SOCKET:/path',
    ),
    (
        'ready.http = "https://unix:/x:/"',
        'ready.http: "https://unix:/x:/" is not an http://host[:port]/path, https://… or http://unix:SOCKET:/path',
    ),
    ('ready.http = "http://localhost:0/"', "ready.http: 0 is not a port: they go from 1 to 65535"),
    (
        'ready.tcp = "localhost"',
        'ready.tcp: "localhost" is not an address; write for example "127.0.0.1:6379" ([::1]:6379 for IPv6)',
    ),
    ('ready.tcp = "localhost:65536"', "ready.tcp: 65536 is not a port: they go from 1 to 65535"),
    ('ready.log = "(["', 'ready.log: "([" is not a regular expression: unterminated character set at position 1'),
    (
        'ready.log = "\\\\N{DASH}"',
        "ready.log: \"\\\\N{DASH}\" is not a regular expression: undefined character name 'DASH' at position 0",
    ),
    # readiness
    (
        'ready = { delay = "1s", notify_access = "main" }',
        "ready.notify_access: only with notify = true; leave it out",
    ),
    ('ready = { delay = "1s", notify_reload = true }', "ready.notify_reload: only with notify = true; leave it out"),
    (
        'heartbeat = { scope = "process" }\nready = { notify = true, notify_access = "main" }',
        'ready.notify_access: cannot be "main" where each process beats for itself (heartbeat.scope)',
    ),
    ("fd_store = -1", "fd_store: -1 is not from 0 to 10000"),
    ("ready = {}", "ready: takes exactly one of http, tcp, exec, log, notify, delay, and none is given"),
    (
        'ready = { notify = true, delay = "1s" }',
        "ready: takes exactly one of http, tcp, exec, log, notify, delay, not notify and delay together",
    ),
    ("ready.notify = false", "ready.notify: can only be true; leave the key out instead"),
    (
        'ready = { notify = true, timeout = "9s" }',
        "ready.timeout: only a probe has one, not notify; a start is limited by start_timeout",
    ),
    ('reload_check = "nosuchprogram"', 'reload_check: the program "nosuchprogram" is not on the PATH'),
    ("reload_check = []", "reload_check: names no program"),
    ('ready.exec = "nosuchprogram"', 'ready.exec: the program "nosuchprogram" is not on the PATH'),
    # heartbeat
    ('heartbeat.source = "http"', 'heartbeat.source: source = "http" needs the key http beside it'),
    ('heartbeat.tcp = "a:1"', 'heartbeat.tcp: not used with source = "notify"; write source = "tcp"'),
    (
        'heartbeat.timeout = "1s"',
        'heartbeat.timeout: used only by detector = "timeout"; phi is bounded by min_timeout and max_timeout',
    ),
    ('heartbeat.min_timeout = "31s"', "heartbeat.min_timeout: 31s is more than max_timeout, 30s"),
    ('heartbeat.interval = "30s"', "heartbeat.interval: 30s is not less than max_timeout, 30s: every beat is too late"),
    (
        'heartbeat = { detector = "timeout", interval = "6s" }',
        "heartbeat.interval: 6s is not less than timeout, 5s: every beat is too late",
    ),
    # restarts
    ('restart.initial = "31s"', "restart.initial: 31s is more than maximum, 30s"),
    (
        'restart.strategy = "one-for-all"',
        'restart.strategy: "one-for-all" applies to a group; give the service a group_name',
    ),
    ('restart.fallback = "web"', "restart.fallback: a service cannot be its own fallback"),
    ('restart.fallback = "wep"', 'restart.fallback: there is no service "wep"; did you mean "web"?'),
    ('breaker.on_open = "wait"', 'breaker.on_open: "wait" is not one of hold, stop, ignore'),
    ('breaker = "hold"', 'breaker: expected a table with keys such as on_open, not "hold"'),
    ('on_open = "stop"', "on_open: unknown key; it belongs in services.web.breaker"),
    # dependencies
    ('depends_on = ["wep"]', 'depends_on[0]: there is no service or group "wep"; did you mean "web"?'),
    ('depends_on = ["web"]', "depends_on: dependency cycle: web → web; none of them could start"),
    ('depends_on = "web"', 'depends_on: expected a list of names such as ["redis"], not "web"'),
    # hooks
    ("hooks = [{ on = [], run = 'true' }]", "hooks[0]: on names no event, so this hook would never run"),
    ('hooks = [{ on = ["failed"] }]', "hooks[0]: needs exactly one of run and notify"),
    ('hooks = [{ on = ["failed"], notify = "me" }]', 'hooks[0].notify: "me" is not an Apprise URL (scheme://…)'),
    (
        'hooks = [{ on = ["fail"], run = "true" }]',
        'hooks[0].on[0]: "fail" is not one of started, ready, suspected, failed, restarted, breaker-open, stopped; '
        'did you mean "failed"?',
    ),
    # one-shots
    (
        'type = "oneshot"\nready.delay = "1s"',
        'ready: makes no sense with type = "oneshot": it is done when it exits successfully',
    ),
    (
        'type = "oneshot"\nheartbeat = {}',
        'heartbeat: makes no sense with type = "oneshot": it is done when it exits successfully',
    ),
    # the machine
    ('directory = "nosuch"', "directory: the directory nosuch does not exist"),
    ('directory = "services.toml"', "directory: services.toml is not a directory"),
    ('user = "rooot"', 'user: the user "rooot" does not exist; did you mean "root"?'),
    ('group = "rooot"', 'group: the group "rooot" does not exist; did you mean "root"?'),
    ("user = true", "user: expected a name or a number, not true"),
]


@pytest.mark.parametrize(("line", "message"), WITHIN_SERVICE, ids=[line.split("\n")[-1] for line, _ in WITHIN_SERVICE])
def test_what_is_wrong_with_a_service(complaints: Complain, line: str, message: str) -> None:
    number = 2 + line.count("\n") + 1
    assert complaints(SERVICE + line + "\n") == [f"services.toml:{number}: services.web.{message}"]


COMMANDS = [
    ("[]", "names no program"),
    ('""', "names no program"),
    ('[""]', "names no program"),
    ("1", 'expected a list of strings such as ["program", "argument"], or one string'),
    ('["sleep", 1]', 'expected a list of strings such as ["program", "argument"], or one string'),
    ('"sleep \'1"', "cannot be split into words: no closing quotation"),
    ('"nosuchprogram"', 'the program "nosuchprogram" is not on the PATH'),
    ('"slep 1"', 'the program "slep" is not on the PATH; did you mean "sleep"?'),
    (
        '"export A=1"',
        'the program "export" is not on the PATH; it is built into shells, and no shell reads the command: '
        'for a shell write ["sh", "-c", "…"]',
    ),
    (
        '"PORT=80 python3"',
        'the program "PORT=80" is not on the PATH; variables have a key of their own: environment = { NAME = "value" }',
    ),
    ('"./nosuch"', "the program nosuch does not exist"),
    ('"./folder"', "the program folder is a directory"),
    ('"./plain"', "the program plain is not executable (chmod +x plain)"),
    ('"./pipe"', "the program pipe is not a regular file"),
    ('"./plain/x"', "the program plain/x does not exist"),
]


@pytest.mark.parametrize(("command", "message"), COMMANDS)
def test_what_is_wrong_with_a_command(complaints: Complain, tmp_path: Path, command: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    os.mkfifo(tmp_path / "pipe")
    assert complaints(f"[services.web]\n\ncommand = {command}") == [f"services.toml:3: services.web.command: {message}"]


@pytest.mark.parametrize(
    ("program", "suggested"),
    [("celery", ""), ("redis-sever", "redis-server"), ("python", "python3"), ("npm", ""), ("consul", "")],
)
def test_only_a_program_that_is_near_is_suggested(tmp_path: Path, program: str, suggested: str) -> None:
    """On a host with many programs, each has letters in common with some of them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("clear", "redis-server", "redis-cli", "python3", "nm", "jconsole", *(f"tool{n}" for n in range(FEW))):
        (folder / name).touch(0o755)
    file = tmp_path / "services.toml"
    file.write_text(f'[services.web]\ncommand = "{program}"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {"PATH": str(folder)})
    near = f'; did you mean "{suggested}"?' if suggested else ""
    assert str(caught.value).endswith(f'the program "{program}" is not on the PATH{near}')


FILES = [
    ("", "1: services: no services; begin with [services.NAME] and a command"),
    ("[services.web]", '1: services.web: no command; write for example command = ["program", "argument"]'),
    ("services = 1", "1: services: expected a table, not 1"),
    (
        "[services]\nweb = 1",
        "2: services.web: expected a table with keys such as command, description, directory, not 1",
    ),
    ("[[services]]", "1: services: expected a table, not an array"),
    ("\n[service.web]", '2: service: unknown key; did you mean "services"?'),
    (
        '[services."a@1"]\ncommand = "true"',
        '1: services."a@1": "a@1" is not a valid name: up to 100 letters, digits and _ . -, not first . or -',
    ),
    (
        '[services.".."]\ncommand="true"',
        '1: services."..": ".." is not a valid name: up to 100 letters, digits and _ . -, not first . or -',
    ),
    ('[supervisor]\nnmae = ""\n' + SERVICE, '2: supervisor.nmae: unknown key; did you mean "name"?'),
    (
        '[supervisor]\nname = ""\n' + SERVICE,
        '2: supervisor.name: "" is not a valid name: up to 100 letters, digits and _ . -, not first . or -',
    ),
    (
        "[groups.shpo]\nmax_concurrent_restarts = 1\n" + SERVICE + 'group_name = "shop"',
        '1: groups.shpo: no service has group_name = "shpo"; did you mean "shop"?',
    ),
    (
        "[groups.shop]\nmax_concurent_restarts = 1\n" + SERVICE + 'group_name = "shop"',
        '2: groups.shop.max_concurent_restarts: unknown key; did you mean "max_concurrent_restarts"?',
    ),
    (
        "[groups.shop]\nmax_concurrent_restarts = 0\n" + SERVICE + 'group_name = "shop"',
        "2: groups.shop.max_concurrent_restarts: 0 is not from 1 to 10000",
    ),
    ("[groups]\nshop = 1\n" + SERVICE + 'group_name = "shop"', "2: groups.shop: expected a table, not 1"),
    ("[supervisor]\nhttp = {}\n" + SERVICE, '2: supervisor.http: needs listen, for example listen = "127.0.0.1:9180"'),
    ('[supervisor.http]\nliste = ""\n' + SERVICE, '2: supervisor.http.liste: unknown key; did you mean "listen"?'),
    (
        '[supervisor.http]\nlisten = "localhost:1"\n' + SERVICE + 'ready.http = "http://localhost:1/x"',
        "5: services.web.ready.http: localhost:1 is the address of the daemon itself (supervisor.http.listen)",
    ),
    (
        '[supervisor.http]\nlisten = "127.0.0.1:1"\nweb = true\ntoken_file = "/etc/hostname"\n' + SERVICE,
        "3: supervisor.http.web: a browser does not send the token of token_file, so the pages are for this machine "
        "alone: listen on 127.0.0.1:1 without token_file (docs/web.md), or leave web out",
    ),
    (
        '[supervisor.http]\nlisten = "127.0.0.1:1"\nweb_actions = true\n' + SERVICE,
        "3: supervisor.http.web_actions: orders are given on the pages of the web view: set web = true too",
    ),
    (
        '[supervisor.http]\nlisten = "0.0.0.0:1"\n' + SERVICE,
        "2: supervisor.http.listen: other machines can reach 0.0.0.0, so it needs token_file, certificate, "
        "private_key too; or listen on 127.0.0.1:1",
    ),
    (
        '[supervisor.http]\nlisten = "[fe80::1]:1"\ntoken_file = "services.toml"\n' + SERVICE,
        "2: supervisor.http.listen: other machines can reach fe80::1, so it needs certificate, private_key too; "
        "or listen on 127.0.0.1:1",
    ),
    (
        '[supervisor.http]\nlisten = "127.0.0.1:1"\ntoken_file = "/no/such"\n' + SERVICE,
        "3: supervisor.http.token_file: /no/such does not exist or is not a file",
    ),
    (
        f'[supervisor.http]\nlisten = "127.0.0.1:1"\ntoken_file = "/{"x" * 300}"\n' + SERVICE,
        f"3: supervisor.http.token_file: /{'x' * 300} does not exist or is not a file",
    ),
    (
        '[supervisor.http]\nlisten = "127.0.0.1:1"\ncertificate = "services.toml"\n' + SERVICE,
        "1: supervisor.http: certificate and private_key must be set together",
    ),
    (
        '[supervisor]\ngroup = "no-such-group-at-all"\n' + SERVICE,
        '2: supervisor.group: the group "no-such-group-at-all" does not exist',
    ),
    (
        f'[supervisor]\nruntime_dir = "/{"x" * 80}"\n' + SERVICE,
        f"2: supervisor.runtime_dir: /{'x' * 80} is too long for sockets in it: at most 80 bytes",
    ),
    (
        "[defaults]\nstop_timeout = 1\n" + SERVICE,
        '2: defaults.stop_timeout: 1 has no unit; write for example "1s" (units: ms s m h d)',
    ),
    (
        '[defaults]\ndirectory = "nosuch"\n' + SERVICE,
        "2: services.web.directory: the directory nosuch does not exist",
    ),
    (
        '[services.a]\ncommand="true"\ndepends_on=["b"]\n[services.b]\ncommand="true"\ndepends_on=["c"]\n'
        '[services.c]\ncommand="true"\ndepends_on=["a"]',
        "3: services.a.depends_on: dependency cycle: a → b → c → a; none of them could start",
    ),
    (
        '[services.a]\ncommand="true"\nrestart.fallback="b"\n[services.b]\ncommand="true"\nrestart.fallback="a"',
        "3: services.a.restart.fallback: fallback cycle: a → b → a",
    ),
    (
        '[services.a]\ncommand="true"\nrestart.fallback="b"\n[services.b]\ncommand="true"\ndepends_on=["a"]',
        '3: services.a.restart.fallback: "b" depends on "a" and could not start when needed',
    ),
    (
        '[services.a]\ncommand="true"\nrestart.fallback="c"\ndepends_on=["b"]\n[services.b]\ncommand="true"\n'
        'depends_on=["c"]\n[services.c]\ncommand="true"',
        '3: services.a.restart.fallback: "a" depends on "c", which is stopped before "a" is tried again',
    ),
    (
        '[services.a]\ncommand="true"\nrestart.fallback="b"\n[services.b]\ncommand="true"\nautostart=true',
        "6: services.b.autostart: a fallback starts when it is needed; leave this out",
    ),
]


def test_ports_belong_to_one_service(complaints: Complain) -> None:
    text = """
[supervisor.http]
listen = "127.0.0.1:18040"
[services.a]
command = "true"
ports = "18000-18009"
[services.b]
command = "true"
ports = "18009-18019"
[services.c]
command = "true"
sockets = ["tcp://[::1]:18005"]
[services.d]
command = "true"
replicas = 2
sockets = ["tcp://0.0.0.0:1801{replica}"]
[services.e]
command = "true"
ports = "18030-18050"
[services.f]
command = "true"
ports = "18020-18021"
sockets = ["unix:/run/f", "tcp://127.0.0.1:18022"]
"""
    assert complaints(text) == [
        'services.toml:9: services.b.ports: 18009-18019 overlaps 18000-18009 of "a"',
        'services.toml:12: services.c.sockets[0]: tcp://[::1]:18005 is one of the `ports` of "a"',
        'services.toml:16: services.d.sockets[0]: tcp://0.0.0.0:18011 is one of the `ports` of "b"',
        "services.toml:19: services.e.ports: 18030-18050 has the port of the daemon itself (supervisor.http.listen): "
        "tcp://127.0.0.1:18040",
    ]


def test_each_standard_error_apart_has_a_log_of_its_own(complaints: Complain) -> None:
    text = """
[services.a]
command = "true"
log = { path = "one.log", stderr = "one.log" }
[services.b]
command = "true"
log = { stderr = "one.log", mode = "0640" }
[services.c]
command = "true"
replicas = 2
log.stderr = "x.log"
[services.d]
command = "true"
log.stderr = 1
[services.e]
command = "true"
log = { stderr = true, mode = "0640" }
"""
    assert complaints(text) == [
        "services.toml:4: services.a.log.stderr: one.log is the log of a; leave stderr out, and both are in one log",
        "services.toml:7: services.b.log.mode: one.log is also the log of a, which has another value "
        "(services.toml:4: services.a.log.mode); write the same, or choose another file",
        "services.toml:14: services.d.log.stderr: expected true, false or a path, not 1",
        "services.toml:17: services.e.log.mode: has no effect without path: the state directory is closed to other "
        "users",
    ]


def test_who_shares_a_log_agrees_on_its_file(complaints: Complain) -> None:
    text = """
[defaults]
log = { path = "one.log", max_size = "1MiB" }
[services.a]
command = "true"
[services.b]
command = "true"
log = { timestamps = true, max_size = "2MiB", keep = 3 }
[services.c]
command = "true"
log = { path = "a.log", stderr = "{instance}.log" }
[services.d]
command = "true"
replicas = 2
log.path = "{instance}.log"
[services.f]
command = "true"
log.path = "c.log"
[services.e]
command = "true"
log.path = "d@2.log.1.gz"
"""
    assert complaints(text) == [
        "services.toml:8: services.b.log.max_size: one.log is also the log of a, which has another value "
        "(services.toml:3: services.a.log.max_size); write the same, or choose another file",
        "services.toml:8: services.b.log.keep: one.log is also the log of a, which has another value "
        "(services.toml:4: services.a.log.keep); write the same, or choose another file",
        "services.toml:18: services.f.log.path: c.log is the log of c; write {instance} in the name of the file, "
        "or choose another",
        "services.toml:21: services.e.log.path: d@2.log.1.gz is the name of a file that belongs to the log of d",
    ]


def test_a_log_where_others_could_replace_it(complaints: Complain, plan: Load, tmp_path: Path) -> None:
    place = tmp_path / "for all"
    place.mkdir()
    place.chmod(0o1777)
    assert complaints(SERVICE + f'log.path = "{place}/web.log"') == [
        "services.toml:3: services.web.log.path: for all can be written by other users, who could replace the "
        "log; choose a directory in it that is only yours"
    ]
    assert plan(SERVICE + f'log.path = "{place}/mine/web.log"').services[0].log.path == f"{place}/mine/web.log"


def test_only_root_may_give_a_log_away(complaints: Complain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert complaints(SERVICE + 'log = { path = "web.log", owner = "root" }') == [
        "services.toml:3: services.web.log.owner: only root can give a log to another user; "
        "leave owner out, or run as root"
    ]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_what_is_wrong_with_a_file(complaints: Complain, text: str, message: str) -> None:
    assert complaints(text) == [f"services.toml:{message}"]


def test_everything_is_said_at_once_in_the_order_of_the_lines(complaints: Complain) -> None:
    text = """
[supervisor]
max_concurrent_restarts = 0
[services.web]
command = "nosuchprogram"
depends_on = ["wrker"]
[services.web.restart]
policy = "sometimes"
initial = 5
[services.worker]
comand = "sleep 1"
[[services.worker.hooks]]
on = ["ready"]
run = "true"
[[services.worker.hooks]]
on = [
    "ready",
    "redy",
]
run = "true"
"""
    assert [complaint.split(": ")[0] + " " + complaint.split(": ")[1] for complaint in complaints(text)] == [
        "services.toml:3 supervisor.max_concurrent_restarts",
        "services.toml:5 services.web.command",
        "services.toml:6 services.web.depends_on[0]",
        "services.toml:8 services.web.restart.policy",
        "services.toml:9 services.web.restart.initial",
        "services.toml:10 services.worker",
        "services.toml:11 services.worker.comand",
        "services.toml:18 services.worker.hooks[1].on[1]",
    ]


def test_a_broken_key_gives_rise_to_no_further_complaint(complaints: Complain) -> None:
    text = '[services.a]\ncommand = 1\n[services.b]\ncommand = "true"\ndepends_on = ["a", "c"]\n[services]\nc = 1'
    assert len(complaints(text)) == 2


@pytest.mark.slow
def test_a_flood_of_problems_is_cut(complaints: Complain) -> None:
    text = SERVICE + "\n".join(f"key{i} = 1" for i in range(1500))
    found = complaints(text)
    assert len(found) == 1001
    assert found[-1] == "… and 500 more"


def test_only_root_may_choose_the_user(complaints: Complain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert complaints(SERVICE + 'user = "root"') == [
        "services.toml:3: services.web.user: only root can start a service as another user; "
        "leave user and group out, or run as root"
    ]


def test_an_environment_file_is_judged_line_by_line(complaints: Complain, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('A=1\nB\nC=\'x\nD="y" z\n')
    at = "services.toml:3: services.web.environment_file: .env"
    assert complaints(SERVICE + 'environment_file = ".env"') == [
        f'{at}:2: "B" is not KEY=VALUE',
        f"{at}:3: the quotes of C are not closed, or are followed by more text",
        f"{at}:4: the quotes of D are not closed, or are followed by more text",
    ]


def test_an_environment_file_that_is_none(complaints: Complain, tmp_path: Path) -> None:
    at = "services.toml:3: services.web.environment_file: x"
    (tmp_path / "x").mkdir()
    assert complaints(SERVICE + 'environment_file = "x"') == [f"{at} is not a file"]
    (tmp_path / "x").rmdir()
    (tmp_path / "x").write_bytes(b"A=\xff")
    assert complaints(SERVICE + 'environment_file = "x"') == [f"{at} is not UTF-8"]
    (tmp_path / "x").write_bytes(b"#" * (1024**2 + 1))
    assert complaints(SERVICE + 'environment_file = "x"') == [f"{at} is larger than 1 MiB"]


def test_a_program_that_is_found_but_cannot_be_run(complaints: Complain, tmp_path: Path) -> None:
    (tmp_path / "bin" / "web").touch(0o644)
    assert complaints('[services.web]\ncommand = "web"') == [
        'services.toml:2: services.web.command: the program "web" is not on the PATH; '
        "bin/web is not executable (chmod +x bin/web)"
    ]


def test_a_user_without_an_account_needs_a_group(complaints: Complain) -> None:
    assert complaints(SERVICE + "user = 54321") == [
        "services.toml:3: services.web.user: the user 54321 is not in the user database, so `group` must be set too"
    ]


def test_a_path_that_cannot_be_looked_at(complaints: Complain) -> None:
    assert complaints(SERVICE + f'directory = "{"x" * 300}"') == [
        f"services.toml:3: services.web.directory: {'x' * 300} cannot be accessed: File name too long"
    ]


def test_a_long_circle_is_told_in_short(complaints: Complain) -> None:
    text = "".join(f'[services.s{i}]\ncommand = "true"\ndepends_on = ["s{(i + 1) % 50}"]\n' for i in range(50))
    middle = " → ".join([*(f"s{i}" for i in range(8)), "…", "s48", "s49", "s0"])
    assert complaints(text) == [
        f"services.toml:3: services.s0.depends_on: dependency cycle: {middle}; none of them could start"
    ]


def test_a_default_is_blamed_where_it_stands(complaints: Complain) -> None:
    text = '[defaults.restart]\ninitial = "1m"\n' + SERVICE + '[services.web.restart]\npolicy = "always"'
    assert complaints(text) == ["services.toml:2: services.web.restart.initial: 1m is more than maximum, 30s"]


def test_a_good_file_has_no_complaint(plan: Load) -> None:
    assert plan(SERVICE).services[0].command == ("sleep", "1")
