"""Finds the pictures in a TIFF, and whether their data lies within it: pure.

OpenCV reads one page of a file, and draws black where a strip lies behind the end of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap

from inspector.core.errors import FrameUnreadableError

Tags = dict[int, tuple[int, ...]]

_ORDERS = {b"II": "<", b"MM": ">"}
_BIG = 43
_SUBFILE_TYPE, _COMPRESSION = 254, 259
_STRIPS, _TILES = (273, 279), (324, 325)
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 262, 266
_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 322, 323
_JPEG_TABLES = 347
_SUBSAMPLED, _SEPARATE, _REVERSED = 6, 2, 2
_TAGS = frozenset(
    {
        *(_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER),
        *(_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _JPEG_TABLES),
        *(*_STRIPS, *_TILES),
    }
)
_REDUCED, _MASK = 1, 4
_FORMATS = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
_MOST_PAGES = 100_000
_MOST_VALUES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Parts of equal width, one below the other, with equal rows except the last."""

    row_bytes: int
    rows: int
    part_rows: int
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPage:
    """One picture of a file; thumbnails and masks are none."""

    index: int
    """Its number among all of the file's directories."""
    compression: int
    parts: tuple[tuple[int, int], ...]
    """Offset and size in bytes of its strips or tiles, in the order of the file."""
    jpeg_tables: bytes
    """The tables that every JPEG among its parts leaves out."""
    grids: tuple[Grid, ...]
    """The shapes of its decompressed parts; empty if the tags do not give them."""


def is_tiff(content: bytes | mmap) -> bool:
    """Whether the content begins like a TIFF."""
    return content[:2] in _ORDERS and content[2:4] in {b"*\x00", b"\x00*", b"+\x00", b"\x00+"}


def tiff_pages(content: bytes | mmap) -> list[TiffPage]:
    """The pictures, in order; those whose data is not all there raise.

    Raises:
        FrameUnreadableError: cut off or damaged.

    """
    try:
        return _Tiff(content).pages()
    except struct.error:
        raise FrameUnreadableError("the TIFF is cut off") from None


