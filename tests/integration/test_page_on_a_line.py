"""A person at the page of a running line: change-over, teaching, approval, comparison, zones."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import Line, wait_for
from tests.kit.page_kit import Visit, chromium
from tests.kit.redis_server import RedisServer

BOARDS_MS = 60_000
"""What a belt may take for the boards that are taught."""
BELT = {
    "source": "sim:?speed=24&gap=200&seed=8&defect_rate=0",
    "size": "1280x720",
    "trigger": "presence",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def line(tmp_path: Path, triton: EmbeddedTriton) -> Iterator[Line]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    products = tmp_path / "state" / "products"
    products.mkdir(parents=True)
    (products / "4711.toml").write_text('# the green one\nrevision = "C"\n')
    with (
        RedisServer(binary, tmp_path / "redis") as redis_server,
        Line(
            tmp_path,
            cameras={"top": BELT},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            evidence={"passed_share": 1.0},
        ) as line,
    ):
        line.wait_ready()
        yield line
        line.stop()


def yes(page: Page) -> None:
    page.locator("dialog.confirm .main").click()


def api(line: Line, path: str) -> Any:
    status, text = line.get(path)
    assert status == 200, text
    return json.loads(text)


def compared(line: Line) -> dict[str, Any] | None:
    """A unit that was inspected with a reference, and has a picture."""
    units = api(line, "/api/units?product=4711")["units"]
    found = (u for u in units if u["reference"] and u["has_picture"] and u["reason"] is None)
    return next(found, None)


def set_product(line: Line, name: str) -> None:
    host, _, port = line.address.partition(":")
    connection = HTTPConnection(host, int(port), timeout=20)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/product", json.dumps({"product": name}), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()


def test_a_product_is_set_taught_approved_and_compared(browser: Browser, line: Line) -> None:
    url = f"http://{line.address}"
    with Visit(browser, url) as visit:
        page = visit.open("#/now")
        expect(page.locator("main .job [data-fact=product] b")).to_have_text("default")
        expect(page.locator("main .job [data-fact=reference]")).to_have_text("no reference")

        page.locator("main .job .go").click()
        form = page.locator("form.change")
        form.locator("select[name=to]").select_option("4711")
        form.get_by_label("Order").fill("88")
        form.get_by_role("button", name="Change over").click()
        yes(page)
        expect(form.locator(".answer")).to_contain_text("Accepted, from unit")
        expect(page.locator(".making .name")).to_have_text("4711")
        page.goto(f"{url}/#/product?name=4711")

        teach = page.locator("section", has=page.locator("#teaching"))
        teach.locator("input[name=units]").fill("4")
        teach.get_by_role("button", name="Teach").click()
        yes(page)
        expect(teach.locator("progress")).to_have_attribute("max", "4")
        version = page.locator(".version-box")
        expect(version.locator(".chip")).to_have_text("waits for approval", timeout=BOARDS_MS)
        expect(version.locator(".pair-of canvas[data-drawn]")).to_have_count(2)
        expect(version.locator(".taught li")).to_have_count(4)
        version.get_by_role("button", name="Approve").click()
        yes(page)
        expect(version.locator(".chip")).to_have_text("in force")

        page.goto(f"{url}/#/now")
        expect(page.locator("main .job [data-fact=reference] b")).to_have_text("4711/1")
        unit = wait_for(lambda: compared(line), within_s=60, what="a unit with a reference")
        assert unit is not None
        page.goto(f"{url}/#/units/{unit['id']}")
        expect(page.locator("main .job [data-fact=reference] b")).to_have_text("4711/1")
        page.locator("[data-way=difference]").click()
        page.locator("canvas[data-way=difference]").wait_for()
        difference, _ = visit.canvas(".pictured canvas")
        page.locator("[data-way=unit]").click()
        page.locator("canvas[data-way=unit]").wait_for()
        shown, _ = visit.canvas(".pictured canvas")
        # Doubled, and still darker than the unit: the reference lies where the unit lies.
        assert 0 < np.median(difference) < 0.3 * np.median(shown)
    assert api(line, "/api/products/4711")["in_force"] == 1
    taught = api(line, "/api/units?result=NOT_INSPECTED&product=4711&order=88")["units"]
    # The newest first: only those that came while the comparing model was loaded say otherwise.
    reasons = [unit["reason"] for unit in taught if unit["reason"] != "changing_over"]
    assert set(reasons) == {"teaching"}
    assert all(unit["reason"] == "changing_over" for unit in taught[: -len(reasons)])


def test_zones_drawn_on_a_unit_hold_from_the_next_unit_on(browser: Browser, line: Line) -> None:
    url = f"http://{line.address}"
    set_product(line, "4711")

    def inspected() -> str | None:
        found = [
            unit["id"]
            for unit in api(line, "/api/units?product=4711")["units"]
            if unit["has_picture"] and unit["result"] in ("PASSED", "FAILED")
        ]
        return found[0] if found else None

    unit = wait_for(inspected, within_s=40, what="a unit of the product")
    with Visit(browser, url) as visit:
        page = visit.open(f"#/units/{unit}")
        page.locator("[data-do=zones]").click()
        canvas = page.locator("canvas.draws")
        canvas.wait_for()
        box = canvas.bounding_box()
        assert box is not None
        middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        for x, y in ((-40, -40), (40, -40), (40, 40), (-40, 40)):
            page.mouse.click(middle[0] + x, middle[1] + y)
        page.get_by_role("button", name="Finish zone").click()
        page.get_by_role("button", name="Save as next revision").click()
        expect(canvas).to_have_count(0)
    written = line.state / "products" / "4711.toml"
    assert written.read_text().startswith("# the green one\n")
    assert "zone 1" in written.read_text()

    def judged_anew() -> bool:
        newest = api(line, "/api/units?product=4711&limit=1")["units"][0]
        return bool(newest["product"]["revision"] != "C")

    wait_for(judged_anew, within_s=40, what="a unit of the next revision")
