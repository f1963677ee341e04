"""Numbers and units as video streams write them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspector.sources.coded.bits import (
    BitReader,
    nal_units,
    sei_messages,
    unescaped,
    whole_order,
)
from inspector.sources.coded.codecs import reader_of


def exp_golomb(number: int) -> str:
    binary = f"{number + 1:b}"
    return "0" * (len(binary) - 1) + binary


@given(st.lists(st.integers(0, 2**31 - 2), max_size=20))
def test_numbers_are_read_as_the_standard_writes_them(numbers: list[int]) -> None:
    text = "".join(map(exp_golomb, numbers)) + "1"
    text += "0" * (-len(text) % 8)
    bits = BitReader(int(text, 2).to_bytes(len(text) // 8))
    assert [bits.ue() for _ in numbers] == numbers


@pytest.mark.parametrize(("code", "number"), [(0, 0), (1, 1), (2, -1), (3, 2), (4, -2)])
def test_signed_numbers_alternate(code: int, number: int) -> None:
    text = exp_golomb(code)
    bits = BitReader(int(text + "0" * (-len(text) % 8), 2).to_bytes(1))
    assert bits.se() == number


def test_the_end_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(EOFError):
        BitReader(b"\x00").ue()


def test_units_are_found_with_start_codes_and_with_lengths() -> None:
    units = [b"\x67\x42\x01", b"\x68\xce", b"\x65" + bytes(range(1, 200))]
    started = b"\x00" + b"".join(b"\x00\x00\x01" + unit for unit in units)
    assert list(nal_units(started, 0)) == units
    assert list(nal_units(started, 4)) == units, "lengths were promised, start codes came"
    measured = b"".join(len(unit).to_bytes(4) + unit for unit in units)
    assert list(nal_units(measured, 4)) == units
    long = b"\x41" * 300  # its length reads like a start code
    assert list(nal_units(len(long).to_bytes(4) + long, 4)) == [long]
    assert unescaped(b"\x01\x00\x00\x03\x01") == b"\x01\x00\x00\x01"


@given(
    st.sampled_from(["h264", "hevc", "mpeg4", "mjpeg", "vp8"]), st.lists(st.binary(), max_size=5)
)
def test_no_bytes_whatever_stop_a_reader(codec: str, packets: list[bytes]) -> None:
    reader = reader_of(codec, packets[0] if packets else None)
    for packet in packets:
        reader.read(packet, is_key=False)


@given(
    st.sampled_from(["h264", "hevc"]),
    st.lists(
        st.tuples(st.sampled_from([1, 5, 6, 7, 8, 33, 34, 39, 42]), st.binary(max_size=60)),
        max_size=8,
    ),
)
def test_no_units_whatever_stop_a_reader(codec: str, units: list[tuple[int, bytes]]) -> None:
    reader = reader_of(codec, None)
    for kind, payload in units:
        header = bytes([kind << 1 & 0x7F, 1]) if codec == "hevc" else bytes([0x60 | kind & 31])
        reader.read(b"\x00\x00\x01" + header + payload, is_key=False)


@given(st.sampled_from(["h264", "hevc"]), st.binary(max_size=60))
@example("h264", b"\x64\x00\x1f")
@example("h264", b"\x64\x00\x1f\xff\xe1\x00\x00")
@example("hevc", bytes(21) + b"\x01\x21\x00\x01\x00\x00")
def test_no_configuration_whatever_stops_a_reader(codec: str, content: bytes) -> None:
    """Of a container whose parameter sets broke off, are empty, or are none."""
    told = reader_of(codec, b"\x01" + content).read(b"", is_key=True)
    assert told is None, "without a picture there is nothing to tell of"


def sei(kind: int, content: bytes) -> bytes:
    def number(value: int) -> bytes:
        return b"\xff" * (value // 255) + bytes([value % 255])

    return number(kind) + number(len(content)) + content


@given(st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=700)), max_size=4))
def test_messages_of_any_type_and_length_are_told_apart(
    messages: list[tuple[int, bytes]],
) -> None:
    payload = b"".join(sei(kind, content) for kind, content in messages) + b"\x80"
    assert list(sei_messages(payload)) == messages


def test_a_message_that_breaks_off_is_the_last() -> None:
    whole = sei(6, b"\x88")
    assert list(sei_messages(whole + b"\xff\xff\xff")) == [(6, b"\x88")]
    assert list(sei_messages(whole + sei(5, b"user data")[:-4]))[1] == (5, b"user ")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_recovery_point_is_found_behind_a_long_message(codec: str) -> None:
    """Encoders write their settings in front of it: hundreds of bytes."""
    reader = reader_of(codec, None)
    header = b"\x06" if codec == "h264" else b"\x4e\x01"
    unit = header + sei(5, b"x" * 700) + sei(6, b"\x84") + b"\x80"
    reader.read(b"\x00\x00\x01" + unit, is_key=False)
    assert reader._recovery_after is not None  # type: ignore[attr-defined]


@given(st.integers(-(2**20), 2**20), st.integers(4, 16), st.data())
def test_an_order_is_the_nearest_one_that_ends_so(
    before: int, bits: int, data: st.DataObject
) -> None:
    limit = 1 << bits
    step = data.draw(st.integers(-limit // 2 + 1, limit // 2))
    order = before + step
    assert whole_order(order % limit, before=before, limit=limit) in (
        {order, order - limit} if step == limit // 2 else {order}
    )
