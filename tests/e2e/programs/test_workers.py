"""One worker of php-fpm, puma, uvicorn, gunicorn or rq hangs or is stopped; it alone is ended, and another comes.

The servers are told nothing but what their documentation offers; healthy workers and long requests stay.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.ports import free_port
from supervisor import integrations
from supervisor.integrations import php_fpm
from tests.e2e.conftest import ROOT, Daemon
from tests.e2e.hangs.test_probes import until
from tests.e2e.hangs.test_processes import APP, get, note, of_process
from tests.e2e.programs.test_real_programs import program

Make = Callable[..., Daemon]


def heartbeat(**keys: str) -> str:
    usual = {"source": "notify", "scope": "process", "interval": "300ms", "min_timeout": "1s", "max_timeout": "2s"}
    table = {"on_suspect": "kill-process"} | usual | keys
    return "[services.app.heartbeat]\n" + "\n".join(f"{key} = {_toml(value)}" for key, value in table.items()) + "\n"


def _toml(value: str) -> str:
    return value if value.startswith("[") else f'"{value}"'


def helper(name: str, *arguments: str) -> dict[str, str]:
    command = [sys.executable, "-m", f"supervisor.integrations.{name}", *arguments]
    return {"source": "exec", "exec": repr(command), "probe_timeout": "10s"}


def beating(d: Daemon, count: int) -> set[int]:
    """The pids of so many processes that beat."""
    until(lambda: len(d.status("app").get("processes", [])) == count)
    return {row["pid"] for row in d.status("app")["processes"]}


def ended_alone(d: Daemon, workers: set[int], pid: int | None = None) -> int:
    """Wait until one worker is ended and replaced; the others and the master are the same as before."""
    ended: int = note(d, "process-ended")["process"]
    assert ended == pid if pid is not None else ended in workers
    replaced = note(d, "process-replaced")
    assert replaced["instead_of"] == ended
    now = d.status("app")
    assert now["incarnation"] == 1
    assert workers - {ended} <= {row["pid"] for row in now["processes"]}, "a healthy one was ended"
    return ended


# -- php-fpm ---------------------------------------------------------------------------------------------------------

PHP = """
[global]
error_log = /dev/stderr
daemonize = no
[www]
listen = {sock}
pm = static
pm.max_children = 2
pm.status_path = /status
{more}
"""
SLOW = "<?php usleep((int) ($_SERVER['HTTP_MICROSECONDS'] ?? 0)); echo getmypid();"


def fpm(daemon: Make, directory: Path, *arguments: str, more: str = "") -> tuple[Daemon, str, str]:
    """php-fpm with two children: the daemon, its socket, and a script."""
    exe = next((found for found in Path("/usr/sbin").glob("php-fpm*")), None)
    if exe is None:
        pytest.skip("php-fpm is not installed")
    sock, status, script = directory / "fpm.sock", directory / "status.sock", directory / "slow.php"
    script.write_text(SLOW)
    (directory / "fpm.conf").write_text(PHP.format(sock=sock, more=f"pm.status_listen = {status}\n{more}"))
    told = helper("php_fpm", str(status), "/status", *arguments)
    d = daemon(f"""
