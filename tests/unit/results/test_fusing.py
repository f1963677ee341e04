from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.recipes import DIFFERENCES, FusingRules
from inspector.core.records import Finding
from inspector.results.fusing import fuse
from tests.kit.findings import box_of, boxed, of_the_whole, rhombus

CLASSES = 3
RULES = FusingRules(thresholds=(0.5,) * CLASSES)


def seen(
    x: float = 100, y: float = 100, *, confidence: float = 0.8, code: int = 0, side: float = 20
) -> Finding:
    return boxed(
        code_index=code,
        confidence=confidence,
        left_px=x,
        top_px=y,
        right_px=x + side,
        bottom_px=y + side,
    )


def fused(*frames: list[Finding], rules: FusingRules = RULES, expected: int = 3) -> list[object]:
    return [
        (d.finding.code_index, round(d.finding.confidence, 3), d.frames_seen)
        for d in fuse(frames, rules, frames_expected=expected)
    ]


def test_a_defect_that_most_frames_show_is_claimed_once() -> None:
    frames = ([seen(100, 100)], [seen(103, 98)], [seen(98, 102)])
    (defect,) = fuse(frames, RULES, frames_expected=3)
    assert defect.frames_seen == 3
    assert box_of(defect.finding).left_px == pytest.approx((100 + 103 + 98) / 3)
    assert box_of(defect.finding).bottom_px == pytest.approx((120 + 118 + 122) / 3)


def test_what_one_frame_of_three_shows_is_not_claimed() -> None:
    assert fused([seen()], [], []) == []


def test_a_defect_around_its_threshold_is_claimed_if_the_frames_together_reach_it() -> None:
    assert fused([seen(confidence=0.48)], [seen(confidence=0.52)], [seen(confidence=0.55)]) == [
        (0, 0.535, 3)
    ]
    assert fused([seen(confidence=0.48)], [seen(confidence=0.49)], [seen(confidence=0.48)]) == []


def test_one_frame_that_is_very_sure_does_not_decide_alone() -> None:
    assert fused([seen(confidence=0.99)], [], []) == []
    assert fused([seen(confidence=0.99)], [seen(confidence=0.2)], []) == []


def test_the_box_leans_towards_the_surer_frame() -> None:
    (defect,) = fuse(
        [[seen(100, confidence=0.9)], [seen(104, confidence=0.3)]], RULES, frames_expected=2
    )
    assert box_of(defect.finding).left_px == pytest.approx(101)


def test_classes_are_never_mixed() -> None:
    frames = [seen(code=0)], [seen(code=1)], [seen(code=1)]
    assert fused(*frames) == [(1, 0.8, 2)]


def test_each_class_has_a_threshold_of_its_own() -> None:
    rules = FusingRules(thresholds=(0.5, 0.9, 0.5))
    frames = [[seen(code=0), seen(300, code=1)] for _ in range(3)]
    assert fused(*frames, rules=rules) == [(0, 0.8, 3)]


def test_two_defects_side_by_side_stay_two() -> None:
    frames = [
        [seen(100 + jitter), seen(116 + jitter, confidence=0.7)] for jitter in (-3.0, 0.0, 3.0)
    ]
    assert fused(*frames) == [(0, 0.8, 3), (0, 0.7, 3)]


def test_tiny_defects_that_jitter_by_half_their_size_are_found_again() -> None:
    frames = [[seen(100, 100, side=8)], [seen(104, 104, side=8)], [seen(97, 103, side=8)]]
    assert fused(*frames) == [(0, 0.8, 3)]


def test_a_speck_on_a_large_defect_is_not_taken_for_it() -> None:
    frames = [[seen(100, 100, side=200), seen(120, 120, side=6)] for _ in range(3)]
    assert len(fused(*frames)) == 2


def test_small_defects_can_be_left_out() -> None:
    rules = replace(RULES, min_size_px=10)
    frames = [[seen(side=9.9), seen(300, side=10.1)] for _ in range(3)]
    (defect,) = fuse(frames, rules, frames_expected=3)
    assert box_of(defect.finding).left_px == pytest.approx(300)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.9])
