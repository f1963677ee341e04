"""What came in over a border is carried with the belt; what changes in place is not."""

from __future__ import annotations

import numpy as np
import pytest

from inspector.triggers.presence.carried import ALIKE, Carried
from inspector.triggers.presence.cells import Mask

ROWS, COLUMNS = 24, 160
NOWHERE = np.zeros((ROWS, COLUMNS), np.bool_)


class View:
    """Cells of what stands out: a board that goes, and something that does not."""

    def __init__(self, length: int = 50) -> None:
        self.carried = Carried(ROWS, COLUMNS)
        self.board = np.random.default_rng(5).uniform(20, 90, (3, ROWS - 6, length))

    def observe(self, lead: int, *patches: tuple[int, int], blind: bool = False) -> Mask:
        """The board reaches from the border of entry to `lead`; patches lie at columns."""
        off = np.zeros((3, ROWS, COLUMNS), np.float32)
        for first, end in patches:
            off[:, 8:16, first:end] = 40
        length = self.board.shape[2]
        low, high = max(0, lead - length), min(COLUMNS, lead)
        if high > low:
            off[:, 3:-3, low:high] = self.board[:, :, low - lead + length : high - lead + length]
        mask = np.abs(off).max(axis=0) > 5
        return self.carried.observe(mask, off, NOWHERE, alike=ALIKE, blind=blind)


def covered(mask: Mask) -> tuple[int, int]:
    columns = np.flatnonzero(mask.any(axis=0))
    return (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, 0)


@pytest.mark.parametrize("step", [1, 3, 16, 40])
def test_what_comes_in_is_seen_until_it_is_gone_and_tells_how_far_the_belt_goes(step: int) -> None:
    view = View()
    for lead in range(0, COLUMNS + 60, step):
        seen = view.observe(lead)
        assert covered(seen) == (min(max(0, lead - 50), COLUMNS), min(lead, COLUMNS)) or (
            lead - 50 >= COLUMNS and not seen.any()
        )
        if step < lead < COLUMNS:
            assert view.carried.moved_columns == pytest.approx(step, abs=0.6)


@pytest.mark.parametrize("period", [2, 8, 1000])
def test_what_appears_in_place_is_not_seen_and_moves_no_belt(period: int) -> None:
    view = View()
    for number in range(200):
        shown = ((60, 90),) if number > 20 and number % period >= period // 2 else ()
        assert not view.observe(0, *shown).any()
        assert not view.carried.moved_columns


def test_what_goes_past_something_in_its_place_is_seen_as_it_is() -> None:
    view = View()
    for lead in range(0, COLUMNS, 2):
        first, end = covered(view.observe(lead, (70, 80)))
        if lead < 10:
            continue  # what stays says that the belt stands, until enough has come in
        assert abs(end - lead) <= (10 if 70 <= lead <= 80 else 2), "both are one when they meet"
        assert abs(first - max(0, lead - 50)) <= (10 if 70 <= lead - 50 <= 82 else 2)


def test_what_is_in_view_at_the_start_is_seen_once_it_goes() -> None:
    view = View()
    for _ in range(20):
        assert not view.observe(100).any()
    leads = range(100, 130, 2)
    seen = [covered(view.observe(lead)) for lead in leads]
    assert seen[-1] == (78, 128)


def test_what_stays_while_the_belt_goes_belongs_to_the_view() -> None:
    view = View()
    told = []
    for lead in range(0, COLUMNS, 2):
        view.observe(lead, (120, 130))
        if view.carried.in_place is not None:
            told.append(covered(view.carried.in_place))
    assert told
    assert all(first >= 118 and end <= 132 for first, end in told)


def test_what_comes_back_after_nobody_looked_is_seen() -> None:
    view = View()
    for lead in range(0, 70, 2):
        view.observe(lead)
    assert covered(view.observe(110, blind=True)) == (60, 110)
