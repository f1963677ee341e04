"""What a library exports is found again: the same detections as with its own post-processing.

Each export is added by `inspector model add`, which serves it by the embedded Triton. Its findings
are compared with those of the library on the same picture: IoU 0.99, score 0.01, names equal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from inspector.commands.model.comparing import Difference, difference
from inspector.core.places import Box
from inspector.core.records import Finding
from tests.exports.conftest import Made
from tests.kit.inspector_command import inspector

pytestmark = pytest.mark.timeout(900)
THRESHOLD = 0.25
DETECTORS = [
    *("v8", "v8_640_dynamic", "v8_nms", "v8_nms_dynamic", "v8_half", "v8_512x640", "v8_opset12"),
    *("v8_batch4", "v9", "v11", "v11_nms", "v12", "v26", "v26_plain", "v10", "v10_dynamic"),
]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_of_ultralytics_finds_what_ultralytics_finds(
    made: Made, tmp_path: Path, name: str
) -> None:
    folder, expected = made("ultralytics_exports", name)
    added = add(folder, tmp_path)
    compared = compare(added, expected)
    assert compared.pairs >= 3, "too little to compare"
    assert compared.is_none, compared


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


def compare(added: dict[str, Any], expected: dict[str, Any]) -> Difference:
    (picture,) = added["pictures"]
    names: Sequence[str] = expected["names"]
    ours = [
        _finding(names.index(one["code"]), one["confidence"], one["box"])
        for one in picture["findings"]
    ]
    theirs = [_finding(one["class"], one["score"], one["box"]) for one in expected["found"]]
    assert len(theirs) >= 3
    return difference(ours, theirs, THRESHOLD)


def _finding(code: int, score: float, corners: Sequence[float]) -> Finding:
    """Upright; of a turned box, the one around it."""
    xs, ys = corners[0::2], corners[1::2]
    place = Box(left_px=min(xs), top_px=min(ys), right_px=max(xs), bottom_px=max(ys))
    return Finding(code_index=code, confidence=score, place=place)
