"""Units as a sheet, as a spreadsheet opens it."""

from __future__ import annotations

import csv
import io
from typing import Any

from inspector.core.records import Judgement
from inspector.page.sheet import COLUMNS, sheet_of
from inspector.reviews.standing import KeptReview
from tests.kit.reviews import review


def unit(name: str, **other: Any) -> dict[str, Any]:
    event = {
        "id": "01KB",
        "time": "2026-11-30T20:00:00+00:00",
        "camera": "top",
        "unit": {"id": name},
        "result": "FAILED",
        "reason": None,
        "defects": [{"code": "open"}, {"code": "short"}],
        "product": {"name": "controller", "revision": "C"},
        "order": "88",
        "lot": None,
        "evidence": [{"kept_for": "verdict"}],
    }
    return event | other


def rows(*units: dict[str, Any], reviews: list[KeptReview] | None = None) -> list[dict[str, str]]:
    content = sheet_of(units, {"01KB": reviews or []}).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_a_row_has_what_people_look_for_and_what_they_said() -> None:
    said = [
        review(1, Judgement.FALSE_CALL, by="Anna", comment="a shadow"),
        review(2, Judgement.MISSED, code="spur", by="Anna"),
    ]
    (row,) = rows(unit("PCB, 1"), reviews=said)
    assert tuple(row) == COLUMNS
    assert (row["unit"], row["defects"], row["order"], row["lot"]) == (
        "PCB, 1",
        "open; short",
        "88",
        "",
    )
    assert (row["reviews"], row["reviewed_by"], row["comments"]) == (
        "FALSE_CALL; MISSED spur",
        "Anna",
        "a shadow",
    )


def test_a_unit_of_no_product_and_without_a_picture_has_empty_cells() -> None:
    (row,) = rows(unit("Ü", product=None, evidence=[], defects=[], result="PASSED"))
    assert (row["unit"], row["product"], row["picture_kept_for"]) == ("Ü", "", "")


def test_no_name_of_a_unit_becomes_a_formula() -> None:
    names = ["=1+1", "+1", "-1", "@x", "1=1"]
    assert [row["unit"] for row in rows(*map(unit, names))] == ["'=1+1", "'+1", "'-1", "'@x", "1=1"]
