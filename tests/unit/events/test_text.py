from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.events.consumer import Gap, Gone, ReceivedEvent, SetAside
from inspector.events.text import as_json, as_line, notice, printable

NASTY = "t\x1b[2J\x1b]0;owned\x07 \x9b31m \u202egood\u2028 \x7f \U000e0001"


def event(body: dict[str, Any], **fields: Any) -> ReceivedEvent:
    usual: dict[str, Any] = {
        "entry_id": "1-0",
        "id": "a",
        "seq": 1,
        "schema": "inspector.unit/1",
        "time": "2026-01-02T03:04:05+00:00",
        "unit_id": "u",
        "result": "FAILED",
    }
    return ReceivedEvent(**usual | fields, body=body)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KNOWN = st.sampled_from(
    [
        *("fault", "subject", "cause", "unit_event_id", "defect_id", "code", "defect", "reason"),
        *("command", "product", "effective", "problem"),
    ]
)


@given(st.dictionaries(KNOWN | st.just("defects"), JSON), st.text(), st.text(), st.text())
def test_no_event_ends_the_reader_or_reaches_the_terminal_raw(
    body: dict[str, Any], time: str, unit_id: str, result: str
) -> None:
    assert as_line(event(body, time=time, unit_id=unit_id, result=result)).isprintable()


@given(JSON)
def test_json_says_the_same_with_nothing_that_a_terminal_obeys(content: Any) -> None:
    assert as_json(content).isprintable()
    assert orjson.loads(as_json(content)) == orjson.loads(orjson.dumps(content))


def test_what_a_terminal_obeys_or_hides_is_written_out() -> None:
    assert printable(NASTY) == (
        "t\\x1b[2J\\x1b]0;owned\\x07 \\x9b31m \\u202egood\\u2028 \\x7f \\U000e0001"
    )
    assert orjson.loads(as_json({"code": NASTY})) == {"code": NASTY}


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"reason": None, "defects": [{"code": "open"}, {"code": "short"}]}, "open, short"),
        ({"reason": "stale", "defects": []}, "stale"),
        ({"fault": "camera", "subject": "top", "cause": "gone"}, "camera top: gone"),
        ({"unit_event_id": "a", "defect_id": None, "code": None}, "the unit"),
        ({"unit_event_id": "a", "defect_id": "d", "code": "open"}, "open"),
        ({"unit_event_id": "a", "defect": {"code": "open", "confidence": 0.912}}, "open 0.91"),
        (
            {
                "command": "set_product",
                "product": {"name": "4711"},
                "effective": {"top": 1042},
                "problem": "",
            },
            "set_product: 4711 from top 1042 on",
        ),
        (
            {
                "command": "set_product",
                "product": {"name": "b"},
                "effective": {},
                "problem": "none",
            },
            "set_product: none",
        ),
        ({"command": "approve", "product": None, "effective": {}}, "approve:"),
        ({}, ""),
        ({"reason": 5, "defects": 7}, "int"),
        ({"defect": {}}, ""),
    ],
)
def test_the_last_column_says_what_it_is_about(body: dict[str, Any], what: str) -> None:
    line = as_line(event(body))
    assert line.partition("FAILED")[2].strip() == what


def test_long_foreign_text_is_cut() -> None:
    assert len(as_line(event({"reason": "x" * 9000}, unit_id="u" * 9000))) < 600


def test_losses_are_worded() -> None:
    assert notice(Gap(expected_seq=1, found_seq=9)) == "gap: expected 1, found 9 (8 missing)"
    doubtful = notice(Gap(expected_seq=1, found_seq=9, certain=False))
    assert doubtful.startswith("gap: expected 1, found 9 (8 missing)\n  perhaps fewer")
    assert notice(Gone(entry_ids=("1-0", "2-0", "3-0", "4-0", "5-0"))) == (
        "gone: 5 entries were taken, never acknowledged, and trimmed or deleted since: "
        "1-0, 2-0, 3-0, … 5-0"
    )
    assert notice(SetAside(entry_id="1-0", why="its schema is '\x1b'")) == (
        "set aside: entry 1-0 is no event: its schema is '\\x1b'"
    )
