from __future__ import annotations

import numpy as np
import pytest

from inspector.core.errors import ConfigurationError
from inspector.core.places import Polygon
from tests.kit import exported_heads as made
from tests.kit.exported_heads import Seen, codes, said
from tests.kit.findings import corners_of
from tests.kit.replies import read


def test_a_mask_gives_a_defect_its_shape() -> None:
    """A triangle in its box has half of it."""
    thing = Seen((16, 16, 80, 80), 0.9, 0)
    weights, planes = made.mask_of([thing])
    down, across = np.mgrid[:24, :24]
    planes[0, 0] = np.where(across - 4 <= down - 4, 1, -1)
    reply = {"output0": made.dense([thing], 1, weights), "output1": planes}
    ((found,),) = read(reply)
    assert isinstance(found.place, Polygon)
    assert found.place.area_px == pytest.approx(16 * 136, rel=0.05)


def test_a_mask_that_shows_nothing_takes_no_defect_away() -> None:
    thing = Seen((16, 16, 80, 80), 0.9, 0)
    weights, planes = made.mask_of([thing])
    reply = {"output0": made.dense([thing], 1, weights), "output1": np.full_like(planes, -1)}
    ((found,),) = read(reply)
    assert corners_of(found) == thing.box


def test_masks_of_ultralytics_need_no_setting_and_its_other_tasks_are_not_taken_for_them() -> None:
    seen = [Seen((8, 32, 24, 44), 0.8, 1)]
    assert said(read(made.with_masks(seen, 3), codes=codes(3), task="segment")[0], seen)
    final = made.final_with_masks(seen, 3)
    assert said(read(final, codes=codes(3), task="segment", suppresses=True)[0], seen)
    with pytest.raises(ConfigurationError, match='names the task "pose"; expected segment'):
        read(made.with_masks(seen, 3), codes=codes(3), task="pose")
