"""The tables and keys of services.toml, each with its kind and its meaning.

A validated file holds exactly the keys that were given; defaults are in core/model/spec.py.
"""

from __future__ import annotations

from pydantic_core import SchemaValidator, core_schema

from supervisor.config.schema import kinds
from supervisor.config.schema.several_hosts import CLUSTER, FLEET, PLACEMENT
from supervisor.config.schema.table import key, table
from supervisor.core.detection.detectors.registry import KNOWN
from supervisor.core.model.spec import (
    BackoffKind,
    Enforce,
    Evidence,
    NotifyAccess,
    OnOpen,
    Policy,
    Reaction,
    Scope,
    ServiceType,
    Strategy,
    Suspicion,
)

READY_KINDS = ("http", "tcp", "exec", "log", "notify", "delay")
SOURCES = ("notify", "http", "tcp", "exec", "file", "log", "activity", "celery")
SOURCE_KEYS = ("http", "tcp", "exec", "file", "log")
OCCASIONS = ("started", "ready", "suspected", "failed", "restarted", "breaker-open", "stopped")
PARAMETERS = ("detector", "threshold", "min_timeout", "timeout")
"""Keys of a heartbeat that a target replaces."""

IN_SPEC = {"for": "sustained"}
"""Keys of the file that have another name in the specs."""


READY = table(
    "Readiness: exactly one of http, tcp, exec, log, notify and delay.  None: ready as soon as it runs.",
    {
        "http": key(
            kinds.HTTP,
            "Ready when a GET of this URL answers 2xx or 3xx: http://…, https://… (the certificate is not verified) or "
            "http://unix:SOCKET:/path.",
        ),
        "tcp": key(kinds.TCP, "Ready when host:port, or unix:SOCKET, accepts a connection."),
        "exec": key(kinds.WORDS, "Ready when this command exits with 0."),
        "log": key(kinds.PATTERN, "Ready when a line of output matches this regular expression."),
        "notify": key(kinds.ONLY_TRUE, "Ready when the service sends READY=1 (sd_notify)."),
        "notify_access": key(
            kinds.one_of(NotifyAccess),
            "Whose messages count, of every kind: tree: those of all its processes; main: of the main process alone.",
        ),
        "notify_reload": key(
            kinds.SWITCH,
            "It answers reload_signal with RELOADING=1, then READY=1 when that is done; `supervisor signal` waits.",
        ),
        "delay": key(kinds.DURATION, "Ready when it has run for this long."),
        "interval": key(kinds.POSITIVE_DURATION, "The time from one probe to the next: http, tcp and exec."),
        "timeout": key(kinds.POSITIVE_DURATION, "How long one probe may take: http, tcp and exec."),
    },
)

TARGET = table(
    "What detection must achieve, instead of detector, threshold and min_timeout: the adaptive detector sets itself "
    "from the intervals that it observes.",
    {
        "detect_within": key(
            kinds.POSITIVE_DURATION, "A hang is suspected and confirmed within this time; always kept."
        ),
        "max_false_restarts": key(
            kinds.RATE, "At most this many healthy instances are restarted; an event says when that cannot be kept."
        ),
    },
)

