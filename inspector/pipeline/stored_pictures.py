"""Shows stored pictures of known parts to the models, through the same stages that judge units."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inspector.core.basics import Image, Rect
from inspector.core.challenges import PartShown
from inspector.core.errors import EndOfFootageError, FrameUnreadableError
from inspector.core.ports import FrameSource, KnownParts
from inspector.core.recipes import CameraRecipe, Cropping, Job, Recipe
from inspector.core.records import CameraId, EventGroup, Grabbed
from inspector.core.verdicts import Verdict
from inspector.flow.event_door import EventDoor
from inspector.pipeline.build import Hooks, open_pipeline, reports_of
from inspector.pipeline.supervisor import run_pipeline
from inspector.products.change_over import needs_of
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.settings.types import Size
from inspector.sources.files.stills import decode_still

_PLAYED = "file:stored.png"
"""A recording, which waits for the model and is never too old; its pictures come from memory."""
_KEPT_OF_CAMERA = {"tile_overlap_px", "dark_below"}


class PictureUnreadableError(FrameUnreadableError):
    """A stored picture cannot be read; names it."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture with the name of its file."""

    name: str
    image: Image


def read_pictures(folder: Path, names: Sequence[str]) -> list[StoredPicture]:
    """The pictures of these files. Synchronous file I/O.

    Raises:
        PictureUnreadableError: one of them cannot be.

    """
    pictures = []
    for name in names:
        try:
            content = (folder / name).read_bytes()
            pictures.append(StoredPicture(name, decode_still(content)))
        except OSError as error:
            told = f"{folder / name}: cannot be read ({error.strerror})"
            raise PictureUnreadableError(told) from None
        except FrameUnreadableError as error:
            raise PictureUnreadableError(f"{folder / name}: {error}") from None
    return pictures


async def verdicts_on(
    pictures: Sequence[StoredPicture],
    job: Job,
    settings: Settings,
    *,
    camera: CameraId,
    triton_url: str,
) -> Mapping[str, Verdict]:
    """The verdicts on units of this job with these pictures, by the pictures' names.

    It uses a separate connection, with the recipe and the models of the job. Waits for the model
    server as long as it takes. A picture of the camera's own size is a frame; any other is a unit
    that was cut out and turned upright, as evidence shows it.
    """
    by_size = _by_size(pictures)
    shown = {CameraId(f"stored-{n}"): group for n, group in enumerate(by_size.values(), start=1)}
    sizes = dict(zip(shown, by_size, strict=True))
    own = _settings(settings, sizes, camera)
    seen = _Seen()
    reports = reports_of(own)
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(
            open_pipeline(
                own,
                reports,
                _Nowhere(reports.door),
                triton_url=triton_url,
                jobs={c: _job(job, camera, settings, sizes) for c in shown},
                hooks=Hooks(
                    make_source=lambda camera_id, _settings, _stop: Stills(shown[camera_id]),
                    known_parts=seen,
                ),
            )
        )
        for (model, codes), lowest in needs_of(job.recipe).items():
            pipeline.model.require(model, codes, lowest_threshold=lowest)
        await run_pipeline(
            pipeline.captures,
            pipeline.stages,
            stop=asyncio.Event(),
            drain_timeout_s=own.shutdown.drain_timeout_s,
        )
    return seen.verdicts


def _by_size(pictures: Sequence[StoredPicture]) -> Mapping[Size, list[StoredPicture]]:
    by_size: dict[Size, list[StoredPicture]] = defaultdict(list)
    for picture in pictures:
        height, width = picture.image.shape[:2]
        by_size[Size(width, height)].append(picture)
    return by_size


def _settings(settings: Settings, sizes: Mapping[CameraId, Size], camera: CameraId) -> Settings:
    content: dict[str, Any] = settings.model_dump(
        include={"station", "batching", "inference", "inspection", "shutdown"}, exclude_unset=True
    )
    like = settings.cameras[camera].model_dump(include=_KEPT_OF_CAMERA, exclude_unset=True)
    content["inspection"] = {**content.get("inspection", {}), "min_frames_seen": 0}
    content["cameras"] = {
        name: CameraSettings.model_validate(
            {"source": _PLAYED, "size": size, "when_full": "wait", **like}
        )
        for name, size in sizes.items()
    }
    content["evidence"] = {"enabled": False}
    return Settings(**content)


def _job(job: Job, camera: CameraId, settings: Settings, sizes: Mapping[CameraId, Size]) -> Job:
    recipe: Recipe = job.recipe
    cropping = recipe.cameras[camera].cropping
    frame = settings.cameras[camera].size
    cameras = {}
    for name, size in sizes.items():
        whole = replace(cropping, rect=Rect(0, 0, size.width_px, size.height_px))
        of_it: Cropping = cropping if size == frame else whole
        cameras[name] = CameraRecipe(cropping=of_it, frames_of_unit=1)
    rules = replace(recipe.rules, min_frames_seen=0)
    return replace(job, recipe=replace(recipe, cameras=cameras, rules=rules))


class _Seen(KnownParts):
    """Remembers each verdict by the unit's name."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}

    def part(self, verdict: Verdict, unit_id: str) -> PartShown | None:
        """Not a known part here: it is judged like any other."""
        self.verdicts[verdict.unit.label or unit_id] = verdict
        return None

    def shown(self, part: PartShown, verdict: Verdict, group: EventGroup) -> EventGroup:
        """The verdict unchanged."""
        del part, verdict
        return group


class _Nowhere:
    """The last stage: nothing of this is published."""

    name = "nowhere"

    def __init__(self, door: EventDoor) -> None:
        self._door = door

    async def run(self) -> None:
        """Receive everything."""
        async for _group in self._door:
            pass


class Stills(FrameSource):
    """A recording of pictures that are in memory; one thread."""

    def __init__(self, pictures: Sequence[StoredPicture]) -> None:
        self._pictures = pictures
        self._next = 0

    def open(self) -> None:
        """Do nothing: there is nothing to open."""

    def grab(self) -> Grabbed:
        """Take the next picture."""
        if self._next == len(self._pictures):
            raise EndOfFootageError("every stored picture was shown")
        self._next += 1
        return Grabbed(
            captured_mono_ns=time.monotonic_ns(),
            captured_unix_ns=time.time_ns(),
            label=self._pictures[self._next - 1].name,
        )

    def retrieve_into(self, image: Image) -> None:
        """Copy the picture."""
        np.copyto(image, self._pictures[self._next - 1].image)

    def close(self) -> None:
        """Do nothing: nothing is held open."""
