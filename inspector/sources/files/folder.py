"""A folder of pictures, in natural order."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.core.plain_text import plain
from inspector.core.records import Image
from inspector.sources.files.stills import decode_still, pages_in
from inspector.sources.files.uri import FileUri

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

_NS_PER_S = 1_000_000_000
_FPS = 10.0
_DIGITS = re.compile(r"(\d+)")
_OF_PAGES = frozenset({".tif", ".tiff"})
# Files that cameras, people and systems put beside pictures: they are ignored silently.
_NO_PICTURES = frozenset({"", ".db", ".csv", ".ini", ".json", ".jsonl", ".md", ".txt", ".xml"})
_NAMED_KINDS = 5


@dataclass(frozen=True, slots=True)
class _Picture:
    path: Path
    page: int | None = None
    """Counted from 0; None for a file with one picture."""

    def __str__(self) -> str:
        return f"{self.path}{self._page()}"

    @property
    def label(self) -> str:
        """The name of a unit that has no other."""
        return plain(f"{self.path.name}{self._page()}")

    def _page(self) -> str:
        return "" if self.page is None else f" page {self.page + 1}"

    def decode(self) -> Image:
        try:
            return decode_still(self.path.read_bytes(), self.page or 0)
        except OSError as error:
            msg = f"{self}: the picture cannot be read ({error.strerror})"
            raise FrameUnreadableError(msg) from error
        except FrameUnreadableError as error:
            raise FrameUnreadableError(f"{self}: {error}") from error


class Pictures:
    """Every picture of a folder, by name; one thread. The list is read once, at opening.

    Each page of a TIFF is a picture. Hidden files are ignored: `._board.jpg`, which a Mac leaves
    beside `board.jpg`, is no picture.

    Raises:
        CameraUnavailableError: the folder cannot be read or holds no picture.

    """

    def __init__(self, uri: FileUri, expected_size: tuple[int, int] | None) -> None:
        self._uri = uri
        try:
            files = [p for p in uri.path.iterdir() if not p.name.startswith(".")]
        except OSError as error:
            msg = f"{uri}: the folder cannot be read ({error.strerror})"
            raise CameraUnavailableError(msg) from error
        found = [p for p in files if p.suffix.lower() in SUFFIXES]
        if not found:
            msg = f"{uri}: no pictures ({', '.join(sorted(SUFFIXES))}) in this folder"
            raise CameraUnavailableError(msg)
        found.sort(key=lambda path: natural_order(path.name))
        self._pictures = [picture for path in found for picture in _pictures_in(path)]
        self.notes = (*_left_out(files), *self._of_pages(found))
        """What a person should know about the folder; whole sentences."""
        self.interval_ns = round(_NS_PER_S / (uri.fps or _FPS))
        self._shown_total = 0
        self._next = 0
        self._current: _Picture | None = None
        self.size = expected_size or self._first_size()
        """Width and height in pixels."""

    @property
    def label(self) -> str | None:
        """The current picture's file name, with its page if there are several."""
        return None if self._current is None else self._current.label

    @property
    def total(self) -> int:
        """How many pictures there are."""
        return len(self._pictures)

    @property
    def position_ns(self) -> int:
        """The current picture's time since the start; goes on over `rewind`."""
        return (self._shown_total - 1) * self.interval_ns

    def advance(self) -> bool:
        """Go to the next picture without reading it; False at the end."""
        if self._next >= len(self._pictures):
            return False
        self._current = self._pictures[self._next]
        self._next += 1
        self._shown_total += 1
        return True

    def rewind(self) -> None:
        """Begin again with the first picture."""
        self._next = 0

    def retrieve_into(self, image: Image) -> None:
        """Decode the current picture into `image`."""
        if self._current is None:
            msg = f"{self._uri}: no picture was grabbed"
            raise FrameUnreadableError(msg)
        decoded = self._current.decode()
        expected = (self.size[1], self.size[0], 3)
        if decoded.shape != expected or image.shape != expected:
            height, width = decoded.shape[:2]
            msg = (
                f"{self._current}: the picture is {width}x{height} pixels, "
                f"expected {self.size[0]}x{self.size[1]}"
            )
            raise FrameUnreadableError(msg)
        np.copyto(image, decoded)

    def close(self) -> None:
        """No effect: nothing is held open."""
        self._current = None

    def _first_size(self) -> tuple[int, int]:
        """The size of the first picture that can be read."""
        for picture in self._pictures:
            try:
                height, width = picture.decode().shape[:2]
            except FrameUnreadableError:
                continue
            return width, height
        msg = f"{self._uri}: none of the {len(self._pictures)} pictures can be read"
        raise CameraUnavailableError(msg)

    def _of_pages(self, files: list[Path]) -> list[str]:
        if len(self._pictures) == len(files):
            return []
        return [f"{len(files)} files hold {len(self._pictures)} pictures: each page is one"]


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts `frame2` before `frame10`: digits by value, the rest without regard to case."""
    parts = _DIGITS.split(name)
    folded = tuple((int(p), "") if p.isdecimal() else (-1, p.casefold()) for p in parts)
    return (*folded, (-1, name))


def _pictures_in(path: Path) -> list[_Picture]:
    if path.suffix.lower() not in _OF_PAGES:
        return [_Picture(path)]
    try:
        # Mapped: of large files only the directories are read.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            pages = pages_in(content)
    except (OSError, ValueError):  # ValueError: it is empty
        pages = 1
    return [_Picture(path, page) for page in range(pages)] if pages > 1 else [_Picture(path)]


def _left_out(files: list[Path]) -> list[str]:
    """A sentence about files that may have been meant as pictures."""
    kinds = Counter(p.suffix.lower() for p in files if p.is_file())
    for known in SUFFIXES | _NO_PICTURES:
        kinds.pop(known, None)
    if not kinds:
        return []
    named = ", ".join(plain(kind) for kind, _ in kinds.most_common(_NAMED_KINDS))
    return [f"{kinds.total()} files of other kinds are left out ({named})"]
