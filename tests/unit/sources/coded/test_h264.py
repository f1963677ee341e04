"""What no encoder here writes: fields, numbers with allowed gaps, numbering begun anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inspector.core.errors import FrameUnreadableError
from inspector.sources.coded.h264 import H264Pictures
from inspector.sources.coded.picture_order import Coded, Start
from inspector.sources.files.uri import FileUri
from inspector.sources.files.video import Video
from inspector.sources.registry import parse_source

I_SLICE, P_SLICE = 7, 5


def ue(number: int) -> str:
    binary = f"{number + 1:b}"
    return "0" * (len(binary) - 1) + binary


def unit(header: int, *fields: str) -> bytes:
    bits = "".join(fields) + "1"
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8)
    for last in range(4):
        payload = payload.replace(b"\x00\x00" + bytes([last]), b"\x00\x00\x03" + bytes([last]))
    return b"\x00\x00\x01" + bytes([header]) + payload


def settings(*, gaps: bool = False, frames_only: bool = False) -> bytes:
    baseline = f"{66:08b}{0:08b}{30:08b}"
    numbers = ue(0) + ue(0) + ue(0) + ue(2)  # id; 4 bits of frame_num; order type 0 of 6 bits
    shape = ue(2) + str(int(gaps)) + ue(9) + ue(9) + str(int(frames_only))
    sequence = unit(0x67, baseline, numbers, shape, "00000")
    picture = unit(0x68, ue(0), ue(0), "00", ue(0), ue(0), ue(0), "000", ue(0), ue(0), ue(0), "000")
    return sequence + picture


def coded(
    reader: H264Pictures,
    frame_num: int,
    *,
    field: str = "",
    key: bool = False,
    order: int = 0,
    reference: bool = True,
    resets: bool = False,
    fields_possible: bool = True,
) -> Coded | None:
    """`field`: top or bottom; else a frame."""
    kind = I_SLICE if key else P_SLICE
    bits = ue(0) + ue(kind) + ue(0) + f"{frame_num:04b}"
    if fields_possible:
        bits += {"": "0", "top": "10", "bottom": "11"}[field]
    bits += ue(0) if key else ""
    bits += f"{order % 64:06b}"
    if not key:
        bits += "0" + "0"  # as many references as usual, in the usual order
        bits += ("1" + ue(5) + ue(0) if resets else "0") if reference else ""
    header = (0x60 if reference else 0) | (5 if key else 1)
    return reader.read(unit(header, bits, "1010"), is_key=key)


def test_two_fields_are_one_picture() -> None:
    reader = H264Pictures(settings())
    first = coded(reader, 0, field="top", key=True)
    assert first is not None
    assert first.start is Start.CLEAN
    assert coded(reader, 0, field="bottom", order=1) is None
    for number in (1, 2, 3):
        picture = coded(reader, number, field="top", order=2 * number)
        assert picture is not None
        assert picture.gap == ""
        assert coded(reader, number, field="bottom", order=2 * number + 1) is None


def test_a_field_that_never_came_is_a_gap() -> None:
    reader = H264Pictures(settings())
    coded(reader, 0, field="top", key=True)
    coded(reader, 0, field="bottom", order=1)
    coded(reader, 1, field="top", order=2)
    picture = coded(reader, 2, field="top", order=4)
    assert picture is not None
    assert picture.gap == "a field is missing"


def test_a_gap_that_the_stream_allows_is_none_and_proves_nothing() -> None:
    reader = H264Pictures(settings(gaps=True))
    coded(reader, 0, key=True)
    picture = coded(reader, 2, order=4)
    assert picture is not None
    assert picture.gap == ""
    assert not picture.is_numbered
    strict = H264Pictures(settings())
    coded(strict, 0, key=True)
    picture = coded(strict, 2, order=4)
    assert picture is not None
    assert picture.gap == "frame_num 2 came after 0"


def test_numbers_wrap_and_begin_anew() -> None:
    reader = H264Pictures(settings(frames_only=True))
    orders = []
    coded(reader, 0, key=True, fields_possible=False)
    for number in range(1, 40):
        picture = coded(reader, number % 16, order=2 * number, fields_possible=False)
        assert picture is not None
        assert picture.gap == ""
        orders.append(picture.order)
    assert orders == list(range(2, 80, 2))
    coded(reader, 40 % 16, order=80, resets=True, fields_possible=False)
    picture = coded(reader, 1, order=2, fields_possible=False)
    assert picture is not None
    assert picture.gap == ""


def test_what_nothing_is_drawn_from_does_not_count() -> None:
    reader = H264Pictures(settings(frames_only=True))
    coded(reader, 0, key=True, fields_possible=False)
    for number in range(1, 10):
        for order, reference in ((2, False), (4, True)):
            place = 4 * (number - 1) + order
            picture = coded(reader, number, order=place, reference=reference, fields_possible=False)
            assert picture is not None
            assert picture.gap == ""


@pytest.mark.parametrize(("name", "readable"), [("whole", range(40)), ("lost_one", range(10))])
def test_the_case_of_the_lost_picture(shared: Path, name: str, readable: range) -> None:
    uri = parse_source(f"file:{shared / 'cases/cam/rtp-lost-picture-h264' / name}.h264")
    assert isinstance(uri, FileUri)
    if not uri.path.exists():
        pytest.skip("the case is not there")
    video, seen, total = Video(uri, None), [], 0
    image = np.empty((*reversed(video.size), 3), np.uint8)
    while video.advance():
        try:
            video.retrieve_into(image)
        except FrameUnreadableError:
            pass
        else:
            seen.append(total)
        total += 1
    video.close()
    assert total == 40, "the picture that never came is owed"
    assert seen == list(readable)
