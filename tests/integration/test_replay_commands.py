"""`inspector replay --commands`: one pass over footage teaches, inspects and changes over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.core.records import Image
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.products.store import ProductStore
from inspector.simulation.board import draw_board
from inspector.simulation.defects import DefectCode
from tests.kit.inspector_command import inspector

WIDTH_PX, HEIGHT_PX = 600, 560
LESSON, INSPECTED, BAD, FOREIGN, AFTER = 4, 5, 6, 7, 8
UNITS = 9
"""Four to learn from, two good ones, a bad one, a foreign one, and one of the next product."""


def picture(number: int, *, product: int = 0, bad: bool = False) -> Image:
    board = draw_board(
        number,
        seed=4,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        defects=(DefectCode.SHORT, DefectCode.OPEN) if bad else (),
        product=product,
        quirks=4,
        variation=1.0,
    ).picture
    noise = np.random.default_rng(number).normal(0, 2, board.shape)
    return np.clip(board + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for number in range(UNITS):
        shown = picture(number, product=int(number == FOREIGN), bad=number == BAD)
        cv2.imwrite(str(folder / f"{number}.png"), shown, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return folder


@pytest.fixture
def config(tmp_path: Path, triton: EmbeddedTriton) -> Path:
    file = tmp_path / "line.toml"
    file.write_text(
        '[station]\nsite = "a"\nline = "b"\nname = "c"\n'
        f'[inference]\nurl = "{triton.grpc_url}"\n'
        "[evidence]\nenabled = false\n"
        f'[cameras.top]\nsource = "sim:"\nsize = "{WIDTH_PX}x{HEIGHT_PX}"\n'
    )
    return file


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def commands(tmp_path: Path, *told: dict[str, Any]) -> Path:
    file = tmp_path / "commands.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in told))
    return file


def test_one_pass_teaches_inspects_refuses_what_is_foreign_and_changes_over(
    tmp_path: Path, footage: Path, config: Path
) -> None:
    script = commands(
        tmp_path,
        {"after_unit": 0, "command": "set_product", "product": "a", "order": "88"},
        {"after_unit": 0, "command": "teach", "product": "a", "units": LESSON, "approve": True},
        {"after_unit": AFTER, "command": "set_product", "product": "b"},
    )
    ended = inspector(
        *("replay", footage, "--config", config, "--commands", script),
        *("--out", "units.jsonl", "--products", tmp_path / "products"),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    units = lines(tmp_path / "units.jsonl")
    assert [unit["unit"]["number"] for unit in units] == list(range(1, UNITS + 1))
    assert [unit["seq"] for unit in units] == list(range(1, UNITS + 1))
    taught, rest = units[:LESSON], units[LESSON:]
    assert {(unit["result"], unit["reason"]) for unit in taught} == {("NOT_INSPECTED", "teaching")}
    assert [unit["product"]["name"] for unit in units] == ["a"] * AFTER + ["b"]
    assert [unit["order"] for unit in units] == ["88"] * AFTER + [None]
    assert [unit["result"] for unit in rest[:3]] == ["PASSED", "PASSED", "FAILED"]
    assert (rest[3]["result"], rest[3]["reason"]) == ("NOT_INSPECTED", "reference_mismatch")
    assert all(unit["reference"]["id"] == "a/1" for unit in rest[:3])
    assert rest[4].get("reference") is None
    assert rest[4]["result"] in {"PASSED", "FAILED"}

    changes = lines(tmp_path / "units.changes.jsonl")
    assert [(one["command"], one["result"]) for one in changes] == [
        ("set_product", "accepted"),
        ("teach", "accepted"),
        ("taught", "accepted"),
        ("set_product", "accepted"),
    ]
    effective = [one["effective"]["replay"] for one in changes]
    assert effective == [1, 1, LESSON + 1, AFTER + 1]
    assert changes[2]["fields"]["reference"] == "a/1"
    assert changes[2]["fields"]["units"] == str(LESSON)
    store = ProductStore(tmp_path / "products")
    assert store.approvals("a").in_force == 1
    assert store.load_reference("a", 1).sha256 == units[LESSON]["reference"]["sha256"]


def test_the_embedded_server_gets_the_model_that_is_taught_with_the_reference(
    tmp_path: Path, footage: Path, config: Path, triton: EmbeddedTriton
) -> None:
    own = config.read_text().replace(triton.grpc_url, "embedded")
    repository = Path(__file__).parents[2] / "model_repository"
    config.write_text(own.replace("[evidence]", f'repository = "{repository}"\n[evidence]'))
    script = commands(
        tmp_path,
        {"after_unit": 0, "command": "teach", "product": "a", "units": LESSON, "approve": True},
    )
    ended = inspector(
        *("replay", footage, "--config", config, "--commands", script),
        *("--out", "units.jsonl", "--products", tmp_path / "products"),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    stored = ProductStore(tmp_path / "products").reference("a", 1)
    assert stored.model is not None
    assert stored.model.units == LESSON
    good, bad = lines(tmp_path / "units.jsonl")[LESSON:INSPECTED], lines(tmp_path / "units.jsonl")
    named = {model["name"] for model in bad[BAD]["models"]}
    assert f"anomaly-a-1-{stored.model.sha256[:8]}" in named
    assert [unit["result"] for unit in good] == ["PASSED"] * (INSPECTED - LESSON)
    assert bad[BAD]["result"] == "FAILED"
    # What the comparison names is no `anomaly` besides.
    assert bad[BAD]["defects"]
    unlike = [defect for defect in bad[BAD]["defects"] if defect["code"] == "anomaly"]
    for defect in unlike:
        assert defect["model"].startswith("anomaly-a-1-")
        assert defect["confidence"] >= 0.5
        assert len(defect["polygon_px"]) >= 3


def test_without_a_folder_of_its_own_a_replay_leaves_the_stations_products_alone(
    tmp_path: Path, footage: Path, config: Path
) -> None:
    own = tmp_path / "own"
    ProductStore(own).write("a", b'revision = "C"\n')
    config.write_text(config.read_text() + f'[products]\ndirectory = "{own}"\n')
    before = sorted(path.relative_to(own) for path in own.rglob("*"))
    script = commands(
        tmp_path,
        {"after_unit": 0, "command": "teach", "product": "a", "units": 3, "approve": True},
        {"after_unit": 40, "command": "set_product", "product": "b"},
    )
    ended = inspector(
        *("replay", footage, "--config", config, "--commands", script, "--out", "units.jsonl"),
        cwd=tmp_path,
    )
    # One command was never due: that is no success.
    assert ended.returncode == 1
    assert "line 2: set_product: the recording has fewer than 40 units" in " ".join(
        ended.stderr.split()
    )
    units = lines(tmp_path / "units.jsonl")
    assert {unit["product"]["revision"] for unit in units} == {"C"}
    assert units[3]["reference"]["id"] == "a/1"
    assert sorted(path.relative_to(own) for path in own.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["--commands", "nowhere.jsonl"],
            78,
            "--commands nowhere.jsonl: No such file or directory",
        ),
        (["--commands", "wrong.jsonl"], 78, "wrong.jsonl:1: found 'x', expected a JSON object"),
        (["--products", "p"], 2, "is for replays with --commands"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_nothing_is_replayed(
    tmp_path: Path, footage: Path, arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "wrong.jsonl").write_text("x\n")
    ended = inspector("replay", footage, *arguments, cwd=tmp_path)
    assert ended.returncode == code
    assert says in " ".join(ended.stderr.split())
    assert not list(tmp_path.glob("run*.jsonl"))


def test_known_parts_are_shown_between_the_units_of_a_recording(
    tmp_path: Path, config: Path
) -> None:
    folder, sets = tmp_path / "run", tmp_path / "state" / "challenges"
    folder.mkdir()
    sets.mkdir(parents=True)
    # Two in place of the known parts, one more, the known parts, and two more.
    for number, is_bad in enumerate([False, False, False, False, True, False, False]):
        board = draw_board(
            number,
            seed=4,
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
            defects=(DefectCode.SHORT, DefectCode.OPEN) if is_bad else (),
        ).picture
        cv2.imwrite(str(folder / f"{number}.png"), board, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    (sets / "gold.toml").write_text(
        'camera = "top"\nretries = 0\n[[parts]]\nname = "good"\nresult = "PASSED"\n'
        '[[parts]]\nname = "bad"\nresult = "FAILED"\ndefects = [{ code = "short" }]\n'
    )
    state = f'[journal]\ndirectory = "{tmp_path / "state"}"\n'
    config.write_text(config.read_text() + state + "[challenge]\nevery_units = 1\n")
    script = commands(
        tmp_path,
        {"after_unit": 0, "command": "challenge", "set": "gold", "by": "Kim"},
        {"after_unit": 3, "command": "challenge"},
    )
    ended = inspector(
        *("replay", folder, "--config", config, "--commands", script, "--out", "units.jsonl"),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    found = [
        (unit["result"], unit["reason"], (unit["challenge"] or {}).get("part"))
        for unit in lines(tmp_path / "units.jsonl")
    ]
    assert found == [
        ("PASSED", None, "good"),
        ("PASSED", None, "bad"),
        ("NOT_INSPECTED", "locked", None),
        ("PASSED", None, "good"),
        ("FAILED", None, "bad"),
        ("PASSED", None, None),
        ("NOT_INSPECTED", "locked", None),
    ]
    told = lines(tmp_path / "units.changes.jsonl")
    checks = [event for event in told if event.get("kind") == "check"]
    assert [(check["result"], check["by"]) for check in checks] == [
        ("failed", "replay: Kim"),
        ("held", "replay"),
    ]
