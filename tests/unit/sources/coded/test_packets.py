"""A whole stream, handed to a decoder packet by packet, is not taken for a damaged one."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from inspector.sources.coded.packets import packet_of


@pytest.mark.parametrize("seed", range(8))
def test_no_picture_of_a_whole_mpeg_4_stream_is_marked_as_corrupt(seed: int) -> None:
    random = np.random.default_rng(seed)
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 192, 128, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(10), Fraction(1, 10)
    scene = np.kron(random.integers(0, 255, (8, 75, 3), np.uint8), np.ones((16, 8, 1), np.uint8))
    payloads = []
    for number in range(30):
        picture = np.ascontiguousarray(scene[:, 4 * number : 4 * number + 192])
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    decoder = av.CodecContext.create("mpeg4", "r")
    decoder.extradata = encoder.extradata
    pictures = [picture for payload in payloads for picture in decoder.decode(packet_of(payload))]
    assert len(pictures) >= 29
    assert [picture.pts for picture in pictures if picture.is_corrupt] == []


def test_a_packet_holds_the_bytes_it_was_made_of() -> None:
    assert bytes(packet_of(b"\x00\x01\x02")) == b"\x00\x01\x02"
