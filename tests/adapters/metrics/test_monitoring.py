"""The alert rules, the board and docs/metrics.md name what the daemon serves, and Prometheus' own tool takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.docs import metrics
from supervisor.adapters.metrics.collector import MetricsCollector
from supervisor.adapters.metrics.families import FAMILIES, PREFIX
from supervisor.adapters.metrics.page import PageMaker
from supervisor.cli.commands import SECTIONS
from supervisor.core.balancing.slots import SlotState
from supervisor.core.model.actions import State
from supervisor.core.model.causes import Cause
from supervisor.core.services.rollout import Stage
from tests.adapters.metrics.test_collector import (
    BY_HAND,
    CRASH,
    HANG,
    READY,
    Daemon,
    reading,
    scrape,
    whole,
)

MONITORING = Path(__file__).parents[3] / "docs" / "monitoring"
RULES = (MONITORING / "alerts.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)
SERVED = {
    name
    for family in FAMILIES
    for name in (
        [family.full_name + end for end in ("_bucket", "_sum", "_count")]
        if family.kind == "histogram"
        else [family.full_name]
    )
}


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (scripts/test installs it where it may)")
    return subprocess.run([found, *arguments], input=text, capture_output=True, text=True, timeout=300, check=False)


def board() -> Any:
    return json.loads((MONITORING / "grafana.json").read_text())


def board_queries() -> list[str]:
    found = board()
    expressions = [target["expr"] for panel in found["panels"] for target in panel["targets"]]
    return expressions + [str(v["query"]) for v in found["templating"]["list"] if v["type"] == "query"]


def named(queries: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}\w+", queries))


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert metrics.PATH.read_text() == metrics.page(), "run scripts/reference"


@pytest.mark.parametrize("query", board_queries())
def test_every_metric_on_the_board_is_served(query: str) -> None:
    assert named(query) and named(query) <= SERVED


def test_every_metric_in_an_alert_or_an_example_is_served() -> None:
    assert named(RULES) <= SERVED
    for family in FAMILIES:
        assert named(family.query) <= SERVED, family.name
        assert family.full_name in family.query, family.name


def test_every_label_value_in_a_query_exists() -> None:
    queries = RULES + "".join(board_queries())
    families = {"instance_state": State, "rollout_state": Stage, "balancer_slots": SlotState}
    named_states = re.findall(rf'{PREFIX}(\w+)\{{[^}}]*\bstate=~?"([^"]+)"', queries)
    assert {family for family, _ in named_states} >= {"instance_state", "rollout_state"}
    for family, states in named_states:
        assert set(states.split("|")) <= {state.value for state in families[family]}
    assert set(re.findall(r'cause="([^"]+)"', queries)) <= {cause.value for cause in Cause}


def test_every_family_that_is_served_is_in_the_table() -> None:
    collector = MetricsCollector()
    for record in CRASH + READY + HANG + BY_HAND:
        collector.observe(record, 1.0)
    found = scrape(collector, reading("web"))
    table = {family.full_name.removesuffix("_total"): family.kind for family in FAMILIES}
    assert found.kinds.items() <= table.items()
    rare = {"restarts_by_cause", "breaker_openings", "holds"}
    rare |= {"balanced", "sessions", "queued_requests", "requests", "request_errors"}
    held = {f"{PREFIX}socket_{name}" for name in ("waiting_connections", "waiting_limit", "overflows")}
    held |= {f"{PREFIX}instance_{name}" for name in rare}
    of_services = {f"{PREFIX}{name}" for name in ("rollout_state", "rollout_paused", "rollouts")}
    of_services |= {f"{PREFIX}balancer_up", f"{PREFIX}balancer_slots"}
    of_cluster = {f"{PREFIX}cluster_consistency_ratio", f"{PREFIX}cluster_hosts"}
    assert set(table) - set(found.kinds) == {f"{PREFIX}load_ratio", *held, *of_services, *of_cluster}


def test_every_alert_says_what_is_wrong_and_what_to_type() -> None:
    commands = {command for section in SECTIONS.values() for command in section}
    for block in RULES.split("- alert: ")[1:]:
        name = block.split()[0]
        for part in ("severity:", "summary:", "description:", "command:"):
            assert part in block, (name, part)
        typed = re.findall(r"supervisor (?:-\S+ )*(\w+)", block.partition("command:")[2])
        assert typed and set(typed) <= commands, name


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["description"].endswith(".")
    assert max(x for x, _ in taken) < 24


def test_every_panel_has_an_id_of_its_own_and_asks_the_data_source_that_a_user_chooses() -> None:
    """As Grafana needs it, and beyond that only fields and types that it has of itself, without a plugin."""
    found = board()
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert found["templating"]["list"][0] == {"name": "datasource", "type": "datasource", "query": "prometheus"}
    ids = [panel["id"] for panel in found["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    assert len({panel["title"] for panel in found["panels"]}) == len(ids)
    fields = {"id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets"}
    for panel in found["panels"]:
        assert set(panel) == fields, panel["title"]
        assert panel["type"] in ("stat", "timeseries") and panel["datasource"] == source
        assert set(panel["fieldConfig"]) == {"defaults", "overrides"}
        assert set(panel["fieldConfig"]["defaults"]) <= {"unit", "min", "max", "thresholds", "custom"}
        assert panel["fieldConfig"]["defaults"].get("unit") in (
            None,
            "none",
            "percentunit",
            "s",
            "bytes",
            "Bps",
            "percent",
            "reqps",
        )
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": [{"value": None}]})["steps"]
        values = [step["value"] for step in steps]
        assert values[0] is None and values[1:] == sorted(values[1:]), "the first step begins at minus infinity"
        assert [target["refId"] for target in panel["targets"]] == list("ABC"[: len(panel["targets"])])
        for target in panel["targets"]:
            assert target["datasource"] == source and target["legendFormat"]
            assert '{job=~"$job", instance=~"$instance"' in target["expr"]


def test_grafanas_own_model_takes_the_whole_board() -> None:
    """Read into the types that Grafana publishes, of its panels and of queries to Prometheus, and written again, the
    board is what it was: it has no field and no value of which they know nothing."""
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog import encoder, plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

    plugins.register_default_plugins()
    found = board()
    for variable in found["templating"]["list"]:
        variable.pop("definition", None)  # Grafana writes it, its types lack it
    read = Dashboard.from_json(found)
    written = json.loads(encoder.JSONEncoder().encode(read))
    assert _lost(found, written, "") == []
    for panel in read.panels or ():
        assert isinstance(panel, Panel) and type(panel.options).__module__.endswith(f".{panel.type_val}")
        assert {type(target).__module__.rpartition(".")[2] for target in panel.targets or ()} == {"prometheus"}


def _lost(before: Any, after: Any, path: str) -> list[str]:
    """Where something of `before` is missing in `after`, or is another value."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(value, after.get(key), f"{path}.{key}") for key, value in before.items()]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(one, other, f"{path}[{k}]") for k, (one, other) in enumerate(zip(before, after, strict=True))]
    else:
        return [] if before == after else [path]
    return [lost for one, other, place in pairs for lost in _lost(one, other, place)]


