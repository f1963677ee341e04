from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from ulid import ULID

from inspector.core.changes import Change
from inspector.core.faults import Fault
from inspector.core.places import WHOLE_UNIT, Polygon
from inspector.core.recipes import Job, JobState, ModelName, Reference
from inspector.core.records import (
    CameraId,
    EventGroup,
    Evidence,
    FrameRef,
    JudgedUnit,
    MissReason,
    Outline,
    Placed,
    Result,
    Serial,
    Stream,
    TriggerKind,
    UnitRef,
)
from inspector.core.verdicts import Defect, FrameResult, Verdict
from inspector.events.schemas import EVENT_MODELS
from inspector.events.wording import EventBuilder, Particulars
from inspector.pipeline.terms import event_terms
from inspector.settings.settings import Settings
from tests.kit import compared_units as compared
from tests.kit import jobs
from tests.kit.findings import boxed

CAMERA = CameraId("top")
LIMIT_BYTES = 8000
NS_PER_MS = 1_000_000
SEEN_UNIX_NS = 1_767_225_600_123_456_789


def builder(source: str = "rtsp://10.0.0.5/x", **sections: Any) -> EventBuilder:
    settings = Settings(
        station={"site": "berlin", "line": "line1", "name": "aoi"},  # type: ignore[arg-type]
        cameras={"top": {"source": source, "size": "640x480"}},  # type: ignore[dict-item]
        journal={"directory": "unused"},  # type: ignore[arg-type]
        **sections,
    )
    return EventBuilder(event_terms(settings))


def defect(code: str = "short", confidence: float = 0.87654321) -> Defect:
    box = boxed(
        code_index=1,
        confidence=confidence,
        left_px=10.04,
        top_px=20.0,
        right_px=15.06,
        bottom_px=29.99,
    )
    return Defect(code=code, confidence=confidence, place=box.place)


def verdict(*defects: Defect, miss: MissReason | None = None, **changes: Any) -> Verdict:
    unit = UnitRef(
        camera_id=CAMERA,
        index=4,
        kind=TriggerKind.EVERY_FRAME,
        triggered_mono_ns=1000 * NS_PER_MS,
        triggered_unix_ns=SEEN_UNIX_NS,
        label=changes.pop("label", None),
        given_id=changes.pop("given_id", None),
        job=changes.pop("job", jobs.job()),
    )
    reference = FrameRef(
        camera_id=CAMERA,
        sequence=4,
        captured_mono_ns=1000 * NS_PER_MS,
        captured_unix_ns=SEEN_UNIX_NS,
        unit=unit,
    )
    frame = FrameResult(
        ref=reference,
        findings=None if miss else (),
        miss=miss,
        versions={} if miss else {m.name: "3" for m in unit.under.recipe.models},
        queue_ns=2 * NS_PER_MS,
        inference_ns=7 * NS_PER_MS,
    )
    result = Result.NOT_INSPECTED if miss else Result.FAILED if defects else Result.PASSED
    told = {"reason": miss.value if miss else None, "detail": "", **changes}
    return Verdict(
        unit=unit,
        unit_number=5,
        result=result,
        defects=defects,
        frames=(frame,),
        frames_expected=1,
        **told,
    )


def particulars(**found: Any) -> Particulars:
    return Particulars(event_id=str(ULID()), **found)


def published(group: EventGroup) -> list[dict[str, Any]]:
    """As consumers get them, each checked against its published schema."""
    bodies = []
    for number, event in enumerate(group.events, 1):
        body = event.body | {"seq": number, "published_at": "2026-01-01T00:00:00+00:00"}
        raw = orjson.dumps(body)
        assert len(raw) < LIMIT_BYTES
        EVENT_MODELS[event.stream].model_validate_json(raw)
        assert (event.id, event.time) == (body["id"], body["time"])
        bodies.append(body)
    return bodies


def test_a_good_unit_is_one_event_that_fits_its_schema() -> None:
    (unit,) = published(builder().verdict(verdict(), particulars(), 1020 * NS_PER_MS))
    assert unit["result"] == "PASSED"
    assert unit["reason"] is None
    assert unit["time"] == "2026-01-01T00:00:00.123456+00:00"
    assert unit["unit"] == {
        "id": "top-5",
        "id_source": "number",
        "number": 5,
        "serial": None,
        "outline_px": None,
    }
    assert unit["counts"] == {
        "frames_expected": 1,
        "frames_inspected": 1,
        "frames_missed": 0,
        "defects": 0,
    }
    assert unit["timing_ms"] == {"trigger_to_verdict": 20.0, "queue": 2.0, "inference": 7.0}
    assert unit["deadline_met"]


