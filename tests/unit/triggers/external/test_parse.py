from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.triggers.external.parse import MalformedTriggerError, TriggerFields, parse_trigger

JANUARY_NS = 1_767_225_600 * 1_000_000_000


def problem(fields: dict[Any, Any]) -> MalformedTriggerError:
    with pytest.raises(MalformedTriggerError) as caught:
        parse_trigger(fields)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "fields",
    [
        {"unit_id": "PCB-1"},
        {b"unit_id": b"PCB-1"},
        {b"unit_id": b"PCB-1", b"at": b"", b"camera": b""},
        {"unit_id": "PCB-1", "at": None, "camera": None, "recipe": 7},
    ],
)
def test_a_unit_is_all_a_trigger_must_name(fields: dict[Any, Any]) -> None:
    assert parse_trigger(fields) == TriggerFields(unit_id="PCB-1", at_unix_ns=None, camera=None)


@pytest.mark.parametrize(
    ("at", "after_ns"),
    [
        ("2026-01-01T00:00:00Z", 0),
        ("2026-01-01T01:00:00+01:00", 0),
        ("2025-12-31T19:00:00.5-05:00", 500_000_000),
        ("2026-01-01T00:00:00.123456Z", 123_456_000),
        ("2026-01-01T00:00:00.123456789Z", 123_456_000),
        ("2026-01-01T00:00:00.12345678901Z", 123_456_000),
        ("2026-01-01T00:00Z", 0),  # Java's OffsetDateTime at a whole minute
        ("2026-01-01 00:00:00Z", 0),  # RFC 3339, 5.6: a blank for the T, and lower case
        ("2026-01-01t00:00:00z", 0),
        ("2026-01-01T01:00:00+0100", 0),
        ("2026-01-01T01:00:00+01", 0),
        ("2026-01-01T00:00:00,5Z", 500_000_000),  # ISO 8601
        ("2025-12-31T23:59:60Z", 0),  # a leap second
        ("2025-12-31T24:00:00Z", 0),
        ("2026-01-01T00:00:00-00:00", 0),
        ("\ufeff 2026-01-01T00:00:00Z\r\n\0\0", 0),
    ],
)
def test_times_are_read_to_the_microsecond(at: str, after_ns: int) -> None:
    said = parse_trigger({b"unit_id": b"u", b"at": at.encode(), b"camera": b"top"})
    assert said.at_unix_ns == JANUARY_NS + after_ns
    assert said.camera == "top"


@pytest.mark.parametrize(
    "at",
    [
        "now",
        "2026-01-01T00:00:00",  # where?
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+25:00",
        "2026-01-01T00Z",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
        "1767225600",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "٢٠٢٦-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(at: str) -> None:
    error = problem({"unit_id": "u", "at": at})
    assert error.field == "at"
    assert "expected a time such as" in str(error)


@pytest.mark.parametrize(
    "fields",
    [{}, {"unit_id": ""}, {"unit_id": None}, {"unit_id": "x" * 129}, {"unit_id": "a\nb"}],
)
def test_a_trigger_must_say_which_unit(fields: dict[str, Any]) -> None:
    error = problem(fields)
    assert error.field == "unit_id"
    assert "expected 1 to 128 printable characters" in str(error)
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "unit_id: empty"),
        ({"unit_id": "x" * 129}, "unit_id: too_long"),
        ({b"unit_id": "Gehäuse".encode("latin-1")}, "unit_id: not UTF-8"),
        ({b"unit_id": "PCB-6".encode("utf-16-le")}, "unit_id: holds NUL"),
        ({"unit_id": "PCB\t1"}, "unit_id: holds TAB"),
        ({"unit_id": "PCB-1\nresult PASSED"}, "unit_id: holds LF"),
        ({"unit_id": "PCB\u00a01"}, "unit_id: holds NBSP"),
        ({"unit_id": "PCB\u202e1"}, "unit_id: holds RLO"),
        ({"unit_id": "PCB\ue0001"}, "unit_id: not_printable"),
        ({"unit_id": "P1\x1dT2"}, "unit_id: no_serial"),
        ({"unit_id": 5}, "unit_id: no text"),
        ({"unit_id": "u", "at": "2026-01-01T00:00:00"}, "at: no offset"),
        ({"unit_id": "u", "at": "1767225600"}, "at: no time"),
        ({"unit_id": "u", "at": "2026-02-30T00:00:00Z"}, "at: no moment"),
        ({"unit_id": "u", b"camera": b"\xff"}, "camera: not UTF-8"),
    ],
)
def test_each_kind_of_mistake_has_a_name(fields: dict[Any, Any], kind: str) -> None:
    assert problem(fields).kind == kind


@pytest.mark.parametrize("sent", [b"PCB-1\r", b"PCB-1\r\n", b" PCB-1 ", b"PCB-1\0\0\0"])
def test_what_scanners_and_plcs_put_around_a_name_is_taken_off(sent: bytes) -> None:
    said = parse_trigger({b"unit_id": sent, b"camera": b"top\0\0"})
    assert (said.unit_id, said.camera) == ("PCB-1", "top")


def test_values_must_be_text() -> None:
    assert str(problem({"unit_id": 17})) == "unit_id is 17, expected text"
    assert str(problem({"unit_id": "u", "camera": ["a"]})) == "camera is ['a'], expected text"
    assert str(problem({b"unit_id": b"\xff"})) == "unit_id is not UTF-8, expected text"


anything = st.none() | st.text() | st.binary() | st.integers() | st.lists(st.text())


@given(
    st.dictionaries(
        st.sampled_from(["unit_id", "at", "camera", b"unit_id", b"at", "x"]) | st.text(), anything
    )
)
def test_whatever_comes_is_read_or_refused(fields: dict[Any, Any]) -> None:
    wrong = ""
    try:
        said = parse_trigger(fields)
    except MalformedTriggerError as error:
        wrong = error.field
    assert wrong in ("unit_id", "at", "camera") or said.unit_id.isprintable()
