"""Reads a certificate as HAProxy will: the chain and its private key, in one PEM file or with the key in `FILE.key`.

HAProxy does not start with a certificate that it cannot use, and then no balanced service is reachable.  So such a
certificate is found before anything is stopped.  Imported only where a service has a certificate.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path


def refusal(path: str) -> str:
    """Why HAProxy cannot use this file or directory of certificates; empty if it can."""
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read"
    if Path(path).is_dir():
        used = [str(file) for file in sorted(Path(path).iterdir()) if _is_used(file)]
        return next(filter(None, map(refusal, used)), "") if used else f"{path} has no certificate in it"
    if not Path(path).is_file():
        return ""
    key = path if _has_key(path) or not os.access(f"{path}.key", os.R_OK) else f"{path}.key"
    if not _has_key(key):
        return f"{path} has no private key: HAProxy needs it in this file, after the chain, or in {path}.key"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # whether a key is long enough is for HAProxy to say
    try:
        context.load_cert_chain(path, key, password=lambda: "")  # never ask on a terminal
    except (OSError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            return f"the private key in {key} does not belong to the certificate"
        return f"{path} is no chain of certificates with its private key, unencrypted"
    return ""


def _is_used(file: Path) -> bool:
    """Whether HAProxy loads this file of a directory as a certificate; it refuses a link that leads nowhere."""
    beside = file.name.startswith(".") or file.suffix in (".key", ".issuer", ".ocsp", ".sctl")
    return not beside and (file.is_file() or not file.exists())


def _has_key(path: str) -> bool:
    return b"PRIVATE KEY-----" in Path(path).read_bytes()
