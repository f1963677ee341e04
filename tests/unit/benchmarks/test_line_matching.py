"""Which unit is which board, and which reported defect is which true one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.line.matching import (
    FOUND_IOU,
    SeenUnit,
    align,
    iou,
    match_defects,
)
from benchmarks.line.scores import Score, score, together
from benchmarks.line.truth import TrueBoard, TrueBox

BOX = TrueBox("open", 100, 100, 30, 30)


def board(number: int, *defects: TrueBox) -> TrueBoard:
    return TrueBoard(
        number=number,
        serial=f"B{number}",
        ok=not defects,
        defects=defects,
        width_px=700,
        height_px=600,
        rotation_deg=0.0,
        across_px=20.0,
        along_px=-1000.0 * number,
    )


def unit(serial: str | None, *defects: TrueBox, result: str | None = None) -> SeenUnit:
    return SeenUnit(
        serial=serial, result=result or ("FAILED" if defects else "PASSED"), defects=defects
    )


def pairs(boards: list[TrueBoard], units: list[SeenUnit]) -> list[tuple[int | None, int | None]]:
    """(board number, index of unit), by board; extra units last."""
    places = {id(one): index for index, one in enumerate(units)}
    return [
        (p.board.number if p.board else None, places[id(p.unit)] if p.unit else None)
        for p in align(boards, units).pairs
    ]


THREE = [board(1), board(2), board(3)]


def test_equal_serials_are_the_same_board():
    assert pairs(THREE, [unit("B1"), unit("B2"), unit("B3")]) == [(1, 0), (2, 1), (3, 2)]


def test_unread_serials_are_paired_in_order():
    assert pairs(THREE, [unit(None), unit("B2"), unit(None)]) == [(1, 0), (2, 1), (3, 2)]


def test_a_board_without_a_unit_is_missing_where_it_was():
    assert pairs(THREE, [unit("B1"), unit("B3")]) == [(1, 0), (3, 1), (2, None)]


def test_a_unit_too_many_is_paired_with_nothing():
    found = pairs(THREE, [unit("B1"), unit(None), unit("B2"), unit("B3")])
    assert found == [(1, 0), (2, 2), (3, 3), (None, 1)]


def test_a_serial_reported_twice_is_one_unit_too_many():
    found = pairs(THREE, [unit("B1"), unit("B1"), unit("B2"), unit("B3")])
    assert found == [(1, 0), (2, 2), (3, 3), (None, 1)]


def test_a_misread_serial_still_belongs_to_the_board_at_its_place():
    assert pairs(THREE, [unit("B1"), unit("8Z"), unit("B3")]) == [(1, 0), (2, 1), (3, 2)]


def test_the_serial_of_another_board_is_no_misreading():
    assert pairs(THREE[:2], [unit("B2")]) == [(2, 0), (1, None)]


def test_swapped_units_are_counted_as_out_of_order_and_still_judged():
    found = align(THREE, [unit("B2"), unit("B1"), unit("B3")])
    assert found.out_of_order == 1
    assert all(p.board and p.unit and p.unit.serial == p.board.serial for p in found.pairs)


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[TrueBoard], list[SeenUnit]]:
    boards = [board(number) for number in range(1, draw(st.integers(0, 7)) + 1)]
    serials = st.sampled_from([None, "junk", *(b.serial for b in boards)])
    return boards, [unit(serial) for serial in draw(st.lists(serials, max_size=8))]


@given(lines())
def test_every_board_and_every_unit_appears_exactly_once(line):
    boards, units = line
    found = align(boards, units).pairs
    assert sorted(p.board.number for p in found if p.board) == [b.number for b in boards]
    assert sorted(id(p.unit) for p in found if p.unit) == sorted(map(id, units))


@given(lines())
def test_the_first_unit_with_a_boards_serial_is_that_board(line):
    boards, units = line
    for pair in align(boards, units).pairs:
        if pair.board is None:
            continue
        first = next((u for u in units if u.serial == pair.board.serial), None)
        assert first is None or pair.unit is first


@given(lines())
def test_what_is_paired_without_a_serial_keeps_the_order(line):
    boards, units = line
    alignment = align(boards, units)
    places = {id(one): index for index, one in enumerate(units)}
    paired = [(p.board.number, places[id(p.unit)]) for p in alignment.pairs if p.board and p.unit]
    inversions = sum(a[1] > b[1] for i, a in enumerate(paired) for b in paired[i + 1 :])
    assert (inversions == 0) == (alignment.out_of_order == 0)


def test_a_defect_is_found_from_a_third_of_overlap_on():
    # Two boxes 30 wide that share w columns overlap by w / (60 - w).
    assert match_defects([BOX], [replace(BOX, x_px=115)])  # 15 of 45
    assert not match_defects([BOX], [replace(BOX, x_px=116)])  # 14 of 46
    assert iou(BOX, replace(BOX, x_px=115)) == pytest.approx(1 / 3)


def test_another_code_is_another_defect():
    assert not match_defects([BOX], [replace(BOX, code="short")])


def test_one_report_counts_for_one_defect():
    assert len(match_defects([BOX, replace(BOX, x_px=105)], [BOX])) == 1


def test_as_many_defects_are_found_as_can_be():
    # Taking the best overlap first would give `near` to the first defect and nothing to the second.
    first, second = BOX, replace(BOX, x_px=112)
    near, far = replace(BOX, x_px=102), replace(BOX, x_px=86)
    assert match_defects([first, second], [near, far]) == [(0, 1), (1, 0)]


boxes = st.builds(
    TrueBox,
    st.sampled_from(["open", "short"]),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 40),
    st.integers(1, 40),
)


@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_matches_are_proper_pairs_and_no_pair_is_left(true, seen):
    found = match_defects(true, seen)
    assert len({t for t, _ in found}) == len({s for _, s in found}) == len(found)

    def fits(t: int, s: int) -> bool:
        return true[t].code == seen[s].code and iou(true[t], seen[s]) >= FOUND_IOU

    assert all(fits(t, s) for t, s in found)
    free_true = set(range(len(true))) - {t for t, _ in found}
    free_seen = set(range(len(seen))) - {s for _, s in found}
    assert not any(fits(t, s) for t in free_true for s in free_seen)


@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_how_many_are_found_does_not_depend_on_the_order(true, seen):
    assert len(match_defects(true, seen)) == len(match_defects(true[::-1], seen[::-1]))
    assert len(match_defects(true, seen)) == len(match_defects(seen, true))


@given(boxes, boxes)
def test_overlap_is_symmetric_and_at_most_one(one, other):
    assert iou(one, other) == iou(other, one)
    assert 0 <= iou(one, other) <= 1
    assert iou(one, one) == 1


@given(st.lists(boxes, max_size=6))
def test_what_is_reported_exactly_is_found(true):
    assert len(match_defects(true, true)) == len(true)


def perfect(boards: list[TrueBoard]) -> list[SeenUnit]:
    return [unit(b.serial, *b.defects) for b in boards]


BAD = [board(1), board(2, BOX), board(3, BOX, replace(BOX, x_px=300))]


def test_the_truth_reported_is_perfect():
    found = score("x", BAD, perfect(BAD))
    assert found.is_perfect
    assert not found.shortfalls()
    assert not found.trouble
    assert (found.found, found.defects, found.false_defects) == (3, 3, 0)


def test_a_good_board_called_bad_is_wrong_and_its_defect_false():
    found = score("x", BAD, [unit("B1", BOX), *perfect(BAD)[1:]])
    assert (found.wrongly_failed, found.false_defects, found.verdicts_right) == (1, 1, 2)
    assert found.false_per_board == pytest.approx(1 / 3)
    assert len(found.shortfalls()) == 2


def test_a_unit_nobody_inspected_is_no_right_verdict():
    found = score("x", BAD, [unit("B1", result="NOT_INSPECTED"), *perfect(BAD)[1:]])
    assert (found.verdicts_right, found.not_inspected, found.excused) == (2, 1, 0)
    assert not found.is_perfect


def test_not_inspecting_what_nobody_could_see_is_excused_and_passing_it_is_not():
    hidden = [replace(BAD[1], may_be_uninspected=True)]
    assert score("x", hidden, [unit("B2", result="NOT_INSPECTED")]).is_perfect
    assert not score("x", hidden, [unit("B2")]).is_perfect


def test_the_defects_of_a_missing_board_were_not_found():
    found = score("x", BAD, perfect(BAD)[:2])
    assert (found.missing, found.found, found.defects) == (1, 1, 3)


def test_the_defects_of_a_unit_too_many_are_false():
    found = score("x", BAD[:1], [unit("B1"), unit("B9", BOX)])
    assert (found.extra, found.false_defects) == (1, 1)


def test_videos_add_up():
    good, bad = score("a", BAD, perfect(BAD)), score("b", BAD, [])
    both = together("both", [good, bad])
    assert (both.boards, both.units, both.missing, both.found) == (6, 3, 3, 3)
    assert isinstance(both, Score)
    assert not both.is_perfect
