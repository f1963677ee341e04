import contextlib
import struct

import av
import numpy as np
import pytest

from inspector.core.errors import CameraUnavailableError, EndOfFootageError, FrameUnreadableError
from tests.kit.recordings import FRAMES, SIZE, source, still


def turned(path, matrix):
    """The same MP4 with another display matrix in its video track's header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", content, at, *(value << 16 for value in matrix[:8]), 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((0, 1, 0, -1, 0, 0, 0, 0), lambda stored: np.rot90(stored, -1)),
        ((-1, 0, 0, 0, -1, 0, 0, 0), lambda stored: np.rot90(stored, 2)),
        ((0, -1, 0, 1, 0, 0, 0, 0), lambda stored: np.rot90(stored, 1)),
        ((-1, 0, 0, 0, 1, 0, 0, 0), lambda stored: stored[:, ::-1]),
        ((1, 0, 0, 0, -1, 0, 0, 0), lambda stored: stored[::-1]),
        ((0, 1, 0, 1, 0, 0, 0, 0), lambda stored: stored.transpose(1, 0, 2)),
    ],
    ids=["90", "180", "270", "mirrored", "upside down in a mirror", "transposed"],
)
def test_a_video_is_shown_as_it_says(video, matrix, shown):
    def first(footage):
        footage.open()
        footage.grab()
        image = np.zeros((footage.size[1], footage.size[0], 3), np.uint8)
        footage.retrieve_into(image)
        notes = footage.notes
        footage.close()
        return image, notes

    stored, said = first(source(video, size=None))
    assert said == ()
    image, said = first(source(turned(video, matrix), size=None))
    assert np.array_equal(image, shown(stored))
    [note] = said
    a, b, _, c, d, *_ = matrix
    assert ("mirror" in note) == (a * d - b * c < 0)


def test_a_video_shown_slanted_is_refused(video):
    with pytest.raises(CameraUnavailableError, match="slanted or stretched"):
        source(turned(video, (1, 1, 0, 0, 1, 0, 0, 0))).open()


def test_a_portrait_video_whose_first_picture_is_torn_is_shown_upright(video):
    with av.open(str(video)) as container:
        first = next(container.demux(video=0))
        assert first.pos is not None
        torn = slice(first.pos + 20, first.pos + first.size)
    turned(video, (0, 1, 0, -1, 0, 0, 0, 0))
    content = bytearray(video.read_bytes())
    content[torn] = bytes(torn.stop - torn.start)
    video.write_bytes(content)
    footage = source(video, size=(SIZE[1], SIZE[0]))
    footage.open()
    assert footage.size == (SIZE[1], SIZE[0])
    image = np.zeros((SIZE[0], SIZE[1], 3), np.uint8)
    readable = []
    with contextlib.suppress(EndOfFootageError):
        for number in range(FRAMES + 10):
            footage.grab()
            with contextlib.suppress(FrameUnreadableError):
                footage.retrieve_into(image)
                readable.append(number)
    footage.close()
    assert readable == list(range(5, FRAMES)), "what is drawn from a torn key frame is torn"
    shown = np.rot90(still(FRAMES - 1), -1)
    assert np.abs(image.astype(int) - shown).mean() < 12


def test_the_size_of_a_turned_video_is_that_shown(shared):
    path = shared / "cases/cam/video-rotation/rp_90.mp4"
    footage = source(path, size=(1280, 360))
    footage.open()
    assert footage.size == (1280, 360)
    footage.close()
    with pytest.raises(CameraUnavailableError, match="1280x360 pixels, expected 360x1280"):
        source(path, size=(360, 1280)).open()
