"""What of a data set is taken otherwise than it is written, and what cannot be taken: said once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from training.errors import WrongInputError, WrongInputsError


class Taken(Enum):
    """How; for one, and for `{n}` of them."""

    CLIPPED = (
        "a box reaches over the edge of its picture: clipped",
        "{n} boxes reach over the edge of their pictures: clipped",
    )
    EMPTY = ("a box is empty: left out", "{n} boxes are empty: left out")
    TWICE = ("a label stands twice: taken once", "{n} labels stand twice: each taken once")
    SHAPE = (
        "a label is a shape: the box around it is taken",
        "{n} labels are shapes: the boxes around them are taken",
    )
    CROWD = ("a crowd region is left out", "{n} crowd regions are left out")
    TWELVE_BITS = (
        "a picture has twelve bits: its levels are divided by 16",
        "{n} pictures have twelve bits: their levels are divided by 16",
    )
    IN_BOTH = (
        "a labelled picture to train with is one to judge by, byte for byte: figures flatter",
        "{n} labelled pictures to train with are ones to judge by, byte for byte: figures flatter",
    )
    ELSEWHERE = (
        "a path is not as the description has it: found by its end",
        "{n} paths are not as the description has them: found by their ends",
    )
    NO_PART = (
        "a part is named and is not there: the set is used without it",
        "{n} parts are named and are not there: the set is used without them",
    )
    NO_NAMES = ("the classes have no names: numbered", "the classes have no names: numbered")
    NO_LABELS = (
        "no picture to train with has a label",
        "no picture to train with has a label",
    )


class Notes:
    """Of one data set, in the order of what was found first."""

    def __init__(self) -> None:
        self._taken: dict[Taken, list[str]] = {}
        self._problems: list[WrongInputError] = []

    def take(self, how: Taken, where: Path | str) -> None:
        """Something was taken otherwise than it is written."""
        self._taken.setdefault(how, []).append(str(where))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """What is wrong in here is raised by `settle`, together with all the rest."""
        try:
            yield
        except WrongInputError as problem:
            self._problems.append(problem)

    def settle(self) -> None:
        """Raise WrongInputError where anything was wrong: one problem, or all of them."""
        if len(self._problems) == 1:
            raise self._problems[0]
        if self._problems:
            raise WrongInputsError(self._problems)

    @property
    def lines(self) -> tuple[str, ...]:
        """What was taken otherwise: a line for each kind, with the first place."""
        return tuple(
            f"{_counted(how, len(places))} ({'' if len(places) == 1 else 'first '}{places[0]})"
            for how, places in self._taken.items()
        )


def _counted(how: Taken, count: int) -> str:
    one, many = how.value
    return one if count == 1 else many.format(n=count)
