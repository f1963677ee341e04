from __future__ import annotations

from inspector.core.records import Stream
from inspector.doctor.findings import Mark
from inspector.doctor.redis_readers import judge_readers
from inspector.publish.readers import Reader, Readers

DAY_S = 86_400.0


def reader(
    group: str, *, undelivered: int = 0, pending: int = 0, oldest_s: float = 0.0, lost: int = 0
) -> Reader:
    return Reader(
        stream=Stream.UNITS,
        group=group,
        undelivered=undelivered,
        pending=pending,
        oldest_s=oldest_s,
        lost=lost,
    )


def judged(*watched: Reader):
    readers = Readers(watched=watched, unwatched={})
    return judge_readers(readers, retention_s=14 * DAY_S)


def test_nobody_reads_yet() -> None:
    found = judged()
    assert (found.mark, found.found) == (Mark.OK, "no consumer group yet")


def test_readers_that_keep_up() -> None:
    found = judged(reader("mes", undelivered=3, pending=1, oldest_s=7200), reader("spc"))
    assert found.mark is Mark.OK
    assert found.found == (
        "mes (units): 3 not delivered, 1 not acknowledged, the oldest 2.0 h old; "
        "spc (units): has everything"
    )


def test_the_one_that_is_too_far_behind_comes_first_and_is_named() -> None:
    others = [reader(f"g{number}") for number in range(5)]
    found = judged(*others, reader("mes", undelivered=9000, oldest_s=8 * DAY_S))
    assert found.mark is Mark.WARN
    assert found.found.startswith("mes (units): 9000 not delivered")
    assert found.found.endswith("3 more")
    assert "start what reads as mes, " in found.advice


def test_one_that_has_lost_events() -> None:
    found = judged(reader("mes", lost=8))
    assert found.mark is Mark.WARN
    assert found.found == "mes (units): has everything that is left, 8 lost"
