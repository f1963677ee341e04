"""What an error says, whatever text it quotes."""

from __future__ import annotations

import pytest

from inspector.core.errors import ConfigurationError, DrainTimeoutError, InspectorError


@pytest.mark.parametrize("hostile", ["line\x1b[31m.mp4", "caf\u0065\u0301\u202egpj.exe"])
def test_no_text_that_an_error_quotes_reaches_a_terminal_as_a_command(hostile: str) -> None:
    said = str(InspectorError(f"no such file: {hostile}"))
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert said.startswith("no such file: ")


def test_every_problem_of_the_settings_is_one_line() -> None:
    error = ConfigurationError("a.toml: key: found 'x\ny'; expected z", "b is missing")
    assert error.problems == ("a.toml: key: found 'x y'; expected z", "b is missing")
    assert str(error) == "a.toml: key: found 'x y'; expected z; b is missing"


def test_stages_that_did_not_finish_are_named() -> None:
    error = DrainTimeoutError(["results", "publish"])
    assert str(error) == "still running at the drain deadline: results, publish"