HEARTBEAT = table(
    "Liveness: where beats come from, and when their absence becomes a suspicion.",
    {
        "source": key(kinds.one_of(SOURCES), "Where beats come from."),
        "interval": key(kinds.POSITIVE_DURATION, "How often a beat is expected, or the probe runs."),
        "http": key(kinds.HTTP, 'source = "http": a GET of this URL, as in ready, that answers 2xx or 3xx is a beat.'),
        "tcp": key(
            kinds.TCP,
            'source = "tcp": an accepted connection to host:port, or unix:SOCKET, is a beat.  source = "celery": the '
            "address of the broker.",
        ),
        "exec": key(
            kinds.WORDS,
            'source = "exec": an exit of this command with 0 is a beat; with scope = process it prints a line PID AGE '
            'for each process.  source = "celery": a command that asks the broker.',
        ),
        "file": key(kinds.PATH, 'source = "file": a new modification time of this file is a beat.'),
        "log": key(kinds.PATTERN, 'source = "log": a line that matches is a beat; without it any output is.'),
        "probe_timeout": key(kinds.POSITIVE_DURATION, "How long one probe may take: http, tcp and exec."),
        "detector": key(kinds.one_of(KNOWN), "How silence is turned into a suspicion."),
        "threshold": key(kinds.number(0.1, 300), "The score at which suspicion begins; its unit is the detector's."),
        "min_timeout": key(kinds.DURATION, "Never suspect earlier than this after a beat."),
        "max_timeout": key(kinds.POSITIVE_DURATION, "Always suspect after this long without a beat."),
        "timeout": key(kinds.POSITIVE_DURATION, 'detector = "timeout": suspect this long after the last beat.'),
        "on_suspect": key(
            kinds.one_of(Suspicion),
            "Restart a suspect, only report it, or (kill-process, with scope = process) end the one process that is "
            "silent, so that its master starts another.",
        ),
        "scope": key(
            kinds.one_of(Scope),
            "process: each process that has sent a heartbeat must go on sending (pre-fork servers).",
        ),
        "target": key(TARGET),
        "keep_alive": key(
            kinds.SWITCH,
            'source = "http": ask over one connection, as long as the server keeps it open, which costs less. Not for '
            "a server with one thread or worker for each connection, which would wait for this one.",
        ),
    },
)

EXIT_CODES = table(
    "Exit codes that decide about a restart, before `policy` does.",
    {
        "never": key(kinds.many(kinds.whole(0, 255)), "No restart after these."),
        "always": key(kinds.many(kinds.whole(0, 255)), "A restart after these, also where `policy` says no."),
        "group": key(kinds.many(kinds.whole(0, 255)), "A restart of the whole group after these."),
    },
)

STOP_STEP = table(
    "One step of a stop: after `wait` the next step follows, and after the last step SIGKILL.",
    {
        "signal": key(kinds.SIGNAL, "The signal that is sent."),
        "wait": key(kinds.DURATION, "How long the process has to end."),
    },
)

RESTART = table(
    "Whether a failed instance is started again, and when.",
    {
        "policy": key(kinds.one_of(Policy), "After which exits it is started again."),
        "success_exit_codes": key(kinds.many(kinds.whole(0, 255)), "Exit codes that do not count as a failure."),
        "backoff": key(kinds.one_of(BackoffKind), "How the delay grows from attempt to attempt."),
        "initial": key(kinds.DURATION, "The first delay."),
        "maximum": key(kinds.DURATION, "The longest delay."),
        "factor": key(kinds.number(1, 1000), "The factor by which the delay grows (exponential)."),
        "jitter": key(kinds.number(0, 1), "The part of the delay that is random: 0 none, 1 all."),
        "reset_after": key(kinds.DURATION, "After this long in health the backoff starts over."),
        "max_restarts": key(
            kinds.whole(0, 1_000_000), "The breaker opens after more restarts than this within `window`."
        ),
        "window": key(kinds.POSITIVE_DURATION, "The time within which restarts are counted."),
        "cooldown": key(kinds.POSITIVE_DURATION, "How long an open breaker waits before the next try."),
        "strategy": key(kinds.one_of(Strategy), "Which other services of the group are restarted with it."),
        "fallback": key(kinds.TEXT, "The service that is started while the breaker is open."),
        "exit_codes": key(EXIT_CODES),
    },
)

RESOURCES = table(
    "Limits that are checked by sampling, and enforced by the kernel where it can.",
    {
        "max_memory": key(kinds.SIZE, "Memory of all processes of an instance together."),
        "max_cpu": key(kinds.PERCENT, "CPU use of all processes of an instance together; 100% is one core."),
        "max_tasks": key(
            kinds.whole(1, 4_194_304),
            "Processes and threads of an instance together; the pids controller enforces this where it is available."
            "  The same limit holds for its probes and hooks together, which are killed above it.",
        ),
        "for": key(kinds.DURATION, "How long it must be over the limit (max_tasks: at once)."),
        "action": key(kinds.one_of(Reaction), "Restart it, or only report it."),
        "enforce": key(kinds.one_of(Enforce), "kernel: the cgroup controllers also enforce memory and CPU."),
    },
)

