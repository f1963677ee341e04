"""Recorded footage, as a `source` setting names it: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import unquote

from inspector.sources.uri import Pace, SourceText, SourceTraits, SourceUri

if TYPE_CHECKING:
    from inspector.sources.files.footage import FootageSource
    from inspector.sources.opening import Opening


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FileUri(SourceUri):
    """Footage: a video, or a folder of pictures."""

    example: ClassVar[str] = "file:PATH"

    path: Path
    loop: bool = False
    pace: Pace | None = None
    """None: the command decides."""
    fps: float | None = None
    """Pace of a folder, or another pace for a video; None means as recorded."""

    @classmethod
    def parse(cls, text: SourceText) -> Self:
        """`file:PATH[?loop=1&pace=max&fps=25]`; after `//` the path is percent-encoded."""
        location, _, query = text.rest.partition("?")
        if location.startswith("//"):
            host, slash, path = location[2:].partition("/")
            if host not in {"", "localhost"} or not slash:
                raise text.malformed(
                    "a path on this machine: file:line.mp4 or file:///footage/line"
                )
            location = unquote(f"/{path}", errors="surrogateescape")
        if not location:
            raise text.malformed("the path of a video or of a folder of pictures: file:line.mp4")
        options = text.options(query, accepted=("loop", "pace", "fps"))
        loop = options.get("loop", "0")
        if loop not in {"0", "1"}:
            raise text.malformed("loop=0 or loop=1")
        return cls(
            path=Path(location),
            loop=loop == "1",
            pace=_pace(options.get("pace"), text),
            fps=text.fps(options),
        )

    @property
    def traits(self) -> SourceTraits:
        """A recording waits for its reader."""
        return SourceTraits(realtime=False, simulated=False, replayed=True)

    def make_source(self, opening: Opening) -> FootageSource:
        """The recording."""
        from inspector.sources.files.footage import FootageSource  # noqa: PLC0415 - FFmpeg

        return FootageSource(self, size=opening.size, pace=opening.pace, stop=opening.stop)

    def probe_size(self, opening: Opening) -> tuple[int, int]:
        """The size in which its first whole picture is shown."""
        from inspector.sources.opening import opened_size  # noqa: PLC0415 - NumPy

        return opened_size(self.make_source(replace(opening, size=None)))

    def probe_interval_ns(self) -> int | None:
        """The interval as it was recorded."""
        from inspector.sources.opening import Opening  # noqa: PLC0415 - NumPy

        source = self.make_source(Opening())
        try:
            source.open()
            return source.interval_ns
        finally:
            source.close()

    def advice(self, key: str) -> str:
        """Advice for a recording that is not at its path."""
        return f"correct the path in {key}.source"

    def __str__(self) -> str:
        return f"file:{self.path}"


def _pace(pace: str | None, text: SourceText) -> Pace | None:
    match pace:
        case None:
            return None
        case "recorded":
            return "recorded"
        case "max":
            return "max"
    raise text.malformed("pace=recorded or pace=max")
