"""How close to Triton's own speed, beside everybody else: `make bench`.

    python -m benchmarks.suite                    all of it, about 20 minutes on an idle machine
    … --only null,shipped,latency,overload,cameras,sizes,density,million
    … --rounds 5 --seconds 10 --frames 5000

Starts the embedded Triton, runs every contender in turn on the same cores, frames and model, in
rounds, and writes benchmarks/results.json and benchmarks/results.md. Ratios of one run mean
something; absolute figures belong to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.contest import ROOT, Ring, Standing, contest
from benchmarks.lineup import NULL, SHIPPED, ceilings, contenders
from inspector.bench import measures
from inspector.bench.line import LineRun, run_load
from inspector.bench.load import HD, Load, Server, resident_mib
from inspector.bench.memory import board_picture
from inspector.core.background import background, ready_or_failed
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.ops.log import configure_logging
from inspector.settings.sections import LogSettings
from inspector.settings.types import Size

REPOSITORIES = ("model_repository", "benchmarks/model_repository")
FOREIGN = "benchmarks/contenders/model_repository"
RESULTS = ROOT / "benchmarks/results.json"
READY_TIMEOUT_S = 900.0
MILLION = 1_000_000
MEMORY_EVERY_S = 10.0
SIZES = ((Size(1280, 720), False), (Size(1920, 1080), False), (Size(2448, 2048), True))
SIZES_HZ = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every measurement needs."""

    grpc_url: str
    http_url: str
    picture: Path
    rounds: int
    seconds: float
    frames: int

    def server(self, model: str) -> Server:
        """Asked as the settings' defaults have it."""
        return Server(url=self.grpc_url, model=model)

    def ring(self, frames: int) -> Ring:
        """For a contest."""
        return Ring(
            grpc_url=self.grpc_url,
            http_url=self.http_url,
            picture=self.picture,
            frames=frames,
            seconds=self.seconds,
            rounds=self.rounds,
            say=say,
        )


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command


async def null(bench: Bench) -> Any:
    """Everybody before a model that does nothing."""
    return _standings(await contest(bench.ring(bench.frames), contenders(True), ceilings(True)))


async def shipped(bench: Bench) -> Any:
    """Everybody before the shipped ensemble."""
    most = await measures.capacity(bench.server(SHIPPED), bench.seconds)
    frames = measures.frames_for(2 * bench.seconds, most.frames_per_s)
    return _standings(await contest(bench.ring(frames), contenders(False), ceilings(False)))


async def latency(bench: Bench) -> Any:
    """What is added to Triton's own time at 30 frames/s, journal and Redis included."""
    seconds = max(20.0, 2 * bench.seconds)
    rate_hz, run = await measures.added_latency(
        bench.server(NULL), seconds, most_per_s=1000, folder=ROOT / ".cache"
    )
    return {
        "rate_hz": rate_hz,
        "frames": len(run.total_ms),
        "triton_ms": run.triton_ms,
        "added_ms": {p: run.added_ms(p) for p in (50, 95, 99)},
        "to_verdict_ms": {p: run.line.age_ms(p) for p in (50, 95, 99)},
        "client_cores": run.line.cores,
    }


async def overload(bench: Bench) -> Any:
    """One camera that sends as much as the shipped ensemble can, twice, five times as much."""
    server = bench.server(SHIPPED)
    most = await measures.capacity(server, bench.seconds)
    runs = measures.overload(server, 4 * bench.seconds, capacity_per_s=most.frames_per_s)
    batch_ms = 1000 * server.max_regions / most.frames_per_s
    return {
        "capacity_per_s": most.frames_per_s,
        "batch_ms": batch_ms,
        "loads": {factor: _line(run) async for factor, run in runs},
    }


async def cameras(bench: Bench) -> Any:
    """The same 120 frames a second, from ever more cameras; the model does nothing."""
    runs = measures.growth(bench.server(NULL), 2 * bench.seconds, total_per_s=120)
    return {cameras: _line(run) async for cameras, run in runs}


