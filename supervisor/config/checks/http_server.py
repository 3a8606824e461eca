"""Checks `[supervisor.http]`: the API shows everything but secrets, so access from other machines must be protected."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.config.source.problems import Problems

_WHERE = ("supervisor", "http")
_FILES = ("token_file", "certificate", "private_key")


def http_server(table: Mapping[str, Any], folder: Path, problems: Problems) -> dict[str, Any]:
    """The fields of SupervisorSpec that the table sets."""
    if "listen" not in table:
        problems.add(_WHERE, 'needs listen, for example listen = "127.0.0.1:9180"')
        return {}
    fields: dict[str, Any] = {"listen": table["listen"]}
    fields |= {key: str(folder / table[key]) for key in _FILES if key in table}
    for key in _FILES:
        if key in fields and not os.path.isfile(fields[key]):  # noqa: PTH113 - accepts any name
            problems.add((*_WHERE, key), f"{fields[key]} does not exist or is not a file")
    host, port = fields["listen"]
    missing = [key for key in _FILES if key not in fields]
    if not _is_local(host) and missing:
        problems.add(
            (*_WHERE, "listen"),
            f"other machines can reach {host}, so it needs {', '.join(missing)} too; or listen on 127.0.0.1:{port}",
        )
    elif ("certificate" in fields) != ("private_key" in fields):
        problems.add(_WHERE, "certificate and private_key must be set together")
    if table.get("web"):
        fields["web"] = True
        if "token_file" in table or not _is_local(host):
            problems.add(
                (*_WHERE, "web"),
                "a browser does not send the token of token_file, so the pages are for this machine alone: "
                f"listen on 127.0.0.1:{port} without token_file (docs/web.md), or leave web out",
            )
    if table.get("web_actions"):
        fields["web_actions"] = True
        if not table.get("web"):
            problems.add((*_WHERE, "web_actions"), "orders are given on the pages of the web view: set web = true too")
    return fields


def _is_local(host: str) -> bool:
    """Whether no other machine can reach this address. Of names only localhost is known to be local."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
