"""The page in front of real products and drawn units, with nothing of a line behind it.

The products' folder, its references and their pictures are real; the answers to commands are given
here, at once, by the rules that the station has.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.core.changes import Change
from inspector.core.errors import ConfigurationError
from inspector.core.recipes import Job, JobState
from inspector.core.records import CameraId, Image, Outline, Review
from inspector.events.wording import EventBuilder, EventTerms
from inspector.page.http import HttpServer, StatusSources, build_app
from inspector.page.optics_route import optics_route
from inspector.page.preview import PreviewFeed
from inspector.page.preview_socket import preview_routes
from inspector.page.product_routes import product_routes
from inspector.page.product_shelf import ProductShelf, job_shown
from inspector.page.shelf_routes import shelf_routes
from inspector.page.state import StationState
from inspector.page.unit_pictures import UnitPictureFiles
from inspector.page.unit_routes import Found, UnitSource, Wanted, unit_routes
from inspector.pipeline.terms import first_job, station_terms
from inspector.products.catalogue import Catalogue
from inspector.products.commands import Request as Command
from inspector.products.reference import Learned, ShownUnit, Sight, learn
from inspector.products.store import ProductStore, TaughtReference, TaughtUnit
from inspector.products.teaching import Lesson, Phase, Teaching
from inspector.reviews.standing import KeptReview, kept_review, standing
from inspector.settings.sections import HttpSettings
from inspector.settings.settings import Settings
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode
from tests.kit.pipeline import settings_for

CAMERA = "top"
SIZE_PX = (480, 400)
TAUGHT = 6
ODD = 4
"""The unit that was damaged when the reference was taught."""
_MARGIN_PX = 30


def board(number: int, product: int = 0, defects: tuple[DefectCode, ...] = ()) -> Image:
    """A unit's picture."""
    width, height = SIZE_PX
    return draw_board(
        number, seed=8, width_px=width, height_px=height, defects=defects, product=product
    ).picture


@lru_cache(maxsize=4)
def taught(product: int = 0) -> TaughtReference:
    """What a teacher makes of six boards, one of them damaged."""
    odd = (DefectCode.SHORT, DefectCode.OPEN)
    boards = {n: board(n, product, odd if n == ODD else ()) for n in range(1, TAUGHT + 1)}
    shown = [ShownUnit(number=n, sights=(_sight(picture),)) for n, picture in boards.items()]
    learned = learn(shown)
    assert isinstance(learned, Learned), learned
    left = {unit.number: unit for unit in learned.left_out}
    return TaughtReference(
        mean=learned.mean,
        deviation=learned.deviation,
        camera=CAMERA,
        revision="1",
        made_by="http",
        units=[
            TaughtUnit(
                number=number,
                id=f"SIM-{number:06d}",
                picture=picture,
                used=number not in left,
                why=left[number].why.value if number in left else "",
                likeness=left[number].likeness if number in left else 0.987,
                places=left[number].places if number in left else (),
            )
            for number, picture in boards.items()
        ],
    )


def _sight(picture: Image) -> Sight:
    width, height = SIZE_PX
    m = _MARGIN_PX
    around = cv2.copyMakeBorder(picture, m, m, m, m, cv2.BORDER_CONSTANT, value=(70, 70, 70))
    outline = Outline(
        centre_x_px=m + width / 2,
        centre_y_px=m + height / 2,
        width_px=width,
        height_px=height,
        turn_deg=0.0,
    )
    return Sight(image=np.asarray(around, np.uint8), outline=outline)


