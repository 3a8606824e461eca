"""`/openapi.json`: OpenAPI 3.1, made from the table of routes; only the shapes of the answers are written down here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supervisor import __version__
from supervisor.adapters.http.routing import Param, Route

JSON = dict[str, Any]

_OTHER_TYPES = {"Stream": "text/event-stream", "Metrics": "text/plain"}
_KINDS: dict[str, JSON] = {
    "time": {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]},
    "array": {"type": "array", "items": {"type": "string"}},
}
_ERRORS = {
    400: "the call makes no sense",
    401: "the token is missing or wrong",
    403: "not for you, or not over TCP",
    404: "no such route, service or evidence",
    409: "it was tried and did not come about",
    413: "a body of more than 1 MiB",
    422: "the configuration cannot be used",
    429: "too many streams",
    503: "too many connections",
}


def document(routes: Sequence[Route]) -> JSON:
    """The whole document."""
    paths: JSON = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "phi-supervisor control API",
            "version": __version__,
            "description": "Served on the control socket in runtime_dir; what is marked `x-tcp` over TCP as well, "
            "where [supervisor.http] listen asks for it.",
        },
        "servers": [{"url": "http://supervisor", "description": "curl --unix-socket RUNTIME_DIR/control.sock"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(route: Route) -> JSON:
    kind = _OTHER_TYPES.get(route.shape, "application/json")
    good: JSON = {"description": route.summary, "content": {kind: {"schema": _ref(route.shape)}}}
    answers: JSON = {str(route.answers): good}
    if route.shape == "Readiness":
        answers["503"] = good | {"description": "some wanted instance is not ready"}
    for status, meaning in _ERRORS.items():
        error = {"description": meaning, "content": {"application/json": {"schema": _ref("Error")}}}
        answers.setdefault(str(status), error)
    name = route.path.strip("/").replace("v1/", "").translate(str.maketrans("/.", "__", "{}"))
    operation: JSON = {
        "operationId": f"{route.method.lower()}_{name}",
        "summary": route.summary,
        "x-tcp": route.tcp,
        "responses": answers,
    }
    parameters = [_parameter(p) for p in route.params if p.place != "body"]
    if route.shape == "Stream":
        resume = "resume after the event of this id"
        schema = {"type": "integer"}
        parameters.append({"name": "Last-Event-ID", "in": "header", "description": resume, "schema": schema})
    if parameters:
        operation["parameters"] = parameters
    fields = {p.name: _schema(p) | {"description": p.description} for p in route.params if p.place == "body"}
    if fields:
        body = {"type": "object", "properties": fields, "additionalProperties": False}
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _parameter(param: Param) -> JSON:
    return {
        "name": param.name,
        "in": param.place,
        "required": param.place == "path",
        "description": param.description,
        "schema": _schema(param),
    }


def _schema(param: Param) -> JSON:
    schema = dict(_KINDS.get(param.kind, {"type": param.kind}))
    if param.default is not None:
        schema["default"] = param.default
    if param.least is not None:
        schema["minimum"] = param.least
    if param.most is not None:
        schema["maximum"] = param.most
    return schema


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(of: JSON) -> JSON:
    return {"type": "array", "items": of}


def _object(properties: JSON, required: Sequence[str] | None = None) -> JSON:
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, "required": names}


_TEXT: JSON = {"type": "string"}
_WHOLE: JSON = {"type": "integer"}
_NUMBER: JSON = {"type": "number"}
_SWITCH: JSON = {"type": "boolean"}
_MAP: JSON = {"type": "object"}
_TEXTS = _list(_TEXT)


def _or_null(schema: JSON) -> JSON:
    return schema | {"type": [schema["type"], "null"]}


_SECONDS = _NUMBER | {"description": "seconds"}
_MAYBE_SECONDS = _or_null(_SECONDS)
_STATES = ("stopped", "starting", "running", "suspect", "stopping", "backoff", "exited", "failed")
_STATE: JSON = {"type": "string", "enum": list(_STATES)}
_GOAL: JSON = {"type": "string", "enum": ["up", "down"]}

_TARGET: JSON = {
    "detect_within_s": _SECONDS,
    "max_false_restarts_per_30d": _NUMBER,
    "feasible": _or_null(_SWITCH) | {"description": "can both be had? null: too little is known"},
    "sure": _SWITCH | {"description": "so says the other end of the 95 %, too"},
    "patience_s": _SECONDS | {"description": "never suspected earlier"},
    "most_s": _SECONDS | {"description": "always suspected by then"},
    "needs_s": _MAYBE_SECONDS | {"description": "the silence that max_false_restarts needs"},
    "needs_high_s": _MAYBE_SECONDS,
    "false_restarts_per_30d": _or_null(_NUMBER) | {"description": "predicted at patience_s, of all instances together"},
    "low_per_30d": _or_null(_NUMBER),
    "high_per_30d": _or_null(_NUMBER),
    "proven_per_30d": _or_null(_NUMBER) | {"description": "at most, by what was seen alone"},
    "seen": _WHOLE | {"description": "recorded intervals longer than patience_s"},
    "beats": _WHOLE,
    "beats_needed": _WHOLE,
    "recorded_s": _SECONDS,
    "says": _TEXT,
}

_INSTANCE: JSON = {
    "name": _TEXT,
    "service": _TEXT,
    "goal": _GOAL,
    "state": _STATE,
    "ready": _SWITCH,
    "pid": _or_null(_WHOLE),
    "incarnation": _WHOLE,
    "uptime_s": _MAYBE_SECONDS,
    "restarts": _WHOLE,
    "detector": _or_null(_TEXT),
    "phi": _or_null(_NUMBER),
    "threshold": _or_null(_NUMBER),
    "last_heartbeat_age_s": _MAYBE_SECONDS,
    "suspect_in_s": _MAYBE_SECONDS,
    "false_suspicions": _WHOLE,
    "target": _or_null(_object(_TARGET)) | {"description": "what became of heartbeat.target"},
    "cause": _TEXT,
    "since_s": _MAYBE_SECONDS,
    "exit_code": _or_null(_WHOLE),
    "signal": _or_null(_WHOLE),
    "next_restart_in_s": _MAYBE_SECONDS,
    "kill_in_s": _MAYBE_SECONDS,
    "ready_within_s": _MAYBE_SECONDS,
    "breaker": {"type": "string", "enum": ["closed", "open", "half-open"]},
    "attempt": _WHOLE,
    "waiting_for": _or_null(_TEXT),
    "held": _or_null(_TEXT),
    "lingering": _TEXTS,
    "stuck": _SWITCH | {"description": "it was killed again and again, and does not go"},
    "detach": _SWITCH | {"description": "it outlives the supervisor"},
    "status": _or_null(_TEXT),
    "probe_error": _or_null(_TEXT),
    "current": _SWITCH | {"description": "runs the configuration now in force"},
    "group": _or_null(_TEXT),
    "type": {"type": "string", "enum": ["service", "oneshot"]},
    "cpu_percent": _or_null(_NUMBER),
    "memory_bytes": _or_null(_WHOLE),
}
_PROCESS = _object(
    {
        "pid": _WHOLE,
        "ppid": _WHOLE,
        "command": _TEXT,
        "state": _TEXT,
        "cpu_percent": _or_null(_NUMBER),
        "memory_bytes": _or_null(_WHOLE),
        "threads": _or_null(_WHOLE),
    },
    ("pid",),
)

SCHEMAS: JSON = {
    "Status": _object({"supervisor": _ref("Supervisor"), "instances": _list(_ref("Instance"))}),
    "Supervisor": _object(
        {
            "pid": _WHOLE,
            "name": _TEXT,
            "version": _TEXT,
            "upgraded_from": _TEXT | {"description": "the version that this one took over from; empty: none"},
            "uptime_s": _SECONDS,
            "started_at": _TEXT,
            "host_starved": _SWITCH,
            "config": _TEXT,
            "runtime_dir": _TEXT,
            "state_dir": _TEXT,
            "lag_ms": _or_null(_NUMBER),
            "trees": _TEXT | {"description": "how process trees are held together: cgroup or session"},
            "memory_bytes": _or_null(_WHOLE),
            "load": _list(_NUMBER),
            "cpus": _WHOLE,
            "psi": _or_null(_MAP) | {"description": "some avg10 in percent, for cpu, memory and io"},
            "instances": _WHOLE,
            "ready": _WHOLE,
            "failed": _WHOLE,
            "closing": _SWITCH,
            "problems": _TEXTS,
        },
        ("pid", "name", "version", "uptime_s", "host_starved"),
    ),
    "Instance": _object(_INSTANCE),
    "InstanceDetail": _object(
        _INSTANCE
        | {
            "command": _TEXTS,
            "description": _TEXT,
            "depends_on": _TEXTS,
            "directory": _or_null(_TEXT),
            "tree": _list(_PROCESS),
            "intervals_s": _list(_NUMBER) | {"maxItems": 64},
            "transitions": _list(_ref("Event")) | {"maxItems": 20},
            "log_path": _or_null(_TEXT),
            "start_timeout_s": _SECONDS,
            "stop_timeout_s": _SECONDS,
            "policy": _TEXT,
            "max_restarts": _WHOLE,
            "window_s": _SECONDS,
            "restarts_in_window": _WHOLE,
            "heartbeat": _or_null(_MAP),
            "evidence": _MAP | {"description": "what the last suspicion found"},
        },
        ("name", "service", "goal", "state", "command", "transitions"),
    ),
    "Services": _object(
        {
            "services": _list(
                _object(
                    {
                        "name": _TEXT,
                        "description": _TEXT,
                        "type": _TEXT,
                        "group": _or_null(_TEXT),
                        "depends_on": _TEXTS,
                        "instances": _TEXTS,
                        "autostart": _SWITCH,
                        "command": _TEXTS,
                    }
                )
            )
        }
    ),
    "Accepted": _object({"instances": _TEXTS | {"description": "affected; what follows is on /v1/stream"}}),
    "Nothing": _object({}),
    "Difference": _object(
        {
            "applied": _SWITCH,
            "added": _TEXTS,
            "removed": _TEXTS,
            "changed": {"type": "object", "additionalProperties": _TEXTS},
            "restarted": _TEXTS,
            "unchanged": _WHOLE,
            "supervisor": _TEXTS | {"description": "keys that take effect when the daemon is started again"},
        }
    ),
    "Upgrade": _object({"from": _TEXT, "to": _TEXT, "python": _TEXT, "pid": _WHOLE}),
    "Event": _object(
        {
            "id": _WHOLE,
            "at": _TEXT | {"format": "date-time"},
            "service": _TEXT,
            "instance": _TEXT,
            "incarnation": _WHOLE,
            "goal": _GOAL,
            "from": _STATE,
            "to": _STATE,
            "cause": _TEXT,
            "detail": _MAP,
        }
    ),
    "Events": _object({"events": _list(_ref("Event"))}),
    "Evidence": _MAP,
    "Logs": _object(
        {
            "instance": _TEXT,
            "lines": _list(_object({"at": _or_null(_NUMBER), "text": _TEXT})),
            "first": _or_null(_TEXT),
            "last": _or_null(_TEXT),
            "at_end": _SWITCH,
        }
    ),
    "Stream": _TEXT
    | {
        "description": "`event: event` (an Event, with its id), `event: status` (a Status), "
        '`event: log` ({"instance", "at", "lines"}), `event: lagged` (cut; come back with Last-Event-ID)'
    },
    "Metrics": _TEXT,
    "Health": _object({"status": _TEXT}),
    "Readiness": _object({"status": _TEXT, "waiting_for": _TEXTS}),
    "OpenApi": _MAP,
    "Error": _object({"error": _object({"code": _TEXT, "message": _TEXT, "hint": _TEXT, "known": _TEXTS})}),
}
