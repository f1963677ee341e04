"""Rules on what consecutive verdicts say about the process that makes the units: pure, no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector.core.basics import CameraId
from inspector.core.faults import ProcessRule
from inspector.core.newest import Newest

PRODUCTS_KEPT = 32
"""How many products are distinguished at each camera; the least recent one is forgotten."""
_FORGOTTEN_AFTER = 20
"""How many units of other products end an alarm of a product, because the line no longer makes it.
Products that alternate, distinguished by their serials, each keep their own."""
_CLEARS_AT = 0.8
"""As a share of the limit: a value near the limit raises one alarm only."""

DELIBERATE = frozenset({"teaching", "changing_over", "no_product", "locked", "shutting_down"})
"""Reasons why a unit was not inspected that say nothing about the process: they are intended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """The limits at which a rule raises its alarm; 0: never."""

    same_place: int = 0
    same_place_px: float = 20.0
    """The largest distance between the centres of two defects at the same place."""
    failed: int = 0
    not_inspected: int = 0
    share: float = 0.0
    share_units: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDefect:
    """A defect that has a place, as `defects[]` of its unit's event says."""

    code: str
    bbox_px: tuple[float, float, float, float]
    """x, y, width and height in the pixels of the unit's picture."""

    @property
    def middle_px(self) -> tuple[float, float]:
        """The centre of its box."""
        x, y, width, height = self.bbox_px
        return x + width / 2, y + height / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedOne:
    """A unit with its verdict, as its event says."""

    camera: CameraId
    product: str
    number: int
    unit_id: str
    event_id: str
    result: str
    reason: str | None
    defects: tuple[PlacedDefect, ...] = ()
    picture_uri: str = ""


def judged_one(body: Mapping[str, Any]) -> JudgedOne:
    """The unit that a unit event is about."""
    evidence = body["evidence"]
    return JudgedOne(
        camera=CameraId(body["camera"]),
        product=(body.get("product") or {}).get("name", ""),
        number=body["unit"]["number"],
        unit_id=body["unit"]["id"],
        event_id=body["id"],
        result=body["result"],
        reason=body["reason"],
        defects=tuple(
            PlacedDefect(code=defect["code"], bbox_px=tuple(defect["bbox_px"]))
            for defect in body["defects"]
            if defect["bbox_px"] is not None
        ),
        picture_uri=evidence[0]["uri"] if evidence else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A rule that is violated, with the unit that violated it first."""

    rule: ProcessRule
    cause: str
    """For people."""
    unit: JudgedOne
    defect: PlacedDefect | None = None


@dataclass(slots=True)
class _Place:
    defect: PlacedDefect
    units: int


@dataclass(slots=True)
class _Run:
    """What is known about one product at one camera."""

    places: list[_Place] = field(default_factory=list)
    failed: int = 0
    not_inspected: int = 0
    last: deque[bool] = field(default_factory=deque)
    """For each of the last inspected units, whether it FAILED."""
    standing: dict[ProcessRule, Alarm] = field(default_factory=dict)
    seen_at: int = 0
    """The number of its last unit among the camera's units."""


class ProcessRules:
    """The rules of one camera: takes its verdicts in order, says which alarms stand."""

    def __init__(self, limits: ProcessLimits) -> None:
        self._limits = limits
        self._runs: Newest[str, _Run] = Newest(PRODUCTS_KEPT)
        self._seen = 0

    def change(self, limits: ProcessLimits) -> None:
        """Use other limits from the next unit on."""
        self._limits = limits

    def see(self, unit: JudgedOne) -> Mapping[ProcessRule, Alarm]:
        """The alarms that stand now, this unit taken into account."""
        self._seen += 1
        run = self._run_of(unit.product)
        if unit.result in ("PASSED", "FAILED"):
            self._inspected(run, unit)
        elif unit.reason not in DELIBERATE:
            run.not_inspected += 1
            self._decide(run, ProcessRule.NOT_INSPECTED, unit, self._not_inspected(run, unit))
        standing: dict[ProcessRule, Alarm] = {}
        for one in self._runs.values():
            if self._seen - one.seen_at > _FORGOTTEN_AFTER:
                one.standing.clear()
            standing |= one.standing
        return standing

    def begin_anew(self) -> None:
        """Start again after an acknowledgement: earlier units no longer count."""
        self._runs.clear()

    def _run_of(self, product: str) -> _Run:
        run = self._runs.used(product, _Run)
        run.seen_at = self._seen
        return run

    def _inspected(self, run: _Run, unit: JudgedOne) -> None:
        limits, has_failed = self._limits, unit.result == "FAILED"
        run.not_inspected = 0
        run.failed = run.failed + 1 if has_failed else 0
        run.last.append(has_failed)
        while len(run.last) > limits.share_units:
            run.last.popleft()
        run.places = _followed(run.places, unit.defects, limits.same_place_px)
        place = self._same_place(run)
        for rule, cause in (
            (ProcessRule.SAME_PLACE, _same_place_cause(place)),
            (ProcessRule.FAILED, self._failed(run)),
            (ProcessRule.NOT_INSPECTED, ""),
            (ProcessRule.SHARE, self._share(run)),
        ):
            defect = place.defect if place is not None and rule is ProcessRule.SAME_PLACE else None
            self._decide(run, rule, unit, cause, defect)

    def _decide(
        self,
        run: _Run,
        rule: ProcessRule,
        unit: JudgedOne,
        cause: str,
        defect: PlacedDefect | None = None,
    ) -> None:
        if not cause:
            run.standing.pop(rule, None)
        elif rule not in run.standing:
            run.standing[rule] = Alarm(rule=rule, cause=cause, unit=unit, defect=defect)

    def _same_place(self, run: _Run) -> _Place | None:
        wanted = self._limits.same_place
        if wanted <= 0:
            return None
        return max(
            (place for place in run.places if place.units >= wanted),
            key=lambda place: place.units,
            default=None,
        )

    def _failed(self, run: _Run) -> str:
        wanted = self._limits.failed
        return f"{run.failed} units in a row FAILED" if 0 < wanted <= run.failed else ""

    def _not_inspected(self, run: _Run, unit: JudgedOne) -> str:
        wanted = self._limits.not_inspected
        if not 0 < wanted <= run.not_inspected:
            return ""
        return (
            f"{run.not_inspected} units in a row were not inspected, the last one for"
            f" {unit.reason or unit.result}"
        )

    def _share(self, run: _Run) -> str:
        limits = self._limits
        if limits.share <= 0 or len(run.last) < limits.share_units:
            return ""
        share = sum(run.last) / len(run.last)
        raises = limits.share * (_CLEARS_AT if ProcessRule.SHARE in run.standing else 1.0)
        if share < raises:
            return ""
        return f"{share:.0%} of the last {len(run.last)} units FAILED"


def _same_place_cause(place: _Place | None) -> str:
    if place is None:
        return ""
    x, y, width, height = (round(side) for side in place.defect.bbox_px)
    return (
        f"{place.units} units in a row have {place.defect.code} at the same place:"
        f" {x}, {y} ({width}x{height} px)"
    )


def _followed(
    before: Sequence[_Place], defects: Sequence[PlacedDefect], reach_px: float
) -> list[_Place]:
    """The places of this unit's defects, each with how many units in a row had it there."""
    return [
        _Place(
            defect,
            1 + max((p.units for p in before if _is_there(p.defect, defect, reach_px)), default=0),
        )
        for defect in defects
    ]


def _is_there(one: PlacedDefect, other: PlacedDefect, reach_px: float) -> bool:
    return one.code == other.code and math.dist(one.middle_px, other.middle_px) <= reach_px
