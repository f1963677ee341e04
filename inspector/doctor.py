"""`inspector check`: looks at everything the service needs, and says what to do about the rest."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from redis import exceptions

from inspector.app import open_source
from inspector.errors import (
    CameraUnavailableError,
    ConfigurationError,
    EndOfFootageError,
    FrameUnreadableError,
    InspectorError,
)
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.embedded import EmbeddedTriton
from inspector.inference.triton import TritonModel
from inspector.places import find
from inspector.publish.embedded_redis import find_redis_server
from inspector.records import CameraId
from inspector.redis_client import redis_client
from inspector.service import EMBEDDED_READY_TIMEOUT_S, background, ready_or_failed
from inspector.settings import EMBEDDED, CameraSettings, Settings

LOW_DISK_BYTES = 1_000_000_000
CLOCK_TOLERANCE_S = 2.0
YEAR_2025_S = 1_735_689_600


class Mark(StrEnum):
    """How a finding turned out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    mark: Mark
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


async def examine(settings: Settings, report: Callable[[str], None]) -> list[Finding]:
    """Look at cameras, Triton, Redis, disk and clock; never raises for what it finds."""
    findings = [_settings(settings)]
    for camera_id, camera in settings.cameras.items():
        findings.append(await asyncio.to_thread(_camera, CameraId(camera_id), camera))
    findings += await _guarded("triton", _triton(settings, report))
    findings += await _guarded("redis", _redis(settings))
    findings.append(_disk(settings.journal.directory))
    findings.append(_clock())
    return findings


