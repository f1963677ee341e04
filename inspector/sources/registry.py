"""Which class serves which `source` setting."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import assert_never

from inspector.core.errors import CameraUnavailableError
from inspector.core.ports import FrameSource
from inspector.core.records import CameraId
from inspector.simulation.options import parse_options
from inspector.sources.files.footage import FootageSource
from inspector.sources.rtsp.camera import RtspSource
from inspector.sources.simulated import SimulatedLine
from inspector.sources.uri import (
    FileUri,
    Pace,
    RtspUri,
    SimulatedUri,
    V4l2Uri,
    parse_source,
)
from inspector.sources.v4l2.camera import V4l2Source

_NS_PER_S = 1_000_000_000
SIMULATED_SIZE = (1280, 720)
"""What a simulated line shows where nobody asks for another size: it has none of its own."""


def make_source(
    uri: str,
    *,
    camera_id: CameraId,
    size: tuple[int, int],
    read_timeout_s: float,
    connect_timeout_s: float,
    stop: threading.Event,
    pace: Pace,
    password: str | None = None,
    tls_ca: Path | None = None,
) -> FrameSource:
    """The camera that `uri` names, not opened yet.

    `size` is (width, height) in pixels. `pace` is for recordings whose `uri` does not set it.
    `password` goes before one in `uri`. Once `stop` is set, waits end early.

    Raises:
        ValueError: `uri` is malformed; one sentence, without a password.

    """
    match parse_source(uri):
        case RtspUri() as camera:
            return RtspSource(
                _with_password(camera, password),
                size=size,
                connect_timeout_s=connect_timeout_s,
                read_timeout_s=read_timeout_s,
                stop=stop,
                tls_ca=tls_ca,
            )
        case V4l2Uri() as device:
            return V4l2Source(device, size=size, read_timeout_s=read_timeout_s, stop=stop)
        case FileUri() as footage:
            return FootageSource(footage, size=size, pace=pace, stop=stop)
        case SimulatedUri(options=options):
            return SimulatedLine(camera_id, options, size, stop)
        case unreachable:
            assert_never(unreachable)


def probe_size(
    uri: str,
    *,
    read_timeout_s: float = 2.0,
    connect_timeout_s: float = 5.0,
    stop: threading.Event | None = None,
    password: str | None = None,
    tls_ca: Path | None = None,
) -> tuple[int, int]:
    """Width and height in pixels of what `uri` delivers by itself: opens it, reads one frame.

    Raises:
        ValueError: `uri` is malformed.
        CameraUnavailableError: it cannot be reached, or delivers nothing.

    """
    stop = stop or threading.Event()
    source: RtspSource | V4l2Source | FootageSource
    match parse_source(uri):
        case SimulatedUri():
            return SIMULATED_SIZE
        case RtspUri() as camera:
            source = RtspSource(
                _with_password(camera, password),
                size=None,
                connect_timeout_s=connect_timeout_s,
                read_timeout_s=read_timeout_s,
                stop=stop,
                tls_ca=tls_ca,
            )
        case V4l2Uri() as device:
            source = V4l2Source(device, size=None, read_timeout_s=read_timeout_s, stop=stop)
        case FileUri() as footage:
            source = FootageSource(footage, size=None, pace="max", stop=stop)
        case unreachable:
            assert_never(unreachable)
    return _opened_size(source)


def probe_interval_ns(uri: str) -> int | None:
    """The time from one frame of a recording, or of a simulated line, to the next; None for others.

    Raises:
        CameraUnavailableError: the recording cannot be read.

    """
    match parse_source(uri):
        case FileUri() as recording:
            source = FootageSource(recording, size=None, pace="max", stop=threading.Event())
            try:
                source.open()
                return source.interval_ns
            finally:
                source.close()
        case SimulatedUri() as line:
            return round(_NS_PER_S / parse_options(line.options).fps)
        case _:
            return None


def _opened_size(source: RtspSource | V4l2Source | FootageSource) -> tuple[int, int]:
    try:
        source.open()
        if source.size is None:
            msg = "the source opened without saying its size"
            raise CameraUnavailableError(msg)
        return source.size
    finally:
        source.close()


def _with_password(camera: RtspUri, password: str | None) -> RtspUri:
    return camera if password is None else dataclasses.replace(camera, password=password)
