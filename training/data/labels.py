"""What every label format needs: numbers checked, boxes checked, boards named and parted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.boards import Board, decode, has_twelve_bits, read_file
from training.data.notes import Notes, Taken
from training.errors import WrongInputError

PICTURE_SUFFIXES = frozenset(
    {
        ".bmp",
        ".dib",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
OTHER_PICTURES = frozenset({".avif", ".dng", ".gif", ".heic", ".heif", ".jp2", ".raw", ".svg"})
"""Pictures by their names, which are not read."""
HELD_OUT_SHARE = 0.2
MIN_SIDE_PX = 32
ROUNDING_PX = 1.0
"""A box that reaches no further over the edge is a rounded one: clipped without a word."""


@dataclass(frozen=True)
class Size:
    """Of a picture."""

    width_px: int
    height_px: int

    def __str__(self) -> str:
        """As in 640x480."""
        return f"{self.width_px}x{self.height_px}"


@dataclass(frozen=True)
class Label:
    """One defect as its file has it; `where` is the file and line, for errors."""

    where: str
    corners: tuple[float, float, float, float]
    class_index: int


def read_text(path: Path, what: str) -> str:
    """A text file's content, or one line that says what it should have been."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WrongInputError.found(path, f"cannot be read ({reason})", what) from error
    except UnicodeDecodeError as error:
        raise WrongInputError.found(path, "is not UTF-8 text", what) from error


def numbers_in(where: str, line: str, expected: str) -> list[float]:
    """The numbers of a label line, as many as `expected` has words."""
    words = line.replace(",", " ").split()
    wanted = len(expected.split())
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise WrongInputError.found(where, f"{_quoted(line)}", f"numbers: {expected}") from error
    if len(numbers) != wanted:
        raise WrongInputError.found(where, f"{len(numbers)} numbers", f"{wanted}: {expected}")
    if not np.isfinite(numbers).all():
        raise WrongInputError.found(where, f"{_quoted(line)}", "finite numbers")
    return numbers


def class_in(where: str, number: float, low: int, high: int) -> int:
    """The class number `low`..`high` that a label has, or one line that says where it has none."""
    if number != int(number) or not low <= number <= high:
        raise WrongInputError.found(where, f"class {number:g}", f"{low} to {high}")
    return int(number)


def board_of(
    name: str,
    picture: Path,
    labels: Sequence[Label],
    seen: Seen,
    notes: Notes,
    *,
    reference: Path | None = None,
) -> Board:
    """A board whose boxes are checked against the picture's size.

    What is wrong with one goes to `notes`, and the board is without it.
    """
    kept: dict[tuple[object, ...], tuple[tuple[float, float, float, float], int]] = {}
    for label in labels:
        with notes.collecting():
            box = _clipped(label, seen.size, notes)
            if box is None:
                continue
            key = (label.class_index, *box)
            if key in kept:
                notes.take(Taken.TWICE, label.where)
            kept[key] = (box, label.class_index)
    return Board(
        name=name,
        picture=picture,
        reference=reference,
        boxes=np.array([box for box, _ in kept.values()], np.float32).reshape(-1, 4),
        classes=np.array([index for _, index in kept.values()], np.int64),
        digest=seen.digest,
    )


def _clipped(label: Label, size: Size, notes: Notes) -> tuple[float, float, float, float] | None:
    """The box within its picture; None where there is nothing of it."""
    left, top, right, bottom = label.corners
    box = " ".join(f"{corner:g}" for corner in label.corners)
    if right < left or bottom < top:
        expected = "left < right, top < bottom"
        raise WrongInputError.found(label.where, f"box {box} is turned around", expected)
    if right == left or bottom == top:
        notes.take(Taken.EMPTY, label.where)
        return None
    inside = max(left, 0), max(top, 0), min(right, size.width_px), min(bottom, size.height_px)
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise WrongInputError.found(
            label.where, f"box {box} lies outside the picture", f"within {size}"
        )
    if max(-left, -top, right - size.width_px, bottom - size.height_px) > ROUNDING_PX:
        notes.take(Taken.CLIPPED, label.where)
    return inside


@dataclass(frozen=True)
class Seen:
    """What a picture's file holds."""

    size: Size
    digest: bytes
    """Of the file."""
    has_twelve_bits: bool = False


