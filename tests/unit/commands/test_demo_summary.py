"""A demo that inspected nothing has failed, and says why; else it tells what came of what."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from inspector.commands.demo import answer_line, codes_line, demo_settings
from inspector.commands.demo_mes import CAMERA, LinePlan
from inspector.commands.demo_summary import Summary
from inspector.events.consumer import ReceivedEvent
from inspector.settings.settings import Settings
from inspector.simulation.belt import SimulatedView
from inspector.simulation.options import parse_options
from inspector.sources.simulated.uri import SimulatedUri


def unit(result: str, reason: str | None = None, detail: str = "", **more: Any) -> ReceivedEvent:
    body: dict[str, Any] = {
        "defects": [],
        "reason": reason,
        "detail": detail,
        "timing_ms": {"trigger_to_verdict": 12.0},
    }
    return ReceivedEvent(
        entry_id="1-0",
        id="a",
        seq=1,
        schema="inspector.unit/1",
        time="",
        unit_id=more.pop("unit_id", "u"),
        result=result,
        body=body | more,
    )


def board(
    number: int, result: str, product: str, reference: str = "", **more: Any
) -> ReceivedEvent:
    return unit(
        result,
        unit_id=f"SIM-{number:06d}",
        product={"name": product, "revision": "A"},
        reference={"id": reference} if reference else None,
        **more,
    )


def failure(tmp_path: Path, *units: ReceivedEvent) -> str:
    summary = Summary(demo_settings(None, 0, tmp_path))
    for one in units:
        summary.add(one)
    return summary.failure()


def test_nothing_is_wrong_while_a_unit_was_inspected_or_none_came(tmp_path: Path) -> None:
    lost = unit("NOT_INSPECTED", "model_unavailable", "Triton is down")
    assert not failure(tmp_path)
    assert not failure(tmp_path, lost, unit("PASSED"), lost)


def test_units_of_which_none_was_inspected_are_a_failure_with_its_cause(tmp_path: Path) -> None:
    lost = unit("NOT_INSPECTED", "model_unavailable", "Triton is down")
    late = unit("NOT_INSPECTED", "deadline_missed")
    assert failure(tmp_path, lost, lost, late) == (
        "none of 3 units was inspected: model_unavailable (2), Triton is down"
    )


def test_units_to_teach_from_are_no_failure(tmp_path: Path) -> None:
    taught = unit("NOT_INSPECTED", "teaching", "controller is being taught")
    assert not failure(tmp_path, taught, taught)
    assert failure(tmp_path, taught, unit("NOT_INSPECTED", "deadline_missed"))


def shown(summary: Summary) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(summary.table(4711))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    return [" ".join(line.strip("│┃ ").replace("│", " ").split()) for line in lines]


def view_of(settings: Settings) -> SimulatedView:
    camera = settings.cameras[CAMERA]
    assert isinstance(camera.source, SimulatedUri)
    return SimulatedView(parse_options(camera.source.options), camera.size)


def right(view: SimulatedView, number: int) -> str:
    return "FAILED" if view.board(number).truth else "PASSED"


def test_the_summary_says_what_came_of_each_product(tmp_path: Path) -> None:
    settings = demo_settings(None, 0, tmp_path)
    summary, view = Summary(settings), view_of(settings)
    for number in (1, 2):
        summary.add(board(number, "FAILED", "controller"))
    for number in (3, 4):
        summary.add(board(number, "NOT_INSPECTED", "controller", reason="teaching"))
    judged = range(13, 21)
    for number in judged:
        summary.add(board(number, right(view, number), "controller", "controller/1"))
    summary.add(board(33, right(view, 33), "controller", "controller/1"))
    lines = shown(summary)
    bad = sum(bool(view.board(number).truth) for number in judged)
    assert 0 < bad < len(judged)
    is_bad = bool(view.board(33).truth)
    bad, good = bad + is_bad, len(judged) - bad + (not is_bad)
    assert "frames captured 4711" in lines
    assert "controller: units 13" in lines
    assert "to teach what a good one looks like 2" in lines
    assert "drawn good, by one picture alone: judged right 0 of 2" in lines
    compared = "compared with controller/1: judged right"
    assert f"drawn good, {compared} {good} of {good}" in lines
    assert f"drawn bad, {compared} {bad} of {bad}" in lines
    # Board 33 lies on the belt as a panel.
    assert "judged as another product than was drawn 1" in lines


def test_a_wrong_verdict_is_counted_as_one(tmp_path: Path) -> None:
    settings = demo_settings(None, 0, tmp_path)
    summary, view = Summary(settings), view_of(settings)
    good = next(n for n in range(13, 21) if not view.board(n).truth)
    summary.add(board(good, "FAILED", "controller", "controller/1"))
    compared = "compared with controller/1: judged right"
    assert f"drawn good, {compared} 0 of 1" in shown(summary)


def test_the_line_of_the_demo_makes_two_products_and_pauses_in_between(tmp_path: Path) -> None:
    settings = demo_settings(None, 0, tmp_path)
    plan = LinePlan.of(settings)
    assert plan is not None
    view = view_of(settings)
    last = plan.order_of(1).last_board
    assert [plan.product_of(n) for n in (1, last, last + 1, 2 * last + 1)] == [
        "controller", "controller", "panel", "controller",
    ]  # fmt: skip
    assert view.product(1) == view.product(last) != view.product(last + 1)
    assert settings.products.initial == "controller"


def test_another_source_is_one_product_as_ever(tmp_path: Path) -> None:
    settings = demo_settings("sim:?view=strobe", 0, tmp_path)
    assert LinePlan.of(settings) is None
    assert settings.products.initial == "default"


@pytest.fixture
def in_vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Vienna")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ([], ""),
        (["open"], "open"),
        (["open", "short", "open"], "2x open, short"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d", "e"], "a, b, c, 2 more"),
    ],
)
def test_codes_that_are_not_shown_are_counted(codes: list[str], told: str) -> None:
    assert codes_line([{"code": code} for code in codes]) == told


def test_an_answer_says_what_was_asked_and_from_which_unit_on_it_holds(in_vienna: None) -> None:
    del in_vienna
    body = {
        "command": "set_product",
        "fields": {"product": "panel", "order": "DEMO-2"},
        "effective": {"top": 21},
        "problem": "",
    }
    change = ReceivedEvent(
        entry_id="1-0", id="a", seq=1, schema="inspector.change/1",
        time="2026-11-30T12:00:01.123+00:00", unit_id="", result="accepted", body=body,
    )  # fmt: skip
    assert answer_line(change) == (
        "13:00:01.123  set_product product=panel order=DEMO-2: accepted, from unit 21 of top on"
    )
