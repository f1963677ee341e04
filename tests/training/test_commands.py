from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.made import write_detector, write_yolo
from training.__main__ import main
from training.commands import install_model
from training.errors import TrainingError

ROOT = Path(__file__).parents[2]
PARTS = {"train": {"a": [(1, 2)], "b": []}, "test": {"c": [(3, 3)], "good": []}}


class Command:
    """Runs `python -m training` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["training", *map(str, arguments)])
        code = main()
        return (code, *self._capsys.readouterr())


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "mine", PARTS)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "models" / "model.onnx")


def test_prepare_says_what_is_in_a_set(training: Command, boards: Path):
    code, out, err = training("prepare", "--data", boards)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "mine, train: 2 boards, 1 of them good; dent 1, scratch 0",
        "mine, test: 2 boards, 1 of them good; dent 1, scratch 0",
        "4 pictures can be read",
    ]


def test_prepare_says_that_it_holds_boards_out(training: Command, tmp_path: Path):
    boards = write_yolo(tmp_path / "mine", {"train": {name: [] for name in "abcd"}})
    _, out, _ = training("prepare", "--data", boards)
    assert "the set has no test part: a fifth is held out, by the hash of the names" in out


def test_evaluate_writes_the_numbers_beside_the_model(training: Command, boards: Path, model: Path):
    code, out, err = training("evaluate", "--data", boards, "--model", model)
    assert (code, err) == (0, "")
    assert "Average precision, %" in out
    assert {path.name for path in model.parent.iterdir()} == {
        "model.onnx",
        "model.evaluation.json",
        "model.evaluation.md",
    }


def test_a_quick_look_writes_nothing_beside_the_model(training: Command, boards: Path, model: Path):
    code, out, _ = training("evaluate", "--data", boards, "--model", model, "--limit", 1)
    assert code == 0
    assert "a quick look: limited to 1 boards" in out
    assert list(model.parent.iterdir()) == [model]


def test_evaluate_takes_the_thresholds_it_is_given(training: Command, boards: Path, model: Path):
    thresholds = ("--threshold", 0.55, "--threshold", 0.25)
    _, out, _ = training("evaluate", "--data", boards, "--model", model, *thresholds)
    assert " 0.25 " in out
    assert " 0.55" in out
    assert " 0.7 " not in out


WRONG = {
    "missing": "{data}/none.yaml: is missing, expected DeepPCB (trainval.txt, test.txt), "
    "YOLO (data.yaml) or COCO (annotations in JSON)",
    "empty": "{data}/empty: holds no data set, expected DeepPCB (trainval.txt, test.txt), "
    "YOLO (data.yaml) or COCO (annotations in JSON)",
    "class": "{data}/labels/train/a.txt:1: class 5, expected 0 to 1",
    "malformed": "{data}/labels/train/a.txt:1: 2 numbers, expected 5: class cx cy width height",
    "outside": "{data}/labels/train/a.txt:1: box 704 288 896 352 lies outside the picture, "
    "expected within 640x640",
    "picture": "{data}/images/test/c.png: cannot be decoded, "
    "expected a PNG, JPEG, BMP, TIFF or WebP picture of 8 or 16 bits",
}
LABELS = {"class": "5 0.5 0.5 0.1 0.1", "malformed": "0 0.5", "outside": "0 1.25 0.5 0.3 0.1"}


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("command", ["prepare", "evaluate"])
def test_a_wrong_data_set_is_one_line_and_overwrites_nothing(
    training: Command, boards: Path, model: Path, command: str, fault: str
):
    numbers = model.with_name("model.evaluation.json")
    numbers.write_text("of yesterday")
    data = {"missing": boards.parent / "none.yaml", "empty": boards.parent / "empty"}
    (boards.parent / "empty").mkdir()
    if fault in LABELS:
        (boards.parent / "labels/train/a.txt").write_text(LABELS[fault] + "\n")
    if fault == "picture":
        (boards.parent / "images/test/c.png").write_bytes(b"none")
    extra = ("--model", model) if command == "evaluate" else ()
    code, out, err = training(command, "--data", data.get(fault, boards), *extra)
    assert (code, out) == (78, "")
    assert err == f"error: {WRONG[fault].format(data=boards.parent)}\n"
    assert numbers.read_text() == "of yesterday"


def test_a_wrong_model_is_one_line_and_overwrites_nothing(
    training: Command, boards: Path, tmp_path: Path
):
    model = write_detector(tmp_path / "three.onnx", classes=3)
    numbers = model.with_name("three.evaluation.md")
    numbers.write_text("of yesterday")
    code, _, err = training("evaluate", "--data", boards, "--model", model)
    assert code == 78
    assert err == f"error: {model}: 3 classes, expected 2: dent, scratch\n"
    assert numbers.read_text() == "of yesterday"
    code, _, err = training("evaluate", "--data", boards, "--model", tmp_path / "none.onnx")
    assert (code, err) == (78, f"error: {tmp_path}/none.onnx: is missing, expected an ONNX file\n")


def test_an_unknown_option_is_a_usage_error(training: Command):
    assert training("evaluate", "--dta", "x")[0] == 2


def test_numbers_that_cannot_be_written_are_one_line(
    training: Command, boards: Path, model: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "numbers"
    code, _, err = training("evaluate", "--data", boards, "--model", model, "--out", out)
    assert code == 1
    assert err == f"error: {out}/model.evaluation.json: cannot be written (Not a directory)\n"


def test_evaluate_needs_no_torch_and_prints_no_line_but_ours(boards: Path, model: Path):
    (boards.parent / "images/train/a.png").write_bytes(
        (boards.parent / "images/train/b.png").read_bytes()[:60] + b"\0IEND"
    )
    program = (
        "import runpy, sys; sys.modules['torch'] = None; "
        "sys.argv[0] = 'training'; runpy.run_module('training', run_name='__main__')"
    )

    def evaluate() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, "evaluate", "--data", boards, "--model", model],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    broken = evaluate()
    assert broken.returncode == 78
    assert broken.stderr == (
        f"error: {boards.parent}/images/train/a.png: cannot be decoded, "
        "expected a PNG, JPEG, BMP, TIFF or WebP picture of 8 or 16 bits\n"
    )
    write_yolo(boards.parent, PARTS)
    whole = evaluate()
    assert (whole.returncode, whole.stderr) == (0, "")
    assert model.with_name("model.evaluation.md").is_file()


def test_a_model_is_put_in_place_under_its_new_name(tmp_path: Path, model: Path):
    numbers = model.with_name("model.evaluation.md")
    numbers.write_text("figures")
    target = tmp_path / "repository" / "1" / "detector.onnx"
    install_model(model, [numbers], target)
    assert target.read_bytes() == model.read_bytes()
    assert {path.name for path in target.parent.iterdir()} == {
        "detector.onnx",
        "detector.evaluation.md",
    }


def test_a_model_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path, model: Path):
    (tmp_path / "target").mkdir()
    old = tmp_path / "target" / "model.onnx"
    old.write_text("old")
    with pytest.raises(TrainingError, match="cannot be written"):
        install_model(model, [model.with_name("missing.json")], old)
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]
