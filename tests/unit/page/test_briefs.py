"""What the page gets of a unit event."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inspector.page.briefs import brief

words = st.text(max_size=8)
defects = st.fixed_dictionaries({
    "id": words,
    "code": words,
    "confidence": st.floats(0, 1),
    "bbox_px": st.lists(st.floats(0, 5000), min_size=4, max_size=4),
    "frames_seen": st.integers(1, 16),
    "camera": words,
})  # fmt: skip
bodies = st.fixed_dictionaries({
    "id": words,
    "time": words,
    "camera": words,
    "unit": st.fixed_dictionaries({"id": words, "number": st.integers(0), "serial": st.none()}),
    "result": st.sampled_from(["PASSED", "FAILED", "NOT_INSPECTED", "ERROR"]),
    "reason": st.none() | words,
    "detail": words,
    "defects": st.lists(defects, max_size=3),
    "counts": st.fixed_dictionaries({"defects": st.integers(0, 1000), "frames": st.integers(0)}),
    "timing_ms": st.fixed_dictionaries({"trigger_to_verdict": st.floats(0, 1e6)}),
    "deadline_met": st.booleans(),
    "evidence": st.lists(st.fixed_dictionaries({"uri": words}), max_size=2),
    "simulated": st.booleans(),
    "replayed": st.booleans(),
    "station": st.fixed_dictionaries({"host": words}),
})  # fmt: skip


@given(bodies)
def test_a_brief_says_what_the_event_says_and_leaves_the_event_alone(body: dict[str, Any]) -> None:
    before = json.dumps(body)
    short = brief(body)
    assert json.dumps(body) == before
    for key in ("id", "time", "camera", "result", "reason", "detail", "deadline_met"):
        assert short[key] == body[key]
    assert (short["unit_id"], short["number"]) == (body["unit"]["id"], body["unit"]["number"])
    assert short["defects_total"] == body["counts"]["defects"], "also of those it does not list"
    assert [(d["id"], d["code"]) for d in short["defects"]] == [
        (d["id"], d["code"]) for d in body["defects"]
    ]
    assert short["has_picture"] == (len(body["evidence"]) > 0)
    assert (short["simulated"], short["replayed"]) == (body["simulated"], body["replayed"])


@given(bodies)
def test_a_brief_names_neither_files_nor_hosts(body: dict[str, Any]) -> None:
    body["evidence"] = [{"uri": "file:///secret-place"}]
    body["station"] = {"host": "secret-host"}
    assert "secret-" not in json.dumps(brief(body))