LOG = table(
    "How captured output is kept.",
    {
        "max_size": key(
            kinds.SIZE,
            "A file that grows beyond this is rotated, at the end of a line (of at most 1 MiB).",
        ),
        "keep": key(kinds.whole(0, 10_000), "How many rotated files are kept."),
        "compress": key(kinds.SWITCH, "Compress rotated files."),
        "timestamps": key(kinds.SWITCH, "Put the time in front of each line."),
        "console": key(
            kinds.CONSOLE,
            'Print each line on the daemon\'s stdout, too: true with the name in front of it, "raw" as it is.',
        ),
        "path": key(
            kinds.PATH,
            "The file, instead of one in the state directory; {instance} in it stands for NAME or NAME@N.  Where "
            "several instances have the same file, each line has the name of its instance: `web@1 | line`.",
        ),
        "mode": key(kinds.MODE, "The mode of the file; unless given, 0640 less the umask."),
        "owner": key(kinds.ACCOUNT, "The user to whom the file belongs (only root may choose)."),
        "group": key(kinds.ACCOUNT, "The group of the file."),
        "rotate": key(
            kinds.SWITCH,
            "false: another program (logrotate) rotates, compresses and removes files; max_size, keep and compress "
            "have no effect.",
        ),
        "stderr": key(
            kinds.OWN_LOG,
            "A log of its own for the standard error: true for one in the state directory, or its path, as for path."
            "  Takes effect when the service starts.",
        ),
    },
)

HOOK = table(
    "A command or a notification to run on certain events.",
    {
        "on": key(kinds.many(kinds.one_of(OCCASIONS)), "The events that run it."),
        "run": key(kinds.WORDS, "A command that gets the event as JSON on stdin."),
        "notify": key(kinds.TEXT, "An Apprise URL that gets a message."),
        "timeout": key(kinds.POSITIVE_DURATION, "How long the hook may take."),
    },
)

LIMITS = table(
    'Resource limits (setrlimit): sizes, numbers or unlimited.  "SOFT:HARD" sets a soft and a hard limit.',
    {
        "as": key(kinds.BYTES, "Address space."),
        "core": key(kinds.BYTES, "A core file."),
        "cpu": key(kinds.COUNT, "Seconds of CPU time."),
        "data": key(kinds.BYTES, "The data segment."),
        "fsize": key(kinds.BYTES, "A file that it writes."),
        "memlock": key(kinds.BYTES, "Memory locked into RAM."),
        "msgqueue": key(kinds.BYTES, "POSIX message queues."),
        "nice": key(kinds.COUNT, "20 less the lowest nice value it may take."),
        "nofile": key(kinds.COUNT, "Open files."),
        "nproc": key(kinds.COUNT, "Processes of its user."),
        "rss": key(kinds.BYTES, "Resident memory (the kernel ignores it)."),
        "rtprio": key(kinds.COUNT, "Real-time priority."),
        "rttime": key(kinds.COUNT, "Microseconds of real-time scheduling without a pause."),
        "sigpending": key(kinds.COUNT, "Queued signals."),
        "stack": key(kinds.BYTES, "The stack."),
    },
)

SANDBOX = table(
    "What it sees and may change of the host's files (docs/sandbox.md): mounts of its own, made before it is executed.",
    {
        "private_tmp": key(kinds.SWITCH, "/tmp and /var/tmp are its own, in memory, and are gone when it has ended."),
        "private_devices": key(
            kinds.SWITCH,
            "/dev holds only null, zero, full, random, urandom, tty, shm, mqueue, hugepages, log and terminals of its "
            "own.",
        ),
        "protect_system": key(
            kinds.yes_or("full", "strict"),
            'Read-only: with true /usr and /boot, with "full" also /etc, with "strict" all but /dev, /proc and /sys.',
        ),
        "protect_home": key(
            kinds.yes_or("read-only", "tmpfs"),
            '/home, /root and /run/user are hidden (true), read-only ("read-only"), or empty ("tmpfs").',
        ),
        "read_write_paths": key(
            kinds.many(kinds.PATH), "They stay as on the host, also within what is read-only, hidden or private."
        ),
        "read_only_paths": key(kinds.many(kinds.PATH), "They are read-only, and visible also within what is hidden."),
        "inaccessible_paths": key(
            kinds.many(kinds.PATH), "They are hidden: a directory cannot be entered, a file has no content."
        ),
    },
)

