"""The operator's page in a real browser: Chromium, driven by Playwright.

Playwright keeps an event loop of its own while it runs: no test that shares a module with these
may call `asyncio.run`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebSocket, sync_playwright

from tests.kit.line import wait_for

T = TypeVar("T")
Picture = NDArray[np.uint8]

DESKTOP, PANEL, PHONE = (1920, 1080), (1280, 800), (390, 844)
SIZES = {"desktop": DESKTOP, "panel": PANEL, "phone": PHONE}
OVERLAY = {"PASSED": (46, 229, 122), "FAILED": (255, 77, 77)}
"""Colours of outlines and boxes, RGB."""


_CUT_OFF = """() => {
    const wide = document.documentElement.clientWidth;
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const box = element.getBoundingClientRect();
        const style = getComputedStyle(element);
        if (!box.width || !box.height || style.visibility === "hidden") continue;
        if (element.closest(".hidden, .skip, canvas, svg, pre, .plot")) continue;
        // Cut with an ellipsis, on purpose; the whole is a click away.
        if (getComputedStyle(element.parentElement).textOverflow === "ellipsis") continue;
        const text = element.textContent.slice(0, 30);
        const name = `${element.tagName}.${element.className} ${text}`;
        if (box.right > wide + 1 || box.left < -1) found.push(`sticks out: ${name}`);
        const isText = (node) => node.nodeType === 3 && node.data.trim();
        if (![...element.childNodes].some(isText) || style.display === "inline") continue;
        if (style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none") continue;
        if (element.scrollWidth > element.clientWidth + 1) found.push(`cut off: ${name}`);
    }
    if (document.documentElement.scrollWidth > wide) found.push("scrolls sideways");
    return found;
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test skips where there is none."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=binary, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@dataclass(frozen=True)
class Frame:
    """A message of the live connection."""

    header: dict[str, Any]
    jpeg: bytes

    @property
    def picture(self) -> Picture:
        return decoded(self.jpeg)


class Visit:
    """Somebody looks at the page. On leaving, nothing may have been complained about.

    Complaints: errors and warnings of the console, exceptions, dialogs, requests to elsewhere.
    """

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        size: tuple[int, int] = PANEL,
        dark: bool = False,
        locale: str = "en-GB",
        has_touch: bool = False,
    ) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.frames: list[Frame] = []
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale=locale,
            has_touch=has_touch,
        )
        self._context.set_default_timeout(15_000)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._on_request)
        self.page.on("websocket", self._on_websocket)

        def on_dialog(dialog: Any) -> None:
            self.complaints.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        self.page.on("dialog", on_dialog)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._context.close()
        if kind is None:
            assert not self.complaints, "\n".join(self.complaints)

    def open(self, route: str = "#/now") -> Page:
        """Go to a view; returns once its frame is there."""
        self.page.goto(f"{self.url}/{route}")
        self.page.wait_for_selector("#pill:not([data-state=wait])")
        return self.page

    def until(self, look: Callable[[], T], *, what: str, within_s: float = 20.0) -> T:
        """Wait for something while the browser goes on."""

        def looked() -> T:
            self.page.wait_for_timeout(20)  # Playwright delivers what happened meanwhile
            return look()

        return wait_for(looked, within_s=within_s, what=what)

    def canvas(self, selector: str) -> tuple[Picture, dict[str, str]]:
        """What a canvas shows in this moment, BGR, and its data attributes."""
        found = self.page.evaluate(
            """(selector) => {
                const canvas = document.querySelector(selector);
                return [canvas.toDataURL("image/png"), { ...canvas.dataset }];
            }""",
            selector,
        )
        return decoded(base64.b64decode(found[0].partition(",")[2])), found[1]

    def ask(self, path: str) -> Any:
        """What the service answers this browser."""
        return self.page.evaluate("(path) => fetch(path).then((answer) => answer.json())", path)

    def serious_findings(self) -> list[str]:
        """What axe-core holds against the view as it is now."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def cut_off(self) -> list[str]:
        """Texts that are wider than what they stand in, and what sticks out sideways."""
        found: list[str] = self.page.evaluate(_CUT_OFF)
        return found

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.complaints.append(f"request to {request.url}")

    def _on_websocket(self, socket: WebSocket) -> None:
        def received(payload: str | bytes) -> None:
            assert isinstance(payload, bytes)
            length = int.from_bytes(payload[:4], "big")
            self.frames.append(Frame(json.loads(payload[4 : 4 + length]), payload[4 + length :]))

        socket.on("framereceived", received)


def decoded(content: bytes) -> Picture:
    """BGR."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def share_of_line(
    picture: Picture,
    corners: list[list[float]],
    colour: tuple[int, int, int],
    *,
    tolerance_px: int = 2,
) -> float:
    """Of the points along a closed line that lie in the picture, how many show the colour."""
    height, width = picture.shape[:2]
    red, green, blue = colour
    near = np.abs(picture.astype(int) - (blue, green, red)).max(axis=2) < 40
    hits, points = 0, 0
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        for step in np.linspace(0.03, 0.97, 40):
            x, y = round(x1 + (x2 - x1) * step), round(y1 + (y2 - y1) * step)
            if not (3 <= x < width - 3 and 3 <= y < height - 3):
                continue
            points += 1
            hits += bool(
                near[
                    y - tolerance_px : y + tolerance_px + 1, x - tolerance_px : x + tolerance_px + 1
                ].any()
            )
    return hits / points if points else 0.0