def test_frames_that_all_see_just_the_threshold_reach_it(threshold: float) -> None:
    rules = FusingRules(thresholds=(threshold,))
    for count in range(1, 17):
        frames = [[seen(confidence=threshold)] for _ in range(count)]
        assert len(fuse(frames, rules, frames_expected=count)) == 1


@pytest.mark.parametrize(
    ("demanded", "inspected", "expected", "needed"),
    [
        (0, 1, 1, 1),
        (0, 2, 2, 2),
        (0, 3, 3, 2),
        (0, 2, 3, 2),
        (0, 1, 3, 1),
        (0, 16, 16, 9),
        (2, 3, 3, 2),
        (2, 1, 3, 2),
        (2, 1, 1, 1),  # or nothing could ever fail a unit of one frame
        (16, 3, 3, 3),
    ],
)
def test_how_many_frames_must_agree(
    demanded: int, inspected: int, expected: int, needed: int
) -> None:
    rules = replace(RULES, min_frames_seen=demanded)
    assert rules.frames_needed(inspected=inspected, expected=expected) == needed


coordinates = st.integers(0, 400).map(float)
detections = st.builds(
    seen,
    coordinates,
    coordinates,
    confidence=st.integers(0, 100).map(lambda percent: percent / 100),
    code=st.integers(0, CLASSES - 1),
    side=st.integers(2, 60).map(float),
)
frames_of_units = st.lists(st.lists(detections, max_size=6, unique=True), min_size=1, max_size=5)
rules_of_units = st.builds(
    FusingRules,
    thresholds=st.tuples(*[st.sampled_from([0.0, 0.3, 0.5, 0.9])] * CLASSES),
    min_frames_seen=st.integers(0, 5),
    min_size_px=st.sampled_from([0.0, 12.0]),
)


@given(frames_of_units, rules_of_units, st.randoms(use_true_random=False))
def test_the_order_of_the_frames_makes_no_difference(
    frames: list[list[Finding]], rules: FusingRules, rng: random.Random
) -> None:
    shuffled = [list(frame) for frame in frames]
    rng.shuffle(shuffled)
    for frame in shuffled:
        rng.shuffle(frame)
    expected = len(frames)
    assert fuse(shuffled, rules, frames_expected=expected) == fuse(
        frames, rules, frames_expected=expected
    )


@given(st.lists(detections, max_size=30), rules_of_units)
def test_a_unit_of_one_frame_is_what_that_frame_shows(
    frame: list[Finding], rules: FusingRules
) -> None:
    claimed = [d.finding for d in fuse([frame], rules, frames_expected=1)]
    wanted = [
        d
        for d in frame
        if d.confidence >= rules.thresholds[d.code_index]
        and box_of(d).right_px - box_of(d).left_px >= rules.min_size_px
    ]
    assert sorted(map(repr, claimed)) == sorted(map(repr, wanted))
    assert [d.confidence for d in claimed] == sorted((d.confidence for d in wanted), reverse=True)


@given(frames_of_units, rules_of_units)
def test_a_claim_is_borne_out_by_the_frames(
    frames: list[list[Finding]], rules: FusingRules
) -> None:
    claimed = fuse(frames, rules, frames_expected=len(frames))
    needed = rules.frames_needed(inspected=len(frames), expected=len(frames))
    for defect in claimed:
        found = defect.finding
        assert needed <= defect.frames_seen <= len(frames)
        assert found.confidence >= rules.thresholds[found.code_index]
        members = [d for frame in frames for d in frame if d.code_index == found.code_index]
        assert min(box_of(d).left_px for d in members) - 1e-6 <= box_of(found).left_px
        assert box_of(found).bottom_px <= max(box_of(d).bottom_px for d in members) + 1e-6
    # No finding counts for two defects.
    assert sum(d.frames_seen for d in claimed) <= sum(map(len, frames))


