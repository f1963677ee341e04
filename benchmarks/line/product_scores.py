"""How well products were taught, told apart and inspected: figures of one product run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from benchmarks.line.matching import LOOKED, SeenUnit, align, match_defects, overlap
from benchmarks.line.truth import LineTruth, TrueBoard
from inspector.core.recipes import ANOMALY

VERDICTS_RIGHT = 0.99
DEFECTS_FOUND = 0.98
BOARDS_PER_FALSE_DEFECT = 50
"""What is required of all runs together; of each: no bad or foreign board passed, every unit and
serial in order, every foreign board refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScore:
    """The figures of one run."""

    name: str
    boards: int
    units: int
    in_order: int
    """Boards with exactly one unit, in its place, under its serial."""
    taught: int
    """Boards to learn from."""
    taught_right: int
    """Of these, NOT_INSPECTED because they were learned from."""
    inspected: int
    """Boards of the product on order."""
    verdicts_right: int
    bad: int
    bad_passed: int
    defects: int
    found: int
    false_defects: int
    """On boards of the product on order. That something is unlike good boards is true where any
    defect is."""
    bad_unlike: int
    """Bad boards on which the model that was taught found something."""
    good_unlike: int
    """Good ones on which it did."""
    foreign: int
    foreign_refused: int
    """Neither PASSED nor FAILED."""
    trouble: tuple[str, ...]
    """What was not as it should be, board by board, in words."""

    def shortfalls_alone(self) -> list[str]:
        """Which of the figures that hold for each run are not reached, in words."""
        wrong = []
        if self.in_order < self.boards or self.units != self.boards:
            wrong.append("not every unit in order with its serial")
        if self.taught_right < self.taught:
            wrong.append("not every board that was to be learned from was")
        if self.bad_passed:
            wrong.append(f"bad boards PASSED: {self.bad_passed}")
        if self.foreign_refused < self.foreign:
            wrong.append("not every foreign board refused")
        return wrong

    def shortfalls(self) -> list[str]:
        """Which of the required figures are not reached, in words."""
        wrong = self.shortfalls_alone()
        if self.verdicts_right < VERDICTS_RIGHT * self.inspected:
            wrong.append(f"verdicts right: fewer than {VERDICTS_RIGHT:.0%}")
        if self.found < DEFECTS_FOUND * self.defects:
            wrong.append(f"defects found: fewer than {DEFECTS_FOUND:.0%}")
        if self.false_defects * BOARDS_PER_FALSE_DEFECT > self.inspected:
            wrong.append(f"false defects: more than one per {BOARDS_PER_FALSE_DEFECT} boards")
        return wrong

    def as_json(self) -> dict[str, Any]:
        """Every figure, and what was wrong."""
        return asdict(self) | {"shortfalls": self.shortfalls()}


def commands_of(truth: LineTruth) -> list[dict[str, Any]]:
    """What somebody at the line would ask for: nothing but which product comes, and which to learn.

    Lines of `inspector replay --commands`.
    """
    found: list[dict[str, Any]] = []
    before: TrueBoard | None = None
    for index, board in enumerate(truth.boards):
        if before is None or board.product != before.product:
            found.append({"after_unit": index, "command": "set_product", "product": board.product})
        if board.taught and not (
            before is not None and before.taught and before.product == board.product
        ):
            found.append(
                {
                    "after_unit": index,
                    "command": "teach",
                    "product": board.product,
                    "units": _taught_from(truth.boards[index:]),
                    "approve": True,
                }
            )
        before = board
    return found


def _taught_from(boards: Sequence[TrueBoard]) -> int:
    count = 0
    for board in boards:
        if not board.taught or board.product != boards[0].product:
            break
        count += 1
    return count


