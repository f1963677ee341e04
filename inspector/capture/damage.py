"""Which decoded pictures can be believed after one was damaged on its way."""

from __future__ import annotations

from typing import Protocol


class Decoded(Protocol):
    """What a decoder says of a picture."""

    @property
    def is_corrupt(self) -> bool:
        """Parts of it are guessed."""

    @property
    def key_frame(self) -> bool:
        """It is drawn without the pictures before it."""


class Damage:
    """Of one connection: whether a picture is whole, and so are those that it is drawn from.

    A decoder marks the picture in which something was missing and no later one, though each is
    drawn on top of it: measured with H.264, all pictures up to the next key frame are wrong to
    the same degree. What precedes the first whole picture of a connection damages nothing, so a
    stream that has no key frames at all, and refreshes a part at a time, can still be read.
    """

    def __init__(self) -> None:
        self._had_whole = False
        self._is_damaged = False

    def is_whole(self, picture: Decoded | None) -> bool:
        """Take the next picture; None where it could not be decoded at all."""
        if picture is None or picture.is_corrupt:
            self._is_damaged = self._had_whole
            return False
        if picture.key_frame:
            self._is_damaged = False
        self._had_whole = self._had_whole or not self._is_damaged
        return not self._is_damaged
