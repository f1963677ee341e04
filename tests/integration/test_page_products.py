"""Products on the operator's page, in a real browser: change-over, teaching, zones, references."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from inspector.core.basics import Rect
from inspector.core.recipes import JobState
from inspector.products.reference import LeftOut, Why
from inspector.products.teaching import Phase, UnitSeen
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode
from tests.kit.page_kit import SIZES, Visit, chromium
from tests.kit.page_stand import CAMERA, ODD, SIZE_PX, PageStand, board, serving

FAR = 60
"""Grey levels: a difference that anybody sees, once it is doubled."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stand(tmp_path: Path) -> PageStand:
    stand = PageStand(tmp_path)
    stand.teach("controller")
    stand.make("controller", order="88", lot="12")
    return stand


@pytest.fixture
def visit(browser: Browser, stand: PageStand) -> Iterator[Visit]:
    with serving(stand) as url, Visit(browser, url) as visit:
        yield visit


def yes(page: Page) -> None:
    """Confirm what the page asks."""
    page.locator("dialog.confirm .main").click()


def facts(page: Page, where: str) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(
        """(where) => Object.fromEntries([...document.querySelectorAll(`${where} [data-fact]`)].map(
            (fact) => [fact.dataset.fact, fact.querySelector("b")?.textContent ?? fact.textContent]
        ))""",
        where,
    )
    return found


# --- what is being made is said everywhere ---


def test_now_says_product_revision_order_lot_and_reference(visit: Visit, stand: PageStand) -> None:
    page = visit.open("#/now")
    expect(page.locator("main .job")).to_be_visible()
    assert facts(page, "main .job") == {
        "product": "controller",
        "revision": "1",
        "order": "88",
        "lot": "12",
        "reference": "controller/1",
    }
    stand.make("sensor")
    expect(page.locator("main .job [data-fact=product] b")).to_have_text("sensor")
    assert facts(page, "main .job") == {
        "product": "sensor",
        "revision": "C",
        "reference": "no reference",
    }
    stand.job = replace(stand.job, state=JobState.NO_PRODUCT, detail="there is no product x")
    expect(page.locator("main .job .chip")).to_have_text("no product")
    expect(page.locator("main .job .detail")).to_have_text("there is no product x")


def test_a_unit_and_the_list_say_what_it_was_inspected_as(visit: Visit, stand: PageStand) -> None:
    first = stand.inspected(1, board(1))
    stand.make("sensor", order="89")
    stand.inspected(2, board(2))
    page = visit.open(f"#/units/{first}")
    page.locator("main .job").wait_for()
    assert facts(page, "main .job")["reference"] == "controller/1"
    assert facts(page, "main .job")["order"] == "88"
    page.goto(f"{visit.url}/#/units")
    cards = page.locator(".units .card")
    expect(cards).to_have_count(2)
    expect(cards.first.locator(".made")).to_have_text("sensor · Order 89")
    page.locator("select[name=product]").select_option("controller")
    page.wait_for_url("**/#/units?product=controller")
    expect(cards).to_have_count(1)
    expect(cards.first.locator(".made")).to_have_text("controller · Order 88 · Lot 12")
    page.locator("select[name=product]").select_option("")
    page.locator("input[name=order]").fill("89")
    page.locator("input[name=order]").press("Enter")
    expect(cards.first.locator(".made")).to_have_text("sensor · Order 89")
    expect(cards).to_have_count(1)


# --- change-over ---


def test_a_person_changes_over_after_confirming(visit: Visit, stand: PageStand) -> None:
    page = visit.open("#/product")
    form = page.locator("form.change")
    form.locator("select[name=to]").select_option("sensor")
    form.get_by_label("Order").fill("90")
    form.get_by_label("Lot").fill("7")
    form.get_by_role("button", name="Change over").click()
    dialog = page.locator("dialog.confirm")
    expect(dialog).to_contain_text("From controller to sensor.")
    expect(dialog).to_contain_text("Order 90, Lot 7")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    assert not stand.commands

    form.get_by_role("button", name="Change over").click()
    yes(page)
    expect(form.locator(".answer")).to_have_text(f"Accepted, from unit 57 of camera {CAMERA}.")
    assert stand.commands == [
        {"command": "set_product", "product": "sensor", "order": "90", "lot": "7"}
    ]
    expect(page.locator(".making .name")).to_have_text("sensor")


