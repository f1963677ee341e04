"""Rows of an RT-DETR: centre and size in shares, score, class number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.inference.description import TensorDescription
from inspector.inference.exporter_notes import notes_in_file
from inspector.inference.outputs.kind import Described
from inspector.inference.outputs.registry import reader_of
from tests.kit.findings import corners_of
from tests.kit.replies import model_input, region

ULTRALYTICS = {"author": "Ultralytics", "head": "RTDETRDecoder", "task": "detect"}
ROW = (0.5, 0.5, 0.2, 0.4, 0.9, 1.0)


def described(head: str = "auto", metadata: dict[str, str] | None = None) -> Described:
    return Described(
        model="m",
        outputs=[TensorDescription(name="output0", dtype="FP32", shape=(1, 300, 6))],
        input=model_input(96),
        classes=2,
        notes=notes_in_file(ULTRALYTICS if metadata is None else metadata),
        head=head,
    )


def read(*rows: tuple[float, ...], of: Described | None = None, floor: float = 0.25) -> Any:
    head = np.zeros((1, 300, 6), np.float32)
    for number, row in enumerate(rows):
        head[0, number] = row
    (found,) = reader_of(of or described()).decode(
        {"output0": head}, (region(side_px=96),), floor=floor, nms_iou=0.5
    )
    return found


@pytest.mark.parametrize(
    "of", [described(), described("rt_detr_rows", {})], ids=["by its file", "as it is stated"]
)
def test_a_row_is_a_box_in_pixels_with_a_class(of: Described) -> None:
    (found,) = read(ROW, (0.1, 0.1, 0.1, 0.1, 0.2, 0.0), of=of)
    assert (found.code_index, found.confidence) == (1, pytest.approx(0.9))
    assert corners_of(found) == pytest.approx((38.4, 28.8, 57.6, 67.2), abs=1e-4)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((0.5, 0.5, 0.2, 0.4, 0.9, 0.4), "fractions, expected class numbers"),
        ((0.5, 0.5, 0.2, 0.4, 0.9, 2.0), "class 2 reported"),
        ((80.0, 30.0, 120.0, 70.0, 0.9, 1.0), "expected shares of the picture"),
        ((0.5, 0.5, 0.2, 0.4, 1.9, 1.0), "scores reach"),
        ((float("nan"), 0.5, 0.2, 0.4, 0.9, 1.0), "NaN"),
    ],
)
def test_what_no_such_row_can_say_is_no_result(row: tuple[float, ...], told: str) -> None:
    with pytest.raises(MalformedReplyError, match=told):
        read(row)


def test_rows_with_class_numbers_are_not_read_as_scores_of_two_classes() -> None:
    with pytest.raises(MalformedReplyError, match="rt_detr_rows"):
        read(ROW, of=described("rt_detr", {}))


def test_nobody_says_what_it_is_so_it_is_asked() -> None:
    with pytest.raises(ConfigurationError, match='"rt_detr_rows"'):
        reader_of(described("auto", {}))
