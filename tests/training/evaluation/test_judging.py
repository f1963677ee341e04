from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.made import (
    Cells,
    board_picture,
    write_deep_pcb,
    write_detector,
    write_other_model,
    write_picture,
    write_yolo,
)
from training.data.boards import DataSet
from training.data.deep_pcb import open_deep_pcb
from training.data.opening import open_data_set
from training.errors import WrongInputError
from training.evaluation.judging import Evaluation, EvaluationOptions, evaluate
from training.evaluation.report import as_markdown, write_evaluation
from training.evaluation.views import View, conditions_of
from training.model.onnx_detector import GOLDEN_INPUT, OnnxDetector

QUICK = EvaluationOptions(thresholds=(0.5, 0.9))


@pytest.fixture
def detector(tmp_path: Path) -> OnnxDetector:
    return OnnxDetector.load(write_detector(tmp_path / "model.onnx"))


@pytest.fixture
def scans(tmp_path: Path) -> DataSet:
    folder = write_deep_pcb(tmp_path / "scans", ["a"], ["b", "c", "d"])
    return open_deep_pcb(folder, {"trainval": 1, "test": 3})


def yolo(folder: Path, test: Mapping[str, Cells], size_px: tuple[int, int] = (640, 640)) -> DataSet:
    parts = {"train": {"t": ()}, "test": test}
    return open_data_set(write_yolo(folder, parts, size_px=size_px))


def test_a_detector_that_finds_everything_gets_everything(detector: OnnxDetector, tmp_path: Path):
    data_set = yolo(tmp_path / "mine", {"a": [(1, 2), (5, 5)], "b": [(9, 9)], "good": []})
    evaluation = evaluate(detector, data_set, replace(QUICK, thresholds=(0.5,)))
    plain = evaluation.on_defects[0]
    assert (plain.key, plain.boards, plain.defects) == ("plain", 3, 3)
    assert plain.deep_pcb.mean == pytest.approx(1.0)
    assert plain.common.per_class == [pytest.approx(1.0), None]
    assert plain.best.f_score == plain.at[0].f_score == 1.0
    good = evaluation.on_good_boards[0]
    assert (good.boards, good.at[0].boards_share) == (1, 0.0)


def test_what_it_misses_and_invents_is_counted(detector: OnnxDetector, tmp_path: Path):
    data_set = yolo(tmp_path / "mine", {"a": [(1, 2), (5, 5)], "good": []})
    # A dark spot on the good board, and a defect that left no trace in the picture.
    write_picture(tmp_path / "mine/images/test/good.png", board_picture([(0, 0)]))
    write_picture(tmp_path / "mine/images/test/a.png", board_picture([(1, 2)]))
    evaluation = evaluate(detector, data_set, QUICK)
    point = evaluation.on_defects[0].at[0]
    assert (point.precision, point.recall) == (0.5, 0.5)
    alarms = evaluation.on_good_boards[0].at[0]
    assert (alarms.boards_share, alarms.boxes_per_board) == (1.0, 1.0)


def test_a_large_picture_is_tiled_and_every_defect_found_once(
    detector: OnnxDetector, tmp_path: Path
):
    # Columns 16 to 19 lie in both tiles.
    cells = [(2, 3), (16, 4), (17, 8), (18, 12), (19, 16), (30, 2)]
    data_set = yolo(tmp_path / "mine", {"a": cells}, size_px=(1152, 640))
    evaluation = evaluate(detector, data_set, QUICK)
    assert [one.key for one in evaluation.on_defects] == ["plain"]
    assert evaluation.on_defects[0].at[0].f_score == 1.0


def test_scans_are_judged_a_second_time_as_a_camera_sees_them(
    detector: OnnxDetector, scans: DataSet
):
    six = OnnxDetector.load(write_detector(detector.path, classes=6))
    evaluation = evaluate(six, scans, QUICK)
    assert [(one.key, one.boards) for one in evaluation.on_defects] == [("plain", 3), ("camera", 3)]
    assert [one.key for one in evaluation.on_good_boards] == ["good", "good_camera"]
    assert evaluation.on_defects[0].deep_pcb.mean == pytest.approx(1.0)
    assert evaluation.on_good_boards[0].at[0].boards_share == 0


