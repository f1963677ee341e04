"""From paired units and boards to the figures that the requirement names: pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.line.matching import LOOKED, Pair, SeenUnit, align, match_defects
from benchmarks.line.truth import TrueBoard

VERDICTS_RIGHT = 0.97
DEFECTS_FOUND = 0.95
FALSE_PER_BOARD = 0.1
"""What a line video must reach with the real model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The figures of one video."""

    name: str
    boards: int
    units: int
    missing: int
    """Boards without a unit."""
    extra: int
    """Units without a board."""
    out_of_order: int
    serials_right: int
    serials_wrong: int
    serials_unread: int
    verdicts_right: int
    wrongly_passed: int
    wrongly_failed: int
    not_inspected: int
    excused: int
    """Of these, on boards that nobody could see."""
    defects: int
    found: int
    false_defects: int
    latency_ms: tuple[float, ...]
    trouble: tuple[str, ...]
    """What was not as it should be, board by board, in words."""

    @property
    def false_per_board(self) -> float:
        """Reported defects that are none, per board."""
        return self.false_defects / self.boards if self.boards else float(self.false_defects)

    @property
    def units_are_right(self) -> bool:
        """Exactly one unit per board, in order, every serial right."""
        odd = self.missing + self.extra + self.out_of_order
        return not odd and self.serials_right == self.boards

    @property
    def is_perfect(self) -> bool:
        """Nothing to improve: what a perfect detector must lead to."""
        return (
            self.units_are_right
            and self.verdicts_right + self.excused == self.boards
            and self.found == self.defects
            and not self.false_defects
        )

    def shortfalls(self) -> list[str]:
        """Which of the required figures are not reached, in words."""
        wrong = []
        if not self.units_are_right:
            wrong.append("not exactly one unit per board, in order, with its serial")
        if self.verdicts_right + self.excused < VERDICTS_RIGHT * self.boards:
            wrong.append(f"verdicts right: fewer than {VERDICTS_RIGHT:.0%}")
        if self.found < DEFECTS_FOUND * self.defects:
            wrong.append(f"defects found: fewer than {DEFECTS_FOUND:.0%}")
        if self.false_per_board > FALSE_PER_BOARD:
            wrong.append(f"false defects: more than {FALSE_PER_BOARD:g} per board")
        return wrong

    def percentile_ms(self, percent: int) -> float | None:
        """Of the time from trigger to verdict; None without units."""
        if not self.latency_ms:
            return None
        if len(self.latency_ms) == 1:
            return self.latency_ms[0]
        return statistics.quantiles(self.latency_ms, n=100, method="inclusive")[percent - 1]

    def as_json(self) -> dict[str, Any]:
        """Every figure, and what was wrong."""
        return asdict(self) | {
            "latency_ms": {"p50": self.percentile_ms(50), "p95": self.percentile_ms(95)},
            "false_per_board": round(self.false_per_board, 4),
            "shortfalls": self.shortfalls(),
            "perfect": self.is_perfect,
        }


def score(name: str, boards: Sequence[TrueBoard], units: Sequence[SeenUnit]) -> Score:
    """Judge what was reported of one video."""
    alignment = align(boards, units)
    pairs = [(p.board, p.unit) for p in alignment.pairs if p.board and p.unit]
    matched = {id(u): match_defects(b.defects, u.defects) for b, u in pairs}
    found = sum(len(pairs_of) for pairs_of in matched.values())
    serials = [(b.serial, u.serial) for b, u in pairs]
    uninspected = [b for b, u in pairs if u.result not in LOOKED]
    return Score(
        name=name,
        boards=len(boards),
        units=len(units),
        missing=len(boards) - len(pairs),
        extra=len(units) - len(pairs),
        out_of_order=alignment.out_of_order,
        serials_right=sum(true == read for true, read in serials),
        serials_wrong=sum(read not in {None, true} for true, read in serials),
        serials_unread=sum(read is None for _, read in serials),
        verdicts_right=sum(u.result == _expected(b) for b, u in pairs),
        wrongly_passed=sum(u.result == "PASSED" and not b.ok for b, u in pairs),
        wrongly_failed=sum(u.result == "FAILED" and b.ok for b, u in pairs),
        not_inspected=len(uninspected),
        excused=sum(b.may_be_uninspected for b in uninspected),
        # Nobody can be blamed for the defects of a board that could not be seen.
        defects=sum(len(b.defects) for b in boards)
        - sum(len(b.defects) for b in uninspected if b.may_be_uninspected),
        found=found,
        false_defects=sum(len(u.defects) for u in units) - found,
        latency_ms=tuple(unit.latency_ms for unit in units),
        trouble=tuple(_trouble(alignment.pairs, matched)),
    )


def _expected(board: TrueBoard) -> str:
    return "PASSED" if board.ok else "FAILED"


def _trouble(pairs: Sequence[Pair], matched: dict[int, list[tuple[int, int]]]) -> Iterable[str]:
    for pair in pairs:
        board, unit = pair.board, pair.unit
        if unit is None and board is not None:
            yield f"board {board.number} ({board.serial}): no unit"
        elif board is None and unit is not None:
            yield f"a unit too many: {_words(unit)}"
        elif board is not None and unit is not None:
            yield from _trouble_with(board, unit, matched[id(unit)])


def _trouble_with(
    board: TrueBoard, unit: SeenUnit, matched: Sequence[tuple[int, int]]
) -> Iterable[str]:
    who = f"board {board.number} ({board.serial})"
    if unit.serial != board.serial:
        yield f"{who}: serial {unit.serial or 'not read'}"
    if unit.result != _expected(board):
        yield f"{who}: {_words(unit)}, expected {_expected(board)}"
    found, right = {true for true, _ in matched}, {seen for _, seen in matched}
    for index, defect in enumerate(board.defects):
        if index not in found:
            yield f"{who}: not found: {defect}"
    for index, defect in enumerate(unit.defects):
        if index not in right:
            yield f"{who}: not there: {defect}"


def _words(unit: SeenUnit) -> str:
    reason = f" ({unit.reason})" if unit.reason else ""
    return f"{unit.result}{reason}, serial {unit.serial or 'not read'}"


def together(name: str, scores: Sequence[Score]) -> Score:
    """All videos as one."""
    sums = {
        key: sum(getattr(one, key) for one in scores)
        for key in Score.__dataclass_fields__
        if key not in {"name", "latency_ms", "trouble"}
    }
    return Score(
        name=name,
        latency_ms=tuple(ms for one in scores for ms in one.latency_ms),
        trouble=(),
        **sums,
    )
