"""What systemd is told of the service's state, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from inspector.core.faults import FaultBoard
from inspector.service.state import StationState
from inspector.service.systemd import Notifier
from inspector.service.watchdog import READY_AT_LATEST_S, StateNews


class Heard(Notifier):
    """A systemd that reads, or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.reads = True
        self._address = "somewhere"

    def _send(self, assignments: tuple[str, ...]) -> bool:  # type: ignore[override]
        self.lines += assignments if self.reads else ()
        return self.reads


def looking(
    tell: Callable[[StateNews, StationState, FaultBoard, Heard], None],
) -> list[str]:
    """What systemd heard of a station with a camera and a model of which nothing is known yet."""

    async def main() -> list[str]:
        board = FaultBoard(lambda _fault, _raised: None)
        board.expect("camera", "top")
        board.expect("triton")
        views, heard = StationState("p.l.s", board), Heard()
        views.running.set()
        tell(StateNews(views, heard, now_s=0.0), views, board, heard)
        return heard.lines

    return asyncio.run(main())


NOT_YET = (
    "not inspecting: camera top: waiting for its first picture; "
    "triton: waiting for the first answer of the model"
)


def test_ready_is_told_once_every_part_has_worked() -> None:
    def tell(news: StateNews, _views: StationState, board: FaultBoard, _heard: Heard) -> None:
        news.tell(0.5)
        board.clear("camera", "top")
        news.tell(1.0)
        board.clear("triton")
        news.tell(1.5)
        news.tell(2.0)

    assert looking(tell) == [
        f"STATUS={NOT_YET}",
        "STATUS=not inspecting: triton: waiting for the first answer of the model",
        "READY=1",
        "STATUS=inspecting at p.l.s",
    ]


def test_a_part_that_is_missing_is_known_too_and_a_camera_that_comes_later_is_told() -> None:
    def tell(news: StateNews, _views: StationState, board: FaultBoard, _heard: Heard) -> None:
        board.clear("triton")
        board.raise_fault("camera", "refused", "top")
        news.tell(0.5)
        board.clear("camera", "top")
        news.tell(1.0)

    assert looking(tell) == [
        "READY=1",
        "STATUS=not inspecting: camera top: refused",
        "STATUS=inspecting at p.l.s",
    ]


def test_what_stays_unknown_does_not_hold_up_a_start_for_ever() -> None:
    def tell(news: StateNews, _views: StationState, _board: FaultBoard, _heard: Heard) -> None:
        news.tell(READY_AT_LATEST_S)
        news.tell(READY_AT_LATEST_S + 1)

    assert looking(tell) == [f"STATUS={NOT_YET}", "READY=1", f"STATUS={NOT_YET}"]


def test_what_a_busy_systemd_did_not_read_is_told_again() -> None:
    def tell(news: StateNews, _views: StationState, board: FaultBoard, heard: Heard) -> None:
        board.clear("triton")
        board.clear("camera", "top")
        heard.reads = False
        news.tell(0.5)
        heard.reads = True
        news.tell(1.0)

    assert looking(tell) == ["READY=1", "STATUS=inspecting at p.l.s"]


def test_a_service_that_stops_says_no_more_of_its_state() -> None:
    def tell(news: StateNews, views: StationState, _board: FaultBoard, _heard: Heard) -> None:
        views.stopping.set()
        news.tell(0.5)

    assert looking(tell) == []
