"""Units compared with their product's reference, through the whole pipeline.

The model of these tests is honest: it says where a unit and its reference differ by much. So what
it says depends on registration, on what is natural, and on the way back to the unit's pixels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.core.geometry import between_centres
from inspector.core.ports import PictureKeeper
from inspector.core.recipes import ANOMALY, DIFFERENCES, Cropping, Job, Reference
from inspector.core.records import CameraId, Image, Rect, UnitPicture
from inspector.settings.settings import Settings
from inspector.simulation.defects import DefectCode
from tests.kit import compared_units as compared
from tests.kit.compared_units import GOLDEN, HEIGHT_PX, WIDTH_PX, board
from tests.kit.fake_triton import Deployed, FakeTriton, serving
from tests.kit.pipeline import Step, recording
from tests.kit.pipeline_units import Drawn, UnitLine, patient, unit_line

pytestmark = pytest.mark.usefixtures("eager_captures")

MARGIN_PX = 12
FRAME_PX = (WIDTH_PX + 2 * MARGIN_PX, HEIGHT_PX + 2 * MARGIN_PX)
BRIGHT = (255, 255, 255)
"""On a board: what the model of these tests takes for a defect in a picture alone."""


def servers() -> FakeTriton:
    golden = Deployed(
        name=GOLDEN.name,
        side_px=320,
        channels=2,
        code=1,
        parameters={"channels": "unit,reference"},
    )
    return FakeTriton(Deployed(side_px=320), more=[golden])


def under(of: Reference | None = None, **more: Any) -> Job:
    return compared.job(of, cropping=Cropping(rect=Rect(0, 0, *FRAME_PX)), **more)


def pictures(shown: Sequence[Image]) -> Iterator[Step]:
    """Boards, each on the belt, once."""
    for number, picture in enumerate(shown):

        def paint(image: Image, picture: Image = picture) -> None:
            image[:] = on_belt(picture)

        yield Drawn(at_s=None, number=number, paint=paint)


def on_belt(picture: Image) -> Image:
    """In the middle of a frame, the belt around it."""
    if picture.shape[:2] == FRAME_PX[::-1]:
        return picture
    frame = np.full((FRAME_PX[1], FRAME_PX[0], 3), 60, np.uint8)
    frame[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] = picture
    return frame


class Kept:
    """What would become evidence: the corner of each picture, by unit."""

    def __init__(self) -> None:
        self.corners: dict[int, Image] = {}

    async def keep(self, picture: UnitPicture) -> None:
        image = picture.frame.lease.image
        self.corners[picture.unit_number] = image[:80, :80].copy()
        picture.frame.lease.release()


def inspect(shown: Sequence[Image], job: Job, *, kept: PictureKeeper | None = None) -> UnitLine:
    async def main() -> UnitLine:
        shows = {"a": pictures(shown)}
        async with (
            serving(servers()) as server,
            unit_line(settings(server), shows, job=job, pictures=kept) as run,
        ):
            await asyncio.wait_for(run.ended, 60)
        return run

    return asyncio.run(main())


def settings(server: FakeTriton) -> Settings:
    width_px, height_px = FRAME_PX
    return patient(server.url, {"a": recording(size=f"{width_px}x{height_px}")})


def moved(picture: Image, x_px: float, y_px: float, turn_deg: float = 0.0) -> Image:
    """A frame in which the board lies so."""
    matrix = cv2.getRotationMatrix2D((FRAME_PX[0] / 2, FRAME_PX[1] / 2), -turn_deg, 1.0)
    (a, b, c), (d, e, f) = matrix.tolist()
    there = between_centres(((a, b, c + x_px), (d, e, f + y_px)))
    frame = cv2.warpAffine(on_belt(picture), np.array(there), FRAME_PX, borderValue=(60, 60, 60))
    return np.asarray(frame, np.uint8)


def test_a_product_of_which_the_reference_is_another_passes_none_of_200_boards() -> None:
    shown = [board(number, product=number % 2 + 1).picture for number in range(200)]
    run = inspect(shown, under())
    assert run.tally() == {"reference_mismatch": 200}
    assert run.missed("a") == {"reference_mismatch": 200}
    assert all(unit["result"] == "NOT_INSPECTED" for unit in run.units)
    assert all(unit["reference"]["likeness"] < 0.6 for unit in run.units)
    assert all(not unit["defects"] for unit in run.units)


def test_good_boards_pass_and_bad_ones_fail_where_they_are_bad() -> None:
    bad = [board(n, defects=(DefectCode.SHORT,)) for n in range(1, 7)]
    good = [board(n).picture for n in range(10, 16)]
    run = inspect([*(one.picture for one in bad), *good], under())
    assert run.results() == ["FAILED"] * len(bad) + ["PASSED"] * len(good)
    for unit, one in zip(run.units, bad, strict=False):
        (defect,) = unit["defects"]
        (truth,) = one.truth
        x, y, width, height = truth.bbox_px
        left, top, wide, high = defect["bbox_px"]
        # The damage lies inside the box of the truth, which has a margin.
        left, top = left - MARGIN_PX, top - MARGIN_PX
        assert x - 2 <= left
        assert left + wide <= x + width + 2
        assert y - 2 <= top
        assert top + high <= y + height + 2
        assert unit["model"]["name"] == GOLDEN.name
        assert unit["reference"]["likeness"] > 0.95


@pytest.mark.parametrize("lies", [(0, 0, 0), (9, -7, 0), (-5, 4, 2.5), (3.5, 2.5, -2)])
def test_a_defect_is_told_where_it_is_in_the_picture_however_the_unit_lies(
    lies: tuple[float, float, float],
) -> None:
    spoilt = board(1).picture.copy()
    spoilt[150:166, 120:150] = BRIGHT
    run = inspect([moved(board(1).picture, *lies), moved(spoilt, *lies)], under())
    assert run.results() == ["PASSED", "FAILED"]
    left, top, wide, high = run.units[1]["defects"][0]["bbox_px"]
    white = np.zeros_like(spoilt)
    white[150:166, 120:150] = BRIGHT
    rows, columns = np.nonzero(moved(white, *lies).min(axis=2) > 128)
    middle = (left + wide / 2, top + high / 2)
    assert middle == pytest.approx((columns.mean(), rows.mean()), abs=2)
    assert (wide, high) == pytest.approx((30, 16), abs=4)


def test_what_differs_from_unit_to_unit_is_no_defect_and_damage_beside_it_is() -> None:
    label = (slice(100, 150), slice(60, 140))
    deviation = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    deviation[label] = 110
    shown = []
    for number in range(4):
        picture = board(1).picture.copy()
        cells = np.random.default_rng(number).integers(0, 2, (5, 8), np.uint8) * 200 + 25
        picture[label] = cv2.resize(cells, (80, 50), interpolation=cv2.INTER_NEAREST)[..., None]
        shown.append(picture)
    spoilt = shown[1].copy()
    spoilt[200:216, 120:150] = BRIGHT
    darker = (shown[2] * 0.75).astype(np.uint8)
    run = inspect([*shown[1:], darker, spoilt], under(compared.reference(shown[0], deviation)))
    assert run.results() == ["PASSED"] * 4 + ["FAILED"]
    without = inspect(shown[1:], under(compared.reference(shown[0])))
    assert without.results() == ["FAILED"] * 3, "the labels do differ"


def test_a_unit_that_does_not_fit_is_shown_to_whoever_has_to_find_out_why() -> None:
    shown, kept = [board(1).picture, *(board(1, product=n).picture for n in (1, 2))], Kept()
    run = inspect(shown, under(), kept=kept)
    assert run.results() == ["PASSED", "reference_mismatch", "reference_mismatch"]
    assert sorted(kept.corners) == [1, 2, 3]
    for number, picture in enumerate(shown, 1):
        assert np.array_equal(kept.corners[number], on_belt(picture)[:80, :80])


def test_three_units_of_another_product_in_a_row_are_a_fault_until_one_fits() -> None:
    foreign, ours = board(1, product=1).picture, board(1).picture
    shown = [foreign, foreign, ours, foreign, foreign, foreign, ours]
    run = inspect(shown, under())
    told = [(kind, state) for kind, state, _cause, _s in run.health if kind == "product"]
    assert told == [("product", "raised"), ("product", "cleared")]
    assert run.results().count("reference_mismatch") == 5
    assert run.results()[2] == run.results()[6] == "PASSED"


def test_where_both_judge_each_says_what_is_a_defect() -> None:
    bright = board(1).picture.copy()
    bright[40:60, 40:60] = BRIGHT
    of = compared.reference(bright)
    # As the reference, but for the picture alone; another than the reference, and not bright.
    dark = bright.copy()
    dark[200:216, 120:150] = 0
    run = inspect([bright, dark], under(of, judge="both"))
    codes = [[defect["code"] for defect in unit["defects"]] for unit in run.units]
    assert [sorted(some) for some in codes] == [["mousebite"], ["mousebite", "short"]]
    assert inspect([bright, dark], under(of)).results() == ["PASSED", "FAILED"]
    assert inspect([bright, dark], under(of, judge="single")).results() == ["FAILED", "FAILED"]


def test_a_unit_is_compared_by_the_job_it_was_opened_under() -> None:
    """Before and after a change-over, to the unit."""
    ours, theirs = board(1).picture, board(1, product=1).picture

    async def main() -> UnitLine:
        async with serving(servers()) as server:
            first, second = under(), under(compared.reference(product=1))
            shown = pictures([ours, theirs] * 10)
            async with unit_line(settings(server), {"a": shown}, job=first) as run:
                await run.until(lambda: len(run.units) >= 5)
                opened = run.pipeline.change_job(replace(second, number=2))[CameraId("a")]
                await asyncio.wait_for(run.ended, 30)
            for unit in run.units:
                number = unit["unit"]["number"]
                is_ours = number % 2 == 1
                fits = is_ours if number <= opened else not is_ours
                assert unit["result"] == ("PASSED" if fits else "NOT_INSPECTED"), number
        return run

    run = asyncio.run(main())
    assert len(run.units) == 20


def dim(picture: Image) -> Image:
    """With a quarter of its contrast: what differs is too little for the model of these tests."""
    return (picture * 0.25 + 90).astype(np.uint8)


def test_what_the_model_overlooks_it_is_shown_once_more_enlarged_and_in_full_contrast() -> None:
    good, bad = dim(board(1).picture), dim(compared.damaged(board(1).picture, 200, 150, side_px=12))
    of = compared.reference(good)
    overlooked = inspect([good, bad], under(of))
    assert overlooked.results() == ["PASSED", "PASSED"], "the model does overlook it"
    run = inspect([good, bad], under(of, differences="shown"))
    assert run.results() == ["PASSED", "FAILED"]
    (defect,) = run.units[1]["defects"]
    assert (defect["code"], defect["model"]) == ("short", GOLDEN.name)
    left, top, wide, high = defect["bbox_px"]
    middle = (left + wide / 2 - MARGIN_PX, top + high / 2 - MARGIN_PX)
    assert middle == pytest.approx((206, 156), abs=3)
    assert 12 <= wide <= 26, "not as large as it was shown"


def test_a_unit_that_no_model_finds_fault_with_fails_where_it_is_not_as_the_reference() -> None:
    good, bad = dim(board(1).picture), dim(compared.damaged(board(1).picture, 200, 150, side_px=12))
    job = under(compared.reference(good), differences="defects")
    codes = (*job.recipe.codes, ANOMALY)
    rules = replace(job.recipe.rules, thresholds=(1.0,) * len(job.recipe.codes) + (0.5,))
    of_models = dict.fromkeys((GOLDEN.name, job.recipe.model.name), job.recipe.codes)
    recipe = replace(job.recipe, codes=codes, rules=rules, codes_of=of_models)
    run = inspect([good, bad], replace(job, recipe=recipe))
    assert run.results() == ["PASSED", "FAILED"]
    (defect,) = run.units[1]["defects"]
    assert (defect["code"], defect["model"]) == (ANOMALY, DIFFERENCES)
    left, top, wide, high = defect["bbox_px"]
    middle = (left + wide / 2 - MARGIN_PX, top + high / 2 - MARGIN_PX)
    assert middle == pytest.approx((206, 156), abs=3)
