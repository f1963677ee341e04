"""A station's streams in Redis, read whole, and what must be true of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

STREAM_KEY = "inspector:{{test.one.aoi}}:{}"


@dataclass(frozen=True)
class Entry:
    """One entry of a stream."""

    entry_id: tuple[int, int]
    fields: Mapping[str, str]
    event: Mapping[str, Any]

    @property
    def number(self) -> int:
        number: int = self.event["unit"]["number"]
        return number

    @property
    def is_inspected(self) -> bool:
        return self.event["result"] in {"PASSED", "FAILED"}


def entries(client: redis.Redis, stream: str) -> list[Entry]:
    """A whole stream, oldest first; the client decodes."""
    found: Any = client.xrange(STREAM_KEY.format(stream))
    return [
        Entry(
            entry_id=(int(entry_id.partition("-")[0]), int(entry_id.partition("-")[2])),
            fields=fields,
            event=json.loads(fields["data"]),
        )
        for entry_id, fields in found
    ]


def assert_gapless(found: Sequence[Entry]) -> None:
    """Every event once, in order, and the flat fields say what the event says."""
    assert [e.event["seq"] for e in found] == list(range(1, len(found) + 1))
    assert [int(e.fields["seq"]) for e in found] == list(range(1, len(found) + 1))
    assert len({e.event["id"] for e in found}) == len(found)
    ids = [e.entry_id for e in found]
    assert ids == sorted(set(ids))
    for entry in found:
        assert entry.fields["id"] == entry.event["id"]
        assert entry.fields["time"] == entry.event["time"]


def assert_accounted(units: Sequence[Entry], captured: int) -> None:
    """One verdict per captured frame, in order per camera; nobody looked means nobody passed."""
    assert_gapless(units)
    assert len(units) == captured
    numbers: dict[str, int] = {}
    for unit in units:
        event = unit.event
        camera = event["camera"]
        assert unit.number == numbers.get(camera, 0) + 1, f"unit number after {numbers}"
        numbers[camera] = unit.number
        counts = event["counts"]
        assert counts["frames_expected"] == 1
        assert counts["frames_inspected"] + counts["frames_missed"] == 1
        assert (counts["frames_inspected"] == 1) == unit.is_inspected
        assert (event["reason"] is None) == unit.is_inspected
