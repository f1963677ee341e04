"""What unreadable frames of a camera lead to."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.records import Grabbed, Image
from inspector.sources.unreadable import (
    FIRST_FRAMES,
    UNREADABLE_LIMIT,
    UnreadableFrames,
    require_whole_frame,
)


def read(frames: UnreadableFrames, *, is_whole: bool) -> None:
    with frames.counted():
        if not is_whole:
            raise FrameUnreadableError("a frame is not whole")


def damage(frames: UnreadableFrames, many: int) -> None:
    for _ in range(many):
        with pytest.raises(FrameUnreadableError, match=r"^v4l2:/dev/video0: a frame is not whole$"):
            read(frames, is_whole=False)


def test_a_camera_is_given_up_after_that_many_unreadable_frames_in_a_row() -> None:
    frames = UnreadableFrames("v4l2:/dev/video0", advice="use a shorter cable")
    damage(frames, UNREADABLE_LIMIT - 1)
    with pytest.raises(CameraUnavailableError) as caught:
        read(frames, is_whole=False)
    assert str(caught.value) == (
        "v4l2:/dev/video0: a frame is not whole; 30 such frames in a row: use a shorter cable"
    )


def test_a_whole_frame_and_a_new_connection_begin_the_count_anew() -> None:
    frames = UnreadableFrames("v4l2:/dev/video0")
    damage(frames, UNREADABLE_LIMIT - 1)
    read(frames, is_whole=True)
    damage(frames, UNREADABLE_LIMIT - 1)
    frames.reset()
    damage(frames, UNREADABLE_LIMIT - 1)


class Starting:
    """A camera whose frames are whole or not, in this order."""

    def __init__(self, whole: Iterable[bool]) -> None:
        self._whole = iter(whole)
        self._is_whole = False
        self.grabbed = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def grab(self) -> Grabbed:
        self._is_whole = next(self._whole)
        self.grabbed += 1
        return Grabbed(captured_mono_ns=0, captured_unix_ns=0)

    def retrieve_into(self, image: Image) -> None:
        assert image.shape == (4, 6, 3)
        if not self._is_whole:
            raise FrameUnreadableError("camera: half a frame")


def test_a_camera_may_begin_with_frames_that_are_not_whole() -> None:
    camera = Starting([False] * (FIRST_FRAMES - 1) + [True, False])
    require_whole_frame(camera, (6, 4))
    assert camera.grabbed == FIRST_FRAMES


def test_a_camera_without_a_whole_frame_does_not_open() -> None:
    with pytest.raises(CameraUnavailableError) as caught:
        require_whole_frame(Starting([False] * FIRST_FRAMES), (6, 4), advice="use a shorter cable")
    assert str(caught.value) == (
        "camera: half a frame; none of its first 10 frames is whole: use a shorter cable"
    )
