"""Replays footage through the real stages, as `inspector replay` does, and collects the units."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from threading import Event
from typing import Any

from benchmarks.line.footage import Footage
from benchmarks.line.matching import SeenUnit
from benchmarks.line.oracle import OracleModel
from benchmarks.line.truth import TrueBox
from inspector.commands.replaying import CAMERA, JsonLinesSink, Tally
from inspector.core.ports import FrameSource
from inspector.core.records import CameraId
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import ModelTerms
from inspector.inference.triton import TritonModel
from inspector.pipeline.build import DeployedModel, Hooks, MakeModel, open_pipeline, reports_of
from inspector.pipeline.supervisor import run_to_the_end
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings

NOWHERE = "127.0.0.1:1"
"""Nobody asks this server: the oracle needs none."""


def settings_for(footage: Footage, url: str = NOWHERE, **camera: Any) -> Settings:
    """A presence trigger that reads serials; `camera` goes over its settings."""
    truth = footage.truth
    return Settings.model_validate(
        {
            "station": {"site": "line", "line": "accuracy", "name": truth.name[:32]},
            "inference": {"url": url},
            "evidence": {"enabled": False},
            "cameras": {
                CAMERA: {
                    "source": footage.uri,
                    "size": f"{truth.width_px}x{truth.height_px}",
                    "trigger": "presence",
                    "travel": truth.travel,
                    "serial": {"formats": ["DataMatrix"]},
                    "when_full": "wait",
                    **camera,
                }
            },
        }
    )


def oracle_for(footage: Footage) -> MakeModel:
    """A perfect detector in the model's place."""

    def make(_url: str, terms: ModelTerms, tensors: TensorPool) -> DeployedModel:
        return OracleModel(footage.truth, terms, tensors)

    return make


async def replay(
    footage: Footage, settings: Settings, make_model: MakeModel = TritonModel
) -> list[dict[str, Any]]:
    """The unit events, in the order they were published."""

    def make_source(_id: CameraId, _camera: CameraSettings, stop: Event) -> FrameSource:
        return footage.open(stop)

    lines = io.StringIO()
    reports = reports_of(settings)
    async with open_pipeline(
        settings,
        reports,
        JsonLinesSink(reports.door, lines, Tally()),
        triton_url=settings.inference.url,
        hooks=Hooks(make_source=make_source, make_model=make_model),
    ) as pipeline:
        await run_to_the_end(
            pipeline.captures,
            pipeline.stages,
            drain_timeout_s=settings.shutdown.drain_timeout_s,
        )
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def seen_units(events: Sequence[dict[str, Any]]) -> list[SeenUnit]:
    """What unit events claim."""
    return [
        SeenUnit(
            serial=event["unit"]["id"] if event["unit"]["id_source"] == "serial" else None,
            result=event["result"],
            reason=event["reason"],
            defects=tuple(TrueBox(d["code"], *d["bbox_px"]) for d in event["defects"]),
            latency_ms=event["timing_ms"]["trigger_to_verdict"],
        )
        for event in events
    ]
