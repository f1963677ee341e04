"""A unit event as the IPC-CFX message UnitsInspected: pure.

IPC-2591; field by field after CFX.Production.TestAndInspection.UnitsInspected of IPC's own SDK,
as JSON. Sending it (AMQP) is left to those who have a CFX broker.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

MESSAGE = "CFX.Production.TestAndInspection.UnitsInspected"
VERSION = "1.3"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://www.ipc-cfx.org/inspector")
_RESULTS = {"PASSED": "Passed", "FAILED": "Failed", "NOT_INSPECTED": "Error", "ERROR": "Error"}
"""CFX's Error: could not be completed. Neither good nor bad; the inspection's `Error` says why."""


def units_inspected(event: Mapping[str, Any]) -> dict[str, Any]:
    """The CFX envelope of a unit event (`inspector.unit/1`), ready for JSON.

    The same event gives the same message, `UniqueID` included: a receiver that drops messages it
    has seen drops a repetition. Pixels stay pixels in `RegionOfInterest`.
    """
    station = event["station"]
    return {
        "MessageName": MESSAGE,
        "Version": VERSION,
        "TimeStamp": event["time"],
        "UniqueID": _guid("message", event["id"]),
        "Source": f"{station['site']}.{station['line']}.{station['name']}",
        "Target": None,
        "RequestID": None,
        "MessageBody": {
            "$type": f"{MESSAGE}, CFX",
            "TransactionId": _guid("unit", event["id"]),
            "InspectionMethod": "AOI",
            "SamplingInformation": {
                "SamplingMethod": "NoSampling",
                "LotSize": None,
                "SampleSize": None,
            },
            "Inspector": None,
            "RecipeName": event["recipe"]["name"],
            "RecipeRevision": event["recipe"]["sha256"],
            "InspectedUnits": [_unit(event)],
        },
    }


def _unit(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "UnitIdentifier": event["unit"]["id"],
        "UnitPositionNumber": 1,
        "OverallResult": _RESULTS[event["result"]],
        "Inspections": [_inspection(event)],
    }


def _inspection(event: Mapping[str, Any]) -> dict[str, Any]:
    began = datetime.fromisoformat(event["trigger"]["at"])
    took = timedelta(milliseconds=event["timing_ms"]["trigger_to_verdict"])
    return {
        "UniqueIdentifier": _guid("inspection", event["id"]),
        "InspectionName": event["camera"],
        "InspectionStartTime": event["trigger"]["at"],
        "InspectionEndTime": (began + took).isoformat(timespec="microseconds"),
        "TestProcedure": f"{event['model']['name']} {event['model']['version']}".rstrip(),
        "Comments": event["detail"] or None,
        "Result": _RESULTS[event["result"]],
        "Error": event["reason"],
        "DefectsFound": [
            _defect(defect, priority) for priority, defect in enumerate(event["defects"], start=1)
        ],
        "Symptoms": [],
        "Measurements": [],
    }


def _defect(defect: Mapping[str, Any], priority: int) -> dict[str, Any]:
    return {
        "UniqueIdentifier": _guid("defect", defect["id"]),
        "DefectCode": defect["code"],
        "DefectCategory": None,
        "Description": " ".join(filter(None, (defect["code"], defect.get("part")))),
        "Comments": f"seen on {defect['frames_seen']} frames",
        "ComponentOfInterest": None,
        "RegionOfInterest": _region(defect),
        "DefectImages": [],
        "Priority": priority,
        # CFX counts from 1 to 100.
        "ConfidenceLevel": max(1.0, round(defect["confidence"] * 100, 2)),
        "RelatedMeasurements": [],
        "RelatedSymptoms": [],
    }


def _region(defect: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its outline, which ends where it starts; none if it is about the unit as a whole."""
    if defect["bbox_px"] is None:
        return None
    x_px, y_px, width_px, height_px = defect["bbox_px"]
    right_px, bottom_px = round(x_px + width_px, 1), round(y_px + height_px, 1)
    box = ((x_px, y_px), (right_px, y_px), (right_px, bottom_px), (x_px, bottom_px))
    # Older events have no shapes.
    first, *others = defect.get("polygon_px") or box
    return {
        "StartPointX": first[0],
        "StartPointY": first[1],
        "RegionSegments": [{"X": x, "Y": y} for x, y in (*others, first)],
    }


def _guid(kind: str, ulid: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}:{ulid}"))
