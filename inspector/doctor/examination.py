"""`inspector check`: checks everything that the service needs, and gives advice."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from inspector.core.errors import (
    CameraUnavailableError,
    ConfigurationError,
    EndOfFootageError,
    FrameUnreadableError,
    InspectorError,
)
from inspector.core.ports import AnsweringSource, FiringSource, FrameSource, NotingSource
from inspector.core.records import CameraId, Image
from inspector.doctor.challenges import check_challenges
from inspector.doctor.clock import check_clock
from inspector.doctor.findings import Finding, Mark, renamed
from inspector.doctor.products import check_products
from inspector.doctor.redis import check_redis
from inspector.doctor.regions import regions_that_misfit
from inspector.doctor.sinks import check_sinks
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.triton import TritonModel
from inspector.pipeline.buffers import image_memory_bytes
from inspector.pipeline.cameras import open_source
from inspector.pipeline.terms import model_terms
from inspector.service.servers import start_triton
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED

LOW_DISK_BYTES = 1_000_000_000
_TRIGGER_WITHIN_S = 5.0
"""How long a picture of a camera that waits for triggers is waited for."""


async def examine(settings: Settings, report: Callable[[str], None]) -> list[Finding]:
    """Check cameras, Triton, Redis, disk and clock; never raises for what it finds."""
    findings = [_settings(settings), *map(renamed, settings.old_names)]
    findings += await asyncio.to_thread(check_products, settings)
    findings += await asyncio.to_thread(check_challenges, settings)
    for camera_id, camera in settings.cameras.items():
        findings += await asyncio.to_thread(_camera, CameraId(camera_id), camera)
    findings += await _triton(settings, report)
    findings += await check_redis(settings)
    findings += await check_sinks(settings)
    findings.append(_disk(settings.journal.directory))
    findings.append(check_clock(settings.journal.directory))
    return findings


def _settings(settings: Settings) -> Finding:
    megabytes = image_memory_bytes(settings) / 1e6
    found = (
        f"station {settings.station.id}, {len(settings.cameras)} camera(s), "
        f"{megabytes:.0f} MB of picture buffers"
    )
    return Finding(what="settings", mark=Mark.OK, found=found)


def _camera(camera_id: CameraId, camera: CameraSettings) -> list[Finding]:
    from inspector.doctor.packets import check_packets  # noqa: PLC0415 - not needed for the rest

    stop = threading.Event()
    source = open_source(camera_id, camera, stop)
    try:
        findings = _pictures(camera_id, camera, source, stop)
        # Also after a picture that was not whole: they say why.
        packets = None if stop.is_set() else check_packets(camera_id, source, stop)
        return findings if packets is None else [*findings, packets]
    finally:
        source.close()


def _pictures(
    camera_id: CameraId, camera: CameraSettings, source: FrameSource, stop: threading.Event
) -> list[Finding]:
    import numpy as np  # noqa: PLC0415 - not needed to word the rest

    from inspector.doctor.presence import check_presence  # noqa: PLC0415 - nor is OpenCV

    what = f"camera {camera_id}"
    started_s = time.monotonic()
    try:
        source.open()
        _grab_first(source, stop)
        image = np.zeros((camera.size.height_px, camera.size.width_px, 3), np.uint8)
        source.retrieve_into(image)
        took_ms = (time.monotonic() - started_s) * 1000
        notes = source.notes if isinstance(source, NotingSource) else ()
        first = _first_picture(what, camera, image, notes, took_ms)
        if camera.trigger != "presence":
            return [first]
        return [first, check_presence(camera_id, camera, source, image)]
    except (CameraUnavailableError, FrameUnreadableError, EndOfFootageError) as error:
        if stop.is_set():
            return [_no_trigger(what)]
        return [
            Finding(
                what=what,
                mark=Mark.FAIL,
                found=str(error) or "no picture in it",
                advice=_camera_advice(camera_id, camera, str(error)),
            )
        ]


def _grab_first(source: FrameSource, stop: threading.Event) -> None:
    """Grab a frame; ends a source that waits for a trigger, which would wait for ever."""
    if isinstance(source, FiringSource):
        source.ask_for(1)
    ending = threading.Timer(_TRIGGER_WITHIN_S, stop.set)
    ending.daemon = True
    if isinstance(source, AnsweringSource):
        ending.start()
    try:
        source.grab()
    finally:
        ending.cancel()


def _no_trigger(what: str) -> Finding:
    return Finding(
        what=what,
        mark=Mark.WARN,
        found=f"it answers, and sent no picture within {_TRIGGER_WITHIN_S:.0f} s",
        advice="check again while units pass; if they do, see TriggerSource and the photo-eye",
    )


def _first_picture(
    what: str, camera: CameraSettings, image: Image, notes: tuple[str, ...], took_ms: float
) -> Finding:
    if image.max() - image.min() < 8:  # noqa: PLR2004 - grey levels: nothing to be seen
        return Finding(
            what=what,
            mark=Mark.WARN,
            found=f"a picture of one colour ({camera.size})",
            advice="look at lens cap, light and exposure",
        )
    if notes:
        return Finding(
            what=what,
            mark=Mark.WARN,
            found="; ".join(notes),
            advice="see that the recording is meant so",
        )
    return Finding(
        what=what, mark=Mark.OK, found=f"{camera.size}, first frame after {took_ms:.0f} ms"
    )


def _camera_advice(camera_id: CameraId, camera: CameraSettings, found: str) -> str:
    key = f"cameras.{camera_id}"
    if "pixels, expected" in found:
        return f"set {key}.size to what it delivers, or the camera to {camera.size}"
    return camera.source.advice(key)


async def _triton(settings: Settings, report: Callable[[str], None]) -> list[Finding]:
    inference = settings.inference
    advice = 'start Triton there, correct inference.url, or set it to "embedded" for one of our own'
    try:
        if inference.url != EMBEDDED:
            return await _model(settings, inference.url)
        advice = "look at inference.repository, or set inference.url to a Triton elsewhere"
        async with AsyncExitStack() as stack:
            url = await start_triton(settings, stack, report=report, makes_folders=False)
            advice = "correct the setting it names, or deploy the model that the settings expect"
            return await _model(settings, url)
    except InspectorError as error:
        if isinstance(error, ConfigurationError) and inference.url != EMBEDDED:
            advice = "correct the setting it names, or deploy the model that the settings expect"
        return [Finding(what="triton", mark=Mark.FAIL, found=str(error), advice=advice)]


async def _model(settings: Settings, url: str) -> list[Finding]:
    tensors = TensorPool(tensors=1, max_regions=1, shared=settings.inference.tensors != "inline")
    model = TritonModel(url, model_terms(settings), tensors)
    try:
        specs = (await model.connect()).values()
        route = "shared memory" if model.is_sharing else "inline tensors"
        findings = []
        for spec in specs:
            found = (
                f"{spec.name} version {spec.version} at {url}: {spec.reader.kind}, "
                f"{spec.input.dtype} {spec.input.width_px}x{spec.input.height_px} in, {route}"
            )
            findings.append(Finding(what="triton", mark=Mark.OK, found=found))
            findings += regions_that_misfit(settings, spec.input)
        return findings
    finally:
        await model.close()
        tensors.close()


def _disk(directory: Path) -> Finding:
    """Read only: a folder made here would belong to the person who checks."""
    what = f"disk {directory}"
    there = next((p for p in (directory, *directory.absolute().parents) if p.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=there):
            free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(
            what=what,
            mark=Mark.FAIL,
            found=f"{there} cannot be written by user {os.geteuid()}: {error.strerror}",
            advice="correct journal.directory or its owner, or check as the service's user",
        )
    enough = free_bytes >= LOW_DISK_BYTES
    state = "" if there == directory else ", to be made at start"
    return Finding(
        what=what,
        mark=Mark.OK if enough else Mark.WARN,
        found=f"{free_bytes / 1e9:.1f} GB free{state}",
        advice="" if enough else "make room: 700,000 units without Redis need 1 GB",
    )
