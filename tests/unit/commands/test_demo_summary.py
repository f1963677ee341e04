"""A demo that inspected nothing has failed, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspector.commands.demo import Summary, demo_settings
from inspector.events.consumer import ReceivedEvent


def unit(result: str, reason: str | None = None, detail: str = "") -> ReceivedEvent:
    body: dict[str, Any] = {
        "defects": [],
        "reason": reason,
        "detail": detail,
        "timing_ms": {"trigger_to_verdict": 12.0},
    }
    return ReceivedEvent(
        entry_id="1-0",
        id="a",
        seq=1,
        schema="inspector.unit/1",
        time="",
        unit_id="u",
        result=result,
        body=body,
    )


def failure(tmp_path: Path, *units: ReceivedEvent) -> str:
    summary = Summary(demo_settings(None, 0, tmp_path))
    for one in units:
        summary.add(one)
    return summary.failure()


def test_nothing_is_wrong_while_a_unit_was_inspected_or_none_came(tmp_path: Path) -> None:
    lost = unit("NOT_INSPECTED", "model_unavailable", "Triton is down")
    assert not failure(tmp_path)
    assert not failure(tmp_path, lost, unit("PASSED"), lost)


def test_units_of_which_none_was_inspected_are_a_failure_with_its_cause(tmp_path: Path) -> None:
    lost = unit("NOT_INSPECTED", "model_unavailable", "Triton is down")
    late = unit("NOT_INSPECTED", "deadline_missed")
    assert failure(tmp_path, lost, lost, late) == (
        "none of 3 units was inspected: model_unavailable (2), Triton is down"
    )
