from __future__ import annotations

import asyncio
import math
import time
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from benchmarks import report
from inspector.bench import measures
from inspector.bench.line import Seen, percentile_of
from inspector.bench.load import Load, Server, belt_settings, settings_for
from inspector.bench.measures import DensityStep
from inspector.bench.memory import MemoryCamera, board_picture
from inspector.core.errors import EndOfFootageError
from inspector.core.records import CameraId, EventGroup, Stream
from inspector.core.records import Event as StreamEvent
from inspector.settings.sections import InferenceSettings
from inspector.settings.types import Size
from tests.kit.groups import group, judged

SERVER = Server(url="127.0.0.1:9", model="m", max_regions=3)


def camera(**more) -> MemoryCamera:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    return MemoryCamera(picture, **({"frames": 3, "rate_hz": None, "stop": Event()} | more))


def test_a_camera_in_memory_ends_after_its_frames() -> None:
    source = camera()
    source.open()
    for _ in range(3):
        source.grab()
    with pytest.raises(EndOfFootageError):
        source.grab()


def test_a_frame_that_is_read_late_was_captured_when_it_was_due() -> None:
    source = camera(rate_hz=1000.0)
    source.open()
    Event().wait(0.05)  # the reader is busy
    first, second = source.grab(), source.grab()
    assert second.captured_mono_ns - first.captured_mono_ns == 1_000_000


def test_a_frame_is_captured_when_the_wait_for_it_ends() -> None:
    source = camera(rate_hz=20.0, phase_s=0.02)
    before_ns = time.monotonic_ns()
    source.open()
    first = source.grab()
    assert before_ns + 20_000_000 <= first.captured_mono_ns <= time.monotonic_ns()


def test_each_buffer_gets_the_picture_once() -> None:
    source = camera()
    source.open()
    buffers = np.zeros((2, 4, 6, 3), np.uint8)
    for index in (0, 1):
        source.retrieve_into(buffers[index])
        assert buffers[index].any()
    buffers[:] = 0
    source.retrieve_into(buffers[1])
    assert not buffers.any()


def test_the_picture_is_a_board_of_the_size_asked_for() -> None:
    for size in (Size(1280, 720), Size(640, 512)):
        picture = board_picture(size)
        assert picture.shape == (size.height_px, size.width_px, 3)
        assert picture.std() > 20


def test_frames_are_dropped_only_where_there_is_a_rate() -> None:
    assert settings_for(SERVER, Load(frames=1)).cameras["c0"].when_full == "wait"
    paced = settings_for(SERVER, Load(frames=1, cameras=2, rate_hz=3.0, tiles=True))
    assert [c.when_full for c in paced.cameras.values()] == ["drop_oldest"] * 2
    assert paced.cameras["c1"].crop == "tiles"
    assert paced.batching.max_regions == 3


def test_a_board_passes_every_two_and_a_half_seconds() -> None:
    source = str(belt_settings(SERVER, 2).cameras["c1"].source)
    options = dict(part.split("=") for part in source.partition("?")[2].split("&"))
    pitch_px = 620 + int(options["gap"])
    assert pitch_px / (float(options["speed"]) * float(options["fps"])) == pytest.approx(2.5)


def test_what_reaches_the_server_stays_secret_and_is_handed_on() -> None:
    inference = InferenceSettings(url="other:1", token=SecretStr("geheim"), tls=True)
    server = Server(url="127.0.0.1:9", model="m", inference=inference)
    settings = settings_for(server, Load(frames=1))
    assert settings.inference.url == "127.0.0.1:9"
    assert settings.inference.tls
    assert settings.inference.token is not None
    assert "geheim" not in repr(server)


def verdict(result: str, age_ms: float, defects: int = 0) -> EventGroup:
    body = {
        "id": "x",
        "result": result,
        "reason": "stale" if result == "NOT_INSPECTED" else None,
        "counts": {"defects": defects},
        "timing_ms": {"trigger_to_verdict": age_ms},
    }
    event = StreamEvent(
        stream=Stream.UNITS, schema="s", id="x", time="t", unit_id="u", result=result, body=body
    )
    return group(event, unit=judged(CameraId("c0"), 1, "x"))


def test_the_clock_starts_after_the_units_that_do_not_count() -> None:
    seen = Seen(mark_after=2)
    for result, age_ms in (("PASSED", 900.0), ("PASSED", 800.0), ("FAILED", 3.0)):
        seen.on_verdict(verdict(result, age_ms, defects=1))
    seen.on_verdict(verdict("NOT_INSPECTED", 500.0))
    assert (seen.counted, seen.looked_at, seen.defects) == (2, 1, 1)
    assert list(seen.ages_ms) == [3.0]
    assert seen.results == {"PASSED": 2, "FAILED": 1, "NOT_INSPECTED": 1}
    assert seen.reasons == {"stale": 1}


def test_percentiles_of_too_little_are_no_numbers() -> None:
    assert math.isnan(percentile_of([1.0], 50))
    assert percentile_of([0.0, 1.0], 50) == 0.5


@given(st.integers(0, 300))
def test_the_number_of_cameras_is_found_whatever_it_is(true: int) -> None:
    tried: list[int] = []

    async def belts(_server: Server, cameras: int, _seconds: float) -> DensityStep:
        tried.append(cameras)
        return DensityStep(
            cameras=cameras, units=9, age_p95_ms=1, held=cameras <= true, why_not="", cores=1
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "_belts", belts)
        held = asyncio.run(measures.density(SERVER, 10))
    assert held == min(true, 256)
    assert len(tried) <= 18


def standing(name: str, speed: float, **more) -> dict[str, Any]:
    figures = {"frames_per_s": [speed, speed + 2], "speed": speed, "cpu_ms": 0.5, "rss_mib": 80.0}
    return {"name": name, "failure": "", "detections_per_frame": 2.0} | figures | more


ABOUT = {"measured": "then", "machine": "that", "python": "3", "versions": {"numpy": "2"}}


def test_the_report_shows_ratios_failures_and_what_is_not_known() -> None:
    found = [
        standing("perf_analyzer, streaming, shared memory", 1000.0, cpu_ms=float("nan")),
        standing("perf_analyzer, unary async, shared memory", 1250.0, cpu_ms=float("nan")),
        standing("inspector, shared memory", 500.0),
        standing("tutorial, gRPC FP32, unary", 25.0),
        standing("Ultralytics, grpc://", 0.0, failure="no network", frames_per_s=[]),
    ]
    text = report.document({"null": {"about": ABOUT, "found": found}})
    row = next(line for line in text.splitlines() if line.startswith("| inspector"))
    assert [cell.strip() for cell in row.strip("|").split("|")][3:7] == [
        "0.50",
        "0.40",
        "20.00",
        "0.50",
    ]
    assert "failed: no network" in text
    assert "then; that; Python 3; numpy 2" in text


def test_frames_without_a_result_are_told() -> None:
    line = {
        "frames_per_s": 9.0,
        "age_ms": {"50": 1.0, "95": 2.0, "99": 3.0},
        "frames_captured": 100,
        "frames_settled": 97,
        "reasons": {"stale": 3},
    }
    found = {"capacity_per_s": 10.0, "batch_ms": 400.0, "loads": {"5": line}}
    text = report.document({"overload": {"about": ABOUT, "found": found}})
    assert "| 5 times | 9.0 | 1 | 2 | 100 | 3 | 3 stale |" in text
