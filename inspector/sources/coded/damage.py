"""Which pictures can be believed after one was damaged on its way, or never came: pure."""

from __future__ import annotations

from typing import Protocol

from inspector.sources.coded.picture_order import Coded, Start

FOLLOWS = "drawn from pictures that did not arrive whole"


class Decoded(Protocol):
    """What a decoder says of a picture."""

    @property
    def is_corrupt(self) -> bool:
        """Parts of it are guessed."""

    @property
    def key_frame(self) -> bool:
        """It is drawn without the pictures before it."""


class Doubt:
    """Of one stream, in the order of decoding: whether all came that a picture is drawn from.

    After any doubt no picture is believed before the next key frame that came whole, or the end
    of a refresh in parts that began after it. A picture drawn from no other is believed alone.
    """

    def __init__(self) -> None:
        self._cause = ""
        self._since = 0
        """Pictures that came after what is in doubt."""
        self._leading_is_whole = True

    def take(self, picture: Coded, outside: str = "") -> str:
        """Why this picture cannot be believed, or nothing.

        `outside` names what was lost on the way while it was read: it may have been part of it.
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
    """Of one connection: whether a picture is whole, and so are those that it is drawn from.

    A decoder marks the picture in which something was missing and no later one, though each is
    drawn on top of it: measured with H.264, all pictures up to the next key frame are wrong to
    the same degree. What precedes the first whole picture of a connection damages nothing, so a
    stream that has no key frames at all, and refreshes a part at a time, can still be read. A
    damaged key frame damages what follows even so: everything up to the next is drawn from it.
    """

    def __init__(self) -> None:
        self._had_whole = False
        self._is_damaged = False

    def is_whole(self, picture: Decoded | None, *, is_clean_start: bool = False) -> bool:
        """Take the next picture; None where it could not be decoded at all.

        `is_clean_start`: the stream says that what follows is drawn from nothing before it.
        """
        if picture is None or picture.is_corrupt:
            self._is_damaged = self._had_whole or is_clean_start
            return False
        if picture.key_frame:
            self._is_damaged = False
        self._had_whole = self._had_whole or not self._is_damaged
        return not self._is_damaged
