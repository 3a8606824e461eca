"""Sandboxes of real processes: what they see, what they can change, and how a failure is told."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.linux import namespaces
from supervisor.adapters.linux.mounts import MountTable
from supervisor.adapters.processes.sandbox import prepare, refusal
from supervisor.adapters.processes.spawn import Spawner, reset_inherited_state
from supervisor.core.model.spec import ReadySpec, SandboxSpec, ServiceSpec

NOBODY = 65534
FULL = SandboxSpec(private_tmp=True, private_devices=True, protect_system="strict", protect_home="yes")
REFUSED = refusal(FULL)
pytestmark = pytest.mark.skipif(REFUSED != "", reason=f"a sandbox {REFUSED}")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as another user")

Say = Callable[..., str]


def spawned(pid: int, output: Path) -> str:
    assert os.waitpid(pid, 0)[1] == 0, output.read_text()
    return output.read_text()


def shell(script: str, sandbox: SandboxSpec | None, **keys: Any) -> ServiceSpec:
    given = {"directory": "/", **keys}
    return ServiceSpec(name="web", command=("sh", "-c", f"exec 2>&1; {script}; true"), sandbox=sandbox, **given)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory below /var/lib, which no table but `strict` protects."""
    if os.geteuid() != 0:
        pytest.skip("only root can write below /var/lib")
    directory = Path("/var/lib") / f"phi-test-{os.getpid()}"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(params=["forked", "apart"])
def say(request: pytest.FixtureRequest, tmp_path: Path) -> Say:
    """Run a script in a sandbox by both ways of starting a process; what it wrote."""
    reset_inherited_state()
    output = tmp_path / "output"

    def run(script: str, sandbox: SandboxSpec | None, **keys: Any) -> str:
        spawner = Spawner(os.environ, "id", str(tmp_path / "run" / "notify.sock"))
        spec = shell(script, sandbox, **keys)
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if request.param == "forked":
                return spawned(spawner.spawn(spec, "web", 1, fd), output)
            pid, report = spawner.spawn_apart(spec, "web", 1, fd)
            failure = os.read(report, 4096)
            os.close(report)
            if failure:
                os.waitpid(pid, 0)
                raise OSError(0, "", failure.partition(b" ")[2].decode())
            spawner.adjust(pid, spec)
            return spawned(pid, output)
        finally:
            os.close(fd)

    return run


def test_a_private_tmp_is_empty_and_leaves_nothing(say: Say) -> None:
    name = f"phi-{os.getpid()}"
    script = f"ls -A /tmp /var/tmp; touch /tmp/{name} /var/tmp/{name}; stat -c %a /tmp; ls -A /tmp"
    assert say(script, SandboxSpec(private_tmp=True)).split() == ["/tmp:", "/var/tmp:", "1777", name]
    assert not Path("/tmp", name).exists()
    assert not Path("/var/tmp", name).exists()


@pytest.mark.parametrize(
    ("protect", "places"),
    [
        ("yes", ["/usr", "/boot"]),
        ("full", ["/usr", "/boot", "/etc"]),
        ("strict", ["/usr", "/etc", "/", "/var", "/home"]),
    ],
)
def test_what_of_the_system_is_read_only(say: Say, protect: str, places: list[str]) -> None:
    for directory in filter(os.path.exists, places):
        said = say(f"touch {directory}/phi-test", SandboxSpec(protect_system=protect))
        assert "Read-only file system" in said, directory
        assert not Path(directory, "phi-test").exists()


def test_strict_leaves_the_kernels_file_systems_and_what_is_excepted(say: Say, place: Path) -> None:
    (place / "inner").mkdir()
    strict = SandboxSpec(protect_system="strict", read_write_paths=(str(place),), read_only_paths=(f"{place}/inner",))
    said = say(f"echo x >/dev/shm/phi-$$ && rm /dev/shm/phi-$$; touch {place}/mine; touch {place}/inner/no", strict)
    assert said.count("Read-only") == 1
    assert f"{place}/inner/no" in said
    assert (place / "mine").exists()


