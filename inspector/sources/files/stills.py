"""Decodes the bytes of a picture file: whole, or not at all."""

from __future__ import annotations

import zlib
from mmap import mmap

import av
import cv2
import numpy as np
from av.error import FFmpegError

from inspector.core.errors import FrameUnreadableError
from inspector.core.records import Image
from inspector.sources.coded.packets import packet_of
from inspector.sources.files.tiff import TiffPage, as_grey_tiff, is_tiff, tiff_pages
from inspector.sources.jpeg import check_jpeg, decode_jpeg

_JPEG = b"\xff\xd8"
_UNPACKABLE = "the TIFF is damaged (its data cannot be decompressed)"
_WIDEST_PX, _LARGEST_PX = 1 << 16, 1 << 27  # what FFmpeg takes, as bytes of grey
_WEBP_ANIMATION = 2
_PNG = b"\x89PNG\r\n\x1a\n"


def pages_in(content: bytes | mmap) -> int:
    """How many pictures the file holds, at least one; more only in a TIFF.

    A file that is damaged counts as one picture, which then cannot be read.
    """
    try:
        return len(tiff_pages(content)) if is_tiff(content) else 1
    except FrameUnreadableError:
        return 1


def decode_still(content: bytes, page: int = 0) -> Image:
    """A picture as BGR; `page` counts from 0.

    Raises:
        FrameUnreadableError: damaged, cut off or no picture; a sentence without its name.

    """
    if content.startswith(_JPEG):
        return decode_jpeg(content)
    if is_tiff(content):
        return _decode_tiff(content, page)
    if _is_animated(content):
        raise FrameUnreadableError("an animation: expected one picture in a file")
    return _decode(content)


def _is_animated(content: bytes) -> bool:
    """Whether there are more pictures than the first, the only one that OpenCV would read."""
    if content.startswith(_PNG):
        return content.find(b"acTL", 0, content.find(b"IDAT")) >= 0
    if content[8:16] == b"WEBPVP8X":
        return bool(content[20:21] and content[20] & _WEBP_ANIMATION)
    return content[:4] == b"GIF8"


def _decode(content: bytes) -> Image:
    # Not cv2.imread(path, dst): for a file it cannot read, OpenCV 5.0 returns `dst` untouched,
    # with the picture before in it.
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        msg = f"the picture cannot be read ({type(error).__name__})"
        raise FrameUnreadableError(msg) from error
    if decoded is None:
        raise FrameUnreadableError("damaged, or not a picture")
    return decoded.astype(np.uint8, copy=False)


def _decode_tiff(content: bytes, number: int) -> Image:
    pages = tiff_pages(content)
    if number >= len(pages):
        raise FrameUnreadableError(f"the TIFF holds {len(pages)} pages, expected {number + 1}")
    page = pages[number]
    # OpenCV draws black what libtiff cannot decompress, and only logs it.
    match page.compression:
        case 8 | 32946:  # Deflate
            _check_deflated(content, page)
        case 5 | 32773:  # LZW, PackBits
            _check_by_ffmpeg(content, page)
        case 7:  # JPEG
            _check_jpegs(content, page)
    pages_wanted = (page.index, page.index + 1)
    try:
        found, decoded = cv2.imdecodemulti(
            np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR, range=pages_wanted
        )
    except cv2.error as error:
        msg = f"the TIFF cannot be read ({type(error).__name__})"
        raise FrameUnreadableError(msg) from error
    if not found or len(decoded) != 1:
        raise FrameUnreadableError("the TIFF is damaged, or of a kind that is not read")
    return decoded[0].astype(np.uint8, copy=False)


def _check_deflated(content: bytes, page: TiffPage) -> None:
    for offset, size in page.parts:
        data = zlib.decompressobj()
        try:
            data.decompress(content[offset : offset + size])
            is_whole = data.eof
        except zlib.error:
            is_whole = False
        if not is_whole:
            raise FrameUnreadableError(_UNPACKABLE)


def _check_by_ffmpeg(content: bytes, page: TiffPage) -> None:
    """Read it strictly: an incomplete strip is refused, but so is an unknown tag."""
    for grid in page.grids:
        if grid.row_bytes > _WIDEST_PX or grid.row_bytes * grid.rows > _LARGEST_PX:
            continue
        decoder = av.CodecContext.create("tiff", "r")
        decoder.options = {"err_detect": "explode"}
        try:
            drawn = decoder.decode(packet_of(as_grey_tiff(content, grid, page.compression)))
        except FFmpegError as error:
            raise FrameUnreadableError(_UNPACKABLE) from error
        if not drawn:
            raise FrameUnreadableError(_UNPACKABLE)


def _check_jpegs(content: bytes, page: TiffPage) -> None:
    tables = page.jpeg_tables[:-2]  # without their end marker
    for offset, size in page.parts:
        part = content[offset : offset + size]
        check_jpeg(tables + part[2:] if tables else part)
