"""Units as a sheet for a spreadsheet: CSV, a row for each. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inspector.reviews.standing import KeptReview

COLUMNS = (
    "time",
    "unit",
    "camera",
    "result",
    "reason",
    "defects",
    "product",
    "revision",
    "order",
    "lot",
    "picture_kept_for",
    "reviews",
    "reviewed_by",
    "comments",
    "id",
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_BOM = b"\xef\xbb\xbf"
"""Byte order mark: without it Excel reads UTF-8 as the code page of the machine."""


def sheet_of(
    units: Iterable[Mapping[str, Any]], reviews: Mapping[str, Sequence[KeptReview]]
) -> bytes:
    """UTF-8, commas, a line with the names of the columns first."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for unit in units:
        writer.writerow(_safe(cell) for cell in _row(unit, reviews.get(unit["id"], ())))
    return _BOM + text.getvalue().encode()


def _row(unit: Mapping[str, Any], reviews: Sequence[KeptReview]) -> tuple[str, ...]:
    product = unit.get("product") or {}
    evidence = unit["evidence"]
    said = dict.fromkeys(" ".join(filter(None, (r.judgement.value, r.code))) for r in reviews)
    return (
        unit["time"],
        unit["unit"]["id"],
        unit["camera"],
        unit["result"],
        unit["reason"] or "",
        "; ".join(defect["code"] for defect in unit["defects"]),
        product.get("name", ""),
        product.get("revision", ""),
        unit.get("order") or "",
        unit.get("lot") or "",
        evidence[0].get("kept_for", "") if evidence else "",
        "; ".join(said),
        "; ".join(dict.fromkeys(filter(None, (r.by for r in reviews)))),
        "; ".join(filter(None, (r.comment for r in reviews))),
        unit["id"],
    )


def _safe(cell: str) -> str:
    """Quote text that a spreadsheet would run as a formula, such as a name from a trigger."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell
