from __future__ import annotations

import time
from threading import Event

import numpy as np
import pytest

from inspector.bench.memory import MemoryCamera, board_picture
from inspector.core.errors import EndOfFootageError
from inspector.settings.types import Size


def camera(**more) -> MemoryCamera:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    return MemoryCamera(picture, **({"frames": 3, "rate_hz": None, "stop": Event()} | more))


def test_a_camera_in_memory_ends_after_its_frames() -> None:
    source = camera()
    source.open()
    for _ in range(3):
        source.grab()
    with pytest.raises(EndOfFootageError):
        source.grab()


def test_a_frame_that_is_read_late_was_captured_when_it_was_due() -> None:
    source = camera(rate_hz=1000.0)
    source.open()
    Event().wait(0.05)  # the reader is busy
    first, second = source.grab(), source.grab()
    assert second.captured_mono_ns - first.captured_mono_ns == 1_000_000


def test_a_frame_is_captured_when_the_wait_for_it_ends() -> None:
    source = camera(rate_hz=20.0, phase_s=0.02)
    before_ns = time.monotonic_ns()
    source.open()
    first = source.grab()
    assert before_ns + 20_000_000 <= first.captured_mono_ns <= time.monotonic_ns()


def test_each_buffer_gets_the_picture_once() -> None:
    source = camera()
    source.open()
    buffers = np.zeros((2, 4, 6, 3), np.uint8)
    for index in (0, 1):
        source.retrieve_into(buffers[index])
        assert buffers[index].any()
    buffers[:] = 0
    source.retrieve_into(buffers[1])
    assert not buffers.any()


def test_the_picture_is_a_board_of_the_size_asked_for() -> None:
    for size in (Size(1280, 720), Size(640, 512)):
        picture = board_picture(size)
        assert picture.shape == (size.height_px, size.width_px, 3)
        assert picture.std() > 20
