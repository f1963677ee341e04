"""A unit beside its reference, without what differs from unit to unit anyway."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.batching.comparing import (
    NATURAL_FROM_LEVELS,
    Planes,
    ReferencePlanes,
    differing,
    without_natural,
)
from inspector.core.geometry import fit
from inspector.core.recipes import Reference
from inspector.core.records import DIFFERING_CELL_PX, PADDING_GREY, Rect
from inspector.simulation.defects import DefectCode
from tests.kit.compared_units import HEIGHT_PX, INPUT, WIDTH_PX, board, reference

LABEL = (slice(60, 120), slice(90, 200))
"""Rows and columns of the reference."""


def planes(of: Reference, rect: Rect | None = None) -> Planes:
    rect = rect or Rect(0, 0, WIDTH_PX, HEIGHT_PX)
    box = fit(rect, width_px=INPUT.width_px, height_px=INPUT.height_px)
    return ReferencePlanes().of(of, rect, box, INPUT)


def deviating(levels: int) -> NDArray[np.uint8]:
    deviation = np.full((HEIGHT_PX, WIDTH_PX), 4, np.uint8)
    deviation[LABEL] = levels
    return deviation


def labelled(seed: int) -> Reference:
    picture = board().picture.copy()
    code = np.random.default_rng(seed).integers(0, 2, (6, 11), np.uint8) * 190 + 30
    picture[LABEL] = cv2.resize(code, (110, 60), interpolation=cv2.INTER_NEAREST)[..., None]
    return reference(picture, deviating(100))


def seen(of: Reference, light: float = 1.0) -> NDArray[np.uint8]:
    """A unit that looks so, in a model's input, in some light."""
    return np.round(planes(of).wanted * light).astype(np.uint8)


def in_input(rows_columns: tuple[slice, slice], shrink_px: int = 0) -> tuple[slice, slice]:
    """That part of the reference, in the model's input; so much smaller on each side."""
    box = fit(Rect(0, 0, WIDTH_PX, HEIGHT_PX), width_px=256, height_px=256)
    rows, columns = rows_columns
    return (
        slice(
            int(rows.start * box.scale + box.top_px) + shrink_px,
            int(rows.stop * box.scale + box.top_px) - shrink_px,
        ),
        slice(
            int(columns.start * box.scale + box.left_px) + shrink_px,
            int(columns.stop * box.scale + box.left_px) - shrink_px,
        ),
    )


@pytest.mark.parametrize("light", [0.7, 1.0, 1.15])
def test_another_label_shows_no_difference_whatever_the_light(light: float) -> None:
    known, unit = planes(labelled(1)), seen(labelled(2), light)
    inside = in_input(LABEL, shrink_px=3)
    before = np.abs(unit[inside].astype(int) - known.wanted[inside] * light)
    without_natural(unit, known)
    after = np.abs(unit[inside].astype(int) - known.wanted[inside] * light)
    assert before.mean() > 50, "labels differ"
    assert after.mean() < 6
    assert after.max() < 40


def test_beside_the_label_not_a_pixel_changes() -> None:
    known, unit = planes(labelled(1)), seen(labelled(2), 0.8)
    unit[150:160, 150:160] = 255
    kept = unit.copy()
    without_natural(unit, known)
    beside = np.ones(unit.shape, np.bool_)
    beside[in_input(LABEL, shrink_px=-3)] = False
    assert np.array_equal(unit[beside], kept[beside])


def test_what_differs_by_more_than_is_natural_stays_different_by_so_much() -> None:
    of = reference(deviation=deviating(NATURAL_FROM_LEVELS + 10))
    known = planes(of)
    assert known.natural is not None
    natural = int(known.natural.max())
    assert 20 <= natural <= 40
    unit = known.wanted.copy()
    place = in_input(LABEL, shrink_px=8)
    unit[place] = np.clip(known.wanted[place].astype(int) + 90, 0, 255)
    differed = unit[place].astype(int) - known.wanted[place]
    without_natural(unit, known)
    differs = unit[place].astype(int) - known.wanted[place]
    assert np.abs(differs - (differed - natural)).mean() < 4