BALANCE = table(
    "HAProxy in front of the instances (docs/balancing.md); one HAProxy serves all balanced services.",
    {
        "listen": key(kinds.LISTEN, "host:port on which HAProxy takes requests."),
        "mode": key(kinds.one_of(("http", "tcp")), "What is balanced: requests, or connections."),
        "algorithm": key(kinds.ALGORITHM, "How an instance is chosen; HAProxy's names."),
        "server": key(kinds.BALANCED_SERVER, "Address and port of an instance, with {port} or {replica} in the port."),
        "check": key(
            kinds.CHECK_PATH, "The path that HAProxy's own check requests; without it, the check only connects."
        ),
        "sticky": key(
            kinds.one_of(("cookie", "source")),
            "How HAProxy recognizes a client, to send it to the same instance again.",
        ),
        "retry": key(
            kinds.one_of(("connect", "idempotent")),
            "What is tried again: failed connections, or also requests that were sent, by methods that may run twice.",
        ),
        "drain": key(kinds.DURATION, "How long the requests of an instance that is stopped may take."),
        "max_connections": key(kinds.whole(1, 10_000_000), "Connections to one instance; more wait in a queue."),
        "certificate": key(kinds.PATH, "TLS in front: a PEM file with the chain of certificates and the key."),
        "hosts": key(
            kinds.one_of(("own", "all")),
            "Whose instances get requests: those of this host, or of all hosts of the cluster.",
        ),
    },
)

ROLLOUT = table(
    "How a reload replaces the instances of a changed service, and `restart --rolling` those of any.",
    {
        "max_unavailable": key(
            kinds.SHARE, 'How many instances may be missing at a time: a number, or a part of them ("25%").'
        ),
        "max_surge": key(
            kinds.SHARE, 'How many instances may run beside the others at a time: a number, or a part of them ("25%").'
        ),
        "settle": key(kinds.DURATION, "How long an instance must stay ready before the next is replaced."),
        "on_failure": key(
            kinds.one_of(("rollback", "halt")),
            "When a new instance fails: go back to the previous definition, or replace nothing more.",
        ),
    },
)

BREAKER = table(
    "What happens to the services that depend on it while its breaker is open.",
    {
        "on_open": key(
            kinds.one_of(OnOpen),
            "What they do while it is open: hold (those that are up go on, the others wait), stop (they are stopped, "
            "and started again when it has closed), or ignore (they start as if it were up).",
        ),
    },
)

