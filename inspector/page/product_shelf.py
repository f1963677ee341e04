"""Shows the station's products on the page, and writes changes into the products' folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import Job, JobState, Reference
from inspector.page.beside import BesideUnits
from inspector.page.shelf_routes import ProductSource, ZoneDrawn
from inspector.products.catalogue import Catalogue
from inspector.products.editing import with_zones
from inspector.products.files import Product, ZonePart, read_product
from inspector.products.reference import LeftOut
from inspector.products.stored import Approval, Approvals, StoredReference, StoredUnit
from inspector.products.teaching import Teaching, UnitSeen
from inspector.settings.wording import sentence

_PIXELS = ("mean.png", "deviation.png")


class ProductShelf(ProductSource):
    """Reads and writes files in threads, asks the station for the rest. Event loop only."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        units_to_teach: int,
        job: Callable[[], Job | None],
        teaching: Callable[[], Teaching | None],
    ) -> None:
        """`job`: in force, None at the start; `teaching`: in progress, or the last one."""
        self._catalogue = catalogue
        self._store = catalogue.store
        self._units_to_teach = units_to_teach
        self._job = job
        self._teaching = teaching
        self._beside = BesideUnits()

    def job(self) -> Mapping[str, Any]:
        """What is being made."""
        return job_shown(self._job())

    def teaching(self) -> Mapping[str, Any] | None:
        """What is being taught, or was last."""
        teaching = self._teaching()
        return None if teaching is None else teaching_shown(teaching)

    async def products(self) -> Sequence[Mapping[str, Any]]:
        """Every product, with what is wrong with it."""
        return await asyncio.to_thread(lambda: [self._brief(n) for n in self._store.names()])

    async def product(self, name: str) -> Mapping[str, Any] | None:
        """One product."""
        return await asyncio.to_thread(self._whole, name)

    async def codes(self, name: str) -> tuple[str, ...]:
        """The codes of a product's defects; empty if they cannot be read."""
        return await asyncio.to_thread(self._codes, name)

    async def picture(self, name: str, number: int, picture: str) -> bytes | None:
        """A picture of a reference."""
        return await asyncio.to_thread(self._picture, name, number, picture)

    async def draw_zones(self, name: str, zones: Sequence[ZoneDrawn]) -> Mapping[str, Any]:
        """Write them into the product's file, if the whole file is valid with them."""
        return await asyncio.to_thread(self._draw_zones, name, zones)

    async def reference_on(self, reference_id: str, picture_jpeg: bytes) -> bytes | None:
        """The reference, laid where a unit lies in its picture; None: one of the two is gone."""
        return await asyncio.to_thread(self._reference_on, reference_id, picture_jpeg)

    # In threads.

    def _brief(self, name: str) -> dict[str, Any]:
        try:
            _product, revision = self._catalogue.product(name)
            number = self._store.approvals(name).in_force
        except ConfigurationError as error:
            return {"name": name, "revision": None, "reference": None, "problem": str(error)}
        reference = None if number is None else f"{name}/{number}"
        return {"name": name, "revision": revision.text, "reference": reference, "problem": ""}

    def _whole(self, name: str) -> dict[str, Any] | None:
        if name not in self._store.names():
            return None
        problems: list[str] = []
        shown: dict[str, Any] = {
            "name": name,
            "units_to_teach": self._units_to_teach,
            "revision": None,
            "codes": [],
            "zones": [],
            "in_force": None,
            "before": None,
            "references": [],
        }
        for part in (self._said, self._learned):
            try:
                shown |= part(name)
            except ConfigurationError as error:
                problems += (told for told in error.problems if told not in problems)
        return {**shown, "problem": "; ".join(problems)}

    def _codes(self, name: str) -> tuple[str, ...]:
        try:
            product, _revision = self._catalogue.product(name)
        except ConfigurationError:
            return ()
        return product.inspection.codes

    def _said(self, name: str) -> dict[str, Any]:
        product, revision = self._catalogue.product(name)
        codes = list(product.codes)
        return {"revision": revision.text, "codes": codes, "zones": _zones(product)}

    def _learned(self, name: str) -> dict[str, Any]:
        """The references without pixels: a page that shows a product asks every few seconds."""
        approvals = self._store.approvals(name)
        return {
            "in_force": approvals.in_force,
            "before": approvals.before,
            "references": [_reference(one, approvals) for one in self._store.references(name)],
        }

    def _picture(self, name: str, number: int, picture: str) -> bytes | None:
        if name not in self._store.names() or number not in self._store.reference_numbers(name):
            return None
        if picture in _PIXELS:
            return (self._store.reference_folder(name, number) / picture).read_bytes()
        wanted = int(picture.partition(".")[0])
        stored = self._store.reference(name, number)
        unit = next((unit for unit in stored.units if unit.number == wanted), None)
        if unit is None or unit.picture is None:
            return None
        return self._store.unit_picture(name, number, unit)

    def _draw_zones(self, name: str, zones: Sequence[ZoneDrawn]) -> dict[str, Any]:
        parts = [_checked(number, zone) for number, zone in enumerate(zones, start=1)]
        origin = str(self._store.file_of(name))
        content = with_zones(self._store.content(name), parts, origin=origin)
        read_product(content, name=name, origin=origin, station=self._catalogue.station)
        self._store.write(name, content)
        shown = self._whole(name)
        if shown is None:
            raise ConfigurationError(f"there is no product {name}")
        return shown

    def _reference_on(self, reference_id: str, picture_jpeg: bytes) -> bytes | None:
        reference = self._load(reference_id)
        if reference is None:
            return None
        return self._beside.reference_on(picture_jpeg, reference)

    def _load(self, reference_id: str) -> Reference | None:
        name, _, number = reference_id.rpartition("/")
        try:
            return self._store.load_reference(name, int(number))
        except (ConfigurationError, ValueError):
            return None


