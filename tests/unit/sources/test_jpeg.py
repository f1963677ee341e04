"""A JPEG is a whole picture or none: what was left out or damaged is drawn by no decoder."""

import contextlib
import random
import re

import cv2
import numpy as np
import pytest

from inspector.core.errors import FrameUnreadableError
from inspector.sources.jpeg import check_jpeg, decode_jpeg, read_header

SIZE = (320, 240)
END = b"\xff\xd9"
OTHER_SAMPLING = {"4:4:4": 0x111111, "4:2:2": 0x211111, "4:4:0": 0x121111, "4:1:1": 0x411111}


def scene(size=SIZE, seed=1):
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    canvas = noise.astype(np.uint8)
    cv2.putText(canvas, "board", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 2, (200, 220, 255), 3)
    return canvas


def encoded(picture, *options, end=".jpg"):
    return cv2.imencode(end, picture, list(options))[1].tobytes()


def with_exif(jpeg, orientation):
    tiff = (
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes((orientation, 0, 0, 0)) + bytes(4)
    )
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]


def without_tables(jpeg):
    """As webcams send it: without the Huffman tables, which are those of the standard."""
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        behind = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += b"" if jpeg[at + 1] == 0xC4 else jpeg[at:behind]
        at = behind
    return kept + jpeg[at:]