SERVICE = table(
    "A service.  In [defaults]: what applies to every service that does not say otherwise.",
    {
        "command": key(kinds.WORDS, "The program and its arguments: a list, or one string split as a shell would."),
        "description": key(kinds.TEXT, "A description, for the reader."),
        "directory": key(kinds.PATH, "Its working directory; the folder of this file unless given."),
        "user": key(
            kinds.ACCOUNT,
            "The user it runs as (only root may choose); HOME, USER, LOGNAME and SHELL are those of that account.",
        ),
        "group": key(kinds.ACCOUNT, "The group it runs as; the user's own unless given."),
        "umask": key(kinds.UMASK, "The file mode creation mask, in octal digits."),
        "environment": key(kinds.ENVIRONMENT, "Variables added to those of the daemon."),
        "environment_file": key(
            kinds.ENVIRONMENT_FILES,
            "A file of KEY=VALUE lines, or a list of them, each a path or { path, required = false }; a later one "
            "overrides an earlier one, and `environment` all of them.",
        ),
        "inherit_environment": key(
            kinds.INHERITED,
            "true: all variables of the daemon; false: PATH alone; or a list of those that it gets beside PATH.",
        ),
        "unset_environment": key(kinds.many(kinds.VARIABLE), "Variables of the daemon that it does not get."),
        "replicas": key(kinds.whole(1, 10_000), "How many instances: name@1 to name@N."),
        "min_ready": key(
            kinds.whole(1, 10_000), "How many of its instances must be ready for it to be ready; all unless given."
        ),
        "first_replica": key(
            kinds.whole(0, 1_000_000),
            "The number of the first instance: {replica} in command, environment, sockets, ready and heartbeat.",
        ),
        "ports": key(
            kinds.PORTS,
            "A range with a port for each instance: {port} where {replica} may stand, and the variable PORT.",
        ),
        "depends_on": key(
            kinds.DEPENDENCIES,
            "Services, or groups of them, that must be ready before it starts, and stop after it; or tables: "
            '{ service = "cache", condition = "started", "ready" or "completed", required = false }.',
        ),
        "autostart": key(kinds.SWITCH, "Start it with the daemon."),
        "profiles": key(
            kinds.many(kinds.NAME),
            "Profiles of which one must be active, or the service is left out: --profile NAME (docs/several-files.md).",
        ),
        "extends": key(
            kinds.NAME,
            "A template or a service from which it inherits the keys that it does not set (docs/several-files.md).",
        ),
        "unset": key(
            kinds.many(kinds.TEXT),
            'Keys that it does not inherit from its parents or [defaults]: "heartbeat", "environment.DEBUG".',
        ),
        "type": key(kinds.one_of(ServiceType), "oneshot: runs to completion; dependants wait for it."),
        "group_name": key(kinds.NAME, "The group it belongs to."),
        "on_dependency_restart": key(
            kinds.one_of(("ignore", "restart")), "What to do when a service it depends on restarts."
        ),
        "stop_signal": key(kinds.SIGNAL, "The signal that asks it to stop."),
        "stop_timeout": key(kinds.DURATION, "After this the whole process tree is killed."),
        "stop": key(
            kinds.many(STOP_STEP),
            "Steps of a stop, then SIGKILL, instead of stop_signal and stop_timeout: "
            '[{ signal = "TERM", wait = "10m" }, { signal = "QUIT", wait = "30s" }].',
        ),
        "reload_signal": key(kinds.SIGNAL, "The signal that asks it to read its configuration again."),
        "reload_check": key(
            kinds.WORDS,
            "A command that has to exit with 0 before `supervisor signal` sends reload_signal; else nothing is sent.",
        ),
        "dump_signal": key(kinds.SIGNAL, "The signal at which it writes its stacks; sent before a suspect is stopped."),
        "evidence": key(
            kinds.one_of(Evidence), "core: a suspect is stopped with SIGABRT, and has stop_timeout to dump its core."
        ),
        "start_timeout": key(kinds.POSITIVE_DURATION, "How long it may take to become ready."),
        "limits": key(LIMITS),
        "nice": key(kinds.whole(-20, 19), "The scheduling priority."),
        "oom_score_adj": key(kinds.whole(-1000, 1000), "How readily the kernel kills it when memory runs out."),
        "detach": key(kinds.SWITCH, "It outlives `down` and the end of the daemon; the next daemon adopts it."),
        "end_with": key(
            kinds.SWITCH,
            "When it has ended for good, everything is stopped, and the daemon ends with its exit code (128 + signal).",
        ),
        "sockets": key(
            kinds.many(kinds.SOCKET),
            "Sockets that the daemon opens and hands over as LISTEN_FDS: tcp://ADDRESS:PORT, unix:PATH; "
            "?start=demand&idle=10m: started by a connection; ?share=reuseport: one for each instance.",
        ),
        "fd_store": key(
            kinds.whole(0, 10_000),
            "How many descriptors it may store for its next process (FDSTORE=1), which gets them as LISTEN_FDS.",
        ),
        "no_new_privileges": key(kinds.SWITCH, "It can gain no privileges, for instance by a setuid program."),
        "capabilities": key(
            kinds.many(kinds.CAPABILITY), "The most capabilities that it can have, even as root; [] for none."
        ),
        "ambient_capabilities": key(kinds.many(kinds.CAPABILITY), "Capabilities that it has although it is not root."),
        "sandbox": key(SANDBOX),
        "ready": key(READY),
        "heartbeat": key(HEARTBEAT),
        "restart": key(RESTART),
        "resources": key(RESOURCES),
        "log": key(LOG),
        "rollout": key(ROLLOUT),
        "hooks": key(kinds.many(HOOK), "Commands or notifications to run on certain events."),
        "balance": key(BALANCE),
        "breaker": key(BREAKER),
        "placement": key(PLACEMENT),
    },
)

