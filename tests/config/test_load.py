"""The plan that a valid file gives."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.config.source.project import default_name, folder_identity
from supervisor.core.model.spec import (
    BackoffKind,
    ConsoleMode,
    Evidence,
    GroupSpec,
    HeartbeatSpec,
    HookSpec,
    LogSpec,
    NotifyAccess,
    Plan,
    Policy,
    Reaction,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    ServiceSpec,
    ServiceType,
    Strategy,
    SupervisorSpec,
    Suspicion,
    TargetSpec,
)
from tests.config.conftest import Load

EVERYTHING = """
[supervisor]
name = "demo"
runtime_dir = "run"
state_dir = "/var/state/${EMPTY:-demo}"
max_concurrent_restarts = 3
[supervisor.http]
listen = "[::1]:9180"
web = true

[groups.group]
max_concurrent_restarts = 2

[services.redis]
command = "sleep '1 2' ${PORT}"

[services.page]
command = ["true"]

[services.worker]
command = ["sleep", "${PORT}", "$$x"]
description = "works"
directory = "work"
umask = "027"
environment = { B = "${HOME}/b", A = "${NOPE:-a}" }
environment_file = ".env"
replicas = 3
depends_on = ["redis", "redis"]
autostart = false
type = "service"
group_name = "group"
on_dependency_restart = "restart"
stop_signal = "SIGINT"
stop_timeout = "1m30s"
reload_signal = 10
reload_check = "sleep 0"
dump_signal = "USR2"
evidence = "core"
start_timeout = "2m"
limits = { nofile = 65536, core = 0, as = "2GiB", stack = "unlimited" }
nice = -5
oom_score_adj = 500

[services.worker.ready]
http = "http://127.0.0.1:${PORT}/healthz"
interval = "250ms"
timeout = "2s"

[services.worker.heartbeat]
source = "file"
file = "beat"
interval = "2s"
probe_timeout = "3s"
detector = "timeout"
threshold = 10
min_timeout = "3s"
max_timeout = "20s"
timeout = "6s"
on_suspect = "report"

[services.worker.restart]
policy = "always"
success_exit_codes = [0, 3]
backoff = "decorrelated-jitter"
initial = "0s"
maximum = "1m"
factor = 3
jitter = 1
reset_after = "5m"
max_restarts = 7
window = "2m"
cooldown = "3m"
strategy = "rest-for-one"
fallback = "page"

[services.worker.resources]
max_memory = "512MiB"
max_cpu = "150%"
for = "20s"
action = "report"

[services.worker.log]
max_size = "1MiB"
keep = 2
compress = false
timestamps = true
console = "raw"
path = "logs/{instance}.log"
mode = "0644"

