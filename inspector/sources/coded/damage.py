"""Decides which pictures can be trusted after one was damaged in transit, or never came: pure."""

from __future__ import annotations

from typing import Protocol

from inspector.sources.coded.picture_order import Coded, Start

FOLLOWS = "drawn from pictures that did not arrive whole"


class Decoded(Protocol):
    """What a decoder reports about a picture."""

    @property
    def is_corrupt(self) -> bool:
        """Whether parts of it are guessed."""

    @property
    def key_frame(self) -> bool:
        """Whether it depends on no picture before it."""


class Doubt:
    """Follows a stream in the order of decoding: whether all came that a picture depends on.

    After any doubt no picture is trusted before the next whole key frame, or the end of a gradual
    refresh that began after it. A picture that depends on no other is trusted by itself.
    """

    def __init__(self) -> None:
        self._cause = ""
        self._since = 0
        """How many pictures came after the doubtful one."""
        self._leading_is_whole = True

    def take(self, picture: Coded, outside: str = "") -> str:
        """Why this picture cannot be trusted, or "".

        `outside` names what was lost in transit while it was read: it may have been part of it.
        """
        if outside or picture.torn:
            return self._begin(outside or picture.torn)
        if picture.leading:
            return self._leading(picture)
        if picture.start is Start.CLEAN:
            self._leading_is_whole = not self._cause and not picture.gap
            self._cause = ""
            return ""
        if picture.gap:
            if not picture.spoils:
                return picture.gap
            self._begin(picture.gap)
        if not self._cause:
            return ""
        self._since += 1
        if picture.refreshed_over is not None and picture.refreshed_over <= self._since:
            self._cause = ""
        return "" if picture.alone else self._cause

    def _begin(self, cause: str) -> str:
        self._cause, self._since = cause, 0
        return cause

    def _leading(self, picture: Coded) -> str:
        if picture.gap and picture.spoils:
            return self._begin(picture.gap)
        if self._leading_is_whole:
            return self._cause or picture.gap
        return FOLLOWS


class Damage:
    """Follows one connection: whether a picture is whole, and those that it depends on.

    A decoder marks the picture in which something was missing and no later one, though each depends
    on it: measured with H.264, all pictures up to the next key frame are wrong to the same degree.
    Pictures before the first whole one of a connection damage nothing, so a stream without key
    frames, which refreshes a part at a time, can still be read. A damaged key frame still damages
    what follows: everything up to the next depends on it.
    """

    def __init__(self) -> None:
        self._had_whole = False
        self._is_damaged = False

    def is_whole(self, picture: Decoded | None, *, is_clean_start: bool = False) -> bool:
        """Take the next picture; None if it could not be decoded at all.

        `is_clean_start`: the stream says that what follows depends on nothing before it.
        """
        if picture is None or picture.is_corrupt:
            self._is_damaged = self._had_whole or is_clean_start
            return False
        if picture.key_frame:
            self._is_damaged = False
        self._had_whole = self._had_whole or not self._is_damaged
        return not self._is_damaged
