from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.batching.regions import MUCH_LARGER, pieces, refitted, regions_of, shrinks, unseen
from inspector.core.geometry import fit
from inspector.core.places import Box
from inspector.core.recipes import Cropping, Differences
from inspector.core.records import (
    CameraId,
    Difference,
    Frame,
    FrameRef,
    Image,
    ModelInput,
    Outline,
    Placed,
    Rect,
)
from tests.kit import compared_units as compared
from tests.kit.units_in_view import outlines

MODEL = ModelInput(
    name="image", width_px=640, height_px=640, channels_first=False, dtype="UINT8", rgb=False
)
WHOLE = Rect(0, 0, 2448, 2048)
OUTLINE = Outline(centre_x_px=1000, centre_y_px=900, width_px=742.3, height_px=675.6, turn_deg=1.5)


class NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def frame(outline: Outline | None = None) -> Frame:
    ref = FrameRef(
        camera_id=CameraId("a"),
        sequence=0,
        captured_mono_ns=0,
        captured_unix_ns=0,
        outline=outline,
    )
    return Frame(ref=ref, lease=NoLease())


def test_a_region_is_one_piece_letterboxed() -> None:
    seen = frame(OUTLINE)
    (region,) = regions_of(Cropping(rect=WHOLE), seen, MODEL)
    assert region.frame is seen
    assert region.rect == WHOLE
    assert region.letterbox == fit(WHOLE, width_px=640, height_px=640)
    assert (region.upright, region.piece, region.pieces) == (None, 0, 1)


def test_a_unit_is_its_whole_upright_picture() -> None:
    view = Cropping(rect=WHOLE, crop="unit")
    (region,) = regions_of(view, frame(OUTLINE), MODEL)
    assert region.upright == OUTLINE
    assert region.rect == Rect(0, 0, 742, 676)
    assert region.letterbox == fit(region.rect, width_px=640, height_px=640)
    assert (region.piece, region.pieces, pieces(view, frame(), MODEL)) == (0, 1, 1)


def test_a_unit_whose_outline_is_not_known_is_looked_for_in_the_region() -> None:
    (region,) = regions_of(Cropping(rect=Rect(4, 5, 600, 400), crop="unit"), frame(), MODEL)
    assert (region.upright, region.rect) == (None, Rect(4, 5, 600, 400))


def test_tiles_are_numbered_and_at_the_pictures_own_scale() -> None:
    view = Cropping(rect=WHOLE, crop="tiles", tile_overlap_px=96)
    regions = regions_of(view, frame(), MODEL)
    assert len(regions) == pieces(view, frame(), MODEL) == 20
    assert [r.piece for r in regions] == list(range(20))
    assert {r.pieces for r in regions} == {20}
    assert {r.letterbox.scale for r in regions} == {1.0}
    assert len({r.rect for r in regions}) == 20


def test_a_picture_that_fits_is_one_tile() -> None:
    view = Cropping(rect=Rect(3, 4, 600, 500), crop="tiles", tile_overlap_px=96)
    (region,) = regions_of(view, frame(), MODEL)
    assert (region.rect, region.pieces) == (Rect(3, 4, 600, 500), 1)


def test_while_the_models_input_is_not_known_a_frame_is_one_piece() -> None:
    for crop in ("region", "unit", "tiles", "unit_tiles"):
        view = Cropping(rect=WHOLE, crop=crop)
        assert pieces(view, frame(OUTLINE), None) == 1
        assert unseen(view, frame(OUTLINE)).pieces == 1


@pytest.mark.parametrize("crop", ["region", "unit", "tiles", "unit_tiles"])
def test_a_part_fitted_to_another_input_is_the_same_part(crop: str) -> None:
    view = Cropping(rect=WHOLE, crop=crop, tile_overlap_px=32)  # type: ignore[arg-type]
    small = replace(MODEL, width_px=320, height_px=256)
    for region in regions_of(view, frame(OUTLINE), MODEL):
        again = refitted(region, small)
        assert again.letterbox == fit(region.rect, width_px=320, height_px=256)
        assert replace(again, letterbox=region.letterbox) == region


rects = st.builds(
    Rect, st.integers(0, 500), st.integers(0, 500), st.integers(16, 3000), st.integers(16, 3000)
)
inputs = st.builds(
    lambda width, height: replace(MODEL, width_px=width, height_px=height),
    st.integers(128, 1024),
    st.integers(128, 1024),
)
any_outline = outlines(centre_px=(0, 3000), side_px=(0.2, 2500))
crops = st.sampled_from(["region", "unit", "tiles", "unit_tiles"])


