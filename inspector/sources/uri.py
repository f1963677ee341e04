"""What every kind of camera says about itself before it is opened: pure, without OpenCV and PyAV.

A kind has its own module or folder beside this one; `registry` lists them by the scheme of their
`source` setting.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self
from urllib.parse import parse_qsl

from inspector.core.plain_text import plain
from inspector.core.url_text import STARS, unparsed

if TYPE_CHECKING:  # NumPy comes with it, and settings are checked without
    from inspector.core.ports import FrameSource
    from inspector.sources.opening import Opening

Pace = Literal["recorded", "max"]

# Begins at a word's start and looks no further than a login can be long: without that, text of
# 100 kB took minutes, and every line of the log goes through here.
_USERINFO = re.compile(
    r"(?<![a-z])(?P<start>[a-z]+://)(?P<user>[^\s:/@]{0,256}):\S{0,2048}@", re.IGNORECASE
)
# Some cameras expect the login in the path (`/user=a_password=b_channel=1.sdp`) or the query.
_PARAMETER = re.compile(
    r"(?P<name>pass(?:word|wd)?|pwd|token|secret)=.*?(?=&|_[a-z]+=|[\s#'\"]|$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTraits:
    """What a source's kind says about its frames."""

    realtime: bool
    """It does not wait for its reader: frames that are not read in time are lost."""
    simulated: bool
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """A `source` setting as it was written, split at its scheme."""

    written: str
    scheme: str
    """In lower case."""
    rest: str
    """What follows the colon."""

    def options(self, query: str, *, accepted: tuple[str, ...] | None) -> dict[str, str]:
        """The query's options, each at most once; `accepted=None` takes any name.

        Raises:
            ValueError: as `malformed` words it.

        """
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise self.malformed("options as name=value, joined by &") from None
        options = dict(pairs)
        if len(options) != len(pairs):
            raise self.malformed("each option once")
        unknown = [name for name in options if accepted is not None and name not in accepted]
        if accepted is not None and unknown:
            found = ", ".join(unknown)
            raise self.malformed(f"only the options {', '.join(accepted)}, but has {found}")
        return options

    def fps(self, options: Mapping[str, str]) -> float | None:
        """Frames per second, if the options name them.

        Raises:
            ValueError: no number that a camera can have.

        """
        if "fps" not in options:
            return None
        try:
            fps = float(options["fps"])
        except ValueError:
            fps = 0.0
        if not 0 < fps <= 1000:  # noqa: PLR2004 (no camera is faster; catches a typing error)
            raise self.malformed("fps= between 0 and 1000 frames per second")
        return fps

    def malformed(self, expected: str) -> ValueError:
        """The error for this source: one sentence, without its password."""
        return ValueError(f"{self.shown()!r} is not a camera source: expected {expected}")

    def shown(self) -> str:
        """The refused source as it may be shown; a file has no login to hide."""
        is_file = self.scheme == "file" and "@" not in self.written
        return plain(redact(self.written if is_file else unparsed(self.written)))


class SourceUri(ABC):
    """A camera as a `source` setting names it: a frozen value; nothing is open yet.

    A kind of camera is a frozen dataclass that derives from this. `str` and `repr` of it hold no
    password.
    """

    __slots__ = ()

    example: ClassVar[str]
    """An example of such a source; shown if a source is refused."""
    has_features: ClassVar[bool] = False
    """Whether a camera of this kind can be set through the `features` of its settings."""

    @classmethod
    @abstractmethod
    def parse(cls, text: SourceText) -> Self:
        """The camera that the text names.

        Raises:
            ValueError: one sentence, without a password: see `SourceText.malformed`.

        """

    @property
    @abstractmethod
    def traits(self) -> SourceTraits:
        """What is true of every frame of this camera."""

    @abstractmethod
    def make_source(self, opening: Opening) -> FrameSource:
        """The camera itself, not opened yet. Large libraries are imported only here."""

    @abstractmethod
    def probe_size(self, opening: Opening) -> tuple[int, int]:
        """Width and height in pixels of what the camera delivers by itself.

        Blocks for as long as opening takes; `opening.size` is ignored.

        Raises:
            CameraUnavailableError: it cannot be reached, or delivers nothing.

        """

    def probe_interval_ns(self) -> int | None:
        """The time from one frame to the next if the source itself decides it, else None.

        Raises:
            CameraUnavailableError: a recording cannot be read.

        """
        return None

    def secrets(self) -> tuple[str, ...]:
        """Every password in it, in plain text, for the log to look out for. Never print it."""
        return ()

    def tls_peer(self) -> tuple[str, int] | None:
        """Host and port that show a certificate; None for a camera that shows none."""
        return None

    def advice(self, key: str) -> str:
        """What a person can do if it cannot be opened; `key` is its section, `cameras.<id>`."""
        return f"correct {key}.source"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def redact(text: str) -> str:
    """`text` with every password in it starred out; safe for malformed URLs too.

    From the user's colon up to the last @ of the word, because a password that was not
    percent-encoded may hold any character: rather a path hidden than a password shown.
    """
    starred = _USERINFO.sub(rf"\g<start>\g<user>:{STARS}@", text)
    return _PARAMETER.sub(rf"\g<name>={STARS}", starred)
