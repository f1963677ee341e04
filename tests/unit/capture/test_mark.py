from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspector.capture.mark import LEARNED_FROM, Mark, MarkFinder
from inspector.core.records import Image, Rect

SMALL = Rect(30, 24, 26, 20)
LARGE = Rect(20, 20, 130, 90)


def view(rect: Rect, shift: tuple[int, int] = (0, 0), *, gain: float = 1.0, seed: int = 1) -> Image:
    """A bright mark with a dark middle on a grey belt, that a noisy camera sees."""
    picture = np.full((480, 640, 3), 60.0)
    x, y = rect.x_px + shift[0], rect.y_px + shift[1]
    picture[y + 3 : y + rect.height_px - 3, x + 3 : x + rect.width_px - 3] = 200
    picture[y + 8 : y + rect.height_px - 6, x + 9 : x + rect.width_px - 5] = 30
    noisy = picture * gain + np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def learned(rect: Rect) -> tuple[MarkFinder, Mark]:
    finder = MarkFinder(rect)
    marks = [finder.learn(view(rect, seed=seed)) for seed in range(LEARNED_FROM)]
    assert marks[:-1] == [None] * (LEARNED_FROM - 1)
    mark = marks[-1]
    assert mark is not None
    return finder, mark


KNOWN = {rect: learned(rect) for rect in (SMALL, LARGE)}


@settings(max_examples=30)
@example(rect=LARGE, shift=(2, 8), gain=1.0, seed=0)
@given(
    rect=st.sampled_from([SMALL, LARGE]),
    shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    gain=st.floats(0.5, 1.2),
    seed=st.integers(0, 1000),
)
def test_how_far_it_lies_from_its_place_is_found(
    rect: Rect, shift: tuple[int, int], gain: float, seed: int
) -> None:
    finder, mark = KNOWN[rect]
    found = finder.shift_px(view(rect, shift, gain=gain, seed=seed), mark)
    assert found is not None
    assert found == pytest.approx(np.hypot(*shift), abs=0.5)


@pytest.mark.parametrize("shift", [(30, -15), (-15, 0), (40, 40)])
def test_a_large_mark_is_found_far_from_its_place_too(shift: tuple[int, int]) -> None:
    finder, mark = KNOWN[LARGE]
    assert finder.shift_px(view(LARGE, shift), mark) == pytest.approx(np.hypot(*shift), abs=1.5)


def test_a_mark_in_the_corner_of_the_picture_is_found_in_one_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finder, mark = learned(Rect(0, 0, 130, 90))
    searches = []
    found_px = MarkFinder._found_px

    def counted(self: MarkFinder, image: Image, mark: Mark, reach: int) -> float | None:
        searches.append(reach)
        return found_px(self, image, mark, reach)

    monkeypatch.setattr(MarkFinder, "_found_px", counted)
    assert finder.shift_px(view(Rect(0, 0, 130, 90)), mark) == pytest.approx(0, abs=0.5)
    assert searches == [2]


def test_a_mark_that_is_covered_is_not_seen() -> None:
    finder, mark = KNOWN[SMALL]
    covered = view(SMALL)
    covered[:100, :120] = 120
    assert finder.shift_px(covered, mark) is None
    assert finder.shift_px(view(SMALL, (200, 200)), mark) is None


def test_a_blurred_mark_is_still_found() -> None:
    finder, mark = KNOWN[LARGE]
    blurred = np.asarray(cv2.GaussianBlur(view(LARGE, (7, 0)), (0, 0), 3), np.uint8)
    assert finder.shift_px(blurred, mark) == pytest.approx(7, abs=1.5)


def test_what_changes_or_is_plain_is_not_learned() -> None:
    finder = MarkFinder(SMALL)
    plain = np.full((480, 640, 3), 90, np.uint8)
    assert not any(finder.learn(plain) for _ in range(20))
    shown = [view(SMALL), plain, *[view(SMALL, seed=seed) for seed in range(LEARNED_FROM - 1)]]
    assert not any(finder.learn(picture) for picture in shown)
    assert finder.learn(view(SMALL)) is not None


@pytest.mark.parametrize("rect", [Rect(0, 0, 24, 20), Rect(616, 460, 24, 20), Rect(0, 0, 640, 480)])
def test_it_may_lie_at_the_border_of_the_picture(rect: Rect) -> None:
    finder, mark = learned(rect)
    found = finder.shift_px(view(rect), mark)
    assert found == pytest.approx(0, abs=0.5)