@dataclass
class Units(UnitSource):
    """Some units that were inspected."""

    events: list[dict[str, Any]] = field(default_factory=list)

    async def units(self, wanted: Wanted) -> Found:
        found = [
            event
            for event in self.events
            if (wanted.product or event["product"]["name"]) == event["product"]["name"]
            and (wanted.order or event["order"]) == event["order"]
            and (wanted.result or event["result"]) == event["result"]
            and (wanted.since or "") <= event["time"] < (wanted.until or "9999")
            and wanted.reviewed in (None, bool(standing(await self.history(event["id"]))))
            and wanted.kept_for in (None, *(e.get("kept_for") for e in event["evidence"]))
        ]
        return Found(units=found[: wanted.limit], next_before_seq=None)

    async def unit(self, event_id: str) -> Mapping[str, Any] | None:
        return next((event for event in self.events if event["id"] == event_id), None)

    said: list[KeptReview] = field(default_factory=list)
    """Every review, in order."""

    async def reviews(self, event_ids: list[str]) -> Mapping[str, Sequence[KeptReview]]:
        return {event_id: standing(await self.history(event_id)) for event_id in event_ids}

    async def history(self, event_id: str) -> Sequence[KeptReview]:
        return [one for one in self.said if one.unit_event_id == event_id]

    async def codes(self, event: Mapping[str, Any]) -> Sequence[str]:
        del event
        return [code.value for code in DefectCode]

    async def review(self, review: Review) -> None:
        builder = EventBuilder(EventTerms(site="s", line="l", name="n", deadline_ns=1, cameras={}))
        self.said.append(kept_review(builder.review(review).events[0].body))

    async def figures(self, hours: int) -> dict[str, Any]:
        """Only what Now shows of this shift."""
        del hours
        good = sum(event["result"] == "PASSED" for event in self.events)
        share = good / len(self.events) if self.events else None
        return {"shift": {"units": len(self.events), "pass_share": share}}


