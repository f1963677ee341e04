"""Teaching from several units: what most show is the design, what one shows is damage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.line.footage import images_of_video
from benchmarks.line.locating import all_located
from benchmarks.line.truth import LineTruth, TrueBoard
from inspector.batching.differences import Differences
from inspector.core.geometry import upright_matrix
from inspector.core.places import Box
from inspector.core.recipes import Reference
from inspector.core.records import Outline, Placed, Rect
from inspector.products.reference import Learned, NotLearned, ShownUnit, Sight, Why, learn
from inspector.products.registration import Registrar
from inspector.simulation.board import draw_board
from inspector.simulation.circuit import lay_out
from inspector.simulation.defects import DefectCode
from tests.kit.taught_units import HEIGHT_PX, SEED, WIDTH_PX, board, good_units, unit, with_spot


def learned(units: list[ShownUnit]) -> Learned:
    found = learn(units)
    assert isinstance(found, Learned)
    return found


def touches(place: Rect, box: tuple[int, int, int, int]) -> bool:
    x, y, width, height = box
    return (
        place.x_px < x + width
        and x < place.x_px + place.width_px
        and place.y_px < y + height
        and y < place.y_px + place.height_px
    )


@pytest.fixture(scope="module")
def seven_good() -> list[ShownUnit]:
    return good_units(7)


def test_good_units_are_all_used_and_their_mean_is_the_design(seven_good):
    found = learned(seven_good)
    assert found.left_out == ()
    assert [one.number for one in found.used] == [1, 2, 3, 4, 5, 6, 7]
    drawn = board(1).picture
    assert found.mean.shape == (HEIGHT_PX, WIDTH_PX, 3)
    inside = (slice(8, -8), slice(8, -8))
    x, y, width, height = lay_out(SEED, 0, WIDTH_PX, HEIGHT_PX).label_px
    difference = cv2.absdiff(cv2.blur(found.mean, (3, 3)), cv2.blur(drawn, (3, 3)))
    difference[y : y + height, x : x + width] = 0
    assert np.percentile(difference[inside], 99) < 25


def test_a_label_that_differs_from_unit_to_unit_is_natural_and_the_rest_is_not(seven_good):
    found = learned(seven_good)
    x, y, width, height = lay_out(SEED, 0, WIDTH_PX, HEIGHT_PX).label_px
    assert width > 0
    label = found.deviation[y : y + height, x : x + width]
    elsewhere = found.deviation.copy()
    elsewhere[y - 4 : y + height + 4, x - 4 : x + width + 4] = 0
    assert np.median(label) > 60
    assert np.percentile(elsewhere, 90) < 12


def test_a_label_stuck_a_little_aside_on_one_unit_is_no_damage(seven_good):
    """Its edges and the cells that all have in common then lie elsewhere on that unit alone."""
    picture = board(20).picture
    x, y, width, height = lay_out(SEED, 0, WIDTH_PX, HEIGHT_PX).label_px
    label = picture[y : y + height, x : x + width].copy()
    picture[y + 3 : y + height + 3, x + 2 : x + width + 2] = label
    found = learned([*seven_good[:5], unit(20, picture)])
    assert found.left_out == ()


def test_a_label_stuck_by_hand_is_no_damage_down_to_its_papers_edge():
    """The paper's edge is as far from the code as its quiet zone is wide, and differs on one."""
    whole = Outline(centre_x_px=300, centre_y_px=280, width_px=600, height_px=560, turn_deg=0)
    units = []
    for number in range(4):
        drawn = draw_board(
            number, seed=4, width_px=600, height_px=560, quirks=4, variation=1.0
        ).picture
        noise = np.random.default_rng(number).normal(0, 2, drawn.shape)
        picture = np.clip(drawn + noise, 0, 255).astype(np.uint8)
        units.append(ShownUnit(number=number, sights=(Sight(image=picture, outline=whole),)))
    assert learned(units).left_out == ()
    assert learned(units[:3]).left_out == ()


