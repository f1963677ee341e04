"""The station's parts in words."""

import time
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.faults import PICTURE_REFUSED, Fault
from inspector.page.state import (
    DEADLINES_COUNTED_S,
    Deadlines,
    StationState,
    _duration,
    _rfc3339,
    _sentence,
    with_times,
)


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
    assert "triggers" in named(StationState(["top"], keeps_evidence=False, reads_triggers=True))


def test_triggers_that_are_not_read_are_told_and_one_stream_that_began_again_is_not_a_part():
    state = StationState(["top"], keeps_evidence=False, reads_triggers=True)
    state.on_fault(Fault(kind="triggers", subject="stream", cause="new"), raised=True)
    assert named(state)["triggers"]["good"]
    state.on_fault(Fault(kind="triggers", subject="", cause="no right"), raised=True)
    part = named(state)["triggers"]
    assert (part["good"], part["words"]) == (False, "No right.")
    assert "set them aside" in part["advice"]


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


@pytest.mark.parametrize("subject", ["", "redis"])
def test_a_wrong_clock_is_told_whichever_it_is(subject):
    state, fault = station(), Fault(kind="clock", subject=subject, cause="30 days ahead")
    state.on_fault(fault, raised=True)
    part = named(state)["clock"]
    assert (part["good"], part["words"]) == (False, "30 days ahead.")
    assert "NTP" in part["advice"]
    state.on_fault(fault, raised=False)
    assert "clock" not in named(state)


def test_a_camera_whose_pictures_are_doubtful_is_not_good():
    state, fault = station(), Fault(kind="optics", subject="top", cause="lamps flicker")
    state.on_fault(fault, raised=True)
    part = named(state)["camera top"]
    assert (part["good"], part["words"]) == (False, "Lamps flicker.")
    assert "camera" in part["advice"]
    assert named(state)["camera side"]["good"]
    state.on_fault(fault, raised=False)
    assert named(state)["camera top"]["good"]


def test_a_camera_whose_pictures_are_refused_says_what_to_do():
    state = station()
    cause = f"{PICTURE_REFUSED}blurred"
    state.on_fault(Fault(kind="optics", subject="top", cause=cause), raised=True)
    part = named(state)["camera top"]
    assert (part["good"], part["words"]) == (False, "The picture is blurred.")
    assert "focus" in part["advice"]
    assert "not inspected" in part["advice"]


def test_without_redis_people_hear_that_nothing_is_lost_and_how_much_waits():
    state = station()
    state.on_fault(Fault(kind="redis", subject="", cause="refused"), raised=True)
    part = named(state, pending=12, oldest_s=130.0)["redis"]
    assert part["words"] == "Refused. 12 events wait, the oldest for 2 min."
    assert "no event is lost" in part["advice"]


def test_another_producer_is_told_unless_redis_is_away_altogether():
    state = station()
    state.on_fault(Fault(kind="redis", subject="producer", cause="two of us"), raised=True)
    part = named(state)["redis"]
    assert (part["good"], part["words"]) == (False, "Two of us.")
    assert "an id of its own" in part["advice"]
    state.on_fault(Fault(kind="redis", subject="", cause="refused"), raised=True)
    assert named(state)["redis"]["words"] == "Refused."


def test_while_the_service_starts_nothing_is_called_good():
    parts = named(station(), running=False)
    assert not any(p["good"] for name, p in parts.items() if name != "deadline")
    assert not any(p["since"] for p in parts.values())


def test_a_part_that_nobody_has_heard_of_is_not_good_and_not_at_fault():
    state = station()
    parts = named(state, awaited=[("camera", "side"), ("triton", ""), ("redis", "")])
    good = {name for name, part in parts.items() if part["good"]}
    assert good == {"camera top", "journal", "evidence", "deadline"}
    assert parts["camera side"]["words"] == "Waiting for its first picture."
    assert all(part["since"] is None for part in parts.values())
    state.on_fault(Fault(kind="camera", subject="side", cause="refused"), raised=True)
    assert named(state, awaited=[("camera", "side")])["camera side"]["words"] == "Refused."


def test_without_a_verdict_nothing_is_said_of_deadlines():
    state = station()
    assert named(state)["deadline"]["words"] == "There was no verdict in the last 10 minutes."
    state.deadlines.add(in_time=True)
    assert named(state)["deadline"]["words"] == "Verdicts are on time."


def test_late_verdicts_are_told_for_a_while():
    now_s = [0.0]
    deadlines = Deadlines(now_s=lambda: now_s[0])
    for in_time in (True, False, True):
        deadlines.add(in_time=in_time)
    late, verdicts, first_s = deadlines.recent()
    assert (late, verdicts) == (1, 3)
    assert first_s is not None
    now_s[0] = DEADLINES_COUNTED_S + 1
    assert deadlines.recent() == (0, 0, None)