class PageStand:
    """A station of two products; a test looks into it and changes it."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = settings_for(
            "127.0.0.1:1", {CAMERA: {"size": "1280x720", "region": [400, 160, *SIZE_PX]}}
        )
        self.store = ProductStore(folder / "products")
        self.catalogue = Catalogue(self.store, station_terms(self.settings))
        self.evidence = folder / "evidence" / "2026-11-30"
        self.evidence.mkdir(parents=True)
        self.store.write("controller", b"# drawing C-17\n[inspection]\nthreshold = 0.6\n")
        self.store.write("sensor", b'revision = "C"\n')
        self.job: Job = first_job(self.settings)
        self.commands: list[dict[str, str]] = []
        self.teaching: Teaching | None = None
        self.answer: str = ""
        """Why the next command is refused."""
        self.unit_source = Units()
        self.state = StationState([CAMERA], keeps_evidence=True)

    def shelf(self) -> ProductShelf:
        return ProductShelf(
            self.catalogue,
            units_to_teach=8,
            job=lambda: self.job,
            teaching=lambda: self.teaching,
        )

    def teach(self, name: str = "controller", product: int = 0, *, approve: bool = True) -> int:
        stored = self.store.add_reference(name, taught(product))
        if approve:
            self.store.approve(name, stored.number, by="http")
        return stored.number

    def make(self, product: str, order: str | None = None, lot: str | None = None) -> None:
        self.job = replace(
            self.job,
            number=self.job.number + 1,
            recipe=self.catalogue.recipe(product),
            order=order,
            lot=lot,
        )

    def begin_teaching(self, product: str, units: int) -> None:
        self.job = replace(self.job, state=JobState.TEACHING)
        lesson = Lesson(product=product, revision="1", units=units, job=1, by="http")
        self.teaching = Teaching(lesson=lesson, phase=Phase.COLLECTING, seen=())

    def inspected(self, number: int, picture: Image, **fields: Any) -> str:
        """A unit, with its picture; returns its event's id."""
        event_id = f"01KB{number:022d}"
        path = self.evidence / f"{event_id}.jpg"
        cv2.imwrite(str(path), picture)
        job = job_shown(self.job)
        event = {
            "id": event_id,
            "seq": number,
            "time": f"2026-11-30T20:{number % 60:02d}:00.000000+00:00",
            "camera": CAMERA,
            "unit": {"id": f"SIM-{number:06d}", "number": number, "serial": None},
            "product": {"name": job["product"], "revision": job["revision"]},
            "order": job["order"],
            "lot": job["lot"],
            "context": None,
            "reference": None
            if job["reference"] is None
            else {
                "id": job["reference"],
                "sha256": "0" * 64,
                "likeness": 0.984,
                "shift_px": 1.2,
            },
            "model": {"name": "pcb_inspection", "version": "1"},
            "result": "PASSED",
            "reason": None,
            "detail": "",
            "defects": [],
            "counts": {"defects": 0, "frames_expected": 3, "frames_inspected": 3},
            "timing_ms": {"trigger_to_verdict": 120.0, "queue": 10.0, "inference": 30.0},
            "deadline_met": True,
            "evidence": [{"kind": "image", "camera": CAMERA, "uri": path.as_uri()}],
            "simulated": True,
            "replayed": False,
            **fields,
        }
        self.unit_source.events.insert(0, event)
        return event_id

    def status(self) -> dict[str, Any]:
        return {
            "station": self.settings.station.id,
            "health": {"healthy": True},
            "faults": [],
            "awaited": [],
            "parts": self.state.parts(running=True, pending=0, oldest_s=0.0),
            "cameras": [CAMERA],
            "codes": list(self.settings.inspection.codes),
            "needs_token": False,
            "job": job_shown(self.job),
        }

    async def submit(self, request: Command, *, by: str) -> Change | None:
        """As the station's change-over answers, without a line behind it."""
        fields = {name: text for name, text in request.fields.items() if text}
        self.commands.append({"command": request.name, **fields})
        try:
            effective = {} if self.answer else self._done({"command": request.name, **fields})
        except ConfigurationError as error:
            self.answer, effective = str(error), {}
        problem, self.answer = self.answer, ""
        return Change(
            command=request.name,
            fields=fields,
            accepted=not problem,
            problem=problem,
            by=by,
            effective=effective,
            job=self.job,
        )

    def _done(self, fields: Mapping[str, str]) -> dict[CameraId, int]:
        product = fields["product"]
        match fields["command"]:
            case "set_product":
                self.make(product, fields.get("order"), fields.get("lot"))
            case "approve":
                self.store.approve(product, int(fields["version"]), by="http")
                self.make(product, self.job.order, self.job.lot)
            case "rollback":
                self.store.roll_back(product)
                self.make(product, self.job.order, self.job.lot)
            case "discard" if "version" in fields:
                self.store.forget_reference(product, int(fields["version"]))
                return {}
            case "discard":
                self.job = replace(self.job, state=JobState.INSPECTING)
                self.teaching = None
            case "teach":
                self.begin_teaching(product, int(fields["units"]))
        return {CameraId(CAMERA): 57}


@contextmanager
def serving(stand: PageStand) -> Iterator[str]:
    """The page on a port of its own, in a loop of its own; yields its address."""
    up: Future[str] = Future()
    end: Future[None] = Future()

    async def serve() -> None:
        shelf = stand.shelf()
        pictures = UnitPictureFiles(stand.evidence.parent)
        with ThreadPoolExecutor(1) as encoder:
            feeds = {CameraId(CAMERA): PreviewFeed(encoder, lambda: None)}
            routes = [
                *unit_routes(stand.unit_source, pictures),
                *shelf_routes(shelf, stand.unit_source, pictures),
                *preview_routes(feeds, stand.status),
                *product_routes(stand),
                optics_route(tuple),
            ]
            views = StatusSources(
                metrics=lambda: b"",
                health=lambda: (True, {}),
                readiness=lambda: (True, {}),
                status=stand.status,
            )
            server = HttpServer(build_app(views, None, routes), HttpSettings(port=0))
            up.set_result(server.url)
            running = asyncio.create_task(server.run_until_cancelled())
            await asyncio.wrap_future(end)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="page")
    thread.start()
    try:
        yield up.result(10)
    finally:
        end.set_result(None)
        thread.join(10)
