"""Chooses the pictures to delete when room is needed: PASSED first, oldest first.

Pure. Those near a threshold have a separate limit and go after the other PASSED pictures.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A picture on the disk."""

    path: str
    """Relative to the evidence directory. It has the clock's time, which is wrong if the clock was
    set."""
    size_bytes: int
    passed: bool
    near: bool = False
    """PASSED, and kept because it was near a threshold."""
    written_ns: int = 0
    """Grows from picture to picture, whatever the clock does; the name decides between equal
    ones."""

    @property
    def day(self) -> str:
        """The folder that contains it."""
        return self.path.partition("/")[0]


class RetentionIndex:
    """The stored pictures in the order of deletion; one thread.

    Adding, dropping and choosing cost the logarithm of the number of pictures, so that nothing is
    listed or sorted when a picture is written. About 300 bytes of memory per picture.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._per_day: dict[str, int] = {}
        # Oldest on top. A path that is no longer in `_sizes` is skipped when it comes up, and one
        # of `_moved` too, unless it comes up as it says there.
        self._passed: list[tuple[int, str]] = []
        self._near: list[tuple[int, str]] = []
        self._rest: list[tuple[int, str]] = []
        self._moved: dict[str, int] = {}
        self.total_bytes = 0
        self.near_bytes = 0
        """The bytes of those near a threshold, which are in the total too."""

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, path: str) -> bool:
        return path in self._sizes

    def add(self, kept: Kept) -> None:
        """A picture was written or found; in any order. Adding a path again updates its size."""
        if kept.path in self._sizes:
            self._grow(kept, kept.size_bytes - self._sizes[kept.path])
            self._sizes[kept.path] = kept.size_bytes
            return
        self._push(kept)
        self._sizes[kept.path] = kept.size_bytes
        self._per_day[kept.day] = self._per_day.get(kept.day, 0) + 1
        self._grow(kept, kept.size_bytes)

    def move(self, kept: Kept) -> None:
        """Move a known picture to another place in the order."""
        if kept.path in self._sizes:
            self._moved[kept.path] = kept.written_ns
            self._push(kept)

    def first_to_go(self) -> Iterator[Kept]:
        """The pictures in the order of deletion; each leaves the index as it is yielded.

        Stop iterating once there is room.
        """
        yield from self._leaving(self._passed, passed=True)
        yield from self.first_near_to_go()
        yield from self._leaving(self._rest, passed=False)

    def first_near_to_go(self) -> Iterator[Kept]:
        """The same for those near a threshold alone."""
        yield from self._leaving(self._near, passed=True, near=True)

    def _leaving(
        self, heap: list[tuple[int, str]], *, passed: bool, near: bool = False
    ) -> Iterator[Kept]:
        while heap:
            written_ns, path = heapq.heappop(heap)
            if path not in self._sizes or self._moved.get(path, written_ns) != written_ns:
                continue
            kept = Kept(
                path=path,
                size_bytes=self._sizes.pop(path),
                passed=passed,
                near=near,
                written_ns=written_ns,
            )
            self._moved.pop(path, None)
            self._forget(kept)
            yield kept

    def _push(self, kept: Kept) -> None:
        heap = self._near if kept.near else self._passed if kept.passed else self._rest
        heapq.heappush(heap, (kept.written_ns, kept.path))

    def _grow(self, kept: Kept, by_bytes: int) -> None:
        self.total_bytes += by_bytes
        if kept.near:
            self.near_bytes += by_bytes

    def is_last_of(self, day: str) -> bool:
        """Whether no picture of this day is left."""
        return day not in self._per_day

    def _forget(self, kept: Kept) -> None:
        self._grow(kept, -kept.size_bytes)
        self._per_day[kept.day] -= 1
        if not self._per_day[kept.day]:
            del self._per_day[kept.day]


def to_free_bytes(
    *, incoming_bytes: int, kept_bytes: int, quota_bytes: int, free_bytes: int, floor_bytes: int
) -> int:
    """Bytes to delete before a picture of `incoming_bytes` is stored; 0 or less: none."""
    over_quota_bytes = kept_bytes + incoming_bytes - quota_bytes
    under_floor_bytes = floor_bytes + incoming_bytes - free_bytes
    return max(over_quota_bytes, under_floor_bytes)
