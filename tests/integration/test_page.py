"""The operator's page in a real browser, beside a real line: camera, Triton, Redis, journal."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Request, expect

from inspector import __version__
from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import Line, measured, wait_for
from tests.kit.line_events import assert_gapless, entries
from tests.kit.page_kit import (
    OVERLAY,
    SIZES,
    Picture,
    Visit,
    chromium,
    decoded,
    share_of_line,
)
from tests.kit.redis_server import RedisServer

BELT = {
    "source": "sim:?speed=20&gap=200&seed=8&defect_rate=0.5",
    "size": "1280x720",
    "trigger": "presence",
    "serial": {"formats": ["DataMatrix"]},
}
MAX_BYTES = 150_000
OVERLAP_TOLERANCE_PX = 10
VIEWS = ("#/now", "#/units", "#/figures?hours=1", "#/state")


class Station:
    """The line, and how to get at what it says."""

    def __init__(self, line: Line, redis_server: RedisServer) -> None:
        self.line, self.redis_server = line, redis_server
        port = re.search(r"port = (\d+)", line.config.read_text())
        assert port is not None
        self.url = f"http://127.0.0.1:{port[1]}"

    def api(self, path: str) -> Any:
        status, text = self.line.get(path)
        assert status == 200, text
        return json.loads(text)

    def entries(self, stream: str) -> list[Any]:
        with contextlib.closing(self.redis_server.client()) as client:
            return list(entries(client, stream))

    def wait_for_units(self, *wanted: str) -> None:
        """Until there is a unit of each result wanted."""
        wait_for(
            lambda: all(self.api(f"/api/units?limit=1&result={r}")["units"] for r in wanted),
            within_s=60,
            what=f"units that are {wanted}",
        )


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, triton: EmbeddedTriton) -> Iterator[Station]:
    folder = tmp_path_factory.mktemp("page")
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    camera = {k: v for k, v in BELT.items() if k != "serial"}
    with (
        RedisServer(binary, folder / "redis") as redis_server,
        Line(
            folder,
            cameras={"top": camera, "top.serial": {"formats": ["DataMatrix"]}},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
        ) as line,
    ):
        line.wait_ready()
        station = Station(line, redis_server)
        station.wait_for_units("PASSED", "FAILED")
        yield station
        line.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, station: Station) -> Iterator[Visit]:
    with Visit(browser, station.url) as visit:
        yield visit


# --- now ---


def is_board(picture: Picture, x: float, y: float) -> bool:
    """Boards are green, the belt is grey."""
    height, width = picture.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        return False
    blue, green, red = (int(v) for v in picture[int(y), int(x)])
    return green - max(blue, red) > 15


def test_outlines_lie_on_the_boards_and_boxes_where_the_verdict_saw_defects(visit: Visit) -> None:
    page = visit.open()
    page.wait_for_selector("canvas.live[data-sequence]")

    def seen() -> tuple[Picture, Any, dict[str, Any]] | None:
        """A frame as it is on the screen, with a decided unit that is far in view."""
        picture, data = visit.canvas("canvas.live")
        frame = next(
            (f for f in visit.frames if f.header.get("sequence") == int(data["sequence"])), None
        )
        if frame is None or frame.header["type"] != "frame":
            return None
        for unit in frame.header["units"]:
            left = min(x for x, _ in unit["outline"])
            if unit["result"] == "FAILED" and -200 < left < 600:
                return picture, frame, unit
        return None

    found = visit.until(seen, what="a decided board in view", within_s=60)
    assert found is not None
    picture, frame, unit = found
    shrink = picture.shape[1] / frame.header["width"]
    corners = [[x * shrink, y * shrink] for x, y in unit["outline"]]
    assert share_of_line(picture, corners, OVERLAY["FAILED"]) > 0.9
    # Independent of what the service says: where the board is, in the picture without the lines.
    plain = frame.picture
    middle = np.mean(corners, axis=0)
    for index in range(4):
        first, second = np.array(corners[index]), np.array(corners[(index + 1) % 4])
        edge = (first + second) / 2
        outward = (edge - middle) / np.linalg.norm(edge - middle)
        outside, inside = edge + 14 * outward, edge - OVERLAP_TOLERANCE_PX * outward
        if not (0 < inside[0] < picture.shape[1] and 0 < outside[0] < picture.shape[1]):
            continue
        assert is_board(plain, *inside), f"edge {index}"
        assert not is_board(plain, *outside), f"edge {index}"
    for defect in unit["defects"]:
        box = [[x * shrink, y * shrink] for x, y in defect["corners"]]
        if all(3 < x < picture.shape[1] - 3 for x, _ in box):
            assert share_of_line(picture, box, OVERLAY["FAILED"]) > 0.9


def test_the_last_verdict_is_told_by_word_shape_and_colour_and_changes_with_the_units(
    visit: Visit, station: Station
) -> None:
    page = visit.open()
    told: dict[str, dict[str, str]] = {}

    def look() -> bool:
        shown = page.evaluate(
            """() => {
                const box = document.querySelector(".verdict");
                return {
                    result: box.dataset.result,
                    word: box.querySelector(".word").textContent,
                    serial: box.querySelector(".serial").textContent,
                    facts: box.querySelector(".facts")?.textContent,
                    shape: box.querySelector("svg .fill")?.getAttribute("d") ?? "disc",
                    colour: getComputedStyle(box).backgroundColor,
                    size: parseFloat(getComputedStyle(box.querySelector(".word")).fontSize),
                };
            }"""
        )
        if shown["result"]:
            told[shown["serial"]] = shown
        return {"PASSED", "FAILED"} <= {t["result"] for t in told.values()} and len(told) > 2

    visit.until(look, what="a good one and a bad one", within_s=60)

    def all_published() -> dict[str, Any] | None:
        found = {e.event["unit"]["id"]: e.event for e in station.entries("units")}
        return found if told.keys() <= found.keys() else None

    published = wait_for(all_published, within_s=20, what="they are published too")
    assert published is not None
    seen = {}
    for serial, shown in told.items():
        event = published[serial]
        assert shown["result"] == event["result"]
        assert shown["word"] == {"PASSED": "GOOD", "FAILED": "BAD"}[event["result"]]
        took_ms = event["timing_ms"]["trigger_to_verdict"]
        assert f"verdict after {round(took_ms)} ms" in shown["facts"] or took_ms >= 1000
        seen[shown["result"]] = (shown["shape"], shown["colour"])
        assert float(shown["size"]) > 80  # some 2 cm on a panel: read from three metres
    assert len({shape for shape, _ in seen.values()}) == len({c for _, c in seen.values()}) == 2


def test_nobody_looks_and_nothing_is_encoded(browser: Browser, station: Station) -> None:
    def shown() -> float:
        return station.line.scrape().total("inspector_live_pictures_total", camera="top")

    with Visit(browser, station.url) as visit:
        visit.open()
        before = shown()
        visit.until(lambda: shown() > before + 5, what="pictures are shown")
    captured = station.line.scrape().frames().captured
    wait_for(
        lambda: station.line.scrape().frames().captured > captured + 30, within_s=20, what="frames"
    )
    still = shown()
    captured = station.line.scrape().frames().captured
    wait_for(
        lambda: station.line.scrape().frames().captured > captured + 60, within_s=20, what="frames"
    )
    assert shown() == still


# --- units ---


def test_units_are_listed_newest_first_filtered_and_linked(visit: Visit, station: Station) -> None:
    page = visit.open("#/units")
    cards = page.locator(".units .card")
    cards.first.wait_for()
    times = [u["time"] for u in visit.ask("/api/units?limit=20")["units"]]
    assert times == sorted(times, reverse=True)

    page.get_by_role("radio", name="bad").check(force=True)
    page.wait_for_url("**/#/units?result=FAILED")
    page.locator(".units .card[data-tone=bad]").first.wait_for()
    assert page.locator(".units .card:not([data-tone=bad])").count() == 0
    code = station.api("/api/units?result=FAILED&limit=1")["units"][0]["defects"][0]["code"]
    page.get_by_label("Defect").select_option(code)
    page.wait_for_url(f"**/#/units?result=FAILED&code={code}")
    page.locator(".units .card .what").first.wait_for()
    assert all(code in text for text in page.locator(".units .card .what").all_text_contents())

    page.goto(f"{station.url}/#/units?result=ERROR")
    expect(page.locator("main .nothing")).to_have_text("No units match this filter.")
    page.get_by_role("radio", name="All").check(force=True)
    page.get_by_label("Unit", exact=True).fill("sim-00000")
    page.get_by_label("Unit", exact=True).press("Enter")
    cards.first.wait_for()
    newest = station.api("/api/units?limit=1&text=sim-00000")["units"][0]["id"]
    page.locator(f'.units .card[data-id="{newest}"]').wait_for()


def test_a_new_unit_appears_in_the_list_by_itself_and_the_keyboard_is_enough(
    visit: Visit,
) -> None:
    page = visit.open("#/units")
    page.locator(".units .card").first.wait_for()
    first = page.locator(".units .card").first.get_attribute("data-id")
    visit.until(
        lambda: page.locator(".units .card").first.get_attribute("data-id") != first,
        what="a newer unit",
    )
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    chosen = page.evaluate("document.activeElement.dataset.id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/#/units/{chosen}")
    page.locator(".unit-view").wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: "/#/units/" in url and chosen not in url)
    page.locator(".unit-view").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_url("**/#/units")
    page.keyboard.press("1")
    page.wait_for_url("**/#/now")


def test_the_evidence_is_shown_with_boxes_codes_timings_and_the_event(
    visit: Visit, station: Station
) -> None:
    failed = station.api("/api/units?result=FAILED&limit=50")["units"]
    # Boxes close to each other overlap.
    unit = min(failed, key=lambda one: one["defects_total"])
    page = visit.open(f"#/units/{unit['id']}")
    page.wait_for_selector(".unit-view canvas[data-drawn]")
    shown, _ = visit.canvas(".unit-view canvas")
    event = station.api(f"/api/units/{unit['id']}")["event"]
    [evidence] = event["evidence"]
    plain = decoded(Path(evidence["uri"].removeprefix("file://")).read_bytes())
    assert shown.shape == plain.shape
    changed = np.abs(shown.astype(int) - plain).max(axis=2) > 30
    margin = 0.0
    for defect in event["defects"]:
        x, y, width, height = defect["bbox_px"]
        scale = shown.shape[0] / page.locator(".unit-view canvas").evaluate("c => c.clientHeight")
        margin = 3 * max(scale, 1.0)
        box = [
            [x - margin, y - margin],
            [x + width + margin, y - margin],
            [x + width + margin, y + height + margin],
            [x - margin, y + height + margin],
        ]
        assert share_of_line(shown, box, OVERLAY["FAILED"], tolerance_px=4) > 0.8
        inside = changed[int(y) + 6 : int(y + height) - 6, int(x) + 6 : int(x + width) - 6]
        assert inside.mean() < 0.1, "the box must not hide what is in it"
    listed = page.locator(".defects .of strong").all_text_contents()
    assert listed == [d["code"] for d in event["defects"]]
    facts = page.locator(".facts-list").text_content() or ""
    assert event["camera"] in facts
    assert f"{event['counts']['frames_inspected']} of {event['counts']['frames_expected']}" in facts
    page.get_by_text("The event as the MES gets it").click()
    assert json.loads(page.locator(".raw pre").text_content() or "") == event
    [published] = [e.event for e in station.entries("units") if e.event["id"] == unit["id"]]
    assert {k: v for k, v in published.items() if k != "published_at"} == event


def test_a_shape_is_drawn_by_its_corners_and_the_unit_as_a_whole_all_around_it(
    visit: Visit, station: Station
) -> None:
    """As a model reports them that tells shapes, or only that something is wrong somewhere."""
    unit = station.api("/api/units?result=FAILED&limit=1")["units"][0]
    told = station.api(f"/api/units/{unit['id']}")
    rhombus = [[300, 200], [400, 300], [300, 400], [200, 300]]
    box = told["unit"]["defects"][0]
    shape = box | {"bbox_px": [200, 200, 200, 200], "polygon_px": rhombus, "code": "crack"}
    whole = box | {"id": "whole", "bbox_px": None, "polygon_px": None, "code": "stain"}
    told["unit"] |= {"defects": [shape, whole], "defects_total": 2}
    address = f"**/api/units/{unit['id']}"
    visit.page.route(address, lambda route: route.fulfill(json=told))
    page = visit.open(f"#/units/{unit['id']}")
    page.wait_for_selector(".unit-view canvas[data-drawn]")
    shown, _ = visit.canvas(".unit-view canvas")
    height, width = shown.shape[:2]
    corners = [[float(x), float(y)] for x, y in rhombus]
    assert share_of_line(shown, corners, OVERLAY["FAILED"], tolerance_px=4) > 0.8
    around = [[200.0, 200.0], [400.0, 200.0], [400.0, 400.0], [200.0, 400.0]]
    assert share_of_line(shown, around, OVERLAY["FAILED"], tolerance_px=4) < 0.3, "not its box"
    scale = height / page.locator(".unit-view canvas").evaluate("c => c.clientHeight")
    near, right, low = 3 * scale, width - 3 * scale, height - 3 * scale
    edge = [[near, near], [right, near], [right, low], [near, low]]
    dashes = share_of_line(shown, edge, OVERLAY["FAILED"], tolerance_px=2)
    assert 0.3 < dashes < 0.9, "dashed, around the whole picture"
    listed = page.locator(".defects .of").all_text_contents()
    assert ["of the whole unit" in text for text in listed] == [False, True]


@pytest.mark.parametrize("path", [
    "/api/units/..%2f..%2fetc%2fpasswd/image", "/api/units/../../etc/passwd/image",
    "/api/units/01M82M13KY231505C05CJVEW7B/image", "/api/units/x/image",
    "/api/units/81M82M13KY231505C05CJVEW7B", "/api/units/%00",
])  # fmt: skip
def test_what_is_no_unit_of_ours_is_not_found(station: Station, path: str) -> None:
    assert station.line.get(path)[0] == 404


@pytest.mark.parametrize("query", [
    "limit=0", "limit=201", "limit=x", "limit=1e3", "limit=-1", "result=GOOD", "before=0",
    "before=99999999999999999999",
])  # fmt: skip
def test_a_question_that_cannot_be_read_is_refused_in_one_line(
    station: Station, query: str
) -> None:
    status, text = station.line.get(f"/api/units?{query}")
    assert status == 400
    assert text.count("\n") == 1
    assert "expected" in text


# --- second look ---


def pressed(visit: Visit) -> list[str]:
    found: list[str] = visit.page.locator(".judge[aria-pressed=true]").evaluate_all(
        "buttons => buttons.map((button) => button.getAttribute('aria-label'))"
    )
    return found


def test_a_second_look_is_kept_published_counted_and_outlives_a_restart(
    browser: Browser, station: Station
) -> None:
    unit = station.api("/api/units?result=FAILED&limit=1")["units"][0]
    defect = unit["defects"][0]
    with Visit(browser, station.url) as visit:
        page = visit.open(f"#/units/{unit['id']}")
        page.locator(".unit-view").wait_for()
        assert pressed(visit) == []
        first = page.locator(".defects .look").first
        first.get_by_role("button", name="False call").click()
        expect(first.locator(".judge[aria-pressed=true]")).to_have_text("False call")
        page.keyboard.press("c")
        expect(page.locator(".whole .judge[aria-pressed=true]")).to_have_text("Confirm")
        page.keyboard.press("f")
        expect(page.locator(".whole .judge[aria-pressed=true]")).to_have_text("False call")
    wait_for(lambda: len(station.entries("reviews")) == 3, within_s=10, what="three reviews")
    found = station.entries("reviews")
    assert_gapless(found)
    said = [(e.fields["result"], e.event["defect_id"], e.event["code"]) for e in found]
    assert said == [
        ("FALSE_CALL", defect["id"], defect["code"]),
        ("CONFIRMED", None, None),
        ("FALSE_CALL", None, None),
    ]
    for entry in found:
        assert entry.fields["schema"] == "inspector.review/1"
        assert entry.fields["unit_id"] == unit["unit_id"] == entry.event["unit_id"]
        assert entry.event["unit_event_id"] == unit["id"]
    scrape = station.line.scrape()
    assert scrape.total("inspector_reviews_total", judgement="FALSE_CALL") == 2
    assert scrape.total("inspector_reviews_total", judgement="CONFIRMED") == 1

    before = station.api("/api/figures")["day"]
    assert before["reviews"] == {"CONFIRMED": 0, "FALSE_CALL": 2, "MISSED": 0, "UNSURE": 0}
    failed = before["review_counts"]["failed"]
    assert (failed["reviewed"], failed["false_calls"]) == (1, 1)
    codes = Counter(defect["code"] for defect in unit["defects"])
    judged = {code: (of["reviewed"], of["false_calls"]) for code, of in failed["codes"].items()}
    assert judged == {code: (n, n) for code, n in codes.items()}
    station.line.stop()
    station.line.start()
    station.line.wait_ready()
    after = station.api("/api/figures")["day"]
    assert after["reviews"] == before["reviews"]
    assert after["units"] >= before["units"]
    with Visit(browser, station.url) as visit:
        page = visit.open(f"#/units/{unit['id']}")
        page.locator(".unit-view").wait_for()
        assert pressed(visit) == [
            f"False call: the unit {unit['unit_id']}",
            f"False call: defect 1, {defect['code']}",
        ]


# --- figures and state ---


def test_the_figures_are_those_of_the_published_events(visit: Visit, station: Station) -> None:
    page = visit.open("#/figures?hours=1")
    page.locator(".period").first.wait_for()
    page.locator(".plot canvas").first.wait_for()

    def agree() -> bool:
        """In a moment in which no unit came in between."""
        before = [e.event for e in station.entries("units")]
        told = station.api("/api/figures?hours=1")
        after = [e.event for e in station.entries("units")]
        if len(before) != len(after):
            return False
        results = Counter(e["result"] for e in after)
        codes = Counter(d["code"] for e in after for d in e["defects"])
        day = told["day"]
        if day["units"] != len(after):  # written down already and not yet published
            return False
        assert day["results"] == results
        assert day["codes"] == codes
        inspected = results["PASSED"] + results["FAILED"]
        assert day["pass_share"] == pytest.approx(results["PASSED"] / inspected)
        assert sum(told["series"]["passed"]) == results["PASSED"]
        return True

    visit.until(agree, what="figures and events agree")
    assert "%" in (page.locator(".yield b").first.text_content() or "")
    assert page.locator(".plot canvas").count() == 2
    assert "bad" in (page.locator(".plot").first.get_attribute("aria-label") or "")


def test_the_state_is_told_in_words(visit: Visit) -> None:
    page = visit.open("#/state")
    expect(page.locator(".overall")).to_contain_text("Everything works.")
    assert page.locator(".part").count() == 6
    assert page.locator(".part[data-good=true]").count() == 6
    numbers = page.locator("[data-part=numbers]")
    expect(numbers).to_contain_text("frames/s", timeout=15_000)  # known from the second look on
    expect(numbers).to_contain_text("pcb_inspection")
    expect(numbers).to_contain_text("per request")
    expect(numbers).to_contain_text(__version__)
    expect(numbers).to_contain_text("Disk of the journal, free")
    assert visit.cut_off() + visit.serious_findings() == []


def test_somebody_says_with_a_name_that_the_pictures_are_good(
    visit: Visit, station: Station
) -> None:
    page = visit.open("#/state")
    expect(page.locator(".optics h2").first).to_contain_text("Pictures of camera")
    page.locator(".optics button").first.click()
    page.get_by_label("Your name").fill("Kim")
    page.get_by_role("button", name="They are good").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#said")).to_contain_text("What is usual is being learned.")
    wait_for(lambda: station.entries("changes"), within_s=10, what="the answer")
    [change] = [entry.event for entry in station.entries("changes")]
    assert (change["command"], change["result"]) == ("renew_optics", "accepted")
    assert "Kim" in change["by"]


# --- how it looks, for everybody ---


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_off_and_axe_finds_nothing_serious(
    browser: Browser, station: Station, size: str, theme: str
) -> None:
    unit = station.api("/api/units?result=FAILED&limit=1")["units"][0]["id"]
    ready: dict[str, str] = {
        "#/now": ".verdict:not([data-tone=wait])",
        "#/units": ".units .card",
        "#/figures?hours=1": ".plot canvas",
        "#/state": ".part",
        f"#/units/{unit}": ".unit-view canvas[data-drawn]",
    }
    with Visit(browser, station.url, size=SIZES[size], dark=theme == "dark") as visit:
        found = {}
        for view, selector in ready.items():
            visit.open(view).locator(selector).first.wait_for()
            found[view] = visit.cut_off() + visit.serious_findings()
        assert found == {view: [] for view in ready}


def test_the_theme_can_be_chosen_and_stays(visit: Visit) -> None:
    def background() -> str:
        return str(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page = visit.open()
    light = background()
    page.get_by_role("button", name="Dark or light").click()
    assert background() != light
    page.reload()
    page.wait_for_selector("#pill:not([data-state=wait])")
    assert background() != light


def test_the_page_is_small_and_soon_there(browser: Browser, station: Station) -> None:
    with Visit(browser, station.url) as visit:
        taken: list[Request] = []
        # Not taken.append itself: Playwright marks its handlers, and a builtin cannot be.
        visit.page.on("requestfinished", lambda request: taken.append(request))  # noqa: PLW0108
        for view in VIEWS:
            visit.open(view)
            if view.startswith("#/figures"):
                # Its charts are fetched late; another fragment of a loaded page is idle at once.
                visit.page.locator(".plot canvas").first.wait_for()
        visit.page.locator(".part").first.wait_for()
        files = [r for r in taken if "/static/" in r.url or r.url.endswith("/")]
        sizes = [r.sizes() for r in files]
        total = sum(s["responseBodySize"] + s["responseHeadersSize"] for s in sizes)
        measured("bytes of the page", total)
        assert any("uPlot.iife" in r.url for r in files)
        assert 20_000 < total < MAX_BYTES
        visit.page.goto("about:blank")
        started_s = time.monotonic()
        visit.page.goto(f"{station.url}/#/now")
        painted_ms = visit.page.evaluate(
            """() => new Promise((resolve) => {
                const look = () => {
                    const [paint] = performance.getEntriesByName("first-contentful-paint");
                    paint ? resolve(paint.startTime) : setTimeout(look, 20);
                };
                look();
            })"""
        )
        measured("first paint, ms", round(painted_ms))
        measured("loaded, s", round(time.monotonic() - started_s, 2))
        # Half a second on a machine that does little else; here tests run beside it.
        assert painted_ms < 5000
