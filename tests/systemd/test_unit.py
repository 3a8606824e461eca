"""The unit that `supervisor systemd` prints: it fits the plan, and systemd accepts it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from supervisor.config.export.systemd_unit import stop_time, unit, words
from supervisor.core.model.spec import Plan, ServiceSpec, SocketSpec, SupervisorSpec

PYTHON = ["/opt/venv/bin/python", "-P", "-m", "supervisor"]
HERE = Path(__file__).parents[2]


def service(name: str = "web", **fields: object) -> ServiceSpec:
    return ServiceSpec(name=name, command=("x",), directory="/srv", **fields)  # type: ignore[arg-type]


def made(
    *services: ServiceSpec, path: str = "/srv/services.toml", place: SupervisorSpec | None = None, **more: object
) -> list[str]:
    own = place or SupervisorSpec(name="shop", runtime_dir="/run/supervisor/shop", state_dir="/var/lib/supervisor/shop")
    options = {"user": False, "version": 252, "places": (True, True)} | more
    plan = Plan(supervisor=own, services=services or (service(),), path=path)
    return unit(plan, PYTHON, **options).splitlines()  # type: ignore[arg-type]


def value(lines: list[str], key: str) -> str | None:
    found = [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]
    assert len(found) <= 1
    return found[0] if found else None


def test_every_directive_is_explained() -> None:
    """A comment stands above each group within [Service]."""
    lines = made()
    service_part = lines[lines.index("[Service]") + 1 : lines.index("[Install]")]
    assert service_part[0].startswith("#")
    for before, line in pairwise(service_part):
        if line.startswith(("UMask", "Protect", "NoNew", "Restrict", "Lock")):
            assert before.startswith("#")


def test_what_an_operator_relies_on() -> None:
    lines = made()
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "ExecStart": "/opt/venv/bin/python -P -m supervisor run -f /srv/services.toml",
        "ExecReload": "/opt/venv/bin/python -P -m supervisor reload --socket %t/supervisor/shop/control.sock",
        "Restart": "on-failure",
        "KillMode": "process",
        "WatchdogSignal": "SIGKILL",
        "Delegate": "yes",
        "OOMPolicy": "continue",
        "RuntimeDirectory": "supervisor/shop",
        "RuntimeDirectoryMode": "0700",
        "RuntimeDirectoryPreserve": "restart",
        "StateDirectory": "supervisor/shop",
        "UMask": "0077",
        "ProtectSystem": "true",
        "NoNewPrivileges": "yes",
        "WantedBy": "multi-user.target",
        "DelegateSubgroup": None,
    }
    assert {key: value(lines, key) for key in expected} == expected


def test_newer_ones_put_the_supervisor_aside() -> None:
    assert value(made(version=254), "DelegateSubgroup") == "supervisor"


def test_a_users_own() -> None:
    lines = made(user=True)
    gone = ("OOMScoreAdjust", "StateDirectory", "NoNewPrivileges", "ProtectSystem", "UMask")
    assert [value(lines, key) for key in gone] == [None] * len(gone)
    assert value(lines, "RuntimeDirectory") == "supervisor/shop"
    assert value(lines, "WantedBy") == "default.target"


def test_directories_of_ones_own() -> None:
    place = SupervisorSpec(name="shop", runtime_dir='/srv/a "run" $5 100%', state_dir="/srv/state")
    lines = made(place=place, places=(False, False))
    assert (value(lines, "RuntimeDirectory"), value(lines, "StateDirectory")) == (None, None)
    assert str(value(lines, "ExecReload")).endswith(r'--socket "/srv/a \"run\" $$5 100%%/control.sock"')


def test_a_group_that_may_come_in_keeps_its_directory() -> None:
    place = SupervisorSpec(name="shop", runtime_dir="/run/supervisor/shop", state_dir="/s", group=100)
    assert value(made(place=place), "RuntimeDirectory") is None


def test_sandboxing_leaves_services_what_they_need() -> None:
    lines = made(service(user=33))
    assert value(lines, "NoNewPrivileges") is None
    assert value(lines, "RuntimeDirectoryMode") == "0711"
    assert value(made(service(limits=(("rtprio", 10),))), "RestrictRealtime") is None
    assert value(made(service(limits=(("rtprio", 0),))), "RestrictRealtime") == "yes"
    below = ServiceSpec(name="x", command=("x",), directory="/usr/local/x")
    assert value(made(below), "ProtectSystem") is None
    place = SupervisorSpec(name="shop", runtime_dir="/run/x", state_dir="/usr/local/state")
    assert value(made(place=place, places=(False, False)), "ProtectSystem") is None


def test_what_outlives_us_keeps_its_pipe() -> None:
    assert value(made(service(detach=True)), "RuntimeDirectoryPreserve") == "yes"


def test_the_end_may_take_as_long_as_the_longest_chain() -> None:
    chain = (service("a", stop_timeout=30.0), service("b", stop_timeout=20.0, depends_on=("a",)))
    alone, both, beside = (
        stop_time(Plan(supervisor=SupervisorSpec(), services=services))
        for services in (chain[:1], chain, (chain[0], service("c", stop_timeout=5.0)))
    )
    assert alone == beside > 30
    assert both > alone + 20
    assert value(made(*chain), "TimeoutStopSec") == f"{round(both)}s"


def test_the_store_and_the_limits_grow_with_the_plan() -> None:
    many = service(replicas=100_000, sockets=(SocketSpec(url="unix:@x"),))
    assert int(str(value(made(many), "FileDescriptorStoreMax"))) > 200_000
    assert value(made(many), "LimitNOFILE") == f"1024:{4 * 300_256}"
    assert value(made(), "LimitNOFILE") == "1024:524288"


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/plain/path-1.toml", "/plain/path-1.toml"),
        ("two words", '"two words"'),
        ("50%", "50%%"),
        ("$HOME", '"$$HOME"'),
        ('say "it"', r'"say \"it\""'),
        ("back\\slash", r'"back\\slash"'),
        ("it's", '"it\'s"'),
        ("semi;colon", '"semi;colon"'),
        ("über", '"über"'),
        ("", '""'),
    ],
)
def test_words_are_quoted(word: str, written: str) -> None:
    assert words(["/bin/x", word]) == f"/bin/x {written}"


def test_what_cannot_be_written_is_refused() -> None:
    for command in (["/opt/$x/python"], ["/bin/x", "a\nb"]):
        with pytest.raises(ValueError):
            words(command)


def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor", "systemd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize("user", [False, True])
def test_systemd_has_nothing_to_say_about_it(tmp_path: Path, user: bool) -> None:
    odd = tmp_path / 'a $folder of 100% "odd" things\\n'
    odd.mkdir()
    shutil.copy(HERE / "services.toml", odd)
    shutil.copytree(HERE / "examples", odd / "examples")
    done = printed("-f", str(odd / "services.toml"), *(["--user"] if user else []))
    assert done.returncode == 0, done.stderr
    assert verdict(tmp_path, done.stdout, user) == []
    assert len(verdict(tmp_path, done.stdout + "\n[Service]\nNoSuchKey=1\n", user)) == 1


def verdict(folder: Path, unit: str, user: bool) -> list[str]:
    """What systemd says of the unit.  It also reads the other units of the host, and says what is wrong with them."""
    file = folder / "supervisor-demo.service"
    file.write_text(unit)
    verify = ["systemd-analyze", *(["--user"] if user else []), "verify", str(file)]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(folder)}
    done = subprocess.run(verify, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [line for line in (done.stdout + done.stderr).splitlines() if file.name in line]


def test_it_is_a_file_as_it_stands_and_names_its_place() -> None:
    done = printed("-f", str(HERE / "services.toml"))
    assert done.stdout.startswith("# supervisor systemd")
    assert re.search(r"/etc/systemd/system/supervisor-[\w.-]+\.service\n", done.stdout)
    assert shlex.quote(sys.executable) in done.stdout


def test_an_error_in_the_file_is_told_as_ever(tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text("nonsense = 1\n")
    done = printed("-f", str(tmp_path / "services.toml"))
    assert (done.returncode, done.stdout) == (2, "")