def pictures_seen(pictures: Iterable[Path], notes: Notes) -> dict[Path, Seen]:
    """Decode every picture on all cores; those that cannot be used are missing, and in `notes`.

    Decoding, and not reading headers only: a training should not end at night on a broken file.
    """
    paths = list(dict.fromkeys(pictures))
    seen: dict[Path, Seen] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found in zip(paths, pool.map(_tried, paths), strict=True):
            with notes.collecting():
                if isinstance(found, WrongInputError):
                    raise found
                seen[path] = found
                if found.has_twelve_bits:
                    notes.take(Taken.TWELVE_BITS, path)
    return seen


def _tried(path: Path) -> Seen | WrongInputError:
    try:
        return _seen(path)
    except WrongInputError as error:
        return error


def _seen(path: Path) -> Seen:
    encoded = read_file(path)
    decoded = decode(path, encoded)
    height_px, width_px = decoded.shape[:2]
    size = Size(width_px, height_px)
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise WrongInputError.found(
            path, f"the picture is {size}", f"{MIN_SIDE_PX}x{MIN_SIDE_PX} or more"
        )
    digest = hashlib.blake2b(encoded, digest_size=16).digest()
    return Seen(size, digest, has_twelve_bits(decoded))


def pictures_in(folder: Path) -> list[Path]:
    """Every picture of a folder and the folders in it, in the same order everywhere."""
    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )
    return sorted(found, key=lambda path: path.as_posix())


def held_out(boards: Sequence[Board]) -> tuple[tuple[Board, ...], tuple[Board, ...]]:
    """Part a set into train and test by the hash of each name: 20 %, at least one.

    A set that grows keeps its boards where they were, so that none is trained on that a former
    model was judged by.
    """
    ranks = {board.name: _rank(board.name) for board in boards}
    limit = max(HELD_OUT_SHARE, min(ranks.values(), default=0.0))
    test = tuple(board for board in boards if ranks[board.name] <= limit)
    return tuple(board for board in boards if ranks[board.name] > limit), test


def _rank(name: str) -> float:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return float(int.from_bytes(digest, "big") / 2**64)


def checked_parts(
    where: Path, train: Sequence[Board], test: Sequence[Board], notes: Notes
) -> tuple[tuple[Board, ...], tuple[Board, ...]]:
    """The two parts, neither empty, no name twice and no picture in both."""
    notes.settle()
    _compare(train, test, notes)
    if not any(len(board.classes) for board in train):
        notes.take(Taken.NO_LABELS, where)
    for part, boards in (("train", train), ("test", test)):
        if not boards:
            raise WrongInputError.found(where, f"no picture to {part} with", "one or more")
    shared = {board.picture for board in train} & {board.picture for board in test}
    if shared:
        raise WrongInputError.found(min(shared), "is in train and in test", "in one of them")
    seen: dict[str, Path] = {}
    for board in (*train, *test):
        other = seen.setdefault(board.name, board.picture)
        if other != board.picture:
            raise WrongInputError.found(board.picture, f"has the name of {other}", "its own")
    return tuple(train), tuple(test)


def _compare(train: Sequence[Board], test: Sequence[Board], notes: Notes) -> None:
    """Note the pictures that are in both parts under two names."""
    judged_by = {board.digest: board.picture for board in test if len(board.classes)}
    for board in train:
        if judged_by.get(board.digest, board.picture) != board.picture:
            notes.take(Taken.IN_BOTH, board.picture)


def checked_names(where: Path, names: Sequence[object]) -> tuple[str, ...]:
    """Names of classes: at least one, all words, none twice."""
    if not names:
        raise WrongInputError.found(where, "no class names", "one or more")
    # Numbers are names; what YAML takes for yes and no is not what was written.
    names = [str(name) if type(name) in (int, float) else name for name in names]
    for name in names:
        if isinstance(name, bool):
            raise WrongInputError.found(where, f"class name {json.dumps(name)}", "it in quotes")
        if not isinstance(name, str) or not name.strip():
            raise WrongInputError.found(where, f"class name {json.dumps(name)}", "a word")
        if "," in name or '"' in name:
            raise WrongInputError.found(where, f"class name {name!r}", "no comma or quote in it")
        if names.count(name) > 1:
            raise WrongInputError.found(where, f"class name {name!r} twice", "names that differ")
    return tuple(str(name).strip() for name in names)


def _quoted(line: str) -> str:
    longest = 60
    text = line.strip()
    return repr(text if len(text) <= longest else text[:longest] + "…")
