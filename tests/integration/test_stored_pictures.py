"""Stored pictures are shown to the models at every start: nothing is passed before they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.kit.challenged_line import CAMERA, CODES, Shift, sections, told_triton, write_set
from tests.kit.line import Line, wait_for
from tests.kit.redis_server import RedisServer

SET = """
[[pictures]]
file = "good.png"
result = "PASSED"

[[pictures]]
file = "bad.png"
result = "FAILED"
defects = [{{ code = "mousebite", bbox_px = [50, 40, 20, 20] }}]
"""


@pytest.fixture
def shift(tmp_path: Path, redis_server: RedisServer) -> Iterator[Shift]:
    with told_triton(sees_light=True) as (url, model):
        line = Line(
            tmp_path,
            cameras={"top": CAMERA},
            triton=url,
            redis_url=redis_server.url,
            **sections(),
        )
        write_set(line.state, text=SET)
        folder = line.state / "challenges" / "gold"
        folder.mkdir()
        # As evidence shows a unit: not of the size of the camera's frames.
        picture = np.full((96, 120, 3), 90, np.uint8)
        picture[::7] = 110
        cv2.imwrite(str(folder / "good.png"), picture)
        picture[40:60, 50:70] = 255
        cv2.imwrite(str(folder / "bad.png"), picture)
        with line, contextlib.closing(redis_server.client()) as client:
            yield Shift(line, client, model)


def checks(shift: Shift) -> list[Any]:
    return [event for event in shift.challenges() if event["way"] == "pictures"]


def test_units_pass_once_the_pictures_are_seen_as_they_are_known(shift: Shift) -> None:
    shift.line.wait_ready()
    (check,) = wait_for(lambda: checks(shift), within_s=20, what="its event is published")
    assert (check["result"], check["by"]) == ("held", "service")
    assert [part["name"] for part in check["parts"]] == ["good.png", "bad.png"]
    assert shift.unit()["result"] == "PASSED"
    assert len(shift.units()) == 1, "what is stored is no unit"
    metrics = shift.line.scrape()
    assert metrics.total("inspector_locked", lock="challenge") == 0


def test_a_network_that_is_put_in_place_of_the_approved_one_passes_nothing(shift: Shift) -> None:
    shift.line.wait_ready()
    assert shift.unit()["result"] == "PASSED"
    shift.line.stop()
    shift.model.code = CODES.index("open")
    shift.line.start()
    problem = "bad.png: mousebite at 50,40 20x20 was not found"
    found = wait_for(lambda: checks(shift)[1:], within_s=30, what="they are shown again")
    assert (found[0]["result"], found[0]["problem"]) == ("failed", problem)
    assert [part["result"] for part in found[0]["parts"]] == ["as_expected", "differs"]
    status = wait_for(
        lambda: (s := shift.get("/api/status"))["locks"] and s, within_s=10, what="a lock"
    )
    assert problem in status["locks"][0]["reason"]
    assert shift.line.get("/readyz")[0] == 503
    unit = shift.unit()
    assert (unit["result"], unit["reason"]) == ("NOT_INSPECTED", "locked")
    shift.line.kill()
    shift.model.code = CODES.index("mousebite")
    shift.line.start()
    shift.line.wait_ready()
    assert shift.unit()["result"] == "PASSED"
