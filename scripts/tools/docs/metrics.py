"""The page docs/metrics.md, made from the table of metric families; `scripts/reference` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from supervisor.adapters.metrics.families import (
    COUNTED,
    DAEMON,
    DETECTION,
    INTERVALS,
    OF_BALANCERS,
    OF_CLUSTER,
    OF_ROLLOUTS,
    RATIOS,
    RECOVERY,
    SOCKETS,
    STATE,
    VALUES,
    Family,
)
from supervisor.adapters.metrics.page import MOST_HISTOGRAMS, MOST_LOOKS

PATH = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
HEAD = """# Metrics, board and alerts

The daemon serves its metrics to Prometheus at `/metrics`. This page names every metric with an example, and the alert rules and the Grafana
board that come with them. `scripts/reference` makes it from the table that the daemon uses.

```toml
[supervisor.http]
listen = "127.0.0.1:9180"
```

```yaml
# prometheus.yml
scrape_configs:
  - job_name: phi-supervisor
    static_configs: [{targets: ["127.0.0.1:9180"]}]
rule_files: [alerts.yml]
```

- [monitoring/alerts.yml](monitoring/alerts.yml): alert rules. Each alert says what is wrong and which command to type.
- [monitoring/grafana.json](monitoring/grafana.json): a board for Grafana (Dashboards → New → Import).
- `supervisor report --html` needs no Prometheus: it writes a page of what was available, from the ledger.

## What a scrape costs

A page is made in slices of a millisecond, and between two slices the daemon does its other work, so that no heartbeat waits for a page.
Requests that come while a page is made share the next one. Memory, CPU and tasks of at most {looks} instances are read for one page, and at most
{histograms} histograms of heartbeats are computed; where there are more instances they take turns, and the others show their last
reading. All other values are those of the moment. `scripts/bench --only scrape` measures it.

So a heartbeat waits for a slice and the step that ends it: with 500 instances 1.1 ms at most, wherever in the page it comes; another request
waits for 2.4 ms, and a page takes 7.7 ms of the daemon's time (medians, 2026-11-30, with priority over all other work). The first page of a
daemon is the exception: the daemon then imports what makes pages, one module in each slice, and the largest takes several milliseconds.

## Names and labels

All names begin with `phi_supervisor_`. `name` is the instance (`web@2`), `service` its service; `instance` and `job` are the labels that
Prometheus gives to the daemon. A `cause` is one of a fixed set of words, such as `heartbeat-silent`; `events` and
`why` use the same ones. So the configuration bounds the number of series. A value that is not known has no sample. Counters begin at 0 when the daemon starts, except
`restarts`, `false_suspicions` and the intervals, which the ledger keeps.

A series with a `cause`, and a histogram of a service, begins with its first failure, and `increase` does not count the first value of a series. Where
that one matters, add it, as the board and the alert rules do: `increase(X[1h]) + (min_over_time(X[1h]) unless X offset 1h) or increase(X[1h])`.
"""


def page() -> str:
    sections: tuple[tuple[str, Sequence[Family]], ...] = (
        ("The daemon", DAEMON),
        ("Instances", (STATE, *VALUES, INTERVALS)),
        ("Sockets of services", tuple(family for family, _ in SOCKETS)),
        ("Failures and what followed", (*COUNTED, DETECTION, RECOVERY)),
        ("Ratios", RATIOS),
        ("Rollouts", OF_ROLLOUTS),
        ("Behind the balancer", OF_BALANCERS),
        ("The cluster", OF_CLUSTER),
    )
    out = [HEAD.replace("{looks}", str(MOST_LOOKS)).replace("{histograms}", str(MOST_HISTOGRAMS))]
    for title, families in sections:
        out += [f"## {title}\n", "| metric | type | labels | meaning | example |", "| --- | --- | --- | --- | --- |"]
        for family in families:
            query = family.query.replace("|", "\\|")
            out.append(f"| `{family.full_name}` | {family.kind} | {family.labels} | {family.meaning} | `{query}` |")
        out.append("")
    return "\n".join(out)
