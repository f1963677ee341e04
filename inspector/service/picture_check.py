"""Verifies with stored pictures that the network that answers is the approved one.

Whenever the models may have changed, and before any unit is PASSED by them, the set's stored
pictures are shown to the models. A result that differs from the known one locks the station.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never

import structlog
from ulid import ULID

from inspector.challenge.book import InForce
from inspector.challenge.comparing import differences
from inspector.challenge.desk import Around
from inspector.challenge.sets import KnownSet
from inspector.core.errors import InspectorError
from inspector.core.faults import FaultBoard
from inspector.core.locks import Lock, LockKind
from inspector.core.recipes import Job
from inspector.core.records import CameraId, EventGroup
from inspector.core.verdicts import Verdict
from inspector.events.schemas import rfc3339
from inspector.pipeline.stored_pictures import read_pictures, verdicts_on
from inspector.settings.settings import Settings

SUBJECT = "pictures"
"""The subject of the lock and of the fault `challenge`."""
AGAIN_S = 60.0
"""How often pictures with a wrong result are shown again: the cause may be over."""
MOST_TOLD = 40
LONGEST_PROBLEM = 200

log = structlog.get_logger("challenge")

Approved = tuple[str, str, InForce]
"""The set, its file's hash, and the models that its pictures were shown to."""


class PictureCheck:
    """Event loop only; `see` is cheap and reports at once what is not known yet."""

    def __init__(
        self, settings: Settings, around: Around, faults: FaultBoard, *, triton_url: str
    ) -> None:
        self._settings = settings
        self._around = around
        self._faults = faults
        self._triton_url = triton_url
        self._folder = settings.challenge_directory
        self._wanted: dict[str, tuple[KnownSet, InForce]] = {}
        self._held: set[Approved] = set()
        self._told: dict[str, str] = {}
        """The last published problem of each set."""
        self._changed = asyncio.Event()
        self.jobs: Callable[[], Mapping[CameraId, Job]] = dict

    def see(self, sets: tuple[KnownSet, ...], now: Mapping[CameraId, InForce]) -> None:
        """The jobs in force now; a job is locked until its pictures had the known results."""
        wanted = {
            known.name: (known, of)
            for known in sets
            if known.said.pictures
            and (of := now.get(known.camera)) is not None
            and known.is_for(of.product)
        }
        if wanted == self._wanted:
            return
        for name, shown_to in wanted.items():
            if shown_to != self._wanted.get(name):
                self._told.pop(name, None)
        self._wanted = wanted
        # Away and back: it may have been replaced.
        gone = {name for name, (_known, of) in wanted.items() if not of.models}
        self._held = {held for held in self._held if held[0] not in gone}
        self._show()
        self._changed.set()

    def _is_open(self, name: str) -> bool:
        known, of = self._wanted[name]
        return (name, known.sha256, of) not in self._held

    def _show(self) -> None:
        """Update lock and fault."""
        locks, is_open = self._around.locks, [n for n in self._wanted if self._is_open(n)]
        if not is_open:
            locks.clear(LockKind.CHALLENGE, SUBJECT)
            self._faults.clear("challenge", SUBJECT)
            return
        problem = next((told for n in is_open if (told := self._told.get(n))), "")
        reason = problem or f"the stored pictures of set {is_open[0]} were not shown yet"
        if self._settings.challenge.locks:
            since = rfc3339(self._around.now_ns())
            lock = Lock(
                kind=LockKind.CHALLENGE,
                subject=SUBJECT,
                reason=reason,
                since=since,
                is_quiet=not problem,
            )
            locks.set(lock)
        elif problem:
            self._faults.raise_fault("challenge", problem, SUBJECT)

    async def run_until_cancelled(self) -> Never:
        """Show pictures whenever the models may have changed."""
        while True:
            is_again = any(self._is_open(n) and self._told.get(n) for n in self._wanted)
            try:
                async with asyncio.timeout(AGAIN_S if is_again else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            for name in list(self._wanted):
                if name in self._wanted and self._is_open(name) and self._wanted[name][1].models:
                    await self._check(name)

    async def _check(self, name: str) -> None:
        known, of = self._wanted[name]
        job = self.jobs().get(known.camera)
        if job is None:
            return
        started_s = time.monotonic()
        parts: list[dict[str, Any]] = []
        try:
            seen = await self._seen(known, job)
        except InspectorError as error:
            problem = str(error)
        except ExceptionGroup as group:
            problem = str(group.exceptions[0])
        else:
            problem, parts = self._compared(known, seen)
        if self._wanted.get(name) != (known, of):
            return  # the models changed meanwhile: it is shown to the new ones
        if not problem:
            self._held.add((name, known.sha256, of))
        self._publish(known, problem, parts)
        self._show()
        log.info(
            "stored pictures shown",
            set=name,
            problem=problem or None,
            pictures=len(known.said.pictures),
            seconds=round(time.monotonic() - started_s, 2),
        )

    async def _seen(self, known: KnownSet, job: Job) -> Mapping[str, Verdict]:
        folder: Path = self._folder / known.name
        names = [picture.file for picture in known.said.pictures]
        pictures = await asyncio.to_thread(read_pictures, folder, names)
        return await verdicts_on(
            pictures,
            job,
            self._settings,
            camera=known.camera,
            triton_url=self._triton_url,
        )

    def _compared(
        self, known: KnownSet, seen: Mapping[str, Verdict]
    ) -> tuple[str, list[dict[str, Any]]]:
        problem, parts = "", []
        for picture in known.said.pictures:
            verdict = seen.get(picture.file)
            told = (
                ["it was not judged"]
                if verdict is None
                else [
                    difference.told
                    for difference in differences(
                        picture, verdict, tolerance_px=known.said.tolerance_px
                    )
                ]
            )
            problem = problem or (f"{picture.file}: {told[0]}" if told else "")
            parts.append(
                {
                    "name": picture.file,
                    "unit_id": picture.file,
                    "unit_event_id": "",
                    "result": "differs" if told else "as_expected",
                }
            )
        return problem, parts

    def _publish(self, known: KnownSet, problem: str, parts: list[dict[str, Any]]) -> None:
        if problem and self._told.get(known.name) == problem:
            return  # shown again, with the same result
        self._told[known.name] = problem
        result = "failed" if problem else "held"
        event = self._around.events.challenge(
            "check",
            {
                "challenge": str(ULID()),
                "set": known.name,
                "by": "service",
                "way": "pictures",
            },
            {"problem": problem[:LONGEST_PROBLEM], "parts": parts[:MOST_TOLD]},
            result=result,
        )
        self._around.metrics.challenges.labels(result).inc()
        self._around.door.put(EventGroup(events=(event,)))
