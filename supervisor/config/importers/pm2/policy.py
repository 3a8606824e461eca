"""When PM2 7.0.4 starts an application again, how it stops it, and where its output goes."""

from __future__ import annotations

import re
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.pm2.app import App
from supervisor.config.units import format_duration

NEVER_GIVES_UP = 1_000_000
"""max_restarts of an application whose delays are so long that PM2 never gives it up."""
_LONGEST_BACKOFF = 15_000
"""Milliseconds."""
_NOWHERE = ("NULL", "/dev/null")
_OWN_OUTPUT = ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2")
_END_OF_LOG = re.compile(r"-[0-9]+\.log$|\.log$")


def milliseconds(value: float) -> str:
    return format_duration(max(0.0, value / 1000))


def restart_of(app: App) -> dict[str, Any]:
    """The table `restart`: the delays of PM2, and a breaker that opens where PM2 gives up."""
    starts, uptime = int(app.get("max_restarts", 16)), app.get("min_uptime", 1000)
    delay, growing = int(app.get("restart_delay", 0)), app.get("exp_backoff_restart_delay")
    codes = app.get("stop_exit_codes", [])
    if app.get("autorestart") is False:
        return {"policy": "never"}
    restart: dict[str, Any] = {"policy": "always"}
    never = sorted({int(code) for code in (codes if isinstance(codes, list) else [codes]) if _is_code(code)})
    if growing:
        first = min(int(growing), _LONGEST_BACKOFF)
        if growing > first:
            app.lose(
                Kind.CHANGED, "exp_backoff_restart_delay", "PM2 waits longer than 15 s only before the first restart."
            )
        delays = [min(first * 1.5**attempt, _LONGEST_BACKOFF) for attempt in range(min(starts, 100))]
        restart |= {"backoff": "exponential", "initial": milliseconds(first), "maximum": milliseconds(_LONGEST_BACKOFF)}
        restart |= {"factor": 1.5, "jitter": 0, "reset_after": _reset_after(app)}
        gives_up = sum(delays[: starts - 1]) < uptime * starts
    else:
        restart |= {"backoff": "fixed", "initial": milliseconds(delay), "jitter": 0}
        if delay > 30_000:
            restart["maximum"] = milliseconds(delay)
        gives_up = delay * (starts - 1) < uptime * starts
    if gives_up:
        restart |= {"max_restarts": starts - 1, "window": milliseconds(uptime * starts), "cooldown": "1m"}
    else:
        restart["max_restarts"] = NEVER_GIVES_UP
        key = "exp_backoff_restart_delay" if growing else "restart_delay"
        app.lose(Kind.CHOSEN, key, "With these delays PM2 never gives it up, so the breaker here never opens.")
    if never:
        restart["exit_codes"] = {"never": never}
    return restart


def _is_code(code: Any) -> bool:
    return re.fullmatch(r"\s*[0-9]+", str(code)) is not None and 0 <= int(code) <= 255


def _reset_after(app: App) -> str:
    return milliseconds(_number(app, "EXP_BACKOFF_RESET_TIMER", 30_000))


def _number(app: App, variable: str, default: int) -> int:
    written = app.environment.get(variable, "")
    return int(written) if re.fullmatch(r"[0-9]{1,9}", written) and int(written) else default


def stop_of(app: App) -> dict[str, Any]:
    """stop_signal and stop_timeout."""
    signal = app.environment.get("PM2_KILL_SIGNAL") or "SIGINT"
    if app.get("shutdown_with_message"):
        text = f"PM2 sends the message `shutdown` through its own channel, which is not here; {signal} is sent instead."
        app.lose(Kind.CHANGED, "shutdown_with_message", text)
    if app.get("treekill") is False:
        text = "PM2 would leave the processes alone that it has started; here the whole tree is ended."
        app.lose(Kind.CHANGED, "treekill", text)
    timeout = app.get("kill_timeout") or _number(app, "PM2_KILL_TIMEOUT", 1600)
    return {"stop_signal": signal.removeprefix("SIG"), "stop_timeout": milliseconds(timeout)}


