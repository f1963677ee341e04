from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from inspector.core.records import CameraId, Event, EventGroup, Stream
from inspector.triggers.external.ledger import Ledger
from inspector.triggers.external.messages import Trigger, TriggerAnswer, TriggerOutcome
from inspector.triggers.external.receiver import (
    MAX_UNANSWERED,
    Clocks,
    StreamEntry,
    TriggerReceiver,
)
from tests.kit.groups import group, judged

TOP, SIDE, FREE = CameraId("top"), CameraId("side"), CameraId("free")
MONO_NS, UNIX_NS = 5_000_000_000, 1_767_225_600_000_000_000


class Camera:
    """An inlet that accepts each unit once."""

    def __init__(self) -> None:
        self.triggers: list[Trigger] = []
        self.remembered: list[tuple[str, int]] = []

    def trigger(self, trigger: Trigger) -> TriggerAnswer:
        known = [t.unit_id for t in self.triggers]
        if trigger.unit_id in known:
            return TriggerAnswer(outcome=TriggerOutcome.DOUBLED, index=known.index(trigger.unit_id))
        self.triggers.append(trigger)
        return TriggerAnswer(outcome=TriggerOutcome.ACCEPTED, index=len(self.triggers) - 1)

    def remember(self, unit_id: str, received_mono_ns: int) -> None:
        self.remembered.append((unit_id, received_mono_ns))


class Station:
    def __init__(self, *external: CameraId, counters: Mapping[str, int] | None = None) -> None:
        self.inlets = {camera: Camera() for camera in external}
        self.registry = CollectorRegistry()
        self.receiver = TriggerReceiver(
            self.inlets,
            cameras=[TOP, SIDE, FREE],
            units_before={TOP: 100, SIDE: 0, FREE: 0},
            ledger=Ledger(external, counters or {}),
            registry=self.registry,
            clocks=Clocks(mono_ns=lambda: MONO_NS, unix_ns=lambda: UNIX_NS),
        )

    def count(self, camera: str, outcome: TriggerOutcome) -> float | None:
        labels = {"camera": camera, "outcome": outcome.value}
        return self.registry.get_sample_value("inspector_triggers_total", labels)


def entry(position: int, unit_id: str = "u", **more: Any) -> StreamEntry:
    fields: dict[bytes, object] = {b"unit_id": unit_id.encode()}
    fields.update({b"camera": more.pop("camera")} if "camera" in more else {})
    age_ns = more.pop("age_ns", None)
    came_ns = None if age_ns is None else MONO_NS - age_ns
    return StreamEntry(position=position, fields=fields, came_mono_ns=came_ns, **more)


def verdict(camera: str, number: int) -> EventGroup:
    events = (
        Event(stream=stream, id="", schema="", time="", unit_id="", result="", body={})
        for stream in (Stream.UNITS, Stream.DEFECTS)
    )
    return group(*events, unit=judged(CameraId(camera), number))


def test_a_trigger_goes_to_the_only_camera_there_is_and_comes_back_with_its_number() -> None:
    station = Station(TOP)
    receipt = station.receiver.submit({"unit_id": "PCB-1", "at": "2026-01-01T00:00:00Z"})
    assert (receipt.outcome, receipt.camera, receipt.number) == (
        TriggerOutcome.ACCEPTED,
        "top",
        101,
    )
    assert station.inlets[TOP].triggers == [
        Trigger(
            unit_id="PCB-1",
            received_mono_ns=MONO_NS,
            received_unix_ns=UNIX_NS,
            at_unix_ns=UNIX_NS,
        )
    ]
    assert station.count("top", TriggerOutcome.ACCEPTED) == 1


def test_a_doubled_trigger_is_told_the_number_of_its_unit() -> None:
    station = Station(TOP)
    station.receiver.submit({"unit_id": "PCB-1"})
    receipt = station.receiver.submit({"unit_id": "PCB-1"})
    assert (receipt.outcome, receipt.number) == (TriggerOutcome.DOUBLED, 101)
    assert receipt.problem == "unit 'PCB-1' was triggered a moment ago as unit 101"
    assert station.count("top", TriggerOutcome.DOUBLED) == 1


