"""Which known parts are due, and how far the challenge under way is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inspector.challenge.book import ChallengeBook, Ended, InForce, Why
from inspector.core.challenges import Differs
from inspector.core.records import CameraId, Result
from inspector.core.verdicts import Verdict
from inspector.settings.challenge_sections import ChallengeSettings
from tests.kit.known_parts import BY_SERIAL, IN_ORDER, defect, known_set
from tests.kit.known_parts import seen as judged

TOP = CameraId("top")
DAY_S, HOUR_S = 86_400.0, 3600.0
NOW_S = 1_800_000_000.0
NORMAL = InForce(product="4711", models="m 1", revision="r1")


class Line:
    """A book, and units that come one after another."""

    def __init__(self, text: str = IN_ORDER, **terms: Any) -> None:
        self.sets = [known_set(text)]
        self.terms = ChallengeSettings(**terms)
        self.now_s = NOW_S
        self.number = 0
        self.book = ChallengeBook(self.sets, self.terms, None)
        self.start()

    def start(self) -> Ended | None:
        ended = self.book.in_force({TOP: NORMAL}, self.now_s)
        return self.book.begin_life(self.now_s) or ended

    def restart(self, after_s: float = 0.0) -> Ended | None:
        """Of a kill, too: what is not in the note is gone."""
        note = self.book.text()
        self.now_s += after_s
        self.book = ChallengeBook(self.sets, self.terms, note)
        return self.start()

    @property
    def due(self) -> tuple[Why, ...]:
        return self.book.due[0][1].due if self.book.due else ()

    def begin(self, name: str | None = None) -> None:
        found, problem = self.book.to_begin(name)
        assert found is not None, problem
        self.book.begin(
            found, check_id="C1", by="Kim", first_unit=self.number + 1, now_s=self.now_s
        )

    def unit(self, *codes: str, called: str = "") -> Ended | str | None:
        """How the check ended, "production", or None."""
        self.number += 1
        self.now_s += 1
        called = called or f"u{self.number}"
        seen = replace(judged(*map(defect, codes)), unit_number=self.number)
        return self.judged(seen, called)

    def judged(self, seen: Verdict, called: str) -> Ended | str | None:
        part = self.book.part(seen, called)
        if part is None:
            self.book.count(TOP, seen.unit_number, self.now_s)
            return "production"
        return self.book.shown(part, seen, unit_id=called, unit_event_id="E", now_s=self.now_s)

    def hold(self) -> None:
        self.begin()
        assert self.unit() is None
        ended = self.unit("open")
        assert isinstance(ended, Ended)
        assert ended.result == "held"


def test_a_station_that_has_never_shown_that_it_sees_has_to_before_it_passes_anything() -> None:
    line = Line(every_units=10)
    line.book.look_at_clock(line.now_s, None)
    assert line.due == (Why.FIRST,)
    line.hold()
    assert not line.due
    nothing_asked = Line()
    nothing_asked.book.look_at_clock(NOW_S, None)
    assert not nothing_asked.due


def test_it_is_due_once_a_shift_began_and_until_it_held() -> None:
    line = Line(at=["06:00"])
    line.hold()
    line.book.look_at_clock(line.now_s, line.now_s - HOUR_S)
    assert not line.due
    line.now_s += DAY_S
    line.book.look_at_clock(line.now_s, line.now_s - HOUR_S)
    assert line.due == (Why.SHIFT,)
    line.restart()
    assert line.due == (Why.SHIFT,)
    line.hold()
    line.book.look_at_clock(line.now_s, line.now_s - HOUR_S)
    assert not line.due


def test_it_is_due_after_exactly_so_many_units_of_production() -> None:
    line = Line(every_units=5)
    line.hold()
    for _ in range(5):
        assert line.unit() == "production"
    assert not line.due
    line.unit()
    assert line.due == (Why.UNITS,), "before the sixth is judged"


@pytest.mark.parametrize(
    ("terms", "change", "why"),
    [
        ({"after_change_over": True}, {"product": "4712"}, Why.CHANGE_OVER),
        ({"after_new_model": True}, {"models": "m 2"}, Why.NEW_MODEL),
        ({"after_new_revision": True}, {"revision": "r2"}, Why.NEW_REVISION),
    ],
)
def test_it_is_due_when_something_else_decides(
    terms: dict[str, Any], change: dict[str, str], why: Why
) -> None:
    line = Line(**terms)
    line.hold()
    after = replace(NORMAL, **change)
    line.book.in_force({TOP: after}, line.now_s)
    assert line.due == (why,)
    quiet = Line(every_units=100)
    quiet.hold()
    quiet.book.in_force({TOP: after}, quiet.now_s)
    assert not quiet.due, "nobody asked for it"


def test_a_model_that_is_not_known_now_is_no_other_one() -> None:
    line = Line(after_new_model=True)
    line.hold()
    line.book.in_force({TOP: replace(NORMAL, models="")}, line.now_s)
    assert not line.due
    line.book.in_force({TOP: NORMAL}, line.now_s)
    assert not line.due


def test_it_is_due_after_a_stop_that_was_long_and_not_after_a_short_one() -> None:
    line = Line(after_stop_min=10)
    line.hold()
    line.book.is_alive(line.now_s)
    line.restart(after_s=9 * 60)
    assert not line.due
    line.restart(after_s=11 * 60)
    assert line.due == (Why.STOP,)


def test_a_note_that_nobody_can_read_makes_every_set_due() -> None:
    line = Line()
    line.book = ChallengeBook(line.sets, line.terms, "{")
    line.start()
    assert line.due == (Why.FIRST,)


def test_only_sets_of_the_product_in_force_are_due() -> None:
    line = Line('products = ["4711"]\n' + IN_ORDER, every_units=1)
    line.book.look_at_clock(line.now_s, None)
    assert line.due
    line.book.in_force({TOP: replace(NORMAL, product="4712")}, line.now_s)
    assert not line.due
    assert line.book.to_begin(None)[1] == "there is no set of known parts for the product in force"
    line.book.in_force({TOP: NORMAL}, line.now_s)
    assert line.due


def test_units_that_were_opened_before_it_began_are_no_parts() -> None:
    line = Line()
    line.begin()
    line.number -= 1
    assert line.unit() == "production"
    assert line.unit() is None


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        ([[], []], "bad: it is bad and passed; expected open"),
        ([["open"], ["open"]], "good: it is good and failed: open"),
        ([[], ["short"]], "bad: open was not found"),
    ],
)
def test_what_is_shown_otherwise_fails_it_and_it_is_due(
    shown: list[list[str]], problem: str
) -> None:
    line = Line("retries = 0\n" + IN_ORDER)
    line.begin()
    ended = None
    for codes in shown:
        if isinstance(ended, Ended):
            break
        ended = line.unit(*codes)
    assert isinstance(ended, Ended)
    assert (ended.result, ended.problem) == ("failed", problem)
    assert line.due == (Why.FAILED,)
    line.restart()
    assert line.due == (Why.FAILED,)
    line.hold()
    assert not line.due


def test_a_part_may_be_shown_again_as_often_as_the_set_says() -> None:
    line = Line()
    line.begin()
    assert line.unit("open") is None
    assert line.due == (Why.FAILED,), "at once: nothing is sure any more"
    assert line.unit() == "production", "it waits for somebody who says what to do"
    assert line.book.retry(first_unit=line.number + 1, now_s=line.now_s) == ""
    assert line.book.retry(first_unit=line.number + 1, now_s=line.now_s) == (
        "it waits for a part already"
    )
    assert line.unit() is None
    ended = line.unit("open")
    assert isinstance(ended, Ended)
    assert ended.result == "held"
    assert [part.as_expected for part in ended.parts] == [False, True, True]
    assert not line.due
    line.begin()
    for _ in range(2):
        line.book.retry(first_unit=line.number + 1, now_s=line.now_s)
        ended = line.unit("open")
    assert isinstance(ended, Ended)
    assert ended.result == "failed"


def test_what_is_due_stays_so_where_somebody_ends_the_challenge() -> None:
    line = Line(every_units=1)
    line.book.look_at_clock(line.now_s, None)
    line.begin()
    line.unit()
    ended = line.book.abort("Kim", line.now_s)
    assert ended is not None
    assert (ended.result, ended.problem) == ("aborted", "ended by Kim")
    assert line.due == (Why.FIRST,)
    assert line.book.abort("Kim", line.now_s) is None


def test_a_part_that_never_comes_fails_it() -> None:
    line = Line(patience_min=5)
    line.begin()
    line.unit()
    assert line.book.expire(line.now_s + 5 * 60) is None
    ended = line.book.expire(line.now_s + 5 * 60 + 1)
    assert ended is not None
    assert (ended.result, ended.problem) == ("failed", "bad was not shown in time")
    assert line.due == (Why.FAILED,)


def test_a_challenge_goes_on_after_a_kill_with_the_part_that_is_next() -> None:
    line = Line()
    line.begin()
    line.unit()
    assert line.restart() is None
    assert line.book.next_position == 1
    ended = line.unit("open")
    assert isinstance(ended, Ended)
    assert ended.result == "held"


def test_parts_are_shown_to_one_and_the_same_model() -> None:
    for change in ({"models": "m 2"}, {"revision": "r2"}, {"product": "4712", "revision": "r3"}):
        line = Line('products = ["4711"]\n' + IN_ORDER)
        line.begin()
        line.unit()
        ended = line.book.in_force({TOP: replace(NORMAL, **change)}, line.now_s)
        assert ended is not None
        assert ended.result == "aborted"
    away = Line()
    away.begin()
    assert away.book.in_force({TOP: replace(NORMAL, models="")}, away.now_s) is None


def test_a_set_that_was_edited_meanwhile_is_shown_anew() -> None:
    line = Line()
    line.begin()
    line.sets = [known_set(IN_ORDER + "\n")]
    ended = line.restart()
    assert ended is not None
    assert ended.problem == "the file of the set was changed"


def test_parts_with_a_serial_are_known_by_it_and_others_are_production() -> None:
    line = Line(BY_SERIAL)
    line.begin()
    assert line.unit(called="4711-001") == "production"
    assert line.unit(called="G") is None
    assert line.unit("open", called="4711-002") == "production"
    ended = line.unit("open", called="B")
    assert isinstance(ended, Ended)
    assert ended.result == "held"


def test_a_part_out_of_turn_is_the_wrong_one() -> None:
    line = Line("retries = 0\n" + BY_SERIAL)
    line.begin()
    part = line.book.part(replace(judged(defect()), unit_number=1), "B")
    assert part is not None
    assert [d.kind for d in part.differences] == [Differs.WRONG_PART]
    ended = line.unit("open", called="B")
    assert isinstance(ended, Ended)
    assert ended.problem == "good: bad came first; expected good"


def test_with_any_order_what_was_seen_last_of_a_part_counts() -> None:
    line = Line('order = "any"\nretries = 3\n' + BY_SERIAL)
    line.begin()
    assert line.book.next_position is None
    assert line.unit("open", called="B") is None
    assert line.unit(called="B") is None, "it is not seen any more"
    line.book.retry(first_unit=line.number + 1, now_s=line.now_s)
    assert line.unit(called="G") is None
    ended = line.unit("open", called="B")
    assert isinstance(ended, Ended)
    assert ended.result == "held"


def test_a_part_that_was_not_inspected_was_not_recognised() -> None:
    line = Line("retries = 0\n" + IN_ORDER)
    line.begin()
    line.number += 1
    lost = replace(
        judged(), unit_number=line.number, result=Result.NOT_INSPECTED, reason="no_frame"
    )
    ended = line.judged(lost, "u1")
    assert isinstance(ended, Ended)
    assert ended.problem == "good: it was not inspected: no_frame"


def test_one_challenge_at_a_time() -> None:
    line = Line()
    assert line.book.to_begin("other")[1] == (
        "set is 'other', expected one for the product in force: gold"
    )
    line.begin("gold")
    assert line.book.to_begin(None)[1] == "set 'gold' is being shown already"