class _Tiff:
    """A file's directories (TIFF 6.0, and BigTIFF with its longer numbers)."""

    def __init__(self, content: bytes | mmap) -> None:
        self._content = content
        order = _ORDERS.get(content[:2], "<")
        (version,) = struct.unpack_from(f"{order}H", content, 2)
        self._is_big = version == _BIG
        self._order = order
        # Sizes of the number of entries and of an entry's count and value; offset of the first.
        self._count, self._word, self._first = ("Q", "Q", 8) if self._is_big else ("H", "I", 4)

    def pages(self) -> list[TiffPage]:
        pages: list[TiffPage] = []
        seen: set[int] = set()
        (at,) = self._read(self._word, self._first)
        while at != 0:
            if at in seen or len(seen) >= _MOST_PAGES:
                raise FrameUnreadableError("the TIFF is damaged (its pages run in a circle)")
            index = len(seen)
            seen.add(at)
            tags, at = self._directory(at)
            kind = tags.get(_SUBFILE_TYPE, (0,))[0]
            if not kind & (_REDUCED | _MASK):
                parts = self._parts(tags)
                pages.append(
                    TiffPage(
                        index=index,
                        compression=tags.get(_COMPRESSION, (1,))[0],
                        parts=parts,
                        jpeg_tables=bytes(tags.get(_JPEG_TABLES, ())),
                        grids=_grids(tags, parts),
                    )
                )
        if not pages:
            raise FrameUnreadableError("the TIFF holds no picture")
        return pages

    def _directory(self, at: int) -> tuple[Tags, int]:
        """The requested tags, and where the next directory is."""
        (entries,) = self._read(self._count, at)
        at += struct.calcsize(self._count)
        word_bytes = struct.calcsize(self._word)
        entry_bytes = 4 + 2 * word_bytes
        tags: Tags = {}
        for start in range(at, at + entries * entry_bytes, entry_bytes):
            tag, kind = self._read("HH", start)
            if tag in _TAGS and kind in _FORMATS:
                tags[tag] = self._values(kind, start + 4, word_bytes)
        (following,) = self._read(self._word, at + entries * entry_bytes)
        return tags, following

    def _values(self, kind: int, at: int, word_bytes: int) -> tuple[int, ...]:
        (count,) = self._read(self._word, at)
        if not 0 < count <= _MOST_VALUES:
            raise FrameUnreadableError("the TIFF is damaged (a tag without an end)")
        values = f"{count}{_FORMATS[kind]}"
        where = at + word_bytes
        if struct.calcsize(f"<{values}") > word_bytes:
            (where,) = self._read(self._word, where)
        return self._read(values, where)

    def _parts(self, tags: Tags) -> tuple[tuple[int, int], ...]:
        offsets, sizes = _STRIPS if _STRIPS[0] in tags else _TILES
        parts = tuple(zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False))
        if not parts or any(offset + size > len(self._content) for offset, size in parts):
            raise FrameUnreadableError("the TIFF is cut off (a part of a picture is missing)")
        return parts

    def _read(self, values: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{self._order}{values}", self._content, at)


def _grids(tags: Tags, parts: tuple[tuple[int, int], ...]) -> tuple[Grid, ...]:
    """Of strips one per plane; of tiles all below each other."""
    width, height = tags.get(_WIDTH, (0,))[0], tags.get(_HEIGHT, (0,))[0]
    samples = tags.get(_SAMPLES, (1,))[0]
    bits = tags.get(_BITS, (1,))
    subsampled = tags.get(_PHOTOMETRIC, (0,))[0] == _SUBSAMPLED
    if subsampled or tags.get(_FILL_ORDER, (1,))[0] == _REVERSED or width * height == 0:
        return ()
    planes = samples if tags.get(_PLANAR, (1,))[0] == _SEPARATE else 1
    pixel_bits = bits[0] if planes > 1 else bits[0] * samples
    if _STRIPS[0] not in tags:
        part_width, part_rows = tags.get(_TILE_WIDTH, (0,))[0], tags.get(_TILE_HEIGHT, (0,))[0]
        planes, rows = 1, part_rows * len(parts)
    else:
        part_width, rows = width, height
        part_rows = min(height, tags.get(_ROWS_PER_STRIP, (height,))[0])
    if not part_rows or len(parts) != planes * -(-rows // part_rows):
        raise FrameUnreadableError("the TIFF is damaged (parts of its picture are not listed)")
    row_bytes = -(-part_width * pixel_bits // 8)
    each = len(parts) // planes
    return tuple(
        Grid(
            row_bytes=row_bytes,
            rows=rows,
            part_rows=part_rows,
            parts=parts[plane * each : (plane + 1) * each],
        )
        for plane in range(planes)
    )


def as_grey_tiff(content: bytes, grid: Grid, compression: int) -> bytes:
    """The parts as the simplest kind of TIFF, with their data as grey pixels.

    It has no tag that a strict reader could object to.
    """
    count = len(grid.parts)
    lists_at = 8 + 2 + 12 * 9 + 4
    data_at = lists_at + 8 * count
    offsets, sizes = [], []
    for _, size in grid.parts:
        offsets.append(data_at)
        sizes.append(size)
        data_at += size
    # One value stands in the tag itself.
    listed = (offsets[0], sizes[0]) if count == 1 else (lists_at, lists_at + 4 * count)
    tags = (
        *((_WIDTH, 1, grid.row_bytes), (_HEIGHT, 1, grid.rows), (_BITS, 1, 8)),
        *((_COMPRESSION, 1, compression), (_PHOTOMETRIC, 1, 1), (_STRIPS[0], count, listed[0])),
        *((_SAMPLES, 1, 1), (_ROWS_PER_STRIP, 1, grid.part_rows), (_STRIPS[1], count, listed[1])),
    )
    parts = [b"II*\x00" + struct.pack("<IH", 8, len(tags))]
    parts += [struct.pack("<HHII", tag, 4, number, value) for tag, number, value in tags]
    parts.append(struct.pack(f"<I{2 * count}I", 0, *offsets, *sizes))
    parts += [content[offset : offset + size] for offset, size in grid.parts]
    return b"".join(parts)
