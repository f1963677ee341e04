"""Extensions that other packages add, as entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

T = TypeVar("T")


def points_of(group: str) -> list[EntryPoint]:
    """The entry points of a group, by name."""
    return sorted(entry_points(group=group), key=lambda point: point.name)


def naming(point: EntryPoint, what: str) -> str:
    """The beginning of a sentence about it; `what` is, for example, "the kind of sink"."""
    return f"{what} {point.name!r}, which is installed as {point.value},"


def loaded(point: EntryPoint, what: str) -> Any:
    """The object that it names.

    Raises:
        ValueError: one sentence: it cannot be imported.

    """
    try:
        return point.load()
    except Exception as error:  # a module of another package may raise anything
        msg = f"{naming(point, what)} cannot be imported ({type(error).__name__}: {error})"
        raise ValueError(msg) from error


def class_named(group: str, name: str, what: str, base: type[T]) -> type[T] | None:
    """Another package's class of this name; the first one, if there are several.

    Raises:
        ValueError: one sentence: it cannot be imported, or does not derive from `base`.

    """
    point = next((point for point in points_of(group) if point.name == name), None)
    if point is None:
        return None
    found = loaded(point, what)
    if not (isinstance(found, type) and issubclass(found, base)):
        msg = f"{naming(point, what)} is no {base.__name__}; expected a class that derives from it"
        raise ValueError(msg)  # noqa: TRY004 - a setting that is refused is a ValueError
    return found