@given(rect=rects, crop=crops, model=inputs, outline=st.none() | any_outline)
def test_every_piece_fits_the_model_input_and_none_is_missing(rect, crop, model, outline):
    view = Cropping(rect=rect, crop=crop, tile_overlap_px=32)
    regions = regions_of(view, frame(outline), model)
    assert [(r.piece, r.pieces) for r in regions] == [
        (n, len(regions)) for n in range(len(regions))
    ]
    assert len(regions) == pieces(view, frame(outline), model) >= 1
    for region in regions:
        box = region.letterbox
        assert 0 < box.scale <= 1, "never enlarged"
        for offset_px, side_px, room_px in (
            (box.left_px, region.rect.width_px, model.width_px),
            (box.top_px, region.rect.height_px, model.height_px),
        ):
            assert offset_px >= 0
            shown_px = max(1, round(side_px * box.scale))
            assert offset_px + shown_px <= room_px
            assert abs(room_px - shown_px - 2 * offset_px) <= 1, "in the middle"


@given(rect=rects, crop=st.sampled_from(["region", "tiles"]), model=inputs)
def test_the_pieces_of_a_view_together_show_all_of_it_and_nothing_beside_it(rect, crop, model):
    shown = np.zeros((rect.height_px, rect.width_px), np.bool_)
    for region in regions_of(Cropping(rect=rect, crop=crop, tile_overlap_px=32), frame(), model):
        x_px, y_px = region.rect.x_px - rect.x_px, region.rect.y_px - rect.y_px
        assert 0 <= x_px <= rect.width_px - region.rect.width_px
        assert 0 <= y_px <= rect.height_px - region.rect.height_px
        shown[y_px : y_px + region.rect.height_px, x_px : x_px + region.rect.width_px] = True
    assert shown.all()


BESIDE = replace(MODEL, channels=2)