[[services.worker.hooks]]
on = ["failed", "breaker-open"]
run = ["./page.sh", "now"]
timeout = "5s"
[[services.worker.hooks]]
on = ["ready"]
notify = "mailto://somebody"
"""


def test_every_key_reaches_its_spec(plan: Load, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / ".env").write_text("A=file\nC=c\n")
    (tmp_path / "page.sh").touch(0o755)
    assert replace(plan(EVERYTHING), written="") == Plan(
        path=str(tmp_path / "services.toml"),
        folder=folder_identity(str(tmp_path)),
        supervisor=SupervisorSpec(
            name="demo",
            runtime_dir=str(tmp_path / "run"),
            state_dir="/var/state/demo",
            max_concurrent_restarts=3,
            listen=("::1", 9180),
            web=True,
        ),
        groups=(GroupSpec(name="group", max_concurrent_restarts=2),),
        services=(
            ServiceSpec(name="redis", command=("sleep", "1 2", "8000"), directory=str(tmp_path)),
            ServiceSpec(name="page", command=("true",), directory=str(tmp_path), autostart=False),
            ServiceSpec(
                name="worker",
                command=("sleep", "8000", "$x"),
                description="works",
                directory=str(tmp_path / "work"),
                umask=0o027,
                environment=(("A", "a"), ("B", "/home/x/b"), ("C", "c")),
                replicas=3,
                depends_on=("redis",),
                autostart=False,
                type=ServiceType.SERVICE,
                group_name="group",
                on_dependency_restart="restart",
                stop_signal=2,
                stop_timeout=90,
                reload_signal=10,
                reload_check=("sleep", "0"),
                dump_signal=12,
                evidence=Evidence.CORE,
                start_timeout=120,
                limits=(("as", 2 * 1024**3), ("core", 0), ("nofile", 65536), ("stack", -1)),
                nice=-5,
                oom_score_adj=500,
                ready=ReadySpec(http="http://127.0.0.1:8000/healthz", interval=0.25, timeout=2),
                heartbeat=HeartbeatSpec(
                    source="file",
                    file=str(tmp_path / "beat"),
                    interval=2,
                    probe_timeout=3,
                    detector="timeout",
                    threshold=10,
                    min_timeout=3,
                    max_timeout=20,
                    timeout=6,
                    on_suspect=Suspicion.REPORT,
                ),
                restart=RestartSpec(
                    policy=Policy.ALWAYS,
                    success_exit_codes=(0, 3),
                    backoff=BackoffKind.DECORRELATED_JITTER,
                    initial=0,
                    maximum=60,
                    factor=3,
                    jitter=1,
                    reset_after=300,
                    max_restarts=7,
                    window=120,
                    cooldown=180,
                    strategy=Strategy.REST_FOR_ONE,
                    fallback="page",
                ),
                resources=ResourcesSpec(max_memory=512 * 1024**2, max_cpu=1.5, sustained=20, action=Reaction.REPORT),
                log=LogSpec(
                    max_size=1024**2,
                    keep=2,
                    compress=False,
                    timestamps=True,
                    console=ConsoleMode.RAW,
                    path=f"{tmp_path}/logs/{{instance}}.log",
                    mode=0o644,
                ),
                hooks=(
                    HookSpec(on=("failed", "breaker-open"), run=(str(tmp_path / "page.sh"), "now"), timeout=5),
                    HookSpec(on=("ready",), notify="mailto://somebody"),
                ),
            ),
        ),
    )


def test_what_is_not_given_is_left_to_the_spec(plan: Load, tmp_path: Path) -> None:
    loaded = plan('[services.a]\ncommand = "true"')
    assert loaded.services == (ServiceSpec(name="a", command=("true",), directory=str(tmp_path)),)
    assert loaded.supervisor.name == default_name(f"{tmp_path}/services.toml")
    assert loaded.supervisor.listen is None


def test_services_come_in_start_order(plan: Load) -> None:
    text = "".join(
        f'[services.{name}]\ncommand = "true"\ndepends_on = {needs}\n'
        for name, needs in {"e": ["d", "b"], "a": [], "d": ["c"], "b": [], "c": []}.items()
    )
    assert [spec.name for spec in plan(text).services] == ["a", "b", "c", "d", "e"]


TARGET = '[defaults.heartbeat]\ninterval = "100ms"\ntarget.detect_within = "2s"\n'
READY = '[defaults.ready]\nhttp = "http://a/"\ninterval = "9s"\n'
BEATS = '[defaults.heartbeat]\nsource = "http"\nhttp = "http://a/"\ninterval = "9s"\n'
SERVICE = '[services.a]\ncommand = "true"\n'


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("[defaults]\nnice = 1\n" + SERVICE, "nice", 1),
        ("[defaults]\nnice = 1\n" + SERVICE + "nice = 2", "nice", 2),
        ("[defaults]\nnice = 1\n" + SERVICE + "nice = 0", "nice", 0),
        ('[defaults]\ncommand = "sleep 1"\n[services.a]', "command", ("sleep", "1")),
        (
            '[defaults]\nenvironment = { A = "1", B = "1" }\n' + SERVICE + 'environment = { B = "2" }',
            "environment",
            (("A", "1"), ("B", "2")),
        ),
        (
            "[defaults]\nlimits = { core = 0, nofile = 1 }\n" + SERVICE + "limits = { nofile = 2 }",
            "limits",
            (("core", 0), ("nofile", 2)),
        ),
        (
            "[defaults.restart]\nmax_restarts = 1\njitter = 1\n" + SERVICE + "restart.jitter = 0",
            "restart",
            RestartSpec(max_restarts=1, jitter=0),
        ),
        (READY + SERVICE, "ready", ReadySpec(http="http://a/", interval=9)),
        (READY + SERVICE + 'ready.interval = "1s"', "ready", ReadySpec(http="http://a/", interval=1)),
        (READY + SERVICE + "ready.notify = true", "ready", ReadySpec(notify=True, interval=9)),
        (
            SERVICE + 'ready = { notify = true, notify_access = "main", notify_reload = true }',
            "ready",
            ReadySpec(notify=True, notify_access=NotifyAccess.MAIN, notify_reload=True),
        ),
        (SERVICE + "fd_store = 12", "fd_store", 12),
        (
            BEATS + SERVICE + 'heartbeat.source = "http"',
            "heartbeat",
            HeartbeatSpec(source="http", http="http://a/", interval=9),
        ),
        (BEATS + SERVICE + 'heartbeat.source = "notify"', "heartbeat", HeartbeatSpec(interval=9)),
        (
            TARGET + SERVICE + 'heartbeat.target.max_false_restarts = "2/1d"',
            "heartbeat",
            HeartbeatSpec(
                interval=0.1, detector="adaptive", target=TargetSpec(detect_within=2, max_false_restarts=2 / 86400)
            ),
        ),
        (TARGET + SERVICE + 'heartbeat.detector = "chen"', "heartbeat", HeartbeatSpec(interval=0.1, detector="chen")),
        (
            '[defaults.heartbeat]\nthreshold = 3\nmin_timeout = "1s"\n' + SERVICE + "heartbeat.target = {}",
            "heartbeat",
            HeartbeatSpec(detector="adaptive", target=TargetSpec()),
        ),
        (READY + BEATS + SERVICE + 'type = "oneshot"', "ready", None),
        (READY + BEATS + SERVICE + 'type = "oneshot"', "heartbeat", None),
        (
            '[defaults.heartbeat]\ndetector = "timeout"\ntimeout = "9s"\n' + SERVICE + 'heartbeat.detector = "phi"',
            "heartbeat",
            HeartbeatSpec(detector="phi", timeout=9),
        ),
        (
            '[defaults]\nhooks = [{ on = ["ready"], run = "true" }]\n' + SERVICE + "hooks = []",
            "hooks",
            (),
        ),
    ],
)
def test_defaults_hold_unless_the_service_says_otherwise(plan: Load, text: str, field: str, expected: object) -> None:
    assert getattr(plan(text).services[0], field) == expected


def test_a_fallback_for_all_is_started_by_nobody_and_has_none_itself(plan: Load) -> None:
    loaded = plan('[defaults.restart]\nfallback = "page"\n[services.page]\ncommand = "true"\n' + SERVICE)
    assert {s.name: (s.autostart, s.restart.fallback) for s in loaded.services} == {
        "page": (False, None),
        "a": (True, "page"),
    }


def test_a_program_is_found_on_the_path_of_its_service(plan: Load, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine").touch(0o755)
    assert plan(f'[services.a]\ncommand = "mine"\nenvironment.PATH = "{own}"').services[0].command == ("mine",)


def test_a_relative_program_is_found_from_the_directory_of_its_service(plan: Load, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine").touch(0o755)
    assert plan('[services.a]\ncommand = "./mine"\ndirectory = "own"').services[0].command == ("./mine",)


def test_a_user_brings_its_groups(plan: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = pwd.getpwnam("nobody")
    spec = plan(SERVICE + 'user = "nobody"').services[0]
    assert (spec.user, spec.group) == (account.pw_uid, account.pw_gid)
    assert spec.extra_groups == tuple(sorted(os.getgrouplist("nobody", account.pw_gid)))


@pytest.mark.parametrize("user", ['"nobody"', "65534"])
def test_a_user_brings_the_variables_of_its_account(plan: Load, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = pwd.getpwuid(65534)
    spec = plan(SERVICE + f'user = {user}\nenvironment = {{ HOME = "/srv/web" }}').services[0]
    assert dict(spec.environment) == {
        "HOME": "/srv/web",
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": account.pw_shell,
    }
    assert spec.unset_environment == ()


def test_a_user_that_is_only_a_number_does_not_get_the_variables_of_root(
    plan: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    spec = plan(SERVICE + 'user = 54321\ngroup = 54321\nunset_environment = ["TZ"]').services[0]
    assert spec.environment == ()
    assert spec.unset_environment == ("TZ", "HOME", "USER", "LOGNAME", "SHELL")


def test_a_user_brings_its_variables_from_the_defaults(plan: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    spec = plan('[defaults]\nuser = "nobody"\n' + SERVICE).services[0]
    assert dict(spec.environment)["USER"] == "nobody"


def test_environment_files_in_their_order(plan: Load, tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "b.env").write_text("B=2\nC=2\n")
    files = 'environment_file = ["a.env", { path = "none.env", required = false }, { path = "b.env" }]\n'
    spec = plan(SERVICE + files + 'environment = { C = "3" }').services[0]
    assert spec.environment == (("A", "1"), ("B", "2"), ("C", "3"))


@pytest.mark.parametrize(
    ("given", "names"), [("true", None), ("false", ()), ('["LANG", "LANG", "TZ"]', ("LANG", "TZ"))]
)
def test_what_is_inherited(plan: Load, given: str, names: tuple[str, ...] | None) -> None:
    assert plan(SERVICE + f"inherit_environment = {given}").services[0].inherit_environment == names


def test_soft_and_hard_limits(plan: Load) -> None:
    limits = 'limits = { nofile = "1024:524288", core = "0:unlimited", as = "1GiB:2GiB", nproc = 5, stack = "8MiB" }'
    spec = plan(SERVICE + limits).services[0]
    assert spec.limits == (("as", 1024**3), ("core", 0), ("nofile", 1024), ("nproc", 5), ("stack", 8 * 1024**2))
    assert spec.hard_limits == (("as", 2 * 1024**3), ("core", -1), ("nofile", 524288))


def test_a_group_stands_for_its_members_in_depends_on(plan: Load) -> None:
    text = """
