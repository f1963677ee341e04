"""What several frames together say about a unit's serial."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.serials.agreement import Code, Reading, SerialQuality, agree

A = (Code("PCB-1", "DataMatrix"),)
B = (Code("PCB-2", "DataMatrix"),)
URL = Code("maker.example/board", "QRCode")


@pytest.mark.parametrize(
    ("looks", "text", "quality", "frames_read"),
    [
        ([A, A, A], "PCB-1", SerialQuality.GOOD, 3),
        ([A, (), A], "PCB-1", SerialQuality.PARTIAL, 2),
        ([None, A, None], "PCB-1", SerialQuality.PARTIAL, 1),
        ([A, B, A], None, SerialQuality.CONFLICT, 0),
        ([A + B], None, SerialQuality.CONFLICT, 0),
        ([(), (), ()], None, SerialQuality.UNREADABLE, 0),
        ([(), None], None, SerialQuality.LATE, 0),
        ([], None, SerialQuality.NOT_LOOKED, 0),
    ],
)
def test_frames_agree_or_no_serial_is_claimed(
    looks: list[Reading], text: str | None, quality: SerialQuality, frames_read: int
) -> None:
    serial = agree(looks, "")
    assert (serial.text, serial.quality, serial.frames_read) == (text, quality, frames_read)
    assert serial.frames == len(looks)
    assert (serial.format == "DataMatrix") == (text is not None)


def test_the_pattern_tells_the_serial_from_other_codes_on_the_unit() -> None:
    serial = agree([(URL, *A), (URL,)], r"PCB-\d+")
    assert (serial.text, serial.quality) == ("PCB-1", SerialQuality.PARTIAL)


def test_the_whole_text_must_match_the_pattern() -> None:
    serial = agree([(Code("PCB-1; DROP", "QRCode"),)], r"PCB-\d+")
    assert (serial.text, serial.quality) == (None, SerialQuality.PATTERN_MISMATCH)
    assert "PCB-1; DROP" in serial.detail
    assert r"PCB-\\d+" in serial.detail


def test_one_serial_in_two_codes_is_one_serial() -> None:
    serial = agree([(*A, Code("PCB-1", "QRCode"))], "")
    assert (serial.text, serial.quality) == ("PCB-1", SerialQuality.GOOD)


texts = st.sampled_from(["PCB-1", "PCB-2", "other"])
codes = st.builds(Code, texts, st.sampled_from(["DataMatrix", "QRCode"]))
looks_of_a_unit = st.lists(st.none() | st.lists(codes, max_size=3).map(tuple), max_size=5)


@given(looks_of_a_unit, st.sampled_from(["", r"PCB-\d+"]))
def test_a_claimed_serial_was_read_and_no_other_was(looks: list[Reading], pattern: str) -> None:
    serial = agree(looks, pattern)
    read = {code.text for look in looks for code in look or ()}
    candidates = {text for text in read if not pattern or text.startswith("PCB-")}
    assert ({serial.text} if serial.text else set()) == (
        candidates if len(candidates) == 1 else set()
    )
    claimed = serial.quality in (SerialQuality.GOOD, SerialQuality.PARTIAL)
    assert claimed == (serial.text is not None)
