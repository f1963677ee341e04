"""What outside data goes through, as functions of bytes: for hypothesis, for atheris at length.

Each returns when the data was read or properly refused, and raises when it was neither.
`python scripts/fuzz.py TARGET -max_total_time=60` runs one with coverage guidance.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tritonclient.grpc import InferResult
from tritonclient.grpc import service_pb2 as pb

from inspector.core.errors import MalformedReplyError
from inspector.core.geometry import fit
from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    Image,
    ModelInput,
    OutputReader,
    Rect,
    Region,
)
from inspector.events.consumer import ReceivedEvent, read_entry
from inspector.events.text import as_json, as_line
from inspector.inference.outputs.detections import DetectionsReader
from inspector.inference.outputs.yolo import Head, HeadLayout, YoloReader
from inspector.inference.reply_tensors import read_outputs
from inspector.publish.recovery import last_numbers
from inspector.publish.sinks.redis_streams import read_tip
from inspector.redis_io.url import parse_redis_url
from inspector.sources.registry import parse_source
from inspector.sources.uri import redact
from inspector.triggers.external.parse import MalformedTriggerError, parse_trigger
from tests.kit.findings import corners_of

SIDE, CLASSES, ROOM, REGIONS = 64, 3, 5, 2
RECT = Rect(20, 10, 128, 64)
DETECTIONS = ("boxes", "scores", "classes", "count")


class _NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        """Nothing was lent."""


_INPUT = ModelInput(
    name="image", width_px=SIDE, height_px=SIDE, channels_first=False, dtype="UINT8", rgb=False
)
_READERS: tuple[OutputReader, ...] = (
    DetectionsReader(input=_INPUT, classes=CLASSES),
    *(
        YoloReader(output="output", head=Head(layout, CLASSES, ()), input=_INPUT)
        for layout in HeadLayout
    ),
)
_REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)
_BOX = fit(RECT, width_px=SIDE, height_px=SIDE)
_REGIONS = tuple(
    Region(frame=Frame(ref=_REF, lease=_NoLease()), rect=RECT, letterbox=_BOX)
    for _ in range(REGIONS)
)


def valid_reply(layout: HeadLayout | None, floats: str = "FP32") -> bytes:
    """An honest reply to begin with; or one that calls its floats something else."""
    reply = pb.ModelInferResponse(model_name="m", id="7")
    tensors: dict[str, tuple[str, Any]] = {"output": (floats, np.zeros((REGIONS, 1, 1)))}
    match layout:
        case None:
            boxes = np.full((REGIONS, ROOM, 4), 8, np.float32)
            boxes[:, :, 2:] = 40
            tensors = {
                "boxes": (floats, boxes),
                "scores": (floats, np.full((REGIONS, ROOM), 0.75, np.float32)),
                "classes": ("INT32", np.ones((REGIONS, ROOM), np.int32)),
                "count": ("INT32", np.full((REGIONS, 1), ROOM, np.int32)),
            }
        case HeadLayout.WITH_OBJECTNESS:
            tensors = {"output": (floats, np.full((REGIONS, 6, 5 + CLASSES), 0.9, np.float32))}
        case _:
            tensors = {"output": (floats, np.full((REGIONS, 4 + CLASSES, 6), 0.9, np.float32))}
    for name, (datatype, array) in tensors.items():
        reply.outputs.add(name=name, datatype=datatype, shape=array.shape)
        reply.raw_output_contents.append(array.tobytes())
    text: bytes = reply.SerializeToString()
    return text


def reply(data: bytes) -> None:
    """A serialised ModelInferResponse: findings in the region, or a malformed reply."""
    try:
        message = pb.ModelInferResponse.FromString(data)
    except DecodeError:
        return  # gRPC itself refuses it
    for reader in _READERS:
        outputs = read_outputs(InferResult(message), reader.outputs)
        with suppress(MalformedReplyError):
            found = reader.decode(outputs, _REGIONS, floor=0.5, nms_iou=0.45)
            assert len(found) == REGIONS
            for one in (finding for row in found for finding in row):
                assert 0 <= one.code_index < CLASSES
                assert 0.5 <= one.confidence <= 1
                left_px, top_px, right_px, bottom_px = corners_of(one)
                assert RECT.x_px <= left_px < right_px <= RECT.x_px + RECT.width_px
                assert RECT.y_px <= top_px < bottom_px <= RECT.y_px + RECT.height_px


def trigger(data: bytes) -> None:
    """A trigger as Redis has it (fields joined by NUL), and as HTTP has it (JSON)."""
    parts = data.split(b"\0")
    _trigger(dict(zip(parts[::2], parts[1::2], strict=False)))
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if isinstance(body, dict):
        _trigger(body)


def _trigger(fields: dict[Any, Any]) -> None:
    said, refused = None, None
    try:
        said = parse_trigger(fields)
    except MalformedTriggerError as malformed:
        refused = malformed
    if said is None:
        assert "\n" not in str(refused)
        assert refused is not None
        assert refused.field in ("unit_id", "at", "camera")
        return
    assert said.unit_id.isprintable()
    assert said.at_unix_ns is None or 0 <= said.at_unix_ns < 2**63


def entry(data: bytes) -> None:
    """An entry of one of the station's streams that somebody else wrote."""
    parts = data.split(b"\0")
    fields = dict(zip(parts[::2], parts[1::2], strict=False))
    event = read_entry("5-1", fields)
    if isinstance(event, ReceivedEvent):
        assert isinstance(event.body, dict)
        assert 0 < event.seq < 2**63
        assert as_line(event).isprintable()
        assert as_json(event.body).isprintable()
    else:
        assert event.why
    tip = read_tip({"last-generated-id": b"5-1", "last-entry": (b"5-1", fields)})
    assert tip.seq is None or tip.seq >= 0
    assert all(number > 0 for number in last_numbers(parts).values())


def address(data: bytes) -> None:
    """A camera's or a Redis's address."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_redis_url, parse_source):
        with suppress(ValueError):
            parse(text)
    redact(text)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "reply": reply,
    "trigger": trigger,
    "entry": entry,
    "address": address,
}
_DATATYPES = ("FP32", "FP64", "FP16", "BF16", "INT64", "UINT8", "BOOL", "BYTES", "NONE")
SEEDS: dict[str, list[bytes]] = {
    "reply": [valid_reply(layout, name) for layout in (None, *HeadLayout) for name in _DATATYPES],
    "trigger": [
        b"unit_id\0PCB-1\0at\x002026-01-31T14:05:09.123+01:00\0camera\0top",
        b'{"unit_id":"PCB-1","at":"2026-01-31T14:05:09Z","camera":null}',
    ],
    "entry": [
        b"id\0a\0seq\x007\0schema\0inspector.unit/1\0time\0t\0unit_id\0u\0result\0PASSED\0data\0{}",
        b'{"camera":"top","unit":{"number":7}}',
    ],
    "address": [
        b"redis+sentinel://u:p@a:1,b:2/line/0?x=1",
        b"rtsp://u:p@h:554/x?y=1",
        b"v4l2:/dev/video0?fps=5",
        b"file:///x?loop=1",
    ],
}
