"""The part of a unit event that the page needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_A_DEFECT = ("id", "code", "part", "confidence", "bbox_px", "polygon_px")


def brief(body: Mapping[str, Any]) -> dict[str, Any]:
    """The unit as a line of a list, or as the last verdict."""
    return {
        "id": body["id"],
        "time": body["time"],
        "camera": body["camera"],
        "unit_id": body["unit"]["id"],
        "number": body["unit"]["number"],
        "result": body["result"],
        "reason": body["reason"],
        "detail": body["detail"],
        "defects": [{key: defect.get(key) for key in _OF_A_DEFECT} for defect in body["defects"]],
        "defects_total": body["counts"]["defects"],
        "took_ms": body["timing_ms"]["trigger_to_verdict"],
        "deadline_met": body["deadline_met"],
        "has_picture": bool(body["evidence"]),
        "product": body.get("product"),
        "order": body.get("order"),
        "lot": body.get("lot"),
        "reference": body.get("reference"),
        "challenge": body.get("challenge"),
        "simulated": body["simulated"],
        "replayed": body["replayed"],
    }