async def _guarded(what: str, work: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await work
    except InspectorError as error:
        advice = {
            "triton": "start Triton, or correct inference.url and inference.model",
            "redis": "start Redis, or correct redis.url and its password",
        }[what]
        return [Finding(what=what, mark=Mark.FAIL, found=str(error), advice=advice)]


def _settings(settings: Settings) -> Finding:
    megabytes = settings.image_memory_bytes() / 1e6
    found = (
        f"station {settings.station.id}, {len(settings.cameras)} camera(s), "
        f"{megabytes:.0f} MB of picture buffers"
    )
    return Finding(what="settings", mark=Mark.OK, found=found)


def _camera(camera_id: CameraId, camera: CameraSettings) -> Finding:
    import numpy as np  # noqa: PLC0415 - not needed to word the rest

    what = f"camera {camera_id}"
    source = open_source(camera_id, camera, threading.Event())
    started_s = time.monotonic()
    try:
        source.open()
        source.grab()
        image = np.zeros((camera.size.height_px, camera.size.width_px, 3), np.uint8)
        source.retrieve_into(image)
    except (CameraUnavailableError, FrameUnreadableError, EndOfFootageError) as error:
        return Finding(
            what=what,
            mark=Mark.FAIL,
            found=str(error) or "no picture in it",
            advice=f"check power, cable, address and login; or correct cameras.{camera_id}",
        )
    finally:
        source.close()
    took_ms = (time.monotonic() - started_s) * 1000
    if image.max() - image.min() < 8:  # noqa: PLR2004 - grey levels: nothing to be seen
        return Finding(
            what=what,
            mark=Mark.WARN,
            found=f"a picture of one colour ({camera.size})",
            advice="look at lens cap, light and exposure",
        )
    return Finding(
        what=what, mark=Mark.OK, found=f"{camera.size}, first frame after {took_ms:.0f} ms"
    )


async def _triton(settings: Settings, report: Callable[[str], None]) -> list[Finding]:
    inference = settings.inference
    if inference.url != EMBEDDED:
        return [await _model(settings, inference.url)]
    server = EmbeddedTriton(find(inference.repository), report=report)
    async with background(server.run(), name="triton") as running:
        await ready_or_failed(server.wait_ready(EMBEDDED_READY_TIMEOUT_S), running)
        return [await _model(settings, server.grpc_url)]


async def _model(settings: Settings, url: str) -> Finding:
    tensors = TensorPool(tensors=1, max_regions=1, shared=settings.inference.tensors != "inline")
    model = TritonModel(url, settings, tensors)
    try:
        spec = await model.connect()
        route = "shared memory" if model.is_sharing else "inline tensors"
        found = (
            f"{spec.name} version {spec.version} at {url}: {spec.input.dtype} "
            f"{spec.input.width_px}x{spec.input.height_px} in, {route}"
        )
        return Finding(what="triton", mark=Mark.OK, found=found)
    finally:
        await model.close()
        tensors.close()


async def _redis(settings: Settings) -> list[Finding]:
    if settings.redis.is_embedded:
        return [Finding(what="redis", mark=Mark.OK, found=f"embedded: {find_redis_server()}")]
    redis = settings.redis
    client = redis_client(
        redis.address(), password=redis.secret(), timeout_s=2.0, connect_timeout_s=2.0
    )
    try:
        server: Any = await client.info("server")
        findings = [
            Finding(what="redis", mark=Mark.OK, found=f"version {server['redis_version']} answers")
        ]
        findings.append(_eviction(await client.info("memory")))
        findings.append(_persistence(await client.info("persistence")))
        findings.append(await _permission(client, settings.station.id))
        seconds, microseconds = await client.time()
        findings.append(_redis_clock(seconds + microseconds / 1e6 - time.time()))
    except (exceptions.RedisError, OSError) as error:
        raise ConfigurationError(f"Redis cannot be asked: {error}") from error
    finally:
        await client.aclose()
    return findings


def _eviction(memory: dict[str, Any]) -> Finding:
    policy, limit = memory.get("maxmemory_policy", "?"), int(memory.get("maxmemory", 0))
    good = policy == "noeviction" or limit == 0
    return Finding(
        what="redis eviction",
        mark=Mark.OK if good else Mark.FAIL,
        found=f"{policy}, maxmemory {limit}",
        advice="" if good else "set maxmemory-policy noeviction, or Redis deletes unread events",
    )


def _persistence(persistence: dict[str, Any]) -> Finding:
    appends = bool(int(persistence.get("aof_enabled", 0)))
    return Finding(
        what="redis persistence",
        mark=Mark.OK if appends else Mark.WARN,
        found="append-only file on" if appends else "append-only file off",
        advice=""
        if appends
        else "set appendonly yes and appendfsync always; "
        "a Redis that comes back empty is refilled from the journal's retention",
    )


async def _permission(client: Any, station_id: str) -> Finding:
    key = f"inspector:{{{station_id}}}:units"
    what = "redis permission"
    try:
        user = await client.execute_command("ACL", "WHOAMI")
        name = user.decode() if isinstance(user, bytes) else str(user)
        verdict = await client.execute_command(
            "ACL", "DRYRUN", name, "XADD", key, "*", "field", "value"
        )
    except exceptions.ResponseError:
        # Before Redis 7 nothing can be tried without being done; a user may also not be allowed
        # to ask.
        return Finding(what=what, mark=Mark.OK, found="could not be asked")
    good = verdict in (b"OK", "OK", True)
    return Finding(
        what=what,
        mark=Mark.OK if good else Mark.FAIL,
        found=f"user {name} may write {key}" if good else str(verdict),
        advice="" if good else f"allow the user XADD, XINFO, XRANGE, XTRIM and WATCH on {key}",
    )


def _redis_clock(ahead_s: float) -> Finding:
    good = abs(ahead_s) <= CLOCK_TOLERANCE_S
    return Finding(
        what="redis clock",
        mark=Mark.OK if good else Mark.WARN,
        found=f"{ahead_s:+.2f} s from ours",
        advice="" if good else "synchronise both machines (NTP): events carry our time",
    )


def _disk(directory: Path) -> Finding:
    what = f"disk {directory}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".check-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
        free_bytes = shutil.disk_usage(directory).free
    except OSError as error:
        return Finding(
            what=what,
            mark=Mark.FAIL,
            found=f"cannot be written: {error.strerror}",
            advice="correct journal.directory, or the folder's owner",
        )
    enough = free_bytes >= LOW_DISK_BYTES
    return Finding(
        what=what,
        mark=Mark.OK if enough else Mark.WARN,
        found=f"{free_bytes / 1e9:.1f} GB free",
        advice="" if enough else "make room: a month without Redis needs about this much",
    )


def _clock() -> Finding:
    good = time.time() > YEAR_2025_S
    return Finding(
        what="clock",
        mark=Mark.OK if good else Mark.FAIL,
        found=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        advice="" if good else "set the clock (NTP): events would carry a wrong time",
    )
