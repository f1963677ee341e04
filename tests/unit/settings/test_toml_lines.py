"""In which line a person finds the key that is wrong."""

from __future__ import annotations

import tomllib

import pytest

from inspector.settings.toml_lines import line_of, line_of_mistake

TEXT = """\
# a comment
name = "a"

[inspection]
thresholds = { open = 0.5, short = 0.6 }
# another one

[[zones]]
name = "label"
polygon = [
  [1, 2],
  [3, 4],
]
[[zones]]
name = "edge"

[inspection.severities]
open = "major"
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("name",), 2),
        (("inspection",), 4),
        (("inspection", "thresholds", "short"), 5),
        (("zones", 0, "polygon", 1, 0), 10),
        (("zones", 1), 14),
        (("zones", 1, "name"), 15),
        (("zones", 1, "polygon"), 14),  # missing: where it should be
        (("inspection", "severities", "open"), 18),
        (("no", "such", "key"), None),
    ],
)
def test_the_line_in_which_a_key_stands(where, line):
    assert line_of(TEXT, where) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = \n", 2), ("a = 1\nb = [1,\n2\n", 3), ('a = "x\n', 1), ("", None)],
)
def test_the_line_in_which_a_file_stops_being_toml(text, line):
    if line is None:
        assert line_of_mistake(ValueError("a number of 5000 digits"), text) is None
        return
    with pytest.raises(tomllib.TOMLDecodeError) as refused:
        tomllib.loads(text)
    assert line_of_mistake(refused.value, text) == line