def test_promtool_takes_the_rules() -> None:
    checked = promtool("check", "rules", "--lint-fatal", str(MONITORING / "alerts.yml"))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout
    assert "FAILED" not in checked.stdout + checked.stderr


def test_promtool_takes_the_queries_of_the_board_and_of_the_examples(tmp_path: Path) -> None:
    queries = [q.replace("$job", ".*").replace("$instance", ".*") for q in board_queries() if "label_values" not in q]
    queries += [family.query for family in FAMILIES]
    rules = [{"record": f"x:{k}", "expr": query} for k, query in enumerate(queries)]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint-fatal", str(file))
    assert checked.returncode == 0, checked.stderr


def test_promtool_takes_the_page() -> None:
    collector = MetricsCollector()
    for record in CRASH + READY + HANG:
        collector.observe(record, 1.0)
    checked = promtool("check", "metrics", text=whole(PageMaker(collector, Daemon(reading("web"))).page()))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


W = '{job="phi",instance="h:9180",service="web",name="web@1"}'
S = '{job="phi",instance="h:9180",service="web"}'
D = '{job="phi",instance="h:9180",name="shop",version="1"}'
ALIVE = (f"{PREFIX}build_info{D}", "1x240")
FIRES: dict[str, tuple[str, str, str]] = {
    # alert: the series, its values (one a minute), and values with which the alert stays silent
    "PhiSupervisorAbsent": ("other", "1x240", "1x240"),
    "PhiSupervisorGone": (f"{PREFIX}build_info{D}", "1x230 _x10", "1x240"),
    "PhiServiceDown": (f"{PREFIX}replication_ratio{S}", "1x230 0x10", "1x239 0x1"),
    "PhiServiceDegraded": (f"{PREFIX}replication_ratio{S}", "1x200 0.5x40", "1x235 0.5x5"),
    "PhiBreakerOpen": (f"{PREFIX}instance_breaker_open{W}", "0x200 1x40", "0x240"),
    "PhiServiceFlapping": (f"{PREFIX}instance_restarts_total{W}", "7+1x240", "7x240"),
    "PhiHungSuspect": (f'{PREFIX}instance_state{W[:-1]},state="suspect"}}', "0x200 1x40", "0x238 1x1"),
    "PhiHangs": (f'{PREFIX}instance_failures_total{W[:-1]},cause="heartbeat-silent"}}', "_x230 3x10", "1x240"),
    "PhiFalseSuspicions": (f"{PREFIX}instance_false_suspicions_total{W}", "1+0.1x240", "5x240"),
    "PhiStopsTooLong": (f'{PREFIX}instance_state{W[:-1]},state="stopping"}}', "0x200 1x40", "0x235 1x5"),
    "PhiOutputLost": (f"{PREFIX}instance_log_lost_bytes_total{W}", "0x230 500x10", "500x240"),
    "PhiHostStarved": (f"{PREFIX}host_starved{S}", "0x200 1x40", "0x238 1x2"),
    "PhiDaemonProblems": (f"{PREFIX}problems{S}", "0x200 2x40", "0x240"),
    "PhiRolloutStands": (f'{PREFIX}rollout_state{S[:-1]},state="running"}}', "0x100 1x140", "0x200 1x40"),
    "PhiBalancerSilent": (f"{PREFIX}balancer_up{S}", "1x200 0x40", "1x240"),
    "PhiOldConfiguration": (f"{PREFIX}consistency_ratio{S}", "1x100 0.5x140", "1x220 0.5x20"),
}


