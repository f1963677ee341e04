"""The station's parts in words: what is wrong, since when, and what a person should do."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from datetime import time as clock_time
from functools import partial
from pathlib import Path
from typing import Any

from inspector.core.faults import (
    PICTURE_REFUSED,
    PICTURES_CHANGE,
    Fault,
    FaultUnit,
    camera_clock,
    reference_at,
)
from inspector.core.locks import LockKind
from inspector.core.records import CameraId

DEADLINES_COUNTED_S = 600
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*:\S*: ")
LOCK_KINDS = tuple(kind.value for kind in LockKind)
_GOOD = {
    "camera": "Receiving pictures.",
    "triton": "The model responds.",
    "redis": "Events are delivered.",
    "triggers": "Triggers are read.",
    "journal": "All verdicts are saved.",
    "evidence": "Pictures of units are saved.",
    "sink": "Events are delivered.",
    "clock": "The clock goes on as time passes.",
    "product": "The product is known.",
    "challenge": "The station recognises its known parts.",
    "process": "No defect repeats itself.",
    "deadline": "Verdicts are on time.",
}
_AWAITED = {
    "camera": "Waiting for its first picture.",
    "triton": "Waiting for the first answer of the model.",
    "redis": "Waiting for the first answer of Redis.",
    "triggers": "No triggers have been read yet.",
}
_ADVICE = {
    "camera": "Check that the camera has power and its cable is plugged in. The station keeps "
    "trying; units are not inspected meanwhile. Set them aside.",
    "triton": "Units are not inspected. Tell whoever looks after the Triton server; the station "
    "keeps trying.",
    "embedded triton": "Units are not inspected. The service restarts its own Triton, which "
    "takes seconds. If this persists, tell whoever looks after the station: the log has the "
    "cause.",
    "redis": "Inspection goes on and no event is lost: events wait on this machine's disk. Tell "
    "whoever looks after Redis and the network.",
    "producer": "Two services use this station's id, and their events are mixed. Tell whoever "
    "looks after the station: each needs an id of its own.",
    "sink": "Inspection goes on. The events for this sink wait on this machine's disk while "
    "there is room. Tell whoever looks after the sink.",
    "triggers": "Units that the line announces through Redis are not inspected: set them aside. "
    "Tell whoever looks after Redis; the station keeps trying.",
    "journal": "Verdicts wait until events can be written. The cause says why: the disk is full "
    "or broken, or the journal has reached its limit because Redis takes nothing.",
    "evidence": "Inspection goes on; pictures are not kept. Free space on the disk.",
    "clock": "Events carry a wrong time; none is deleted because of that. Tell whoever looks "
    "after the machines: set the clock (NTP).",
    "camera's clock": "Inspection goes on, using the time at which pictures arrive. Tell whoever "
    "looks after the camera to check its frame rate, as set and as sent, and its clock (NTP).",
    "product": "No unit is inspected: set the product that runs.",
    "product's file": "Inspection goes on with the previous content of the file. Tell whoever "
    "looks after the products: the file is wrong.",
    "reference": "Units that do not fit the product's reference are not inspected. Compare the "
    "product that is set with the one on the line, and check whether the camera was moved.",
    "serials": "Units are inspected, perhaps as the wrong product. Compare the product that is "
    "set with the one on the line.",
    "optics": "Units are inspected, and some may be missed or judged wrongly. Tell whoever looks "
    "after the camera.",
    "refused": "Units of this camera are not inspected: set them aside. Blurred: clean the lens "
    "and refocus it. Too bright or too dark: check the lamp and the camera's exposure. Blank: "
    "check what covers the lens. Moved: put the camera back where it was. If the pictures are "
    "good all the same, say so below.",
    "optics change": "Units are inspected, for now. Clean the lens and check the focus and the "
    "lamp before pictures are refused. If the pictures are good all the same, say so below.",
    "challenge": "No unit is passed as good. Run the challenge with its known parts: the page "
    "leads through it.",
    "stored pictures": "The network no longer finds the known defects on stored pictures: no "
    "unit is passed as good. Tell whoever looks after the models.",
    "process": "Fix the cause at the line. Units that show no defect may be locked until "
    "somebody acknowledges it.",
    "deadline": "The machine or the model is slower than the line. Tell whoever looks after the "
    "station; late verdicts may be too late for the ejector.",
}

_ADVICE_OF_PRODUCT = {"": "product", "file": "product's file"}
"""Advice by subject; other subjects are references, or cameras whose serials do not fit."""


def _advice_of_product(subject: str) -> str:
    other = "reference" if subject.startswith(reference_at("")) else "serials"
    return _ADVICE_OF_PRODUCT.get(subject, other)


def _advice_of_optics(cause: str) -> str:
    if cause.startswith(PICTURE_REFUSED):
        return "refused"
    return "optics change" if cause.startswith(PICTURES_CHANGE) else "optics"


class Deadlines:
    """Counts which of the last verdicts were late. Bounded; one thread."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._late: deque[tuple[float, float]] = deque(maxlen=1000)
        self._all: deque[float] = deque(maxlen=20_000)

    def add(self, *, in_time: bool) -> None:
        """A verdict."""
        now_s = self._now_s()
        self._all.append(now_s)
        if not in_time:
            self._late.append((now_s, time.time()))

    def recent(self) -> tuple[int, int, float | None]:
        """Late ones and all of the last minutes, and the wall clock of the first late one."""
        since_s = self._now_s() - DEADLINES_COUNTED_S
        while self._all and self._all[0] < since_s:
            self._all.popleft()
        while self._late and self._late[0][0] < since_s:
            self._late.popleft()
        first_s = self._late[0][1] if self._late else None
        return len(self._late), len(self._all), first_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTerms:
    """What the page has to know about the station."""

    cameras: tuple[CameraId, ...]
    codes: tuple[str, ...]
    journal_folder: Path
    evidence_folder: Path
    keeps_evidence: bool
    reads_triggers: bool
    embeds_triton: bool
    needs_token: bool
    shift_starts: tuple[clock_time, ...]