[services.web]
command = "true"
depends_on = ["stores", "b"]
[services.a]
command = "true"
group_name = "stores"
[services.b]
command = "true"
group_name = "stores"
[services.c]
command = "true"
group_name = "stores"
depends_on = ["stores"]
"""
    depends = {spec.name: spec.depends_on for spec in plan(text).services}
    assert depends == {"a": (), "b": (), "c": ("a", "b"), "web": ("a", "b", "c")}


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ('http = "https://localhost/healthz"', "https://localhost/healthz"),
        ('http = "https://[::1]:8443"', "https://[::1]:8443"),
        ('http = "http://unix:/run/web.sock:/healthz"', "http://unix:/run/web.sock:/healthz"),
        ('http = "http://unix:run/web.sock"', "http://unix:{here}/run/web.sock"),
        ('http = "http://unix:@web:/"', "http://unix:@web:/"),
        ('tcp = "unix:/run/web.sock"', "unix:/run/web.sock"),
        ('tcp = "unix:web.sock"', "unix:{here}/web.sock"),
        ('http = "http://[::1]:800{{replica}}/{{replica}}"', "http://[::1]:800{{replica}}/{{replica}}"),
        ('tcp = "localhost:800{{replica}}"', "localhost:800{{replica}}"),
        ('tcp = "unix:/run/{{replica}}.sock"', "unix:/run/{{replica}}.sock"),
        ('tcp = "127.0.0.1:{{port}}"', "127.0.0.1:{{port}}"),
        ('http = "http://localhost:{{port}}/{{replica}}"', "http://localhost:{{port}}/{{replica}}"),
    ],
)
def test_addresses_of_probes(plan: Load, tmp_path: Path, given: str, address: str) -> None:
    kind = given.partition(" ")[0]
    given = given.format()
    more = 'ports = "18000"\n' if "{port}" in given else ""
    spec = plan(SERVICE + f'{more}ready.{given}\nheartbeat = {{ source = "{kind}", {given} }}').services[0]
    assert spec.ready is not None and spec.heartbeat is not None
    expected = address.format(here=tmp_path)
    assert (getattr(spec.ready, kind), getattr(spec.heartbeat, kind)) == (expected, expected)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("tcp://127.0.0.1:{port}", "tcp://127.0.0.1:{port}"),
        ("tcp://localhost:80{replica}", "tcp://127.0.0.1:80{replica}"),
        ("tcp://[0:0::1]:{port}", "tcp://[::1]:{port}"),
        ("tcp://127.0.0.{replica}:080", "tcp://127.0.0.{replica}:80"),
        ("unix:/run/web-{replica}.sock?mode=0666", "unix:/run/web-{replica}.sock"),
        ("unix:@web-{port}", "unix:@web-{port}"),
    ],
)
def test_a_socket_of_each_instance(plan: Load, given: str, url: str) -> None:
    spec = plan(SERVICE + f'replicas = 3\nports = "18000-18002"\nsockets = ["{given}"]').services[0]
    assert ([s.url for s in spec.sockets], spec.ports) == ([url], (18000, 18002))


def test_one_port(plan: Load) -> None:
    assert plan(SERVICE + 'ports = "${FIRST:-18000}"').services[0].ports == (18000, 18000)


def test_users_and_groups_by_number(plan: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    spec = plan(SERVICE + "user = 54321\ngroup = 54322").services[0]
    assert (spec.user, spec.group, spec.extra_groups) == (54321, 54322, ())


def test_our_own_user_is_no_change_unless_we_are_root(plan: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: account.pw_uid)
    monkeypatch.setattr(os, "getegid", lambda: account.pw_gid)
    spec = plan(SERVICE + 'user = "nobody"').services[0]
    assert (spec.user, spec.group, spec.extra_groups) == (None, None, None)


@pytest.mark.parametrize("spelling", ['"TERM"', '"SIGTERM"', '"sigterm"', "15"])
def test_a_signal_by_name_or_number(plan: Load, spelling: str) -> None:
    assert plan(SERVICE + f"stop_signal = {spelling}").services[0].stop_signal == 15


@pytest.mark.parametrize(
    ("spelling", "number"), [('"RTMIN+3"', 37), ('"SIGRTMIN+4"', 38), ('"rtmax-1"', 63), ("37", 37)]
)
def test_a_real_time_signal_may_be_written_as_an_offset(plan: Load, spelling: str, number: int) -> None:
    assert plan(SERVICE + f"stop_signal = {spelling}").services[0].stop_signal == number


def test_each_services_table_has_a_fingerprint(plan: Load) -> None:
    first = plan('[defaults]\nnice = 1\n[services.a]\ncommand = "true"\n[services.b]\ncommand = "true"').fingerprints
    assert list(first) == ["a", "b"]
    reordered = plan(
        '# a comment\n[services.b]\ncommand = "true"\n[services.a]\ncommand = "true"\nnice = 1\n[defaults]\nnice = 1'
    )
    assert reordered.fingerprints == first
    edited = plan('[services.a]\ncommand = "true"\n[services.b]\ncommand = "true"\nnice = 1').fingerprints
    assert edited["a"] != first["a"]
    assert edited["b"] == first["b"]


def test_logs_that_several_instances_write_are_known(plan: Load, tmp_path: Path) -> None:
    found = plan(
        """
        [defaults]
        command = "true"
        log.path = "all.log"
        [services.a]
        [services.b]
        log.stderr = "{instance}.err"
        [services.c]
        replicas = 2
        log.path = "c.log"
        [services.d]
        log = { path = "d.log", stderr = "errors.log" }
        [services.e]
        log = { path = "e.log", stderr = "errors.log" }
        [services.f]
        replicas = 2
        log.path = "{instance}.log"
        """
    )
    assert {s.name: (s.log.path_shared, s.log.stderr_shared) for s in found.services} == {
        "a": (True, False),
        "b": (True, False),
        "c": (True, False),
        "d": (False, True),
        "e": (False, True),
        "f": (False, False),
    }
