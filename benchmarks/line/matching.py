"""Which reported unit is which board, and which reported defect is which true one: pure.

The rules, in words: a unit and a board with the same serial are the same. What is left is paired
in order, by the cheapest way of leaving out boards and units; a unit is never paired with a board
whose serial another unit carries. A defect is found when a reported one of the same code overlaps
it with an IoU of a third; each report counts for one defect at most, and as many are found as can
be at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.line.truth import TrueBoard, TrueBox

FOUND_IOU = 0.33
LEFT_OUT = 2.0
"""What leaving out a board or a unit costs; pairing an unread serial costs less than both."""
UNREAD, MISREAD = 1.0, 3.0
FORBIDDEN = 100.0
LOOKED = frozenset({"PASSED", "FAILED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUnit:
    """What was reported of one unit."""

    serial: str | None
    """None where none was read."""
    result: str
    defects: tuple[TrueBox, ...] = ()
    reason: str | None = None
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A board and its unit; one of them is None where it has no partner."""

    board: TrueBoard | None
    unit: SeenUnit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Every board and every unit, once each."""

    pairs: tuple[Pair, ...]
    out_of_order: int
    """Units to move until the rest is in the boards' order."""


def align(boards: Sequence[TrueBoard], units: Sequence[SeenUnit]) -> Alignment:
    """Pair units with boards."""
    by_serial = _by_serial(boards, units)
    known = {board.serial for board in boards}
    # Units whose board is known stay where they are and hold the order; one that would cross is
    # taken out of the alignment, counted, and still judged by its board.
    steady = _longest_rising([by_serial[u] for u in sorted(by_serial)])
    moved = {u: b for u, b in by_serial.items() if b not in steady}
    left_boards = [b for b in range(len(boards)) if b not in moved.values()]
    left_units = [u for u in range(len(units)) if u not in moved]

    def cost(board: int, unit: int) -> float:
        if by_serial.get(unit) == board:
            return -FORBIDDEN
        if unit in by_serial or board in by_serial.values():
            return FORBIDDEN
        serial = units[unit].serial
        if serial is None:
            return UNREAD
        return FORBIDDEN if serial in known else MISREAD

    paired = _cheapest(left_boards, left_units, cost)
    paired += [(b, u) for u, b in moved.items()]
    lonely_boards = set(range(len(boards))) - {b for b, _ in paired}
    lonely_units = set(range(len(units))) - {u for _, u in paired}
    pairs = [Pair(boards[b], units[u]) for b, u in sorted(paired)]
    pairs += [Pair(boards[b], None) for b in sorted(lonely_boards)]
    pairs += [Pair(None, units[u]) for u in sorted(lonely_units)]
    return Alignment(pairs=tuple(pairs), out_of_order=len(moved))


def _by_serial(boards: Sequence[TrueBoard], units: Sequence[SeenUnit]) -> dict[int, int]:
    """Index of unit to index of board; the first unit with a serial has it."""
    places = {board.serial: index for index, board in enumerate(boards)}
    found: dict[int, int] = {}
    for index, unit in enumerate(units):
        board = places.pop(unit.serial, None) if unit.serial else None
        if board is not None:
            found[index] = board
    return found


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """A longest rising part of different numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        before = [run for run in runs if run[-1] < number]
        runs.append([*_longest(before), number])
    return set(_longest(runs))


def _longest(runs: Sequence[list[int]]) -> list[int]:
    return max(runs, key=lambda run: len(run), default=[])  # noqa: PLW0108 - mypy wants it typed


def _cheapest(
    boards: Sequence[int], units: Sequence[int], cost: Callable[[int, int], float]
) -> list[tuple[int, int]]:
    """The cheapest alignment of two sequences (Needleman and Wunsch)."""
    rows, columns = len(boards) + 1, len(units) + 1
    total = [[LEFT_OUT * (row + column) for column in range(columns)] for row in range(rows)]
    for row in range(1, rows):
        for column in range(1, columns):
            total[row][column] = min(
                total[row - 1][column - 1] + cost(boards[row - 1], units[column - 1]),
                total[row - 1][column] + LEFT_OUT,
                total[row][column - 1] + LEFT_OUT,
            )
    pairs = []
    row, column = rows - 1, columns - 1
    while row and column:
        here = total[row][column]
        if here == total[row - 1][column - 1] + cost(boards[row - 1], units[column - 1]):
            row, column = row - 1, column - 1
            pairs.append((boards[row], units[column]))
        elif here == total[row - 1][column] + LEFT_OUT:
            row -= 1
        else:
            column -= 1
    return pairs[::-1]


def match_defects(true: Sequence[TrueBox], seen: Sequence[TrueBox]) -> list[tuple[int, int]]:
    """As many pairs (true, seen) as possible; each index at most once.

    Same code, IoU of at least `FOUND_IOU`. Augmenting paths: exact, and fast for a board's few.
    """
    fits = [
        [s for s, box in enumerate(seen) if box.code == one.code and iou(one, box) >= FOUND_IOU]
        for one in true
    ]
    taken: dict[int, int] = {}

    def place(index: int, tried: set[int]) -> bool:
        for candidate in fits[index]:
            if candidate in tried:
                continue
            tried.add(candidate)
            if candidate not in taken or place(taken[candidate], tried):
                taken[candidate] = index
                return True
        return False

    for index in range(len(true)):
        place(index, set())
    return sorted((index, candidate) for candidate, index in taken.items())


def overlap(one: TrueBox, other: TrueBox) -> bool:
    """Whether two boxes share any area."""
    return iou(one, other) > 0


def iou(one: TrueBox, other: TrueBox) -> float:
    """Intersection over union; 0 where a box has no area."""
    width = min(one.x_px + one.width_px, other.x_px + other.width_px) - max(one.x_px, other.x_px)
    height = min(one.y_px + one.height_px, other.y_px + other.height_px) - max(one.y_px, other.y_px)
    shared = max(0.0, width) * max(0.0, height)
    area = one.width_px * one.height_px + other.width_px * other.height_px - shared
    return shared / area if area > 0 else 0.0
