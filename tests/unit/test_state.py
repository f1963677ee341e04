"""The station's parts in words."""

import time
from datetime import datetime

from inspector.ops.health import Fault
from inspector.web.state import DEADLINES_LOOKED_AT_S, Deadlines, StationState


def named(state: StationState, **more):
    parts = state.parts(**({"running": True, "pending": 0, "oldest_s": 0.0} | more))
    return {f"{p['part']} {p['subject']}".strip(): p for p in parts}


def station() -> StationState:
    return StationState(["top", "side"], keeps_evidence=True)


def test_every_part_is_told_and_good_while_nothing_is_wrong():
    parts = named(station())
    assert list(parts) == [
        "camera top", "camera side", "triton", "redis", "journal", "evidence", "deadline",
    ]  # fmt: skip
    assert all(p["good"] and not p["since"] and not p["advice"] for p in parts.values())
    assert "evidence" not in named(StationState(["top"], keeps_evidence=False))


def test_a_fault_is_told_with_its_cause_since_when_and_what_to_do_until_it_is_over():
    state, fault = station(), Fault(kind="camera", subject="side", cause="no answer for 2 s")
    state.on_fault(fault, raised=True)
    part = named(state)["camera side"]
    assert (part["good"], part["words"]) == (False, "No answer for 2 s.")
    assert abs(datetime.fromisoformat(part["since"]).timestamp() - time.time()) < 5
    assert "cable" in part["advice"]
    assert named(state)["camera top"]["good"]
    state.on_fault(fault, raised=False)
    assert named(state)["camera side"]["good"]


def test_a_disk_has_two_parts():
    state = station()
    state.on_fault(Fault(kind="disk", subject="evidence", cause="full"), raised=True)
    parts = named(state)
    assert (parts["journal"]["good"], parts["evidence"]["good"]) == (True, False)


def test_without_redis_people_hear_that_nothing_is_lost_and_how_much_waits():
    state = station()
    state.on_fault(Fault(kind="redis", subject="", cause="refused"), raised=True)
    part = named(state, pending=12, oldest_s=130.0)["redis"]
    assert part["words"] == "Refused. 12 events wait, the oldest for 2 min."
    assert "no event is lost" in part["advice"]


def test_while_the_service_starts_nothing_is_called_good():
    parts = named(station(), running=False)
    assert not any(p["good"] for name, p in parts.items() if name != "deadline")
    assert not any(p["since"] for p in parts.values())


def test_late_verdicts_are_told_for_a_while():
    now_s = [0.0]
    deadlines = Deadlines(now_s=lambda: now_s[0])
    for in_time in (True, False, True):
        deadlines.add(in_time=in_time)
    late, verdicts, first_s = deadlines.recent()
    assert (late, verdicts) == (1, 3)
    assert first_s is not None
    now_s[0] = DEADLINES_LOOKED_AT_S + 1
    assert deadlines.recent() == (0, 0, None)


def test_a_late_verdict_is_a_thing_to_look_after():
    state = station()
    state.deadlines.add(in_time=False)
    part = named(state)["deadline"]
    assert not part["good"]
    assert part["words"] == "1 of 1 verdicts were late in the last 10 minutes."