def test_a_bad_unit_repeats_each_defect_in_an_event_of_its_own() -> None:
    group = builder().verdict(
        verdict(defect(), defect("open", 0.5)), particulars(), 1020 * NS_PER_MS
    )
    assert [event.stream for event in group.events] == [
        Stream.UNITS,
        Stream.DEFECTS,
        Stream.DEFECTS,
    ]
    unit, *defects = published(group)
    assert unit["defects"][0]["bbox_px"] == [10.0, 20.0, 5.0, 10.0]
    assert unit["defects"][0]["confidence"] == 0.8765
    assert [d["defect"] for d in defects] == unit["defects"]
    assert {d["unit_event_id"] for d in defects} == {unit["id"]}
    assert len({event.id for event in group.events}) == 3


def test_a_unit_nobody_looked_at_says_so_in_every_field() -> None:
    (unit,) = published(
        builder().verdict(verdict(miss=MissReason.STALE), particulars(), 1020 * NS_PER_MS)
    )
    assert (unit["result"], unit["reason"]) == ("NOT_INSPECTED", "stale")
    assert unit["counts"]["frames_inspected"] == 0
    assert unit["counts"]["frames_missed"] == 1
    assert unit["model"]["version"] == ""


def test_an_event_stays_small_however_many_defects_there_are() -> None:
    group = builder().verdict(
        verdict(*[defect() for _ in range(300)], detail="x" * 5000),
        particulars(),
        1020 * NS_PER_MS,
    )
    unit, *defects = published(group)
    assert unit["defects_truncated"]
    assert len(unit["defects"]) == 20
    assert unit["counts"]["defects"] == len(defects) == 300


def test_a_verdict_after_the_deadline_is_marked() -> None:
    late = builder(inspection={"deadline_ms": 500.0})
    assert published(late.verdict(verdict(), particulars(), 1500 * NS_PER_MS))[0]["deadline_met"]
    assert not published(late.verdict(verdict(), particulars(), 1501 * NS_PER_MS))[0][
        "deadline_met"
    ]


@pytest.mark.parametrize(
    ("source", "replayed", "simulated"),
    [("rtsp://10.0.0.5/x", False, False), ("file:x.mp4", True, False), ("sim:", False, True)],
)
def test_recordings_and_simulations_are_marked(
    source: str,
    replayed: bool,  # noqa: FBT001
    simulated: bool,  # noqa: FBT001
) -> None:
    for body in published(builder(source).verdict(verdict(defect()), particulars(), 0)):
        assert (body["replayed"], body["simulated"]) == (replayed, simulated)


def test_a_unit_whose_source_names_it_carries_that_name() -> None:
    (unit,) = published(builder().verdict(verdict(label="board-17.png"), particulars(), 0))
    assert (unit["unit"]["id"], unit["unit"]["id_source"]) == ("board-17.png", "label")


SERIAL = Serial(text="AB-12", format="DataMatrix", quality="good", frames_read=1)
UNREAD = Serial(text=None, format=None, quality="unreadable", frames_read=0)


@pytest.mark.parametrize(
    ("given_id", "serial", "label", "expected"),
    [
        ("T1", SERIAL, "x.png", ("T1", "trigger")),
        (None, SERIAL, "x.png", ("AB-12", "serial")),
        (None, UNREAD, "x.png", ("x.png", "label")),
        (None, None, None, ("top-5", "number")),
    ],
)
def test_a_trigger_names_a_unit_before_its_code_and_its_code_before_its_source(
    given_id: str | None, serial: Serial | None, label: str | None, expected: tuple[str, str]
) -> None:
    judged = verdict(given_id=given_id, label=label)
    (unit,) = published(builder().verdict(judged, particulars(serial=serial), 0))
    assert (unit["unit"]["id"], unit["unit"]["id_source"]) == expected
    assert (unit["unit"]["serial"] or {}).get("text") == (serial.text if serial else None)


