"""A store of pictures on a real file system, and what tests ask of it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from inspector.core.faults import Fault, FaultBoard
from inspector.core.records import CameraId, Evidence, Image, KeptFor, Result
from inspector.evidence.naming import Subject
from inspector.evidence.store import EvidenceStore
from inspector.ops.metrics import Metrics
from inspector.settings.unit_sections import EvidenceSettings

GB = 1_000_000_000
CAMERA = CameraId("left")
SMALL = np.full((24, 32, 3), 90, np.uint8)
_numbers = itertools.count(1)


class Kept:
    """A running store with what it told the rest of the service."""

    def __init__(self, directory: Path, **settings: float) -> None:
        self.changes: list[tuple[str, str, bool]] = []
        self.causes: list[str] = []
        self.faults = FaultBoard(self._on_change)
        self.metrics = Metrics([CAMERA], [])
        self.directory = directory
        self.store = EvidenceStore(
            directory, _settings(settings), metrics=self.metrics, faults=self.faults
        )

    def change(self, **settings: float) -> None:
        self.store.change(_settings(settings))

    def _on_change(self, fault: Fault, raised: bool) -> None:  # noqa: FBT001 - a state
        self.changes.append((fault.kind, fault.subject, raised))
        self.causes.append(fault.cause)

    @property
    def failures(self) -> int:
        return round(self._value("inspector_evidence_failures_total"))

    @property
    def gauge_bytes(self) -> int:
        return round(self._value("inspector_evidence_bytes"))

    def _value(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None
        return value

    async def until(self, condition: Callable[[], bool], *, within_s: float = 20) -> None:
        give_up_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < give_up_s, (self.changes, self.causes)
            await asyncio.sleep(0.01)

    async def writable(self) -> None:
        """Wait for the first look at the disk: later changes are the test's own."""
        await self.until(lambda: not self.store._faulty)


def _settings(chosen: dict[str, float]) -> EvidenceSettings:
    defaults = {"free_floor_gb": 0, "timeout_ms": 5000}
    return EvidenceSettings.model_validate(defaults | chosen)


@asynccontextmanager
async def kept_in(directory: Path, **settings: float) -> AsyncIterator[Kept]:
    kept = Kept(directory, **settings)
    try:
        yield kept
    finally:
        await kept.store.close(wait_s=20)


def subject(
    unit_id: str = "PCB-1",
    *,
    result: Result = Result.FAILED,
    seen_unix_ns: int | None = None,
    kept_for: KeptFor = KeptFor.VERDICT,
) -> Subject:
    return Subject(
        kind="unit",
        camera=CAMERA,
        unit_id=unit_id,
        event_id=f"{next(_numbers):026d}",
        result=result,
        seen_unix_ns=time.time_ns() if seen_unix_ns is None else seen_unix_ns,
        kept_for=kept_for,
    )


def noise(side_px: int) -> Image:
    return np.random.default_rng(3).integers(0, 256, (side_px, side_px, 3), np.uint8)


def path_of(evidence: Evidence) -> Path:
    parts = urlsplit(evidence.uri)
    assert (parts.scheme, parts.netloc) == ("file", "")
    return Path(unquote(parts.path))


def is_as_told(evidence: Evidence) -> bool:
    content = path_of(evidence).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return (len(content), sha256) == (evidence.bytes, evidence.sha256)


def files_in(directory: Path) -> list[str]:
    """Every file, hidden ones too, relative and in order."""
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())