@pytest.mark.parametrize(
    ("fields", "outcome", "problem"),
    [
        ({}, "malformed", "unit_id is ''"),
        ({"unit_id": "u"}, "malformed", "camera is missing, expected one of: top, side"),
        ({"unit_id": "u", "camera": "nose"}, "unknown_camera", "there is no camera 'nose'"),
        ({"unit_id": "u", "camera": "free"}, "not_external", "camera free is not triggered"),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_line(
    fields: dict[str, Any], outcome: str, problem: str
) -> None:
    station = Station(TOP, SIDE)
    receipt = station.receiver.submit(fields)
    assert receipt.outcome == outcome
    assert receipt.problem.startswith(problem)
    assert "\n" not in receipt.problem
    # Under no name of the sender's: label values are not for others to make up.
    assert station.count("", TriggerOutcome(outcome)) == 1
    assert not any(camera.triggers for camera in station.inlets.values())


def test_a_station_without_external_triggers_says_so() -> None:
    station = Station()
    assert station.receiver.submit({"unit_id": "u"}).outcome is TriggerOutcome.NOT_EXTERNAL
    assert station.receiver.counters_of(verdict("top", 3)) == {}


def test_an_entry_without_a_time_counts_from_when_it_was_added() -> None:
    station = Station(TOP)
    station.receiver.take(entry(10, age_ns=7_000_000))
    station.receiver.take(entry(20, "v"))
    station.receiver.take(entry(30, "w", age_ns=10**12, too_late="long ago"))
    first, second, third = station.inlets[TOP].triggers
    assert first.at_unix_ns == UNIX_NS - 7_000_000
    assert second.at_unix_ns is None
    assert third.too_late == "long ago"


def test_the_journal_notes_how_far_the_stream_is_answered() -> None:
    station = Station(TOP, SIDE)
    for position, camera in ((10, b"top"), (20, b"side"), (30, b"top")):
        station.receiver.take(entry(position, str(position), camera=camera))
    station.receiver.take(entry(40, "", camera=b"top"))  # malformed
    assert station.receiver.counters_of(verdict("top", 101)) == {
        "triggers:top": 29,
        "triggers:side": 19,
    }
    assert station.receiver.counters_of(verdict("side", 1)) == {
        "triggers:top": 29,
        "triggers:side": 40,
    }
    assert station.receiver.counters_of(verdict("top", 102)) == {
        "triggers:top": 40,
        "triggers:side": 40,
    }


def test_what_was_answered_before_the_start_is_remembered_and_not_answered_again() -> None:
    station = Station(TOP, counters={"triggers:top": 20})
    assert station.receiver.take(entry(15, "old", age_ns=4_000_000_000)) is None
    assert station.inlets[TOP].remembered == [("old", MONO_NS - 4_000_000_000)]
    receipt = station.receiver.take(entry(25, "new"))
    assert receipt is not None
    assert receipt.outcome is TriggerOutcome.ACCEPTED
    assert [t.unit_id for t in station.inlets[TOP].triggers] == ["new"]


def test_a_closed_desk_refuses_and_leaves_the_entry_for_the_next_start() -> None:
    station = Station(TOP)
    station.receiver.take(entry(10))
    station.receiver.counters_of(verdict("top", 101))
    station.receiver.close()
    assert station.receiver.submit({"unit_id": "x"}).outcome is TriggerOutcome.REFUSED
    receipt = station.receiver.take(entry(20, "v"))
    assert receipt is not None
    assert receipt.problem == "the station is stopping"
    assert station.receiver.counters_of(verdict("top", 101)) == {"triggers:top": 10}


def test_reading_waits_while_too_many_triggers_have_no_verdict() -> None:
    station = Station(TOP)
    for number in range(MAX_UNANSWERED):
        station.receiver.take(entry(number + 1, f"u{number}"))
    assert not station.receiver._room.is_set()
    station.receiver.counters_of(verdict("top", 101))
    assert station.receiver._room.is_set()


def test_every_outcome_is_counted_from_zero_also_where_no_camera_is_named() -> None:
    """A counter that is born with its first count shows no increase: no alert would fire."""
    station = Station(TOP)
    for camera in ("top", ""):
        assert [station.count(camera, outcome) for outcome in TriggerOutcome] == [0.0] * len(
            TriggerOutcome
        )