class StationState:
    """The faults that stand, with the time since when. Event loop only."""

    def __init__(
        self,
        cameras: Sequence[str],
        *,
        keeps_evidence: bool,
        reads_triggers: bool = False,
        embeds_triton: bool = False,
    ) -> None:
        self._cameras = tuple(cameras)
        self._advice = dict(_ADVICE)
        if embeds_triton:
            self._advice["triton"] = _ADVICE["embedded triton"]
        self._reads_triggers = reads_triggers
        self._keeps_evidence = keeps_evidence
        self._standing: dict[tuple[str, str], tuple[str, str]] = {}
        self._units: dict[tuple[str, str], FaultUnit] = {}
        self.deadlines = Deadlines()

    def on_fault(self, fault: Fault, *, raised: bool) -> None:
        """Take a fault that was just raised or cleared."""
        key = (fault.kind, fault.subject)
        if raised:
            self._standing[key] = (fault.cause, _rfc3339(time.time()))
            if fault.unit is not None:
                self._units[key] = fault.unit
        else:
            self._standing.pop(key, None)
            self._units.pop(key, None)

    def since(self, kind: str, subject: str) -> str | None:
        """Since when a fault stands; RFC 3339."""
        found = self._standing.get((kind, subject))
        return None if found is None else found[1]

    def parts(
        self,
        *,
        running: bool,
        pending: int,
        oldest_s: float,
        awaited: Collection[tuple[str, str]] = (),
    ) -> list[dict[str, Any]]:
        """Every part, in the order of the line; `pending` events wait in the journal.

        Nothing is known of the `awaited` parts yet, by kind and subject: none of them is good.
        """
        part = partial(self._part, running=running, awaited=awaited)
        parts = [self._camera(camera, part("camera", camera)) for camera in self._cameras]
        parts.append(part("triton", ""))
        parts.append(self._redis(part("redis", ""), pending, oldest_s))
        if self._reads_triggers:
            parts.append(part("triggers", ""))
        parts.append(part("disk", "journal"))
        if self._keeps_evidence:
            parts.append(part("disk", "evidence"))
        return [*parts, *self._wrong_only(), self._deadline()]

    def _redis(self, part: dict[str, Any], pending: int, oldest_s: float) -> dict[str, Any]:
        """With the events that wait for it, and with a second producer in its streams."""
        if pending and not part["good"]:
            part["words"] += f" {pending} events wait, the oldest for {_duration(oldest_s)}."
        rival = self._standing.get(("redis", "producer"))
        if part["good"] and rival is not None:
            part |= _wrong(*rival, advice=_ADVICE["producer"])
        return part

    def _wrong_only(self) -> list[dict[str, Any]]:
        """What is shown only while it is wrong: it is no part of the station."""
        sinks = [
            _good("sink", subject) | _wrong(*found, advice=_ADVICE["sink"])
            for (kind, subject), found in self._standing.items()
            if kind == "sink"
        ]
        clock = self._standing.get(("clock", "")) or self._standing.get(("clock", "redis"))
        clocks = [_good("clock") | _wrong(*clock, advice=_ADVICE["clock"])] if clock else []
        locks = [
            _good(kind, subject)
            | _wrong(*found, advice=_ADVICE["stored pictures" if subject == "pictures" else kind])
            | self._unit(kind, subject)
            for (kind, subject), found in self._standing.items()
            if kind in LOCK_KINDS
        ]
        return [*sinks, *clocks, *self._product(), *locks]

    def _unit(self, kind: str, subject: str) -> dict[str, Any]:
        """The unit at which it was noticed, if there was one."""
        unit = self._units.get((kind, subject))
        return {} if unit is None else {"unit": asdict(unit)}

    def _product(self) -> list[dict[str, Any]]:
        """What is wrong with products."""
        wrong = [fault for fault in self._standing.items() if fault[0][0] == "product"]
        return [
            _good("product", "" if subject == "file" else subject)
            | _wrong(*standing, advice=_ADVICE[_advice_of_product(subject)])
            for (_kind, subject), standing in wrong
        ]

    def _camera(self, camera: str, part: dict[str, Any]) -> dict[str, Any]:
        """The camera's part: its pictures may be doubtful, or its clock may be wrong."""
        doubt = self._standing.get(("optics", camera))
        if part["good"] and doubt is not None:
            return part | _wrong(*doubt, advice=_ADVICE[_advice_of_optics(doubt[0])])
        clock = self._standing.get(("clock", camera_clock(camera)))
        if part["good"] and clock is not None:
            part |= _wrong(*clock, advice=_ADVICE["camera's clock"])
        return part

    def _part(
        self, kind: str, subject: str, *, running: bool, awaited: Collection[tuple[str, str]]
    ) -> dict[str, Any]:
        name = subject if kind == "disk" else kind
        found = self._standing.get((kind, subject))
        part = _good(name, subject if kind == "camera" else "")
        if found is not None:
            part |= _wrong(*found, advice=self._advice[name])
        elif not running:
            part |= _wrong("The service is starting.", None, advice="Wait a moment.")
        elif (kind, subject) in awaited:
            part |= _wrong(_AWAITED[kind], None, advice="Wait a moment.")
        return part

    def _deadline(self) -> dict[str, Any]:
        late, verdicts, first_s = self.deadlines.recent()
        part = _good("deadline")
        minutes = DEADLINES_COUNTED_S // 60
        if not verdicts:
            part["words"] = f"There was no verdict in the last {minutes} minutes."
        if first_s is not None:
            words = f"{late} of {verdicts} verdicts were late in the last {minutes} minutes."
            part |= _wrong(words, _rfc3339(first_s), advice=_ADVICE["deadline"])
        return part


def with_times(faults: Sequence[Mapping[str, Any]], state: StationState) -> list[Mapping[str, Any]]:
    """The faults of `/api/status`, each with the time since when it stands."""
    return [{**f, "since": state.since(f["kind"], f["subject"])} for f in faults]


def _good(part: str, subject: str = "") -> dict[str, Any]:
    return {
        "part": part,
        "subject": subject,
        "good": True,
        "words": _GOOD[part],
        "since": None,
        "advice": "",
    }


def _wrong(cause: str, since: str | None, *, advice: str) -> dict[str, Any]:
    return {"good": False, "words": _sentence(cause), "since": since, "advice": advice}


def _sentence(cause: str) -> str:
    # The address that a cause begins with is for the log, not for people at the line.
    text = _ADDRESS.sub("", cause.strip()) or "it does not work"
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, tz=UTC).isoformat(timespec="milliseconds")
