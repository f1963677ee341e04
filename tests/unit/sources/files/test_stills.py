import struct
import zlib

import cv2
import numpy as np
import pytest

from inspector.core.errors import FrameUnreadableError
from inspector.sources.files.stills import decode_still


def picture(seed=1):
    noise = np.random.default_rng(seed).integers(0, 50, (240, 320, 3)).astype(np.uint8)
    cv2.putText(noise, str(seed), (40, 160), cv2.FONT_HERSHEY_SIMPLEX, 4, (250, 250, 250), 5)
    return noise


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("end", [".png", ".bmp", ".tif", ".jpg", ".webp"])
def test_a_file_that_is_cut_off_is_no_picture(end, share):
    content = cv2.imencode(end, picture())[1].tobytes()
    decode_still(content)
    with pytest.raises(FrameUnreadableError):
        decode_still(content[: int(len(content) * share)])
    with pytest.raises(FrameUnreadableError):
        decode_still(b"")


def test_a_changed_bit_in_a_png_is_seen():
    content = bytearray(cv2.imencode(".png", picture())[1].tobytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(FrameUnreadableError):
        decode_still(bytes(content))


def test_an_animation_is_refused_and_not_its_first_picture_taken():
    png = cv2.imencode(".png", picture())[1].tobytes()
    body = b"acTL" + struct.pack(">II", 3, 0)
    chunk = struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body))
    animation = cv2.Animation()
    animation.frames = [picture(1), picture(2)]
    animation.durations = [100, 100]
    others = [cv2.imencodeanimation(end, animation)[1].tobytes() for end in (".webp", ".gif")]
    made = [png[:33] + chunk + png[33:], *others]
    for content in made:
        with pytest.raises(FrameUnreadableError, match="animation"):
            decode_still(content)
    decode_still(cv2.imencode(".webp", picture())[1].tobytes())


def test_damaged_jpegs_with_an_end_are_no_pictures(shared):
    folder = shared / "cases/cam/jpeg-damaged-with-end"
    decode_still((folder / "1_whole.jpg").read_bytes())
    for name in (
        "2_half_then_end_marker",
        "3_half_zeros_end_marker",
        "4_half_with_restart_markers",
    ):
        with pytest.raises(FrameUnreadableError):
            decode_still((folder / f"{name}.jpg").read_bytes())
    with pytest.raises(FrameUnreadableError):
        decode_still((folder / "5_other_board_512_bytes_noise.jpg").read_bytes())
