"""`inspector model`: from an ONNX file to a verdict in two commands, on the embedded server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.commands.model.pictures import drawn_pictures
from tests.kit.inspector_command import CHECKOUT, inspector

NETWORK = CHECKOUT / "model_repository/pcb_detector/1/model.onnx"
CODES = ["open", "short", "mousebite", "spur", "copper", "pin-hole"]
TIMEOUT_S = 110.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of parts, and a repository with the network added to it."""
    folder = tmp_path_factory.mktemp("bring")
    (folder / "parts").mkdir()
    for number, shown in enumerate(drawn_pictures(640, 640)):
        cv2.imwrite(str(folder / f"parts/{number}.png"), shown.image)
    shutil.copy(NETWORK, folder / "best.onnx")
    added = inspector(
        *("model", "add", "best.onnx", "--name", "boards", "--repository", "models"),
        *("-p", "parts", "--settings", "line.toml", "--out", "shown", "--threshold", "0.05"),
        cwd=folder,
        timeout_s=TIMEOUT_S,
    )
    assert added.returncode == 0, added.stderr
    (folder / "added.txt").write_text(added.stdout)
    return folder


def test_it_says_what_it_is_and_what_it_is_not_sure_of(folder: Path) -> None:
    told = (folder / "added.txt").read_text()
    assert "best.onnx: FP32 640x640 pictures in, up to 8 at once" in told
    assert f"known: 6 classes, named in its metadata: {', '.join(CODES)}" in told
    assert "known: it answers with a YOLO head [candidates, 5 + classes]" in told
    assert "not sure: pictures in 0..1" in told
    assert "served and in process: " in told
    shown = cv2.imread(str(folder / "shown/2.png"))
    assert shown is not None
    assert shown.shape == (640, 640, 3)


def test_the_second_command_gives_verdicts(folder: Path) -> None:
    done = inspector(
        *("replay", "parts", "-c", "line.toml", "-o", "-"), cwd=folder, timeout_s=TIMEOUT_S
    )
    # One of the pictures is evenly grey: nobody can see a part in it.
    assert done.returncode == 1, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["reason"] for event in events if event["result"] == "NOT_INSPECTED"] == [
        "camera_blank"
    ]
    assert sum(event["result"] in {"PASSED", "FAILED"} for event in events) == 2
    assert {event["model"]["name"] for event in events} == {"boards"}


def test_what_is_shown_to_it_later_is_found_as_when_it_was_added(folder: Path) -> None:
    done = inspector(
        *("model", "try", "boards", "--repository", "models", "-p", "parts", "--json"),
        *("--threshold", "0.05"),
        cwd=folder,
        timeout_s=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    pictures = json.loads(done.stdout)
    assert [one["picture"] for one in pictures] == ["0.png", "1.png", "2.png"]
    told = (folder / "added.txt").read_text().splitlines()
    for one in pictures:
        lines = [line for line in told if line.startswith(f"{one['picture']}  ")]
        assert len(lines) == min(len(one["findings"]), len(lines)) or len(told) > 30
        for finding, line in zip(one["findings"], lines, strict=False):
            assert line.split()[1] == finding["code"]
            assert float(line.split()[2]) == pytest.approx(finding["confidence"], abs=0.001)


def test_a_name_that_is_taken_is_refused_before_anything_is_read(folder: Path) -> None:
    again = inspector(
        *("model", "add", "none.onnx", "--name", "boards", "--repository", "models"), cwd=folder
    )
    assert again.returncode == 78
    assert 'models: has a model "boards" already; give this one another --name' in again.stderr


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("best.pt", "expected an ONNX file: yolo export model=best.pt format=onnx"),
        ("none.onnx", "there is no such file"),
        ("broken.onnx", "broken.onnx: "),
    ],
)
def test_what_is_no_model_is_one_line_and_nothing_is_left(
    folder: Path, file: str, told: str
) -> None:
    (folder / "broken.onnx").write_bytes(b"no model at all")
    refused = inspector(
        *("model", "add", file, "--name", "other", "--repository", "models"), cwd=folder
    )
    assert refused.returncode == 78, refused.stderr
    assert told in refused.stderr.splitlines()[-1]
    assert [path.name for path in (folder / "models").iterdir()] == ["boards"]


def test_codes_in_another_order_are_refused_and_those_of_the_file_named(folder: Path) -> None:
    swapped = ",".join([CODES[1], CODES[0], *CODES[2:]])
    refused = inspector(
        *("model", "add", "best.onnx", "--name", "other", "--repository", "models"),
        *("--codes", swapped),
        cwd=folder,
    )
    assert refused.returncode == 78
    assert f"best.onnx was built for: {', '.join(CODES)}" in refused.stderr.splitlines()[-1]


def test_models_are_listed_shown_and_taken_out(folder: Path) -> None:
    copy = shutil.copytree(folder / "models", folder / "copy")
    listed = inspector("model", "list", "--repository", copy, "--json", cwd=folder)
    (model,) = json.loads(listed.stdout)
    assert model["name"] == "boards"
    assert model["classes"] == CODES
    shown = inspector("model", "show", "boards", "--repository", copy, cwd=folder)
    assert f"classes: {', '.join(CODES)}" in shown.stdout
    kept = inspector("model", "remove", "boards", "-c", "line.toml", cwd=folder)
    assert kept.returncode == 78
    assert "is what the settings inspect with" in kept.stderr
    removed = inspector("model", "remove", "boards", "--repository", copy, cwd=folder)
    assert removed.returncode == 0, removed.stderr
    assert not list(copy.iterdir())
    gone = inspector("model", "show", "boards", "--repository", copy, cwd=folder)
    assert gone.returncode == 78


def test_pictures_show_what_is_drawn_on_them() -> None:
    blank, noise, shapes = (shown.image for shown in drawn_pictures(96, 64))
    assert blank.shape == noise.shape == shapes.shape == (64, 96, 3)
    assert np.unique(blank).size == 1
    assert shapes.std() > 10