@given(st.lists(st.tuples(coordinates, coordinates), max_size=6), st.integers(1, 6))
def test_defects_far_apart_are_all_found_whatever_the_jitter(
    spots: list[tuple[float, float]], frames: int
) -> None:
    apart = [(x * 3, y * 3 + 2000 * n) for n, (x, y) in enumerate(spots)]
    rng = random.Random(len(apart) * 7 + frames)
    views = [
        [seen(x + rng.uniform(-3, 3), y + rng.uniform(-3, 3)) for x, y in apart]
        for _ in range(frames)
    ]
    claimed = fuse(views, RULES, frames_expected=frames)
    assert len(claimed) == len(apart)
    assert all(d.frames_seen == frames for d in claimed)


def test_a_detector_that_fires_everywhere_does_not_stop_the_line() -> None:
    frames = [
        [seen(x * 11.0 + shift, y * 11.0, side=10) for x in range(30) for y in range(30)]
        for shift in range(3)
    ]
    assert len(fuse(frames, RULES, frames_expected=3)) >= 900


# --- shapes, and what is about the unit as a whole ---


def test_frames_that_say_the_same_of_the_whole_unit_claim_it_once() -> None:
    frames = [[of_the_whole(confidence=c), seen(300)] for c in (0.48, 0.52, 0.55)]
    (box, whole) = fuse(frames, RULES, frames_expected=3)
    assert box.finding.box is not None
    assert whole.finding == of_the_whole(confidence=pytest.approx(0.535))  # type: ignore[arg-type]
    assert whole.frames_seen == 3


def test_one_frame_of_three_does_not_condemn_the_whole_unit() -> None:
    assert fused([of_the_whole(confidence=0.99)], [], []) == []
    assert fused([of_the_whole()], [of_the_whole(code_index=1)], [of_the_whole()]) == [(0, 0.9, 2)]


def test_what_one_frame_says_twice_of_the_whole_unit_counts_once() -> None:
    frame = [of_the_whole(confidence=0.6), of_the_whole(confidence=0.8)]
    assert fused(frame, expected=1) == [(0, 0.8, 1)]
    assert fused(frame, [], []) == []


def test_a_place_on_the_unit_never_supports_what_is_said_of_all_of_it() -> None:
    assert fused([of_the_whole()], [seen()], [rhombus(300, 300)]) == []


def test_what_is_about_the_whole_unit_is_never_too_small() -> None:
    rules = replace(RULES, min_size_px=1000)
    assert fused([of_the_whole()], [of_the_whole()], [], rules=rules) == [(0, 0.9, 2)]


def test_of_shapes_that_agree_the_surest_frames_stands() -> None:
    surest = rhombus(102, 100, confidence=0.9)
    frames = [[rhombus(100, 100, confidence=0.6)], [surest], [seen(90, 90, confidence=0.99)]]
    (defect,) = fuse(frames, RULES, frames_expected=3)
    assert defect.finding.place == surest.place
    assert defect.frames_seen == 3
    assert defect.finding.confidence == pytest.approx((0.99 + 0.9) / 2)


places = st.one_of(
    detections,
    st.builds(
        rhombus,
        coordinates,
        coordinates,
        half_px=st.integers(1, 30).map(float),
        code_index=st.integers(0, CLASSES - 1),
        confidence=st.integers(0, 100).map(lambda percent: percent / 100),
    ),
    st.builds(
        of_the_whole,
        code_index=st.integers(0, CLASSES - 1),
        confidence=st.integers(0, 100).map(lambda percent: percent / 100),
    ),
)


@given(
    st.lists(st.lists(places, max_size=6, unique=True), min_size=1, max_size=4),
    rules_of_units,
    st.randoms(use_true_random=False),
)
def test_findings_of_every_place_are_claimed_in_whatever_order_they_come(
    frames: list[list[Finding]], rules: FusingRules, rng: random.Random
) -> None:
    shuffled = [list(frame) for frame in frames]
    rng.shuffle(shuffled)
    for frame in shuffled:
        rng.shuffle(frame)
    claimed = fuse(frames, rules, frames_expected=len(frames))
    assert fuse(shuffled, rules, frames_expected=len(frames)) == claimed
    needed = rules.frames_needed(inspected=len(frames), expected=len(frames))
    for defect in claimed:
        assert needed <= defect.frames_seen <= len(frames)
        assert defect.finding.confidence >= rules.thresholds[defect.finding.code_index]
    whole = [d.finding.code_index for d in claimed if d.finding.box is None]
    assert len(whole) == len(set(whole)), "one per code"


