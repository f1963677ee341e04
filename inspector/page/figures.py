"""Counts verdicts minute by minute: yield, defects, rate, latency. Pure, no clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SECONDS_PER_MINUTE = 60
KEPT_MINUTES = 25 * 60
"""A day, and an hour more for a day that begins meanwhile."""
_LATENCY_STEP = math.log(1.05)
"""The ratio of latency classes: each is 5 % above the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFact:
    """What a verdict adds to the figures."""

    seen_s: float
    """Seconds since the epoch."""
    result: str
    codes: tuple[str, ...]
    took_ms: float
    in_time: bool


@dataclass(slots=True)
class _Minute:
    results: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    latency_classes: Counter[int] = field(default_factory=Counter)
    late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A stretch of time."""

    results: dict[str, int]
    codes: dict[str, int]
    """Defects per code, most frequent first."""
    late: int
    """Verdicts that missed their deadline."""
    median_ms: float | None
    p95_ms: float | None

    @property
    def units(self) -> int:
        """Units with any verdict."""
        return sum(self.results.values())

    @property
    def pass_share(self) -> float | None:
        """Of the units that were inspected; None without any."""
        inspected = self.results.get("PASSED", 0) + self.results.get("FAILED", 0)
        return self.results.get("PASSED", 0) / inspected if inspected else None


class Figures:
    """A day of minutes; older ones are forgotten. One thread."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}

    def add(self, fact: UnitFact) -> None:
        """Count a unit in the minute in which it was seen."""
        minute = self._minutes.setdefault(int(fact.seen_s // SECONDS_PER_MINUTE), _Minute())
        minute.results[fact.result] += 1
        minute.codes.update(fact.codes)
        minute.late += not fact.in_time
        if fact.took_ms > 0:
            minute.latency_classes[round(math.log(fact.took_ms) / _LATENCY_STEP)] += 1

    def forget_before(self, now_s: float) -> None:
        """Drop minutes that are too old to be queried."""
        oldest = int(now_s // SECONDS_PER_MINUTE) - KEPT_MINUTES
        for minute in [m for m in self._minutes if m < oldest]:
            del self._minutes[minute]

    def totals(self, from_s: float, to_s: float) -> Totals:
        """From the minute of `from_s` on, up to `to_s`."""
        first = int(from_s // SECONDS_PER_MINUTE)
        last = math.ceil(to_s / SECONDS_PER_MINUTE)
        inside = [m for at, m in self._minutes.items() if first <= at < last]
        return _totals(inside)

    def series(self, from_s: float, to_s: float, step_minutes: int) -> list[tuple[int, Totals]]:
        """Totals of each step, with the second since the epoch at which it begins.

        Steps without a unit are included: a gap must look like one.
        """
        first = int(from_s // SECONDS_PER_MINUTE) // step_minutes
        last = int(to_s // SECONDS_PER_MINUTE) // step_minutes
        steps: dict[int, list[_Minute]] = {step: [] for step in range(first, last + 1)}
        for at, minute in self._minutes.items():
            if at // step_minutes in steps:
                steps[at // step_minutes].append(minute)
        length_s = step_minutes * SECONDS_PER_MINUTE
        return [(step * length_s, _totals(minutes)) for step, minutes in steps.items()]


def _totals(minutes: Iterable[_Minute]) -> Totals:
    results: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    latency: Counter[int] = Counter()
    late = 0
    for minute in minutes:
        results.update(minute.results)
        codes.update(minute.codes)
        latency.update(minute.latency_classes)
        late += minute.late
    median_ms, p95_ms = _quantiles(latency, (0.5, 0.95))
    return Totals(
        results=dict(results),
        codes=dict(codes.most_common()),
        late=late,
        median_ms=median_ms,
        p95_ms=p95_ms,
    )


def _quantiles(classes: Counter[int], shares: Sequence[float]) -> list[float | None]:
    """For each share, the middle of the class in which this share of the values is reached."""
    total = classes.total()
    if total == 0:
        return [None] * len(shares)
    found: list[float | None] = []
    for share in shares:
        reached = 0
        for at, count in sorted(classes.items()):
            reached += count
            if reached >= share * total:
                found.append(round(math.exp(at * _LATENCY_STEP), 1))
                break
    return found