def test_a_mount_within_a_read_only_tree_is_read_only_too(say: Say, place: Path) -> None:
    """MS_REMOUNT would make only the outer one so."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "phi", str(place)], check=False).returncode:
        pytest.skip("needs a mount")
    try:
        for sandbox in (SandboxSpec(read_only_paths=("/var/lib",)), SandboxSpec(protect_system="strict")):
            assert "Read-only file system" in say(f"touch {place}/x", sandbox)
    finally:
        subprocess.run(["umount", str(place)], check=True)


@ROOT
@pytest.mark.parametrize(
    ("protect", "seen"),
    [
        ("yes", "cannot open directory"),
        ("tmpfs", "0\n"),
        ("read-only", "1\n"),
    ],
)
def test_homes(say: Say, protect: str, seen: str) -> None:
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if protect == "yes" else {}
    mine = Path(f"/root/phi-test-{os.getpid()}")
    mine.touch()
    try:
        said = say(f"ls /root | grep -c -x {mine.name}; touch /root/x", SandboxSpec(protect_home=protect), **user)
    finally:
        mine.unlink()
    assert seen in said
    assert said.rstrip().endswith("Read-only file system" if protect != "yes" else "Permission denied")


def test_a_private_dev_has_what_every_program_may_use(say: Say) -> None:
    script = (
        "ls /dev; echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; "
        "test -w /dev/stdout && echo end; touch /dev/x"
    )
    lines = say(script, SandboxSpec(private_devices=True)).splitlines()
    names = lines[: lines.index("3")]
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "fd", "stdin", "stdout", "stderr"} <= {
        *names
    }
    assert {*names} <= {
        "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "mqueue", "hugepages", "log",
        "fd", "stdin", "stdout", "stderr", "core",
    }  # fmt: skip
    assert lines[lines.index("3") :][:3] == ["3", "3", "end"]
    assert "Read-only file system" in lines[-1]


def test_a_private_dev_has_terminals(say: Say) -> None:
    script = "import os; a, b = os.openpty(); os.write(b, b'x'); print(os.ttyname(b), os.read(a, 1))"
    assert say(f'{sys.executable} -I -c "{script}"', SandboxSpec(private_devices=True)) == "/dev/pts/0 b'x'\n"


@ROOT
def test_root_cannot_make_a_device_again(say: Say, place: Path) -> None:
    said = say(f"mknod {place}/sda b 8 0", SandboxSpec(private_devices=True))
    assert "Operation not permitted" in said


@ROOT
def test_hidden_paths(say: Say, place: Path) -> None:
    (place / "secret").write_text("secret")
    (place / "inner" / "shown").mkdir(parents=True)
    file = SandboxSpec(inaccessible_paths=(f"{place}/secret",))
    assert say(f"cat {place}/secret; echo no >{place}/secret; ls {place}", file).split() == ["inner", "secret"]
    assert (place / "secret").read_text() == "secret"
    sandbox = SandboxSpec(inaccessible_paths=(str(place),), read_write_paths=(f"{place}/inner/shown",))
    said = say(f"cat {place}/secret || ls {place}; touch {place}/inner/shown/x; touch {place}/x", sandbox)
    assert said.splitlines()[1:2] == ["inner"]
    assert "Read-only" in said
    assert (place / "inner" / "shown" / "x").exists()


@ROOT
def test_links_are_followed_when_it_starts(say: Say, place: Path) -> None:
    (place / "one").mkdir()
    (place / "current").symlink_to("one")
    sandbox = SandboxSpec(protect_system="strict", read_write_paths=(f"{place}/current",))
    say(f"touch {place}/one/x {place}/current/y", sandbox)
    assert {path.name for path in (place / "one").iterdir()} == {"x", "y"}


def test_the_directory_is_the_one_within(say: Say, place: Path) -> None:
    """A directory that was entered before would stay writable."""
    said = say("pwd; touch x", SandboxSpec(protect_system="strict"), directory=str(place))
    assert said.startswith(f"{place}\n")
    assert "Read-only" in said


def test_the_notify_socket_is_seen_whatever_is_hidden(say: Say, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notify.sock").touch()
    (tmp_path / "other").touch()
    script = f'test "$NOTIFY_SOCKET" && ls {tmp_path} {tmp_path}/run; touch {tmp_path}/run/x'
    said = say(script, SandboxSpec(private_tmp=True, inaccessible_paths=(str(tmp_path),)), ready=ReadySpec(notify=True))
    assert "notify.sock" in said
    assert "Read-only" in said
    assert "other" not in said
    silent = say(f"ls {tmp_path}", SandboxSpec(private_tmp=True))
    assert "No such file" in silent, "without a need it is hidden, too"


@ROOT
def test_another_user_with_fewer_privileges(say: Say) -> None:
    keys: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": (), "no_new_privileges": True}
    said = say("id -u; grep -E 'CapEff|NoNewPrivs' /proc/self/status; touch /tmp/x && echo made", FULL, **keys)
    assert said.split() == [str(NOBODY), "CapEff:", "0" * 16, "NoNewPrivs:", "1", "made"]


def test_the_umask_is_the_services(say: Say) -> None:
    assert say("umask", FULL, umask=0o27) == "0027\n"


def test_few_descriptors_suffice(say: Say) -> None:
    limits = (("nofile", 20),)
    assert say("until test $(ulimit -n) = 20; do :; done; echo ok", FULL, limits=limits) == "ok\n"


def test_what_is_mounted_within_is_not_seen_outside(say: Say) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    say("true", FULL)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_failure_says_what_failed(say: Say) -> None:
    with pytest.raises(OSError) as caught:
        say("true", SandboxSpec(read_only_paths=("/no/such",)))
    assert caught.value.filename == "sandbox: open /no/such"


def test_a_hidden_path_that_is_missing_is_not_made(say: Say) -> None:
    with pytest.raises(OSError) as caught:
        say("true", SandboxSpec(inaccessible_paths=("/no-such-phi",)))
    assert caught.value.filename == "sandbox: mount /no-such-phi"
    assert not Path("/no-such-phi").exists()


def test_a_link_to_the_root_hides_nothing_in_silence(say: Say, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(OSError) as caught:
        say("true", SandboxSpec(inaccessible_paths=(f"{tmp_path}/link",)))
    assert caught.value.filename == "sandbox: mount /"


def test_a_directory_that_is_hidden_cannot_be_entered(say: Say, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        say("true", SandboxSpec(private_tmp=True, inaccessible_paths=(str(tmp_path),)), directory=str(tmp_path / "x"))
    assert caught.value.filename == str(tmp_path / "x")


def test_paths_on_a_silent_file_system_are_left_to_another_process(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 0 8:1 / / rw - ext4 /dev/x rw\n2 1 0:9 / /net rw - nfs server:/ rw\n")
    spawner = Spawner(os.environ, "id", "/run/x/notify.sock")
    spawner._mounts = MountTable(str(table))
    sandbox = SandboxSpec(protect_system="strict", read_only_paths=("/net/data",))
    assert spawner.remote(shell("true", sandbox)) == "/net"
    assert spawner.remote(shell("true", SandboxSpec(protect_system="strict"))) is None


AS_USER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from supervisor.adapters.processes.sandbox import refusal
from supervisor.adapters.processes.spawn import Spawner, reset_inherited_state
from supervisor.core.model.spec import SandboxSpec, ServiceSpec
full = SandboxSpec(private_tmp=True, private_devices=True, protect_system="strict", protect_home="yes")
print(refusal(full), flush=True)
script = "id -u; id -g; touch /tmp/x && ls -A /tmp; touch /etc/x; ls /home; grep CapEff /proc/self/status"
spec = ServiceSpec(name="web", command=("sh", "-c", script + "; true"), directory="/", sandbox=full)
reset_inherited_state()
os.waitpid(Spawner(os.environ, "id", "/x/notify.sock").spawn(spec, "web", 1, 1), 0)
"""