[services.app]
command = ["{exe}", "-F", "-R", "-n", "-y", "{directory}/fpm.conf"]
ready = {{ tcp = "unix:{sock}", interval = "100ms" }}
stop_timeout = "1s"
{heartbeat(**told)}
""")
    d.event("app", "running", "ready")
    return d, str(sock), str(script)


def request(sock: str, script: str, microseconds: int) -> socket.socket:
    """A request of a web server; what comes back is not read."""
    values = {"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": script, "SCRIPT_NAME": script}
    values["HTTP_MICROSECONDS"] = str(microseconds)
    client = socket.socket(socket.AF_UNIX)
    client.connect(sock)
    client.sendall(php_fpm.question(values))
    return client


def test_one_of_two_children_of_php_fpm_is_stopped(daemon: Make, tmp_path: Path) -> None:
    """php-fpm itself never sees that, and its status page goes on to call the child idle."""
    d, _, _ = fpm(daemon, tmp_path)
    children = beating(d, 2)
    os.kill(stopped := min(children), signal.SIGSTOP)
    ended_alone(d, children, stopped)


def test_both_children_of_php_fpm_are_stopped(daemon: Make, tmp_path: Path) -> None:
    d, _, _ = fpm(daemon, tmp_path)
    children = beating(d, 2)
    for child in children:
        os.kill(child, signal.SIGSTOP)
    assert {note(d, "process-ended")["process"] for _ in children} == children
    until(lambda: len({row["pid"] for row in d.status("app")["processes"]} - children) == 2)
    assert d.status("app")["incarnation"] == 1


def test_a_request_of_php_fpm_hangs_and_a_long_one_does_not(daemon: Make, tmp_path: Path) -> None:
    """A second and a half is within the limit of three; the other request never ends."""
    d, sock, script = fpm(daemon, tmp_path, "--longest", "3")
    children = beating(d, 2)
    with request(sock, script, 600_000_000):
        with request(sock, script, 1_500_000) as long:
            until(lambda: any("slow.php" in (row["doing"] or "") for row in d.status("app")["processes"]))
            healthy = int(php_fpm.answer(long).rpartition(b"\r\n\r\n")[2])
        assert healthy in children
        assert ended_alone(d, children) != healthy


# -- puma ------------------------------------------------------------------------------------------------------------

RACK = """
run lambda { |env|
  Thread.stop if env["PATH_INFO"] == "/hang"
  sleep 2 if env["PATH_INFO"] == "/long"
  [200, {"Content-Type" => "text/plain"}, [Process.pid.to_s]]
}
"""


def puma(daemon: Make, directory: Path, longest: str) -> tuple[Daemon, int]:
    """Two workers of one thread."""
    exe, port = program("puma"), free_port()
    (directory / "config.ru").write_text(RACK)
    (directory / "puma.rb").write_text(f"""
$LOAD_PATH << "{integrations.__path__[0]}"
plugin :phi_supervisor
workers 2
threads 1, 1
bind "tcp://127.0.0.1:{port}"
""")
    d = daemon(f"""
[services.app]
command = ["{exe}", "-C", "puma.rb", "config.ru"]
directory = "{directory}"
environment = {{ LONGEST_REQUEST = "{longest}" }}
ready = {{ notify = true }}
stop_timeout = "1s"
{heartbeat()}
""")
    d.event("app", "running", "ready")
    return d, port


def test_a_worker_of_puma_is_stopped(daemon: Make, tmp_path: Path) -> None:
    """puma itself sees that after 60 s."""
    d, _ = puma(daemon, tmp_path, "60")
    workers = beating(d, 2)
    os.kill(stopped := min(workers), signal.SIGSTOP)
    ended_alone(d, workers, stopped)


def test_a_request_of_puma_hangs_and_a_long_one_does_not(daemon: Make, tmp_path: Path) -> None:
    """puma itself never sees the first, because a thread of its own answers."""
    d, port = puma(daemon, tmp_path, "4")
    workers = beating(d, 2)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: any(row["doing"] == "all 1 threads" for row in d.status("app")["processes"]))
        healthy = int(get(port, "/long"))
        assert healthy in workers
        assert ended_alone(d, workers) != healthy


# -- uvicorn ---------------------------------------------------------------------------------------------------------

ASGI = """
import os, threading
{boot}
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/hang":
        threading.Event().wait()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": str(os.getpid()).encode()}})
"""
BOOT_ONCE = """
try:
    os.rename("first", "taken")
except FileNotFoundError:
    pass
else:
    threading.Event().wait()
"""


def uvicorn(daemon: Make, directory: Path, boot: str = "") -> tuple[Daemon, int]:
    pytest.importorskip("uvicorn")
    port = free_port()
    (directory / "app.py").write_text(ASGI.format(boot=boot))
    (directory / "first").write_text("")
    loop = "supervisor.integrations.uvicorn:loop"
    command = [sys.executable, "-m", "uvicorn", "--workers", "2", "--loop", loop, "--port", str(port), "app:app"]
    d = daemon(f"""