def test_each_alert_has_a_case() -> None:
    assert list(FIRES) == ALERTS


def test_promtool_sees_each_alert_fire_on_its_fault_and_only_then(tmp_path: Path) -> None:
    tests = []
    for alert, (series, fault, fine) in FIRES.items():
        for values, fires in ((fault, True), (fine, False)):
            alive = [] if series.startswith(f"{PREFIX}build_info") else [ALIVE]
            if alert == "PhiSupervisorAbsent" and fires:
                alive = []
            tests.append(
                {
                    "name": f"{alert} {fires}",
                    "interval": "1m",
                    "input_series": [{"series": s, "values": v} for s, v in [(series, values), *alive]],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                            "eval_time": "240m",
                            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                        }
                    ],
                }
            )
    file = tmp_path / "test.json"
    rules = str(MONITORING / "alerts.yml")
    file.write_text(json.dumps({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_counts_in_whole_numbers(tmp_path: Path) -> None:
    """`increase` extrapolates: 4 restarts within 14 of 15 minutes are 4.286."""
    case = {
        "interval": "1m",
        "input_series": [{"series": f"{PREFIX}instance_restarts_total{W}", "values": "0x235 4x5"}],
        "alert_rule_test": [
            {
                "eval_time": "240m",
                "alertname": "PhiServiceFlapping",
                "exp_alerts": [
                    {
                        "exp_labels": {
                            "job": "phi", "instance": "h:9180", "service": "web", "name": "web@1",
                            "severity": "warning",
                        },
                        "exp_annotations": {
                            "summary": "web@1 was restarted 4 times within 15 minutes.",
                            "description": "It starts and fails again; restarts alone do not help.",
                            "command": "supervisor why web@1",
                        },
                    }
                ],
            }
        ],
    }  # fmt: skip
    file = tmp_path / "test.json"
    rules = str(MONITORING / "alerts.yml")
    file.write_text(json.dumps({"rule_files": [rules], "evaluation_interval": "1m", "tests": [case]}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "humanize }}" not in RULES
