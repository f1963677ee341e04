"""Finds the kind of sink that a `kind` setting names."""

from __future__ import annotations

from collections.abc import Mapping

from inspector.core.plugins import class_named, points_of
from inspector.sinks.kind import SinkKind

KINDS: Mapping[str, type[SinkKind]] = {}
"""By name. Other packages add theirs as entry points of the group `ENTRY_POINTS`.

Redis is not among them: every station has it, and its numbering follows Redis's streams.
"""

ENTRY_POINTS = "inspector.sinks"


def kind_named(name: str) -> type[SinkKind]:
    """The kind of sink of this name.

    Raises:
        ValueError: one sentence: what was found, what is accepted.

    """
    kind = KINDS.get(name) or class_named(ENTRY_POINTS, name, "the kind of sink", SinkKind)
    if kind is None:
        known = sorted({*KINDS, *(point.name for point in points_of(ENTRY_POINTS))})
        accepted = f"accepted are {', '.join(known)}" if known else "none is installed"
        msg = f"there is no kind of sink {name[:80]!r}; {accepted}"
        raise ValueError(msg)
    return kind
