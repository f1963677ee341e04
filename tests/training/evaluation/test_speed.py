from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.made import write_detector, write_other_model
from training.errors import WrongInputError
from training.evaluation.speed import compare


def test_models_are_measured_side_by_side(tmp_path: Path):
    models = [write_detector(tmp_path / f"{name}.onnx") for name in "ab"]
    timings = compare(models, rounds=3)
    assert [one.model for one in timings] == models
    for one in timings:
        assert 0 < one.low_ms <= one.median_ms <= one.high_ms
        assert one.processor_ms > 0
        assert one.megabytes == pytest.approx(models[0].stat().st_size / 1e6)


def test_what_takes_no_frame_is_refused(tmp_path: Path):
    model, other = write_detector(tmp_path / "a.onnx"), write_other_model(tmp_path / "b.onnx")
    with pytest.raises(WrongInputError, match=r"b\.onnx: input .+, expected one input FP32 \[N"):
        compare([model, other], rounds=1)
    with pytest.raises(WrongInputError, match=r"none\.onnx: is missing, expected an ONNX file"):
        compare([tmp_path / "none.onnx"], rounds=1)
