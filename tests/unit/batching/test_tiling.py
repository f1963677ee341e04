from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.batching.tiling import pieces_of
from inspector.core.records import Rect


def tiles(rect: Rect, side_px: int = 640, overlap_px: int = 96) -> tuple[Rect, ...]:
    return pieces_of(rect, width_px=side_px, height_px=side_px, overlap_px=overlap_px)


@pytest.mark.parametrize("size", [(640, 640), (300, 200), (640, 1), (1, 640)])
def test_what_fits_is_one_piece(size: tuple[int, int]) -> None:
    rect = Rect(7, 9, *size)
    assert tiles(rect) == (rect,)


def test_a_five_megapixel_picture() -> None:
    rects = tiles(Rect(0, 0, 2448, 2048))
    assert len(rects) == 20
    assert all((r.width_px, r.height_px) == (640, 640) for r in rects)
    assert [r.x_px for r in rects[:5]] == [0, 452, 904, 1356, 1808]
    assert sorted({r.y_px for r in rects}) == [0, 469, 938, 1408]


def test_a_wide_strip_is_cut_along_its_length_only() -> None:
    rects = tiles(Rect(10, 20, 1280, 500))
    assert [(r.x_px, r.y_px, r.width_px, r.height_px) for r in rects] == [
        (10, 20, 640, 500),
        (330, 20, 640, 500),
        (650, 20, 640, 500),
    ]


sizes = st.integers(1, 3000)
inputs = st.integers(1, 700)


@given(
    st.builds(Rect, st.integers(0, 500), st.integers(0, 500), sizes, sizes),
    inputs.filter(lambda side: side >= 32),
    st.integers(0, 400),
)
def test_tiles_cover_the_rect_with_the_overlap_asked_for(
    rect: Rect, side_px: int, overlap_px: int
) -> None:
    rects = tiles(rect, side_px, overlap_px)
    overlap_px = min(overlap_px, side_px // 2)
    assert len(set(rects)) == len(rects)
    columns = sorted({(r.x_px, r.width_px) for r in rects})
    rows = sorted({(r.y_px, r.height_px) for r in rects})
    assert len(rects) == len(columns) * len(rows)
    for spans, start, length in (
        (columns, rect.x_px, rect.width_px),
        (rows, rect.y_px, rect.height_px),
    ):
        assert spans[0][0] == start
        assert spans[-1][0] + spans[-1][1] == start + length
        assert all(wide == min(side_px, length) for _at, wide in spans)
        gaps = [b[0] - a[0] for a, b in itertools.pairwise(spans)]
        assert all(0 < gap <= side_px - overlap_px for gap in gaps)
        # Evenly spread, and one fewer would not do.
        assert not gaps or max(gaps) - min(gaps) <= 1
        fewer = len(spans) - 1
        assert fewer == 0 or fewer * side_px - (fewer - 1) * overlap_px < length


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(16, 64),
    st.integers(0, 16),
    st.tuples(st.integers(0, 299), st.integers(0, 299)),
)
def test_whatever_is_no_larger_than_the_overlap_is_whole_in_one_tile(
    size: tuple[int, int], side_px: int, overlap_px: int, at: tuple[int, int]
) -> None:
    width, height = size
    overlap_px = min(overlap_px, side_px // 2)
    wide, high = min(overlap_px, width), min(overlap_px, height)
    x, y = min(at[0], width - wide), min(at[1], height - high)
    assert any(
        r.x_px <= x
        and r.y_px <= y
        and x + wide <= r.x_px + r.width_px
        and y + high <= r.y_px + r.height_px
        for r in tiles(Rect(0, 0, width, height), side_px, overlap_px)
    )


@given(inputs, inputs)
def test_no_input_is_too_small_and_no_overlap_too_large(side_px: int, overlap_px: int) -> None:
    rects = tiles(Rect(0, 0, 50, 40), side_px, overlap_px)
    assert max(r.x_px + r.width_px for r in rects) == 50
    assert max(r.y_px + r.height_px for r in rects) == 40