HTTP_SERVER = table(
    "Metrics, health and the read-only API over TCP; off unless given.",
    {
        "listen": key(kinds.LISTEN, "host:port; an address that other machines reach needs the three files."),
        "token_file": key(kinds.PATH, "A file whose first line every request must send (Authorization: Bearer …)."),
        "certificate": key(kinds.PATH, "TLS: the chain of certificates, a PEM file."),
        "private_key": key(kinds.PATH, "TLS: the key that belongs to it, a PEM file."),
        "web": key(kinds.SWITCH, "A read-only page for a browser at this address (docs/web.md); not with token_file."),
        "web_actions": key(
            kinds.SWITCH, "The pages can also give orders, with the token that `supervisor web --token` prints."
        ),
    },
)

SUPERVISOR = table(
    "The daemon itself.",
    {
        "name": key(kinds.NAME, "Its name; unless given, the name of the file's folder and a hash of its path."),
        "runtime_dir": key(kinds.PATH, "The directory of its sockets."),
        "state_dir": key(kinds.PATH, "The directory of its ledger and logs."),
        "group": key(
            kinds.ACCOUNT, "Members of this group may give orders too: they get all the rights of the daemon."
        ),
        "max_concurrent_restarts": key(kinds.whole(1, 10_000), "How many instances may be starting again at once."),
        "wait_ready": key(
            kinds.SWITCH, "Under systemd: it is ready when its services are, or have failed; false: as soon as it runs."
        ),
        "http": key(HTTP_SERVER),
    },
)

GROUP = table(
    "What holds for all services with this `group_name` together.",
    {
        "max_concurrent_restarts": key(
            kinds.whole(1, 10_000),
            "How many of their instances may be starting again at once, within the limit of [supervisor].",
        ),
    },
)

FILE = table(
    "Services to supervise, and how.",
    {
        "include": key(
            kinds.many(kinds.PATH),
            "Files with more services, templates and groups: paths and patterns (*, ?, […]) from the folder of this "
            "file (docs/several-files.md).",
        ),
        "supervisor": key(SUPERVISOR),
        "fleet": key(FLEET),
        "cluster": key(CLUSTER),
        "defaults": key(SERVICE),
        "services": key(core_schema.dict_schema(kinds.NAME, SERVICE), "Services to supervise."),
        "templates": key(
            core_schema.dict_schema(kinds.NAME, SERVICE),
            "Keys that services inherit with `extends`; a template is never started.",
        ),
        "groups": key(core_schema.dict_schema(kinds.NAME, GROUP), "Groups of services, by their group_name."),
    },
)

WITHIN_SERVICE = {
    "ready": READY,
    "heartbeat": HEARTBEAT,
    "restart": RESTART,
    "resources": RESOURCES,
    "log": LOG,
    "hooks": HOOK,
    "limits": LIMITS,
    "sandbox": SANDBOX,
    "stop": STOP_STEP,
    "balance": BALANCE,
    "rollout": ROLLOUT,
    "breaker": BREAKER,
    "placement": PLACEMENT,
}

VALIDATOR = SchemaValidator(FILE)
"""Validates the tables of a file; its context is the environment."""
