"""A frame or a unit that lacks what it is judged by is a bug, and says which one it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.core.places import WHOLE_UNIT, Box
from inspector.core.records import CameraId, Finding, FrameRef, ModelInput, TriggerKind, UnitRef
from tests.kit import jobs

UNIT = UnitRef(
    camera_id=CameraId("top"),
    index=4,
    kind=TriggerKind.EVERY_FRAME,
    triggered_mono_ns=0,
    triggered_unix_ns=0,
)
FRAME = FrameRef(camera_id=CameraId("top"), sequence=7, captured_mono_ns=0, captured_unix_ns=0)


def test_a_frame_is_judged_by_the_job_of_its_unit() -> None:
    job = jobs.job()
    assert replace(FRAME, unit=replace(UNIT, job=job)).under is job


def test_a_frame_without_a_unit_and_a_unit_without_a_job_are_named() -> None:
    with pytest.raises(RuntimeError, match="frame 7 of top belongs to no unit"):
        _ = FRAME.under
    with pytest.raises(RuntimeError, match="unit 4 of top was opened without a job"):
        _ = replace(FRAME, unit=UNIT).under


@pytest.mark.parametrize(("channels_first", "shape"), [(True, (3, 4, 8)), (False, (4, 8, 3))])
def test_an_input_has_its_channels_where_the_model_wants_them(
    *, channels_first: bool, shape: tuple[int, int, int]
) -> None:
    wide = ModelInput(
        name="images",
        width_px=8,
        height_px=4,
        channels_first=channels_first,
        dtype="FP32",
        rgb=True,
    )
    assert wide.shape == shape
    assert not wide.takes_reference
    assert replace(wide, channels=2).takes_reference


def test_a_finding_about_the_whole_unit_has_no_box() -> None:
    box = Box(left_px=1.0, top_px=2.0, right_px=3.0, bottom_px=4.0)
    assert Finding(code_index=0, confidence=0.9, place=box).box == box
    assert Finding(code_index=0, confidence=0.9, place=WHOLE_UNIT).box is None
