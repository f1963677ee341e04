"""Recordings for the tests of footage: videos that are encoded, and folders of pictures."""

import threading

import av
import cv2
import numpy as np

from inspector.core.errors import EndOfFootageError, FrameUnreadableError
from inspector.sources.files.footage import FootageSource
from inspector.sources.files.uri import FileUri
from inspector.sources.registry import parse_source

SIZE = (160, 120)


FRAMES = 25


def still(number, size=SIZE):
    width, height = size
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[:, :, 1] = np.linspace(0, 255, width).astype(np.uint8)
    cv2.putText(canvas, str(number), (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 3)
    return canvas


def record(path, frames=FRAMES, size=SIZE, codec="mpeg4", options=None):
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 5
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(still(number, size), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def source(path, *, size=SIZE, pace="max", query="", stop=None):
    uri = parse_source(f"file:{path}{query}")
    assert isinstance(uri, FileUri)
    return FootageSource(uri, size=size, pace=pace, stop=stop or threading.Event())


def every_frame(footage, limit=1000):
    """(label, pixels or the reason there are none) until the end."""
    frames: list[tuple[str | None, bytes | str]] = []
    footage.open()
    try:
        for _ in range(limit):
            grabbed = footage.grab()
            image = np.full((SIZE[1], SIZE[0], 3), 7, np.uint8)
            try:
                footage.retrieve_into(image)
                frames.append((grabbed.label, image.tobytes()))
            except FrameUnreadableError as unreadable:
                frames.append((grabbed.label, str(unreadable)))
    except EndOfFootageError:
        pass
    finally:
        footage.close()
    return frames
