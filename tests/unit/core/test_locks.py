"""What keeps units from being passed, and how it is kept."""

from __future__ import annotations

import pytest

from inspector.core.locks import Lock, LockBoard, LockKind

NOW = "2026-03-01T06:00:00.000000+00:00"
LATER = "2026-03-01T07:00:00.000000+00:00"


def lock(kind: LockKind = LockKind.PROCESS, subject: str = "", reason: str = "x", since: str = NOW):
    return Lock(kind=kind, subject=subject, reason=reason, since=since)


def test_the_oldest_lock_is_the_one_that_units_name() -> None:
    board = LockBoard()
    assert board.first is None
    board.set(lock(reason="the same defect ten times"))
    board.set(lock(LockKind.CHALLENGE, reason="due"))
    board.set(lock(reason="the same defect eleven times", since=LATER))
    assert board.first == lock(reason="the same defect eleven times"), "since it was first set"
    board.clear(LockKind.PROCESS)
    assert board.first == lock(LockKind.CHALLENGE, reason="due")


def test_every_change_is_reported_once() -> None:
    told: list[tuple[str, bool]] = []
    board = LockBoard(lambda of, stands: told.append((of.reason, stands)))
    board.set(lock(reason="a"))
    board.set(lock(reason="a", since=LATER))
    board.set(lock(reason="b"))
    board.clear(LockKind.PROCESS)
    board.clear(LockKind.PROCESS)
    assert told == [("a", True), ("b", True), ("b", False)]


def test_what_the_journal_keeps_stands_again_after_a_start() -> None:
    board, after = LockBoard(), LockBoard()
    board.set(lock(subject="top", reason='ten "mousebite" in a row'))
    board.set(lock(LockKind.CHALLENGE, reason="due"))
    after.restore(board.text(), now=LATER)
    assert after.standing == board.standing
    after.restore(None, now=LATER)
    assert after.standing == board.standing


@pytest.mark.parametrize("note", ["", "{", "[1]", "[{}]", '[{"kind": "other"}]', "3", "null"])
def test_a_note_that_nobody_can_read_locks(note: str) -> None:
    board = LockBoard()
    board.restore(note, now=NOW)
    assert board.first is not None
    assert board.first.is_acknowledged, "a person can end it"


def test_a_person_ends_what_waits_for_a_person_and_nothing_else() -> None:
    board = LockBoard()
    assert board.to_acknowledge(None) == ((), "there is no lock to acknowledge")
    challenge = lock(LockKind.CHALLENGE, reason="the challenge is due")
    board.set(challenge)
    found, problem = board.to_acknowledge(None)
    assert not found
    assert problem == "it does not end by being acknowledged: the challenge is due"
    board.set(lock(subject="top"))
    assert board.to_acknowledge(None) == ((lock(subject="top"),), "")
    assert board.to_acknowledge("process") == ((lock(subject="top"),), "")
    assert not board.to_acknowledge("challenge")[0]
    kept = LockBoard()
    kept.restore(board.text(without=[lock(subject="top")]), now=LATER)
    assert kept.standing == (challenge,)
