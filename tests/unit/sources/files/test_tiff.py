import struct

import cv2
import numpy as np
import pytest

from inspector.core.errors import FrameUnreadableError
from inspector.sources.files.stills import decode_still, pages_in
from inspector.sources.files.tiff import tiff_pages

RAW, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773


def picture(seed=1):
    noise = np.random.default_rng(seed).integers(0, 50, (240, 320, 3)).astype(np.uint8)
    cv2.putText(noise, str(seed), (40, 160), cv2.FONT_HERSHEY_SIMPLEX, 4, (250, 250, 250), 5)
    return noise


def tiff(compression, *pictures):
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    if len(pictures) == 1:
        return cv2.imencode(".tif", pictures[0], options)[1].tobytes()
    return cv2.imencodemulti(".tif", list(pictures), options)[1].tobytes()


def with_directory_first(content):
    """The same TIFF as cameras write it: what describes the picture before its data."""
    (at,) = struct.unpack_from("<I", content, 4)
    directory = content[at:]
    (entries,) = struct.unpack_from("<H", directory)
    moved = bytearray(directory)
    for start in range(2, 2 + 12 * entries, 12):
        tag, kind, count, value = struct.unpack_from("<HHII", moved, start)
        outside = count * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}[kind] > 4
        if tag == 273 and count == 1:
            struct.pack_into("<I", moved, start + 8, value + len(directory))
        elif outside:
            shift = len(directory) if value < at else 8 - at
            struct.pack_into("<I", moved, start + 8, value + shift)
            if tag == 273:
                where = value + 8 - at - 8 if value >= at else None
                values = struct.unpack_from(f"<{count}I", content, value)
                shifted = struct.pack(f"<{count}I", *(v + len(directory) for v in values))
                if where is not None:
                    moved[value - at : value - at + 4 * count] = shifted
    return content[:4] + struct.pack("<I", 8) + bytes(moved) + content[8:at]


@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE, PACKBITS])
def test_a_whole_tiff_has_its_pixels(compression):
    assert np.array_equal(decode_still(tiff(compression, picture())), picture())


@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE, PACKBITS])
def test_each_page_of_a_tiff_is_a_picture(compression):
    content = tiff(compression, picture(1), picture(2), picture(3))
    assert pages_in(content) == 3
    for page in range(3):
        assert np.array_equal(decode_still(content, page), picture(page + 1))


def test_thumbnails_and_masks_are_no_pages():
    content = bytearray(tiff(RAW, picture(1), picture(2)))
    first, second = (page.index for page in tiff_pages(bytes(content)))
    assert (first, second) == (0, 1)
    # NewSubfileType of the second directory: a reduced version of another one.
    (at,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, at)
    (at,) = struct.unpack_from("<I", content, at + 2 + 12 * entries)
    (entries,) = struct.unpack_from("<H", content, at)
    starts = range(at + 2, at + 2 + 12 * entries, 12)
    [kind] = [start for start in starts if struct.unpack_from("<H", content, start)[0] == 254]
    struct.pack_into("<I", content, kind + 8, 1)
    assert pages_in(bytes(content)) == 1


@pytest.mark.parametrize("compression", [LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("filling", [bytes(900), np.random.default_rng(3).bytes(900)])
def test_a_tiff_with_a_hole_is_none(compression, filling):
    content = tiff(compression, picture())
    middle = len(content) // 2
    broken = content[:middle] + filling + content[middle + 900 :]
    assert cv2.imdecode(np.frombuffer(broken, np.uint8), cv2.IMREAD_COLOR) is not None
    with pytest.raises(FrameUnreadableError, match="TIFF"):
        decode_still(broken)


def test_a_tiff_of_jpegs_is_checked_as_they_are(shared):
    content = (shared / "cases/cam/multipage-tiff/two_pages.tif").read_bytes()
    assert pages_in(content) == 2
    assert decode_still(content, 0).shape == decode_still(content, 1).shape
    offset, size = tiff_pages(content)[1].parts[1]
    broken = content[: offset + size // 2] + bytes(size - size // 2) + content[offset + size :]
    decode_still(broken, 0)
    with pytest.raises(FrameUnreadableError, match="JPEG"):
        decode_still(broken, 1)


def test_a_tiff_whose_data_lies_behind_the_end_of_the_file_is_cut_off():
    content = with_directory_first(tiff(RAW, picture()))
    assert np.array_equal(decode_still(content), picture())
    broken = content[: len(content) * 6 // 10]
    with pytest.raises(FrameUnreadableError, match="cut off"):
        decode_still(broken)


def test_pages_that_run_in_a_circle_end():
    content = bytearray(tiff(RAW, picture()))
    (at,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, at)
    struct.pack_into("<I", content, at + 2 + 12 * entries, at)
    with pytest.raises(FrameUnreadableError, match="circle"):
        tiff_pages(bytes(content))