def ready_of(app: App) -> None:
    """Add losses for what PM2 waits for: none of it is possible without its channel."""
    if app.get("wait_ready"):
        text = (
            "PM2 waits for process.send('ready'). There is no such channel here, process.send is undefined, and it is"
            ' ready as soon as it runs: write for example `ready = { http = "http://127.0.0.1:3000/" }`.'
        )
        app.lose(Kind.CHANGED, "wait_ready", text)
    if app.get("listen_timeout") is not None:
        text = "PM2 takes it as ready after this time at the latest; here `start_timeout` ends one that is not ready."
        app.lose(Kind.DROPPED, "listen_timeout", text)


def resources_of(app: App) -> dict[str, Any]:
    """The table `resources`."""
    most = app.get("max_memory_restart")
    if not most:
        return {}
    text = (
        "PM2 checks only the main process, every 30 s; here all processes of an instance together have to exceed"
        " it for 30 s."
    )
    app.lose(Kind.CHANGED, "max_memory_restart", text)
    return {"max_memory": _size(int(most)), "for": "30s", "action": "restart"}


def _size(count: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return f"{count / 1024:.4f}".rstrip("0").rstrip(".") + "KiB"


def log_of(app: App, instances: int, *, cluster_or_counted: bool) -> dict[str, Any]:
    """The table `log`: only what the file names; the files that PM2 chooses are left to the daemon."""
    out, error, both = (_file(app, key) for key in ("out_file", "error_file", "log_file"))
    log: dict[str, Any] = {}
    if both is not None and (out is not None or error is not None):
        app.lose(Kind.DROPPED, "log_file", "Here there is no third file with both outputs.")
    elif both is not None:
        out = error = both
    merged = app.get("merge_logs", not cluster_or_counted)
    paths = {}
    for key, path in (("out_file", out), ("error_file", error)):
        paths[key] = path
        if path is None or merged or not _END_OF_LOG.search(path):
            continue
        if instances > 1:
            paths[key] = _END_OF_LOG.sub("-{instance}.log", path)
            text = "PM2 puts the number of the process into the name of each file; here the name of the instance."
        else:
            text = "PM2 puts the number of the process into the name of the file; here it is as it is written."
        app.lose(Kind.CHANGED, key if key in app.settings.values else "log_file", text)
    if paths["out_file"] is not None:
        log |= {"path": paths["out_file"], "rotate": False}
    if any(app.settings.values.get(key) in _OWN_OUTPUT for key in paths):
        log["console"] = "raw"
    if paths["error_file"] != paths["out_file"]:
        log["stderr"] = paths["error_file"] if paths["error_file"] is not None else True
    if app.get("log_date_format") or app.get("time"):
        log["timestamps"] = True
        key = "log_date_format" if app.get("log_date_format") else "time"
        app.lose(Kind.CHANGED, key, "Each line has the time in front of it, in the format of the daemon.")
    _other_logs(app)
    return log


def _file(app: App, key: str) -> str | None:
    written = app.get(key)
    if written in _NOWHERE:
        app.lose(Kind.CHANGED, key, "No output is discarded: it is in the log of the service.")
        return None
    if written in _OWN_OUTPUT:
        app.lose(Kind.CHANGED, key, "The output is in the log of the service, and on the stdout of the daemon.")
        return None
    if written is True:
        app.lose(Kind.CHANGED, key, "Both outputs are in the log of the service.")
    return app.path(written) if isinstance(written, str) and written else None


def _other_logs(app: App) -> None:
    if app.get("disable_logs"):
        app.lose(Kind.CHANGED, "disable_logs", "The output is kept, in at most max_size × (keep + 1).")
    if app.get("log_type") is not None:
        app.lose(Kind.DROPPED, "log_type", "Lines are kept as they are.")
