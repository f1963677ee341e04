import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import CameraUnavailableError, ConfigurationError
from inspector.core.faults import FaultBoard
from inspector.core.plain_text import as_json, plain, plainly

REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("board 7.png", "board 7.png"),
        ("grün 日本.png", "grün 日本.png"),
        ("gr\udcfcn.png", f"gr{REPLACED}n.png"),
        ("a\x1b[2Jb", f"a{REPLACED}[2Jb"),
        ("two\r\nlines\u2028more", "two lines more"),
        ("abc\u202egpj.exe", f"abc{REPLACED}gpj.exe"),
        ("\x00\x7f\x9b", REPLACED * 3),
        ("", ""),
    ],
)
def test_what_cannot_be_shown_is_replaced(text, shown):
    assert plain(text) == shown


anything = st.text(st.characters(exclude_categories=()))


@given(anything)
def test_whatever_it_was_it_can_be_written_and_stays_as_it_is(text):
    shown = plain(text)
    shown.encode()
    assert plain(shown) == shown
    assert not set(shown) & set(map(chr, [*range(32), *range(127, 160)]))


@given(st.recursive(st.none() | st.integers(0, 9) | anything, lambda inner: st.lists(inner)
                    | st.dictionaries(anything, inner), max_leaves=8))  # fmt: skip
def test_json_is_written_of_everything_and_only_foreign_text_is_changed(value):
    written = json.loads(as_json(value))
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        assert written == json.loads(as_json(plainly(value)))
    else:
        assert written == value


def test_errors_and_faults_quote_foreign_text_plainly():
    assert str(CameraUnavailableError("file:gr\udcfcn\x1b: gone")) == (
        f"file:gr{REPLACED}n{REPLACED}: gone"
    )
    assert ConfigurationError("a: b\udcff", "two\nlines").problems == (
        f"a: b{REPLACED}",
        "two lines",
    )
    board = FaultBoard(lambda _fault, _raised: None)
    board.raise_fault("camera", "said \x1b[31mno\udcff")
    assert board.standing[0].cause == f"said {REPLACED}[31mno{REPLACED}"