def test_a_late_verdict_is_a_thing_to_look_after():
    state = station()
    state.deadlines.add(in_time=False)
    part = named(state)["deadline"]
    assert not part["good"]
    assert part["words"] == "1 of 1 verdicts were late in the last 10 minutes."


faults = st.builds(
    lambda where, cause: Fault(kind=where[0], subject=where[1], cause=cause),
    st.sampled_from([
        ("camera", "top"), ("camera", "side"), ("triton", ""), ("redis", ""),
        ("disk", "journal"), ("disk", "evidence"),
    ]),
    st.sampled_from(["refused", "", "no answer for 2 s", "Gone!"]),
)  # fmt: skip


@given(st.lists(st.tuples(faults, st.booleans())), st.booleans())
def test_a_part_is_called_good_only_while_it_runs_and_nothing_of_it_is_wrong(changes, running):
    state = station()
    standing: dict[tuple[str, str], Fault] = {}
    for fault, raised in changes:
        state.on_fault(fault, raised=raised)
        standing.pop((fault.kind, fault.subject), None)
        if raised:
            standing[fault.kind, fault.subject] = fault
    parts = named(state, running=running)
    wrong = {
        subject if kind == "disk" else f"{kind} {subject}".strip() for kind, subject in standing
    }
    for name, part in parts.items():
        if name == "deadline":
            continue
        assert part["good"] == (running and name not in wrong)
        assert (part["since"] is None) == (name not in wrong)
        assert part["good"] or part["advice"], "a person is told what to do"
        assert part["words"].endswith((".", "!"))
    told = [{"kind": f.kind, "subject": f.subject, "cause": f.cause} for f in standing.values()]
    for before, after in zip(told, with_times(told, state), strict=True):
        assert {key: after[key] for key in before} == before
        since = datetime.fromisoformat(after["since"])
        assert since.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("rtsp://viewer@192.0.2.5/stream1: nothing listens there", "Nothing listens there."),
        ("v4l2:/dev/video0: it is gone", "It is gone."),
        ("the model refuses it: no such input", "The model refuses it: no such input."),
    ],
)
def test_the_address_that_a_cause_begins_with_is_not_shown_to_people(cause, words):
    assert _sentence(cause) == words


@given(st.text())
def test_every_cause_is_a_sentence(cause):
    words = _sentence(cause)
    assert words[-1] in ".!?"
    assert words[0] == words[0].upper()
    assert cause.strip()[1:] in words or ":" in cause  # an address is left out
    assert cause.strip() or len(words) > 1


@given(st.floats(0, 1e7))
def test_a_duration_is_told_to_half_its_unit(seconds):
    number, unit = _duration(seconds).split()
    unit_s = {"s": 1, "min": 60}[unit]
    assert abs(float(number) * unit_s - seconds) <= unit_s / 2 + 1e-6


@given(st.floats(0, 4e9))
def test_a_time_is_told_to_the_millisecond_with_its_offset(unix_s):
    told = datetime.fromisoformat(_rfc3339(unix_s))
    assert abs(told.timestamp() - unix_s) <= 0.001
    assert told.utcoffset() == timedelta(0)


@given(st.lists(st.tuples(st.floats(0, 400), st.booleans()), max_size=40))
def test_late_verdicts_are_counted_for_ten_minutes(verdicts):
    now_s, added = 0.0, []
    clock_s = [0.0]
    deadlines = Deadlines(now_s=lambda: clock_s[0])
    for waited_s, in_time in verdicts:
        now_s += waited_s
        clock_s[0] = now_s
        deadlines.add(in_time=in_time)
        added.append((now_s, in_time))
        recent = [one for at_s, one in added if at_s >= now_s - DEADLINES_COUNTED_S]
        late, verdicts_total, first_s = deadlines.recent()
        assert (late, verdicts_total) == (recent.count(False), len(recent))
        assert (first_s is None) == (late == 0)


def test_nobody_is_sent_for_a_triton_that_the_service_runs_itself() -> None:
    down = Fault(kind="triton", subject="", cause="connection refused")
    advice = []
    for embeds in (False, True):
        state = StationState(["top"], keeps_evidence=False, embeds_triton=embeds)
        state.on_fault(down, raised=True)
        (part,) = (p for p in state.parts(running=True, pending=0, oldest_s=0) if not p["good"])
        advice.append(part["advice"])
    assert "whoever looks after the Triton server" in advice[0]
    assert "restarts its own Triton" in advice[1]
    assert "whoever looks after the Triton server" not in advice[1]
