"""The settings of a program of supervisord as tables of services.toml, as supervisord 4.3.0 means them."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.supervisord.logs import Tell
from supervisor.config.units import LONGEST

UNLIMITED = 1_000_000
"""Restarts that services.toml can allow at most: as good as without a limit."""
_LONGEST_READY = 30
"""Seconds: start_timeout unless it is given."""
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "2>", "&>"})
_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_]\w*|\$\{\w+\}?|\$\(")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh", "busybox")


def seconds(count: int) -> str:
    return f"{min(max(count, 0), int(LONGEST))}s"


def start_and_restart(settings: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """`ready`, `start_timeout` and `restart`."""
    table: dict[str, Any] = {}
    startsecs, retries = max(settings["startsecs"], 0), max(settings["startretries"], 0)
    policy = settings["autorestart"]
    if startsecs:
        table["ready"] = {"delay": seconds(startsecs)}
        if startsecs >= _LONGEST_READY:
            table["start_timeout"] = seconds(startsecs + _LONGEST_READY)
    restart: dict[str, Any] = {"policy": policy}
    if settings["exitcodes"] != [0]:
        restart["success_exit_codes"] = list(dict.fromkeys(settings["exitcodes"]))
    if policy == "never":
        if startsecs and retries:
            text = (
                f"supervisord starts it again, {retries} times, where it ends within startsecs; here it is not "
                'started again: write restart.policy = "on-failure" if it should be.'
            )
            tell(Kind.CHANGED, "autorestart" if "autorestart" in settings["given"] else "", text)
    elif not startsecs:
        restart |= {"initial": "0s", "max_restarts": UNLIMITED}
        text = (
            "supervisord starts it again at once and without limit, and so does this service: write restart.initial "
            "and restart.max_restarts for a limit."
        )
        tell(Kind.CHANGED, "startsecs", text)
    else:
        restart |= _limited(startsecs, max(retries, 1))
        if not retries:
            text = "supervisord gives up after the first start that fails; here one more start is tried."
            tell(Kind.CHANGED, "startretries", text)
    table["restart"] = restart
    return table


def _limited(startsecs: int, retries: int) -> dict[str, Any]:
    """As many restarts as supervisord tries, within the time in which it does: it waits 1, 2, 3 … seconds before them,
    and each process may run nearly as long as startsecs."""
    retries = min(retries, UNLIMITED)
    return {
        "backoff": "linear",
        "initial": "1s",
        "maximum": seconds(retries),
        "jitter": 0,
        "reset_after": seconds(startsecs),
        "max_restarts": retries,
        "window": seconds(retries * (retries + 1) // 2 + retries * startsecs),
    }


def stop(settings: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """`stop_signal` and `stop_timeout`, where they differ from the defaults, which are those of supervisord."""
    table: dict[str, Any] = {}
    if settings["stopsignal"] != signal.SIGTERM:
        table["stop_signal"] = signal.Signals(settings["stopsignal"]).name.removeprefix("SIG")
    if settings["stopwaitsecs"] != 10:
        table["stop_timeout"] = seconds(settings["stopwaitsecs"])
    if settings["stopasgroup"]:
        text = (
            "The signal goes to the main process first, and to what is left of its tree when that has ended; "
            "supervisord sends it to all at once."
        )
        tell(Kind.CHANGED, "stopasgroup", text)
    return table


def tell_dropped(settings: Mapping[str, Any], tell: Tell) -> None:
    """Add losses for settings that have no counterpart here."""
    for stream in ("stdout", "stderr"):
        if settings[f"{stream}_events_enabled"]:
            text = "No events are made of its output: write a hook, or read `supervisor logs --json`."
            tell(Kind.DROPPED, f"{stream}_events_enabled", text)
        if settings[f"{stream}_capture_maxbytes"]:
            text = "Nothing is captured between the tags of supervisord; they stay in the log as they are."
            tell(Kind.DROPPED, f"{stream}_capture_maxbytes", text)
    if settings["serverurl"]:
        tell(Kind.DROPPED, "serverurl", "SUPERVISOR_SERVER_URL is not set; write it into environment if it is read.")


def tell_shell(words: Sequence[str], raw: str, tell: Tell) -> None:
    """Add a loss for words that only a shell would expand: supervisord runs none.

    `raw` is the text in the file.  Variables are looked for in that alone, because a value that was put in may be a
    secret."""
    if words[0].rpartition("/")[2] in _SHELLS:
        return
    found = [word for word in words if word in _OPERATORS]
    found += _SHELL_VARIABLE.findall(raw)
    found += ["~/" for word in words if word.startswith("~/")]
    if found:
        text = (
            f"No shell reads the command, here or in supervisord: {' '.join(dict.fromkeys(found))} is passed on as it "
            'is; write command = ["/bin/sh", "-c", "…"] if a shell should.'
        )
        tell(Kind.IGNORED, "command", text)


def socket(url: str, mode: str | None) -> str:
    """The socket of an fcgi-program as services.toml writes it.  Raises ValueError where supervisord refuses it."""
    if url.startswith("unix://"):
        path = url[7:]
        if not path.startswith("/"):
            raise ValueError("the path of the socket does not begin with /")
        return f"unix:{path}?mode={int(mode, 8) if mode else 0o700:04o}"
    found = re.fullmatch(r"tcp://([^\s:]+):(\d+)", url)
    if not found or not 0 < int(found[2]) < 65536:
        raise ValueError("it is neither tcp://HOST:PORT nor unix:///PATH")
    if mode:
        raise ValueError("only a Unix socket has a mode")
    return f"tcp://{found[1].lower()}:{int(found[2])}"
