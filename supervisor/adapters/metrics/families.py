"""The table of all metric families: name, type, labels, meaning, and a query that uses it.

The pages for Prometheus, docs/metrics.md and the tests of the board and the alert rules use this one table.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

PREFIX = "phi_supervisor_"
INSTANCE = "service, name"
"""The labels of one instance. `instance` is the label that Prometheus gives to the target it scrapes."""


class Family(NamedTuple):
    """One family; `name` is without the prefix."""

    name: str
    kind: str
    labels: str
    meaning: str
    query: str = ""

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    @property
    def head(self) -> str:
        """The lines that begin the family."""
        return f"# HELP {self.full_name} {self.meaning}\n# TYPE {self.full_name} {self.kind}\n"


DAEMON = (
    Family("build_info", "gauge", "version, name", "Version and name of the daemon.", "phi_supervisor_build_info"),
    Family("uptime_seconds", "gauge", "", "Uptime of the daemon.", "phi_supervisor_uptime_seconds < 300"),
    Family("loop_lag_seconds", "gauge", "", "How late the event loop runs.", "phi_supervisor_loop_lag_seconds > 0.5"),
    Family("memory_bytes", "gauge", "", "Memory of the daemon itself.", "phi_supervisor_memory_bytes"),
    Family(
        "host_starved",
        "gauge",
        "",
        "Whether the host or the daemon runs late, so that silence may not mean a hang.",
        "phi_supervisor_host_starved == 1",
    ),
    Family(
        "problems",
        "gauge",
        "",
        "Problems that the daemon reports in `status`, without maintenance.",
        "phi_supervisor_problems > 0",
    ),
)
"""About the daemon itself."""

STATE = Family(
    "instance_state",
    "gauge",
    f"{INSTANCE}, state",
    "1 for its present state, 0 for others.",
    "sum by (state) (phi_supervisor_instance_state)",
)

VALUES = (
    Family("instance_up", "gauge", INSTANCE, "Whether its main process exists.", "phi_supervisor_instance_up == 0"),
    Family("instance_wanted", "gauge", INSTANCE, "Whether its goal is up.", "sum(phi_supervisor_instance_wanted)"),
    Family(
        "instance_ready",
        "gauge",
        INSTANCE,
        "Whether it is ready.",
        "phi_supervisor_instance_wanted == 1 unless phi_supervisor_instance_ready == 1",
    ),
    Family(
        "instance_incarnation",
        "gauge",
        INSTANCE,
        "The number of its present or last run.",
        "changes(phi_supervisor_instance_incarnation[1h])",
    ),
    Family(
        "instance_uptime_seconds",
        "gauge",
        INSTANCE,
        "Age of its main process.",
        "min by (service) (phi_supervisor_instance_uptime_seconds)",
    ),
    Family(
        "instance_phi",
        "gauge",
        INSTANCE,
        "Suspicion level of its failure detector.",
        "topk(5, phi_supervisor_instance_phi)",
    ),
    Family(
        "instance_heartbeat_age_seconds",
        "gauge",
        INSTANCE,
        "Time since its last heartbeat.",
        "max by (service) (phi_supervisor_instance_heartbeat_age_seconds)",
    ),
    Family(
        "instance_memory_bytes",
        "gauge",
        INSTANCE,
        "Resident memory of its process tree.",
        "sum by (service) (phi_supervisor_instance_memory_bytes)",
    ),
    Family(
        "instance_cpu_percent",
        "gauge",
        INSTANCE,
        "CPU use of its process tree, 100 is one core.",
        "sum by (service) (phi_supervisor_instance_cpu_percent)",
    ),
    Family(
        "instance_tasks",
        "gauge",
        INSTANCE,
        "Processes and threads of its process tree.",
        "topk(5, phi_supervisor_instance_tasks)",
    ),
    Family(
        "instance_breaker_open",
        "gauge",
        INSTANCE,
        "Whether its circuit breaker is open.",
        "phi_supervisor_instance_breaker_open == 1",
    ),
    Family(
        "instance_maintenance",
        "gauge",
        INSTANCE,
        "Whether it is in maintenance.",
        "phi_supervisor_instance_maintenance == 1",
    ),
    Family(
        "instance_held",
        "gauge",
        INSTANCE,
        "Whether it is silent and not ended, because it cannot run or because what it needs does not answer.",
        "phi_supervisor_instance_held == 1",
    ),
    Family(
        "instance_restarts_total",
        "counter",
        INSTANCE,
        "Restarts decided by the daemon.",
        "increase(phi_supervisor_instance_restarts_total[1h]) > 3",
    ),
    Family(
        "instance_false_suspicions_total",
        "counter",
        INSTANCE,
        "Suspicions that proved to be wrong.",
        "increase(phi_supervisor_instance_false_suspicions_total[1d])",
    ),
    Family(
        "instance_log_bytes_total",
        "counter",
        INSTANCE,
        "Bytes of its output that were written to its log since the daemon started.",
        "topk(5, rate(phi_supervisor_instance_log_bytes_total[5m]))",
    ),
    Family(
        "instance_log_lost_bytes_total",
        "counter",
        INSTANCE,
        "Bytes of its output that could not be written since the daemon started.",
        "increase(phi_supervisor_instance_log_lost_bytes_total[1h]) > 0",
    ),
    Family(
        "instance_balanced",
        "gauge",
        INSTANCE,
        "Whether the balancer sends requests to it.",
        "sum by (service) (phi_supervisor_instance_balanced)",
    ),
    Family(
        "instance_sessions",
        "gauge",
        INSTANCE,
        "Requests that the balancer has sent to it and that are not answered yet.",
        "sum by (service) (phi_supervisor_instance_sessions)",
    ),
    Family(
        "instance_queued_requests",
        "gauge",
        INSTANCE,
        "Requests that wait in the balancer for it.",
        "phi_supervisor_instance_queued_requests > 0",
    ),
    Family(
        "instance_requests_total",
        "counter",
        INSTANCE,
        "Requests that the balancer has sent to it since the daemon started.",
        "sum by (service) (rate(phi_supervisor_instance_requests_total[1m]))",
    ),
    Family(
        "instance_request_errors_total",
        "counter",
        INSTANCE,
        "Failed connections and answers that the balancer saw since the daemon started.",
        "increase(phi_supervisor_instance_request_errors_total[10m]) > 0",
    ),
)
"""One value of each instance, in the order in which `page.py` lists them."""

INTERVALS = Family(
    "instance_heartbeat_interval_seconds",
    "histogram",
    INSTANCE,
    "Intervals between its heartbeats.",
    "histogram_quantile(0.99, sum by (service, le) "
    "(rate(phi_supervisor_instance_heartbeat_interval_seconds_bucket[1h])))",
)
FAILURES = Family(
    "instance_failures_total",
    "counter",
    f"{INSTANCE}, cause",
    "Failures by cause since the daemon started.",
    "sum by (cause) (increase(phi_supervisor_instance_failures_total[1d]))",
)
RECOVERIES = Family(
    "instance_recoveries_total",
    "counter",
    INSTANCE,
    "Failures recovered without user action since the daemon started.",
    "sum(increase(phi_supervisor_instance_recoveries_total[1d]))",
)
LAST_FAILURE = Family(
    "instance_last_failure_age_seconds",
    "gauge",
    INSTANCE,
    "Time since its last failure.",
    "phi_supervisor_instance_last_failure_age_seconds < 600",
)
RESTARTS = Family(
    "instance_restarts_by_cause_total",
    "counter",
    f"{INSTANCE}, cause",
    "Restarts decided by the daemon, by cause, since it started.",
    "sum by (service, cause) (increase(phi_supervisor_instance_restarts_by_cause_total[1d]))",
)
BREAKERS = Family(
    "instance_breaker_openings_total",
    "counter",
    INSTANCE,
    "How often its circuit breaker opened since the daemon started.",
    "increase(phi_supervisor_instance_breaker_openings_total[1d])",
)
HOLDS = Family(
    "instance_holds_total",
    "counter",
    INSTANCE,
    "Suspicions that were held since the daemon started.",
    "increase(phi_supervisor_instance_holds_total[1d])",
)
DETECTION = Family(
    "detection_seconds",
    "histogram",
    "service",
    "Longest possible time from a failure until it was detected.",
    "histogram_quantile(0.95, sum by (service, le) (rate(phi_supervisor_detection_seconds_bucket[1d])))",
)
RECOVERY = Family(
    "recovery_seconds",
    "histogram",
    "service",
    "Time from the first sign of a failure until the instance was ready again.",
    "histogram_quantile(0.95, sum by (service, le) (rate(phi_supervisor_recovery_seconds_bucket[1d])))",
)
COUNTED = (FAILURES, RECOVERIES, LAST_FAILURE, RESTARTS, BREAKERS, HOLDS)
"""What is counted of each instance from the records; there is no sample before the first."""

RATIOS = (
    Family(
        "replication_ratio",
        "gauge",
        "service, or none for all",
        "R = N/M: instances ready / wanted.",
        'phi_supervisor_replication_ratio{service!=""} < 1',
    ),
    Family(
        "consistency_ratio",
        "gauge",
        "service, or none for all",
        "C: instances that run the configuration now in force / running.",
        'phi_supervisor_consistency_ratio{service=""}',
    ),
    Family(
        "load_ratio",
        "gauge",
        "service, or none for all",
        "L = T/S: requests per instance, where a balancer is in front.",
        'phi_supervisor_load_ratio{service!=""}',
    ),
    Family(
        "fault_ratio",
        "gauge",
        "service, or none for all",
        "F = D/T: failures detected since the daemon started / instances.",
        'phi_supervisor_fault_ratio{service=""}',
    ),
    Family(
        "recovery_ratio",
        "gauge",
        "service, or none for all",
        "Failures recovered without user action / failures.",
        'phi_supervisor_recovery_ratio{service=""}',
    ),
)
"""The ratios; their order is that of `page.ratios_of`."""

_SOCKET = "service, socket"
WAITING = Family(
    "socket_waiting_connections",
    "gauge",
    _SOCKET,
    "Connections that wait to be accepted on a socket that the daemon holds.",
    "phi_supervisor_socket_waiting_connections > 0.5 * phi_supervisor_socket_waiting_limit",
)
WAITING_LIMIT = Family(
    "socket_waiting_limit",
    "gauge",
    _SOCKET,
    "How many connections may wait on it.",
    "phi_supervisor_socket_waiting_limit",
)
OVERFLOWS = Family(
    "socket_overflows_total",
    "counter",
    _SOCKET,
    "Connections refused because its queue was full, since it was opened; TCP only.",
    "increase(phi_supervisor_socket_overflows_total[10m]) > 0",
)
SOCKETS: tuple[tuple[Family, Literal["waiting", "limit", "overflows"]], ...] = (
    (WAITING, "waiting"),
    (WAITING_LIMIT, "limit"),
    (OVERFLOWS, "overflows"),
)
"""Of each listening socket, with the key of the value in `status`."""

ROLLOUT_STATE = Family(
    "rollout_state",
    "gauge",
    "service, state",
    "1 for the state of its newest rollout, 0 for others: running, rolling-back, halted, finished, rolled-back.",
    'phi_supervisor_rollout_state{state=~"running|rolling-back"} == 1',
)
ROLLOUT_PAUSED = Family(
    "rollout_paused",
    "gauge",
    "service",
    "Whether its newest rollout is paused by a user.",
    "phi_supervisor_rollout_paused == 1",
)
ROLLOUTS = Family(
    "rollouts_total",
    "counter",
    "service, outcome",
    "Rollouts that came to this since the daemon started: finished, rolled-back or halted.",
    'increase(phi_supervisor_rollouts_total{outcome!="finished"}[1d])',
)
BALANCER_UP = Family(
    "balancer_up",
    "gauge",
    "service",
    "Whether HAProxy, which balances it, answers the daemon.",
    "phi_supervisor_balancer_up == 0",
)
SLOTS = Family(
    "balancer_slots",
    "gauge",
    "service, state",
    "Slots of the balancer: active, draining or free.",
    'phi_supervisor_balancer_slots{state="draining"} > 0',
)
OF_ROLLOUTS = (ROLLOUT_STATE, ROLLOUT_PAUSED, ROLLOUTS)
"""Of each service that had a rollout."""
OF_BALANCERS = (BALANCER_UP, SLOTS)
"""Of each service behind the balancer."""

C_OVER_HOSTS = Family(
    "cluster_consistency_ratio",
    "gauge",
    "",
    "C over the cluster: hosts that run the version of the configuration on which all are to end / hosts.",
    "phi_supervisor_cluster_consistency_ratio < 1",
)
HOSTS = Family(
    "cluster_hosts",
    "gauge",
    "state",
    "Hosts that have ever belonged to the cluster: here, away or suspect (here, and its heartbeats fail to come).",
    'phi_supervisor_cluster_hosts{state!="here"} > 0',
)
OF_CLUSTER = (C_OVER_HOSTS, HOSTS)
"""Of the cluster, as the agent of this host has told it last."""

FAMILIES = (
    *DAEMON,
    STATE,
    *VALUES,
    WAITING,
    WAITING_LIMIT,
    OVERFLOWS,
    INTERVALS,
    *COUNTED,
    DETECTION,
    RECOVERY,
    *RATIOS,
    *OF_ROLLOUTS,
    *OF_BALANCERS,
    *OF_CLUSTER,
)
"""All families in the order of the page."""