def test_a_gray_camera_picture_is_no_scan(detector: OnnxDetector, tmp_path: Path):
    data_set = yolo(tmp_path / "mine", {"a": [(1, 1)]})
    dimmed = np.clip(board_picture([(1, 1)]), 0, 180).astype(np.uint8)
    write_picture(tmp_path / "mine/images/test/a.png", dimmed)
    evaluation = evaluate(detector, data_set, QUICK)
    assert [one.key for one in evaluation.on_defects] == ["plain"]


def test_two_runs_agree_in_everything_but_time(detector: OnnxDetector, scans: DataSet):
    def run() -> Evaluation:
        six = OnnxDetector.load(write_detector(detector.path, classes=6))
        return replace(evaluate(six, scans, QUICK), inference_ms=0.0)

    assert run() == run()


def test_a_limit_picks_boards_evenly(detector: OnnxDetector, tmp_path: Path):
    data_set = yolo(tmp_path / "mine", {name: [(1, 1)] for name in "abcde"})
    seen: list[str] = []
    evaluation = evaluate(
        detector, data_set, replace(QUICK, limit=2), lambda at: seen.append(f"{at.done}/{at.total}")
    )
    assert evaluation.on_defects[0].boards == 2
    assert seen[:2] == ["1/2", "2/2"]


def test_a_golden_detector_sees_the_reference_too(scans: DataSet, tmp_path: Path):
    path = write_detector(tmp_path / "golden.onnx", classes=6, metadata={"input": GOLDEN_INPUT})
    golden = OnnxDetector.load(path)
    assert golden.needs_reference
    picture, reference = board_picture([(1, 1)]), board_picture()
    assert golden.detect(picture, reference).boxes[0].tolist() == [32, 32, 64, 64]
    evaluation = evaluate(golden, scans, QUICK)
    assert evaluation.golden
    keys = ["plain", "misregistered", "camera", "taught"]
    assert [one.key for one in evaluation.on_defects] == keys
    assert [one.key for one in evaluation.on_good_boards] == [
        "good",
        "good_marked",
        "good_camera",
        "good_taught",
    ]
    assert evaluation.on_defects[0].at[0].f_score == 1.0
    assert "| test boards, reference off, IoU 0.33 |" in as_markdown(evaluation)


def test_a_golden_detectors_reference_is_another_picture_of_the_board(
    scans: DataSet, tmp_path: Path
):
    path = write_detector(tmp_path / "golden.onnx", classes=6, metadata={"input": GOLDEN_INPUT})
    write_picture(scans.test[0].picture.parent / "b_temp.png", board_picture([(7, 9)]))
    shown: dict[str, View] = {}
    for condition in conditions_of(scans, limit=None, with_reference=True, seed=1):
        shown[condition.key] = condition.show(condition.boards[0])
    assert OnnxDetector.load(path).needs_reference
    for key, view in shown.items():
        assert view.reference is not None
        assert view.reference.shape == view.picture.shape
        assert np.array_equal(view.picture, view.reference) is False
        assert len(view.truth.classes) == (0 if key.startswith("good") else 1)
    # What was moved is black and white as before, and moved by a few pixels.
    still, moved = shown["plain"].reference, shown["misregistered"].reference
    assert still is not None
    assert moved is not None
    assert set(np.unique(moved)) == {0, 255}
    assert 0 < np.mean(still != moved) < 0.002
    again = conditions_of(scans, limit=2, with_reference=True, seed=1)
    for condition in again:
        assert np.array_equal(
            condition.show(condition.boards[0]).picture, shown[condition.key].picture
        )


