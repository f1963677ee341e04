"""Recordings that several tests read."""

import cv2
import pytest

from tests.kit.recordings import record, still


@pytest.fixture
def video(tmp_path):
    return record(tmp_path / "line.mp4")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in (10, 9, 100, 1):
        cv2.imwrite(str(folder / f"Shot{number}.png"), still(number))
    (folder / "notes.txt").write_text("not a picture")
    return folder
