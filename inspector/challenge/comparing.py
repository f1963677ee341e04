"""Compares what was seen of a known part with what is known of it: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inspector.challenge.sets import Known, KnownDefect
from inspector.core.challenges import Difference, Differs
from inspector.core.places import WholeUnit
from inspector.core.records import Result
from inspector.core.verdicts import Defect, Verdict


def differences(known: Known, verdict: Verdict, *, tolerance_px: float) -> tuple[Difference, ...]:
    """How what was seen differs from what was expected; empty if the part was recognised."""
    return tuple(_differences(known, verdict, tolerance_px))


def _differences(known: Known, verdict: Verdict, tolerance_px: float) -> Iterator[Difference]:
    result = verdict.result
    if result not in (Result.PASSED, Result.FAILED):
        yield Difference(
            kind=Differs.NOT_INSPECTED,
            told=f"it was not inspected: {verdict.reason}, {verdict.detail}".rstrip(", "),
        )
    elif known.result == Result.FAILED and result is Result.PASSED:
        wanted = ", ".join(defect.code for defect in known.defects) or "any defect"
        yield Difference(kind=Differs.MISSED, told=f"it is bad and passed; expected {wanted}")
    elif known.result == Result.PASSED and result is Result.FAILED:
        found = ", ".join(defect.code for defect in verdict.defects)
        yield Difference(kind=Differs.FALSE_CALL, told=f"it is good and failed: {found}")
    elif result is Result.FAILED:
        yield from _of_defects(known, verdict.defects, tolerance_px)


def _of_defects(known: Known, found: Sequence[Defect], tolerance_px: float) -> Iterator[Difference]:
    """Match defects: each that was found stands for at most one known defect."""
    left = list(found)
    for wanted in known.defects:
        match = next((defect for defect in left if _is(wanted, defect, tolerance_px)), None)
        if match is None:
            where = (
                "" if wanted.bbox_px is None else " at {:g},{:g} {:g}x{:g}".format(*wanted.bbox_px)
            )
            told = f"{wanted.code}{where} was not found"
            yield Difference(kind=Differs.DEFECT_MISSED, told=told)
        else:
            left.remove(match)
    if known.no_others and left:
        others = ", ".join(defect.code for defect in left)
        yield Difference(
            kind=Differs.OTHER_DEFECT, told=f"it does not have what was found: {others}"
        )


def _is(wanted: KnownDefect, defect: Defect, tolerance_px: float) -> bool:
    if wanted.code != defect.code:
        return False
    if wanted.bbox_px is None or isinstance(defect.place, WholeUnit):
        # A claim about the unit as a whole applies to each of its places.
        return True
    x, y, width, height = wanted.bbox_px
    middle_x, middle_y = defect.place.around.middle_px
    return (
        x - tolerance_px <= middle_x <= x + width + tolerance_px
        and y - tolerance_px <= middle_y <= y + height + tolerance_px
    )
