"""The settings sections on what a unit is and what is kept of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from inspector.settings.types import Milliseconds, Section, Share

Trigger = Literal["every_frame", "presence", "external"]
"""Each frame is a unit; a virtual photo-eye sees units pass; the PLC or MES says when."""

CropSetting = Literal["auto", "region", "unit", "tiles", "unit_tiles"]
"""The part of a frame that is inspected: a fixed region; the unit, cut out and turned upright; the
region in overlapping tiles at its own scale; the unit in such tiles where it is much larger than
the model's input. `auto`: the unit where presence finds it, else the region."""

Travel = Literal["left", "right", "up", "down"]
"""The direction in which units move in the picture."""

Arrival = Literal["border", "anywhere"]
"""Where units appear: only at a border of the view; or also inside it, put there by hand."""

SerialFormat = Literal["DataMatrix", "QRCode", "Code128"]


class SerialSettings(Section):
    """How the serial number on a unit is read; without this section none is read."""

    formats: Annotated[tuple[SerialFormat, ...], Field(min_length=1)] = (
        "DataMatrix",
        "QRCode",
        "Code128",
    )
    pattern: str = ""
    """A regular expression the whole serial must match; empty accepts any."""
    timeout_ms: Milliseconds = 150.0
    """How long a verdict waits at most for a serial that is still being read."""

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            msg = f"pattern {pattern!r} is no regular expression ({error})"
            raise ValueError(msg) from None
        return pattern


SMALLEST_MARK_PX = 12
"""The smallest useful mark: the place of a smaller one is too uncertain."""


class OpticsSettings(Section):
    """Limits from which a camera's picture shows too little or is unusual; 0: not checked.

    The usual values were taught with the product, or are learned from the first pictures.
    """

    blur_px: Annotated[float, Field(ge=0, le=100)] = 4.5
    """Sigma of the blur of its edges, in pixels of the frame: refused."""
    clipped: Share = 0.2
    """Share of the unit that is overexposed, the mean of the colours, if nothing in it is dark:
    refused."""
    blurrier_px: Annotated[float, Field(ge=0, le=100)] = 0.6
    """Blur beyond the usual one that is refused where a network sees the unit alone."""
    blurrier_compared_px: Annotated[float, Field(ge=0, le=100)] = 1.5
    """The same where it sees the unit beside its reference, which tolerates more."""
    least_contrast: Annotated[int, Field(ge=0, le=255)] = 3
    """Grey levels: a picture in which nothing rises as high, or twice as high as its noise, shows
    nothing, and is refused as blank. More where the product is known to have edges: an empty belt
    rises by some 7, the light's fall towards the corners by 6."""
    contrast: Share = 0.35
    """Edges lower than this share of the usual ones: refused as blank."""
    darker: Share = 0.25
    """Share of the usual light that is missing: refused. More, up to 0.4, where light drifted by
    itself in the lesson."""
    brighter: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Share of additional light: refused."""
    tint: Share = 0.25
    """Relative change of one colour's share: warned of."""
    noise: Annotated[float, Field(ge=0, le=255)] = 15.0
    """Grey levels of noise more than usual: warned of."""
    mark: tuple[int, int, int, int] | None = None
    """x, y, width, height of something in the picture that never moves and that nothing covers."""
    moved_px: Annotated[float, Field(ge=0, le=1000)] = 6.0
    """Distance of the mark from its place: refused."""
    warn_share: Share = 0.5
    """As a share of the way from usual to refused: warned of from there on."""


class EvidenceSettings(Section):
    """Which pictures of units are kept, where, and how much disk they may take."""

    enabled: bool = True
    directory: Path | None = None
    """The folder; None: `evidence` in the journal's directory."""
    passed_share: Share = 0.02
    """The share of PASSED units that is kept, drawn by chance; all others are always kept."""
    near_threshold: Share = 0.1
    """A PASSED unit's picture is kept too if its best finding was below its threshold by no more
    than this; 0: never."""
    near_quota_gb: Annotated[float, Field(gt=0, le=1_000_000)] = 2.0
    """The most space for those, within `quota_gb`; then the oldest of them are deleted."""
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] = 90
    quota_gb: Annotated[float, Field(gt=0, le=1_000_000)] = 20.0
    free_floor_gb: Annotated[float, Field(ge=0, le=1_000_000)] = 2.0
    """The space that must stay free on the file system, whatever fills it."""
    timeout_ms: Milliseconds = 300.0
    """How long a verdict waits at most for its picture to be on disk."""
