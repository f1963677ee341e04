"""How often the station is wrong on the units that people reviewed, with an interval. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inspector.core.records import Judgement, KeptFor, Result
from inspector.reviews.standing import KeptReview

Z_95 = 1.959963984540054
OTHER = "other"
"""Stands for the code of a missed defect that fits none of the codes."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share: how many of how many."""

    hits: int
    base: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Within which the true share lies with 95 %: Wilson's score interval; None of no base.

        With few reviews it is wide, and it is right where nothing was found at all: of 50 without a
        hit up to 7 % may still be wrong. E. B. Wilson, JASA 22 (1927), 209-212.
        """
        if self.base == 0:
            return None
        share, square = self.hits / self.base, Z_95 * Z_95
        middle = share + square / (2 * self.base)
        spread = Z_95 * math.sqrt(
            share * (1 - share) / self.base + square / (4 * self.base * self.base)
        )
        scale = 1 + square / self.base
        low, high = (middle - spread) / scale, (middle + spread) / scale
        # Rounding leaves 1e-18 where it is 0, and as much below 1.
        return (0.0 if self.hits == 0 else low, 1.0 if self.hits == self.base else high)


@dataclass(slots=True)
class Passed:
    """Reviews of units that PASSED."""

    reviewed: int = 0
    escapes: int = 0
    unsure: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    """Escapes by code; a unit counts once in each of its."""
    by_picture: dict[str, Share] = field(default_factory=dict)
    """By why the unit had a picture; `none` without one."""

    @property
    def share(self) -> Share:
        """Escapes among the reviewed units."""
        return Share(self.escapes, self.reviewed)


@dataclass(slots=True)
class Failed:
    """Reviews of units that FAILED."""

    reviewed: int = 0
    false_calls: int = 0
    unsure: int = 0
    also_missed: int = 0
    """Defects on them that were missed, besides those reported."""
    codes: dict[str, Share] = field(default_factory=dict)
    """False calls among the defects of each code that were judged."""

    @property
    def share(self) -> Share:
        """Units without any defect among those judged as a whole."""
        return Share(self.false_calls, self.reviewed)


@dataclass(frozen=True, slots=True)
class Counted:
    """What reviewers found."""

    passed: Passed
    failed: Failed


def count(units: Iterable[Sequence[KeptReview]]) -> Counted:
    """Count the reviews that hold, given unit by unit.

    A unit in doubt is neither right nor wrong, and is not counted in any base.
    """
    passed, failed = Passed(), Failed()
    for held in units:
        if not held:
            continue
        if held[0].unit_result is Result.PASSED:
            _count_passed(passed, held)
        elif held[0].unit_result is Result.FAILED:
            _count_failed(failed, held)
    failed.codes = dict(sorted(failed.codes.items()))
    return Counted(passed, failed)


def _count_passed(passed: Passed, held: Sequence[KeptReview]) -> None:
    missed = [review for review in held if review.judgement is Judgement.MISSED]
    if any(review.judgement is Judgement.UNSURE for review in held):
        passed.unsure += 1
        return
    passed.reviewed += 1
    passed.escapes += bool(missed)
    passed.codes.update({review.code or OTHER for review in missed})
    kept_for: KeptFor | None = held[-1].kept_for
    name = "none" if kept_for is None else kept_for.value
    before = passed.by_picture.get(name, Share(0, 0))
    passed.by_picture[name] = Share(before.hits + bool(missed), before.base + 1)


def _count_failed(failed: Failed, held: Sequence[KeptReview]) -> None:
    called = [review for review in held if review.judgement is not Judgement.MISSED]
    failed.also_missed += len(held) - len(called)
    whole = next((review for review in called if review.defect_id is None), None)
    if whole is not None and whole.judgement is Judgement.UNSURE:
        failed.unsure += 1
    elif whole is not None:
        failed.reviewed += 1
        failed.false_calls += whole.judgement is Judgement.FALSE_CALL
    for code, judgement in _judged_calls(called, whole):
        if judgement is Judgement.UNSURE:
            continue
        before = failed.codes.get(code, Share(0, 0))
        failed.codes[code] = Share(
            before.hits + (judgement is Judgement.FALSE_CALL), before.base + 1
        )


def _judged_calls(
    called: Sequence[KeptReview], whole: KeptReview | None
) -> list[tuple[str, Judgement]]:
    """What is said of each defect: on its own, else with the unit as a whole."""
    own = [(review.code, review.judgement) for review in called if review.defect_id is not None]
    said = [(code, judgement) for code, judgement in own if code is not None]
    if whole is not None:
        rest = Counter(whole.codes) - Counter(code for code, _ in said)
        said += [(code, whole.judgement) for code in rest.elements()]
    return said