def test_thresholds_to_choose_from_say_what_each_brings(detector: OnnxDetector, tmp_path: Path):
    data_set = yolo(tmp_path / "mine", {"a": [(1, 2), (5, 5)], "good": []})
    # Half as dark as a defect: an alarm of score 0.5 on the only good board.
    faint = np.where(board_picture([(8, 8)]) == 0, 128, 255).astype(np.uint8)
    write_picture(tmp_path / "mine/images/test/good.png", faint)
    evaluation = evaluate(detector, data_set, QUICK)
    best, quiet = evaluation.on_defects[0].choices
    assert (best.rule, best.point) == ("best F", evaluation.on_defects[0].best)
    assert quiet.rule == "alarm on at most 5 % of good boards"
    assert quiet.point.threshold == pytest.approx(127 / 255, abs=1e-4)
    assert (quiet.point.recall, quiet.alarms) == (1.0, 0.0)
    assert "| test boards: alarm on at most 5 % of good boards | 0.498 |" in as_markdown(evaluation)


def test_a_golden_detector_refuses_boards_without_reference(tmp_path: Path):
    path = write_detector(tmp_path / "golden.onnx", metadata={"input": GOLDEN_INPUT})
    data_set = yolo(tmp_path / "mine", {"a": []})
    with pytest.raises(
        WrongInputError, match=r"a\.png: no reference, expected one, for a detector"
    ):
        evaluate(OnnxDetector.load(path), data_set, QUICK)


def test_a_model_of_other_classes_is_refused(scans: DataSet, tmp_path: Path):
    two = OnnxDetector.load(write_detector(tmp_path / "two.onnx"))
    with pytest.raises(
        WrongInputError, match=r"two\.onnx: 2 classes, expected 6: open, short, mou"
    ):
        evaluate(two, scans, QUICK)
    other = write_detector(tmp_path / "other.onnx", metadata={"classes": "scratch,dent"})
    with pytest.raises(WrongInputError) as raised:
        evaluate(OnnxDetector.load(other), yolo(tmp_path / "mine", {"a": []}), QUICK)
    assert str(raised.value) == f"{other}: classes scratch, dent, expected dent, scratch"


def test_what_is_no_detector_is_refused(tmp_path: Path):
    other = write_other_model(tmp_path / "other.onnx")
    with pytest.raises(WrongInputError, match=r"expected one input FP32 \[N, 3, 640, 640\]"):
        OnnxDetector.load(other)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(
        WrongInputError, match=r"broken\.onnx: cannot be loaded \(.+\), expected a det"
    ):
        OnnxDetector.load(broken)
    with pytest.raises(WrongInputError, match=r"none\.onnx: is missing, expected an ONNX file"):
        OnnxDetector.load(tmp_path / "none.onnx")


def test_the_numbers_are_written_as_json_and_markdown(
    detector: OnnxDetector, scans: DataSet, tmp_path: Path
):
    six = OnnxDetector.load(write_detector(detector.path, classes=6))
    evaluation = evaluate(six, scans, QUICK)
    as_json, as_md = write_evaluation(evaluation, tmp_path / "out" / "model")
    written = json.loads(as_json.read_text())
    assert written["on_defects"][0]["deep_pcb"]["mean"] == evaluation.on_defects[0].deep_pcb.mean
    assert written == json.loads(json.dumps(asdict(evaluation)))
    text = as_md.read_text()
    assert text == as_markdown(evaluation)
    assert "| test boards, IoU 0.33 | 100.0 | 100.0 | - |" in text
    assert "research purpose" in text
    assert sorted(path.name for path in as_md.parent.iterdir()) == [
        "model.evaluation.json",
        "model.evaluation.md",
    ]


def test_what_is_inferred_is_what_the_picture_shows(detector: OnnxDetector):
    found = detector.detect(board_picture([(3, 4), (10, 10)]))
    assert found.boxes[:2].tolist() == [[96, 128, 128, 160], [320, 320, 352, 352]]
    assert found.scores[:2].tolist() == pytest.approx([1.0, 1.0])
    assert np.all(found.classes == 0)
