"""What the client side costs, measured side by side in one run: `make bench`.

A model that does nothing is served by the embedded Triton; every contender sends the same 720p
frames to it, in turns, several rounds each. Ratios between contenders of one run mean something;
absolute figures belong to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from inspector.app import Surroundings, build_pipeline
from inspector.background import background
from inspector.batching.preprocess import Preprocessor
from inspector.errors import EndOfFootageError
from inspector.flow.channel import Channel
from inspector.geometry import fit
from inspector.inference.embedded import EmbeddedTriton
from inspector.ops.health import FaultBoard
from inspector.ops.log import configure_logging
from inspector.ops.metrics import Metrics
from inspector.records import (
    CameraId,
    EventGroup,
    Frame,
    FrameRef,
    Grabbed,
    Image,
    ModelInput,
    Rect,
    Region,
)
from inspector.results.event_builder import EventBuilder
from inspector.sections import CameraSettings, LogSettings
from inspector.settings import Settings
from inspector.source_uri import traits
from inspector.supervisor import run_pipeline

REPOSITORY = Path(__file__).parent / "model_repository"
CAMERA = CameraId("memory")
SIZE = (1280, 720)


@dataclass(frozen=True, slots=True)
class Figure:
    """One contender in one round."""

    frames_per_s: float
    cpu_ms_per_frame: float


class FromMemory:
    """A camera whose frames lie in memory: as many as asked for, as fast as they are taken."""

    def __init__(self, picture: Image, frames: int) -> None:
        self._picture = picture
        self._left = frames

    def open(self) -> None:
        """Nothing to connect."""

    def grab(self) -> Grabbed:
        """The next frame; EndOfFootageError after the last."""
        if self._left == 0:
            raise EndOfFootageError
        self._left -= 1
        return Grabbed(captured_mono_ns=time.monotonic_ns(), captured_unix_ns=time.time_ns())

    def retrieve_into(self, image: Image) -> None:
        """A camera library would write its decoded picture here."""
        np.copyto(image, self._picture)

    def close(self) -> None:
        """Nothing to disconnect."""


class Counting:
    """The last stage: counts verdicts and forgets them."""

    name = "counting"

    def __init__(self, groups: Channel[EventGroup]) -> None:
        self._groups = groups
        self.units = 0

    async def run(self) -> None:
        """Work until the groups end."""
        async for _group in self._groups:
            self.units += 1


async def pipeline_round(
    url: str, picture: Image, frames: int, *, transport: str, tensors: str
) -> int:
    """The service's own stages, from a frame in memory to its verdict."""
    settings = Settings(
        station={"site": "bench", "line": "bench", "name": "bench"},  # type: ignore[arg-type]
        cameras={
            CAMERA: CameraSettings(source="file:memory", size="1280x720", when_full="wait")  # type: ignore[arg-type]
        },
        batching={"max_regions": 1, "lane_capacity": 8},  # type: ignore[arg-type]
        inference={  # type: ignore[arg-type]
            "model": "null_inspection",
            "transport": transport,
            "tensors": tensors,
            "max_in_flight": 8,
        },
    )
    around = Surroundings(
        metrics=Metrics([CAMERA], settings.inspection.codes),
        faults=FaultBoard(lambda _fault, _raised: None),
        builder=EventBuilder(settings, {CAMERA: traits("file:memory")}),
        triton_url=url,
        units_before={CAMERA: 0},
        make_source=lambda _camera, _settings, _stop: FromMemory(picture, frames),
    )
    sinks: list[Counting] = []

    def make_sink(groups: Channel[EventGroup]) -> Counting:
        sinks.append(Counting(groups))
        return sinks[0]

    pipeline = build_pipeline(settings, around, make_sink)
    try:
        await run_pipeline(
            pipeline.captures, pipeline.stages, stop=asyncio.Event(), drain_timeout_s=8
        )
    finally:
        pipeline.tensors.close()
    return sinks[0].units


async def tutorial_round(url: str, picture: Image, frames: int) -> int:
    """The classic tutorial: letterbox, float32, channels first, one blocking call per frame."""

    def loop() -> int:
        with InferenceServerClient(url) as client:
            for _ in range(frames):
                canvas = np.full((640, 640, 3), 114, np.uint8)
                canvas[140:500] = cv2.resize(picture, (640, 360))
                blob = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1), np.float32) / 255
                tensor = InferInput("images", [1, 3, 640, 640], "FP32")
                tensor.set_data_from_numpy(blob[None])
                client.infer("null_fp32", [tensor]).as_numpy("count")
        return frames

    return await asyncio.to_thread(loop)


async def measure(contender: Callable[[], Awaitable[int]]) -> Figure:
    """Wall time and this process's user + system time, per frame."""
    before, started_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    frames = await contender()
    elapsed_s, after = time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(frames / elapsed_s, 1000 * cpu_s / frames)


def preprocess_ms(picture: Image, rounds: int = 300) -> float:
    """Median milliseconds to scale one 720p frame into a uint8 tensor."""
    spec = ModelInput(
        name="image", width_px=640, height_px=640, channels_first=False, dtype="UINT8", rgb=False
    )

    class Lease:
        image = picture

        def release(self) -> None:
            """Nothing is lent."""

    ref = FrameRef(camera_id=CAMERA, sequence=0, captured_mono_ns=0, captured_unix_ns=0)
    rect = Rect(0, 0, *SIZE)
    box = fit(rect, width_px=640, height_px=640)
    region = Region(frame=Frame(ref=ref, lease=Lease()), rect=rect, letterbox=box)
    preprocessor, row = Preprocessor(spec), np.empty((640, 640, 3), np.uint8)
    taken_ms = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        preprocessor.write(region, row)
        taken_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(taken_ms)


async def run(frames: int, rounds: int) -> None:
    """Measure everything and print a table."""
    picture: Image = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    print(f"{platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}")
    print(f"one 1280x720 frame into a uint8 640x640 tensor: {preprocess_ms(picture):.2f} ms")
    server = EmbeddedTriton(REPOSITORY, report=print)
    async with background(server.run(), name="triton"):
        await server.wait_ready(900)
        url = server.grpc_url
        contenders: dict[str, Callable[[], Awaitable[int]]] = {
            "tutorial loop (gRPC, FP32, unary)": partial(tutorial_round, url, picture, frames // 8),
        }
        for transport in ("stream", "unary"):
            for tensors in ("shared_memory", "inline"):
                contenders[f"inspector, {transport}, {tensors}"] = partial(
                    pipeline_round, url, picture, frames, transport=transport, tensors=tensors
                )
        figures: dict[str, list[Figure]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contender in contenders.items():
                figures[name].append(await measure(contender))
    print(
        f"{'contender':40} {'frames/s':>9} {'spread':>15} {'CPU ms/frame':>13} {'x tutorial':>11}"
    )
    base = statistics.median(f.frames_per_s for f in figures[next(iter(figures))])
    for name, taken in figures.items():
        speeds = sorted(f.frames_per_s for f in taken)
        speed = statistics.median(speeds)
        cpu_ms = statistics.median(f.cpu_ms_per_frame for f in taken)
        spread = f"{speeds[0]:.0f}..{speeds[-1]:.0f}"
        print(f"{name:40} {speed:9.0f} {spread:>15} {cpu_ms:13.2f} {speed / base:11.1f}")


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=800, help="per contender and round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    configure_logging(LogSettings(level="warning"))
    asyncio.run(run(arguments.frames, arguments.rounds))


if __name__ == "__main__":
    main()
