"""Descriptions of models and the regions they answer for, for tests of kinds of output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import fit
from inspector.core.records import (
    CameraId,
    Finding,
    Frame,
    FrameRef,
    ModelInput,
    OutputReader,
    Rect,
    Region,
)
from inspector.inference.description import TensorDescription
from inspector.inference.exporter_notes import ExporterNotes
from inspector.inference.outputs.kind import AUTO, Described
from inspector.inference.outputs.registry import reader_of

SIDE = 96
REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)
TRITON = {"f2": "FP16", "f4": "FP32", "i4": "INT32", "i8": "INT64", "u1": "UINT8", "b1": "BOOL"}
Arrays = Mapping[str, NDArray[Any]]


class NoLease:
    @property
    def image(self) -> NDArray[np.uint8]:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def model_input(side_px: int = SIDE) -> ModelInput:
    return ModelInput(
        name="images",
        width_px=side_px,
        height_px=side_px,
        channels_first=True,
        dtype="FP32",
        rgb=True,
    )


def region(
    rect: Rect | None = None, *, side_px: int = SIDE, piece: int = 0, pieces: int = 1
) -> Region:
    """Of a picture as large as the model's input, unless told otherwise."""
    at = rect or Rect(0, 0, side_px, side_px)
    box = fit(at, width_px=side_px, height_px=side_px)
    frame = Frame(ref=REF, lease=NoLease())
    return Region(frame=frame, rect=at, letterbox=box, piece=piece, pieces=pieces)


def described(
    reply: Arrays,
    *,
    codes: tuple[str, ...] = ("dent",),
    head: str = AUTO,
    good: tuple[str, ...] = (),
    side_px: int = SIDE,
    **notes: Any,
) -> Described:
    """A model that answers with arrays like these, any number of pictures at a time."""
    outputs = [
        TensorDescription(
            name=name, dtype=TRITON[array.dtype.str[1:]], shape=(-1, *array.shape[1:])
        )
        for name, array in reply.items()
    ]
    return Described(
        model="m",
        outputs=outputs,
        input=model_input(side_px),
        classes=len(codes),
        codes=codes,
        good=frozenset(codes.index(code) for code in good),
        notes=ExporterNotes(**notes),
        head=head,
    )


def read(
    reply: Arrays,
    *regions: Region,
    floor: float = 0.5,
    nms_iou: float = 0.45,
    side_px: int = SIDE,
    **of_model: Any,
) -> list[list[Finding]]:
    """What a model with such outputs says of each region, by whichever kind reads it."""
    reader: OutputReader = reader_of(described(reply, side_px=side_px, **of_model))
    at = regions or (region(side_px=side_px),)
    return reader.decode(reply, at, floor=floor, nms_iou=nms_iou)
