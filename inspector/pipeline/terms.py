"""Translates the settings into each stage's terms."""

from __future__ import annotations

from pathlib import Path

from inspector.batching.window import ModelWindows
from inspector.core.recipes import DEFAULT_PRODUCT, Job, ModelName, Recipe
from inspector.core.records import CameraId
from inspector.events.wording import EventTerms
from inspector.flow.inbox import Lane
from inspector.flow.model_pace import ModelPaces
from inspector.inference.model_check import ModelNeeds, ModelTerms
from inspector.inference.worker import InferenceLimits
from inspector.page.state import PageTerms
from inspector.products.files import StationTerms, read_product
from inspector.products.recipes import recipe_of
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED

NS_PER_MS = 1_000_000


def batch_windows(settings: Settings, paces: ModelPaces) -> ModelWindows:
    """When a request is sent."""
    return ModelWindows(
        max_regions=settings.batching.max_regions,
        max_wait_ns=round(settings.batching.window_ms * NS_PER_MS),
        paces=paces,
    )


def inference_limits(settings: Settings, *, wait_for_server: bool) -> InferenceLimits:
    """How much is sent to the server at once."""
    return InferenceLimits(
        max_in_flight=settings.inference.max_in_flight,
        reply_timeout_s=settings.inference.reply_timeout_s,
        wait_for_server=wait_for_server,
    )


def model_terms(settings: Settings) -> ModelTerms:
    """How the models' server is reached, and the requirements on the station's model."""
    inspection, inference = settings.inspection, settings.inference
    needs = ModelNeeds(
        codes=inspection.codes,
        lowest_threshold=min(inspection.threshold_of(code) for code in inspection.codes),
        stated=inference.stated,
        is_for_reference=False,
    )
    return ModelTerms(server=inference, needs=needs, also=_further_needs(settings))


def _further_needs(settings: Settings) -> dict[ModelName, ModelNeeds]:
    """The requirements on each further model; the model describes the rest of its input itself."""
    inspection = settings.inspection
    needs = {}
    for model in settings.inference.also_models:
        codes = inspection.classes_of(model.name)
        needs[model] = ModelNeeds(
            codes=codes,
            lowest_threshold=min(inspection.threshold_of(code) for code in codes),
            stated=model.stated,
        )
    return needs


def camera_lane(settings: Settings, camera: CameraSettings) -> Lane:
    """How many frames of a camera wait, and for how long."""
    waits = camera.when_full == "wait"
    max_age_ns = round(settings.batching.max_age_ms * NS_PER_MS)
    return Lane(
        capacity=settings.batching.lane_capacity,
        max_age_ns=None if waits else max_age_ns,
        waits=waits,
    )


def deadline_ns(settings: Settings, camera: CameraSettings) -> int | None:
    """When a unit of a camera is decided; None: recordings wait for the model."""
    waits = camera.when_full == "wait"
    return None if waits else round(settings.inspection.deadline_ms * NS_PER_MS)


def event_terms(settings: Settings) -> EventTerms:
    """The station as events name it."""
    station = settings.station
    return EventTerms(
        site=station.site,
        line=station.line,
        name=station.name,
        deadline_ns=round(settings.inspection.deadline_ms * NS_PER_MS),
        cameras={CameraId(c): camera.source.traits for c, camera in settings.cameras.items()},
    )


def evidence_folder(settings: Settings) -> Path:
    """The folder of the units' pictures."""
    return settings.evidence.directory or settings.journal.directory / "evidence"


def page_terms(settings: Settings) -> PageTerms:
    """The station's facts for the operator's page."""
    return PageTerms(
        cameras=tuple(map(CameraId, settings.cameras)),
        codes=settings.codes,
        journal_folder=settings.journal.directory,
        evidence_folder=evidence_folder(settings),
        keeps_evidence=settings.evidence.enabled,
        reads_triggers=any(c.trigger == "external" for c in settings.cameras.values()),
        embeds_triton=settings.inference.url == EMBEDDED,
        needs_token=settings.http.token is not None,
        shift_starts=settings.page.shift_starts,
    )


def station_terms(settings: Settings) -> StationTerms:
    """The defaults under a product's file."""
    return StationTerms(
        inspection=settings.inspection, inference=settings.inference, cameras=settings.cameras
    )


def default_recipe(settings: Settings) -> Recipe:
    """The product that the settings describe."""
    nothing_else = read_product(
        b"", name=DEFAULT_PRODUCT, origin="settings", station=station_terms(settings)
    )
    return recipe_of(nothing_else)


def first_job(settings: Settings) -> Job:
    """The job of a station that has not been given one."""
    return Job(number=0, recipe=default_recipe(settings))
