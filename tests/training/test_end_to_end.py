"""From a user's labelled pictures to a model in place, by the commands alone."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from tests.kit.line import wait_for
from tests.kit.processes import descendants, is_running
from tests.training.made import (
    Cells,
    board_picture,
    write_coco,
    write_detector,
    write_picture,
    write_yolo,
)
from tests.training.test_commands import ROOT, Command, training
from training.model.onnx_detector import OnnxDetector

__all__ = ["training"]  # the fixture

BOARDS: dict[str, Cells] = {"good": [], **{f"b{at}": [(2 + at, 3), (9, 9)] for at in range(8)}}
QUICK = ("--minutes", 0.05, "--batch", 2, "--validation-boards", 1)


def yolo(folder: Path) -> Path:
    return write_yolo(folder, {"train": BOARDS, "test": {"t": [(5, 5)], "fine": []}})


def coco(folder: Path) -> Path:
    write_coco(folder / "train/_annotations.coco.json", BOARDS, names=("dent",))
    write_coco(folder / "test/_annotations.coco.json", {"t": [(5, 5)]}, names=("dent",))
    return folder


@pytest.mark.parametrize(("kind", "classes"), [("yolo", ("dent", "scratch")), ("coco", ("dent",))])
def test_one_command_leads_from_pictures_to_a_model_in_place(
    training: Command,
    tmp_path: Path,
    kind: str,
    classes: tuple[str, ...],
):
    data = {"yolo": yolo, "coco": coco}[kind](tmp_path / "mine")
    repository = tmp_path / "repository"
    for name in ("pcb_detector", "postprocessing", "pcb_inspection"):
        (repository / name).mkdir(parents=True)
        shutil.copy(ROOT / "model_repository" / name / "config.pbtxt", repository / name)
    model = repository / "pcb_detector" / "1" / "model.onnx"
    places = ("--out", tmp_path / "run", "--model", model, "--processes", 1)
    code, out, err = training("all", "--data", data, *places, *QUICK)
    assert (code, err) == (0, "")
    assert f"{model} is in place" in out
    assert f"codes = {json.dumps(list(classes))}" in out
    for name in ("pcb_detector", "postprocessing"):
        assert (
            f"dims: [ 25200, {5 + len(classes)} ]"
            in (repository / name / "config.pbtxt").read_text()
        )
    assert (
        f'string_value: "{",".join(classes)}"'
        in (repository / "pcb_inspection" / "config.pbtxt").read_text()
    )
    trained = model.with_name("model.float.onnx")
    assert f"{trained}, to go on from, is in place" in out
    assert OnnxDetector.load(model).class_names == OnnxDetector.load(trained).class_names == classes
    assert model.stat().st_size * 2 < trained.stat().st_size, "INT8 is what is served"
    assert {path.name for path in model.parent.iterdir()} == {
        "model.onnx",
        "model.float.onnx",
        "model.evaluation.json",
        "model.evaluation.md",
    }
    numbers = json.loads(model.with_name("model.evaluation.json").read_text())
    assert numbers["on_defects"][0]["defects"] == 1
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"checkpoint.pt", "log.jsonl"}
    beginnings = ((trained, 0, ""), (model, 78, f"error: {model}: quantised to INT8, expected the"))
    for beginning, expected, complaint in beginnings:
        more = ("--out", tmp_path / "more", "--resume", beginning, "--processes", 1)
        code, out, err = training("train", "--data", data, *more, *QUICK)
        assert (code, err[: len(complaint)]) == (expected, complaint)


def test_a_float_network_is_served_where_that_is_asked_for(training: Command, tmp_path: Path):
    model = tmp_path / "repository" / "model.onnx"
    places = ("--out", tmp_path / "run", "--model", model, "--processes", 1)
    code, _, err = training("all", "--data", yolo(tmp_path / "mine"), "--float", *places, *QUICK)
    assert (code, err) == (0, "")
    assert model.read_bytes() == model.with_name("model.float.onnx").read_bytes()


def test_one_command_leads_to_a_golden_inspection_in_place(training: Command, tmp_path: Path):
    data = yolo(tmp_path / "mine")
    for picture in (data.parent / "images").rglob("*.png"):
        part = picture.relative_to(data.parent / "images")
        write_picture(data.parent / "references" / part, board_picture())
    model = tmp_path / "repository" / "1" / "model.onnx"
    places = ("--out", tmp_path / "run", "--model", model, "--processes", 1)
    code, out, err = training("all", "--data", data, "--golden", *places, *QUICK)
    assert (code, err) == (0, "")
    assert f"{model} is in place" in out
    assert {path.name for path in model.parent.iterdir()} == {
        "model.onnx",
        "model.float.onnx",
        "model.evaluation.json",
        "model.evaluation.md",
    }
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    assert [(one.type, one.shape[1:]) for one in session.get_inputs()] == [
        ("tensor(uint8)", [640, 640, 2])
    ]
    assert [one.name for one in session.get_outputs()] == ["boxes", "scores", "classes", "count"]
    # The numbers are those of the INT8 network that the graph was made of.
    numbers = json.loads(model.with_name("model.evaluation.json").read_text())
    made_of = session.get_modelmeta().custom_metadata_map["network_sha256"]
    assert numbers["golden"]
    assert numbers["model_sha256"] == made_of
    network = (tmp_path / "run/model.onnx").read_bytes()
    assert hashlib.sha256(network).hexdigest() == made_of
    assert OnnxDetector.load(model.with_name("model.float.onnx")).needs_reference


def test_a_golden_variant_needs_references(
    training: Command,
    tmp_path: Path,
):
    data = yolo(tmp_path / "mine")
    model = tmp_path / "model.onnx"
    out = tmp_path / "run"
    code, _, err = training("all", "--data", data, "--golden", "--out", out, "--model", model)
    assert code == 78
    assert err == (
        "error: mine: board 'images/train/b0' has no defect-free reference, expected one for every"
        " board, to train the golden variant\n"
    )
    assert not out.exists()
    assert not model.exists()


def test_what_cannot_be_gone_on_from_is_one_line_and_overwrites_nothing(
    training: Command,
    tmp_path: Path,
):
    data, out = yolo(tmp_path / "mine"), tmp_path / "run"
    out.mkdir()
    kept = out / "checkpoint.pt"
    kept.write_text("of yesterday")
    other = write_detector(tmp_path / "other.onnx")
    wrong = {
        tmp_path / "none.pt": "no such file, expected a checkpoint.pt or model.onnx",
        kept: "cannot be read, expected a whole checkpoint",
        other: "no weights 'stem.0.weight', expected a model of this network",
    }
    for path, complaint in wrong.items():
        code, _, err = training("train", "--data", data, "--out", out, "--resume", path)
        assert (code, err) == (78, f"error: {path}: {complaint}\n")
    assert kept.read_text() == "of yesterday"
    assert list(out.iterdir()) == [kept]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_training_killed_in_the_background_leaves_no_process(tmp_path: Path):
    """A shell without job control has its background commands ignore SIGINT."""
    log, places = tmp_path / "log", ("--data", yolo(tmp_path / "mine"), "--out", tmp_path / "run")
    options = (*places, "--processes", 2, "--minutes", 5, "--batch", 2)
    command = [sys.executable, "-m", "training", "train", *options]
    begun = f"{shlex.join(map(str, command))} > {shlex.quote(str(log))} 2>&1 & echo $!"
    shell = subprocess.run(["sh", "-c", begun], cwd=ROOT, capture_output=True, check=True)
    parent = int(shell.stdout)
    wait_for(lambda: "step" in log.read_text(), within_s=120, what="a step of training")
    children = descendants(parent)
    assert len(children) >= 2
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not any(map(is_running, children)), within_s=60, what="its processes end")


def test_too_few_boards_are_one_line(
    training: Command,
    tmp_path: Path,
):
    data = write_yolo(tmp_path / "mine", {"train": {"a": [(1, 1)]}, "test": {"t": [(1, 1)]}})
    code, _, err = training("train", "--data", data, "--out", tmp_path / "run")
    assert (code, err) == (78, "error: mine: 1 boards to train on, expected at least 8\n")


def test_an_export_of_nothing_is_one_line(
    training: Command,
    tmp_path: Path,
):
    model = tmp_path / "model.onnx"
    model.write_text("old")
    code, _, err = training("export", tmp_path / "none.pt", "--model", model)
    assert (code, err) == (
        78,
        f"error: {tmp_path}/none.pt: no such file, expected a checkpoint.pt\n",
    )
    assert model.read_text() == "old"


def test_speed_shows_a_table(
    training: Command,
    tmp_path: Path,
):
    one, other = (write_detector(tmp_path / f"{name}.onnx") for name in ("one", "other"))
    code, out, _ = training("speed", "--model", one, "--against", other, "--rounds", 2)
    assert code == 0
    assert "ms per frame" in out
    assert "one.onnx" in out
    assert "other.onnx" in out