@pytest.mark.parametrize("code", list(DefectCode))
def test_a_defective_unit_among_eight_is_named_with_the_place_and_left_out(seven_good, code):
    bad = board(20, [code])
    found = learned([*seven_good[:3], unit(20, bad.picture), *seven_good[3:]])
    (left_out,) = found.left_out
    assert (left_out.number, left_out.why) == (20, Why.DIFFERS)
    (defect,) = bad.truth
    assert touches(left_out.places[0], defect.bbox_px)
    assert all(touches(place, defect.bbox_px) for place in left_out.places)
    assert 20 not in [one.number for one in found.used]


def test_the_reference_shows_no_trace_of_a_defective_unit(seven_good):
    bad = board(20, list(DefectCode))
    with_it, without = learned([unit(20, bad.picture), *seven_good]), learned(seven_good)
    assert [one.number for one in with_it.left_out] == [20]
    for defect in bad.truth:
        x, y, width, height = defect.bbox_px
        box = (slice(y, y + height), slice(x, x + width))
        assert cv2.absdiff(with_it.mean[box], without.mean[box]).max() < 40
        assert int(with_it.deviation[box].max()) <= int(without.deviation[box].max()) + 8


def test_approved_with_a_defective_unit_good_units_differ_nowhere_and_its_like_is_seen(seven_good):
    bad = board(20, list(DefectCode))
    found = learned([*seven_good[:4], unit(20, bad.picture), *seven_good[4:]])
    assert [one.number for one in found.left_out] == [20]
    reference = Reference(id="a/1", sha256="a", mean=found.mean, deviation=found.deviation)
    good = [unit(number, board(number).picture, frames=1) for number in range(30, 36)]
    *of_good, of_bad = differences([*good, unit(21, bad.picture, frames=1)], reference)
    assert of_good == [[]] * len(good)
    for defect in bad.truth:
        assert any(touches(place, defect.bbox_px) for place in of_bad), defect.code


def differences(units: list[ShownUnit], reference: Reference) -> list[list[Rect]]:
    """Where each unit's first frame is not as the reference, as the line compares them."""
    registrar, compared = Registrar(reference.mean, reference.deviation), Differences()
    found = []
    for sight in (one.sights[0] for one in units):
        pose = registrar.register(sight.image, upright_matrix(sight.outline))
        assert pose.fits(0.6)
        placed = Placed(likeness=pose.likeness, shift_px=pose.shift_px, matrix=pose.matrix)
        places = [one.place for one in compared.of(sight.image, placed, reference)]
        found.append([rect(place) for place in places])
    return found


def rect(box: Box) -> Rect:
    size_px = (box.right_px - box.left_px, box.bottom_px - box.top_px)
    return Rect(*(round(value) for value in (box.left_px, box.top_px, *size_px)))


def test_two_of_eight_with_the_same_defect_are_both_named(seven_good):
    same = [with_spot(board(number).picture, 200, 60, 14, 235) for number in (20, 21)]
    units = [*seven_good[:6], *(unit(20 + index, picture) for index, picture in enumerate(same))]
    found = learned(units)
    assert [one.number for one in found.left_out] == [20, 21]
    assert all(touches(one.places[0], (192, 52, 16, 16)) for one in found.left_out)


def test_what_half_of_the_units_show_somewhere_is_natural():
    rng = np.random.default_rng(8)
    units = []
    for number in range(1, 9):
        picture = board(number).picture
        if number % 2:
            x, y = 200 + int(rng.integers(-4, 5)), 60 + int(rng.integers(-4, 5))
            picture = with_spot(picture, x, y, 14, 235)
        units.append(unit(number, picture))
    found = learned(units)
    assert found.left_out == ()
    assert found.deviation[56:65, 196:205].min() > 20


def test_a_foreign_unit_among_those_taught_is_named(seven_good):
    found = learned([unit(20, board(20, product=1).picture), *seven_good])
    (left_out,) = found.left_out
    assert (left_out.number, left_out.why) == (20, Why.ANOTHER_DESIGN)
    assert left_out.likeness < 0.5
    assert left_out.places == (Rect(0, 0, WIDTH_PX, HEIGHT_PX),)


