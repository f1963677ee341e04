"""Finds the cameras of this machine: USB and capture cards."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from inspector.sources.found import FoundCamera
from inspector.sources.v4l2.device import NotACameraError, V4l2Device


def found_cameras(devices: Path = Path("/dev")) -> list[FoundCamera]:
    """Every device file of a camera; changes nothing in a camera."""
    files = sorted(devices.glob("video*"), key=lambda file: (len(file.name), file.name))
    return [camera for camera in map(_described, files) if camera is not None]


def _described(file: Path) -> FoundCamera | None:
    source = f"v4l2:{file}"
    try:
        device = V4l2Device(file)
    except NotACameraError:
        return None  # the metadata of a camera, or an output
    except OSError as error:
        if error.errno == errno.EACCES:
            state = "this user may not use it (is it in the group `video`?)"
        else:
            state = f"cannot be opened: {os.strerror(error.errno or 0)}"
        return FoundCamera(source=source, state=state)
    try:
        identity = device.identity()
        now = device.format_now()
        return FoundCamera(
            source=source,
            model=identity.card,
            address=identity.bus,
            state="free" if device.is_free() else "held by another program",
            formats=device.fourccs(),
            size=(now.width, now.height),
        )
    except (OSError, NotACameraError) as error:
        return FoundCamera(source=source, state=f"does not answer: {error}")
    finally:
        device.close()
