"""The operator's page when something is wrong: the camera, the service, the viewer, the text."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from websockets.sync.client import ClientConnection, connect

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import Line, measured, wait_for
from tests.kit.page_kit import PANEL, PHONE, Visit, chromium
from tests.kit.redis_server import RedisServer
from tests.kit.rtsp_server import RtspServer, Serving

TOLD_WITHIN_S = 3.0
TOKEN = "canary-token-1f0e"
NO_SUCH_UNIT = re.compile("404 .Not Found.")
NETWORK = re.compile("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket")
"""What Chromium itself writes to the console while a server is away."""
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(2)</script>',
    "javascript:alert(3)",
    "{{constructor.constructor('alert(4)')()}}",
    "../../etc/passwd",
    "شحنة-0815 évaluée",
    "W" * 128,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with RedisServer(binary, tmp_path / "redis") as server:
        yield server.url


class Guarded(Line):
    """A line whose HTTP side asks for a token."""

    def __init__(self, folder: Path, **options: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        super().__init__(folder, http={"port": self.port, "token": TOKEN}, **options)
        self._port = self.port


def url_of(line: Line) -> str:
    return f"http://127.0.0.1:{line._port}"


def trigger(line: Line, unit_id: str, token: str | None = None) -> None:
    connection = HTTPConnection("127.0.0.1", line._port, timeout=10)
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("POST", "/api/trigger", json.dumps({"unit_id": unit_id}), headers)
    response = connection.getresponse()
    assert response.status == 202, response.read()
    connection.close()


# --- the camera, and the service ---


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)
    with RtspServer(Serving(pattern_size=(640, 360))) as server:
        yield server


@pytest.fixture
def line(
    tmp_path: Path, camera: RtspServer, redis_url: str, triton: EmbeddedTriton
) -> Iterator[Line]:
    with Line(
        tmp_path,
        cameras={
            "gate": {
                "source": camera.url(),
                "size": "640x360",
                "trigger": "external",
                "trigger_wait_ms": 300.0,
            }
        },
        triton=triton.grpc_url,
        redis_url=redis_url,
    ) as line:
        line.wait_ready()
        yield line
        line.stop()


def sequence(visit: Visit) -> int:
    found = visit.page.locator("canvas.live").get_attribute("data-sequence")
    return int(found or -1)


def open_now_while_the_service_is_away(visit: Visit, line: Line) -> None:
    """The view comes to life with the service all the same."""
    page = visit.page
    cover, verdict = page.locator(".cover"), page.locator(".verdict")
    page.goto(f"{visit.url}/#/state")
    line.kill()
    expect(page.locator("#lost")).to_be_visible()
    page.goto(f"{visit.url}/#/now")
    expect(cover).to_have_text("No connection to the service")
    line.start()
    expect(page.locator("#lost")).to_be_hidden(timeout=60_000)
    expect(cover).to_be_hidden(timeout=30_000)
    shown = sequence(visit)
    visit.until(lambda: sequence(visit) > shown, what="the picture moves in the new view")
    expect(verdict.locator(".serial")).to_have_text("PCB-0815")
    trigger(line, "PCB-0816")
    expect(verdict.locator(".serial")).to_have_text("PCB-0816")


def keep_the_strip_still(visit: Visit, line: Line) -> None:
    """The last units stay where they are under a pointer, and a key opens what it chose."""
    page = visit.page
    verdict = page.locator(".verdict")
    tiles = page.locator(".strip li")
    expect(tiles.first).to_contain_text("PCB-0816")
    strip = page.locator(".strip")
    strip.dispatch_event("pointermove")
    trigger(line, "PCB-0817")
    while verdict.locator(".serial").text_content() != "PCB-0817":
        strip.dispatch_event("pointermove")
    expect(tiles.first).to_contain_text("PCB-0816", timeout=1)
    strip.dispatch_event("pointerleave")
    expect(tiles.first).to_contain_text("PCB-0817")
    tiles.filter(has_text="PCB-0816").locator("a").focus()
    trigger(line, "PCB-0818")
    expect(tiles.first).to_contain_text("PCB-0818")
    page.keyboard.press("Enter")
    expect(page.locator("h1.serial")).to_have_text("PCB-0816")


def test_a_lost_camera_and_a_restarted_service_are_told_and_overcome_by_themselves(
    browser: Browser, line: Line, camera: RtspServer
) -> None:
    with Visit(browser, url_of(line)) as visit:
        page = visit.open()
        page.wait_for_selector("canvas.live[data-sequence]")
        cover = page.locator(".cover")
        expect(cover).to_be_hidden()

        camera.kill()
        killed_s = time.monotonic()
        expect(cover).to_contain_text("Camera gate is down.", timeout=TOLD_WITHIN_S * 1000)
        measured("a killed camera is told after, s", round(time.monotonic() - killed_s, 2))
        expect(page.locator("#pill")).to_have_attribute("data-state", "bad")
        expect(page.locator("#pill")).to_have_text("Problem: camera gate")

        # A unit that nobody could look at, as large and as clear as the others.
        trigger(line, "PCB-0815")
        verdict = page.locator(".verdict")
        expect(verdict).to_have_attribute("data-result", "NOT_INSPECTED")
        expect(verdict.locator(".word")).to_have_text("NOT INSPECTED")
        expect(verdict.locator(".serial")).to_have_text("PCB-0815")
        for size in (PANEL, PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert visit.cut_off() + visit.serious_findings() == []
        page.goto(f"{visit.url}/#/state")
        part = page.locator(".part[data-good=false]")
        expect(part).to_contain_text("Camera gate")
        expect(part.locator("time")).to_contain_text("since ")
        expect(part.locator(".advice")).to_contain_text("cable")
        assert visit.cut_off() + visit.serious_findings() == []
        page.goto(f"{visit.url}/#/now")
        camera.start()
        expect(cover).to_be_hidden(timeout=15_000)
        expect(page.locator("#pill")).to_have_attribute("data-state", "good")

        before = visit.page.evaluate("performance.timeOrigin")
        line.kill()
        expect(page.locator("#lost")).to_be_visible()
        expect(cover).to_have_text("No connection to the service")
        expect(verdict).to_have_class(re.compile(r"\bold\b"))
        assert visit.serious_findings() == []
        line.start()
        expect(page.locator("#lost")).to_be_hidden(timeout=60_000)
        expect(cover).to_be_hidden(timeout=60_000)
        shown = sequence(visit)
        visit.until(lambda: sequence(visit) > shown, what="the picture moves again")
        # What was decided before is still there, from the journal.
        expect(verdict.locator(".serial")).to_have_text("PCB-0815")
        assert page.evaluate("performance.timeOrigin") == before, "it was not loaded again"

        open_now_while_the_service_is_away(visit, line)
        keep_the_strip_still(visit, line)
        visit.complaints = [c for c in visit.complaints if not NETWORK.search(c)]


# --- the viewer ---


def next_frame(socket: ClientConnection) -> dict[str, Any]:
    """Ask for messages until one is a picture."""
    while True:
        socket.send("next")
        message = socket.recv(timeout=20)
        assert isinstance(message, bytes)
        length = int.from_bytes(message[:4], "big")
        header: dict[str, Any] = json.loads(message[4 : 4 + length])
        if header["type"] == "frame":
            return header


def captured(line: Line) -> int:
    return line.scrape().frames().captured


def test_a_viewer_that_stalls_goes_on_with_the_picture_of_now(line: Line) -> None:
    address = f"{url_of(line).replace('http', 'ws')}/ws/live/gate"
    with connect(address) as slow, connect(address) as other:
        for socket_ in (slow, other):
            socket_.recv(timeout=20)  # the state comes unasked, once
        first = next_frame(slow)
        started = captured(line)

        def goes_on() -> bool:
            next_frame(other)
            return captured(line) > started + 120

        wait_for(goes_on, within_s=60, what="120 frames")
        newest = next_frame(other)
        after = next_frame(slow)
        assert after["sequence"] >= newest["sequence"] > first["sequence"] + 100
        # Nothing was sent to it in between, and nothing waits for it.
        with pytest.raises(TimeoutError):
            slow.recv(timeout=0.5)


def test_a_page_whose_thread_was_blocked_goes_on_with_the_picture_of_now(
    browser: Browser, line: Line
) -> None:
    with Visit(browser, url_of(line)) as visit:
        page = visit.open()
        page.wait_for_selector("canvas.live[data-sequence]")
        before = sequence(visit)
        page.evaluate("const end = performance.now() + 3000; while (performance.now() < end);")
        now = captured(line)
        visit.until(
            lambda: sequence(visit) > before and now - sequence(visit) < 30,
            what="a picture of less than a second ago",
            within_s=10,
        )
        frames = [f for f in visit.frames if f.header["type"] == "frame"]
        stalled = [f for f in frames if before < f.header["sequence"] < now - 30]
        # What was under way, or come and not yet shown; a backlog of three seconds would be dozens.
        assert len(stalled) <= 3, "a backlog was sent"


def test_a_camera_that_does_not_exist_is_said_to_be_none(line: Line) -> None:
    address = f"{url_of(line).replace('http', 'ws')}/ws/live/nowhere"
    with connect(address) as viewer:
        with pytest.raises(Exception, match="no such camera"):
            viewer.recv(timeout=10)
        assert viewer.close_code == 4404


# --- the token, and hostile text ---


def test_elsewhere_the_token_opens_the_page_and_no_text_of_a_unit_is_interpreted(
    browser: Browser, tmp_path: Path, redis_url: str, triton: EmbeddedTriton
) -> None:
    strobe = {
        "source": "sim:?view=strobe&takt_s=0.1&defect_rate=1",
        "size": "640x480",
        "trigger": "external",
    }
    with Guarded(
        tmp_path, cameras={"top": strobe}, triton=triton.grpc_url, redis_url=redis_url
    ) as line:
        line.wait_ready()
        with Visit(browser, url_of(line)) as visit:
            addresses: list[str] = []
            visit.page.on("request", lambda request: addresses.append(request.url))
            log_in(visit)
            see_hostile_units(visit, line)
            line.stop()
            line.start()
            line.wait_ready()
            visit.page.reload()
            expect(visit.page.locator("#pill")).to_have_attribute("data-state", "good")
            visit.page.get_by_role("button", name="Log out").click()
            expect(visit.page.get_by_label("Token")).to_be_visible()
            visit.page.goto(f"{visit.url}/")
            expect(visit.page.get_by_label("Token")).to_be_visible()
            assert not [url for url in addresses if TOKEN in url]
            expected = (NETWORK, NO_SUCH_UNIT)
            visit.complaints = [
                c for c in visit.complaints if not any(e.search(c) for e in expected)
            ]
        line.stop()
        assert TOKEN not in line.log_path.read_text()


def log_in(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.url}/")
    page.wait_for_url("**/login")
    assert visit.cut_off() + visit.serious_findings() == []
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Wrong token.")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("canvas.live[data-sequence]")
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert TOKEN not in str(page.context.storage_state())
    assert page.evaluate("document.cookie") == ""


def see_hostile_units(visit: Visit, line: Line) -> None:
    page = visit.page
    for unit_id in HOSTILE:
        trigger(line, unit_id, TOKEN)
        expect(page.locator(".verdict .serial")).to_have_text(unit_id)
    assert visit.cut_off() == []
    page.goto(f"{visit.url}/#/units")
    page.locator(".units .card").nth(len(HOSTILE) - 1).wait_for()
    assert set(page.locator(".units .id").all_text_contents()) == set(HOSTILE)
    assert visit.cut_off() == []
    for unit in visit.ask("/api/units")["units"]:
        page.goto(f"{visit.url}/#/units/{unit['id']}")
        expect(page.locator("h1.serial")).to_have_text(unit["unit_id"])
        assert visit.cut_off() == []
    text = HOSTILE[0]
    page.goto(f"{visit.url}/#/units?text={text}&code=%3Cb%3E&camera=%22%3E")
    page.goto(f"{visit.url}/#/units/{text}")
    expect(page.locator("main .nothing")).to_contain_text("Unit not found")

    def hostile(route: Any) -> None:
        answer = route.fetch().json()
        answer["station"] = text
        answer["parts"][0] |= {"good": False, "since": "2026-01-01T00:00:00Z", "words": text}
        answer["parts"][0] |= {"subject": text, "advice": text, "part": text}
        route.fulfill(json=answer)

    page.route("**/api/status", hostile)
    page.goto(f"{visit.url}/#/state")
    expect(page.locator("#station")).to_have_text(text)
    expect(page.locator(".part[data-good=false] p").first).to_have_text(text)
    assert page.locator("main img, main script").count() == 0
    assert visit.cut_off() == []
    page.unroute("**/api/status")
    page.goto(f"{visit.url}/#/now")
