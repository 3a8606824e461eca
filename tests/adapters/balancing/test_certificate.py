"""Which certificates HAProxy could not use."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.adapters.balancing.certificate import refusal

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


def made(folder: Path, bits: int = 2048) -> tuple[str, str]:
    """The text of a certificate and of its key."""
    command = ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-days", "2", "-subj", "/CN=test"]
    subprocess.run([*command, "-keyout", folder / "k", "-out", folder / "c"], check=True, capture_output=True)
    return (folder / "c").read_text(), (folder / "k").read_text()


def test_chain_and_key_may_stand_in_either_order_or_in_two_files(tmp_path: Path) -> None:
    chain, key = made(tmp_path)
    pem = tmp_path / "web.pem"
    for text in (chain + key, key + chain):
        pem.write_text(text)
        assert refusal(str(pem)) == ""
    pem.write_text(chain)
    assert (
        refusal(str(pem))
        == f"{pem} has no private key: HAProxy needs it in this file, after the chain, or in {pem}.key"
    )
    Path(f"{pem}.key").write_text(key)
    assert refusal(str(pem)) == ""


def test_what_makes_no_certificate_is_refused(tmp_path: Path) -> None:
    chain, key = made(tmp_path)
    encrypt = ["openssl", "pkey", "-aes128", "-passout", "pass:secret", "-in", str(tmp_path / "k")]
    encrypted = subprocess.run(encrypt, check=True, capture_output=True, text=True).stdout
    _, other = made(tmp_path)
    pem = tmp_path / "web.pem"
    pem.write_text(chain + other)
    assert refusal(str(pem)) == f"the private key in {pem} does not belong to the certificate"
    for text in (key, chain + encrypted, chain.replace("M", "!") + key):
        pem.write_text(text)
        assert refusal(str(pem)) == f"{pem} is no chain of certificates with its private key, unencrypted"
    pem.unlink()
    assert refusal(str(pem)) == f"{pem} cannot be read"


def test_a_short_key_and_a_pipe_are_left_to_haproxy(tmp_path: Path) -> None:
    pem = tmp_path / "web.pem"
    pem.write_text("".join(made(tmp_path, bits=1024)))
    os.mkfifo(tmp_path / "fifo")
    assert [refusal(str(path)) for path in (pem, tmp_path / "fifo")] == ["", ""]


def test_each_certificate_in_a_directory_is_looked_at_and_one_is_needed(tmp_path: Path) -> None:
    chain, key = made(tmp_path)
    folder = tmp_path / "certificates"
    (folder / "old").mkdir(parents=True)
    for unused in (".hidden", "a.pem.key", "a.pem.ocsp", "old/a.pem"):
        (folder / unused).write_text(key)
    os.mkfifo(folder / "fifo")
    assert refusal(str(folder)) == f"{folder} has no certificate in it"
    (folder / "a.pem").write_text(chain)  # its key is in a.pem.key
    (folder / "b.pem").write_text(chain + key)
    assert refusal(str(folder)) == ""
    (folder / "c.pem").write_text(chain)
    assert refusal(str(folder)).startswith(f"{folder}/c.pem has no private key")
    (folder / "c.pem").unlink()
    (folder / "c.pem").symlink_to("nowhere")
    assert refusal(str(folder)) == f"{folder}/c.pem cannot be read"