def test_a_refusal_is_shown_in_the_stations_words(visit: Visit, stand: PageStand) -> None:
    page = visit.open("#/product")
    stand.answer = "the model pcb_other is not there"
    page.locator("form.change").get_by_role("button", name="Change over").click()
    yes(page)
    answer = page.locator("form.change .answer.wrong")
    expect(answer).to_have_text("Refused: the model pcb_other is not there.")
    expect(page.locator(".making .name")).to_have_text("controller")
    complaints, visit.complaints = visit.complaints, []
    assert all("409" in complaint for complaint in complaints)  # the browser logs what is refused


# --- teaching ---


def test_units_are_followed_while_they_are_taught(visit: Visit, stand: PageStand) -> None:
    page = visit.open("#/product")
    card = page.locator("section", has=page.locator("#teaching"))
    card.get_by_label("Units", exact=True).fill("5")
    card.get_by_role("button", name="Teach").click()
    yes(page)
    expect(card.locator("progress")).to_have_attribute("max", "5")
    assert stand.commands[-1] == {"command": "teach", "product": "controller", "units": "5"}
    assert stand.teaching is not None
    seen = tuple(UnitSeen(number=n, id=f"SIM-{n:06d}", frames=3) for n in (1, 2, 3))
    stand.teaching = replace(stand.teaching, seen=seen)
    expect(card.locator("progress")).to_have_attribute("value", "3")
    expect(card.locator(".taken li")).to_have_count(3)
    odd = LeftOut(
        number=2, picture=board(2), why=Why.DIFFERS, likeness=0.9, places=(Rect(10, 20, 30, 40),)
    )
    stand.teaching = replace(
        stand.teaching, phase=Phase.TO_BE_APPROVED, reference="controller/2", left_out=(odd,)
    )
    left = card.locator(".taken [data-used=false]")
    expect(left).to_contain_text("SIM-000002 it differs from the others, at 10, 20 (30")
    expect(card).to_contain_text("The last teaching made controller/2")


def test_teaching_can_be_stopped(visit: Visit, stand: PageStand) -> None:
    stand.begin_teaching("controller", 4)
    page = visit.open("#/product")
    page.get_by_role("button", name="Stop teaching").click()
    yes(page)
    expect(page.locator("progress")).to_have_count(0)
    assert stand.commands[-1] == {"command": "discard", "product": "controller"}


def test_a_version_is_looked_at_approved_and_rolled_back(visit: Visit, stand: PageStand) -> None:
    stand.teach("controller", approve=False)
    page = visit.open("#/product?name=controller")
    newest = page.locator(".version-box").first
    expect(newest.locator(".chip")).to_have_text("waits for approval")
    expect(newest.locator(".pair-of canvas[data-drawn]")).to_have_count(2)
    units = newest.locator(".taught li")
    expect(units).to_have_count(6)
    odd = units.first
    expect(odd).to_have_attribute("data-used", "false")
    expect(odd).to_contain_text(f"SIM-{ODD:06d}")
    expect(odd).to_contain_text("it differs from the others")
    page.locator(".taught canvas[data-drawn]").first.wait_for()
    mean, _ = visit.canvas(".pair-of figure:first-child canvas")
    picture, _ = visit.canvas(".taught li:first-child canvas")
    assert mean.shape == picture.shape == (SIZE_PX[1], SIZE_PX[0], 3)
    reds = (picture[..., 2] > 200) & (picture[..., 1] < 120)
    assert reds.sum() > 100, "the place where it differs is not drawn"

    newest.get_by_role("button", name="Approve").click()
    expect(page.locator("dialog.confirm")).to_contain_text("1 unit was left out of it.")
    yes(page)
    expect(newest.locator(".chip")).to_have_text("in force")
    assert stand.store.approvals("controller").in_force == 2
    page.get_by_role("button", name="Roll back to version 1").click()
    yes(page)
    expect(page.locator(".version-box").nth(1).locator(".chip")).to_have_text("in force")
    assert stand.store.approvals("controller").in_force == 1
    newest.get_by_role("button", name="Discard").click()
    yes(page)
    expect(page.locator(".version-box")).to_have_count(1)
    assert stand.store.reference_numbers("controller") == (1,)