PICTURE = scene()
WHOLE = encoded(PICTURE)
RESTARTING = encoded(PICTURE, cv2.IMWRITE_JPEG_RST_INTERVAL, 20)
PROGRESSIVE = encoded(PICTURE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
DATA = read_header(WHOLE).scans[0]
THUMBNAIL = encoded(scene((80, 60)))

GOOD = {
    "4:2:0": WHOLE,
    **{
        name: encoded(PICTURE, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor)
        for name, factor in OTHER_SAMPLING.items()
    },
    "grey": encoded(PICTURE[:, :, 0]),
    "progressive": PROGRESSIVE,
    "optimised": encoded(PICTURE, cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "best quality": encoded(PICTURE, cv2.IMWRITE_JPEG_QUALITY, 100),
    "with restart markers": RESTARTING,
    "odd size": encoded(PICTURE[:239, :319]),
    "a webcam's, without tables": without_tables(WHOLE),
    "with zeros behind its end": WHOLE + bytes(5000),
    "with anything behind its end": WHOLE + random.Random(1).randbytes(900),
    "with a second picture behind it": WHOLE + THUMBNAIL,
    "with a thumbnail in a segment": (
        WHOLE[:2] + b"\xff\xe2" + (len(THUMBNAIL) + 2).to_bytes(2, "big") + THUMBNAIL + WHOLE[2:]
    ),
    "with fill bytes before a marker": WHOLE[:-2] + b"\xff\xff\xff\xd9",
    "with a comment": WHOLE[:2] + b"\xff\xfe\x00\x07hello" + WHOLE[2:],
    "turned by Exif": with_exif(WHOLE, 6),
    "upright by Exif": with_exif(WHOLE, 1),
}
ODD = {
    "zeros before the end marker": WHOLE[:-2] + bytes(7) + END,
    "zeros before restart markers": re.sub(
        rb"\xff[\xd0-\xd7]", lambda marker: bytes(2) + marker[0], RESTARTING
    ),
    "no end marker": WHOLE[:-2],
    "no end marker, and filled up with zeros": WHOLE[:-2] + bytes(800),
    "scan parameters of nothing": WHOLE[: DATA[0] - 3] + bytes(3) + WHOLE[DATA[0] :],
    "an unknown version of JFIF": WHOLE[:11] + b"\x07" + WHOLE[12:],
}  # fmt: skip


@pytest.mark.parametrize("jpeg", GOOD.values(), ids=GOOD)
def test_a_whole_picture_has_the_pixels_that_opencv_sees(jpeg):
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    assert np.array_equal(decode_jpeg(jpeg), expected)
    image = np.full(expected.shape, 7, np.uint8)
    assert decode_jpeg(jpeg, image) is image
    assert np.array_equal(image, expected)
    check_jpeg(jpeg)


@pytest.mark.parametrize("jpeg", ODD.values(), ids=ODD)
def test_what_loses_nothing_costs_no_picture(jpeg):
    image = np.empty_like(PICTURE)
    decode_jpeg(jpeg, image)
    of_them = RESTARTING if read_header(jpeg).scans[0][1] > len(WHOLE) + 5 else WHOLE
    assert np.array_equal(image, decode_jpeg(of_them))
    check_jpeg(jpeg)


def inside(jpeg, seed):
    """Somewhere in the picture's data."""
    scans = read_header(jpeg).scans
    return random.Random(seed).randrange(scans[0][0], scans[-1][1] - 1100)


CUTS = {
    "cut, then an end marker": lambda jpeg, at: jpeg[:at] + END,
    "cut": lambda jpeg, at: jpeg[:at],
    "cut, then zeros": lambda jpeg, at: jpeg[:at] + bytes(len(jpeg) - at),
    "cut, then zeros and an end marker": lambda jpeg, at: jpeg[:at] + bytes(9000) + END,
    "the next picture begins": lambda jpeg, at: jpeg[:at] + jpeg,
}
HOLES = {
    "a USB packet of 512 bytes lost": lambda jpeg, at: jpeg[:at] + jpeg[at + 512 :],
    "a USB packet of 1024 bytes lost": lambda jpeg, at: jpeg[:at] + jpeg[at + 1024 :],
    "512 bytes of zeros": lambda jpeg, at: jpeg[:at] + bytes(512) + jpeg[at + 512 :],
    "512 bytes of noise": lambda jpeg, at: (
        jpeg[:at] + random.Random(at).randbytes(512) + jpeg[at + 512 :]
    ),
}
SEQUENTIAL = {
    "plain": WHOLE,
    "restarting": RESTARTING,
    "grey": GOOD["grey"],
    "webcam": without_tables(WHOLE),
    "exif": with_exif(WHOLE, 1),
}
KINDS = SEQUENTIAL | {"progressive": PROGRESSIVE}


@pytest.mark.parametrize("jpeg", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("damage", CUTS.values(), ids=CUTS)
def test_a_picture_that_is_cut_off_is_none(jpeg, damage):
    for seed in range(20):
        broken = damage(jpeg, inside(jpeg, seed))
        with pytest.raises(FrameUnreadableError, match="JPEG"):
            decode_jpeg(broken)
        with pytest.raises(FrameUnreadableError, match="JPEG"):
            check_jpeg(broken)


@pytest.mark.parametrize("jpeg", SEQUENTIAL.values(), ids=SEQUENTIAL)
@pytest.mark.parametrize("damage", HOLES.values(), ids=HOLES)
def test_a_picture_with_a_hole_is_none_but_for_what_happens_to_fill_it(jpeg, damage):
    unseen = 0
    for seed in range(40):
        try:
            check_jpeg(damage(jpeg, inside(jpeg, seed)))
            unseen += 1
        except FrameUnreadableError:
            pass
    assert unseen <= 4


def test_a_cut_of_the_last_byte_is_seen():
    for lost in (1, 2, 3, 8):
        with pytest.raises(FrameUnreadableError):
            decode_jpeg(WHOLE[: -2 - lost] + END)


def intervals():
    begin, end = read_header(RESTARTING).scans[0]
    return [begin + m.start() for m in re.finditer(rb"\xff[\xd0-\xd7]", RESTARTING[begin:end])]


@pytest.mark.parametrize("count", [1, 3, 8], ids=lambda count: f"{count} intervals")
def test_restart_intervals_that_are_missing_are_seen(count):
    starts = intervals()
    assert len(starts) > 9
    broken = RESTARTING[: starts[0]] + RESTARTING[starts[count] :]
    with pytest.raises(FrameUnreadableError):
        decode_jpeg(broken)


def test_two_restart_intervals_that_changed_places_are_seen():
    a, b, c = intervals()[:3]
    swapped = RESTARTING[:a] + RESTARTING[b:c] + RESTARTING[a:b] + RESTARTING[c:]
    with pytest.raises(FrameUnreadableError):
        decode_jpeg(swapped)


def test_a_progressive_picture_without_its_last_scans_is_seen():
    scans = read_header(PROGRESSIVE).scans
    assert len(scans) > 3
    for _, end in scans[:-1]:
        broken = PROGRESSIVE[:end] + END
        assert cv2.imdecode(np.frombuffer(broken, np.uint8), cv2.IMREAD_COLOR) is not None
        with pytest.raises(FrameUnreadableError, match="scans are missing"):
            decode_jpeg(broken)


def test_the_second_field_of_motion_jpeg_is_looked_at():
    avi1 = b"\xff\xe0\x00\x10AVI1\x01" + bytes(9)
    field = WHOLE[:2] + avi1 + WHOLE[2:]
    check_jpeg(field + field)
    with pytest.raises(FrameUnreadableError):
        check_jpeg(field + field[: len(field) // 2] + END)


def test_a_picture_of_another_size_is_named_with_both_sizes():
    for jpeg in (WHOLE, with_exif(WHOLE, 1)):
        with pytest.raises(FrameUnreadableError, match="320x240 pixels, expected 640x480"):
            decode_jpeg(jpeg, np.empty((480, 640, 3), np.uint8))


def test_a_size_that_no_camera_has_takes_no_memory():
    at = re.search(rb"\xff\xc0", WHOLE)
    assert at is not None
    vast = WHOLE[: at.start() + 5] + b"\xff\xff\xff\xff" + WHOLE[at.start() + 9 :]
    with pytest.raises(FrameUnreadableError, match="65535x65535"):
        decode_jpeg(vast)


def test_no_bytes_at_all_end_in_anything_but_a_sentence():
    chance = random.Random(5)
    for _ in range(2000):
        broken = bytearray(WHOLE)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken) if chance.random() < 0.3 else 700)] = (
                chance.randrange(256)
            )
        del broken[chance.choice([0, 2, 3, 20, 300, len(broken)]) :]
        for read in (decode_jpeg, check_jpeg):
            with contextlib.suppress(FrameUnreadableError):
                read(broken)
