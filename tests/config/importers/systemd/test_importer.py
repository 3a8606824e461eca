"""A unit as a service: what is run, with which environment and policy, and what is told (systemd 252.38)."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.importers.systemd.importer import read
from supervisor.config.importers.systemd.specifiers import Manager
from supervisor.config.load import load
from supervisor.config.source.expand import parse_environment_file
from tests.config.importers.systemd.cases import BASE, CASES, Case

HOMES = {"www-data": "/var/www", "daemon": "/usr/sbin", "games": "/usr/games", "nobody": None}
MANAGER = Manager(host="vm", kernel="6.18.44-fc-v669", variables=BASE, home_of=HOMES.get)
Given = Callable[..., Imported]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """`given(files)`: write them, @HERE@ in them being their folder, and read those that are units, or `*names`."""

    def make(files: dict[str, str], *names: str) -> Imported:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("@HERE@", str(tmp_path)))
        units = names or [name for name in files if name.endswith(".service") and "@." not in name]
        return read([tmp_path / name for name in units], {}, MANAGER)

    return make


@pytest.fixture
def service(given: Given) -> Callable[..., dict[str, Any]]:
    """The table of a unit that has these lines in [Service] beside its ExecStart."""

    def make(lines: str, unit: str = "", install: str = "WantedBy=multi-user.target") -> dict[str, Any]:
        start = "" if "ExecStart=" in lines else "ExecStart=/bin/true\n"
        text = f"[Unit]\n{unit}\n[Service]\n{start}{lines}\n[Install]\n{install}\n"
        return given({"a.service": text}).services[0].table

    return make


def told(found: Imported, key: str) -> list[tuple[Kind, int, str]]:
    return [(loss.kind, loss.line, loss.text) for loss in found.losses if loss.key == key and loss.line]


def environment(table: dict[str, Any]) -> dict[str, str]:
    """What the daemon gives to the service, apart from the variables of its account."""
    found: dict[str, str] = {}
    for entry in table.get("environment_file", ()):
        path = Path(entry["path"] if isinstance(entry, dict) else entry)
        if path.exists():
            found |= parse_environment_file(path.read_text())[0]
    return {**found, **table["environment"]}


def executed(command: list[str], variables: dict[str, str]) -> list[list[str]]:
    """The words of each command that a script of the importer runs."""
    if command[:2] != ["/bin/sh", "-c"] or len(command) > 3:
        return [command]
    script = command[2].removeprefix("set -f; ")
    script = re.sub(r'"\$\{(\w+)\}"', lambda match: shlex.quote(variables.get(match[1], "")), script)
    script = re.sub(r" \$\{(\w+)\}(?= |$)", lambda match: " " + variables.get(match[1], ""), script)
    runs: list[list[str]] = [[]]
    for word in shlex.split(script):
        if word == "&&":
            runs.append([])
        elif word not in ("exec", "{", "||", ":;", "}"):
            runs[-1].append(word)
    return runs


@pytest.mark.parametrize("case", CASES, ids=[case.unit for case in CASES])
def test_what_is_run_is_what_systemd_runs(case: Case, given: Given, tmp_path: Path) -> None:
    table = given(case.files, case.unit).services[0].table
    variables = environment(table)
    if case.unit == "several.service":
        assert variables.pop("GONE") == "1"  # it is told that UnsetEnvironment= does not reach it
    assert variables == case.environment
    assert executed(table["command"], variables) == [
        [word.replace("@HERE@", str(tmp_path)) for word in words] for words in case.runs
    ]
    assert (table["directory"], int(table["umask"], 8)) == (case.directory, case.umask)


NOT_OF_EVERYBODY = ("user", "group", "sandbox", "capabilities", "ambient_capabilities")


@pytest.mark.parametrize("case", CASES, ids=[case.unit for case in CASES])
def test_what_is_written_loads(case: Case, given: Given, tmp_path: Path) -> None:
    """Without what only root, or a host with these accounts, may have."""
    found = given(case.files, case.unit)
    table = found.services[0].table
    for key in NOT_OF_EVERYBODY:
        table.pop(key, None)
    if not Path(table.get("directory", "/")).is_dir():
        del table["directory"]
    if table["command"][0] != "/bin/sh":
        table["command"][0] = "/bin/true"
    file = tmp_path / "services.toml"
    file.write_text(services_toml(found, "supervisor init"))
    (loaded,) = load(file).services
    assert loaded.command == tuple(table["command"])
    assert dict(loaded.environment) == environment(table)


def test_all_units_of_one_file_are_told_apart_by_their_losses(given: Given) -> None:
    found = given({**CASES[0].files, **CASES[2].files})
    assert {loss.service for loss in found.losses if loss.file.endswith("cache.service") and loss.line} == {"cache"}
    assert [service.name for service in found.services] == ["cache", "exporter"]
    general = [loss.key for loss in found.losses if loss.service is None]
    assert general == ["KillMode", "IgnoreSIGPIPE", "StandardOutput"]


USUAL_RESTART = {
    "policy": "never",
    "success_exit_codes": [0],
    "backoff": "fixed",
    "initial": "100ms",
    "jitter": 0.0,
    "max_restarts": 4,
    "window": "10s",
    "cooldown": "36500d",
}


def test_a_unit_that_says_nothing_has_the_defaults_of_systemd(service: Callable[..., dict[str, Any]]) -> None:
    assert service("") == {
        "command": ["/bin/true"],
        "directory": "/",
        "inherit_environment": False,
        "environment": BASE,
        "umask": "0022",
        "limits": {"nofile": "1024:524288"},
        "start_timeout": "1m30s",
        "stop_signal": "TERM",
        "stop_timeout": "1m30s",
        "restart": USUAL_RESTART,
    }


CODES = list(range(256))
FEW = [code for code in CODES if code not in (75, 9)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Restart=always", {"policy": "always"}),
        ("Restart=on-failure", {"policy": "on-failure"}),
        ("Restart=on-success\nSuccessExitStatus=3 SIGTERM", {
            "success_exit_codes": [0, 3], "exit_codes": {"always": [0, 3]},
        }),
        ("Restart=on-abnormal", {"policy": "on-failure", "exit_codes": {"never": CODES}}),
        ("Restart=on-watchdog\nRestartForceExitStatus=TEMPFAIL 9", {
            "policy": "on-failure", "exit_codes": {"never": FEW, "always": [9, 75]},
        }),
        ("Restart=always\nRestartPreventExitStatus=1 CONFIG 255\nRestartForceExitStatus=1 2", {
            "policy": "always", "exit_codes": {"never": [1, 78, 255], "always": [2]},
        }),
        ("SuccessExitStatus=143\nSuccessExitStatus=DATAERR", {"success_exit_codes": [0, 65, 143]}),
        ("SuccessExitStatus=143\nSuccessExitStatus=", {}),
        ("ExecStart=-/bin/true\nRestart=on-failure", {"policy": "on-failure", "success_exit_codes": CODES}),
        ("RestartSec=5min 20s", {"initial": "5m20s", "maximum": "5m20s"}),
        ("RestartSec=0", {"initial": "0s"}),
        ("RestartSec=1.5", {"initial": "1s500ms"}),
        ("StartLimitInterval=1h\nStartLimitBurst=1", {"max_restarts": 0, "window": "1h"}),
        ("Restart=sometimes", {}),
    ],
)  # fmt: skip
def test_the_restart_policy(service: Callable[..., dict[str, Any]], lines: str, expected: dict[str, Any]) -> None:
    assert service(lines)["restart"] == USUAL_RESTART | expected


def test_the_limit_of_starts_stands_in_unit_and_may_be_off(service: Callable[..., dict[str, Any]]) -> None:
    unit = "StartLimitIntervalSec=30\nStartLimitBurst=3"
    assert service("StartLimitBurst=9", unit)["restart"] == USUAL_RESTART | {"max_restarts": 2, "window": "30s"}
    assert service("", "StartLimitIntervalSec=0")["restart"]["max_restarts"] == 1_000_000


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Type=notify", {"ready": {"notify": True}}),
        ("Type=notify\nNotifyAccess=main", {"ready": {"notify": True, "notify_access": "main"}}),
        ("Type=notify\nNotifyAccess=all", {"ready": {"notify": True}}),
        ("Type=notify-reload", {"ready": {"notify": True, "notify_reload": True}}),
        ("FileDescriptorStoreMax=8", {"fd_store": 8}),
        ("FileDescriptorStoreMax=0", {}),
        ("FileDescriptorStoreMax=many", {}),
        ("Type=oneshot", {"type": "oneshot", "start_timeout": "36500d"}),
        ("Type=oneshot\nTimeoutStartSec=5", {"type": "oneshot", "start_timeout": "5s"}),
        ("TimeoutSec=2min", {"start_timeout": "2m", "stop_timeout": "2m"}),
        ("TimeoutStopSec=infinity", {"stop_timeout": "36500d"}),
        ("TimeoutStopSec=0", {"stop_timeout": "36500d"}),
        ("TimeoutStopSec=soon", {}),
        ("KillSignal=SIGINT", {"stop_signal": "INT"}),
        ("KillSignal=3", {"stop_signal": "QUIT"}),
        ("KillSignal=SIGRTMIN+3", {"stop_signal": "RTMIN+3"}),
        ("KillSignal=NONE", {}),
        ("ExecReload=/bin/kill -HUP $MAINPID", {"reload_signal": "HUP"}),
        ("ExecReload=kill -s USR1 ${MAINPID}", {"reload_signal": "USR1"}),
        ("ExecReload=/bin/kill -10 $MAINPID", {"reload_signal": "USR1"}),
        ("ExecReload=/usr/sbin/prog -s reload", {}),
        ("ExecReload=/usr/sbin/prog -t -f '%%'\nExecReload=/bin/kill -HUP $MAINPID", {
            "reload_signal": "HUP", "reload_check": ["/usr/sbin/prog", "-t", "-f", "%"],
        }),
        ("ExecReload=@/bin/one x -t\nExecReload=-/bin/two\nExecReload=/bin/kill -HUP $MAINPID\nExecReload=/bin/three", {
            "reload_signal": "HUP", "reload_check": ["/bin/sh", "-c", "/bin/one -t && { /bin/two || :; }"],
        }),
        ("Type=forking\nPIDFile=x.pid", {"autostart": False, "environment": {**BASE, "PIDFILE": "/run/x.pid"}}),
        ("WatchdogSec=30\nType=notify", {
            "ready": {"notify": True},
            "heartbeat": {
                "source": "notify", "interval": "15s", "detector": "timeout", "timeout": "30s",
                "min_timeout": "30s", "max_timeout": "30s",
            },
            "evidence": "core",
        }),
        ("WatchdogSec=0", {}),
        ("Nice=-5\nOOMScoreAdjust=200\nUMask=077", {"nice": -5, "oom_score_adj": 200, "umask": "077"}),
        ("Nice=99\nUMask=9", {}),
        ("User=33\nGroup=adm", {"user": 33, "group": "adm"}),
        ("LimitNOFILE=infinity\nLimitCORE=1G:2G\nLimitNICE=+1\nLimitRTTIME=5s\nLimitNPROC=x", {
            "limits": {"nofile": "unlimited", "core": "1073741824:2147483648", "nice": 19, "rttime": 5000000},
        }),
        ("CapabilityBoundingSet=\nAmbientCapabilities=CAP_KILL", {
            "capabilities": [],
        }),
        ("AmbientCapabilities=CAP_KILL ~x\nUser=33", {"user": 33, "ambient_capabilities": ["CAP_KILL"]}),
        ("ReadOnlyPaths=/ /etc\nReadWritePaths=/", {
            "sandbox": {"protect_system": "strict", "read_only_paths": ["/etc"]},
        }),
        ("CapabilityBoundingSet=CAP_KILL CAP_CHOWN\nCapabilityBoundingSet=~CAP_KILL", {"capabilities": ["CAP_CHOWN"]}),
        ("NoNewPrivileges=yes\nNoNewPrivileges=maybe", {}),
        ("ProtectSystem=full\nProtectHome=tmpfs\nPrivateDevices=1", {
            "sandbox": {"private_devices": True, "protect_system": "full", "protect_home": "tmpfs"},
        }),
        ("ProtectSystem=no\nReadWritePaths=/usr -/not/there\nInaccessiblePaths=/etc '/usr/share'", {
            "sandbox": {"read_write_paths": ["/usr"], "inaccessible_paths": ["/etc", "/usr/share"]},
        }),
        ("MemoryMax=1.5G\nCPUQuota=20%\nTasksMax=50", {
            "resources": {
                "max_memory": "1572864KiB", "max_cpu": "20%", "max_tasks": 50, "enforce": "kernel", "action": "report",
            },
        }),
        ("MemoryMax=10%\nTasksMax=infinity", {}),
        ("StandardOutput=append:/var/log/a\nStandardError=inherit", {"log": {"path": "/var/log/a", "rotate": False}}),
        ("StandardOutput=file:/a/%p\nStandardError=journal", {
            "log": {"path": "/a/a", "stderr": True, "rotate": False},
        }),
        ("StandardError=append:/e", {"log": {"stderr": "/e", "rotate": False}}),
        ("StandardOutput=null", {}),
        ("PassEnvironment=A B", {"inherit_environment": ["A", "B"]}),
        ("UnsetEnvironment=PATH", {"environment": {"LANG": "C.UTF-8"}, "unset_environment": ["PATH"]}),
        ("ExecStartPost=/bin/echo $A x\nEnvironment=A=1", {
            "environment": {**BASE, "A": "1"}, "hooks": [{"on": ["started"], "run": ["/bin/echo", "1", "x"]}],
        }),
        ("ExecStop=/bin/kill -QUIT $MAINPID\nTimeoutStopSec=5", {
            "stop_signal": None, "stop_timeout": None,
            "stop": [{"signal": "QUIT", "wait": "0s"}, {"signal": "TERM", "wait": "5s"}],
        }),
    ],
)  # fmt: skip
def test_one_key(service: Callable[..., dict[str, Any]], lines: str, expected: dict[str, Any]) -> None:
    """What the table has apart from that of a unit that says nothing; None: it is not there."""
    usual, table = service(""), service(lines)
    assert {key: table.get(key) for key in usual | table if table.get(key) != usual.get(key)} == expected


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[Service]\nType=simple", 0, "no ExecStart="),
        ("[Service]\nExecStart=/a\nExecStart=/b", 3, "needs Type=oneshot"),
        ("[Service]\nExecStart=/a ; /b", 2, "needs Type=oneshot"),
        ("[Service]\nType=oneshot\nRestart=always\nExecStart=/a", 3, "not allowed with Type=oneshot"),
        ("[Service]\nType=dbus\nExecStart=/a", 2, "needs BusName="),
        ("[Service\nExecStart=/a", 1, "header"),
        ("[Service]\nExecStart=./run", 2, "relative"),
        ("[Service]\nExecStart=/usr/bin/", 2, "directory"),
        ("[Service]\nExecStart=/a 'b", 2, "not closed"),
        ("[Service]\nExecStart=/a %z", 2, "%z"),
        ("[Service]\nExecStart=/a\nWorkingDirectory=rel", 3, "absolute"),
        ("[Service]\nExecStart=/a\nUser=a b", 3, "account"),
        ("[Service]\nExecStart=/a \\xff", 2, "UTF-8"),
        ("", 0, "masked"),
    ],
)
def test_what_systemd_refuses_is_refused(given: Given, text: str, line: int, reason: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        given({"a.service": text})
    assert reason in str(refused.value)
    assert f"a.service:{line}: " in str(refused.value) if line else "a.service: " in str(refused.value)


IGNORED = """\
A=1
[Service]
ExecStart=/bin/true
ExecStart=-./run
Restart=sometimes
TimeoutStopSec=x
LimitNOFILE=x
UMask=9
bogus
Type=odd
Nice=99
KillSignal=FOO
Bogus=1
X-Mine=1
Environment=%z=1 B
PrivateTmp=perhaps
[Odd]
A=1
[X-Mine]
A=1
"""


def test_each_line_that_systemd_ignores_is_told(given: Given) -> None:
    found = given({"a.service": IGNORED.replace("ExecStart=/bin/true\n", "", 1) + "[Service]\nExecStart=/bin/true\n"})
    lines = sorted({loss.line for loss in found.losses if loss.kind is Kind.IGNORED})
    assert lines == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 17]
    assert all("1" not in loss.text or loss.line == 10 for loss in found.losses if loss.key in ("Environment", "A"))


DROPPED = """\
[Unit]
Documentation=man:x
ConditionPathExists=/x
OnFailure=alert.service
Conflicts=b.service
RequiresMountsFor=/x
[Service]
ExecStart=+/bin/true
ExecStartPre=!/bin/true
ExecStartPost=/bin/echo $MAINPID
ExecStop=/bin/true
ExecStopPost=/bin/true
ExecReload=/bin/true
ExecCondition=/bin/true
SystemCallFilter=@system-service
ProtectKernelTunables=yes
IOSchedulingClass=idle
CPUWeight=10
MemoryHigh=1G
RuntimeMaxSec=1d
LoadCredential=a:/b
SyslogIdentifier=x
Slice=x.slice
SendSIGKILL=no
SendSIGHUP=yes
FinalKillSignal=SIGQUIT
KillMode=process
RemainAfterExit=yes
NotifyAccess=all
SupplementaryGroups=adm
StateDirectory=x
StandardInput=tty
WatchdogSignal=SIGINT
BindPaths=/a
SuccessExitStatus=SIGINT
ExecSearchPath=/opt
RestartKillSignal=SIGINT
[Install]
WantedBy=own.target
Alias=b.service
Also=c.service
"""


def test_each_line_that_does_something_else_here_is_told(given: Given) -> None:
    found = given({"a.service": DROPPED})
    lines = {loss.line for loss in found.losses if loss.kind in (Kind.DROPPED, Kind.CHANGED)} - {0}
    headers = {number for number, line in enumerate(DROPPED.splitlines(), 1) if line.startswith("[")}
    assert lines == set(range(2, len(DROPPED.splitlines()) + 1)) - headers


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("Environment=A=1 'B=2", "quote that is not closed; what stands before that counts"),
        ("EnvironmentFile=relative", "no absolute path"),
        ("EnvironmentFile=/not/there/*.env", "No file matches"),
        ("EnvironmentFile=%z", "specifier"),
        ("EnvironmentFile=/not/there", "cannot be read now (no such file or directory), so its variables were not"),
        ("EnvironmentFile=-/not/there\nEnvironment=A=1", "`environment` counts here"),
        ("MemoryMax=much", "is no size"),
        ("CPUQuota=2", "is no percentage"),
        ("TasksMax=10%", "write a number"),
        ("User=33\nExecStartPost=/bin/true", "daemon's user"),
        ("BusName=org.example", "no name on the bus"),
        ("Type=idle", "without a wait"),
        ("Type=notify-reload", "came with 253"),
        ("SuccessExitStatus=MANY", "neither an exit code nor a signal"),
        ("StartLimitInterval=long\nStartLimitBurst=many", "is no number"),
        ("User=games\nWorkingDirectory=~", ""),
        ("User=nobody\nWorkingDirectory=~", "home of its user is not known"),
        ("WorkingDirectory=/%z", "specifier"),
        ("WorkingDirectory=-/not/there", "so it runs in /"),
        ("ProtectSystem=much", "unknown value"),
        ("DynamicUser=yes\nProtectSystem=full\nStateDirectory=none-such", "Add /var/lib/none-such"),
        ("ReadOnlyPaths='/a", "not closed"),
        ("ReadOnlyPaths=a", "not absolute"),
        ("ReadOnlyPaths=/%z", "specifier"),
        ("InaccessiblePaths=/", "root directory itself"),
        ("MemoryMax=10%", "write a size"),
        ("StandardOutput=append:/a/{instance}", "{instance} is replaced"),
        ("StandardOutput=tty", "kept in the log"),
        ("User=33\nAmbientCapabilities=CAP_NONE", "does not know"),
        ("AmbientCapabilities=CAP_KILL", "Root has"),
        ("ExecStart=/bin/true\nExecSearchPath=/a", "looked up in PATH"),
        ("ExecStart=true\nEnvironment=PATH=/a", "true is looked up in this PATH"),
        ("ExecStop=/bin/kill -9 9", "only signals"),
        ("ExecStop=/bin/kill $MAINPID", "follows TERM at once"),
        ("ExecStop=/bin/kill -99 $MAINPID", "only signals"),
        ("ExecStop=/bin/kill -a -b -c $MAINPID", "only signals"),
    ],
)
def test_what_is_told_of_one_key(given: Given, lines: str, said: str) -> None:
    start = "" if "ExecStart=" in lines else "ExecStart=/bin/true\n"
    found = given({"a.service": f"[Service]\n{start}{lines}\n"})
    assert said in "\n".join(loss.text for loss in found.losses)


def test_a_file_of_variables_has_to_be_utf_8(given: Given, tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"A=\xff\n")
    with pytest.raises(ImportRefused, match="is not UTF-8"):
        given({"a.service": "[Service]\nEnvironmentFile=@HERE@/e\nExecStart=/bin/x\n"})


def test_a_line_that_is_not_utf_8_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.service").write_bytes(b"[Service]\nExecStart=/bin/x\nEnvironment=A=\xff B=1\n")
    found = read([tmp_path / "a.service"], {}, MANAGER)
    assert found.services[0].table["environment"] == BASE
    assert told(found, "Environment")[0][:2] == (Kind.IGNORED, 3)


def test_a_secret_is_in_no_loss(given: Given) -> None:
    files = {
        "a.service": "[Service]\nEnvironment=KEY=geheim1 'B=geheim2' geheim3\nEnvironmentFile=@HERE@/e\n"
        "ExecStart=/bin/true ${KEY} $TOKEN {port}\nUnsetEnvironment=KEY=geheim1\nPassEnvironment=X\n",
        "e": "TOKEN=geheim4 # x\nexport C=geheim5\nKEY=geheim6\nexport geheim7==\n",
    }
    assert "geheim" not in " ".join(map(str, given(files).losses))


def test_a_variable_of_a_file_stays_in_the_file(given: Given) -> None:
    files = {
        "a.service": "[Service]\nEnvironmentFile=@HERE@/e\nExecStart=/bin/x ${TOKEN} a${TOKEN}b $OPTS '$$OPTS' $NO\n",
        "e": "TOKEN=geheim\nOPTS=-a -b\n",
    }
    table = given(files).services[0].table
    assert table["command"] == ["/bin/sh", "-c", """set -f; exec /bin/x "${TOKEN}" a"${TOKEN}"b ${OPTS} '$OPTS'"""]
    assert "geheim" not in str(table)


def test_a_program_that_is_replaced_where_ours_has_marks(given: Given) -> None:
    found = given({"a.service": "[Service]\nExecStart=/bin/x {replica}\n"})
    assert any("{replica}" in loss.text for loss in found.losses)


TEMPLATE = "[Service]\nExecStart=/bin/x %i\n"


def test_an_instance_is_made_from_its_template(given: Given) -> None:
    found = given({"w@.service": TEMPLATE}, "w@1.service", "w@a\\x2db.service")
    assert [(one.name, one.table["command"]) for one in found.services] == [
        ("w-1", ["/bin/x", "1"]),
        ("w-a-x2db", ["/bin/x", "a\\x2db"]),
    ]
    assert "The service is called w-1: w@1 is not a valid name here." in [loss.text for loss in found.losses]


def test_a_link_stands_for_its_unit(given: Given, tmp_path: Path) -> None:
    """An alias has the name of the unit, and its drop-ins; an instance has its own name."""
    for folder in ("wants", "units"):
        (tmp_path / folder).mkdir()
    for link, target in (("alias", "real"), ("w@1", "w@")):
        (tmp_path / f"wants/{link}.service").symlink_to(tmp_path / f"units/{target}.service")
    found = given(
        {
            "units/real.service": "[Service]\nExecStart=/bin/x %n\n",
            "units/real.service.d/a.conf": "[Service]\nEnvironment=A=1\n",
            "units/w@.service": TEMPLATE,
            "wants/w@1.service.d/a.conf": "[Service]\nEnvironment=B=2\n",
        },
        "wants/alias.service",
        "wants/w@1.service",
    )
    alias, instance = (one.table for one in found.services)
    assert (alias["command"], alias["environment"]["A"]) == (["/bin/x", "real.service"], "1")
    assert (instance["command"], instance["environment"]["B"]) == (["/bin/x", "1"], "2")


def test_drop_ins_of_the_folders_of_the_system_count_together(tmp_path: Path) -> None:
    """/etc over /usr/lib by the name of the file, also that of a prefix, and `service.d` under all of them."""
    files = {
        "lib/d-x.service": "[Service]\nExecStart=/bin/x\n",
        "lib/d-x.service.d/1.conf": "[Service]\nEnvironment=ONE=lib\n",
        "lib/d-x.service.d/2.conf": "[Service]\nEnvironment=TWO=lib\n",
        "etc/d-x.service.d/1.conf": "[Service]\nEnvironment=ONE=etc\n",
        "lib/d-x.service.d/0.conf": "[Service]\nEnvironment=ZERO=exact\n",
        "etc/d-.service.d/0.conf": "[Service]\nEnvironment=ZERO=prefix\n",
        "etc/service.d/2.conf": "[Service]\nEnvironment=TWO=all\n",
        "etc/service.d/3.conf": "[Service]\nEnvironment=ONE=last\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "etc/d-x.service.d/4.conf").symlink_to("/dev/null")
    folders = (f"{tmp_path}/etc", f"{tmp_path}/lib")
    table = read([tmp_path / "lib/d-x.service"], {}, Manager(variables={}, folders=folders)).services[0].table
    assert table["environment"] == {"ZERO": "prefix", "ONE": "last", "TWO": "lib"}


def test_a_template_needs_an_instance(given: Given) -> None:
    with pytest.raises(ImportRefused, match="needs the name of an instance"):
        given({"w@.service": TEMPLATE}, "w@.service")
    default = given({"w@.service": f"{TEMPLATE}[Install]\nDefaultInstance=x\n"}, "w@.service")
    assert default.services[0].name == "w-x"


def test_names_that_clash_are_told_apart(given: Given) -> None:
    found = given(
        {"w@.service": TEMPLATE, "w-1.service": "[Service]\nExecStart=/bin/y\n"}, "w@1.service", "w-1.service"
    )
    assert [one.name for one in found.services] == ["w-1", "w-1-2"]
    assert {loss.service for loss in found.losses if "is called" in loss.text} == {"w-1", "w-1-2"}


ENABLED = "[Install]\nWantedBy=multi-user.target\n"


def unit(relations: str = "", service: str = "") -> str:
    return f"[Unit]\n{relations}\n[Service]\nExecStart=/bin/x\n{service}\n{ENABLED}"


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ("Requires=b.service\nAfter=b.service", ["b"]),
        ("BindsTo=b.service\nAfter=b.service", ["b"]),
        ("Wants=b.service\nAfter=b.service", [{"service": "b", "required": False}]),
        ("After=b.service", [{"service": "b", "required": False}]),
        ("Requires=b.service", [{"service": "b", "condition": "started"}]),
        ("Wants=b.service", None),
        ("After=b.service c.service\nRequires=b.service c.service\nAfter=a.service", ["b", "c"]),
        ("Requires=b.service\nBefore=b.service", None),
    ],
)
def test_what_units_need_of_each_other(given: Given, relations: str, expected: Any) -> None:
    found = given({"a.service": unit(relations), "b.service": unit(), "c.service": unit()})
    tables = {one.name: one.table for one in found.services}
    assert tables["a"].get("depends_on") == expected
    before = [{"service": "a", "required": False}] if "Before" in relations else None
    assert tables["b"].get("depends_on") == before


def test_a_circle_is_cut_where_it_is_weakest_and_told(given: Given) -> None:
    found = given(
        {
            "a.service": unit("After=b.service"),
            "b.service": unit("Requires=c.service\nAfter=c.service"),
            "c.service": unit("Requires=a.service\nAfter=a.service"),
        }
    )
    assert {one.name: one.table.get("depends_on") for one in found.services} == {"a": None, "b": ["c"], "c": ["a"]}
    assert told(found, "After") == [(Kind.CHANGED, 2, "b waits for a already, so this dependency is left out.")]


def test_a_unit_that_is_not_there_is_told(given: Given) -> None:
    found = given({"a.service": unit("After=network.target b.service\nRequires=c.service")})
    assert told(found, "After")[0][2] == "network.target and b.service are not among the units that were read."
    assert told(found, "Requires")[0][2] == "c.service is not among the units that were read."


def test_who_is_restarted_with_another(given: Given) -> None:
    files = {"a.service": unit("PartOf=b.service\nAfter=b.service"), "b.service": unit()}
    assert given(files).services[0].table["on_dependency_restart"] == "restart"
    files["a.service"] = unit("PartOf=b.service")
    assert "on_dependency_restart" not in given(files).services[0].table


def test_required_by_is_a_need_of_the_other(given: Given) -> None:
    text = "[Service]\nExecStart=/bin/x\n[Install]\nRequiredBy=a.service\n"
    found = given({"a.service": unit(), "b.service": text})
    assert found.services[0].table["depends_on"] == [{"service": "b", "condition": "started"}]
    found = given({"a.service": unit("After=b.service"), "b.service": text})
    assert found.services[0].table["depends_on"] == ["b"]


SOCKET = "[Socket]\nListenStream=8080\nListenStream=127.0.0.1:81\nListenStream=%t/a.sock\nListenStream=@a\n"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", ["tcp://0.0.0.0:8080?N", "tcp://[::]:8080?N", "tcp://127.0.0.1:81?N", "unix:/run/a.sock?mode=0666&N",
              "unix:@a?N"]),
        ("BindIPv6Only=ipv6-only\nFileDescriptorName=x\nSocketMode=0600\n",
         ["tcp://[::]:8080?name=x", "tcp://127.0.0.1:81?name=x", "unix:/run/a.sock?mode=0600&name=x",
          "unix:@a?name=x"]),
        ("ListenStream=\nListenStream=[::1]:5\nListenDatagram=5\nListenStream=vsock:2:3\n", ["tcp://[::1]:5?N"]),
        ("Accept=yes\n", None),
        ("ListenStream=\nListenStream=[::]:5\nListenStream=%z\nFileDescriptorName=a b\n",
         ["tcp://0.0.0.0:5", "tcp://[::]:5"]),
    ],
)  # fmt: skip
def test_a_socket_unit_beside_it(given: Given, more: str, expected: list[str] | None) -> None:
    found = given({"a.service": unit(), "a.socket": SOCKET + more})
    wanted = expected and [url.replace("?N", "?name=a.socket").replace("&N", "&name=a.socket") for url in expected]
    assert found.services[0].table.get("sockets") == wanted


def test_a_service_without_install_is_started_by_the_first_connection(given: Given) -> None:
    files = {"a.service": "[Service]\nExecStart=/bin/x\n", "a.socket": "[Socket]\nListenStream=/run/a\n"}
    for name in files:
        table = given(files, name).services[0].table
        assert table["sockets"] == ["unix:/run/a?mode=0666&name=a.socket&start=demand"]


def test_a_job_is_not_started_by_a_connection(given: Given) -> None:
    files = {"a.service": "[Service]\nType=oneshot\nExecStart=/bin/x\n", "a.socket": "[Socket]\nListenStream=/run/a\n"}
    found = given(files)
    assert found.services[0].table["sockets"] == ["unix:/run/a?mode=0666&name=a.socket"]
    assert told(found, "ListenStream")[0][2] == "A oneshot cannot be started by a connection here."


def test_a_timer_starts_nothing_here(given: Given) -> None:
    files = {"a.service": "[Service]\nType=oneshot\nExecStart=/bin/x\n", "a.timer": "[Timer]\nOnCalendar=daily\n"}
    for name in files:
        found = given(files, name)
        assert found.services[0].table["autostart"] is False
        assert any("no timed jobs" in loss.text for loss in found.losses)


def test_a_socket_or_a_timer_needs_its_service(given: Given) -> None:
    with pytest.raises(ImportRefused, match=r"b\.service, which it starts, is not beside it"):
        given({"a.timer": "[Timer]\nUnit=b.service\n"}, "a.timer")


@pytest.mark.parametrize(
    "text",
    [
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/true\n",
        "[Service]\nType=simple\nRemainAfterExit=yes\nExecStop=/bin/true\n",
        "[Unit]\nSuccessAction=exit\n",
    ],
)
def test_a_unit_that_runs_nothing_is_told(given: Given, text: str) -> None:
    found = given({"a.service": text, "b.service": unit("After=a.service")})
    assert [one.name for one in found.services] == ["b"]
    assert "The unit has no ExecStart=, so there is nothing to run." in [loss.text for loss in found.losses]


def test_another_kind_of_unit_is_told(given: Given) -> None:
    found = given({"a.service": unit(), "a.mount": "[Mount]\n"}, "a.service", "a.mount")
    assert [loss.text for loss in found.losses if loss.file.endswith(".mount")] == [
        "A .mount unit has no counterpart here."
    ]


def test_a_unit_gets_nothing_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "a.service").write_text(unit())
    found = read([tmp_path / "a.service"], {"SECRET": "1"})
    assert [one.name for one in found.services] == ["a"]
    assert "SECRET" not in found.services[0].table["environment"]


def test_a_unit_of_a_user_is_told(given: Given) -> None:
    found = given({"systemd/user/a.service": unit()})
    assert any("a system unit" in loss.text for loss in found.losses)


def test_an_account_that_lives_as_long_as_the_unit_becomes_nobody(service: Callable[..., dict[str, Any]]) -> None:
    table = service("DynamicUser=yes\nStateDirectory=x\nUser=own")
    assert (table["user"], table["no_new_privileges"]) == ("nobody", True)
    assert table["sandbox"] == {"private_tmp": True, "protect_system": "strict", "protect_home": "read-only"}
