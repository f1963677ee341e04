from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError
from inspector.core.places import Polygon
from tests.kit import exported_heads as made
from tests.kit.exported_heads import EXPORTS, Seen, codes
from tests.kit.replies import read


def turned_corners(thing: Seen) -> Any:
    x, y, wide, high = thing.centre
    along = np.array([np.cos(thing.turn), np.sin(thing.turn)]) * wide / 2
    across = np.array([-np.sin(thing.turn), np.cos(thing.turn)]) * high / 2
    middle = np.array([x, y])
    return [
        middle - along - across,
        middle + along - across,
        middle + along + across,
        middle - along + across,
    ]


@pytest.mark.parametrize("name", ["oriented", "oriented, after suppression"])
@given(turn=st.floats(-1.5, 1.5))
def test_a_turned_box_is_told_by_its_four_corners(name: str, turn: float) -> None:
    export, head = EXPORTS[name]
    thing = Seen((30, 40, 66, 52), 0.8, 0, turn)
    ((found,),) = read(export([thing], 2), head=head, codes=codes(2))
    assert isinstance(found.place, Polygon)
    assert np.allclose(found.place.points_px, turned_corners(thing), atol=0.01)
    assert found.place.area_px == pytest.approx(36 * 12, rel=1e-3)


def test_turned_boxes_that_overlap_as_they_lie_are_one_and_those_that_cross_are_two() -> None:
    long = (20.0, 44.0, 76.0, 52.0)
    same = [Seen(long, 0.9, 0, 0.5), Seen((21, 44, 77, 52), 0.7, 0, 0.55)]
    assert len(read(made.oriented(same, 1), head="oriented")[0]) == 1
    crossing = [Seen(long, 0.9, 0, 0.7), Seen(long, 0.7, 0, -0.7)]
    assert len(read(made.oriented(crossing, 1), head="oriented")[0]) == 2
    other_code = [Seen(long, 0.9, 0, 0.5), Seen(long, 0.7, 1, 0.5)]
    assert len(read(made.oriented(other_code, 2), head="oriented", codes=codes(2))[0]) == 2


def test_ultralytics_word_for_turned_boxes_is_enough_where_its_shape_says_the_rest() -> None:
    thing = [Seen((30, 40, 66, 52), 0.8, 1, 0.3)]
    assert len(read(made.oriented(thing, 2), codes=codes(2), task="obb")[0]) == 1
    final = made.oriented_final(thing, 3)
    assert len(read(final, codes=codes(3), task="obb", suppresses=True)[0]) == 1
    with pytest.raises(ConfigurationError, match=r'head = "oriented_end_to_end"'):
        read(final, codes=codes(3), task="obb")