@pytest.mark.parametrize("levels", [0, 10, NATURAL_FROM_LEVELS])
def test_noise_and_edges_that_breathe_change_nothing(levels: int) -> None:
    known = planes(reference(deviation=deviating(levels)))
    assert known.natural is None
    unit = np.random.default_rng(1).integers(0, 256, known.wanted.shape, np.uint8)
    kept = unit.copy()
    without_natural(unit, known)
    assert np.array_equal(unit, kept)


def test_a_thin_mark_is_natural_in_a_unit_that_is_shrunk_too() -> None:
    large = np.zeros((1200, 1280), np.uint8)
    large[:, 640] = 110
    picture = np.full((1200, 1280, 3), 128, np.uint8)
    rect = Rect(0, 0, 1280, 1200)
    box = fit(rect, width_px=INPUT.width_px, height_px=INPUT.height_px)
    known = ReferencePlanes().of(reference(picture, large), rect, box, INPUT)
    assert known.natural is not None
    assert known.natural[128, 126:131].max() > 100


def test_beside_the_unit_there_is_nothing_to_compare() -> None:
    known = planes(reference())
    rows = [0, 1, -1]
    assert (known.outside[rows] == 255).all()
    assert (known.wanted[rows] == PADDING_GREY).all()
    assert not known.outside[12:-12, 2:-2].any()


def test_what_was_prepared_is_not_prepared_again() -> None:
    prepared = ReferencePlanes()
    rect = Rect(0, 0, WIDTH_PX, HEIGHT_PX)
    box = fit(rect, width_px=INPUT.width_px, height_px=INPUT.height_px)
    of = reference()
    first = prepared.of(of, rect, box, INPUT)
    assert prepared.of(of, rect, box, INPUT) is first
    for x_px in range(40):
        tile = Rect(x_px, 0, 256, 256)
        prepared.of(of, tile, fit(tile, width_px=256, height_px=256), INPUT)
    assert prepared.of(of, rect, box, INPUT) is not first, "it holds so many and no more"


def cells_of(box_px: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """The cells in which that box of the reference lies."""
    x, y, width, height = box_px
    rows, columns = in_input((slice(y, y + height), slice(x, x + width)))
    return (
        slice(rows.start // DIFFERING_CELL_PX, rows.stop // DIFFERING_CELL_PX + 1),
        slice(columns.start // DIFFERING_CELL_PX, columns.stop // DIFFERING_CELL_PX + 1),
    )


@pytest.mark.parametrize("light", [0.8, 1.0, 1.15])
def test_a_unit_that_is_as_its_reference_differs_nowhere_whatever_the_light(light: float) -> None:
    known, noise = planes(reference()), np.random.default_rng(1)
    unit = np.clip(seen(reference(), light) + noise.normal(0, 3, (256, 256)), 0, 255)
    assert not differing(unit.astype(np.uint8), known).any()


@pytest.mark.parametrize("code", list(DefectCode))
def test_damage_differs_and_nothing_else_does(code: DefectCode) -> None:
    damaged = board(1, defects=(code,))
    known, unit = planes(reference()), seen(reference(damaged.picture))
    cells = differing(unit, known)
    [defect] = damaged.truth
    there = cells_of(defect.bbox_px)
    assert cells[there].any()
    cells[there] = False
    assert not cells.any()


def test_what_is_natural_there_is_no_difference() -> None:
    known, unit = planes(labelled(1)), seen(labelled(2))
    without_natural(unit, known)
    assert not differing(unit, known).any()


def test_a_model_whose_input_is_no_multiple_of_a_cell_has_cells_for_all_of_it() -> None:
    spec = replace(INPUT, width_px=250, height_px=244)
    rect = Rect(0, 0, WIDTH_PX, HEIGHT_PX)
    box = fit(rect, width_px=250, height_px=244)
    known = ReferencePlanes().of(reference(), rect, box, spec)
    unit = known.wanted.copy()
    unit[-3:, -3:] = 255
    cells = differing(unit, known)
    assert cells.shape == (31, 32)
    assert cells[-1, -1]
    assert not cells[:-1, :-2].any()
