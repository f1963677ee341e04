"""Finds the kind of camera of a `source` setting, by its scheme."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from inspector.core.plugins import class_named, points_of
from inspector.sources.files.uri import FileUri
from inspector.sources.genicam.uri import GenicamUri
from inspector.sources.rtsp.uri import RtspUri
from inspector.sources.simulated.uri import SimulatedUri
from inspector.sources.uri import SourceText, SourceUri
from inspector.sources.v4l2.uri import V4l2Uri

KINDS: Mapping[str, type[SourceUri]] = {
    "rtsp": RtspUri,
    "rtsps": RtspUri,
    "v4l2": V4l2Uri,
    "genicam": GenicamUri,
    "file": FileUri,
    "sim": SimulatedUri,
}
"""By scheme. Other packages add theirs as entry points of the group `ENTRY_POINTS`."""

ENTRY_POINTS = "inspector.camera_sources"

_ANY_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def parse_source(written: str) -> SourceUri:
    """The camera that a `source` setting names.

    Raises:
        ValueError: one sentence: what was found, what is accepted. Holds no password.

    """
    scheme, colon, rest = written.strip().partition(":")
    text = SourceText(written=written, scheme=scheme.lower() if colon else "", rest=rest)
    kind = KINDS.get(text.scheme) or class_named(
        ENTRY_POINTS,
        text.scheme,
        "the kind of camera",
        SourceUri,  # type: ignore[type-abstract]
    )
    if kind is None:
        msg = f"{text.shown()!r} is not a camera source; accepted are {_accepted()}"
        raise ValueError(msg)
    return kind.parse(text)


def named_source(text: str, *, exists: bool) -> SourceUri:
    """The source that an argument of a command names; `exists`: whether a file of this name exists.

    A file that exists takes precedence: `10:30.mp4`, `what?.mp4`, `sim:`.

    Raises:
        ValueError: as `parse_source`.

    """
    if exists:
        return FileUri(path=Path(text))
    scheme = text.partition(":")[0].lower() if ":" in text else ""
    is_known = scheme in {*KINDS, *(point.name for point in points_of(ENTRY_POINTS))}
    return parse_source(text if is_known or _ANY_URL.match(text) else f"file:{text}")


def _accepted() -> str:
    examples = [kind.example for kind in dict.fromkeys(KINDS.values())]
    examples += [f"{point.name}:" for point in points_of(ENTRY_POINTS)]
    return f"{', '.join(examples[:-1])} or {examples[-1]}"
