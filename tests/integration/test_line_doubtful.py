"""A line whose pictures let presence miss units: everybody who tells of faults tells it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import cv2
import numpy as np

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import Line, needs_redis, wait_for
from tests.kit.line_events import assert_gapless, entries
from tests.kit.redis_server import RedisServer

WIDTH, HEIGHT = 640, 160
FLICKERING, STEADY = 80, 220
TAKEN_OFF = 40
"""So many pictures before the end, a board that came in is gone again."""
DOUBTFUL = "inspector_units_doubtful_total"


def draw(folder: Path) -> None:
    """Lamps flicker, then they are steady and a board is taken off while it comes in."""
    folder.mkdir()
    rng = np.random.default_rng(4)
    rows = np.arange(HEIGHT)
    for number in range(FLICKERING + STEADY):
        view = np.full((HEIGHT, WIDTH, 3), (86, 86, 90), np.uint8)
        if number < FLICKERING:
            light = 1 + 0.1 * np.sin((rows + 7.3 * number) / 8)
            view[:] = np.clip(view * light[:, None, None], 0, 255)
        came_px = 8 * (number - (FLICKERING + STEADY - TAKEN_OFF - 16))
        if 0 < came_px < 8 * 16:
            view[16:-16, WIDTH - came_px :] = (60, 150, 50)
            view[16:-16, WIDTH - came_px :: 24] = (200, 200, 200)
        noise = rng.normal(0, 1.5, view.shape).astype(np.int8)
        noisy = cv2.add(view, noise, dtype=cv2.CV_8U)
        cv2.imwrite(str(folder / f"{number:03d}.png"), noisy)


@needs_redis
def test_pictures_that_are_doubtful_are_a_fault_while_they_are(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    draw(tmp_path / "belt")
    camera = {
        "source": f"file:{tmp_path}/belt?fps=40&loop=1",
        "size": f"{WIDTH}x{HEIGHT}",
        "trigger": "presence",
        "travel": "left",
    }
    with (
        Line(
            tmp_path, cameras={"top": camera}, triton=triton.grpc_url, redis_url=redis_server.url
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):

        def stands() -> float:
            return line.scrape().total("inspector_fault", fault="optics", subject="top")

        line.wait_ready()
        wait_for(lambda: stands() == 1, within_s=60, what="the fault optics")
        status = json.loads(line.get("/api/status")[1])
        assert line.get("/readyz")[0] == 200, "units are inspected all the same"
        [fault] = [one for one in status["faults"] if one["kind"] == "optics"]
        assert fault["subject"] == "top"
        assert "light of the rows" in fault["cause"]

        wait_for(lambda: stands() == 0, within_s=60, what="the fault is over")
        wait_for(
            lambda: line.scrape().total(DOUBTFUL, camera="top", doubt="vanished") >= 1,
            within_s=60,
            what="the board that was taken off is counted",
        )
        line.stop()
        health = entries(client, "health")
        assert_gapless(health)
        told = [(e.event["fault"], e.event["subject"], e.event["state"]) for e in health]
        assert told[:2] == [("optics", "top", "raised"), ("optics", "top", "cleared")]
        assert "light of the rows" in health[0].event["cause"]
