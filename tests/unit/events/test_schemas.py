from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from inspector.core.records import MissReason
from inspector.events.schemas import EVENT_MODELS, Reason, published_schema, rfc3339
from inspector.results.judging import _REASONS


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_a_time_keeps_its_microseconds_and_says_its_offset(unix_ns: int) -> None:
    text = rfc3339(unix_ns)
    moment = datetime.fromisoformat(text)
    assert text.endswith("+00:00")
    assert len(text) == len("2026-01-01T00:00:00.000000+00:00")
    whole_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6
    assert whole_us == pytest.approx(unix_ns // 1000, rel=1e-15, abs=1)


def test_every_way_to_miss_a_frame_has_a_word_in_the_contract() -> None:
    told = {_REASONS.get(reason, reason.value) for reason in MissReason}
    assert told <= set(get_args(Reason))


@pytest.mark.parametrize("stream", EVENT_MODELS)
def test_every_stream_has_a_schema_that_takes_what_is_added_later(stream: str) -> None:
    schema = published_schema(stream)
    assert '"additionalProperties": false' not in json.dumps(schema)
    enums = re.findall(r'"enum": \[([^]]*)', json.dumps(schema))
    closed = ("PASSED", "raised", "CONFIRMED", "accepted", "differs")
    assert all(any(value in e for value in closed) for e in enums)
    assert {"id", "seq", "time", "published_at", "station"} <= set(schema["required"])


@pytest.mark.parametrize("stream", EVENT_MODELS)
def test_our_own_events_have_no_field_that_the_schema_does_not_name(stream: str) -> None:
    """The published schema lets it through, so the models must not."""
    for model in (EVENT_MODELS[stream], *_parts_of(EVENT_MODELS[stream])):
        assert model.model_config["extra"] == "forbid"


def _parts_of(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = set()
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= {kind, *_parts_of(kind)}
    return found


@pytest.mark.parametrize("stream", EVENT_MODELS)
def test_the_schemas_in_the_documentation_are_those_of_the_code(stream: str) -> None:
    file = Path(__file__).parents[3] / "docs" / "schemas" / f"{stream}.json"
    document = json.loads(file.read_text())
    assert document.pop("$schema").endswith("2020-12/schema")
    assert document == published_schema(stream), f"inspector schema {stream} > docs/schemas/..."