def test_the_corners_of_a_turned_unit_are_told_from_its_own_top_left_clockwise() -> None:
    outline = Outline(centre_x_px=100, centre_y_px=100, width_px=40, height_px=20, turn_deg=30.0)
    (unit,) = published(builder().verdict(verdict(), particulars(outline=outline), 0))
    (top_left, top_right, _, bottom_left) = unit["unit"]["outline_px"]
    assert top_left == pytest.approx([100 - 17.3 + 5, 100 - 10 - 8.7], abs=0.1)
    assert top_right[1] > top_left[1], "turned clockwise: its right side hangs"
    assert bottom_left[0] < top_left[0]


def test_evidence_is_told_by_address_and_hash() -> None:
    picture = Evidence(kind="unit", camera=CAMERA, uri="file:///x.jpg", sha256="0" * 64, bytes=7)
    (unit,) = published(builder().verdict(verdict(), particulars(evidence=picture), 0))
    assert unit["evidence"] == [
        {
            "kind": "unit",
            "camera": "top",
            "uri": "file:///x.jpg",
            "sha256": "0" * 64,
            "bytes": 7,
            "kept_for": "verdict",
        }
    ]


def test_the_recipe_changes_with_what_decides_and_with_nothing_else() -> None:
    def digest(seen: Verdict | None = None, **of_recipe: Any) -> str:
        under = replace(jobs.job(**of_recipe), order="88", number=len(of_recipe))
        seen = seen or verdict(job=under)
        (body,) = published(builder().verdict(seen, particulars(), 0))
        return str(body["recipe"]["sha256"])

    picture, even = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    one, other = (
        Reference(id=f"a/{n}", sha256=str(n) * 64, mean=picture, deviation=even) for n in (1, 2)
    )
    digests = [
        digest(),
        digest(sha256="1" * 64),
        digest(model=ModelName(name="m", file_sha256="1" * 64)),
        digest(also=(ModelName(name="surface"),)),
        digest(also=(ModelName(name="surface", file_sha256="1" * 64),)),
        digest(reference=one),
        digest(reference=other),
        digest(verdict(miss=MissReason.STALE)),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == digest()


def test_a_unit_names_the_product_order_and_lot_it_was_opened_under() -> None:
    said = replace(jobs.job(product="4711", revision="C"), order="88", lot="12", context="{}")
    (unit,) = published(builder().verdict(verdict(job=said), particulars(), 0))
    assert unit["product"] == {"name": "4711", "revision": "C"}
    assert unit["recipe"]["name"] == "4711"
    assert (unit["order"], unit["lot"], unit["context"]) == ("88", "12", "{}")
    nobody_knows = verdict(job=replace(said, state=JobState.NO_PRODUCT))
    (unit,) = published(builder().verdict(nobody_knows, particulars(), 0))
    assert unit["product"] is None


def test_a_change_of_health_fits_its_schema() -> None:
    fault = Fault(kind="camera", subject="top", cause="c" * 2000)
    group = builder().health(fault, raised=True)
    (body,) = published(group)
    assert group.events[0].result == "raised"
    assert (body["fault"], body["subject"], body["state"]) == ("camera", "top", "raised")
    assert len(body["cause"]) <= 300


def test_a_group_says_which_unit_it_is_about_and_which_number_that_uses_up() -> None:
    made, found = verdict(defect()), particulars()
    group = builder().verdict(made, found, 0)
    assert group.counters == {"units:top": 5}
    assert group.unit == JudgedUnit(ref=made.unit, number=5, id="top-5", event_id=found.event_id)
    assert group.verdict is group.events[0]
    health = builder().health(Fault(kind="redis", subject="", cause="down"), raised=False)
    assert (health.unit, health.verdict, health.counters) == (None, None, {})


def change(job: Job | None = None, **more: Any) -> Change:
    under = replace(jobs.job(product="4711", revision="2", number=3), order="88", lot="12")
    asked: dict[str, Any] = {
        "command": "set_product", "fields": {"product": "4711", "order": "88"}, "accepted": True,
        "by": "commands", "command_entry": "1-0", "effective": {CAMERA: 17}, "job": job or under,
    }  # fmt: skip
    return Change(**asked | more)


def test_a_command_that_was_accepted_says_from_which_unit_on_it_applies() -> None:
    group = builder().change(change(), {"job": "3"})
    (body,) = published(group)
    assert group.notes == {"job": "3"}
    event = group.events[0]
    assert (event.stream, event.schema) == (Stream.CHANGES, "inspector.change/1")
    assert (event.unit_id, event.result) == ("", "accepted")
    assert body["effective"] == {"top": 17}
    assert (body["job"], body["job_state"]) == (3, "inspecting")
    assert body["product"] == {"name": "4711", "revision": "2"}
    assert (body["order"], body["lot"], body["context"]) == ("88", "12", None)
    assert (body["command"], body["entry"], body["problem"]) == ("set_product", "1-0", "")


def test_a_command_that_was_refused_says_why_and_what_stays_in_force() -> None:
    locked = jobs.job(JobState.NO_PRODUCT)
    refused = change(locked, accepted=False, problem="there is no product 4712", effective={})
    (body,) = published(builder().change(refused, {}))
    assert (body["result"], body["problem"]) == ("refused", "there is no product 4712")
    assert (body["effective"], body["product"]) == ({}, None)
    assert body["job_state"] == "no_product"


def test_the_answer_to_a_monstrous_command_stays_small() -> None:
    huge = {f"{n:02}" * 500: "ü" * 4000 for n in range(100)}
    job = replace(jobs.job(), context="ü" * 1000)
    asked = change(job, command="x" * 9000, fields=huge, problem="p" * 9000)
    (body,) = published(builder().change(asked, {}))
    assert len(body["fields"]) == 16


def disc(corners: int, radius_px: float = 900) -> Polygon:
    turns = [2 * math.pi * n / corners for n in range(corners)]
    points = tuple((1000 + radius_px * math.cos(t), 1000 + radius_px * math.sin(t)) for t in turns)
    return Polygon(points_px=points)


def test_a_shape_is_reported_with_its_corners_and_its_area() -> None:
    few = Polygon(points_px=((1.04, 2.0), (5.0, 2.06), (3.0, 7.0)))
    group = builder().verdict(verdict(replace(defect(), place=few)), particulars(), 0)
    unit, told = published(group)
    (part,) = unit["defects"]
    assert told["defect"] == part
    assert part["polygon_px"] == [[1.0, 2.0], [5.0, 2.1], [3.0, 7.0]]
    assert part["bbox_px"] == [1.0, 2.0, 4.0, 5.0]
    assert part["area_px"] == round(few.area_px, 1)


def test_an_event_stays_small_however_many_corners_its_defects_have() -> None:
    shapes = [replace(defect(), place=disc(500)) for _ in range(20)]
    group = builder().verdict(verdict(*shapes, detail="x" * 5000), particulars(), 0)
    unit, *told = published(group)
    for part, whole in zip(unit["defects"], (event["defect"] for event in told), strict=True):
        assert 3 <= len(part["polygon_px"]) <= len(whole["polygon_px"]) <= 32
        assert part["area_px"] == whole["area_px"] == round(disc(500).area_px, 1)


def test_a_defect_of_the_unit_as_a_whole_has_no_place() -> None:
    group = builder().verdict(verdict(replace(defect(), place=WHOLE_UNIT)), particulars(), 0)
    unit, _told = published(group)
    (part,) = unit["defects"]
    assert (part["bbox_px"], part["polygon_px"], part["area_px"]) == (None, None, None)


def test_a_unit_names_the_reference_that_it_was_compared_with() -> None:
    under = compared.job(model=ModelName(name="alone"))
    frames = tuple(
        FrameResult(
            ref=replace(
                compared.frame(compared.board().picture, under).ref,
                placed=Placed(likeness=likeness, shift_px=shift, matrix=((1, 0, 0), (0, 1, 0))),
            ),
            findings=(),
            miss=None,
        )
        for likeness, shift in ((0.98, 0.1), (0.94567, 2.345), (0.99, 0.3))
    )
    told = replace(verdict(job=under), frames=frames, frames_expected=3)
    (unit,) = published(builder().verdict(told, particulars(), 1))
    reference = under.recipe.reference
    assert reference is not None
    # Of the frame that is least like it.
    assert unit["reference"] == {
        "id": "0/1", "sha256": reference.sha256, "likeness": 0.946, "shift_px": 2.3,
    }  # fmt: skip
    assert unit["model"]["name"] == compared.GOLDEN.name


@pytest.mark.parametrize("of_recipe", [{"judge": "single"}, {"golden": None}, {"reference": None}])
def test_a_unit_that_is_compared_with_none_names_none(of_recipe: dict[str, Any]) -> None:
    under = compared.job(**of_recipe)
    (unit,) = published(builder().verdict(verdict(job=under), particulars(), 1))
    assert unit["reference"] is None
    assert unit["model"]["name"] == under.recipe.model.name
