"""Real sshd processes on loopback ports: each is a host with keys, a home and an ssh configuration of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from scripts.tools.bench.ports import free_port

PROGRAM = shutil.which("sshd") or "/usr/sbin/sshd"
MISSING = "" if Path(PROGRAM).exists() and shutil.which("ssh-keygen") else "openssh-server is not installed"


def make_key(path: Path) -> Path:
    """A key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@dataclass
class Sshd:
    """One host.  `home`: what HOME is there."""

    folder: Path
    client_key: Path
    options: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def host_key(self) -> str:
        """The type and the key, as a line of known_hosts has them."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def start(self) -> Sshd:
        self.home.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "host_key").exists():
            make_key(self.folder / "host_key")
        shutil.copy(self.client_key.with_suffix(".pub"), self.folder / "authorized_keys")
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"PidFile {self.folder}/pid",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "Subsystem sftp internal-sftp",
            f"SetEnv HOME={self.home} HOST={self.folder.name}",
            self.options,
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = subprocess.Popen(
            [PROGRAM, "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
        )
        self._await_banner()
        return self

    def _await_banner(self) -> None:
        assert self.process is not None
        while self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=30.0) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.01)
        raise AssertionError((self.folder / "log").read_text())

    def sessions(self) -> list[int]:
        """The processes of its connections."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def stop(self) -> None:
        if self.process is None:
            return
        for pid in self.sessions():
            with suppress(ProcessLookupError):  # it has ended since
                for number in (signal.SIGCONT, signal.SIGKILL):
                    os.kill(pid, number)
        self.process.kill()
        self.process.wait()
        self.process = None


def write_client(home: Path, key: Path, hosts: dict[str, Sshd]) -> None:
    """~/.ssh of the machine that leads the fleet: the keys of the hosts are known, and its own is named."""
    ssh = home / ".ssh"
    ssh.mkdir(parents=True, exist_ok=True)
    known = [f"[127.0.0.1]:{host.port} {host.host_key}\n" for host in hosts.values()]
    (ssh / "known_hosts").write_text("".join(known))
    (ssh / "config").write_text(f"Host *\n  User {getuser()}\n  IdentityFile {key}\n  IdentitiesOnly yes\n")
