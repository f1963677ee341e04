"""Runs inside the virtual machine: our V4L2 source against the kernel's vivid driver."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from inspector.core.errors import CameraUnavailableError
from inspector.sources.v4l2.camera import V4l2Source
from inspector.sources.v4l2.uri import V4l2Uri
from tests.kit.v4l2_client import watch

DEVICE = Path("/dev/video0")
URI = f"v4l2:{DEVICE}"
SIZE = (640, 360)


def control(setting: str) -> None:
    """Set one of vivid's controls, which make it misbehave."""
    subprocess.run(["v4l2-ctl", "-d", str(DEVICE), "-c", setting], check=True, timeout=60)


def unload() -> None:
    """Take the driver away, and its device with it."""
    subprocess.run(["modprobe", "-r", "vivid"], check=True, timeout=60)


def load() -> None:
    """Bring it back: a new device of the same name."""
    options = ("n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0")
    subprocess.run(["modprobe", "vivid", *options], check=True, timeout=60)
    for _ in range(100):
        if DEVICE.exists():
            return
        time.sleep(0.1)  # the kernel's own hot-plugging; no event to wait for here


def watched(frames: int = 60, at: tuple[int, str] | None = None, **more: Any) -> dict[str, Any]:
    act = None if at is None else (at[0], lambda: control(at[1]))
    return watch(URI, size=more.pop("size", SIZE), frames=frames, at_frame=act, **more)


def while_in_use() -> dict[str, Any]:
    """What a second program is told while the camera streams to a first."""
    first = V4l2Source(
        V4l2Uri(device=DEVICE), size=SIZE, read_timeout_s=1.0, stop=threading.Event()
    )
    first.open()
    first.grab()
    try:
        return watched(1)
    finally:
        first.close()


def gone_and_back() -> dict[str, Any]:
    """Disconnected in mid-stream, opened while away, opened after its return."""
    unplugged = watched(at=(10, "disconnect=1"))
    unload()  # vivid forgets a disconnection at its last close
    away = watched(1)
    load()
    return {"unplugged": unplugged, "away": away, "back": watched(10)}


def main() -> None:
    report: dict[str, Any] = {"normal": watched(90), "other_size": watched(1, size=(600, 400))}
    report["in_use"] = while_in_use()
    report["silent"] = watched(at=(10, "percentage_of_dropped_buffers=100"))
    control("percentage_of_dropped_buffers=0")
    report["after_silence"] = watched(10)
    longer = watched(at=(10, "percentage_of_dropped_buffers=100"), read_timeout_s=2.5)
    report["silent_longer"] = longer
    control("percentage_of_dropped_buffers=0")
    # Setting a control takes a second here, and the frames of that second come as missing ones.
    report["marked"] = watched(200, at=(10, "inject_v4l2_buf_flag_error=1"))
    report["dropped"] = watched(200, at=(10, "percentage_of_dropped_buffers=20"))
    control("percentage_of_dropped_buffers=0")
    report["fatal"] = watched(at=(10, "inject_fatal_streaming_error=1"))
    report["after_fatal"] = watched(10)
    report["gone"] = gone_and_back()
    Path(sys.argv[1]).write_text(json.dumps(report))


if __name__ == "__main__":
    try:
        main()
    except CameraUnavailableError as error:
        sys.exit(str(error))
