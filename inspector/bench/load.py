"""What a measurement puts on the pipeline, and the settings that make it so."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector.core.records import CameraId
from inspector.settings.sections import BatchingSettings, InferenceSettings, InspectionSettings
from inspector.settings.settings import Settings
from inspector.settings.types import Size, Tensors, Transport
from inspector.settings.unit_sections import EvidenceSettings

TAKT_S = 2.5
"""The interval between boards on a belt."""
BELT_FPS = 30
_BOARD_AND_GAP_PX = 900
"""Options of the simulated belt: its boards are 620 px long."""
_BOARD_PX = 620

HD = Size(1280, 720)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The model server, and how it is asked."""

    url: str
    model: str
    transport: Transport = "stream"
    tensors: Tensors = "auto"
    max_regions: int = 4
    max_in_flight: int = 2
    lane_capacity: int = 2
    window_ms: float = 2.0
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    """Further settings that are needed to reach it; the fields above take precedence."""
    inspection: InspectionSettings = field(default_factory=InspectionSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Frames from memory; each is a unit."""

    frames: int
    """Of each camera."""
    cameras: int = 1
    rate_hz: float | None = None
    """Frame rate of each camera; None: as fast as frames are taken, and none is dropped."""
    size: Size = HD
    tiles: bool = False
    """Inspect the frame in tiles of the model's size instead of shrinking it."""


def camera_ids(cameras: int) -> list[CameraId]:
    """Their names."""
    return [CameraId(f"c{number}") for number in range(cameras)]


def settings_for(server: Server, load: Load) -> Settings:
    """A station whose cameras' frames come from memory."""
    camera = {
        "source": "file:memory",
        "size": f"{load.size.width_px}x{load.size.height_px}",
        "when_full": "wait" if load.rate_hz is None else "drop_oldest",
        "crop": "tiles" if load.tiles else "region",
        "frozen_after_s": 0,
    }
    return _settings(server, dict.fromkeys(camera_ids(load.cameras), camera))


def belt_settings(server: Server, cameras: int) -> Settings:
    """A station with belts on which a drawn board passes every `TAKT_S`, seen as in production."""
    speed = _BOARD_AND_GAP_PX / (TAKT_S * BELT_FPS)
    gap = _BOARD_AND_GAP_PX - _BOARD_PX

    def source(number: int) -> dict[str, Any]:
        options = f"view=belt&fps={BELT_FPS}&speed={speed:g}&gap={gap}&seed={number + 1}"
        return {"source": f"sim:?{options}", "size": "1280x720", "trigger": "presence"}

    described = {c: source(n) for n, c in enumerate(camera_ids(cameras))}
    return _settings(server, described)


def _settings(server: Server, cameras: dict[CameraId, dict[str, Any]]) -> Settings:
    return Settings(
        station={"site": "bench", "line": "bench", "name": "bench"},  # type: ignore[arg-type]
        cameras=cameras,  # type: ignore[arg-type]
        batching=BatchingSettings(
            max_regions=server.max_regions,
            lane_capacity=server.lane_capacity,
            window_ms=server.window_ms,
        ),
        inference=server.inference.model_copy(
            update={
                "url": server.url,
                "model": server.model,
                "transport": server.transport,
                "tensors": server.tensors,
                "max_in_flight": server.max_in_flight,
            }
        ),
        inspection=server.inspection,
        evidence=EvidenceSettings(enabled=False),
    )


def server_of(settings: Settings, url: str) -> Server:
    """As a station asks its model, at this address."""
    inference, batching = settings.inference, settings.batching
    return Server(
        url=url,
        model=inference.model,
        transport=inference.transport,
        tensors=inference.tensors,
        max_regions=batching.max_regions,
        max_in_flight=inference.max_in_flight,
        lane_capacity=batching.lane_capacity,
        window_ms=batching.window_ms,
        inference=inference,
        inspection=settings.inspection,
    )


def resident_mib() -> float:
    """Memory of this process that is in RAM now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20
