"""Spawns that need more than Popen: inherited sockets, fewer privileges; and that nothing else differs from Popen's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.spawn import Spawner, reset_inherited_state
from supervisor.config.schema.capabilities import NAMES
from supervisor.core.model.spec import ServiceSpec, SocketSpec

NOBODY = 65534
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up what only root has")
FRONT, ADMIN = SocketSpec(url="tcp://127.0.0.1:1"), SocketSpec(url="unix:/x", label="admin")


def run(tmp_path: Path, *command: str, handed: tuple[int, ...] = (), **keys: Any) -> tuple[int, str]:
    """Spawn, wait; the wait status and what it wrote."""
    reset_inherited_state()
    spec = ServiceSpec(name="web", command=command, **keys)
    output = tmp_path / "output"
    fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        pid = Spawner(os.environ, "id", "/notify").spawn(spec, "web", 1, fd, handed)
    finally:
        os.close(fd)
    return os.waitpid(pid, 0)[1], output.read_text()


def status(tmp_path: Path, **keys: Any) -> dict[str, str]:
    """/proc/self/status of a child."""
    code, text = run(tmp_path, "cat", "/proc/self/status", **keys)
    assert code == 0
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def mask(*names: str) -> str:
    return f"{sum(1 << NAMES.index(n) for n in names):016x}"


def test_sockets_begin_at_three_and_the_environment_says_whose_they_are(tmp_path: Path) -> None:
    script = "echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$ && readlink /proc/$$/fd/3 /proc/$$/fd/4"
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        handed = (two.fileno(), one.fileno())
        code, text = run(tmp_path, "sh", "-c", script, handed=handed, sockets=(FRONT, ADMIN))
        inodes = [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in handed]
    assert code == 0
    assert text.split() == ["2", "web:admin", *inodes]


def test_only_what_is_handed_over_is_open(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    fd = os.open(tmp_path / "other", os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0)) as one:
        _, text = run(tmp_path, "sh", "-c", "ls /proc/$$/fd", handed=(one.fileno(),), sockets=(FRONT,))
    os.close(fd)
    assert text.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("keys", [{}, {"no_new_privileges": True}], ids=["popen", "fork"])
def test_an_environment_that_is_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    for name in ("PHI_A", "PHI_B", "PHI_C"):
        monkeypatch.setenv(name, "daemon")
    own: dict[str, Any] = {"environment": (("PHI_C", "own"),)}
    given = {"SUPERVISOR_ID", "SUPERVISOR_SERVICE", "SUPERVISOR_INSTANCE", "SUPERVISOR_INCARNATION"}

    def names(**more: Any) -> set[str]:
        code, text = run(tmp_path, "/usr/bin/env", **own, **more, **keys)
        assert code == 0
        assert "PHI_C=own" in text
        return {line.partition("=")[0] for line in text.splitlines()}

    assert names(inherit_environment=()) == {"PATH", "PHI_C", *given}
    assert names(inherit_environment=("PHI_A", "PHI_C")) == {"PATH", "PHI_A", "PHI_C", *given}
    assert names(inherit_environment=("PHI_A",), unset_environment=("PATH", "PHI_C")) == {"PHI_A", "PHI_C", *given}
    assert {"PHI_B", "PATH"} <= names(unset_environment=("PHI_A",))
    assert "PHI_A" not in names(unset_environment=("PHI_A",))


@pytest.mark.parametrize("keys", [{}, {"no_new_privileges": True}], ids=["popen", "fork"])
def test_soft_and_hard_limits_apart(tmp_path: Path, keys: dict[str, Any]) -> None:
    limits: dict[str, Any] = {
        "limits": (("core", 0), ("nofile", 100), ("cpu", 5)),
        "hard_limits": (("nofile", 200), ("cpu", 9)),
    }
    # limits are set right after the spawn, so the shell waits for them
    code, text = run(
        tmp_path, "sh", "-c", "until test $(ulimit -H -t) = 9; do :; done; ulimit -a -S; ulimit -a -H", **limits, **keys
    )
    assert code == 0
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("nofiles")] == ["100", "200"]
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("coredump")] == ["0", "0"]
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("time")] == ["5", "9"]


@pytest.mark.parametrize("keys", [{}, {"no_new_privileges": True}], ids=["popen", "fork"])
def test_a_limit_of_descriptors_below_those_of_the_daemon(tmp_path: Path, keys: dict[str, Any]) -> None:
    """A low number may be free, so that the output gets it, while all others below the limit are taken."""
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(120)]
    os.close(taken.pop(0))
    try:
        script = "until test $(ulimit -S -n) = 100; do :; done; echo set"
        assert run(tmp_path, "sh", "-c", script, limits=(("nofile", 100),), **keys) == (0, "set\n")
    finally:
        for fd in taken:
            os.close(fd)


@pytest.mark.parametrize("keys", [{}, {"no_new_privileges": True}], ids=["popen", "fork"])
def test_both_ways_start_it_alike(tmp_path: Path, keys: dict[str, Any]) -> None:
    script = "import os, sys; print(os.getcwd(), oct(os.umask(0)), os.getsid(0) == os.getpid(), sys.argv[1:])"
    directory = tmp_path / "in"
    directory.mkdir()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    command = (sys.executable, "-c", script, "a b")
    code, text = run(tmp_path, *command, directory=str(directory), umask=0o27, **keys)
    assert (code, text) == (0, f"{directory} 0o27 True ['a b']\n")
    found = status(tmp_path, **keys)
    assert (found["SigBlk"], int(found["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1)) == ("0" * 16, 0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.parametrize("keys", [{}, {"no_new_privileges": True}], ids=["popen", "fork"])
@pytest.mark.parametrize(
    ("command", "directory", "words"),
    [
        (("no-such-program",), None, "[Errno 2] No such file or directory: 'no-such-program'"),
        (("/etc/passwd",), None, "[Errno 13] Permission denied: '/etc/passwd'"),
        (("/etc/passwd/x",), None, "[Errno 20] Not a directory: '/etc/passwd/x'"),
        (("true",), "/no/such", "[Errno 2] No such file or directory: '/no/such'"),
    ],
)
def test_both_ways_fail_alike(
    tmp_path: Path, command: tuple[str, ...], directory: str | None, words: str, keys: dict[str, Any]
) -> None:
    before = set(procfs.children(os.getpid()))
    with pytest.raises(OSError, match="Errno") as caught:
        run(tmp_path, *command, directory=directory, **keys)
    assert str(caught.value) == words
    assert set(procfs.children(os.getpid())) <= before, "not even a zombie"


def test_no_new_privileges(tmp_path: Path) -> None:
    assert status(tmp_path)["NoNewPrivs"] == "0"
    assert status(tmp_path, no_new_privileges=True)["NoNewPrivs"] == "1"


@ROOT
@pytest.mark.parametrize("keys", [{}, {"no_new_privileges": True}], ids=["popen", "fork"])
def test_another_user_has_nothing_of_root(tmp_path: Path, keys: dict[str, Any]) -> None:
    found = status(tmp_path, user=NOBODY, group=NOBODY, extra_groups=(), **keys)
    assert found["Uid"].split() == found["Gid"].split() == [str(NOBODY)] * 4
    assert found["Groups"].split() == []
    assert found["CapEff"] == found["CapPrm"] == found["CapAmb"] == mask()


@ROOT
def test_root_that_can_only_bind_low_ports(tmp_path: Path) -> None:
    found = status(tmp_path, capabilities=(NAMES.index("NET_BIND_SERVICE"),))
    assert found["CapBnd"] == found["CapEff"] == found["CapPrm"] == mask("NET_BIND_SERVICE")
    assert status(tmp_path, capabilities=())["CapEff"] == mask()


@ROOT
def test_another_user_that_can_bind_low_ports(tmp_path: Path) -> None:
    one = (NAMES.index("NET_BIND_SERVICE"),)
    keys: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": (), "ambient_capabilities": one}
    found = status(tmp_path, capabilities=one, no_new_privileges=True, **keys)
    assert found["CapBnd"] == found["CapEff"] == found["CapAmb"] == mask("NET_BIND_SERVICE")


def test_names_of_capabilities_are_the_kernels() -> None:
    """Numbers are the kernel's: CAP_LAST_CAP may be newer than the list, but the order of older names is fixed."""
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("needs the kernel's headers (linux-libc-dev)")
    words = [line.split() for line in header.read_text().splitlines() if line.startswith("#define CAP_")]
    theirs = {w[1].removeprefix("CAP_"): int(w[2]) for w in words if len(w) > 2 and w[2].isdecimal()}
    assert {n: NAMES.index(n) for n in NAMES if n in theirs} == {n: v for n, v in theirs.items() if n in NAMES}
    assert len(theirs.keys() & set(NAMES)) > 30


