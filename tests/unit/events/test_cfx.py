"""IPC-CFX UnitsInspected, field by field, from events as the station makes them."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.events.cfx import units_inspected

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


ulids = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)
pixels = st.integers(0, 30_000).map(lambda tenths: tenths / 10)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=offsets)  # noqa: DTZ001
defects = st.fixed_dictionaries({
    "id": ulids,
    "code": st.sampled_from(["open", "short"]),
    "confidence": st.floats(0, 1),
    "bbox_px": st.tuples(pixels, pixels, pixels, pixels).map(list),
    "frames_seen": st.integers(1, 16),
})  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    result = draw(st.sampled_from(["PASSED", "FAILED", "NOT_INSPECTED", "ERROR"]))
    at = draw(moments).isoformat(timespec="microseconds")
    found = st.lists(defects, max_size=5, unique_by=lambda d: d["id"])
    return EVENT | {
        "id": draw(ulids),
        "time": at,
        "trigger": {"kind": "presence", "at": at},
        "result": result,
        "reason": None if result in {"PASSED", "FAILED"} else "camera_lost",
        "defects": draw(found) if result == "FAILED" else [],
        "timing_ms": {"trigger_to_verdict": draw(st.floats(0, 600_000).map(lambda t: round(t, 3)))},
    }


@given(events())
def test_whatever_the_event_cfx_never_calls_good_what_the_station_did_not(
    event: dict[str, Any],
) -> None:
    message = json.loads(json.dumps(units_inspected(event), allow_nan=False))
    [unit] = message["MessageBody"]["InspectedUnits"]
    [found] = unit["Inspections"]
    for told in (unit["OverallResult"], found["Result"]):
        assert (told == "Passed") == (event["result"] == "PASSED")
        assert (told == "Failed") == (event["result"] == "FAILED")
    assert (found["Error"] is None) == (told != "Error")
    codes = [defect["DefectCode"] for defect in found["DefectsFound"]]
    assert codes == [defect["code"] for defect in event["defects"]]


@given(events(), ulids)
def test_no_identity_is_given_twice(event: dict[str, Any], other: str) -> None:
    def identities(event: dict[str, Any]) -> list[str]:
        return re.findall(r"[0-9a-f-]{36}", json.dumps(units_inspected(event)))

    ours = identities(event)
    assert len(ours) == len(set(ours)) == 3 + len(event["defects"])
    if other != event["id"]:
        assert not set(ours) & set(identities(event | {"id": other, "defects": []}))


@given(events())
def test_an_inspection_ends_as_long_after_its_start_as_the_verdict_took(
    event: dict[str, Any],
) -> None:
    found = inspection(event)
    began, ended = (
        datetime.fromisoformat(found[f"Inspection{which}Time"]) for which in ("Start", "End")
    )
    assert began == datetime.fromisoformat(event["trigger"]["at"])
    took_ms = (ended - began) / timedelta(milliseconds=1)
    assert took_ms == pytest.approx(event["timing_ms"]["trigger_to_verdict"], abs=0.001)
    assert ended.utcoffset() == began.utcoffset()


@given(defects)
def test_a_region_goes_once_around_the_defect_and_ends_where_it_starts(
    defect: dict[str, Any],
) -> None:
    [found] = inspection(EVENT | {"defects": [defect]})["DefectsFound"]
    region = found["RegionOfInterest"]
    corners = [(corner["X"], corner["Y"]) for corner in region["RegionSegments"]]
    assert corners[-1] == (region["StartPointX"], region["StartPointY"])
    x_px, y_px, width_px, height_px = defect["bbox_px"]
    for at, least, size in ((0, x_px, width_px), (1, y_px, height_px)):
        along = [corner[at] for corner in corners]
        assert min(along) == pytest.approx(least)
        assert max(along) == pytest.approx(least + size)
    sides = zip([corners[-1], *corners], corners, strict=False)
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in sides), "no side is a diagonal"
    assert 1 <= found["ConfidenceLevel"] <= 100
    assert found["ConfidenceLevel"] == pytest.approx(max(1, defect["confidence"] * 100), abs=0.01)


def regions_of(*places: dict[str, Any]) -> list[Any]:
    defects = [EVENT["defects"][0] | place for place in places]
    found = inspection({**EVENT, "defects": defects})["DefectsFound"]
    return [defect["RegionOfInterest"] for defect in found]


def test_the_region_of_a_shape_is_its_outline_and_ends_where_it_starts() -> None:
    (region,) = regions_of({"polygon_px": [[1.0, 2.0], [5.0, 2.0], [3.0, 7.5]], "area_px": 11.0})
    assert region == {
        "StartPointX": 1.0,
        "StartPointY": 2.0,
        "RegionSegments": [{"X": 5.0, "Y": 2.0}, {"X": 3.0, "Y": 7.5}, {"X": 1.0, "Y": 2.0}],
    }


def test_a_defect_of_the_unit_as_a_whole_has_no_region() -> None:
    whole = {"bbox_px": None, "polygon_px": None, "area_px": None}
    told = {"polygon_px": None, "area_px": None}
    nothing, box = regions_of(whole, told)
    assert nothing is None
    assert box == regions_of({})[0]