def score_run(truth: LineTruth, units: Sequence[SeenUnit]) -> RunScore:
    """Judge what was reported of one run."""
    alignment = align(truth.boards, units)
    pairs = [(p.board, p.unit) for p in alignment.pairs if p.board and p.unit]
    to_inspect = [(b, u) for b, u in pairs if not (b.taught or b.foreign)]
    found = [len(match_defects(b.defects, u.defects)) for b, u in to_inspect]
    boards = [b for b in truth.boards if not (b.taught or b.foreign)]
    foreign = [(b, u) for b, u in pairs if b.foreign]
    learned = [u for b, u in pairs if b.taught and u.reason == "teaching"]
    return RunScore(
        name=truth.name,
        boards=len(truth.boards),
        units=len(units),
        in_order=sum(b.serial == u.serial for b, u in pairs) - alignment.out_of_order,
        taught=sum(b.taught for b in truth.boards),
        taught_right=len(learned),
        inspected=len(boards),
        verdicts_right=sum(u.result == _expected(b) for b, u in to_inspect),
        bad=sum(not b.ok for b in boards),
        bad_passed=sum(u.result == "PASSED" and not b.ok for b, u in to_inspect),
        defects=sum(len(b.defects) for b in boards),
        found=sum(found),
        false_defects=sum(_false_defects(b, u) for b, u in to_inspect) - sum(found),
        bad_unlike=sum(_is_unlike(u) for b, u in to_inspect if not b.ok),
        good_unlike=sum(_is_unlike(u) for b, u in to_inspect if b.ok),
        foreign=sum(b.foreign for b in truth.boards),
        foreign_refused=sum(u.result not in LOOKED for _, u in foreign),
        trouble=tuple(_trouble(truth.boards, units)),
    )


def _is_unlike(unit: SeenUnit) -> bool:
    return any(seen.code == ANOMALY for seen in unit.defects)


def _false_defects(board: TrueBoard, unit: SeenUnit) -> int:
    """Those found, less the anomalies that lie on a defect of any kind."""
    return sum(
        seen.code != ANOMALY or not any(overlap(seen, true) for true in board.defects)
        for seen in unit.defects
    )


def _expected(board: TrueBoard) -> str:
    return "PASSED" if board.ok else "FAILED"


def _trouble(boards: Sequence[TrueBoard], units: Sequence[SeenUnit]) -> Iterator[str]:
    for pair in align(boards, units).pairs:
        board, unit = pair.board, pair.unit
        if board is None:
            yield f"a unit too many: {unit}"
        elif unit is None:
            yield f"board {board.number}: no unit"
        else:
            who = f"board {board.number} ({board.serial})"
            yield from (f"{who}: {what}" for what in _wrong_with(board, unit))


def _wrong_with(board: TrueBoard, unit: SeenUnit) -> Iterator[str]:
    said = f"{unit.result} {unit.reason or ''}".strip()
    if unit.serial != board.serial:
        yield f"serial {unit.serial or 'not read'}"
    if board.taught:
        if unit.reason != "teaching":
            yield f"{said}, expected NOT_INSPECTED teaching"
    elif board.foreign:
        if unit.result in LOOKED:
            yield f"foreign, {said}"
    else:
        if unit.result != _expected(board):
            yield f"{said}, expected {_expected(board)}"
        matched = match_defects(board.defects, unit.defects)
        true, seen = {true for true, _ in matched}, {seen for _, seen in matched}
        yield from (f"not found: {d}" for n, d in enumerate(board.defects) if n not in true)
        yield from (
            f"not there: {d}"
            for n, d in enumerate(unit.defects)
            if n not in seen
            and not (d.code == ANOMALY and any(overlap(d, true) for true in board.defects))
        )


def runs_together(name: str, scores: Sequence[RunScore]) -> RunScore:
    """All runs as one."""
    sums = {
        field.name: sum(getattr(one, field.name) for one in scores)
        for field in fields(RunScore)
        if field.name not in {"name", "trouble"}
    }
    return RunScore(name=name, trouble=(), **sums)