[services.app]
command = {command!r}
directory = "{directory}"
ready = {{ http = "http://127.0.0.1:{port}/", interval = "100ms" }}
stop_timeout = "1s"
{heartbeat()}
""")
    d.event("app", "running", "ready")
    return d, port


def test_a_request_blocks_the_loop_of_a_uvicorn_worker(daemon: Make, tmp_path: Path) -> None:
    """The application knows nothing of the supervisor."""
    d, port = uvicorn(daemon, tmp_path)
    workers = beating(d, 2)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        ended_alone(d, workers)
    assert get(port).isdigit()


def test_a_uvicorn_worker_never_gets_through_its_boot(daemon: Make, tmp_path: Path) -> None:
    d, port = uvicorn(daemon, tmp_path, BOOT_ONCE)
    healthy = int(get(port))
    assert note(d, "process-ended")["process"] != healthy
    note(d, "process-replaced")
    assert healthy in {row["pid"] for row in d.status("app")["processes"]}


# -- gunicorn, by its beat files -------------------------------------------------------------------------------------


def gunicorn(daemon: Make, directory: Path, app: str = APP) -> tuple[Daemon, int]:
    """Two workers without a timeout of gunicorn's own, and without a hook."""
    pytest.importorskip("gunicorn")
    port = free_port()
    (directory / "app.py").write_text(app)
    (directory / "first").write_text("")
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-t", "0", "-b", f"127.0.0.1:{port}", "app:app"]
    d = daemon(f"""
[services.app]
command = {command!r}
directory = "{directory}"
ready = {{ http = "http://127.0.0.1:{port}/", interval = "100ms" }}
stop_timeout = "1s"
{heartbeat(**helper("gunicorn_files", "--longest", "4"))}
""")
    d.event("app", "running", "ready")
    return d, port


def test_a_request_of_gunicorn_hangs_and_a_long_one_does_not(daemon: Make, tmp_path: Path) -> None:
    wait = 'if path == "/long":\n        import time; time.sleep(2)\n    '
    d, port = gunicorn(daemon, tmp_path, APP.replace('start_response("200', wait + 'start_response("200'))
    workers = beating(d, 2)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        healthy = int(get(port, "/long"))
        assert healthy in workers
        assert ended_alone(d, workers) != healthy


def test_a_gunicorn_worker_never_gets_through_its_boot(daemon: Make, tmp_path: Path) -> None:
    d, port = gunicorn(daemon, tmp_path, "import os, threading\n" + BOOT_ONCE + APP)
    healthy = int(get(port))
    assert note(d, "process-ended")["process"] != healthy
    note(d, "process-replaced")
    assert healthy in {row["pid"] for row in d.status("app")["processes"]}


# -- rq --------------------------------------------------------------------------------------------------------------

JOBS = '''
import os, signal, time
from supervisor.integrations import rq
rq.GRACE = 1.0  # rq's alarm comes in time, or not at all
class Quick(rq.Worker): pass
def long(seconds):
    time.sleep(seconds)
    return os.getpid()
def stuck():
    """Like C code that does not return: rq's own alarm does not end it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(1000)
'''


class Jobs:
    """Redis and one rq worker, under a daemon."""

    def __init__(self, daemon: Make, directory: Path, worker: str, *command: str) -> None:
        pytest.importorskip("rq")
        import redis
        import rq

        port = free_port()
        server = program("redis-server")
        (directory / "jobs.py").write_text(JOBS)
        url = f"redis://127.0.0.1:{port}/0"
        self.connection = redis.Redis.from_url(url)
        self.queue = rq.Queue(connection=self.connection)
        argv = [sys.executable, "-m", "rq.cli", *(command or ("worker",)), "--url", url]
        argv += ["--worker-class", worker]
        self.d = daemon(f"""
[services.redis]
command = ["{server}", "--port", "{port}", "--save", "", "--appendonly", "no"]
ready = {{ tcp = "127.0.0.1:{port}", interval = "100ms" }}
[services.app]
command = {argv!r}
directory = "{directory}"
depends_on = ["redis"]
stop_timeout = "1s"
{"" if command else "ready = { notify = true }"}
{heartbeat()}
""")
        self.d.event("app", "running")

    def result(self, job: Any) -> Any:
        """What the job gave, or why it failed."""
        found = until(lambda: job.latest_result())
        return found.return_value if found.type.name == "SUCCESSFUL" else found.exc_string