def job_shown(job: Job | None) -> dict[str, Any]:
    """A job, for people."""
    if job is None:
        nothing = ("number", "product", "revision", "order", "lot", "context", "reference")
        return {**dict.fromkeys(nothing), "state": "starting", "detail": ""}
    recipe = job.recipe
    has_product = job.state is not JobState.NO_PRODUCT
    return {
        "number": job.number,
        "product": recipe.product if has_product else None,
        "revision": recipe.revision if has_product else None,
        "order": job.order,
        "lot": job.lot,
        "context": job.context,
        "state": job.state.value,
        "detail": job.detail,
        "reference": None if recipe.reference is None else recipe.reference.id,
    }


def teaching_shown(teaching: Teaching) -> dict[str, Any]:
    """A teaching, for people."""
    lesson = teaching.lesson
    left = {unit.number: unit for unit in teaching.left_out}
    return {
        "product": lesson.product,
        "revision": lesson.revision,
        "wanted": lesson.units,
        "by": lesson.by,
        "phase": teaching.phase.value,
        "taken": [_taken(unit, left.get(unit.number)) for unit in teaching.seen],
        "reference": teaching.reference,
        "problem": teaching.problem,
    }


def _taken(unit: UnitSeen, left: LeftOut | None) -> dict[str, Any]:
    places = () if left is None else left.places
    return {
        "number": unit.number,
        "id": unit.id,
        "frames": unit.frames,
        "why": "" if left is None else left.why.value,
        "places": [[p.x_px, p.y_px, p.width_px, p.height_px] for p in places],
    }


def _zones(product: Product) -> list[dict[str, Any]]:
    return [
        {
            "name": zone.name,
            "polygon": [list(corner) for corner in zone.polygon],
            "ignore": zone.ignore,
            "thresholds": dict(zone.thresholds),
        }
        for zone in product.said.zones
    ]


def _reference(stored: StoredReference, approvals: Approvals) -> dict[str, Any]:
    return {
        **stored.model_dump(include={"number", "sha256", "width_px", "height_px", "camera"}),
        **stored.model_dump(include={"revision", "made_at", "made_by"}),
        "id": stored.id,
        "approved": _approval(approvals.of(stored.number)),
        "units": [_unit(unit) for unit in stored.units],
    }


def _approval(approval: Approval | None) -> dict[str, str] | None:
    return None if approval is None else {"by": approval.by, "at": approval.at}


def _unit(unit: StoredUnit) -> dict[str, Any]:
    return {
        **unit.model_dump(include={"number", "id", "used", "why", "likeness"}),
        "places": [list(place) for place in unit.places],
        "has_picture": unit.picture is not None,
    }


def _checked(number: int, zone: ZoneDrawn) -> ZonePart:
    try:
        return ZonePart(
            name=zone.name,
            polygon=zone.polygon,
            ignore=zone.ignore,
            thresholds=zone.thresholds,
        )
    except ValidationError as error:
        problems = [
            f"zones.{number}.{'.'.join(map(str, found['loc']))}: "
            + sentence(found, [str(part) for part in found["loc"]], ZonePart)
            for found in error.errors(include_url=False)
        ]
        raise ConfigurationError(*problems) from None
