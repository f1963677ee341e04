"""What a library exports is found again: the same detections as with its own post-processing.

Each export is added by `inspector model add`, which serves it by the embedded Triton. Its findings
are compared with those of the library on the same picture: IoU 0.99, score 0.01, names equal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.commands.model.comparing import Difference, difference
from inspector.core.places import Box, Polygon, clipped
from inspector.core.records import Finding
from tests.exports.conftest import Made
from tests.kit.inspector_command import inspector

pytestmark = pytest.mark.timeout(900)
THRESHOLD = 0.25
DETECTORS = [
    *("v8", "v8_640_dynamic", "v8_nms", "v8_nms_dynamic", "v8_half", "v8_512x640", "v8_opset12"),
    *(
        "v8_batch4",
        "v9",
        "v11",
        "v11_nms",
        "v12",
        "v26",
        "v26_plain",
        "v10",
        "v10_dynamic",
        "rtdetr",
    ),
]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_of_ultralytics_finds_what_ultralytics_finds(
    made: Made, tmp_path: Path, name: str
) -> None:
    folder, expected = made("ultralytics_exports", name)
    added = add(folder, tmp_path)
    compared = compare(added, expected, folder)
    assert compared.pairs >= 3, "too little to compare"
    assert compared.is_none, compared


def test_oriented_boxes_are_those_of_ultralytics(made: Made, tmp_path: Path) -> None:
    folder, expected = made("ultralytics_exports", "v11_obb")
    compared = compare(add(folder, tmp_path), expected, folder)
    assert compared.is_none, compared


def test_masks_lie_on_those_of_ultralytics(made: Made, tmp_path: Path) -> None:
    """What has an empty mask is a box here, and nothing at all to Ultralytics."""
    folder, expected = made("ultralytics_exports", "v8_seg")
    (picture,) = add(folder, tmp_path)["pictures"]
    masks = np.load(folder / "masks.npz")["masks"]
    areas = [one for one in picture["findings"] if one["polygon"] is not None]
    for one, mask in zip(expected["found"], masks, strict=True):
        code = expected["names"][one["class"]]
        same = [
            area
            for area in areas
            if area["code"] == code and abs(area["confidence"] - one["score"]) <= 0.01
        ]
        drawn = [_filled(area["polygon"], mask.shape) for area in same]
        # The largest part of a mask is kept, so that it lies within the whole of it.
        # A polygon's corners are whole pixels: its border may be one beside.
        around = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        inside = [(area & around).sum() / max(1, area.sum()) for area in drawn]
        assert max(inside, default=0) >= 0.95, (code, one["score"], inside)


def _filled(polygon: Sequence[Sequence[float]], shape: tuple[int, ...]) -> Any:
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(np.array(polygon)).astype(np.int32)], 1)
    return canvas.astype(bool)


def test_a_classifier_says_which_class_is_no_defect_or_is_refused(
    made: Made, tmp_path: Path
) -> None:
    folder, expected = made("ultralytics_exports", "v11_cls")
    refused = run_add(folder, tmp_path)
    assert refused.returncode == 78
    assert "--good" in refused.stderr.splitlines()[-1]
    (picture,) = add(folder, tmp_path, "--good", "dent")["pictures"]
    best = int(np.argmax(expected["probabilities"]))
    assert best != 0, "the picture is not of the class that is good"
    surest = picture["findings"][0]
    assert surest["code"] == expected["names"][best]
    assert surest["box"] is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("yolox", ("--pixel-range", "0..255", "--colour", "bgr")),
        ("d_fine", ("--pixel-range", "0..1", "--head", "d_fine")),
        ("ssd", ("--pixel-range", "0..1", "--head", "labels_from_1")),
        ("faster_rcnn", ("--pixel-range", "0..1", "--head", "labels_from_1")),
    ],
)
def test_other_libraries_find_the_same(
    made: Made, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    folder, expected = made("graph_exports", name)
    added = add(folder, tmp_path, "--codes", ",".join(expected["names"]), *options)
    compared = compare(added, expected, folder)
    assert compared.is_none, compared


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("faster_rcnn_bare", "export it with a batch dimension"),
        ("faster_rcnn", '--head "labels" or "labels_from_1"'),
        ("yolox", '--pixel-range "0..255"'),
    ],
)
def test_what_is_not_known_is_asked_for_and_nothing_is_added(
    made: Made, tmp_path: Path, name: str, told: str
) -> None:
    folder, expected = made("graph_exports", name)
    done = run_add(folder, tmp_path, "--codes", ",".join(expected["names"]))
    assert done.returncode == 78, done.stdout
    assert told in done.stderr.splitlines()[-1]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["v8_pose"])
def test_a_model_of_another_task_is_refused(made: Made, tmp_path: Path, name: str) -> None:
    folder, _ = made("ultralytics_exports", name)
    done = run_add(folder, tmp_path)
    assert done.returncode == 78, done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def run_add(folder: Path, where: Path, *more: str) -> Any:
    return inspector(
        *("model", "add", str(folder / "model.onnx"), "--repository", str(where / "models")),
        *("-p", str(folder / "picture.png"), "--threshold", str(THRESHOLD), "--json", *more),
        cwd=where,
        timeout_s=300,
    )


def add(folder: Path, where: Path, *more: str) -> dict[str, Any]:
    done = run_add(folder, where, *more)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def compare(added: dict[str, Any], expected: dict[str, Any], folder: Path) -> Difference:
    (picture,) = added["pictures"]
    names: Sequence[str] = expected["names"]
    image = cv2.imread(str(folder / "picture.png"))
    assert image is not None
    height, width = image.shape[:2]
    limits = Box(left_px=0, top_px=0, right_px=width, bottom_px=height)
    ours = [
        _finding(names.index(one["code"]), one["confidence"], one["box"], limits)
        for one in picture["findings"]
    ]
    theirs = [_finding(one["class"], one["score"], one["box"], limits) for one in expected["found"]]
    assert len(theirs) >= 3
    return difference(ours, theirs, THRESHOLD)


def _finding(code: int, score: float, corners: Sequence[float], limits: Box) -> Finding:
    """Upright and within the picture; of a turned box, the one around it."""
    left, top, right, bottom = corners[0], corners[1], corners[-2], corners[-1]
    four = [(left, top), (right, top), (right, bottom), (left, bottom)]
    turned = list(zip(corners[0::2], corners[1::2], strict=True))
    points = clipped(four if len(turned) == 2 else turned, limits)
    return Finding(code_index=code, confidence=score, place=Polygon(points_px=points).around)