@ROOT
def test_without_root_in_a_user_namespace() -> None:
    root = Path(__file__).parents[3]
    argv = ["/usr/bin/python3", "-c", AS_USER, str(root)]
    identity: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    if subprocess.run(["test", "-r", str(root)], check=False, **identity).returncode:
        pytest.skip("another user cannot read this checkout")
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/", **identity)
    first, *lines = (done.stdout + done.stderr).splitlines()
    if first:
        assert "needs root, or user namespaces" in first
        pytest.skip(first)
    assert lines[:3] == [str(NOBODY), str(NOBODY), "x"]
    assert "/etc/x': Read-only file system" in done.stdout
    assert "Permission denied" in done.stdout
    assert "CapEff:\t0000000000000000" in lines


@ROOT
def test_a_root_that_may_not_mount_is_told_so() -> None:
    script = "from tests.adapters.processes.test_sandbox import REFUSED; print(REFUSED)"
    bare = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable, "-c", script]
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux)")
    done = subprocess.run(bare, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout == (
        "needs CAP_SYS_ADMIN, which this host does not give to the daemon (namespace: Operation not permitted)\n"
    )


def test_the_steps_are_decided_before(tmp_path: Path) -> None:
    """A table of what is prepared for a directory, a file and a place within a hidden directory."""
    (tmp_path / "hidden" / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").touch()
    root = os.fsencode(os.path.realpath(tmp_path))
    sandbox = SandboxSpec(
        inaccessible_paths=(f"{tmp_path}/hidden", f"{tmp_path}/file"), read_only_paths=(f"{tmp_path}/hidden/a/b",)
    )
    prepared = prepare(sandbox)
    assert [(type(step).__name__, *step) for step in prepared.steps] == [
        ("_Tree", b"/dev/null", True, root + b"/file", None),
        ("_New", b"tmpfs", root + b"/hidden", b"mode=0711", 14, None),
        ("_Tree", root + b"/hidden/a/b", True, root + b"/hidden/a/b", (root + b"/hidden/a",)),
    ]
    assert prepared.sealed == (root + b"/hidden",)
    assert not prepared.all_read_only


@pytest.mark.parametrize(
    ("user", "number", "reason"),
    [
        (1000, errno.EPERM, "needs root, or user namespaces, which this host refuses (namespace: {})"),
        (1000, errno.ENOSPC, "needs root, or user namespaces, which this host refuses (namespace: {})"),
        (0, errno.EPERM, "needs CAP_SYS_ADMIN, which this host does not give to the daemon (namespace: {})"),
        (0, errno.ENOSYS, "needs Linux 5.12, or its system calls are filtered here (namespace: {})"),
        (0, errno.ENOMEM, "cannot be made here (namespace: {})"),
    ],
)
def test_why_a_host_refuses(monkeypatch: pytest.MonkeyPatch, user: int, number: int, reason: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(namespaces, "leave_mount_namespace", refuse)
    monkeypatch.setattr(namespaces, "leave_user_and_mount_namespace", refuse)
    assert refusal(FULL) == reason.format(os.strerror(number))
