"""Logins that hide in URLs, and what may be shown of a URL that cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.url_text import STARS, hides_login, unparsed


@given(st.text(min_size=1))
def test_nothing_but_the_scheme_is_shown_of_a_url_that_could_not_be_read(rest: str) -> None:
    assert unparsed(f"rtsp://{rest}") in {f"rtsp://{STARS}", f"rtsp:///{STARS}"}


def test_text_without_a_scheme_is_shown_as_it_is() -> None:
    assert unparsed("/dev/video0") == "/dev/video0"


@pytest.mark.parametrize("mark", "#/?")
def test_a_password_that_was_not_encoded_is_seen_behind_the_host_it_seems_to_be(mark: str) -> None:
    assert hides_login(f"admin:12{mark}34@camera")


@pytest.mark.parametrize(
    "rest",
    [
        "admin:1234@camera/live",
        "camera/live?user=1",
        "192.0.2.1:554/live/a@b",
        "cam:s3cret@cam.local/live/ch@2",
        "[::1]:554/live/a@b",
    ],
)
def test_an_at_sign_elsewhere_is_no_hidden_login(rest: str) -> None:
    assert not hides_login(rest)
