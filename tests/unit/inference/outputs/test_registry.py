"""No export is misread: refused, refused at its replies, or what it says is what is reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.core.geometry import fit
from inspector.core.records import CameraId, Frame, FrameRef, ModelInput, Rect, Region
from inspector.inference.description import TensorDescription
from inspector.inference.exporter_notes import ExporterNotes
from inspector.inference.outputs.kind import Described
from inspector.inference.outputs.registry import reader_of
from tests.kit.findings import corners_of

REF = FrameRef(camera_id=CameraId("a"), sequence=0, captured_mono_ns=0, captured_unix_ns=0)
LAYOUTS = {
    "YOLOv8": "transposed",
    "YOLOv5": "with_objectness",
    "YOLOX": "with_objectness",
    "swapped": "candidates_first",
    "end to end": "end_to_end",
    "queries": "rt_detr",
}
Said = tuple[tuple[float, float, float, float], float, int]
"""A box by its corners in pixels, how sure, and the class."""


class NoLease:
    @property
    def image(self) -> NDArray[np.uint8]:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def centres(side_px: int, anchors: int) -> NDArray[Any]:
    """Of every candidate of strides 8, 16 and 32."""
    grids = []
    for stride in (8, 16, 32):
        middles = np.arange(stride // 2, side_px, stride)
        across, down = np.meshgrid(middles, middles)
        grids.append(np.stack([across.ravel(), down.ravel()], axis=1))
    return np.concatenate(grids * anchors)


def export(
    layout: str, side_px: int, classes: int, said: list[Said], *, rows: int, faint: NDArray[Any]
) -> NDArray[Any]:
    """What a network with this layout answers to one picture in which it sees this."""
    dense = layout in ("YOLOv8", "YOLOv5", "YOLOX", "swapped")
    objectness = layout in ("YOLOv5", "YOLOX")
    if dense:
        at = centres(side_px, 3 if layout == "YOLOv5" else 1)
        head = np.zeros((len(at), 4 + objectness + classes), np.float32)
        head[:, :2], head[:, 2:4] = at, 12
    else:
        head = np.zeros((rows, 6 if layout == "end to end" else 4 + classes), np.float32)
    # Every network is a little sure of something everywhere.
    least = np.resize(faint, (len(head), classes))
    for place, row in enumerate(head):
        box = (8.0, 16.0, 40.0 + place % 7, 40.0)
        sure = float(least[place].max())
        code = int(least[place].argmax())
        scores = least[place]
        if place < len(said):
            box, sure, code = said[place]
            scores = np.zeros(classes)
            scores[code] = sure
        left, top, right, bottom = box
        middle = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        if layout == "end to end":
            row[:] = (*box, sure, code)
        elif layout == "queries":
            row[:4], row[4:] = np.array(middle) / side_px, scores
        else:
            if place < len(said):
                row[:4] = middle
            if objectness:
                row[4], row[5:] = sure, scores > 0 if place < len(said) else scores
            else:
                row[4:] = scores
    return (head.T if layout == "YOLOv8" else head)[None]


def reported(head: NDArray[Any], side_px: int, codes: int, stated: str) -> list[Said] | None:
    """What becomes of the reply; None where it or its model is refused."""
    model_input = ModelInput(
        name="images",
        width_px=side_px,
        height_px=side_px,
        channels_first=True,
        dtype="FP32",
        rgb=True,
    )
    output = TensorDescription(name="out", dtype="FP32", shape=(-1, *head.shape[1:]))
    whole = Rect(0, 0, side_px, side_px)
    box = fit(whole, width_px=side_px, height_px=side_px)
    region = Region(frame=Frame(ref=REF, lease=NoLease()), rect=whole, letterbox=box)
    try:
        reader = reader_of(
            Described(
                model="m",
                outputs=(output,),
                input=model_input,
                classes=codes,
                notes=ExporterNotes(),
                head=stated,
            )
        )
        (findings,) = reader.decode({"out": head}, (region,), floor=0.5, nms_iou=0.45)
    except (ConfigurationError, MalformedReplyError):
        return None
    return [(corners_of(one), one.confidence, one.code_index) for one in findings]


def same(found: list[Said], said: list[Said]) -> bool:
    best_first = sorted(said, key=lambda one: -one[1])
    return len(found) == len(said) and all(
        np.allclose(a[0], b[0], atol=0.1) and abs(a[1] - b[1]) < 1e-3 and a[2] == b[2]
        for a, b in zip(found, best_first, strict=True)
    )


sides = st.sampled_from([64, 96, 160])
numbers_of_classes = st.integers(1, 7)
rows_kept = st.sampled_from([20, 84, 100, 189, 252, 300, 567])
faints = st.lists(st.floats(0.001, 0.2), min_size=11, max_size=11).map(np.array)


@st.composite
def sightings(draw: st.DrawFn, side_px: int, classes: int) -> list[Said]:
    """One or two defects, far from each other; the surest first is by no means the first row."""
    quarter = side_px / 2
    said = []
    for corner in range(draw(st.integers(1, 2))):
        left = corner * quarter + draw(st.floats(2, 8))
        top = draw(st.floats(2, 8))
        right = left + draw(st.floats(4, 20))
        bottom = top + draw(st.floats(4, 20))
        # In steps that single precision tells apart: which of two is surer must be the same there.
        sure = draw(st.integers(550, 750)) / 1000 + corner / 5
        said.append(((left, top, right, bottom), sure, draw(st.integers(0, classes - 1))))
    return said


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data(), side_px=sides, classes=numbers_of_classes, codes=st.integers(1, 9))
def test_what_nobody_states_is_read_rightly_or_not_at_all(layout, data, side_px, classes, codes):
    said = data.draw(sightings(side_px, classes))
    head = export(
        layout, side_px, classes, said, rows=data.draw(rows_kept), faint=data.draw(faints)
    )
    found = reported(head, side_px, codes, "auto")
    assert found is None or same(found, said)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data(), side_px=sides, classes=numbers_of_classes)
def test_what_is_stated_rightly_is_read_rightly(layout, data, side_px, classes):
    said = data.draw(sightings(side_px, classes))
    head = export(
        layout, side_px, classes, said, rows=data.draw(rows_kept), faint=data.draw(faints)
    )
    found = reported(head, side_px, classes, LAYOUTS[layout])
    assert found is not None
    assert same(found, said)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    data=st.data(),
    side_px=sides,
    classes=numbers_of_classes,
    codes=st.integers(1, 8),
    stated=st.sampled_from(sorted(set(LAYOUTS.values()))),
)
def test_what_is_stated_wrongly_is_refused(*, layout, data, side_px, classes, codes, stated):
    assume(stated != LAYOUTS[layout])
    # That one code more or less is named, too, nobody can know: the class columns shift by one.
    both_dense = {stated, LAYOUTS[layout]} <= {"with_objectness", "candidates_first"}
    assume(not (both_dense and codes != classes))
    said = data.draw(sightings(side_px, classes))
    head = export(
        layout, side_px, classes, said, rows=data.draw(rows_kept), faint=data.draw(faints)
    )
    found = reported(head, side_px, codes, stated)
    assert found is None or same(found, said)
