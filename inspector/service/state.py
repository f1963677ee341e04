"""The service's report about itself: healthy, ready, and everything at a glance."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from inspector import __version__
from inspector.core.faults import FaultBoard
from inspector.core.locks import Lock
from inspector.page.operator_page import OperatorPage
from inspector.pipeline.build import Pipeline
from inspector.service.reload import Reloader
from inspector.service.station_locks import StationLocks
from inspector.service.telemetry import ReaderNews
from inspector.triggers.external.worker import TriggerWorker

_AWAITED = {
    "camera": "waiting for its first picture",
    "triton": "waiting for the first answer of the model",
    "redis": "waiting for the first answer",
    "triggers": "their stream has not been read yet",
    "challenge": "the stored pictures were not shown yet",
}
_NEEDED = ("camera", "triton", "disk", "triggers", "challenge")
"""The kinds of parts without which no unit can be inspected."""
_HARMLESS = (("disk", "evidence"), ("triggers", "stream"), ("challenge", ""))
"""Not needed: without evidence verdicts go on; a stream that began again is being read; known parts
that are due can be shown."""


class StationState:
    """Read by the HTTP side and by metrics; parts are set as they come to be. Event loop only."""

    def __init__(self, station_id: str, faults: FaultBoard) -> None:
        self._station_id = station_id
        self._faults = faults
        self.running = asyncio.Event()
        """Set once the pipeline runs."""
        self.stopping = asyncio.Event()
        self.stalled = False
        """Whether verdicts do not keep up with frames."""
        self.has_been_ready = False
        """Whether every part has worked at once since the start."""
        self.pipeline: Pipeline | None = None
        self.page: OperatorPage | None = None
        self.reloader: Reloader | None = None
        self.trigger_reader: TriggerWorker | None = None
        self.reader_news: ReaderNews | None = None
        self.locks: StationLocks | None = None

    @property
    def journal_fault(self) -> str:
        """Why verdicts wait for the journal; empty normally."""
        standing = self._faults.standing
        return next((f.cause for f in standing if (f.kind, f.subject) == ("disk", "journal")), "")

    @property
    def is_all_known(self) -> bool:
        """Whether every part has worked, or failed, since the start."""
        return self.running.is_set() and not self._faults.awaited

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether verdicts keep up with frames."""
        pipeline = self.pipeline
        return not self.stalled, {
            "healthy": not self.stalled,
            "has_been_ready": self.has_been_ready,
            "journal": self.journal_fault or "ok",
            "captured": pipeline.captured if pipeline else 0,
            "handed_on": pipeline.handed_on if pipeline else 0,
            "settled": pipeline.results.settled if pipeline else 0,
            "verdicts": pipeline.results.verdicts if pipeline else 0,
        }

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether a unit that comes now can be inspected: this must be known, not assumed."""
        blocking = [
            f
            for f in self._faults.standing
            if f.kind in _NEEDED and (f.kind, f.subject) not in _HARMLESS
        ]
        causes = [_cause(f.kind, f.subject, f.cause) for f in blocking]
        awaited = self._faults.awaited
        causes += [_cause(kind, of, _AWAITED[kind]) for kind, of in awaited if kind in _NEEDED]
        ready = self.running.is_set() and not self.stopping.is_set() and not causes
        self.has_been_ready |= ready
        return ready, {"ready": ready, "running": self.running.is_set(), "blocked_by": causes}

    def in_words(self) -> str:
        """The present activity on one line, for `systemctl status`."""
        if self.stopping.is_set():
            return "draining"
        ready, detail = self.readiness()
        causes = "; ".join(detail["blocked_by"]) or "starting"
        doing = f"inspecting at {self._station_id}" if ready else f"not inspecting: {causes}"
        return f"{doing}{self.reloader.note}" if self.reloader else doing

    def status(self) -> dict[str, Any]:
        """Everything at a glance."""
        status = {
            "station": self._station_id,
            "version": __version__,
            "health": self.health()[1],
            "ready": self.readiness()[0],
            "needs_restart": list(self.reloader.needs_restart) if self.reloader else [],
            "faults": [
                {
                    "kind": f.kind,
                    "subject": f.subject,
                    "cause": f.cause,
                    "unit": None if f.unit is None else asdict(f.unit),
                }
                for f in self._faults.standing
            ],
            "locks": [_lock(lock) for lock in self.locks.board.standing] if self.locks else [],
            "readers": [asdict(reader) for reader in self.reader_news.readers]
            if self.reader_news
            else [],
            "awaited": [{"kind": kind, "subject": of} for kind, of in self._faults.awaited],
        }
        page = self.page
        return status if page is None else page.completed(status, running=self.running.is_set())


def _lock(lock: Lock) -> dict[str, Any]:
    return {
        "kind": lock.kind.value,
        "subject": lock.subject,
        "reason": lock.reason,
        "since": lock.since,
        "is_acknowledged": lock.is_acknowledged,
    }


def _cause(kind: str, subject: str, cause: str) -> str:
    return f"{kind} {subject}: {cause}".replace(" :", ":", 1)
