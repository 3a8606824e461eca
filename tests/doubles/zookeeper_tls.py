"""Certificates of an authority of its own, and a ZooKeeper server that speaks TLS and demands them of its clients."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts.tools.bench.ports import free_ports
from tests.doubles.zookeeper_servers import Ensemble


class Authority:
    """`ca`: its certificate.  All files are PEM; keys are in PKCS#8, which Java reads."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.ca = folder, folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._run("req", "-x509", *NEW, "-keyout", self._key, "-out", self.ca, "-days", "30", "-subj", f"/CN={name}")

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1, and its key."""
        certificate, key, request, more = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr", "ext"))
        more.write_text("subjectAltName=IP:127.0.0.1\n")
        self._run("req", *NEW, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        self._run(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days", "30",
            "-extfile", more, "-out", certificate,
        )  # fmt: skip
        return certificate, key

    @staticmethod
    def _run(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


JARS = ("netty-codec", "netty-resolver")
"""They are missing in the class path of Debian's zookeeper.jar, without which each TLS connection is dropped."""
NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def secured(folder: Path, authority: Authority, tick: float) -> tuple[Ensemble, str]:
    """A server, not yet started, and its secure address."""
    certificate, key = authority.sign("server")
    both = folder / "server.pem"
    both.write_text(key.read_text() + certificate.read_text())
    port = free_ports(1)
    more = (
        f"secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n"
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
        f"ssl.keyStore.location={both}\nssl.keyStore.type=PEM\n"
        f"ssl.trustStore.location={authority.ca}\nssl.trustStore.type=PEM\n"
    )
    return Ensemble(folder / "zk", tick=tick, more=more, jars=JARS), f"127.0.0.1:{port}"
