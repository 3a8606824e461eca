"""The pages in a browser: accessible, usable by keyboard alone, on a phone, and without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Site

PAGES = ("/", "/service/worker", "/incident/101", "/order/worker", "/hosts", "/host/a", "/incident/9999")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def violations(page: Any) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed: scripts/browser does that")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", WCAG)
    assert found["passes"], "axe has looked at nothing"
    return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_fits(page: Any, site: Site, path: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url + path)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert all(url.startswith(site.url) for url in asked)
    assert [said for said in page.said if "404" not in said] == []


def test_the_dialog_of_orders_is_accessible_and_fits(page: Any, site: Site) -> None:
    page.goto(site.url)
    page.locator('a.order[href="/order/redis"]').click()
    page.locator("dialog[open]").wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('dialog'))")


def focused(page: Any) -> str:
    return str(
        page.evaluate("(e => e.getAttribute('href') || e.id || e.value || e.textContent)(document.activeElement)")
    )


def tab_to(page: Any, wanted: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            return
    raise AssertionError(f"Tab does not reach {wanted}")


def test_an_order_is_given_by_keyboard_alone(wide: Any, site: Site) -> None:
    page = wide
    page.goto(site.url)
    page.keyboard.press("Tab")
    assert focused(page) == "#main", "the first key leads past the head"
    tab_to(page, "/order/redis")
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    page.locator("#token:focus").wait_for()
    page.keyboard.type(site.token)
    page.keyboard.press("Enter")  # orders nothing
    tab_to(page, "stop")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "sure", "the tick is asked for"
    assert site.daemon.orders == []
    page.keyboard.press("Space")
    tab_to(page, "stop")
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="It is for redis.").wait_for()
    assert [verb for verb, _, _ in site.daemon.orders] == ["stop"]
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    page.locator('a.order[href="/order/redis"]:focus').wait_for()
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    assert page.locator("dialog #token").input_value() == site.token, "it is typed once"


def test_a_wrong_token_is_told_and_forgotten(wide: Any, site: Site) -> None:
    wide.goto(site.url)
    wide.locator('a.order[href="/order/redis"]').click()
    wide.locator("dialog #token").fill("wrong")
    wide.get_by_role("button", name="Restart").click()
    wide.get_by_role("status").filter(has_text="The token is wrong").wait_for()
    assert wide.evaluate("sessionStorage.length") == 0
    assert site.daemon.orders == []


def test_orders_work_without_javascript(without_script: Any, site: Site) -> None:
    page = without_script
    page.goto(site.url)
    page.locator('a.order[href="/order/redis"]').click()
    page.locator("#token").fill(site.token)
    page.get_by_role("button", name="Restart").click()
    page.get_by_text("It is for redis.").wait_for()
    assert [verb for verb, _, _ in site.daemon.orders] == ["restart"]
    page.goto(f"{site.url}/order/redis")
    page.locator("#token").fill(site.token)
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Nothing was stopped").wait_for()
    page.locator("#token").fill(site.token)
    page.get_by_label("Yes, stop redis").check()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("It is for redis.").wait_for()
    assert [verb for verb, _, _ in site.daemon.orders] == ["restart", "stop"]
    assert site.token not in page.url


def test_a_change_in_the_daemon_is_on_the_screen(wide: Any, site: Site) -> None:
    wide.goto(site.url)
    wide.get_by_text("live", exact=True).wait_for()
    site.served.call(lambda: site.daemon._change("redis", "backoff", "exited", exit_code=7, ready=False))
    wide.locator('tr[data-key="redis"]').filter(has_text="exited with code 7").wait_for()
    wide.locator("#filter").fill("redis")
    assert wide.locator("tbody tr:visible").count() == 1
