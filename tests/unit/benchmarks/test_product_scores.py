"""How product runs are judged, and what the commands of one are made of."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.line.matching import SeenUnit
from benchmarks.line.product_scores import commands_of, runs_together, score_run
from benchmarks.line.scenarios import ProductRun, Scenario
from benchmarks.line.scene import Scene
from benchmarks.line.truth import LineTruth, TrueBoard, TrueBox

BOX = TrueBox("short", 100, 100, 30, 30)


def board(number: int, product: str = "a", *, taught: bool = False, bad: bool = False) -> TrueBoard:
    return TrueBoard(
        number=number,
        serial=f"S{number}",
        ok=not bad,
        defects=(BOX,) if bad else (),
        width_px=600,
        height_px=500,
        rotation_deg=0,
        across_px=0,
        along_px=0,
        product=product,
        taught=taught,
    )


def truth(*boards: TrueBoard) -> LineTruth:
    return LineTruth(
        name="run",
        width_px=1280,
        height_px=720,
        fps=30,
        frames=100,
        travel="right",
        speed_px=10,
        boards=boards,
    )


BOARDS = (
    board(1, taught=True),
    board(2, taught=True),
    board(3),
    board(4, bad=True),
    replace(board(5), foreign=True),
    board(6, "b", taught=True),
    board(7, "b"),
)


def unit(number: int, result: str = "PASSED", reason: str | None = None, *found: TrueBox):
    return SeenUnit(serial=f"S{number}", result=result, reason=reason, defects=found)


RIGHT = [
    unit(1, "NOT_INSPECTED", "teaching"),
    unit(2, "NOT_INSPECTED", "teaching"),
    unit(3),
    unit(4, "FAILED", None, BOX),
    unit(5, "NOT_INSPECTED", "reference_mismatch"),
    unit(6, "NOT_INSPECTED", "teaching"),
    unit(7),
]


def test_commands_say_which_product_comes_and_which_boards_are_to_be_learned_and_nothing_else():
    assert commands_of(truth(*BOARDS)) == [
        {"after_unit": 0, "command": "set_product", "product": "a"},
        {"after_unit": 0, "command": "teach", "product": "a", "units": 2, "approve": True},
        {"after_unit": 5, "command": "set_product", "product": "b"},
        {"after_unit": 5, "command": "teach", "product": "b", "units": 1, "approve": True},
    ]


def test_a_run_that_is_right_falls_short_of_nothing():
    found = score_run(truth(*BOARDS), RIGHT)
    assert (found.in_order, found.taught_right, found.verdicts_right) == (7, 3, 3)
    assert (found.bad, found.found, found.foreign_refused) == (1, 1, 1)
    assert found.shortfalls() == []
    assert found.trouble == ()


def test_each_thing_that_is_wrong_is_counted_and_named():
    def with_unit(number: int, wrong: SeenUnit):
        return score_run(truth(*BOARDS), [*RIGHT[: number - 1], wrong, *RIGHT[number:]])

    passed = with_unit(4, unit(4))
    assert (passed.bad_passed, passed.found, passed.verdicts_right) == (1, 0, 2)
    assert passed.shortfalls()[0] == "bad boards PASSED: 1"
    assert "board 4 (S4): PASSED, expected FAILED" in passed.trouble
    foreign = with_unit(5, unit(5, "FAILED", None, BOX))
    assert (foreign.foreign_refused, foreign.false_defects) == (0, 0)
    assert "not every foreign board refused" in foreign.shortfalls()
    false = with_unit(3, unit(3, "FAILED", None, BOX))
    assert (false.false_defects, false.verdicts_right) == (1, 2)
    untaught = with_unit(1, unit(1))
    assert untaught.taught_right == 2
    assert "not every board that was to be learned from was" in untaught.shortfalls()
    unread = with_unit(3, replace(unit(3), serial=None))
    assert unread.in_order == 6


def test_runs_are_added_up():
    one = score_run(truth(*BOARDS), RIGHT)
    both = runs_together("all", [one, one])
    assert (both.boards, both.verdicts_right, both.foreign_refused) == (14, 6, 2)


def test_a_painted_run_is_taught_with_good_boards_and_has_a_foreign_one_per_product():
    run = ProductRun(designs=2, taught=3, inspected=4)
    scene = Scene(Scenario(name="x", seed=9, run=run, board_px=(300, 280), picture_px=(640, 360)))
    boards = scene.truth.boards
    assert [b.product for b in boards] == ["p1"] * 7 + ["p2"] * 7
    assert [b.taught for b in boards] == [True, True, True, False, False, False, False] * 2
    assert all(b.ok and not b.foreign for b in boards if b.taught)
    assert [sum(b.foreign for b in boards if b.product == p) for p in ("p1", "p2")] == [1, 1]
    assert all(b.ok == (not b.defects) for b in boards)
    assert any(b.defects for b in boards)
    assert len({b.serial for b in boards}) == 14
    again = LineTruth.of_json("x", scene.truth.as_json())
    assert [(b.product, b.taught, b.foreign) for b in again.boards] == [
        (b.product, b.taught, b.foreign) for b in boards
    ]
    assert commands_of(again)[3]["after_unit"] == 7
