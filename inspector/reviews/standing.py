"""Reviews as the journal has them, and which of them hold. Pure.

Nothing is ever edited: to change a review, a person adds another one; to withdraw it, one that
names it. The review before that then applies again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from inspector.core.records import Judgement, KeptFor, Result

REVIEWS_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReview:
    """A review as it was given."""

    id: str
    """ULID of its event."""
    unit_event_id: str
    unit_result: Result
    judgement: Judgement
    defect_id: str | None
    code: str | None
    bbox_px: tuple[float, float, float, float] | None
    codes: tuple[str, ...]
    comment: str
    by: str
    takes_back: str | None
    kept_for: KeptFor | None
    time: str
    seen_s: float
    """When it was given: seconds since the epoch."""

    @property
    def matter(self) -> tuple[str, str | None]:
        """What it is about: of several reviews on the same matter the latest applies.

        Each missed defect is a matter of its own: a unit may have several.
        """
        if self.judgement is Judgement.MISSED:
            return "missed", self.id
        return "called", self.defect_id


def kept_review(body: Mapping[str, Any]) -> KeptReview:
    """A review event's body as a review; older ones have only a judgement and a code."""
    code, bbox_px, kept_for = body["code"], body.get("bbox_px"), body.get("kept_for")
    return KeptReview(
        id=body["id"],
        unit_event_id=body["unit_event_id"],
        unit_result=Result(body.get("unit_result", Result.FAILED)),
        judgement=Judgement(body["result"]),
        defect_id=body["defect_id"],
        code=code,
        bbox_px=None if bbox_px is None else tuple(bbox_px),
        codes=tuple(body.get("codes", () if code is None else (code,))),
        comment=body.get("comment", ""),
        by=body.get("by", ""),
        takes_back=body.get("takes_back"),
        kept_for=None if kept_for is None else KeptFor(kept_for),
        time=body["time"],
        seen_s=datetime.fromisoformat(body["time"]).timestamp(),
    )


def standing(reviews: Sequence[KeptReview]) -> tuple[KeptReview, ...]:
    """The reviews of one unit that apply, oldest first: one per matter."""
    taken_back = {review.takes_back for review in reviews if review.takes_back is not None}
    latest: dict[tuple[str, str | None], KeptReview] = {}
    for review in reviews:
        if review.judgement is Judgement.WITHDRAWN or review.id in taken_back:
            continue
        latest.pop(review.matter, None)  # so that it comes last
        latest[review.matter] = review
    return tuple(latest.values())


class Says(StrEnum):
    """What the reviews of a unit amount to. A closed list."""

    GOOD = "good"
    """It has no defect: confirmed, or every call on it is false."""
    BAD = "bad"
    """It has a defect that the station called, or one that it missed."""
    UNSURE = "unsure"
    OPEN = "open"
    """The reviews do not decide it."""


def conclusion(held: Sequence[KeptReview], result: Result, defect_ids: Sequence[str] = ()) -> Says:
    """What follows from the reviews that apply to one unit.

    `defect_ids` are those of its calls: where people judged each of them, there is no need to judge
    the unit as a whole. A missed defect makes it bad, whatever was said before; a doubt about any
    of its places leaves it in doubt.
    """
    said = {review.defect_id: review.judgement for review in held if review.matter[0] == "called"}
    missed = [review for review in held if review.judgement is Judgement.MISSED]
    if Judgement.UNSURE in said.values():
        return Says.UNSURE
    if missed:
        return Says.BAD
    if result is Result.PASSED:
        return Says.GOOD if said.get(None) is Judgement.CONFIRMED else Says.OPEN
    if result is not Result.FAILED:
        return Says.OPEN
    calls = [said.get(defect_id, said.get(None)) for defect_id in defect_ids] or [said.get(None)]
    if None in calls:
        return Says.OPEN
    return Says.BAD if Judgement.CONFIRMED in calls else Says.GOOD


class ReviewBook:
    """All reviews, by unit, of the last `REVIEWS_REMEMBERED` or so. One thread."""

    def __init__(self, most: int = REVIEWS_REMEMBERED) -> None:
        self._most = most
        self._count = 0
        self._of_unit: OrderedDict[str, list[KeptReview]] = OrderedDict()

    def add(self, review: KeptReview) -> None:
        """Take a review, in the order in which they were given; forgets the oldest units."""
        self._of_unit.setdefault(review.unit_event_id, []).append(review)
        self._of_unit.move_to_end(review.unit_event_id)
        self._count += 1
        while self._count > self._most and len(self._of_unit) > 1:
            _, gone = self._of_unit.popitem(last=False)
            self._count -= len(gone)

    def of(self, unit_event_id: str) -> tuple[KeptReview, ...]:
        """All reviews of a unit, oldest first."""
        return tuple(self._of_unit.get(unit_event_id, ()))

    def held(self, since_s: float = 0.0) -> Iterator[tuple[KeptReview, ...]]:
        """The reviews that apply, for each unit that was reviewed since then."""
        for reviews in self._of_unit.values():
            if reviews[-1].seen_s >= since_s and (held := standing(reviews)):
                yield held


def by_unit(reviews: Iterable[KeptReview]) -> dict[str, tuple[KeptReview, ...]]:
    """The reviews of each unit, in the order in which they were given."""
    found: dict[str, list[KeptReview]] = {}
    for review in reviews:
        found.setdefault(review.unit_event_id, []).append(review)
    return {unit: tuple(of_unit) for unit, of_unit in found.items()}
