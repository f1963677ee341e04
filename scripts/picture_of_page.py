"""Writes docs/images/page.png: the operator's page beside a real `inspector demo`.

python scripts/picture_of_page.py [dark|light]

Waits for a board that is bad and whose picture is shown. Needs chromium and what `make test` needs.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

TARGET = Path(__file__).parent.parent / "docs" / "images" / "page.png"
SIZE = {"width": 1280, "height": 800}
WIDTH_PX = 1120
MAX_BYTES = 300_000
UNITS_BEFORE_S = 25
WAIT_MS = 150_000
"""The demo teaches its products first, from good boards."""
READY = """() => {
    const verdict = document.querySelector(".verdict[data-result=FAILED]");
    const picture = document.querySelector("canvas.unit");
    return verdict && picture && !picture.hidden && document.querySelector(".cover").hidden;
}"""
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def address_of(demo: subprocess.Popen[str]) -> str:
    """Where the demo says that it is."""
    assert demo.stdout is not None  # noqa: S101 - it was asked for
    for line in demo.stdout:
        if found := _ADDRESS.search(line):
            return found[0]
    sys.exit("the demo ended before it said where it is")


def taken(url: str, scheme: str) -> bytes:
    """The page as a browser shows it, PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(url)
        time.sleep(UNITS_BEFORE_S)
        page.wait_for_function(READY, timeout=WAIT_MS)
        picture = page.screenshot()
        browser.close()
    return picture


def small(picture: bytes) -> bytes:
    """The same, with fewer pixels and fewer shades: the camera's noise makes PNGs large."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        sys.exit("the browser gave no picture")
    height = round(image.shape[0] * WIDTH_PX / image.shape[1])
    image = cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    for step in (4, 8, 16):
        shades = ((image.astype(np.uint16) + step // 2) // step * step).clip(0, 255)
        _, png = cv2.imencode(".png", shades.astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
        if len(png) <= MAX_BYTES:
            break
    return png.tobytes()


def main() -> None:
    """Run the demo and take the picture."""
    scheme = sys.argv[1] if len(sys.argv) > 1 else "dark"
    command = [sys.executable, "-m", "inspector", "demo", "--seconds", "0", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            TARGET.write_bytes(small(taken(address_of(demo), scheme)))
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate()
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