# --- a unit beside its reference ---


def damaged(stand: PageStand) -> tuple[str, tuple[int, int, int, int]]:
    """A unit whose picture lies a little off its reference, and where it is damaged."""
    width, height = SIZE_PX
    drawn = draw_board(70, seed=8, width_px=width, height_px=height, defects=(DefectCode.SHORT,))
    moved = np.roll(drawn.picture, (4, -5), axis=(0, 1))
    [defect] = drawn.truth
    x, y, wide, high = defect.bbox_px
    return stand.inspected(70, moved), (x - 5, y + 4, wide, high)


def test_the_reference_lies_where_the_unit_lies(visit: Visit, stand: PageStand) -> None:
    unit, (x, y, wide, high) = damaged(stand)
    page = visit.open(f"#/units/{unit}")
    page.locator("[data-way=difference]").click()
    page.locator("canvas[data-way=difference]").wait_for()
    difference, _ = visit.canvas(".pictured canvas")
    inside = difference[y : y + high, x : x + wide].max(axis=2)
    assert inside.max() > FAR
    outside = difference.max(axis=2).astype(int)
    outside[y : y + high, x : x + wide] = 0
    rim = 16
    assert (outside[rim:-rim, rim:-rim] > FAR).mean() < 0.002, "it does not lie on the unit"

    page.locator("[data-way=beside]").click()
    page.locator("canvas[data-way=beside]").wait_for()
    both, _ = visit.canvas(".pictured canvas")
    assert both.shape[1] > 2 * SIZE_PX[0]
    page.locator("[data-way=blink]").click()
    for shown in ("reference", "unit", "reference"):
        page.locator(f"canvas[data-way={shown}]").wait_for()


def test_a_unit_without_a_reference_has_nothing_to_be_compared_with(
    visit: Visit, stand: PageStand
) -> None:
    stand.make("sensor")
    unit = stand.inspected(71, board(71))
    page = visit.open(f"#/units/{unit}")
    page.locator("[data-do=zones]").wait_for()
    assert page.locator(".ways").count() == 0
    assert facts(page, "main .job")["reference"] == "no reference"


# --- zones ---


