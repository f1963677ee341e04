"""What follows a damaged picture is drawn on top of it, and shows what was not there."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.error import FFmpegError
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.sources.coded.damage import Damage
from inspector.sources.coded.packets import packet_of

KEY_EVERY, PICTURES, VICTIM = 10, 30, 4


@pytest.fixture(scope="module")
def sent() -> tuple[list[np.ndarray], list[bytes]]:
    """A scene that moves, and the packets of it."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 640, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    scene = cv2.normalize(smooth, smooth.copy(), 0, 255, cv2.NORM_MINMAX)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(10), Fraction(1, 10)
    keys = f"keyint={KEY_EVERY}:scenecut=0"
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", "x264-params": keys}
    moving: NDArray[np.uint8] = scene.astype(np.uint8)
    pictures = [np.ascontiguousarray(moving[:, 3 * n : 3 * n + 320]) for n in range(PICTURES)]
    packets = [
        bytes(packet)
        for picture in pictures
        for packet in encoder.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
    ]
    assert len(packets) == PICTURES
    return pictures, packets


def decoded(packets: list[bytes]) -> Iterator[av.VideoFrame | None]:
    decoder = av.CodecContext.create("h264", "r")
    for packet in packets:
        try:
            frames = decoder.decode(packet_of(packet))
        except FFmpegError:
            frames = []
        yield frames[0] if frames else None


@pytest.mark.parametrize("left_of_it", [0.5, 0.02])
def test_no_picture_is_believed_that_shows_what_was_not_sent(sent, left_of_it: float) -> None:
    pictures, packets = sent
    broken = list(packets)
    broken[VICTIM] = broken[VICTIM][: round(left_of_it * len(broken[VICTIM]))]
    damage, believed, off = Damage(), [], []
    for number, frame in enumerate(decoded(broken)):
        if frame is not None:
            shown = frame.to_ndarray(format="rgb24").astype(int)
            off.append((number, float(abs(shown - pictures[number].astype(int)).mean())))
        if damage.is_whole(frame):
            believed.append(number)
    assert believed == [*range(VICTIM), *range(KEY_EVERY, PICTURES)]
    wrong = {number for number, difference in off if difference > 2 * off[0][1]}
    assert wrong >= set(range(VICTIM + 1, KEY_EVERY)), "the decoder hides the damage of one only"


class Picture:
    def __init__(self, *, corrupt: bool = False, key: bool = False) -> None:
        self.is_corrupt, self.key_frame = corrupt, key


def test_a_stream_that_refreshes_itself_without_key_frames_is_read_once_it_is_whole() -> None:
    damage = Damage()
    assert not damage.is_whole(None)
    assert not damage.is_whole(Picture(corrupt=True))
    assert damage.is_whole(Picture())
    assert damage.is_whole(Picture())
    assert not damage.is_whole(Picture(corrupt=True))
    assert not damage.is_whole(Picture()), "a new connection heals it: the reader asks for one"
    assert damage.is_whole(Picture(key=True))
    assert damage.is_whole(Picture())


streams = st.lists(
    st.none() | st.builds(Picture, corrupt=st.booleans(), key=st.booleans()), max_size=40
)
"""One connection; None where a picture could not be decoded."""


@given(streams)
def test_only_what_is_drawn_on_believed_pictures_is_believed(
    pictures: list[Picture | None],
) -> None:
    damage, believed = Damage(), [True]
    for picture in pictures:
        on_solid_ground = believed[-1] or True not in believed[1:]
        believed.append(damage.is_whole(picture))
        if picture is None or picture.is_corrupt:
            assert not believed[-1], "parts of it are guessed"
        else:
            assert believed[-1] == (picture.key_frame or on_solid_ground)
