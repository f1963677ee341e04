"""Reads /dev/video0 with the product's own source and prints what happened, as JSON.

Runs inside the emulator of v4l2_emulator.py and inside the virtual machine of tests/system.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from inspector.core.errors import CameraUnavailableError, FrameUnreadableError
from inspector.sources.registry import parse_source
from inspector.sources.v4l2.camera import V4l2Source
from inspector.sources.v4l2.uri import V4l2Uri


def watch(
    uri: str,
    *,
    size: tuple[int, int],
    frames: int,
    read_timeout_s: float = 1.0,
    limit_s: float = 30.0,
    at_frame: tuple[int, Callable[[], object]] | None = None,
) -> dict[str, Any]:
    """Open the camera and take up to `frames`; says what came and how it ended.

    `at_frame` does something to the camera when that many frames have come.
    """
    device = parse_source(uri)
    assert isinstance(device, V4l2Uri)
    stop = threading.Event()
    camera = V4l2Source(device, size=size, read_timeout_s=read_timeout_s, stop=stop)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    kinds = ("ages_ms", "levels", "captured_ms", "wall_off_ms", "unreadable")
    seen: dict[str, Any] = {kind: [] for kind in kinds}
    started_s = asked_s = time.monotonic()
    try:
        camera.open()
        while len(seen["ages_ms"]) < frames and time.monotonic() - started_s < limit_s:
            if at_frame is not None and len(seen["ages_ms"]) == at_frame[0]:
                at_frame[1]()
            asked_s = time.monotonic()
            grabbed = camera.grab()
            seen["ages_ms"].append((time.monotonic_ns() - grabbed.captured_mono_ns) / 1e6)
            seen["captured_ms"].append(grabbed.captured_mono_ns / 1e6)
            seen["wall_off_ms"].append((time.time_ns() - grabbed.captured_unix_ns) / 1e6)
            image[:] = 7
            try:
                camera.retrieve_into(image)
            except FrameUnreadableError as error:
                seen["unreadable"].append(str(error))
                seen["levels"].append(None)
            else:
                seen["levels"].append(float(image.mean()))
    except CameraUnavailableError as error:
        seen["error"] = f"{type(error).__name__}: {error}"
        seen["blocked_s"] = time.monotonic() - asked_s
    finally:
        camera.close()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("uri")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--frames", type=int, default=60)
    arguments = parser.parse_args()
    size = (arguments.width, arguments.height)
    print(json.dumps(watch(arguments.uri, size=size, frames=arguments.frames)))  # noqa: T201


if __name__ == "__main__":
    main()