@pytest.mark.parametrize("command", [[], ["worker-pool", "--num-workers", "2"]], ids=["worker", "pool"])
def test_a_stuck_work_horse_of_rq_is_ended_and_a_long_job_is_not(
    daemon: Make, tmp_path: Path, command: list[str]
) -> None:
    """rq itself ends it a minute after the end of its time."""
    jobs = Jobs(daemon, tmp_path, "jobs.Quick", *command)
    worker = jobs.d.status("app")["pid"]
    stuck = jobs.queue.enqueue("jobs.stuck", job_timeout=1)
    long = jobs.queue.enqueue("jobs.long", 2.5, job_timeout=60)
    silent = of_process(jobs.d, "process-silent", doing=f"jobs.stuck[{stuck.id}]")
    assert note(jobs.d, "process-ended")["process"] == silent["process"] != worker
    assert "signal 9" in jobs.result(stuck)
    assert jobs.result(long) != silent["process"]
    after = jobs.d.status("app")
    assert (after["pid"], after["incarnation"]) == (worker, 1)
    assert after["ended_process"]["pid"] == silent["process"], "the long job was left alone"


def test_an_idle_rq_worker_while_redis_is_stopped(daemon: Make, tmp_path: Path) -> None:
    """A Redis that does not answer is no hang of its workers; afterwards the next job is done."""
    jobs = Jobs(daemon, tmp_path, "supervisor.integrations.rq.Worker")
    redis = jobs.d.status("redis")["pid"]
    until(lambda: jobs.d.status("app")["last_heartbeat_age_s"] is not None)
    os.kill(redis, signal.SIGSTOP)
    until(lambda: jobs.d.status("app")["last_heartbeat_age_s"] > 3)  # more than `max_timeout`
    assert jobs.d.status("app")["state"] == "running"
    os.kill(redis, signal.SIGCONT)
    assert jobs.result(jobs.queue.enqueue("jobs.long", 0))
    assert jobs.d.status("app")["incarnation"] == 1


# -- a command of one's own ------------------------------------------------------------------------------------------

SERVER = """
import os, sys, time
directory = sys.argv[1]
def work():
    file = f"{directory}/{os.getpid()}"
    while True:
        open(file, "w").close()
        while os.path.exists(f"{file}.hang"): time.sleep(1)
        time.sleep(0.1)
def fork():
    pid = os.fork()
    return pid or work()
for _ in range(2): fork()
while True:
    pid, _ = os.wait()
    os.unlink(f"{directory}/{pid}")
    fork()
"""


def test_workers_that_touch_a_file_named_after_their_pid(daemon: Make, tmp_path: Path) -> None:
    """By a shell script of a few lines."""
    (tmp_path / "server.py").write_text(SERVER)
    (beats := tmp_path / "beats").mkdir()
    command = repr(["sh", str(ROOT / "examples" / "heartbeat" / "pid_files.sh"), str(beats)])
    d = daemon(f"""
[services.app]
command = ["{sys.executable}", "{tmp_path}/server.py", "{beats}"]
stop_timeout = "1s"
{heartbeat(source="exec", exec=command, interval="1s", probe_timeout="10s", min_timeout="3s", max_timeout="6s")}
""")
    d.event("app", "running")
    workers = beating(d, 2)
    (beats / f"{(hung := min(workers))}.hang").touch()
    ended_alone(d, workers, hung)


def test_a_command_that_names_no_process(daemon: Make) -> None:
    d = daemon(f"""
[services.app]
command = ["sh", "-c", "sleep 1000 & wait"]
{heartbeat(source="exec", exec='["true"]', probe_timeout="10s")}
""")
    assert "names no process of this service" in str(d.problem("heartbeat.exec"))
    assert d.status("app")["state"] == "running"
