"""The inspector itself: its stages, from a frame in memory to its verdict.

    python -m benchmarks.contenders.ours --way WAY --url HOST:PORT --model NAME --frames N

shared_memory   four frames to a request, two requests in flight, as the settings have it
single          the same with one frame to a request and eight in flight, as the others ask
inline          as shared_memory, with the pixels in the request

The clock starts when a tenth of the frames has its verdict: the connection is there by then, as it
is for the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from dataclasses import replace
from importlib.metadata import version

from inspector.bench.line import LineRun, run_load
from inspector.bench.load import Load, Server
from inspector.ops.log import configure_logging
from inspector.settings.sections import LogSettings
from inspector.settings.types import Size

PACKAGES = ("grpcio", "numpy", "opencv-python-headless", "tritonclient")


def server_for(way: str, url: str, model: str) -> Server:
    """How this way asks."""
    # A lane as long as what is taken from it: one camera stands for several here.
    server = Server(url=url, model=model, tensors="shared_memory", lane_capacity=8)
    if way == "single":
        return replace(server, max_regions=1, max_in_flight=8)
    return replace(server, tensors="inline") if way == "inline" else server


async def run(server: Server, load: Load) -> LineRun:
    """Warm up, say so, wait for the start, run."""
    await run_load(server, replace(load, frames=40))
    print("ready", file=sys.stderr, flush=True)
    if (await asyncio.to_thread(sys.stdin.readline)).strip() != "go":
        sys.exit("expected a line 'go' on stdin")
    return await run_load(server, load)


def main() -> None:
    """Take part by the protocol of `benchmarks.contenders.protocol`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=["shared_memory", "single", "inline"], required=True)
    parser.add_argument("--url", required=True, metavar="HOST:PORT")
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--size", default="1280x720")
    told = parser.parse_args()
    configure_logging(LogSettings(level="error"))
    width_px, height_px = map(int, told.size.split("x"))
    load = Load(frames=told.frames, size=Size(width_px, height_px))
    line = asyncio.run(run(server_for(told.way, told.url, told.model), load))
    answer = {
        "frames": line.counted,
        "wall_s": line.counted / line.frames_per_s,
        "cpu_s": line.cpu_ms_per_frame * line.counted / 1000,
        "rss_mib": round(line.rss_mib, 1),
        "detections": line.defects,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