def placed_frame(outline: Outline | None = None, **of_recipe: Any) -> Frame:
    one = compared.frame(compared.board().picture, compared.job(**of_recipe), outline=outline)
    known = Placed(likeness=1.0, shift_px=0.0, matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    return replace(one, ref=replace(one.ref, placed=known))


@pytest.mark.parametrize("crop", ["region", "unit", "unit_tiles"])
@pytest.mark.parametrize("outline", [None, OUTLINE])
def test_what_is_compared_is_the_whole_reference(crop: Any, outline: Outline | None) -> None:
    (region,) = regions_of(Cropping(rect=WHOLE, crop=crop), placed_frame(outline), BESIDE)
    assert region.on_reference
    assert region.upright is None
    assert region.rect == Rect(0, 0, compared.WIDTH_PX, compared.HEIGHT_PX)


def test_the_same_frame_is_shown_to_another_model_as_ever() -> None:
    (region,) = regions_of(Cropping(rect=WHOLE, crop="unit"), placed_frame(OUTLINE), MODEL)
    assert (region.on_reference, region.upright) == (False, OUTLINE)


def test_a_frame_that_was_not_placed_is_never_shown_beside_a_reference() -> None:
    with pytest.raises(RuntimeError, match="no frame was placed"):
        regions_of(Cropping(rect=WHOLE), compared.frame(compared.board().picture), BESIDE)


@pytest.mark.parametrize(
    ("side_px", "tiles"),
    [(640, 1), (round(640 * MUCH_LARGER) - 2, 1), (round(640 * MUCH_LARGER) + 2, 4), (1300, 9)],
)
def test_a_unit_much_larger_than_the_input_is_cut_and_upright(side_px: int, tiles: int) -> None:
    large = replace(OUTLINE, width_px=side_px, height_px=side_px)
    view = Cropping(rect=WHOLE, crop="unit_tiles", tile_overlap_px=96)
    regions = regions_of(view, frame(large), MODEL)
    assert len(regions) == pieces(view, frame(large), MODEL) == tiles
    assert {region.upright for region in regions} == {large}
    assert {region.letterbox.scale for region in regions} == {1.0 if tiles > 1 else 640 / side_px}
    assert max(r.rect.x_px + r.rect.width_px for r in regions) == side_px


@pytest.mark.parametrize(("side_px", "tiles"), [(640, 1), (700, 1), (711, 1), (712, 4), (1280, 9)])
def test_a_region_is_not_shrunk_for_a_model_of_the_pictures_own_scale(
    side_px: int, tiles: int
) -> None:
    model = replace(MODEL, own_scale=True)
    rect = Rect(10, 20, side_px, side_px)
    chosen = Cropping(rect=rect, tile_overlap_px=96)
    by_itself = replace(chosen, keeps_scale=True)
    assert len(regions_of(by_itself, frame(), model)) == pieces(by_itself, frame(), model) == tiles
    assert all(r.letterbox.scale >= 0.9 for r in regions_of(by_itself, frame(), model))
    # Who says that the region is shown as one picture gets one, and so does any other model.
    assert pieces(chosen, frame(), model) == pieces(by_itself, frame(), MODEL) == 1


@pytest.mark.parametrize(("side_px", "tiles"), [(880, 1), (900, 4)])
def test_a_unit_is_cut_for_a_model_of_the_pictures_own_scale_where_it_is_much_larger(
    side_px: int, tiles: int
) -> None:
    outline = replace(OUTLINE, width_px=side_px, height_px=side_px)
    view = Cropping(rect=WHOLE, crop="unit", tile_overlap_px=96, keeps_scale=True)
    assert pieces(view, frame(outline), replace(MODEL, own_scale=True)) == tiles
    assert pieces(view, frame(outline), MODEL) == 1


@pytest.mark.parametrize(
    ("view", "outline", "shrinks_it"),
    [
        (Cropping(rect=Rect(0, 0, 711, 500)), None, False),
        (Cropping(rect=Rect(0, 0, 712, 500)), None, True),
        (Cropping(rect=WHOLE, crop="tiles", tile_overlap_px=96), None, False),
        (Cropping(rect=WHOLE, crop="unit"), OUTLINE, False),
        (Cropping(rect=WHOLE, crop="unit"), replace(OUTLINE, width_px=900), True),
    ],
)
def test_a_part_is_shrunk_or_not(view: Cropping, outline: Outline | None, shrinks_it: bool) -> None:  # noqa: FBT001
    for region in regions_of(view, frame(outline), MODEL):
        assert shrinks(region, MODEL) is shrinks_it
        assert not shrinks(region, replace(MODEL, stretches=True))


def test_without_an_outline_the_region_is_cut_by_the_same_rule() -> None:
    for side_px, tiles in ((700, 1), (1000, 4)):
        view = Cropping(rect=Rect(10, 20, side_px, side_px), crop="unit_tiles", tile_overlap_px=96)
        regions = regions_of(view, frame(), MODEL)
        assert len(regions) == tiles
        assert (regions[0].rect.x_px, regions[0].rect.y_px) == (10, 20)


def test_a_large_reference_is_cut_as_its_unit_is() -> None:
    of = compared.reference(np.zeros((900, 1200, 3), np.uint8))
    view = Cropping(rect=WHOLE, crop="unit_tiles", tile_overlap_px=96)
    regions = regions_of(view, placed_frame(None, of=of), BESIDE)
    assert len(regions) == 6
    assert all(region.on_reference for region in regions)
    assert {(r.rect.width_px, r.rect.height_px) for r in regions} == {(640, 640)}


def test_places_that_differ_are_a_further_piece_of_a_frame_for_a_model_that_compares() -> None:
    place = Box(left_px=90, top_px=80, right_px=96, bottom_px=86)
    lies = Placed(
        likeness=0.99,
        shift_px=0.0,
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        differences=(Difference(place=place, weight=9.0),),
    )
    image = compared.board().picture

    def differing(differences: Differences) -> Frame:
        seen = compared.frame(image, compared.job(differences=differences))
        return replace(seen, ref=replace(seen.ref, placed=lies))

    cropping = Cropping(rect=Rect(0, 0, compared.WIDTH_PX, compared.HEIGHT_PX))
    shown = differing("shown")
    whole, close = regions_of(cropping, shown, compared.INPUT)
    assert pieces(cropping, shown, compared.INPUT) == 2
    assert [(one.piece, one.pieces) for one in (whole, close)] == [(0, 2), (1, 2)]
    assert whole.close_ups == ()
    (close_up,) = close.close_ups
    assert close_up.middle_px == (93, 83)
    assert close.rect == Rect(0, 0, compared.INPUT.width_px, compared.INPUT.height_px)
    assert close.letterbox.scale == 1
    larger = replace(compared.INPUT, width_px=512, height_px=512)
    again = refitted(close, larger)
    assert again.rect == Rect(0, 0, 512, 512)
    assert again.close_ups[0].cell.width_px == 2 * close_up.cell.width_px
    assert (again.piece, again.pieces) == (1, 2)
    assert len(regions_of(cropping, differing("ignored"), compared.INPUT)) == 1
    assert len(regions_of(cropping, shown, MODEL)) == 1, "a picture alone shows no difference"
