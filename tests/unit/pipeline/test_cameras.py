"""What is reported of a camera's pictures."""

from inspector.core.faults import Fault, FaultBoard
from inspector.core.records import CameraId
from inspector.pipeline.cameras import _tell_doubt

CAMERA = CameraId("top")


def test_a_doubt_that_gives_way_to_another_is_one_fault_with_the_newer_cause() -> None:
    changes: list[tuple[str, bool]] = []

    def changed(fault: Fault, raised: bool) -> None:  # noqa: FBT001 - as FaultBoard calls it
        changes.append((fault.cause, raised))

    faults = FaultBoard(changed)
    _tell_doubt(CAMERA, "the lamps flicker", faults)
    _tell_doubt(CAMERA, "the belt is too fast", faults)
    assert [fault.cause for fault in faults.standing] == ["the belt is too fast"]
    _tell_doubt(CAMERA, "", faults)
    assert changes == [("the lamps flicker", True), ("the belt is too fast", False)]
