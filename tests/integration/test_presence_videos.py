"""Presence on the recorded lines, against the truth that lies beside them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.core.records import CameraId, Frame, FrameRef, UnitClosed, UnitOpened
from inspector.flow.frame_pool import FramePool
from inspector.settings.sections import CameraSettings
from inspector.settings.types import Size
from inspector.sources.files.uri import FileUri
from inspector.sources.files.video import Video
from inspector.sources.registry import parse_source
from inspector.triggers.presence.trigger import PresenceTrigger
from inspector.triggers.presence.units import FRAMES_HELD
from tests.kit import jobs

VIDEOS = Path(__file__).parents[2] / "../shared/data/line"
SIZE = Size(1280, 720)
FRAME_NS = 33_333_333
CAMERA = CameraId("line")


def frames(video: Path, pool: FramePool) -> Iterator[Frame]:
    uri = parse_source(f"file:{video}")
    assert isinstance(uri, FileUri)
    footage = Video(uri, SIZE)
    sequence = 0
    while footage.advance():
        lease = pool.lease()
        assert lease is not None, "more frames are held than promised"
        footage.retrieve_into(lease.image)
        ref = FrameRef(
            camera_id=CAMERA,
            sequence=sequence,
            captured_mono_ns=sequence * FRAME_NS,
            captured_unix_ns=sequence * FRAME_NS,
        )
        yield Frame(ref=ref, lease=lease)
        sequence += 1
    footage.close()


@pytest.mark.parametrize("travel", ["right", "left"])
@pytest.mark.parametrize("name", ["amber", "green_harsh", "dark_slow"])
def test_each_board_of_a_recorded_line_is_one_unit_and_its_outline_is_true(
    name: str, travel: str
) -> None:
    """All three go to the right; set wrongly, only speed and direction have to be learned."""
    if not VIDEOS.exists():
        pytest.skip("the line videos are not beside this checkout")
    truth = json.loads((VIDEOS / f"{name}.json").read_text())
    told: list[UnitOpened | UnitClosed] = []
    camera = CameraSettings.model_validate(
        {"source": "sim:", "size": str(SIZE), "trigger": "presence", "travel": travel}
    )
    idle: list[int] = []
    job = jobs.job(cameras=[CAMERA], frames_of_unit=camera.frames_of_unit)
    watch = PresenceTrigger(
        CAMERA,
        camera,
        job_now=lambda: job,
        spread_ns=800_000_000,
        tell=told.append,
        on_idle=idle.append,
    )
    chosen: dict[int, list[FrameRef]] = defaultdict(list)
    total = 0
    for frame in frames(VIDEOS / f"{name}.mp4", FramePool(buffers=FRAMES_HELD + 1, size=SIZE)):
        total += 1
        for one in watch.observe(frame):
            one.lease.release()
            assert one.ref.unit is not None
            chosen[one.ref.unit.index].append(one.ref)
    opened = [one.unit for one in told if isinstance(one, UnitOpened)]
    closed = [one for one in told if isinstance(one, UnitClosed)]
    assert [unit.index for unit in opened] == list(range(len(truth["boards"])))
    assert [one.miss for one in closed] == [None] * len(opened)
    assert sum(idle) + sum(map(len, chosen.values())) == total
    for unit, board in zip(opened, truth["boards"], strict=True):
        at = round(unit.triggered_mono_ns / FRAME_NS)
        assert -1 <= at - board["frame_fully_in"] <= 4
        assert len(chosen[unit.index]) == 3
        for ref in chosen[unit.index]:
            assert board["frame_fully_in"] <= ref.sequence <= board["frame_starts_leaving"]
            check_outline(ref, board, truth["params"])


def check_outline(ref: FrameRef, board: dict[str, Any], params: dict[str, Any]) -> None:
    outline = ref.outline
    assert outline is not None
    assert abs(outline.turn_deg - board["rotation_deg"]) < 0.1
    assert abs(outline.width_px - params["board_width"]) < 1
    assert abs(outline.height_px - params["board_height"]) < 1
    middle = board["top_px"] + params["board_height"] / 2
    assert abs(outline.centre_y_px - middle) < 1
    # The truth names frames only: the middle is known within one frame's travel.
    since = ref.sequence - board["frame_fully_in"]
    left = outline.centre_x_px - params["board_width"] / 2 - since * params["speed"]
    assert -1 <= left <= params["speed"] + 1
