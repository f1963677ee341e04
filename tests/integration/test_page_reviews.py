"""The second look in a real browser: any unit, by pointer, by finger and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.kit.page_kit import PANEL, PHONE, SIZES, Visit, chromium
from tests.kit.page_stand import SIZE_PX, PageStand, board, serving

DEFECT = {
    "id": "01KB0000000000000000000D01",
    "code": "open",
    "confidence": 0.87,
    "bbox_px": [100.0, 120.0, 40.0, 30.0],
    "polygon_px": None,
}
NEAREST = {
    "code": "spur",
    "confidence": 0.46,
    "threshold": 0.5,
    "bbox_px": [30.0, 40.0, 20.0, 20.0],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stand(tmp_path: Path) -> PageStand:
    return PageStand(tmp_path)


@pytest.fixture
def visit(browser: Browser, stand: PageStand) -> Iterator[Visit]:
    with serving(stand) as url, Visit(browser, url) as visit:
        yield visit


def good(stand: PageStand, number: int = 1) -> str:
    return stand.inspected(number, board(number), nearest=NEAREST)


def bad(stand: PageStand, number: int = 1) -> str:
    counts = {"defects": 1, "frames_expected": 1, "frames_inspected": 1}
    return stand.inspected(number, board(number), result="FAILED", defects=[DEFECT], counts=counts)


def opened(visit: Visit, unit: str) -> Page:
    page = visit.open(f"#/units/{unit}")
    page.locator(".unit-view canvas[data-drawn]").wait_for()
    return page


def said(stand: PageStand) -> list[tuple[str, Any]]:
    return [(review.judgement.value, review.code) for review in stand.unit_source.said]


def screen_of(page: Page, x_px: float, y_px: float) -> tuple[float, float]:
    """Where on the screen a point of the picture is that a box is drawn on."""
    box = page.locator("canvas.draws").bounding_box()
    assert box is not None
    width, height = SIZE_PX
    shrink = min(box["width"] / width, box["height"] / height)
    left = box["x"] + (box["width"] - width * shrink) / 2
    top = box["y"] + (box["height"] - height * shrink) / 2
    return left + x_px * shrink, top + y_px * shrink


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*screen_of(page, *start))
    page.mouse.down()
    page.mouse.move(*screen_of(page, *end), steps=4)
    page.mouse.up()


def test_now_says_how_many_were_bad_in_a_row_how_the_shift_goes_and_what_to_do(
    visit: Visit, stand: PageStand
) -> None:
    good(stand, 1)
    for number in (2, 3, 4):
        bad(stand, number)
    page = visit.open("#/now")
    verdict = page.locator(".verdict")
    expect(verdict).to_have_attribute("data-result", "FAILED")
    expect(verdict.locator(".run")).to_have_text("3 bad in a row")
    expect(verdict.locator(".do")).to_have_text("Set this unit aside.")
    shift = page.locator("[data-shift]")
    expect(shift).to_contain_text("4 units")
    expect(shift).to_contain_text("25.0 %")
    for size in (PANEL, PHONE):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert visit.cut_off() + visit.serious_findings() == []
    good(stand, 5)
    page.goto(f"{visit.url}/#/state")
    page.goto(f"{visit.url}/#/now")
    expect(verdict).to_have_attribute("data-result", "PASSED")
    expect(verdict.locator(".run, .do")).to_have_count(0)


def test_a_missed_defect_is_drawn_with_a_pointer_on_a_unit_that_passed(
    visit: Visit, stand: PageStand
) -> None:
    page = opened(visit, good(stand))
    expect(page.locator(".looks")).to_contain_text("spur, 46 % sure where 50 % are needed")
    page.get_by_label("Your name").fill("Anna")
    page.get_by_label("Comment").fill("a hair")
    page.get_by_role("button", name="Mark a missed defect").click()
    save = page.get_by_role("button", name="Mark as missed")
    expect(save).to_be_disabled()
    drag(page, (60, 80), (140, 130))
    drag(page, (100, 100), (110, 105))  # inside: moves it
    drag(page, (150, 135), (170, 155))  # its corner: sizes it
    page.get_by_label("Code").select_option("short")
    assert visit.serious_findings() == []
    save.click()
    expect(page.locator(".missed .look")).to_contain_text("short")
    (review,) = stand.unit_source.said
    assert (review.judgement, review.code, review.by, review.comment) == (
        "MISSED",
        "short",
        "Anna",
        "a hair",
    )
    assert review.bbox_px == pytest.approx((70, 85, 100, 70), abs=1.5)
    # The name stays for the next unit, the comment does not.
    expect(page.get_by_label("Your name")).to_have_value("Anna")
    expect(page.get_by_label("Comment")).to_have_value("")


def test_the_keyboard_is_enough_to_mark_a_missed_defect(visit: Visit, stand: PageStand) -> None:
    page = opened(visit, good(stand))
    page.keyboard.press("m")
    expect(page.locator("canvas.draws")).to_be_focused()
    page.keyboard.press("ArrowRight")  # there is a box now, one step right of the middle
    for key in ("Shift+ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    for name, value in (("Left", "10.5"), ("Width", "33.3")):
        page.get_by_label(name).fill(value)
    page.keyboard.press("Enter")
    expect(page.locator(".missed .look")).to_have_count(1)
    (review,) = stand.unit_source.said
    assert review.bbox_px is not None
    left, top, width, height = review.bbox_px
    side = 0.1 * min(SIZE_PX)
    assert (left, width) == (10.5, 33.3)
    assert top < (SIZE_PX[1] - side) / 2
    assert height > side
    page.keyboard.press("z")
    expect(page.locator(".missed .look")).to_have_count(0)
    assert said(stand) == [("MISSED", "open"), ("WITHDRAWN", "open")]


def test_a_finger_draws_too(browser: Browser, stand: PageStand) -> None:
    with serving(stand) as url, Visit(browser, url, size=PHONE, has_touch=True) as visit:
        page = opened(visit, good(stand))
        page.get_by_role("button", name="Mark a missed defect").tap()
        page.locator("canvas.draws").scroll_into_view_if_needed()
        touch(page, screen_of(page, 100, 100), screen_of(page, 200, 180))
        assert visit.cut_off() == []
        # Not a tap: right after the touches above, Chromium takes one in two for part of them.
        page.get_by_role("button", name="Mark as missed").click()
        expect(page.locator(".missed .look")).to_have_count(1)
    (review,) = stand.unit_source.said
    assert review.bbox_px == pytest.approx((100, 100, 100, 80), abs=2.5)


def touch(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    session = page.context.new_cdp_session(page)
    points = [start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), end]
    for kind, point in zip(("touchStart", "touchMove", "touchMove"), points, strict=True):
        at = [{"x": point[0], "y": point[1]}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_good_unit_is_confirmed_doubted_and_taken_back(visit: Visit, stand: PageStand) -> None:
    page = opened(visit, good(stand))
    whole = page.locator(".whole .judge[aria-pressed=true]")
    page.keyboard.press("c")
    expect(whole).to_have_text("It is good")
    page.keyboard.press("u")
    expect(whole).to_have_text("Unsure")
    page.keyboard.press("z")
    expect(whole).to_have_text("It is good")
    whole.click()  # what is pressed, pressed again, is taken back
    expect(whole).to_have_count(0)
    kinds = ["CONFIRMED", "UNSURE", "WITHDRAWN", "WITHDRAWN"]
    assert [judgement for judgement, _ in said(stand)] == kinds
    expect(page.locator(".history li")).to_have_count(4)
    expect(page.locator(".history .gone")).to_have_count(4)
    page.keyboard.press("f")  # a unit that PASSED has no call that could be false
    expect(page.locator(".history li")).to_have_count(4)


def test_what_the_service_refuses_is_told_beside_it(visit: Visit, stand: PageStand) -> None:
    page = opened(visit, good(stand))
    page.keyboard.press("m")
    drag(page, (60, 80), (140, 130))
    page.get_by_role("button", name="Mark as missed").click()
    expect(page.locator(".missed .look")).to_have_count(1)
    page.get_by_role("button", name="It is good").click()
    expect(page.locator(".wrong:visible")).to_contain_text("take that back first")
    visit.complaints.clear()  # the browser writes of the 409


def test_each_call_and_what_was_missed_beside_them_has_its_own_answer(
    visit: Visit, stand: PageStand
) -> None:
    page = opened(visit, bad(stand))
    page.get_by_role("button", name="Unsure: defect 1, open").click()
    expect(page.locator(".defects .judge[aria-pressed=true]")).to_have_text("Unsure")
    page.get_by_role("button", name="False call: defect 1, open").click()
    expect(page.locator(".defects .judge[aria-pressed=true]")).to_have_text("False call")
    page.keyboard.press("m")
    drag(page, (60, 80), (140, 130))
    page.get_by_role("button", name="Mark as missed").click()
    expect(page.locator(".missed .look")).to_have_count(1)
    page.get_by_role("button", name="Take back: missed defect 1, open").click()
    expect(page.locator(".missed .look")).to_have_count(0)
    kinds = ["UNSURE", "FALSE_CALL", "MISSED", "WITHDRAWN"]
    assert [judgement for judgement, _ in said(stand)] == kinds


def test_without_a_picture_the_unit_is_marked_as_a_whole(visit: Visit, stand: PageStand) -> None:
    unit = stand.inspected(1, board(1), evidence=[])
    page = visit.open(f"#/units/{unit}")
    page.get_by_role("button", name="Mark a missed defect").click()
    page.get_by_label("Code").select_option(label="another kind")
    page.get_by_role("button", name="Mark as missed").click()
    expect(page.locator(".missed .look")).to_contain_text("another kind")
    (review,) = stand.unit_source.said
    assert (review.code, review.bbox_px) == (None, None)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_nothing_of_it_is_cut_off_and_axe_finds_nothing_serious(
    browser: Browser, stand: PageStand, size: tuple[int, int], locale: str
) -> None:
    good_unit, bad_unit = good(stand, 1), bad(stand, 2)
    with serving(stand) as url, Visit(browser, url, size=size, locale=locale) as visit:
        for unit in (good_unit, bad_unit):
            page = opened(visit, unit)
            page.keyboard.press("u")
            page.locator(".history li").first.wait_for()
            assert visit.cut_off() == []
            assert visit.serious_findings() == []
            page.keyboard.press("m")
            page.locator("canvas.draws[data-box]").wait_for()
            assert visit.cut_off() == []
            page.keyboard.press("Escape")
            expect(page.locator("canvas.draws")).to_have_count(0)


def test_the_queue_gets_shorter_and_what_is_shown_is_there_as_a_table(
    visit: Visit, stand: PageStand
) -> None:
    units = [bad(stand, 1), good(stand, 2), bad(stand, 3)]
    page = visit.open("#/units")
    page.get_by_role("link", name="Bad, not yet looked at").click()
    expect(page.locator(".units .card")).to_have_count(2)
    page.locator(f".units .card[data-id='{units[0]}']").click()
    page.locator(".whole .judge").first.wait_for()
    page.keyboard.press("c")
    expect(page.locator(".whole .judge[aria-pressed=true]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".units .card")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="As a table (CSV)").click()
    names, *rows = download.value.path().read_text("utf-8-sig").splitlines()
    assert names.startswith("time,unit,camera,result,")
    assert [row.split(",")[1] for row in rows] == ["SIM-000003"]
    page.get_by_label("Review").select_option("done")
    page.locator(f".units .card[data-id='{units[0]}']").wait_for()
    expect(page.locator(".units .card")).to_have_count(1)


def test_units_are_filtered_by_the_time_of_this_device(visit: Visit, stand: PageStand) -> None:
    units = [good(stand, number) for number in (1, 2, 3)]  # a minute apart
    page = visit.open("#/units")
    local = page.evaluate(
        """(iso) => {
            const at = new Date(iso);
            return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
        }""",
        stand.unit_source.events[1]["time"],
    )
    page.get_by_label("Seen from").fill(local)
    page.get_by_label("Seen from").press("Enter")
    page.locator(f".units .card[data-id='{units[2]}']").wait_for()
    expect(page.locator(".units .card")).to_have_count(2)
    assert visit.cut_off() == []
    assert visit.serious_findings() == []
