"""The drill's judge of changes sees what it is there to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.change_overs import Sent, audit_changes

SENT = [Sent("1000-0", "a", "0"), Sent("2000-0", "nobody-knows", "1"), Sent("3000-0", "c", "2")]


def change(entry: str, product: str, order: str | None, first: int | None) -> dict[str, Any]:
    return {
        "entry": entry,
        "result": "refused" if first is None else "accepted",
        "effective": {} if first is None else {"top": first},
        "product": {"name": product, "revision": "1"},
        "order": order,
    }


def unit(number: int, product: str, order: str | None, *codes: str) -> dict[str, Any]:
    return {
        "time": f"1970-01-01T00:00:{number:02}+00:00",
        "camera": "top",
        "unit": {"number": number},
        "product": {"name": product, "revision": "1"},
        "order": order,
        "result": "FAILED" if codes else "PASSED",
        "reason": None,
        "defects": [{"code": code} for code in codes],
    }


def changes() -> list[dict[str, Any]]:
    return [
        change("1000-0", "a", "0", 2),
        change("2000-0", "a", "0", None),
        change("3000-0", "c", "2", 4),
    ]


def units() -> list[dict[str, Any]]:
    both = ("open", "short")
    return [unit(1, "default", None), unit(2, "a", "0", *both), unit(3, "a", "0", *both),
            unit(4, "c", "2")]  # fmt: skip


def test_what_is_right_is_clean_and_says_how_long_the_old_product_stayed() -> None:
    every = ("1000-0", "2500-0", "3000-0")
    found = audit_changes(SENT, changes(), units(), undisturbed=every)
    assert found.is_clean, found
    assert found.took_ms == [0.0, 0.0]
    sent = [SENT[0], SENT[1], Sent("2500-0", "c", "2")]
    answers = [*changes()[:2], change("2500-0", "c", "2", 4)]
    late = audit_changes(sent, answers, units(), undisturbed=every)
    assert late.took_ms == [0.0, 500.0]


@pytest.mark.parametrize(
    ("index", "other"),
    [
        (1, unit(2, "c", "2")),
        (2, unit(3, "a", "0", "short")),
        (2, unit(3, "a", "7", "open", "short")),
        (3, unit(4, "c", "2", "short")),
        (0, unit(1, "a", None)),
    ],
)
def test_a_unit_of_another_product_or_judged_by_another_is_seen(index: int, other: Any) -> None:
    wrong = units()
    wrong[index] = other
    assert len(audit_changes(SENT, changes(), wrong).misjudged) >= 1


def test_an_answer_that_is_missing_doubled_or_out_of_order_is_seen() -> None:
    right = changes()
    assert audit_changes(SENT, right[:2], []).unanswered == ["3000-0"]
    assert audit_changes(SENT, [*right, right[2]], []).answered_otherwise
    assert audit_changes(SENT, [right[1], right[0], right[2]], []).answered_otherwise
    accepted = change("2000-0", "nobody-knows", "1", 3)
    assert audit_changes(SENT, [right[0], accepted, right[2]], []).answered_otherwise
