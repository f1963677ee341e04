"""Recorded lines and product runs, whose light flickers and drifts: no picture is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.capture.optics import OpticsLimits, measure, refusal
from inspector.core.records import Rect
from inspector.settings.unit_sections import OpticsSettings

VIDEOS = (
    "line/amber", "line/dark_slow", "line/green_harsh",
    "runs/amber_one", "runs/green_two", "runs/hard_two",
)  # fmt: skip
DEFAULT = OpticsSettings()
LIMITS = OpticsLimits(blur_px=DEFAULT.blur_px, clipped=DEFAULT.clipped)


@pytest.mark.parametrize("name", VIDEOS)
def test_pictures_are_refused_only_where_they_are_blurred_or_burnt_out(
    shared: Path, name: str
) -> None:
    video = shared / "data" / f"{name}.mp4"
    if not video.exists():
        pytest.skip("the videos are not beside this checkout")
    boards = json.loads(video.with_suffix(".json").read_text())["boards"]
    wanted = {(b["frame_fully_in"] + b["frame_starts_leaving"]) // 2 for b in boards}
    footage, seen = cv2.VideoCapture(str(video)), 0
    for number in range(max(wanted) + 1):
        assert footage.grab()
        if number not in wanted:
            continue
        picture = np.asarray(footage.retrieve()[1], np.uint8)
        blurred = np.asarray(cv2.GaussianBlur(picture, (0, 0), 6), np.uint8)
        whole = Rect(0, 0, picture.shape[1], picture.shape[0])
        assert refusal(measure(picture, whole), LIMITS) is None
        assert refusal(measure(blurred, whole), LIMITS) is not None
        seen += 1
    footage.release()
    assert seen == len(wanted)
