"""RTP packets that never came: the sequence numbers that FFmpeg reads and only its log shows."""

from __future__ import annotations

import logging
import re
from typing import Self

import av.logging

_LOST = re.compile(
    r"RTP: missed (?P<count>-?\d+) packets|bad cseq|Missed packets|max delay reached"
)


class RtpLosses:
    """Listens to FFmpeg while a packet is read: one thread, around each read.

    FFmpeg's RTP reader passes on what came as if nothing were missing, and its packets
    carry no sequence numbers. Its log reports a gap before it passes on what follows the gap.
    """

    def __init__(self) -> None:
        _let_ffmpeg_speak()
        self._capture = av.logging.Capture(local=True)
        self._told: list[tuple[int, str, str]] = []
        self._cause = ""

    def __enter__(self) -> Self:
        self._told = self._capture.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.__exit__(None, None, None)
        for _level, _name, message in self._told:
            if (found := _LOST.search(message)) is not None:
                self._cause = f"{found['count'] or 'some'} RTP packets never arrived"
        self._told.clear()

    def take(self) -> str:
        """What was lost since the last call, or nothing."""
        cause, self._cause = self._cause, ""
        return cause


def _let_ffmpeg_speak() -> None:
    """FFmpeg's warnings reach us, and nobody else: what matters is reported in our words."""
    logger = logging.getLogger("libav")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.WARNING)
        av.logging.set_skip_repeated(False)