def test_a_spawn_leaves_nothing_open(tmp_path: Path) -> None:
    run(tmp_path, "true", no_new_privileges=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run(tmp_path, "true", no_new_privileges=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert subprocess.run(["true"], check=True).returncode == 0


BESIDE_THREADS = """
import gc, importlib, os, random, resource, signal, socket, sqlite3, sys, threading, zlib
from supervisor.adapters.linux import capabilities
from supervisor.adapters.processes.fork_exec import fork_exec
from supervisor.core.model.spec import ServiceSpec

PARENT = os.getpid()
stop = threading.Event()
lock = threading.RLock()

class Garbage:
    def __init__(self):
        self.itself = self
    def __del__(self):
        if os.getpid() != PARENT:
            os.write(2, b"a finalizer ran in the child\\n")

def compress():
    packer = zlib.compressobj()
    packer.compress(os.urandom(200_000))
    packer.flush()

def allocate():
    for n in range(50):
        Garbage()
        bytearray(1 << (n % 20))

def load():
    sys.modules.pop("this_is_imported", None)
    importlib.invalidate_caches()
    import this_is_imported

def hold():
    with lock, open(os.devnull, "w") as file:
        file.write("x" * 100_000)
        print("x" * 10_000, file=file)

def look_up():
    socket.getaddrinfo(b"localhost", None)

def keep_books():
    db = sqlite3.connect(sys.argv[1] + "/ledger")
    db.execute("CREATE TABLE IF NOT EXISTS t (x)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    db.close()

def go_on(work, begun):
    while not stop.is_set():
        work()
        begun.set()

sys.path.insert(0, sys.argv[1])
threads = []
for work in (compress, allocate, load, hold, look_up, keep_books):
    begun = threading.Event()
    threads.append(threading.Thread(target=go_on, args=(work, begun)))
    threads[-1].start()
    begun.wait()
gc.set_threshold(20)  # the child would collect too, were that not prevented
sys.setswitchinterval(0.0002)
gc.enable()
null = os.open(os.devnull, os.O_RDWR)
listener = socket.create_server(("127.0.0.1", 0))
rest = {"capabilities": (), "no_new_privileges": True} if os.geteuid() == 0 else {"no_new_privileges": True}
program = ServiceSpec(name="web", command=("true",), directory="/", umask=0o27, **rest)
missing = ServiceSpec(name="web", command=("no-such-program",), **rest)
env = {os.fsencode(k): os.fsencode(v) for k, v in os.environ.items()}
reached = 0
for n in range(int(sys.argv[2])):
    pid = fork_exec(program, env, null, null, [listener.fileno()] * (n % 3))
    reached += os.waitpid(pid, 0)[1] == 0
    if n % 10 == 0:
        try:
            fork_exec(missing, env, null, null, ())
        except FileNotFoundError:
            reached += 1
listener.close()
assert gc.isenabled()
stop.set()
for thread in threads:
    thread.join()
print(reached)
"""


def test_every_child_reaches_its_exec_beside_busy_threads(tmp_path: Path) -> None:
    """Threads compress, allocate, import, hold locks, resolve names and write a database while children are forked."""
    (tmp_path / "this_is_imported.py").write_text("import json.tool\n" + "x = [n for n in range(1000)]\n" * 20)
    argv = [sys.executable, "-W", "always", "-c", BESIDE_THREADS, str(tmp_path), "200"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            output, errors = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            hung = [process.pid, *procfs.descendants(process.pid)]
            for pid in hung:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"{len(hung) - 1} children did not reach their exec")
    assert (process.returncode, output, errors) == (0, "220\n", "")
