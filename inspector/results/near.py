"""Finds what came nearest to being a defect on a unit without one: pure.

A person who searches for missed defects should start there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inspector.core.recipes import Recipe
from inspector.core.records import Finding
from inspector.core.verdicts import FrameResult, NearMiss
from inspector.results.fusing import is_large
from inspector.results.zones import PlaceRules


def nearest_miss(frames: Iterable[FrameResult], recipe: Recipe) -> NearMiss | None:
    """The finding closest to its threshold, of any frame; None without any.

    It may be above its threshold if too few of the other frames agreed. Findings in a zone that
    ignores them, or smaller than the recipe requires, are left out: they would be no defects at any
    confidence.
    """
    places = PlaceRules(recipe.rules, codes=recipe.codes, zones=recipe.zones)
    seen = [finding for frame in frames for finding in (*(frame.findings or ()), *frame.faint)]
    parts = {recipe.codes.index(part.name) for part in recipe.expected}  # these are wanted
    counting = [
        f
        for f in seen
        if f.code_index not in parts and is_large(f, recipe.rules) and not places.ignores(f)
    ]
    if not counting:
        return None
    best = min(counting, key=lambda f: places.threshold(f) - f.confidence)
    return NearMiss(
        code=recipe.codes[best.code_index],
        confidence=best.confidence,
        threshold=places.threshold(best),
        place=best.place,
    )


def parted(
    findings: Sequence[Finding], floor: float
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings that may decide, and those that are too faint to."""
    return (
        tuple(finding for finding in findings if finding.confidence >= floor),
        tuple(finding for finding in findings if finding.confidence < floor),
    )
