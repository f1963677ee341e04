"""Second reviews of people, as the journal has them."""

from __future__ import annotations

from typing import Any

from inspector.core.records import Judgement
from inspector.reviews.standing import KeptReview, kept_review


def review(
    number: int, judgement: Judgement, defect_id: str | None = None, **said: Any
) -> KeptReview:
    body = {
        "id": f"01KB{number:022d}",
        "unit_event_id": "unit",
        "result": judgement.value,
        "defect_id": defect_id,
        "code": None,
        "time": f"2026-11-30T20:00:{number % 60:02d}+00:00",
        **said,
    }
    return kept_review(body)
