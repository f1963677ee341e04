"""A consumer that knows only the contract: reads the streams while they grow, and audits them.

It keeps what it once read, so that it notices an entry that is gone later, comes twice, or comes
out of order, whatever became of Redis meanwhile.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import redis

STREAMS = ("units", "defects", "health", "changes", "challenges")
INSPECTED = ("PASSED", "FAILED")
READ_WAIT_MS = 200
PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    stream: str
    entry_id: tuple[int, int]
    seq: int
    event: Mapping[str, Any]

    @property
    def id(self) -> str:
        found: str = self.event["id"]
        return found

    @property
    def result(self) -> str:
        found: str = self.event["result"]
        return found

    @property
    def number(self) -> tuple[str, int]:
        """Of a unit: its camera, and its number there."""
        return self.event["camera"], self.event["unit"]["number"]

    @property
    def seen_unix_s(self) -> float:
        return datetime.fromisoformat(self.event["time"]).timestamp()


@dataclass(frozen=True, slots=True)
class Blind:
    """A time in which nobody can have looked at a unit that was seen then."""

    from_unix_s: float
    to_unix_s: float
    camera: str | None = None

    def covers(self, unit: Entry) -> bool:
        mine = self.camera in {None, unit.event["camera"]}
        return mine and self.from_unix_s <= unit.seen_unix_s < self.to_unix_s


@dataclass(kw_only=True)
class Audit:
    """What is wrong with the streams; every list is empty when nothing is."""

    units: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    false_passed: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.out_of_order or self.false_passed)

    def __str__(self) -> str:
        lists = ("lost", "duplicated", "out_of_order", "false_passed")
        told = [f"{name}: {getattr(self, name)[:5]}" for name in lists if getattr(self, name)]
        return f"{self.units} units, {self.events} events; {'; '.join(told) or 'nothing wrong'}"


class Witness:
    """Reads in a thread of its own from `with` to its end; survives every loss of Redis."""

    def __init__(self, port: int, station_id: str = "test.one.aoi", **login: Any) -> None:
        self._keys = {f"inspector:{{{station_id}}}:{stream}": stream for stream in STREAMS}
        self._login = login
        self._redis = self._connected(port)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._read: dict[str, Entry] = {}
        self._twice: set[str] = set()
        self._disorder: list[str] = []
        self._highest = dict.fromkeys(STREAMS, 0)
        self._thread = threading.Thread(target=self._follow, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._redis.close()

    def _connected(self, port: int) -> redis.Redis:
        return redis.Redis(
            port=port,
            decode_responses=True,
            socket_timeout=2,
            socket_connect_timeout=1,
            **self._login,
        )

    def use(self, port: int) -> None:
        """Read from another server from now on: the one that took over."""
        before, self._redis = self._redis, self._connected(port)
        before.close()

    @property
    def read(self) -> list[Entry]:
        """What was read so far, in the order it was read."""
        with self._lock:
            return list(self._read.values())

    def units(self) -> list[Entry]:
        return [entry for entry in self.read if entry.stream == "units"]

    def faults(self) -> list[tuple[str, str, str]]:
        """Health events: what, which one, raised or cleared."""
        health = [entry.event for entry in self.read if entry.stream == "health"]
        return [(e["fault"], e["subject"], e["state"]) for e in health]

    def inspected_after(self, unix_s: float) -> bool:
        """Whether a unit that was seen after this moment was looked at."""
        return any(u.result in INSPECTED and u.seen_unix_s > unix_s for u in self.units())

    def not_inspected_after(self, unix_s: float) -> bool:
        """Whether a unit that was seen after this moment was not looked at."""
        return any(u.result not in INSPECTED and u.seen_unix_s > unix_s for u in self.units())

    def names_version(self, version: int) -> bool:
        """Whether a unit was inspected by this version of the model."""
        return any(u.event["model"]["version"] == str(version) for u in self.units())

    def _follow(self) -> None:
        last = dict.fromkeys(self._keys, "0-0")
        while not self._ended.is_set():
            try:
                self._start_again_if_emptied(last)
                found: Any = self._redis.xread(dict[Any, Any](last), count=500, block=READ_WAIT_MS)
            except (redis.RedisError, OSError):
                self._ended.wait(PAUSE_S)
                continue
            for key, entries in found or ():
                for entry_id, fields in entries:
                    last[key] = entry_id
                    self._take(self._keys[key], entry_id, fields)

    def _start_again_if_emptied(self, last: dict[str, str]) -> None:
        """As docs/mes.md tells consumers: a stream that ends before what was read lost entries."""
        for key, entry_id in last.items():
            if entry_id == "0-0":
                continue
            newest: Any = self._redis.xrevrange(key, count=1)
            if not newest or _id(newest[0][0]) < _id(entry_id):
                last[key] = newest[0][0] if newest else "0-0"

    def _take(self, stream: str, entry_id: str, fields: Mapping[str, str]) -> None:
        self._note(_entry(stream, entry_id, fields))

    def _note(self, entry: Entry) -> None:
        stream = entry.stream
        with self._lock:
            before = self._read.get(entry.id)
            if before is None:
                self._read[entry.id] = entry
                if entry.seq <= self._highest[stream]:
                    told = f"{stream} {entry.seq} was new after {self._highest[stream]}"
                    self._disorder.append(told)
                self._highest[stream] = max(self._highest[stream], entry.seq)
            elif (before.entry_id, before.seq) != (entry.entry_id, entry.seq):
                self._twice.add(f"{stream} event {entry.id} as {before.seq} and {entry.seq}")

    def audit(
        self,
        *,
        verdicts: int | None,
        blind: Iterable[Blind] = (),
        trimmed_below: Mapping[str, int] | None = None,
    ) -> Audit:
        """Compare what there is now with what was read, and with the verdicts the line gave.

        `verdicts` of None: the line was killed and cannot say. `trimmed_below`: by stream, the
        number of the first entry that a stranger left there.
        """
        trimmed = trimmed_below or {}
        final = {s: self._whole(key) for key, s in self._keys.items()}
        units = final["units"]
        audit = Audit(units=len(units), events=sum(map(len, final.values())))
        for entry in (entry for entries in final.values() for entry in entries):
            # Read again where it is known: one that moved was there twice for a reader.
            if entry.id in self._read:
                self._note(entry)
        audit.duplicated += sorted(self._twice)
        audit.out_of_order += self._disorder
        there = {entry.id for entries in final.values() for entry in entries}
        audit.lost += [
            f"{entry.stream} {entry.seq} was read and is gone"
            for entry in self.read
            if entry.id not in there and entry.seq >= trimmed.get(entry.stream, 1)
        ]
        for stream, entries in final.items():
            _audit_stream(audit, stream, entries, first=trimmed.get(stream, 1))
        # What was trimmed is known all the same: it was read.
        known = (
            units
            if "units" not in trimmed
            else [
                *(u for u in self.units() if u.seq < trimmed["units"]),
                *units,
            ]
        )
        _audit_units(audit, known, verdicts)
        _audit_defects(audit, known, final["defects"])
        audit.false_passed += [why for unit in units if (why := _false(unit, list(blind)))]
        return audit

    def _whole(self, key: str) -> list[Entry]:
        deadline_s = time.monotonic() + 10
        while True:
            try:
                found: Any = self._redis.xrange(key)
            except (redis.RedisError, OSError):
                if time.monotonic() > deadline_s:
                    raise
                self._ended.wait(PAUSE_S)
            else:
                return [_entry(self._keys[key], entry_id, fields) for entry_id, fields in found]


def _entry(stream: str, entry_id: str, fields: Mapping[str, str]) -> Entry:
    event = json.loads(fields["data"])
    assert fields["id"] == event["id"]
    return Entry(stream, _id(entry_id), int(fields["seq"]), {"result": ""} | event)


def _id(text: str) -> tuple[int, int]:
    ms, _, n = text.partition("-")
    return int(ms), int(n)


def _audit_stream(audit: Audit, stream: str, entries: list[Entry], *, first: int) -> None:
    """Every number from the first on, once, in order."""
    expected, ids = first, set()
    for entry in entries:
        if entry.id in ids:
            audit.duplicated.append(f"{stream} event {entry.id}")
        ids.add(entry.id)
        if entry.seq > expected:
            audit.lost.append(f"{stream} {expected} to {entry.seq - 1}")
        elif entry.seq < expected:
            audit.out_of_order.append(f"{stream} {entry.seq} after {expected - 1}")
        expected = max(expected, entry.seq) + 1
    if [e.entry_id for e in entries] != sorted({e.entry_id for e in entries}):
        audit.out_of_order.append(f"{stream}: entry IDs")


def _audit_units(audit: Audit, units: list[Entry], verdicts: int | None) -> None:
    next_number: dict[str, int] = {}
    for unit in units:
        camera, number = unit.number
        expected = next_number.get(camera, 1)
        if number > expected:
            audit.lost.append(f"units {expected} to {number - 1} of {camera}")
        elif number < expected:
            audit.duplicated.append(f"unit {number} of {camera} after {expected - 1}")
        next_number[camera] = max(expected, number + 1)
    if verdicts is not None and len(units) != verdicts:
        kind = audit.lost if len(units) < verdicts else audit.duplicated
        kind.append(f"the line gave {verdicts} verdicts, {len(units)} are there")


def _audit_defects(audit: Audit, units: list[Entry], defects: list[Entry]) -> None:
    claimed = sum(unit.event["counts"]["defects"] for unit in units)
    if claimed != len(defects):
        kind = audit.lost if len(defects) < claimed else audit.duplicated
        kind.append(f"units claim {claimed} defects, {len(defects)} are there")


def _false(unit: Entry, blind: list[Blind]) -> str:
    """Why this unit must not be PASSED, where it is."""
    if unit.result != "PASSED":
        return ""
    counts, name = unit.event["counts"], f"unit {unit.number}"
    if counts["frames_inspected"] < max(1, counts["frames_expected"]) or unit.event["reason"]:
        return f"{name}: {counts}, {unit.event['reason']}"
    if any(window.covers(unit) for window in blind):
        return f"{name}: seen at {unit.event['time']}, when nobody could look"
    return ""
