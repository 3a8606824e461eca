"""Instances folded under their service: rows in, rows out; then the keys."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model.instance_documents import Instance
from supervisor.dashboard.cells import columns, row_line
from supervisor.dashboard.detail_text import detail, one_line
from supervisor.dashboard.history import DEPTH, Samples
from supervisor.dashboard.model import Model
from supervisor.dashboard.row_status import Row
from supervisor.dashboard.services.folding import CALM, find_row
from supervisor.dashboard.services.text import ratios, service_strip, total, words, words_and_ratios
from supervisor.dashboard.spans import plain, width
from supervisor.dashboard.strip import Move
from tests.dashboard.stage import Stage, play
from tests.doubles.fake_client import ROLLOUT, beating, event, status, twelve, view

WEB = ["web@1", "web@2", "web@3", "web@4"]


def web(**of: dict[str, Any]) -> list[Instance]:
    """Four instances; `of`: what is special about `web1` to `web4`."""
    return [view(f"web@{n}", **of.get(f"web{n}", {})) for n in range(1, 5)]


def model_of(views: list[Instance], **supervisor: Any) -> Model:
    model = Model()
    model.take(status(views, **supervisor), 0.0)
    return model


def keys(model: Model, **how: Any) -> list[str]:
    return [row.key for row in model.rows(how.pop("now", 0.0), 1.76e9, **how)]


def head(views: list[Instance], **supervisor: Any) -> Row:
    """The row of the only service."""
    return model_of(views, **supervisor).rows(0.0, 1.76e9)[0]


def said(row: Row) -> str:
    assert row.service is not None
    return plain(words(row.service))


# -- which rows there are --------------------------------------------------------------------------------------------


def test_only_a_service_of_several_instances_has_a_row_of_its_own() -> None:
    assert keys(model_of([view("db"), *web()])) == ["db", "web@", *WEB]
    rows = model_of([view("db"), *web()]).rows(0.0, 1.76e9)
    assert [row.nested for row in rows] == [False, False, True, True, True, True]
    assert rows[0] == Row(view("db"), known_since=None, clock=1.76e9, samples=rows[0].samples)


def test_there_are_no_rows_before_the_first_status() -> None:
    assert keys(Model()) == []


@pytest.mark.parametrize(
    ("special", "how", "folded"),
    [
        ({}, {}, False),
        ({}, {"room": 6}, False),
        ({}, {"room": 5}, True),
        ({"web2": {"state": "starting", "ready": False}}, {"room": 5}, True),
        ({"web2": {"state": "backoff", "ready": False}}, {"room": 5}, False),
        ({}, {"room": 5, "held": {"web@3"}}, False),
        ({}, {"room": 5, "held": {"db"}}, True),
    ],
)
def test_what_is_well_is_folded_where_not_all_rows_fit(
    special: dict[str, Any], how: dict[str, Any], folded: bool
) -> None:
    found = keys(model_of([view("db"), *web(**special)]), **how)
    assert ("web@1" not in found) == folded and "web@" in found and "db" in found


def test_the_choice_of_the_user_stands_until_the_service_is_gone() -> None:
    model = model_of([view("db"), *web(web1={"state": "failed", "ready": False})])
    model.folds.choose(["web"], True)
    assert keys(model) == ["web@", "db"]
    model.folds.choose(["web"], False)
    assert keys(model, room=2) == ["web@", *WEB, "db"]
    model.folds.choose(["web"], True)
    model.take(status([view("db")]), 1.0)
    assert keys(model) == ["db"]
    model.take(status(web()), 2.0)
    assert keys(model) == ["web@", *WEB]


def test_a_service_is_folded_again_only_when_it_was_well_for_a_while() -> None:
    model = model_of(web(web1={"state": "backoff", "ready": False}))
    assert len(keys(model, room=2, now=10.0)) == 5
    model.take(status(web()), 11.0)
    assert len(keys(model, room=2, now=10.0 + CALM - 0.1)) == 5
    assert keys(model, room=2, now=10.0 + CALM) == ["web@"]


def test_a_filter_shows_the_hits_below_their_service() -> None:
    model = model_of([view("db"), *web()])
    model.filter = "web !3"
    assert keys(model, room=1) == ["web@", "web@1", "web@2", "web@4"]
    assert model.hidden == 2
    row = model.rows(0.0, 1.76e9)[0]
    assert row.targets == row.instances == ["web@1", "web@2", "web@4"], "an order does not reach what is hidden"
    assert said(row) == "4 of 4 ready"
    model.filter = "web"
    assert keys(model, room=1) == ["web@"] and model.hidden == 1
    assert model.rows(0.0, 1.76e9)[0].targets == ["web"]


def test_services_are_sorted_with_single_instances_and_instances_within() -> None:
    cpu = {f"web{n}": {"cpu_percent": float(n)} for n in range(1, 5)}
    model = model_of([view("db", cpu_percent=9.0), *web(**cpu), view("job", "failed", ready=False)])
    assert keys(model)[:2] == ["job", "db"]
    model.sort_by("cpu")
    assert keys(model)[:4] == ["web@", "web@4", "web@3", "web@2"], "10 % in all"
    model.sort_by("order")
    assert keys(model) == ["db", "web@", *WEB, "job"]
    model.sort_by("order")
    assert keys(model) == ["job", "web@", *reversed(WEB), "db"]


def test_a_service_may_have_an_instance_of_its_own_name() -> None:
    """So it is while a second one runs beside the only instance."""
    views = [view("web"), view("web@2", service="web")]
    assert keys(model_of(views)) == ["web@", "web", "web@2"]


def test_search_finds_rows_and_what_is_folded_and_goes_round() -> None:
    views = [view("db"), *web(), view("work@1"), view("work@2")]
    model = model_of(views)
    model.folds.choose(["work"], True)
    rows = model.rows(0.0, 1.76e9)
    assert [row.key for row in rows] == ["db", "web@", *WEB, "work@"]
    assert find_row(rows, "web", 0) == 2
    assert find_row(rows, "web", 6) == 2
    assert find_row(rows, "web", 1, -1) == 5
    assert find_row(rows, "work@2", 0) == 6
    assert find_row(rows, "", 0) is None
    assert find_row([], "web", 0) is None


# -- what the row of a service says ----------------------------------------------------------------------------------

MOVES = {"surge": [], "instances": 4, "settled": 1, "current": 2, "waiting_for": ["web@2"]}


@pytest.mark.parametrize(
    ("special", "more", "text", "numbers"),
    [
        ({}, {}, "4 of 4 ready", ["R 1.00"]),
        (
            {"web2": {"state": "backoff", "ready": False, "cause": "exited", "exit_code": 3}},
            {},
            "3 of 4 ready · web@2: exited with code 3",
            ["R 0.75"],
        ),
        (
            {"web2": {"state": "starting", "ready": False, "waiting_for": "db"}},
            {},
            "3 of 4 ready · web@2: waiting for db",
            ["R 0.75"],
        ),
        (
            {"web2": {"state": "starting", "ready": False}, "web3": {"current": False}, "web4": {"current": False}},
            {"rollouts": [ROLLOUT | MOVES]},
            "3 of 4 ready · rollout: 1 of 4; web@2 starting",
            ["C 0.50", "R 0.75"],
        ),
        (
            {},
            {"rollouts": [ROLLOUT | MOVES | {"surge": ["web@4"], "instances": 3}]},
            "3 of 3 ready · rollout: 1 of 3; web@2 settles",
            ["R 1.00"],
        ),
        (
            {"web1": {"state": "starting", "ready": False}},
            {"rollouts": [ROLLOUT | MOVES | {"surge": ["web@4"], "instances": 3, "waiting_for": ["web@1"]}]},
            "3 of 3 ready · rollout: 1 of 3; web@1 starting",
            ["R 1.00"],
        ),
        (
            {},
            {"rollouts": [ROLLOUT | MOVES | {"state": "halted", "reason": "web@1: not ready"}]},
            "4 of 4 ready · rollout halted: web@1: not ready",
            ["R 1.00"],
        ),
        ({}, {"rollouts": [ROLLOUT | MOVES | {"state": "finished"}]}, "4 of 4 ready", ["R 1.00"]),
        ({}, {"rollouts": [ROLLOUT | MOVES | {"service": "other"}]}, "4 of 4 ready", ["R 1.00"]),
        (
            {f"web{n}": {"goal": "down", "state": "stopped", "ready": False} for n in range(1, 5)},
            {},
            "0 of 4 wanted",
            [],
        ),
        (
            {f"web{n}": {"balanced": {"slot": "active", "requests": 100 * n}} for n in range(1, 5)},
            {},
            "4 of 4 ready",
            ["L 250.0", "R 1.00"],
        ),
    ],
)
def test_words_and_ratios(special: dict[str, Any], more: dict[str, Any], text: str, numbers: list[str]) -> None:
    row = head(web(**special), **more)
    assert row.service is not None
    assert said(row) == text
    assert [span.text for span in ratios(row.service)] == numbers


def test_the_worst_instance_stands_for_the_service_and_figures_are_summed() -> None:
    row = head(web(web3={"state": "suspect", "ready": False, "restarts": 2, "uptime_s": 5.0, "cpu_percent": None}))
    assert row.instance == "web@3" and row.view["state"] == "suspect"
    assert (row.view["restarts"], row.view["uptime_s"], row.view["pid"]) == (2, 5.0, None)
    assert row.view["cpu_percent"] == pytest.approx(1.2)
    row = head(web(web1={"goal": "down", "state": "stopped", "ready": False}, web3=beating(5.6)))
    assert row.instance == "web@3", "the latest heartbeat of those that are wanted"
    down = head([view(f"web@{n}", "stopped", goal="down", ready=False) for n in (1, 2)])
    assert down.view["cpu_percent"] is None and down.view["uptime_s"] is None


def test_ratios_give_way_to_the_words() -> None:
    requests: dict[str, dict[str, Any]] = {
        f"web{n}": {"balanced": {"slot": "active", "requests": 8}} for n in range(1, 5)
    }
    requests["web2"] |= {"current": False}
    row = head(web(**requests))
    service = row.service
    assert service is not None
    assert plain(words_and_ratios(service, 40)) == "4 of 4 ready       C 0.75  L 8.0  R 1.00"
    assert plain(words_and_ratios(service, 28)).endswith("  C 0.75  L 8.0")
    assert plain(words_and_ratios(service, 21)).endswith("  C 0.75")
    assert plain(words_and_ratios(service, 14)) == "4 of 4 ready"
    trouble = {"web2": {"state": "backoff", "ready": False, "cause": "exited", "exit_code": 3, "current": False}}
    long = head(web(**trouble, web3={"current": False})).service
    assert long is not None
    assert plain(words_and_ratios(long, 48)) == "3 of 4 ready · web@2: exited with code 3  C 0.67"
    moving = head(web(), rollouts=[ROLLOUT | MOVES]).service
    assert moving is not None
    assert plain(words_and_ratios(moving, 37)) == "4/4 ready · rollout: 1 of 4    R 1.00"
    assert plain(words_and_ratios(long, 46)) == "3 of 4 ready · web@2: exited with code… C 0.67"


@pytest.mark.parametrize("cells", [80, 120, 160, 200, 250])
def test_rows_and_details_fit(cells: int) -> None:
    shown = columns(cells, 20)
    for row in model_of(twelve()).rows(0.0, 1.76e9):
        assert width(row_line(row, shown)) == cells
        if row.service is not None:
            assert all(width(text) <= cells // 2 for text in detail(row, None, cells // 2))
            assert width(one_line(row, cells)) <= cells


def test_instances_stand_below_their_service_and_long_names_keep_their_number() -> None:
    shown = columns(80, 99)
    model = model_of([view("checkout-web@1"), view("checkout-web@2")])
    text = [plain(row_line(row, shown)) for row in model.rows(0.0, 1.76e9)]
    assert "▾ checkout-…" in text[0] and "   @1 " in text[1] and "   @2 " in text[2]
    model.folds.choose(["checkout-web"], True)
    assert "▸ checkout-…" in plain(row_line(model.rows(0.0, 1.76e9)[0], shown))


def test_the_strip_of_a_service_has_the_worst_of_any_instance() -> None:
    model, clock = model_of(web(web2={"since_s": 100.0})), 1_000_000_040.0
    model.history.moves["web@1"] = [
        Move(clock - 65, "running", "backoff", True),
        Move(clock - 64, "backoff", "running", False),
    ]
    service = model.rows(0.0, clock)[0].service
    assert service is not None
    assert plain(service_strip(service, 5)) == "━━✖━━"


def test_traces_are_summed_from_the_present_backwards() -> None:
    old, young, none = Samples(), Samples(), Samples()
    for n in range(DEPTH + 3):
        old.cpu.append(float(n))
        old.taken += 1
    young.cpu.extend([None, 10.0])
    young.taken = 2
    found = total([old, young, none])
    assert found.taken == DEPTH + 3 and len(found.cpu) == DEPTH and not found.memory
    assert list(found.cpu)[-3:] == [DEPTH + 0.0, DEPTH + 1.0, DEPTH + 12.0]
    assert list(total([young]).cpu) == [None, 10.0]


def test_details_name_every_instance_with_its_share() -> None:
    carried: dict[str, dict[str, Any]] = {
        f"web{n}": {"balanced": {"slot": "active", "requests": 100 * n}} for n in range(1, 5)
    }
    carried["web3"] |= {"current": False}
    carried["web4"] |= {"state": "stopped", "ready": False, "uptime_s": None, "cause": "stopped-by-user"}
    row = head(web(**carried), rollouts=[ROLLOUT | MOVES])
    text = "\n".join(plain(each) for each in detail(row, None, 100))
    for said_there in (
        "3 of 4 ready", "rollout    rollout: 1 of 4; web@2 settles", "R          0.75", "C          0.67",
        "L          250.0",        "instances (4)", "web@2  200 requests (0.80 L)", "outdated",
    ):  # fmt: skip
        assert said_there in text, said_there
    broken = head(web(web2={"state": "failed", "ready": False, "cause": "exited", "exit_code": 3}))
    text = "\n".join(plain(each) for each in detail(broken, None, 100))
    assert "worst      web@2: exited with code 3" in text


def test_two_hundred_services_are_folded_quickly() -> None:
    model = model_of([view(f"s{n}@{k}") for n in range(200) for k in range(1, 5)])
    assert len(keys(model, room=19)) == 200
    assert len(keys(model)) == 1000


# -- keys ------------------------------------------------------------------------------------------------------------


def test_enter_and_the_arrows_fold_and_unfold() -> None:
    async def scene(stage: Stage) -> None:
        table = stage.overview.table
        stage.at("web@")
        await stage.press("enter")
        assert "web@1" not in stage.names() and "▸ web" in stage.screen() and "3 of 3 ready" in stage.screen()
        await stage.press("enter")
        assert "web@1" in stage.names() and "▾ web" in stage.screen() and table.display
        await stage.press("down", "down", "left")
        assert table.current == "web@" and "web@1" in stage.names()
        await stage.press("left")
        assert "web@1" not in stage.names()
        await stage.press("right")
        assert "web@1" in stage.names() and table.current == "web@"
        stage.at("redis")
        await stage.press("left", "right")
        assert table.current == "redis"

    play(scene)


def test_all_are_folded_and_unfolded_by_one_key_and_the_cursor_goes_to_the_service() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@3")
        await stage.press("z")
        assert len(stage.rows()) == 9 and stage.overview.table.current == "web@"
        await stage.press("z")
        assert len(stage.rows()) == 14

    play(scene)


def test_a_click_on_the_mark_folds() -> None:
    async def scene(stage: Stage) -> None:
        row = stage.rows().index("web@")
        line = stage.shown("table").splitlines()[1 + row]
        await stage.pilot.click("#table", offset=(line.index("▾"), 1 + row))
        await stage.until(lambda: "web@1" not in stage.names(), "the fold")
        await stage.pilot.click("#table", offset=(line.index("▾"), 1 + row))
        await stage.until(lambda: "web@1" in stage.names(), "the instances")

    play(scene)


def test_a_small_terminal_folds_what_is_well_and_unfolds_what_is_not() -> None:
    async def scene(stage: Stage) -> None:
        assert "web@1" not in stage.rows() and "worker@2" in stage.rows()
        stage.client.rows = [
            row if row["name"] != "web@2" else view("web@2", "backoff", ready=False, cause="exited", exit_code=3)
            for row in stage.client.rows
        ]
        await stage.say()
        await stage.until(lambda: "web@2" in stage.rows(), "the one in trouble")
        assert "2/3 ready · web@2: exited" in stage.shown("table")
        stage.at("web@")
        await stage.press("enter")
        assert "web@2" not in stage.rows()

    play(scene, size=(80, 24))


def test_an_order_on_a_service_names_the_service_after_a_confirmation_that_names_its_instances() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@")
        await stage.press("r")
        await stage.question()
        text = stage.screen()
        assert "restart web?" in text and "web@1, web@2, web@3" in text and "restart its 3 instances" in text
        assert "--rolling" in text
        await stage.press("y")
        assert await stage.posted() == [("/v1/restart", {"services": ["web"]})]

    play(scene)


def test_marks_of_a_service_and_of_its_instances_name_it_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@")
        await stage.press("space", "space")
        assert stage.overview.table.targets == ["web"] and "3 selected" in stage.screen()
        stage.at("redis")
        await stage.press("space", "x")
        await stage.question()
        assert "stop these 4 instances?" in stage.screen()
        await stage.press("y")
        path, body = (await stage.posted())[0]
        assert path == "/v1/stop" and set(body["services"]) == {"web", "redis"}

    play(scene)


def test_a_selected_instance_is_not_folded_away_by_itself() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@1")
        await stage.press("space")
        stage.at("redis")
        await stage.pilot.resize_terminal(80, 24)
        await stage.until(lambda: stage.overview.has_class("-small"), "the small layout")
        await stage.say()
        assert stage.overview.table.targets == ["web@1"]
        await stage.press("escape")
        await stage.say()
        await stage.until(lambda: "web@1" not in stage.rows(), "the fold")

    play(scene)


def test_a_signal_to_a_service_goes_to_its_processes() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@")
        await stage.press("K")
        await stage.question()
        assert "web@1, web@2, web@3" in stage.screen()
        await stage.press("down", "down", "down", "enter")
        names = ["web@1", "web@2", "web@3"]
        assert await stage.posted() == [("/v1/signal", {"services": names, "signal": "QUIT"})]

    play(scene)


def test_log_why_and_evidence_of_a_service() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("worker@")
        await stage.press("L")
        await stage.until(lambda: stage.overview.log_pane.targets == ["worker@1", "worker@2"], "both logs")
        await stage.press("escape", "w")
        await stage.page()
        assert "everything captured: supervisor why worker@2 --evidence" in stage.shown("page")
        await stage.press("escape", "v")
        await stage.page()
        assert 'File "worker.py", line 41 in wait' in stage.shown("page")

    play(scene)


def test_a_service_asks_for_nothing_and_its_details_come_from_the_status() -> None:
    async def scene(stage: Stage) -> None:
        asked: list[str] = []
        ask = stage.client.instance
        stage.at("web@")
        await stage.until(lambda: "instances (3)" in stage.shown("detail"), "the service")
        stage.client.instance = lambda name: (asked.append(name), ask(name))[1]  # type: ignore[method-assign]
        stage.client.say("event", event(300, "web@1", "running", "running", "ready"))
        await stage.say()
        stage.at("web@1")
        await stage.until(lambda: "python -m shop.web" in stage.shown("detail"), "the instance")
        assert set(asked) == {"web@1"}

    play(scene)


def test_a_rollout_is_seen_as_it_moves() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@")
        await stage.press("left")
        moving = ROLLOUT | {"instances": 3, "settled": 0}
        await stage.say(rollouts=[moving])
        await stage.until(lambda: "rollout: 0 of 3; web@2 settles" in stage.shown("table"), "its beginning")
        await stage.say(rollouts=[moving | {"settled": 2, "waiting_for": ["web@3"]}])
        await stage.until(lambda: "rollout: 2 of 3; web@3 settles" in stage.shown("table"), "its progress")
        await stage.say(rollouts=[moving | {"state": "finished"}])
        await stage.until(lambda: "rollout" not in stage.shown("table"), "its end")

    play(scene)


def test_a_change_in_one_service_draws_its_line_alone() -> None:
    async def scene(stage: Stage) -> None:
        table = stage.overview.table
        lines: list[int] = []
        table.refresh = lambda *regions, **_: lines.extend(r.y for r in regions)  # type: ignore[method-assign,assignment]
        stage.client.rows = [
            row | {"ready": False} if row["name"] == "s7@2" else row for row in stage.client.rows
        ]  # fmt: skip
        await stage.say()
        await stage.until(lambda: lines, "a line")
        assert set(lines) == {1 + stage.rows().index("s7@")}

    many = [view(f"s{n}@{k}", uptime_s=None) for n in range(200) for k in range(1, 5)]
    play(lambda stage: in_start_order(stage, scene), rows=many)


async def in_start_order(stage: Stage, scene: Any) -> None:
    stage.app.model.sort_by("order")
    stage.app.model.descending = False
    await stage.say()
    await stage.until(lambda: stage.rows()[0] == "s0@", "the order")
    await scene(stage)
