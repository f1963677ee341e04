"""A camera of this machine, as a `source` setting names it: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from inspector.sources.uri import SourceText, SourceTraits, SourceUri

if TYPE_CHECKING:
    from inspector.sources.opening import Opening
    from inspector.sources.v4l2.camera import V4l2Source

_FOURCC_LENGTH = 4


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class V4l2Uri(SourceUri):
    """A camera of this machine: USB, or a capture card."""

    example: ClassVar[str] = "v4l2:/dev/video0"

    device: Path
    fourcc: str | None = None
    """Pixel format to request, such as MJPG; None: the driver decides."""
    fps: float | None = None

    @classmethod
    def parse(cls, text: SourceText) -> Self:
        """`v4l2:/dev/video0[?fourcc=MJPG&fps=30]`."""
        device, _, query = text.rest.partition("?")
        if not device.startswith("/dev/"):
            raise text.malformed("a device file, such as v4l2:/dev/video0")
        options = text.options(query, accepted=("fourcc", "fps"))
        fourcc = options.get("fourcc")
        if fourcc is not None and not (len(fourcc) == _FOURCC_LENGTH and fourcc.isascii()):
            raise text.malformed("fourcc= with four letters, such as MJPG or YUYV")
        return cls(device=Path(device), fourcc=fourcc, fps=text.fps(options))

    @property
    def traits(self) -> SourceTraits:
        """It goes on whether or not its reader keeps up."""
        return SourceTraits(realtime=True, simulated=False, replayed=False)

    def make_source(self, opening: Opening) -> V4l2Source:
        """The camera."""
        from inspector.sources.v4l2.camera import V4l2Source  # noqa: PLC0415 - OpenCV

        return V4l2Source(
            self, size=opening.size, read_timeout_s=opening.read_timeout_s, stop=opening.stop
        )

    def probe_size(self, opening: Opening) -> tuple[int, int]:
        """Start it, and wait for the first whole frame."""
        from inspector.sources.opening import opened_size  # noqa: PLC0415 - NumPy

        return opened_size(self.make_source(replace(opening, size=None)))

    def advice(self, key: str) -> str:
        """Advice for a local camera that delivers nothing."""
        return f"plug it in, end other programs that use it, or correct {key}.source"

    def __str__(self) -> str:
        return f"v4l2:{self.device}"
