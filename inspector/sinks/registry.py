"""Which kind of sink a `kind` setting means."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from inspector.sinks.kind import SinkKind

KINDS: Mapping[str, type[SinkKind]] = {}
"""By name. Other packages add theirs as entry points of the group `ENTRY_POINTS`.

Redis is none of them: every station has it, and its numbering follows Redis's streams.
"""

ENTRY_POINTS = "inspector.sinks"


def kind_named(name: str) -> type[SinkKind]:
    """The kind of sink of this name.

    Raises:
        ValueError: one sentence: what was found, what is accepted.

    """
    kind = KINDS.get(name) or _installed(name)
    if kind is None:
        known = sorted({*KINDS, *(point.name for point in _points())})
        accepted = f"accepted are {', '.join(known)}" if known else "none is installed"
        msg = f"there is no kind of sink {name[:80]!r}; {accepted}"
        raise ValueError(msg)
    return kind


def _points() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def _installed(name: str) -> type[SinkKind] | None:
    """Another package's kind of this name; the first one, if several say that they are it."""
    point = next((point for point in _points() if point.name == name), None)
    if point is None:
        return None
    named = f"the kind of sink {name!r}, which is installed as {point.value},"
    try:
        kind = point.load()
    except Exception as error:  # a stranger's module may raise anything
        msg = f"{named} cannot be imported ({type(error).__name__}: {error})"
        raise ValueError(msg) from error
    if not (isinstance(kind, type) and issubclass(kind, SinkKind)):
        msg = f"{named} is no SinkKind; expected a class that derives from it"
        raise ValueError(msg)  # noqa: TRY004 - a setting that is refused is a ValueError
    return kind
