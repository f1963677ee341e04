"""Generated lines, and the perfect detector: the truth is where the pixels are."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.line.footage import SceneSource, of_scene
from benchmarks.line.locating import located
from benchmarks.line.oracle import OracleModel
from benchmarks.line.running import settings_for
from benchmarks.line.scenarios import MATRIX, Light, Scenario
from benchmarks.line.scene import Scene
from benchmarks.line.truth import LineTruth, Travel, TrueBoard
from inspector.core.errors import EndOfFootageError
from inspector.core.geometry import fit, upright_size_px
from inspector.core.records import (
    Batch,
    CameraId,
    Finding,
    Frame,
    FrameRef,
    Image,
    Letterbox,
    Outline,
    Rect,
    Region,
)
from inspector.flow.tensor_pool import TensorPool
from inspector.pipeline.terms import model_terms
from tests.kit.findings import box_of

SMALL = Scenario(
    name="small",
    seed=5,
    boards=2,
    board_px=(480, 440),
    picture_px=(800, 600),
    tilt_deg=1.5,
    gaps_px=(100, 140),
)


class Loan:
    def __init__(self, image: Image) -> None:
        self.image = image

    def release(self) -> None:
        pass


def bad_board(scene: Scene) -> TrueBoard:
    return next(board for board in scene.truth.boards if board.defects)


def scene_with_a_bad_board(**changes: object) -> tuple[Scene, TrueBoard, int, Image]:
    """A frame in which the board is fully in view."""
    for seed in range(5, 30):
        scene = Scene(replace(SMALL, seed=seed, **changes))  # type: ignore[arg-type]
        if any(board.defects for board in scene.truth.boards):
            break
    board = bad_board(scene)
    inside = [n for n in range(scene.truth.frames) if scene.truth.is_fully_in(board, n)]
    frame = inside[len(inside) // 2]
    image = np.zeros((scene.truth.height_px, scene.truth.width_px, 3), np.uint8)
    scene.render_into(frame, image)
    return scene, board, frame, image


@pytest.mark.parametrize("travel", ["left", "right", "up", "down"])
def test_a_painted_board_is_where_the_truth_says(travel: Travel):
    scene, board, frame, image = scene_with_a_bad_board(travel=travel)
    doubtful = replace(board, along_px=board.along_px - 5, along_reach_px=10.0)
    assert located(scene.truth, doubtful, frame, image).along_px == pytest.approx(
        board.along_px, abs=1.01
    )


def test_a_scene_is_the_same_every_time():
    _, _, frame, image = scene_with_a_bad_board()
    again, _, same, second = scene_with_a_bad_board()
    assert frame == same
    assert np.array_equal(image, second)
    again.render_into(0, second)
    again.render_into(frame, second)
    assert np.array_equal(image, second)


def test_the_truth_survives_being_written_and_read():
    scene, board, frame, _ = scene_with_a_bad_board(motion=((20, 12.0), (30, 0.0)))
    read = LineTruth.of_json("small", json.loads(json.dumps(scene.truth.as_json())))
    again = next(one for one in read.boards if one.number == board.number)
    assert again == board
    assert read.outline(again, frame) == scene.truth.outline(board, frame)
    assert read.moved_px(frame) == scene.truth.moved_px(frame)


def test_a_withdrawn_board_is_not_in_the_truth_and_not_on_the_belt():
    scenario = next(one for one in MATRIX if one.name == "enters_and_goes_back")
    scene = Scene(scenario)
    assert [board.number for board in scene.truth.boards] == [1, 3]
    image = np.zeros((720, 1280, 3), np.uint8)
    scene.render_into(100, image)
    edge = image[200:500, :150].astype(int)
    assert edge.mean() > 90, "it was half in the picture"
    scene.render_into(230, image)
    assert image[200:500, 30:90].mean() < 70, "and never came again"


def test_a_board_that_can_hardly_be_seen_may_stay_uninspected():
    scene = Scene(replace(SMALL, light=Light(off=(30, 92))))
    assert [board.may_be_uninspected for board in scene.truth.boards] == [True, False]


def test_a_source_of_a_scene_ends():
    scene = Scene(replace(SMALL, boards=1))
    source = SceneSource(scene)
    source.open()
    for _ in range(scene.truth.frames):
        source.grab()
    with pytest.raises(EndOfFootageError):
        source.grab()


def regions(frame: Frame, outline: Outline) -> dict[str, list[Region]]:
    """The ways a frame is shown to the model."""
    side = 640

    def region(
        rect: Rect, piece: int = 0, pieces: int = 1, upright: Outline | None = None
    ) -> Region:
        box: Letterbox = fit(rect, width_px=side, height_px=side)
        return Region(
            frame=frame, rect=rect, letterbox=box, piece=piece, pieces=pieces, upright=upright
        )

    width, height = upright_size_px(outline)
    return {
        "whole": [region(Rect(0, 0, 800, 600))],
        "upright": [region(Rect(0, 0, width, height), upright=outline)],
        "tiles": [
            region(Rect(x, y, 500, 400), y // 200 * 2 + x // 300, 4)
            for y in (0, 200)
            for x in (0, 300)
        ],
    }


async def findings(oracle: OracleModel, shown: list[Region]) -> list[list[Finding]]:
    ((model, spec),) = (await oracle.connect()).items()
    batch = Batch(
        batch_id=7, model=model, regions=tuple(shown), tensor=None, model_input=spec.input
    )

    async def requests():
        yield oracle.encode(batch)

    replies = [reply async for reply in oracle.replies(requests())]
    assert [reply.request_id for reply in replies] == ["7"]
    assert replies[0].outputs is not None
    return spec.reader.decode(replies[0].outputs, batch.regions, floor=0.1, nms_iou=0.5)


@pytest.mark.parametrize("look", ["whole", "upright", "tiles"])
def test_the_oracle_reports_every_defect_where_it_is(look: str):
    scene, board, number, image = scene_with_a_bad_board()
    footage = of_scene(scene)
    settings = settings_for(footage)
    tensors = TensorPool(tensors=1, max_regions=4, shared=False)
    outline = scene.truth.outline(board, number)
    ref = FrameRef(camera_id=CameraId("x"), sequence=number, captured_mono_ns=0, captured_unix_ns=0)
    frame = Frame(ref=ref, lease=Loan(image))
    codes = settings.inspection.codes
    oracle = OracleModel(scene.truth, model_terms(settings), tensors)
    found = asyncio.run(findings(oracle, regions(frame, outline)[look]))
    per_frame = [one for part in found for one in part]
    for defect in board.defects:
        middle = (defect.x_px + defect.width_px / 2, defect.y_px + defect.height_px / 2)
        if look != "upright":
            turn = np.radians(outline.turn_deg)
            x, y = middle[0] - outline.width_px / 2, middle[1] - outline.height_px / 2
            middle = (
                outline.centre_x_px + x * np.cos(turn) - y * np.sin(turn),
                outline.centre_y_px + x * np.sin(turn) + y * np.cos(turn),
            )
        assert any(
            codes[one.code_index] == defect.code
            and box_of(one).left_px < middle[0] < box_of(one).right_px
            and box_of(one).top_px < middle[1] < box_of(one).bottom_px
            for one in per_frame
        ), f"{defect} in {look}"
    if look == "upright":
        assert len(per_frame) == len(board.defects)


def test_the_oracle_sees_nothing_in_the_dark():
    scene, board, number, image = scene_with_a_bad_board(light=Light(off=(0, 10_000)))
    settings = settings_for(of_scene(scene))
    ref = FrameRef(camera_id=CameraId("x"), sequence=number, captured_mono_ns=0, captured_unix_ns=0)
    outline = scene.truth.outline(board, number)
    tensors = TensorPool(tensors=1, max_regions=4, shared=False)
    oracle = OracleModel(scene.truth, model_terms(settings), tensors)
    shown = regions(Frame(ref=ref, lease=Loan(image)), outline)["whole"]
    assert asyncio.run(findings(oracle, shown)) == [[]]