def by(model: str, finding: Finding) -> Finding:
    return replace(finding, model=model)


def test_frames_agree_on_what_one_model_says_of_them_and_not_on_what_two_say_in_turns() -> None:
    one, other = by("one", seen()), by("other", seen())
    assert fused([one], [other], []) == []
    assert fused([one], [one], [other]) == [(0, 0.8, 2)]


def test_what_two_models_claim_of_one_place_is_one_defect_as_the_surer_one_has_it() -> None:
    sure, also = by("sure", seen(confidence=0.9)), by("also", seen(102, confidence=0.7))
    elsewhere = by("also", seen(300, confidence=0.6))
    other_code = by("also", seen(code=1, confidence=0.6))
    found = fuse([[also, sure, elsewhere, other_code]], RULES, frames_expected=1)
    assert [d.finding for d in found] == [sure, elsewhere, other_code]


def test_what_two_models_claim_of_the_whole_unit_is_one_defect_for_each_code() -> None:
    one, other = by("one", of_the_whole(confidence=0.6)), by("other", of_the_whole(confidence=0.9))
    (defect,) = fuse([[one, other]], RULES, frames_expected=1)
    assert defect.finding == other


def test_a_close_up_tells_only_what_the_whole_picture_does_not() -> None:
    close = replace(seen(102, 101, side=12, code=1), is_close_up=True)
    elsewhere = replace(seen(300, 300, side=12, code=1), is_close_up=True)
    frames = [[seen(), close, elsewhere]] * 3
    assert fused(*frames) == [(0, 0.8, 3), (1, 0.8, 3)]
    (kept,) = [d for d in fuse(frames, RULES, frames_expected=3) if d.finding.is_close_up]
    assert box_of(kept.finding).left_px == pytest.approx(300)
    unsure = replace(seen(confidence=0.3), code_index=0)
    assert fused(*[[unsure, close]] * 3) == [(1, 0.8, 3)], "what is not claimed explains nothing"


def test_mere_pixels_tell_only_what_nothing_else_does() -> None:
    differs = replace(seen(105, 104, side=6, code=2), model=DIFFERENCES)
    close = replace(seen(102, 101, side=12, code=1), is_close_up=True)
    assert fused(*[[differs]] * 3) == [(2, 0.8, 3)]
    assert fused(*[[differs, close]] * 3) == [(1, 0.8, 3)]
    assert fused(*[[differs, seen()]] * 3) == [(0, 0.8, 3)]
    assert fused([differs], [], []) == [], "one frame of three shows it"


def test_sightings_of_the_whole_picture_and_of_close_ups_are_not_added_up() -> None:
    close = replace(seen(), is_close_up=True)
    assert fused([seen()], [close], []) == []


def test_a_model_that_must_be_surer_alone_is_believed_where_another_claims_the_place_too() -> None:
    rules = replace(RULES, least_alone={"taught": 0.6})
    unlike = [replace(seen(confidence=0.55, code=2), model="taught")]
    assert fused(unlike, unlike, unlike, rules=rules) == []
    sure = [replace(seen(confidence=0.6, code=2), model="taught")]
    assert fused(sure, sure, sure, rules=rules) == [(2, 0.6, 3)]
    supported = [*unlike, replace(seen(105, 105, code=0), model="compares")]
    assert fused(supported, supported, supported, rules=rules) == [(0, 0.8, 3), (2, 0.55, 3)]
    elsewhere = [*unlike, replace(seen(300, 300, code=0), model="compares")]
    assert fused(elsewhere, elsewhere, elsewhere, rules=rules) == [(0, 0.8, 3)]
    # Another model's claims need no more than their threshold.
    assert fused(*[[replace(unlike[0], model="other")]] * 3, rules=rules) == [(2, 0.55, 3)]
