from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from inspector.ops.log import _line, _Redaction, configure_logging
from inspector.settings.sections import LogSettings

SECRET = "hunter2"
URL = f"rtsp://operator:{SECRET}@10.0.0.5/stream1"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(capfd: pytest.CaptureFixture[str], form: str, **values: Any) -> str:
    configure_logging(LogSettings(format=form))  # type: ignore[arg-type]
    structlog.get_logger("test").warning("camera down", **values)
    return capfd.readouterr().err


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "value",
    [
        URL,
        f"cannot open {URL}: refused",
        ValueError(f"cannot open {URL}"),
        [URL],
        {"source": URL},
        (URL, 1),
        {"cameras": [{"source": URL}]},
    ],
    ids=["url", "sentence", "error", "list", "dict", "tuple", "nested"],
)
def test_no_password_reaches_the_log(
    capfd: pytest.CaptureFixture[str], form: str, value: object
) -> None:
    text = logged(capfd, form, cause=value)
    assert "camera down" in text
    assert SECRET not in text


def test_a_password_in_a_traceback_is_starred_out_too(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    try:
        int(URL)
    except ValueError:
        structlog.get_logger("test").exception("failed")
    text = capfd.readouterr().err
    assert "ValueError" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("secret", "value", "left"),
    [
        ("p@ss word", "rtsp://u:p@ss word@10.0.0.5/1", "rtsp://u:***@10.0.0.5/1"),
        ("pwd=a&b_c=de", "cannot use pwd=a&b_c=de here", "cannot use *** here"),
        ("a\\b'c", KeyError("a\\b'c"), '"***"'),
        ("p@ss:w\u00f6rd", "GET /?q=" + quote("p@ss:w\u00f6rd", safe=""), "GET /?q=***"),
        ('sch"l\u00fcssel', json.dumps({"t": 'sch"l\u00fcssel'}), '{"t": "***"}'),
    ],
    ids=["at", "parameter", "repr", "percent", "json"],
)
def test_no_part_of_a_known_secret_is_left_however_it_is_written(
    capfd: pytest.CaptureFixture[str], secret: str, value: object, left: str
) -> None:
    configure_logging(LogSettings(format="json"), [secret])
    structlog.get_logger("test").warning("camera down", cause=value)
    assert orjson.loads(capfd.readouterr().err)["cause"] == left


def test_json_logs_are_one_object_per_line(capfd: pytest.CaptureFixture[str]) -> None:
    text = logged(capfd, "json", cause="one\ntwo", number=3, path=Path("/x"))
    (line,) = text.splitlines()
    entry = orjson.loads(line)
    assert entry["event"] == "camera down"
    assert entry["level"] == "warning"
    assert entry["cause"] == "one\ntwo"
    assert entry["number"] == 3


@pytest.mark.parametrize(
    "value", ["caf\udce9.png", 2**70, {1: "x"}, object()], ids=["bytes", "long", "keys", "object"]
)
def test_nothing_that_is_logged_can_stop_the_one_who_logs(
    capfd: pytest.CaptureFixture[str], value: object
) -> None:
    (line,) = logged(capfd, "json", odd=value).splitlines()
    assert orjson.loads(line)["event"] == "camera down"


def test_what_is_below_the_level_is_not_written(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json", level="warning"))
    structlog.get_logger("test").info("chatter")
    assert capfd.readouterr().err == ""


awkward = st.sampled_from(
    ["p@ss", "&", "token=", "_x=", "'", '"', " ", "\\", "\n", ":", "/", "\u00e9"]
)
mixed = st.lists(awkward, max_size=6) | st.lists(
    st.characters(codec="utf-8", exclude_characters="*"), max_size=6
)
# Letters at both ends that the texts around do not hold: where a secret begins is not in question.
secrets = mixed.map(lambda parts: f"ZY{''.join(parts)}YZ")
"""Whatever people take for a password."""
texts = st.sampled_from([
    "{}", "cannot open {}: refused", "rtsp://operator:{}@10.0.0.5/stream1", "password={}&x=1",
    "redis://:{}@h/0", "token={}", "'{}'", "a {} b {} c", "http://u:x@h/{}", "user=a_pwd={}_c=1",
])  # fmt: skip
writings = st.sampled_from([str, json.dumps, quote, lambda text: quote(text, safe="")])
wraps = st.sampled_from([
    str, str.encode, ValueError, lambda text: [text], lambda text: {text: (1, {text})},
    lambda text: {"deep": [{"er": text}]},
])  # fmt: skip


@given(secrets, secrets, texts, writings, wraps)
def test_what_is_logged_is_the_same_whatever_the_secret_in_it(
    one: str, other: str, around: str, write: Any, wrap: Any
) -> None:
    logged = [
        _Redaction([secret[:4], secret])(
            None, "warning", {"cause": wrap(around.format(*2 * [write(secret)]))}
        )
        for secret in (one, other)
    ]
    assert logged[0] == logged[1]
    assert "***" in str(logged[0])


@given(secrets, texts)
def test_no_secret_is_read_from_how_python_quotes_it(secret: str, around: str) -> None:
    redaction = _Redaction([secret])
    for value in (KeyError(secret), {"a": [secret]}, (around, secret)):
        text = str(redaction(None, "warning", {"cause": f"{value!r} {around}"}))
        assert "ZY" not in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
)
def test_whatever_is_logged_is_one_line_of_json(value: object) -> None:
    event = _Redaction([SECRET])(None, "warning", {"event": "camera down", "value": value})
    line = _line(dict(event))
    assert b"\n" not in line
    assert orjson.loads(line)["event"] == "camera down"
