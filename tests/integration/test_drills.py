"""The fault drills that are fast; `make drills` runs all of them, and more often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from inspector.embedded.triton.server import EmbeddedTriton
from tests.drills.catalogue import DRILLS, Drill
from tests.drills.stand import CannotDrillError, stand
from tests.drills.witness import Witness
from tests.kit.line import wait_for
from tests.kit.redis_server import RedisServer

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


def test_the_witness_notices_what_is_taken_away_and_what_comes_back_otherwise(
    redis_server: RedisServer,
) -> None:
    def add(client: redis.Redis, seq: int, event_id: str) -> None:
        event = {
            "id": event_id,
            "time": "2026-11-24T10:00:00+00:00",
            "camera": "top",
            "unit": {"number": seq},
            "result": "PASSED",
            "reason": None,
            "counts": {"frames_expected": 1, "frames_inspected": 1, "defects": 0},
        }
        fields: dict[Any, Any] = {"id": event_id, "seq": seq, "data": json.dumps(event)}
        client.xadd("inspector:{test.one.aoi}:units", fields, id=f"{seq}-0")

    with redis_server.client() as client, Witness(redis_server.port) as witness:
        for seq in (1, 2, 3):
            add(client, seq, f"event{seq}")
        wait_for(lambda: len(witness.read) == 3, within_s=20, what="three events read")
        assert witness.audit(verdicts=3).is_clean
        client.xdel("inspector:{test.one.aoi}:units", "2-0")
        taken = witness.audit(verdicts=3)
        assert "units 2 was read and is gone" in taken.lost
        client.delete("inspector:{test.one.aoi}:units")
        for seq, event_id in ((1, "event1"), (2, "other"), (3, "event2"), (4, "event3")):
            add(client, seq, event_id)
        told = witness.audit(verdicts=4)
        assert told.duplicated == ["units event event2 as 2 and 3", "units event event3 as 3 and 4"]
