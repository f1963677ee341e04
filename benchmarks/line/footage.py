"""Frames to judge: a scene without a detour, a scene through H.264, a video file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import numpy as np
from av import VideoFrame

from benchmarks.line.scene import Scene
from benchmarks.line.truth import LineTruth
from inspector.core.errors import EndOfFootageError
from inspector.core.ports import FrameSource
from inspector.core.records import Grabbed, Image
from inspector.sources.files.footage import FootageSource
from inspector.sources.files.uri import FileUri

CRF = "27"
"""As the line videos were encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """Something to replay, and the truth about it."""

    truth: LineTruth
    uri: str
    """For the settings; a scene is none that could be opened."""
    open: Callable[[Event], FrameSource]
    """A source that delivers frames as fast as they are asked for."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.truth.width_px, self.truth.height_px


def of_video(video: Path, truth: LineTruth | None = None) -> Footage:
    """A file, with the JSON beside it; OSError where there is none."""
    uri = FileUri(path=video, pace="max")
    return Footage(
        truth=truth or LineTruth.of_video(video),
        uri=f"file:{video}?pace=max",
        open=lambda stop: FootageSource(uri, size=None, pace="max", stop=stop),
    )


def of_scene(scene: Scene) -> Footage:
    """Frames as they are painted."""
    return Footage(
        truth=scene.truth,
        uri=f"sim:?pace=max&fps={scene.truth.fps:g}",
        open=lambda _stop: SceneSource(scene),
    )


def encoded(scene: Scene, folder: Path, *, crf: str = CRF) -> Footage:
    """Write a scene as H.264 with its JSON, and replay that."""
    video = folder / f"{scene.truth.name}.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(scene.truth.fps))
        stream.width, stream.height = scene.truth.width_px, scene.truth.height_px
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": crf, "preset": "veryfast"}
        for image in images(scene):
            container.mux(stream.encode(VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    video.with_suffix(".json").write_text(json.dumps(scene.truth.as_json()))
    return of_video(video, scene.truth)


def images(scene: Scene) -> Iterator[Image]:
    """Every frame; the array is written again for the next."""
    image = np.empty((scene.truth.height_px, scene.truth.width_px, 3), np.uint8)
    for frame in range(scene.truth.frames):
        scene.render_into(frame, image)
        yield image


def images_of_video(video: Path, width_px: int, height_px: int) -> Iterator[Image]:
    """Every frame of a file, read as a replay reads it; each of its own memory."""
    source = FootageSource(FileUri(path=video, pace="max"), size=None, pace="max", stop=Event())
    source.open()
    try:
        while True:
            source.grab()
            image = np.empty((height_px, width_px, 3), np.uint8)
            source.retrieve_into(image)
            yield image
    except EndOfFootageError:
        return
    finally:
        source.close()


class SceneSource:
    """A scene as a `FrameSource`: every frame once, as fast as it is asked for. One thread."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._next = 0

    def open(self) -> None:
        """Start from the first frame."""
        self._next = 0

    def grab(self) -> Grabbed:
        """The next frame, with the clocks of its delivery, as footage has them."""
        if self._next >= self._scene.truth.frames:
            msg = f"{self._scene.truth.name} is over"
            raise EndOfFootageError(msg)
        self._next += 1
        return Grabbed(captured_mono_ns=time.monotonic_ns(), captured_unix_ns=time.time_ns())

    def retrieve_into(self, image: Image) -> None:
        """Paint it."""
        self._scene.render_into(self._next - 1, image)

    def close(self) -> None:
        """Nothing to let go of."""
