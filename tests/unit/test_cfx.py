"""IPC-CFX UnitsInspected, field by field, from events as the station makes them."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from inspector.cfx import units_inspected

EVENT: dict[str, Any] = {
    "id": "01M82M13KY231505C05CJVEW7B",
    "time": "2026-11-22T21:54:05.546968+00:00",
    "station": {"site": "plant1", "line": "smt2", "name": "aoi", "host": "pc", "version": "0.1"},
    "result": "FAILED",
    "camera": "top",
    "unit": {"id": "PCB-0815", "number": 3},
    "trigger": {"kind": "presence", "at": "2026-11-22T21:54:05.546968+00:00"},
    "model": {"name": "pcb_inspection", "version": "1"},
    "recipe": {"name": "default", "sha256": "45ab"},
    "reason": None,
    "detail": "",
    "defects": [
        {
            "id": "01M82M13MBP1N0THFZYK8Z3R6E",
            "code": "copper",
            "confidence": 0.8937,
            "bbox_px": [516.8, 20.5, 38.8, 37.6],
            "frames_seen": 3,
            "camera": "top",
        },
        {
            "id": "01M82M13MBP1N0THFZYK8Z3R6F",
            "code": "short",
            "confidence": 0.001,
            "bbox_px": [1.0, 2.0, 3.0, 4.0],
            "frames_seen": 2,
            "camera": "top",
        },
    ],
    "timing_ms": {"trigger_to_verdict": 1056.901, "queue": 178.718, "inference": 133.779},
}


def inspection(event: dict[str, Any]) -> dict[str, Any]:
    [unit] = units_inspected(event)["MessageBody"]["InspectedUnits"]
    [only] = unit["Inspections"]
    assert isinstance(only, dict)
    return only


def test_the_envelope() -> None:
    message = units_inspected(EVENT)
    body = message.pop("MessageBody")
    assert uuid.UUID(message.pop("UniqueID")).version == 5
    assert message == {
        "MessageName": "CFX.Production.TestAndInspection.UnitsInspected",
        "Version": "1.3",
        "TimeStamp": "2026-11-22T21:54:05.546968+00:00",
        "Source": "plant1.smt2.aoi",
        "Target": None,
        "RequestID": None,
    }
    assert uuid.UUID(body.pop("TransactionId")).version == 5
    body.pop("InspectedUnits")
    assert body == {
        "$type": "CFX.Production.TestAndInspection.UnitsInspected, CFX",
        "InspectionMethod": "AOI",
        "SamplingInformation": {
            "SamplingMethod": "NoSampling",
            "LotSize": None,
            "SampleSize": None,
        },
        "Inspector": None,
        "RecipeName": "default",
        "RecipeRevision": "45ab",
    }


def test_the_unit_and_its_inspection() -> None:
    [unit] = units_inspected(EVENT)["MessageBody"]["InspectedUnits"]
    unit.pop("Inspections")
    assert unit == {
        "UnitIdentifier": "PCB-0815",
        "UnitPositionNumber": 1,
        "OverallResult": "Failed",
    }
    found = inspection(EVENT)
    assert len(found.pop("DefectsFound")) == 2
    assert uuid.UUID(found.pop("UniqueIdentifier")).version == 5
    assert found == {
        "InspectionName": "top",
        "InspectionStartTime": "2026-11-22T21:54:05.546968+00:00",
        "InspectionEndTime": "2026-11-22T21:54:06.603869+00:00",
        "TestProcedure": "pcb_inspection 1",
        "Comments": None,
        "Result": "Failed",
        "Error": None,
        "Symptoms": [],
        "Measurements": [],
    }


def test_a_defect() -> None:
    first, second = inspection(EVENT)["DefectsFound"]
    assert uuid.UUID(first.pop("UniqueIdentifier")) != uuid.UUID(second["UniqueIdentifier"])
    assert first == {
        "DefectCode": "copper",
        "DefectCategory": None,
        "Description": "copper",
        "Comments": "seen on 3 frames",
        "ComponentOfInterest": None,
        "RegionOfInterest": {
            "StartPointX": 516.8,
            "StartPointY": 20.5,
            "RegionSegments": [
                {"X": 555.6, "Y": 20.5},
                {"X": 555.6, "Y": 58.1},
                {"X": 516.8, "Y": 58.1},
                {"X": 516.8, "Y": 20.5},
            ],
        },
        "DefectImages": [],
        "Priority": 1,
        "ConfidenceLevel": 89.37,
        "RelatedMeasurements": [],
        "RelatedSymptoms": [],
    }
    assert (second["Priority"], second["ConfidenceLevel"]) == (2, 1.0)


@pytest.mark.parametrize(
    ("result", "reason", "expected"),
    [
        ("PASSED", None, "Passed"),
        ("FAILED", None, "Failed"),
        ("NOT_INSPECTED", "camera_lost", "Error"),
        ("ERROR", "internal_error", "Error"),
    ],
)
def test_only_what_passed_is_told_as_passed(result: str, reason: str | None, expected: str) -> None:
    event = EVENT | {"result": result, "reason": reason, "detail": "cable?", "defects": []}
    [unit] = units_inspected(event)["MessageBody"]["InspectedUnits"]
    assert unit["OverallResult"] == expected
    found = inspection(event)
    assert (found["Result"], found["Error"]) == (expected, reason)
    assert found["Comments"] == "cable?"
    assert found["DefectsFound"] == []


def test_the_same_event_is_the_same_message_and_another_is_another() -> None:
    def identities(event: dict[str, Any]) -> set[str]:
        return set(re.findall(r"[0-9a-f-]{36}", json.dumps(units_inspected(event))))

    assert units_inspected(EVENT) == units_inspected(json.loads(json.dumps(EVENT)))
    other = EVENT | {"id": "01M82M13KY231505C05CJVEW7C", "defects": []}
    assert len(identities(EVENT)) == 5
    assert not identities(EVENT) & identities(other)
