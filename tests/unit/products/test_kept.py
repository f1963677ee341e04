from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.core.recipes import JobState
from inspector.products.kept import KeptChange, KeptJobs, kept_jobs, read_kept
from tests.kit import jobs


def test_what_was_kept_is_read_again() -> None:
    one = replace(jobs.job(JobState.CHANGING_OVER, product="ü"), order="88", lot="1", context="{}")
    kept = KeptJobs(
        last_number=7,
        cameras=kept_jobs({jobs.A: one}),
        before=kept_jobs({jobs.A: jobs.job()}),
        change=KeptChange(name="set_product", fields={"product": "ü"}, by="http", entry="5-1"),
    )
    assert read_kept(kept.text()) == kept
    assert kept.cameras["a"].product == "ü"


@pytest.mark.parametrize("note", [None, "", "{}", "[1]", '{"last_number": -1, "cameras": {}}'])
def test_a_note_that_says_nothing_is_none(note: str | None) -> None:
    assert read_kept(note) is None
