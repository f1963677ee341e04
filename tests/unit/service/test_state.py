"""What is said of a station by the faults that stand."""

from __future__ import annotations

import asyncio

import pytest

from inspector.core.faults import FaultBoard
from inspector.service.state import StationState


def station() -> tuple[FaultBoard, StationState]:
    board = FaultBoard(lambda _fault, _raised: None)
    views = StationState("p.l.s", board)
    views.running.set()
    return board, views


@pytest.mark.parametrize("camera", ["stream", "evidence", "journal"])
def test_a_camera_may_be_called_like_a_part_of_something_else(camera: str) -> None:
    async def main() -> None:
        board, views = station()
        board.raise_fault("camera", "no pictures", camera)
        assert views.readiness()[1]["blocked_by"] == [f"camera {camera}: no pictures"]
        assert views.journal_fault == ""

    asyncio.run(main())


def test_what_keeps_no_unit_from_its_verdict_leaves_the_station_ready() -> None:
    async def main() -> None:
        board, views = station()
        board.raise_fault("disk", "no room", "evidence")
        board.raise_fault("triggers", "began again", "stream")
        assert views.readiness()[0]
        board.raise_fault("disk", "read only", "journal")
        assert not views.readiness()[0]
        assert views.journal_fault == "read only"

    asyncio.run(main())
