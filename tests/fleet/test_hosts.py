"""Hosts that fail, each in its way: it is reported with the host, the step and what to do, and holds no other."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from tests.doubles.sshd import make_key
from tests.e2e.hangs.test_probes import until
from tests.fleet.conftest import Fleet

ECHO = ("run", "--", "echo", "one two", "$HOME")


def error_of(fleet: Fleet, name: str = "bad") -> dict[str, str]:
    """The error of one host, while the host `good` does what it is asked."""
    rows = fleet.document(*ECHO, code=1)
    assert (rows["good"]["error"], rows["good"]["stdout"]) == (None, "one two $HOME\n")
    assert rows[name]["exit_code"] is None
    error: dict[str, str] = rows[name]["error"]
    return error


def test_words_arrive_as_they_are_and_a_single_one_is_a_line_for_the_shell(fleet: Fleet) -> None:
    host = fleet.host("good")
    assert fleet.run(*ECHO) == "good  one two $HOME\n"
    assert fleet.run("run", "--", 'echo "$HOME"; printf end') == f"good  {host.home}\ngood  end\n"


def test_exit_codes_are_summed_up(fleet: Fleet) -> None:
    fleet.host("a")
    fleet.host("b")
    (fleet.hosts["b"].home / "there").touch()
    fleet.run("run", "--", "test -e $HOME/there", code=1)
    assert fleet.said == "exit code 0 on 1 of 2: b\nexit code 1 on 1 of 2: a\n"


def test_hosts_are_chosen_by_name_and_by_label(fleet: Fleet) -> None:
    fleet.host("a")
    fleet.host("b")
    assert fleet.run("run", "-H", "b", "--", "echo x") == "b  x\n"
    assert fleet.run("run", "-H", "zone=a", "--", "echo x") == "a  x\n"
    fleet.run("run", "-H", "zome=a", "--", "echo x", code=2)
    assert 'no host has the label zome=a; did you mean "zone=a"?' in fleet.said


def test_what_a_login_shell_prints_is_no_output(fleet: Fleet) -> None:
    host = fleet.host("good")
    (host.home / ".bashrc").write_text("echo welcome; echo to this host >&2\n")
    assert fleet.document(*ECHO)["good"] | {"address": ""} == {
        "name": "good",
        "address": "",
        "exit_code": 0,
        "stdout": "one two $HOME\n",
        "stderr": "",
        "error": None,
    }
    assert fleet.document("status", code=3)["good"]["state"] == "not installed"


def test_a_login_shell_that_ends_is_told(fleet: Fleet) -> None:
    fleet.host("good")
    (fleet.host("bad").home / ".bashrc").write_text("echo no entry; exit 9\n")
    error = error_of(fleet)
    assert error["kind"] == "failed" and "ends with 9 before it runs a command: no entry" in error["message"]


def test_large_output_arrives_whole(fleet: Fleet) -> None:
    fleet.host("good")
    lines = fleet.run("run", "--", "seq 200000; echo wrong >&2").splitlines()
    assert lines == [f"good  {number}" for number in range(1, 200001)]
    assert fleet.said.startswith("good  wrong\n")


def test_a_process_in_the_background_is_not_waited_for(fleet: Fleet) -> None:
    fleet.host("a")
    out = fleet.run("run", "--", "sleep 1000 & echo $!")
    pid = int(out.split()[1])
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")  # the pid is told before its process runs sleep
    os.kill(pid, signal.SIGKILL)


def test_a_line_for_a_certificate_authority_spoils_no_other(fleet: Fleet) -> None:
    host = fleet.host("good")
    known = fleet.home / ".ssh/known_hosts"
    known.write_text(f"@cert-authority *.example.org {host.host_key}\nnot a line\n[127.0.0.?]:* {host.host_key}\n")
    assert fleet.run(*ECHO) == "good  one two $HOME\n"


def test_a_changed_host_key_names_the_line(fleet: Fleet) -> None:
    fleet.host("good")
    bad = fleet.host("bad")
    make_key(fleet.folder / "other")
    other = " ".join((fleet.folder / "other.pub").read_text().split()[:2])
    known = fleet.home / ".ssh/known_hosts"
    known.write_text(known.read_text().replace(bad.host_key, other))
    error = error_of(fleet)
    assert error["kind"] == "changed-key" and error["step"] == "connect"
    assert f"{known}:2 has another" in error["message"] and f"ssh-keygen -R '[127.0.0.1]:{bad.port}'" in error["hint"]


def test_an_unknown_host_key_is_refused_and_not_written(fleet: Fleet) -> None:
    fleet.host("good")
    bad = fleet.host("bad")
    known = fleet.home / ".ssh/known_hosts"
    only = known.read_text().splitlines(keepends=True)[0]
    known.write_text(only)
    error = error_of(fleet)
    assert error["kind"] == "unknown-key" and "SHA256:" in error["message"]
    assert error["hint"].endswith(f"ssh-keyscan -p {bad.port} 127.0.0.1 >> ~/.ssh/known_hosts")
    assert known.read_text() == only


def test_a_revoked_host_key_is_refused(fleet: Fleet) -> None:
    fleet.host("good")
    bad = fleet.host("bad")
    known = fleet.home / ".ssh/known_hosts"
    known.write_text(f"{known.read_text()}@revoked * {bad.host_key}\n")
    error = error_of(fleet)
    assert error["kind"] == "changed-key" and "known_hosts revokes" in error["message"]


def test_hashed_names_are_known(fleet: Fleet) -> None:
    fleet.host("good")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", str(fleet.home / ".ssh/known_hosts")], check=True, capture_output=True
    )
    assert fleet.run(*ECHO) == "good  one two $HOME\n"


def test_a_key_that_is_not_accepted(fleet: Fleet) -> None:
    fleet.host("good")
    bad = fleet.host("bad")
    (bad.folder / "authorized_keys").write_text("")
    error = error_of(fleet)
    assert error["kind"] == "refused" and f"ssh -v -p {bad.port} 127.0.0.1 true" in error["hint"]


def test_a_key_that_is_encrypted_works_through_the_agent(fleet: Fleet, client_key: Path) -> None:
    fleet.host("a")
    locked = fleet.home / "locked"
    shutil.copy(client_key, locked)
    config = fleet.home / ".ssh/config"
    config.write_text(config.read_text().replace(str(client_key), str(locked)))
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", str(locked)], check=True, capture_output=True)
    fleet.run("run", "--", "true", code=1)
    assert "is encrypted" in fleet.said and "ssh-add" in fleet.said

    fleet.agent = fleet.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(fleet.agent)], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None and agent.stdout.readline()  # it has its socket when it says where
        add = {**os.environ, "SSH_AUTH_SOCK": str(fleet.agent)}
        subprocess.run(["ssh-add", "-q", str(client_key)], check=True, env=add, capture_output=True)
        assert fleet.run("run", "--", "echo x") == "a  x\n"
    finally:
        agent.kill()
        agent.wait()


def test_a_port_on_which_nothing_listens(fleet: Fleet) -> None:
    fleet.host("good")
    fleet.write(more=f'{{ name = "bad", address = "127.0.0.1", port = {free_port()} }}')
    error = error_of(fleet)
    assert error["kind"] == "unreachable" and "onnect" in error["message"] and error["hint"]


def test_a_name_that_is_not_known(fleet: Fleet) -> None:
    fleet.host("good")
    fleet.write(more='{ name = "bad", address = "no-such-host.invalid" }')
    assert "not a known name" in error_of(fleet)["message"]


def test_a_port_that_accepts_and_says_nothing(fleet: Fleet) -> None:
    fleet.host("good")
    config = fleet.home / ".ssh/config"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fleet.write(more=f'{{ name = "bad", address = "127.0.0.1", port = {silent.getsockname()[1]} }}')
        config.write_text(f"{config.read_text()}  ConnectTimeout 6\n")
        error = error_of(fleet)
    assert error["kind"] == "unreachable" and error["step"] == "connect" and "gives no answer" in error["message"]


def test_connections_that_sshd_drops_for_load_are_tried_again(fleet: Fleet) -> None:
    addresses = [f"127.0.0.{number}" for number in range(2, 8)]
    listens = "\n".join(f"ListenAddress {address}" for address in addresses)
    host = fleet.host("a", f"{listens}\nMaxStartups 1:100:1")
    known = "".join(f"[{address}]:{host.port} {host.host_key}\n" for address in ("127.0.0.1", *addresses))
    (fleet.home / ".ssh/known_hosts").write_text(known)
    more = ",\n".join(
        f'{{ name = "h{address[-1]}", address = "{address}", port = {host.port} }}' for address in addresses
    )
    fleet.write(more=more)
    assert sorted(fleet.run("run", "--", "echo x").splitlines()) == ["a   x", *(f"h{n}  x" for n in range(2, 8))]


def test_a_host_that_dies_in_the_middle(fleet: Fleet) -> None:
    fleet.host("good")
    bad = fleet.host("bad")
    (bad.home / "die").touch()
    process = fleet.start("run", "--timeout", "6s", "--", 'test -e "$HOME/die" && echo begun && sleep 100; exit 0')
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "bad   begun\n"
    for pid in bad.sessions():
        os.kill(pid, signal.SIGSTOP)
    assert process.wait(timeout=120.0) == 1
    assert process.stderr.read().splitlines() == [
        "bad: run: no answer within 16 s",
        "exit code 0 on 1 of 2: good",
    ]


def test_a_connection_that_ends_in_the_middle(fleet: Fleet) -> None:
    bad = fleet.host("bad")
    process = fleet.start("run", "--", "echo begun; sleep 100")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "bad  begun\n"
    for pid in bad.sessions():
        os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=120.0) == 1
    assert process.stderr.read() == "bad: run: the connection was lost\n"


def test_a_command_that_takes_too_long_is_ended_by_the_host(fleet: Fleet) -> None:
    bad = fleet.host("bad")
    fleet.run("run", "--timeout", "4s", "--", 'echo $$ > "$HOME/pid"; sleep 1000', code=1)
    assert "did not end within 4 s, and was ended" in fleet.said
    pid = int((bad.home / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_a_jump_host_of_the_ssh_configuration(fleet: Fleet) -> None:
    jump, behind = fleet.host("jump"), fleet.host("behind")
    config = fleet.home / ".ssh/config"
    config.write_text(
        f"Host inner\n  HostName 127.0.0.1\n  Port {behind.port}\n  ProxyJump outer\n"
        f"Host outer\n  HostName 127.0.0.1\n  Port {jump.port}\n{config.read_text()}"
    )
    fleet.write(more='{ name = "inner" }')
    assert fleet.run("run", "-H", "inner", "--", 'echo "$HOME"') == f"inner  {behind.home}\n"
    known = fleet.home / ".ssh/known_hosts"
    known.write_text(known.read_text().splitlines(keepends=True)[1])  # the jump host is not known any more
    fleet.run("run", "-H", "inner", "--", "true", code=1)
    assert f"the host key is not known: [127.0.0.1]:{jump.port}" in fleet.said


def test_without_the_extra_it_says_what_to_install(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.host("a")
    (fleet.folder / "hidden").mkdir()
    (fleet.folder / "hidden/fabric.py").write_text("raise ModuleNotFoundError('', name='fabric')\n")
    monkeypatch.setenv("PYTHONPATH", str(fleet.folder / "hidden"))
    fleet.run("status", code=1)
    assert "pip install 'phi-supervisor[fleet]'" in fleet.said and "Traceback" not in fleet.said