def corners_on_screen(page: Page, corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    page.locator("canvas.draws").scroll_into_view_if_needed()
    box: dict[str, Any] | None = page.locator("canvas.draws").bounding_box()  # type: ignore[assignment]
    assert box is not None
    scale = min(box["width"] / SIZE_PX[0], box["height"] / SIZE_PX[1])
    left = box["x"] + (box["width"] - SIZE_PX[0] * scale) / 2
    top = box["y"] + (box["height"] - SIZE_PX[1] * scale) / 2
    return [(left + x * scale, top + y * scale) for x, y in corners]


DRAWN = [(40.0, 40.0), (200.0, 50.0), (180.0, 160.0), (60.0, 150.0)]


@pytest.mark.parametrize("way", ["mouse", "finger"])
def test_a_zone_is_drawn_on_a_units_picture_and_becomes_the_next_revision(
    browser: Browser, stand: PageStand, way: str
) -> None:
    unit = stand.inspected(72, board(72))
    with serving(stand) as url, Visit(browser, url, has_touch=way == "finger") as visit:
        page = visit.open(f"#/units/{unit}")
        page.locator("[data-do=zones]").click()
        page.locator("canvas.draws[data-corners='0']").wait_for()
        point = page.mouse.click if way == "mouse" else page.touchscreen.tap
        for number, (x, y) in enumerate(corners_on_screen(page, DRAWN), start=1):
            point(x, y)
            page.locator(f"canvas.draws[data-corners='{number}']").wait_for()
        page.get_by_role("button", name="Finish zone").click()
        page.get_by_label("Name of zone 1").fill("label")
        page.get_by_label("What counts in").select_option("other thresholds")
        page.get_by_label("short", exact=True).fill("0.4")
        page.get_by_role("button", name="Save as next revision").click()
        expect(page.locator("canvas.draws")).to_have_count(0)
    product, revision = stand.catalogue.product("controller")
    [zone] = product.said.zones
    assert zone.name == "label"
    assert not zone.ignore
    assert dict(zone.thresholds) == {"short": 0.4}
    assert np.allclose(zone.polygon, DRAWN, atol=1.5)
    assert revision.number == 0, "another content than any that was in force"
    text = stand.store.content("controller").decode()
    assert text.startswith("# drawing C-17\n"), "what a person wrote stays"
    assert "threshold = 0.6" in text


def test_a_zone_that_cannot_be_is_refused_and_nothing_is_written(
    visit: Visit, stand: PageStand
) -> None:
    before = stand.store.content("controller")
    page = visit.open("#/product?name=controller")
    page.get_by_role("button", name="Draw zones").click()
    page.locator("canvas.draws").wait_for()
    for x, y in corners_on_screen(page, DRAWN):
        page.mouse.click(x, y)
    page.get_by_role("button", name="Finish zone").click()
    page.get_by_label("What counts in").select_option("other thresholds")
    page.get_by_role("button", name="Save as next revision").click()
    problem = page.locator(".zone-editor .wrong")
    expect(problem).to_contain_text("expected either ignore = true or thresholds of its own")
    assert stand.store.content("controller") == before
    visit.complaints.clear()  # the browser logs the 409


# --- words and looks ---


def test_the_page_speaks_german_where_the_browser_does(browser: Browser, stand: PageStand) -> None:
    unit = stand.inspected(73, board(73))
    with serving(stand) as url, Visit(browser, url, locale="de-DE") as visit:
        page = visit.open("#/now")
        assert page.evaluate("document.documentElement.lang") == "de"
        expect(page.locator("header nav")).to_contain_text("Einheiten")
        expect(page.locator("main .job")).to_contain_text("Auftrag")
        expect(page.locator(".verdict .word")).to_contain_text("GUT")
        page.goto(f"{url}/#/product")
        expect(page.locator("h1")).to_have_text("Produkt")
        page.goto(f"{url}/#/units/{unit}")
        expect(page.locator(".facts-card h2")).to_have_text("Angaben")
        page.locator("#language").click()
        expect(page.locator(".facts-card h2")).to_have_text("Facts")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("tone", "locale"), [("light", "en-GB"), ("dark", "de-DE")])
def test_nothing_is_cut_off_and_everybody_can_use_it(
    browser: Browser, stand: PageStand, size: str, tone: str, locale: str
) -> None:
    unit, _ = damaged(stand)
    stand.teach("controller", approve=False)
    with (
        serving(stand) as url,
        Visit(browser, url, size=SIZES[size], dark=tone == "dark", locale=locale) as visit,
    ):
        for route, ready in (
            ("#/now", ".verdict .serial"),
            ("#/product", ".taught canvas[data-drawn]"),
            (f"#/units/{unit}", ".ways"),
            ("#/units", ".units .made"),
            ("#/state", ".part"),
        ):
            page = visit.open(route)
            page.locator(ready).first.wait_for()
            assert not visit.cut_off(), route
            assert not visit.serious_findings(), route
        page = visit.open(f"#/units/{unit}")
        page.locator("[data-do=zones]").click()
        page.locator("canvas.draws").wait_for()
        assert not visit.cut_off()
        assert not visit.serious_findings()


def test_the_page_asks_nothing_of_who_draws(visit: Visit, stand: PageStand) -> None:
    """What is polled meanwhile does not take the drawing away."""
    page = visit.open("#/product?name=controller")
    page.get_by_role("button", name="Draw zones").click()
    [first, *_] = corners_on_screen(page, DRAWN)
    page.mouse.click(*first)
    asked = threading.Event()
    page.on("response", lambda answer: asked.set() if "/api/teaching" in answer.url else None)
    stand.make("sensor")
    expect(page.locator(".making .name")).to_have_text("sensor")
    visit.until(asked.is_set, what="the page asks again")
    expect(page.locator("canvas.draws[data-corners='1']")).to_be_visible()