async def sizes(bench: Bench) -> Any:
    """Ten frames a second of ever larger pictures; the largest in tiles."""
    found = {}
    for size, tiles in SIZES:
        frames = measures.frames_for(2 * bench.seconds, SIZES_HZ)
        load = Load(frames=frames, rate_hz=SIZES_HZ, size=size, tiles=tiles)
        name = f"{size.width_px}x{size.height_px}{', tiles' if tiles else ''}"
        found[name] = _line(await run_load(bench.server(NULL), load))
        say(f"{name}: {found[name]['cpu_ms_per_frame']:.2f} ms")
    return found


async def density(bench: Bench) -> Any:
    """How many cameras, each with a board every 2.5 s, before the shipped ensemble."""
    steps: list[measures.DensityStep] = []

    def step(found: measures.DensityStep) -> None:
        steps.append(found)
        say(f"{found.cameras} belts: {'held' if found.held else found.why_not}")

    held = await measures.density(bench.server(SHIPPED), 15.0, on_step=step)
    return {"cameras": held, "steps": [asdict(found) for found in steps]}


async def million(bench: Bench) -> Any:
    """Memory over a million frames before the model that does nothing, in one run."""
    server = Server(url=bench.grpc_url, model=NULL, lane_capacity=8)
    samples: list[tuple[float, float]] = []
    started_s = time.monotonic()

    async def sample() -> None:
        while True:
            await asyncio.sleep(MEMORY_EVERY_S)
            samples.append((round(time.monotonic() - started_s, 1), round(resident_mib(), 2)))

    async with background(sample(), name="memory"):
        line = await run_load(server, Load(frames=MILLION))
    return _line(line) | {"rss_mib_at_s": samples}


MEASURES: dict[str, Callable[[Bench], Awaitable[Any]]] = {
    m.__name__: m for m in (null, shipped, latency, overload, cameras, sizes, density, million)
}
BY_DEFAULT = [name for name in MEASURES if name != "million"]


def _standings(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    return [asdict(s) | {"speed": s.speed, "cpu_ms": s.cpu_ms} for s in standings]


def _line(run: LineRun) -> dict[str, Any]:
    figures = asdict(run)
    del figures["ages_ms"]
    return figures | {"age_ms": {p: run.age_ms(p) for p in (50, 95, 99)}}


def linked(folder: Path) -> Path:
    """One repository with the models of all."""
    for repository in (*REPOSITORIES, FOREIGN):
        for model in sorted((ROOT / repository).iterdir()):
            if model.is_dir() and model.name != "__pycache__":
                (folder / model.name).symlink_to(model)
    return folder


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "models").mkdir()
        np.save(folder / "picture.npy", board_picture(HD))
        server = EmbeddedTriton(linked(folder / "models"), report=say)
        async with background(server.run(), name="triton") as running:
            await ready_or_failed(server.wait_ready(READY_TIMEOUT_S), running)
            bench = Bench(
                grpc_url=server.grpc_url,
                http_url=server.http_url.removeprefix("http://"),
                picture=folder / "picture.npy",
                rounds=options.rounds,
                seconds=options.seconds,
                frames=options.frames,
            )
            for name in options.only:
                say(f"== {name}")
                results[name] = await MEASURES[name](bench)
    return results


def about() -> dict[str, Any]:
    """Where and with what it was measured."""
    named = ("grpcio", "numpy", "opencv-python-headless", "redis", "tritonclient")
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
        "python": platform.python_version(),
        "versions": {p: version(p) for p in named},
    }


def main() -> int:
    """Run what was asked for and write the results; earlier ones of other measures stay."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=BY_DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--frames", type=int, default=3000, help="of the fastest, null model")
    options = parser.parse_args()
    if unknown := set(options.only) - set(MEASURES):
        parser.error(f"--only {', '.join(sorted(unknown))}: expected {', '.join(MEASURES)}")
    configure_logging(LogSettings(level="error"))
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    where = about()
    measured = asyncio.run(run(options))
    results = before | {name: {"about": where, "found": f} for name, f in measured.items()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    # As read back: keys are text there.
    report.write(json.loads(RESULTS.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