@pytest.mark.parametrize("first_is_off_px", [(7.0, -5.0), (-6.0, 4.0)])
def test_the_reference_lies_as_units_lie_by_their_outlines_not_as_the_first_one(first_is_off_px):
    """A reference in the pose of one unit displaces every box by that unit's outline's error."""
    off = unit(1, board(1).picture, found_off_px=first_is_off_px)
    odd = learned([off, *good_units(6, first=2)]).mean
    usual = learned(good_units(6, first=2)).mean
    grey = [
        cv2.cvtColor(picture[10:420, 10:450], cv2.COLOR_BGR2GRAY).astype(np.float64)
        for picture in (usual, odd)
    ]
    (x_px, y_px), _ = cv2.phaseCorrelate(*grey)
    assert np.hypot(x_px, y_px) < 0.5


def test_another_light_and_tint_of_the_whole_unit_is_no_damage(seven_good):
    dim = np.clip(board(20).picture * np.array([0.8, 0.75, 0.7]), 0, 255).astype(np.uint8)
    assert learned([*seven_good, unit(20, dim)]).left_out == ()


def test_three_units_that_agree_suffice_and_two_do_not():
    assert len(learned(good_units(3)).used) == 3
    found = learn(good_units(2))
    assert isinstance(found, NotLearned)
    assert found.sentence == "2 units are too few to learn from: 3 are needed"


def test_three_units_of_which_one_is_defective_make_no_reference_and_it_is_named():
    bad = board(20, [DefectCode.COPPER, DefectCode.SHORT])
    found = learn([*good_units(2), unit(20, bad.picture)])
    assert isinstance(found, NotLearned)
    assert found.sentence == "2 of 3 units agree with each other: 3 are needed"
    assert [one.number for one in found.left_out] == [20]


def test_units_of_two_designs_in_equal_number_make_no_reference():
    others = [unit(20 + n, board(20 + n, product=1).picture) for n in range(3)]
    found = learn([*good_units(3), *others])
    assert isinstance(found, NotLearned)
    assert found.sentence == (
        "the 6 units do not show one design: at most 3 of them fit onto each other"
    )


def test_a_frame_that_does_not_fit_is_left_away_and_its_unit_used(seven_good):
    foreign = unit(30, board(30, product=1).picture)
    first = seven_good[0]
    mixed = ShownUnit(number=1, sights=(foreign.sights[0], *first.sights[1:]))
    found = learned([mixed, *seven_good[1:]])
    assert found.left_out == ()
    assert len(found.used) == 7


def shown(truth: LineTruth, video: Path) -> dict[int, ShownUnit]:
    """Each board of a video, in three frames spread over its passage."""
    wanted: dict[int, list[TrueBoard]] = {}
    for one in truth.boards:
        inside = [n for n in range(truth.frames) if truth.is_fully_in(one, n)]
        for frame in (inside[1], inside[len(inside) // 2], inside[-2]):
            wanted.setdefault(frame, []).append(one)
    sights: dict[int, list[Sight]] = {}
    for number, image in enumerate(images_of_video(video, truth.width_px, truth.height_px)):
        for one in wanted.get(number, ()):
            truth = all_located(truth, number, image)
            (exact,) = (b for b in truth.boards if b.number == one.number)
            outline = truth.outline(exact, number)
            sights.setdefault(one.number, []).append(Sight(image=image.copy(), outline=outline))
    return {n: ShownUnit(number=n, sights=tuple(of_unit)) for n, of_unit in sights.items()}


def test_on_footage_every_bad_board_and_the_foreign_one_are_named_and_no_good_one(shared):
    video = shared / "data" / "runs" / "amber_one.mp4"
    truth = LineTruth.of_video(video)
    units = shown(truth, video)
    boards = {one.number: one for one in truth.boards}
    taught = [units[number] for number in range(1, 7)]
    assert learned(taught).left_out == ()
    for number in range(7, 19):
        left_out = {one.number: one for one in learned([*taught, units[number]]).left_out}
        one = boards[number]
        assert set(left_out) == ({number} if one.defects or one.foreign else set())
        for defect in one.defects:
            box = (
                round(defect.x_px),
                round(defect.y_px),
                round(defect.width_px),
                round(defect.height_px),
            )
            assert any(touches(place, box) for place in left_out[number].places)
