"""Labelled pictures of boards, whatever format their labels came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.errors import WrongInputError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
# [rows, columns] gray or [rows, columns, 3] BGR, uint8.
Picture = NDArray[np.uint8]

_TWELVE_BITS = 1 << 12
_BLACK, _WHITE, _BETWEEN_SHARE = 40, 215, 0.01
"""In DeepPCB's own JPEGs one pixel in 100,000 is further than 40 levels from black and white."""


@dataclass(frozen=True, eq=False)
class Board:
    """One labelled picture; the pixels stay in their file until `read_picture`.

    `name` is unique within its data set. `picture` is the board as found. `reference` is a
    defect-free, registered picture of the same board, where the set has one. `boxes` are
    [n, 4] float32 left, top, right, bottom in pixels of the picture, inside it and not empty;
    `classes` are [n] int64 indices into DataSet.classes. n = 0: a defect-free board.
    """

    name: str
    picture: Path
    reference: Path | None
    boxes: FloatArray = field(repr=False)
    classes: IntArray = field(repr=False)
    digest: bytes = field(default=b"", repr=False)
    """Of the picture's file; empty where nobody asked."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Boards to train on and boards to judge by; no board is in both.

    `held_out` tells that the set came without a test part and `test` was chosen here, by the
    hash of each board's name. `licence` is what the set says of its use, one line, or "". `notes`
    say what was taken otherwise than it is written.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[Board, ...]
    test: tuple[Board, ...]
    licence: str = ""
    held_out: bool = False
    notes: tuple[str, ...] = ()


def read_picture(path: Path) -> Picture:
    """Pixels as uint8: [rows, columns] where the file is gray, else [rows, columns, 3] BGR.

    Sixteen bits become eight, and so do twelve that lie in sixteen; transparency is dropped, a
    camera's orientation mark is obeyed.
    Raises WrongInputError for a file that is missing, no picture, or cut short.
    """
    decoded = decode(path, read_file(path))
    shift = 0 if decoded.dtype == np.uint8 else 4 if has_twelve_bits(decoded) else 8
    return np.asarray(decoded >> shift, np.uint8)


def read_file(path: Path) -> bytes:
    """The bytes of a picture's file."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WrongInputError.found(path, f"cannot be read ({reason})", "a picture") from error


def decode(path: Path, encoded: bytes) -> NDArray[Any]:
    """A file's pixels, uint8 or uint16, as they are stored."""
    if _is_cut_short(encoded):
        raise WrongInputError.found(path, "the picture ends too early", "a whole picture")
    picture = _decode(encoded)
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        expected = "a PNG, JPEG, BMP, TIFF or WebP picture of 8 or 16 bits"
        raise WrongInputError.found(path, "cannot be decoded", expected)
    return picture


def is_scan(picture: Picture) -> bool:
    """The picture is a binarised scan, black and white, and not what a camera saw."""
    if picture.ndim != 2:  # noqa: PLR2004 - rows and columns
        return False
    between = (picture > _BLACK) & (picture < _WHITE)
    return float(between.mean()) < _BETWEEN_SHARE


def scan_or_colours(picture: Picture) -> Picture:
    """A scan as it is, [rows, columns]; any other picture as [rows, columns, 3] BGR.

    A scan is flat artwork, to be photographed yet; gray of a camera are the colours it saw.
    """
    if picture.ndim == 3 or is_scan(picture):  # noqa: PLR2004 - rows, columns, colours
        return picture
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)


def _decode(encoded: bytes) -> NDArray[Any] | None:
    if not encoded:
        return None
    try:
        decoded = cv2.imdecode(
            np.frombuffer(encoded, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        )
    except cv2.error:
        return None
    return None if decoded is None else np.asarray(decoded)


def has_twelve_bits(decoded: NDArray[Any]) -> bool:
    """A camera's twelve bits, stored as sixteen: nothing in them reaches 4096."""
    return decoded.dtype == np.uint16 and int(decoded.max(initial=0)) < _TWELVE_BITS


def _is_cut_short(encoded: bytes) -> bool:
    """OpenCV decodes half a JPEG and paints the rest gray, which is no board: look for the end."""
    if encoded.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in encoded[-4096:]  # some cameras append their own bytes
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in encoded[-4096:]
    return False
