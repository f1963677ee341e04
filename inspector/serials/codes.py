"""Finds the codes in a picture, through zxing-cpp."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from inspector.core.geometry import moved, outline_box_px, upright_matrix
from inspector.core.part_names import NameUnusableError, unit_name
from inspector.core.records import Image, Outline
from inspector.serials.agreement import MAX_SERIAL_CHARACTERS, Code
from inspector.settings.unit_sections import SerialFormat

QUIET_PX = 16
"""The margin that is searched around a unit: a code at its edge needs a light zone beside it."""
ENLARGED_AT_MOST_PX = 4_000_000
"""The most pixels of an enlarged picture; larger ones would delay the next unit's."""

_FORMATS: dict[SerialFormat, zxingcpp.BarcodeFormat] = {
    "DataMatrix": zxingcpp.BarcodeFormat.DataMatrix,
    "QRCode": zxingcpp.BarcodeFormat.QRCode,
    "Code128": zxingcpp.BarcodeFormat.Code128,
}
# For control characters of other content, such as the envelopes of ISO 15434, the library writes
# printable names into the text; the bytes have them unchanged.
_TEXTS = frozenset({zxingcpp.ContentType.Text, zxingcpp.ContentType.GS1})


@dataclass(frozen=True, slots=True, eq=False)
class GreyPicture:
    """The part of a frame that is searched, in memory of its own."""

    pixels: NDArray[np.uint8]
    """(height, width), C-contiguous."""
    left_px: int
    top_px: int
    """Its place in the frame."""
    outline: Outline | None
    """The unit; codes beside it belong to another. None: whatever is in the picture counts."""


def grey_picture(frame: Image, outline: Outline | None) -> GreyPicture:
    """Copy the part to search, so that the frame can be released; about 0.3 ms at 720p.

    It is not turned upright: the reader accepts any turn, and turning softens small codes. Of 180
    frames of the line videos 180 were read from such a box and 175 from the upright picture.
    """
    height_px, width_px = frame.shape[:2]
    left, top, right, bottom = 0, 0, width_px, height_px
    if outline is not None:
        box = outline_box_px(outline)
        left = min(max(math.floor(box[0]) - QUIET_PX, 0), width_px - 1)
        top = min(max(math.floor(box[1]) - QUIET_PX, 0), height_px - 1)
        right = min(max(math.ceil(box[2]) + QUIET_PX, left + 1), width_px)
        bottom = min(max(math.ceil(box[3]) + QUIET_PX, top + 1), height_px)
    grey = cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    return GreyPicture(np.asarray(grey, np.uint8), left, top, outline)


def read_codes(
    picture: GreyPicture,
    formats: Sequence[SerialFormat],
    *,
    enlarged: bool = False,
    on_refused: Callable[[str], None] = lambda _why: None,
) -> tuple[Code, ...]:
    """The codes on the unit whose text can be a serial; blocks for 5 to 30 ms at 720p.

    `on_refused` gets the text of each other code on the unit, and why it is not a serial.

    Matrix codes are read at any turn, light on dark too; Code 128 only dark on light, and up to
    15 degrees off upright or a quarter turn. Modules should be 3 pixels wide; enlarged, 1.6 are
    enough, which takes three times as long. Other threads run meanwhile.
    """
    pixels, scale = picture.pixels, 1
    if enlarged:
        scale = 2
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8
        )
    wanted = {_FORMATS[name]: name for name in formats}
    found = zxingcpp.read_barcodes(
        pixels,
        formats=zxingcpp.BarcodeFormats(list(wanted)),
        try_downscale=not enlarged,  # its own scale was searched before
        text_mode=zxingcpp.TextMode.HRI,  # GS1 with its parentheses, not with control characters
    )
    codes = []
    for barcode in found:
        if not _is_on_unit(barcode.position, picture, scale):
            continue
        try:
            text = unit_name(_said(barcode), longest=MAX_SERIAL_CHARACTERS)
        except NameUnusableError as error:
            on_refused(str(error))
        else:
            codes.append(Code(text, wanted[barcode.format]))
    return tuple(codes)


def _said(barcode: zxingcpp.Barcode) -> str:
    if barcode.content_type in _TEXTS:
        text: str = barcode.text
        return text
    read: bytes = barcode.bytes
    try:
        return read.decode()
    except UnicodeDecodeError:
        return read.decode("latin-1")  # the content of these codes unless they declare another


def can_be_enlarged(picture: GreyPicture) -> bool:
    """Whether it is small enough to be searched again at twice its size."""
    return picture.pixels.size * 4 <= ENLARGED_AT_MOST_PX


def _is_on_unit(position: zxingcpp.Position, picture: GreyPicture, scale: int) -> bool:
    """Whether a code's middle lies inside the unit's outline."""
    outline = picture.outline
    if outline is None:
        return True
    corners = (
        position.top_left,
        position.top_right,
        position.bottom_left,
        position.bottom_right,
    )
    x_px = picture.left_px + sum(corner.x for corner in corners) / 4 / scale
    y_px = picture.top_px + sum(corner.y for corner in corners) / 4 / scale
    unit_x_px, unit_y_px = moved(upright_matrix(outline), x_px, y_px)
    return 0 <= unit_x_px <= outline.width_px and 0 <= unit_y_px <= outline.height_px
