"""Socket units as `sockets` of their service (systemd 252)."""

from __future__ import annotations

import re
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.systemd.files import Unit
from supervisor.config.importers.systemd.syntax import Setting, boolean

_PORT = re.compile(r"[0-9]{1,5}")
_ADDRESS = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_OTHERS = (
    *("ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenSpecial", "ListenNetlink"),
    *("ListenMessageQueue", "ListenUSBFunction"),
)


def sockets(unit: Unit, table: dict[str, Any], *, own_start: bool) -> None:
    """Write the sockets of a socket unit into the table of its service.

    `own_start`: the service is started by itself too, and not only by a connection.
    """
    accept = unit.last("Socket", "Accept")
    listens = unit.many("Socket", "ListenStream")
    for setting in unit.many("Socket", *_OTHERS):
        unit.lose(Kind.DROPPED, setting, "Only sockets for streams are held here, TCP and Unix.")
    if accept is not None and boolean(accept.value):
        said = "No process for each connection is started here: the program has to accept connections by itself."
        unit.lose(Kind.DROPPED, accept, said)
        return
    options = _options(unit)
    demand = not own_start and table.get("type") != "oneshot"
    if not own_start and not demand:
        unit.lose(Kind.CHANGED, listens[0] if listens else None, "A oneshot cannot be started by a connection here.")
    if demand:
        options.append("start=demand")
    only_six = unit.last("Socket", "BindIPv6Only")
    both = only_six is None or only_six.value != "ipv6-only"
    mode = unit.last("Socket", "SocketMode")
    for key in ("SocketUser", "SocketGroup"):
        for setting in unit.many("Socket", key):
            said = "The socket belongs to the user and the group of the service here."
            unit.lose(Kind.CHANGED, setting, said)
    found: list[str] = []
    for setting in listens:
        value = unit.expanded(setting)
        if value is None:
            continue
        mode_option = f"mode={_mode(mode)}"
        for url in _urls(unit, setting, value, both=both):
            path = url.startswith("unix:/")
            found.append("?".join(filter(None, (url, "&".join([*([mode_option] if path else []), *options])))))
    if found:
        table["sockets"] = found


def _mode(setting: Setting | None) -> str:
    return setting.value if setting is not None else "0666"


def _options(unit: Unit) -> list[str]:
    label = unit.text("FileDescriptorName", "Socket") or unit.name.full
    if _LABEL.fullmatch(label):
        return [f"name={label}"]
    where = unit.last("Socket", "FileDescriptorName")
    unit.lose(Kind.CHANGED, where, f"LISTEN_FDNAMES has the name of the service, as {label} cannot be a name here.")
    return []


def _urls(unit: Unit, setting: Setting, value: str, *, both: bool) -> list[str]:
    if value.startswith(("/", "@")):
        return [f"unix:{value}"]
    if _PORT.fullmatch(value):
        if not both:
            return [f"tcp://[::]:{value}"]
        said = "Two sockets are handed over, IPv4 first: one for both families is not opened here."
        unit.lose(Kind.CHANGED, setting, said)
        return [f"tcp://0.0.0.0:{value}", f"tcp://[::]:{value}"]
    if match := _ADDRESS.fullmatch(value):
        if match[1] == "[::]" and both:
            return _urls(unit, setting, match[2], both=True)
        return [f"tcp://{value}"]
    unit.lose(Kind.DROPPED, setting, "Only an address with a port, a path or an abstract name can be listened on here.")
    return []
