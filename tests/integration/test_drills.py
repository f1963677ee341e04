"""The fault drills that are fast; `make drills` runs all of them, and more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.inference.embedded import EmbeddedTriton
from tests.drills.catalogue import DRILLS, Drill
from tests.drills.stand import CannotDrillError, stand

FAST = [drill for drill in DRILLS if drill.fast_repetitions]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("drill", FAST, ids=lambda drill: drill.name)
def test_nothing_is_lost_and_nothing_lies(
    drill: Drill, tmp_path: Path, triton: EmbeddedTriton
) -> None:
    with stand(
        tmp_path, triton_url=triton.grpc_url, seed=7, repetitions=drill.fast_repetitions
    ) as at:
        try:
            drill.run(at)
        except CannotDrillError as missing:
            pytest.skip(str(missing))
    # Not how long it took: that is for an idle machine to say, and in docs/drills.md.
    assert at.tally.is_clean, at.tally.problems
    assert at.tally.units > 0
