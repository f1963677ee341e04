"""The commands of a replay: read line by line, answered exactly between units."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from inspector.capture.gate import END_OF_RECORDING, JobInForce
from inspector.commands.replay_script import ReplayScript, make_products, read_script
from inspector.core.changes import Change
from inspector.core.errors import ConfigurationError
from inspector.core.recipes import Job, JobState
from inspector.products.commands import Request, SetProduct, Teach
from inspector.products.reference import ShownUnit
from inspector.products.references import StationReferences
from inspector.products.store import ProductStore
from inspector.products.teaching import ReferenceTeacher
from tests.kit import jobs
from tests.kit.jobs import TOP
from tests.kit.taught_units import frame_of, good_units


def written(tmp_path: Path, *lines: object) -> Path:
    file = tmp_path / "commands.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts))
    return file


def set_product(after_unit: int, product: str = "a") -> dict[str, Any]:
    return {"after_unit": after_unit, "command": "set_product", "product": product}


def teach(after_unit: int, units: int = 3) -> dict[str, Any]:
    return {
        "after_unit": after_unit,
        "command": "teach",
        "product": "a",
        "units": units,
        "approve": True,
    }


def test_the_lines_of_the_issue_are_read(tmp_path):
    script = read_script(written(tmp_path, set_product(0), "", teach(0, 6), set_product(9, "b")))
    assert [one.after_unit for one in script] == [0, 0, 9]
    assert [one.line for one in script] == [1, 3, 4]
    assert script[0].request.command == SetProduct(product="a")
    assert script[1].request.command == Teach(product="a", units=6, approve=True)


def test_commands_are_in_the_order_in_which_they_are_due_and_else_as_they_stand(tmp_path):
    lines = [set_product(4), set_product(0, "b"), teach(4), set_product(0, "c")]
    script = read_script(written(tmp_path, *lines))
    assert [one.line for one in script] == [2, 4, 1, 3]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "found 'nonsense', expected a JSON object"),
        ("[1]", "found '[1]', expected a JSON object"),
        ({"command": "set_product", "product": "a"}, "after_unit is missing, expected a whole"),
        (set_product(-1), "after_unit is '-1', expected a whole number from 0 to"),
        (set_product(0) | {"after_unit": True}, "after_unit is 'true', expected a whole number"),
        (set_product(0) | {"after_unit": 1.5}, "after_unit is '1.5', expected a whole number"),
        ({"after_unit": 0, "command": "fly"}, "command is 'fly', expected one of: set_product"),
        ({"after_unit": 0, "command": "set_product"}, "product is missing, expected the name of"),
        (teach(0) | {"units": "many"}, "units is 'many', expected a number from 1 to 64"),
        (teach(0) | {"colour": "red"}, "'colour' is no field of teach, expected one of: product"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_what_was_found_and_expected(tmp_path, line, says):
    file = written(tmp_path, set_product(0), line)
    with pytest.raises(ConfigurationError) as refused:
        read_script(file)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{file}:2: {says}")


def test_every_wrong_line_is_named(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        read_script(written(tmp_path, "x", set_product(0), "y"))
    assert [problem.split(": ")[0][-2:] for problem in refused.value.problems] == [":1", ":3"]


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match=r"--commands .*nowhere: No such file"):
        read_script(tmp_path / "nowhere")


def test_products_that_are_named_and_not_there_are_as_the_settings_say(tmp_path):
    store = ProductStore(tmp_path / "products")
    store.write("b", b'revision = "7"\n')
    script = read_script(written(tmp_path, set_product(0), set_product(1, "b"), set_product(2)))
    assert make_products(store, script) == ("a",)
    assert store.content("a") == b""
    assert store.content("b") == b'revision = "7"\n'


class ChangesHeard:
    """Answers at once, and opens no unit."""

    def __init__(self, references: StationReferences, refuses: str = "") -> None:
        self.references = references
        self.refuses = refuses
        self.job = jobs.job(number=0, product="default")
        self.heard: list[str] = []

    async def handle(self, request: Request, *, by: str) -> Change:
        command = request.command
        assert command is not None
        accepted = request.name != self.refuses
        if accepted:
            state = JobState.TEACHING if isinstance(command, Teach) else JobState.INSPECTING
            product = getattr(command, "product", None) or "default"
            self.job = jobs.job(state, number=self.job.number + 1, product=product)
            if isinstance(command, Teach):
                await self.references.begin(
                    self.job, units=command.units, approve=command.approve, by=by
                )
            else:
                self.references.cut_off()
        self.heard.append(f"{request.name} {'accepted' if accepted else 'refused'}")
        return Change(
            command=request.name,
            fields=request.fields,
            accepted=accepted,
            by=by,
            job=self.job,
            problem="" if accepted else "no",
        )

    async def taught(
        self, problem: str = "", *, by: str = "service", found: Mapping[str, str] | None = None
    ) -> None:
        del by
        self.heard.append(f"taught {(found or {}).get('reference') or problem}")
        self.job = jobs.job(number=self.job.number + 1, product="a")


class Recording:
    """A capture thread that opens units one by one, and shows those that are to be learned."""

    def __init__(self, units: list[ShownUnit], tmp_path: Path) -> None:
        self.units = units
        self.store = ProductStore(tmp_path / "products")
        self.opened: list[Job] = []
        self.never_due: list[str] = []

    def replay(
        self, file: Path, *, refuses: str = "", in_view_at_once: bool = False
    ) -> ChangesHeard:
        return asyncio.run(self._replay(file, refuses, in_view_at_once=in_view_at_once), debug=True)

    async def _replay(self, file: Path, refuses: str, *, in_view_at_once: bool) -> ChangesHeard:
        references = StationReferences(
            ReferenceTeacher(self.store, units_before={TOP: 0}), self.store, teach_units=3
        )
        script = ReplayScript(read_script(file), references, units_to_teach=3)
        change_over = ChangesHeard(references, refuses)
        gate = JobInForce(change_over.job, is_held=script.is_held)

        def let_on() -> None:
            with gate.one_at_a_time:
                gate.swap(change_over.job)
                gate.one_at_a_time.notify_all()

        def capture() -> None:
            late = []
            for index, unit in enumerate(self.units):
                with gate.one_at_a_time:
                    job = gate.for_unit(index)
                self.opened.append(job)
                frame = frame_of(unit, 0, job=job)
                if in_view_at_once:
                    late.append(frame)
                else:
                    references.teacher.take(frame)
                if len(late) > 1:
                    references.teacher.take(late.pop(0))
            with gate.one_at_a_time:
                gate.for_unit(END_OF_RECORDING)

        learning = asyncio.create_task(references.run(change_over))
        thread = threading.Thread(target=capture, daemon=True)
        thread.start()
        await script.run(change_over, let_on)
        await asyncio.to_thread(thread.join)
        learning.cancel()
        await asyncio.wait([learning])
        self.never_due = script.never_due
        return change_over

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(job.recipe.product, job.state.value) for job in self.opened]


@pytest.fixture(scope="module")
def seen() -> list[ShownUnit]:
    return good_units(6)


def test_a_lesson_is_over_and_in_force_before_the_next_unit_is_opened(tmp_path, seen):
    recording = Recording(seen, tmp_path)
    change_over = recording.replay(written(tmp_path, set_product(0), teach(0), set_product(5, "b")))
    taught, inspected = ("a", "teaching"), ("a", "inspecting")
    assert recording.states == [taught] * 3 + [inspected] * 2 + [("b", "inspecting")]
    assert change_over.heard == [
        "set_product accepted",
        "teach accepted",
        "taught a/1",
        "set_product accepted",
    ]
    assert recording.store.approvals("a").in_force == 1
    assert recording.never_due == []


def test_two_units_in_view_at_once_hold_up_nothing(tmp_path, seen):
    """The next unit comes into view before the last frame of the last one to learn from."""
    recording = Recording(seen, tmp_path)
    change_over = recording.replay(written(tmp_path, teach(0, 4)), in_view_at_once=True)
    assert [state for _, state in recording.states] == ["teaching"] * 4 + ["inspecting"] * 2
    assert change_over.heard == ["teach accepted", "taught a/1"]
    assert recording.store.reference("a", 1).units_used == 3


def test_a_recording_that_ends_with_the_last_unit_to_learn_from_has_taught(tmp_path, seen):
    recording = Recording(seen[:3], tmp_path)
    assert recording.replay(written(tmp_path, teach(0))).heard == ["teach accepted", "taught a/1"]


def test_a_recording_that_ends_too_early_teaches_nothing_and_says_so(tmp_path, seen):
    recording = Recording(seen[:4], tmp_path)
    change_over = recording.replay(written(tmp_path, teach(0, 6)))
    assert change_over.heard == ["teach accepted", "taught the recording ended after 4 of 6 units"]
    assert recording.store.reference_numbers("a") == ()


def test_a_command_after_the_last_unit_is_answered_and_one_beyond_it_is_named(tmp_path, seen):
    recording = Recording(seen[:4], tmp_path)
    change_over = recording.replay(written(tmp_path, set_product(4), set_product(5, "b")))
    assert change_over.heard == ["set_product accepted"]
    assert recording.never_due == ["line 2: set_product: the recording has fewer than 5 units"]


def test_a_product_that_is_set_during_a_lesson_ends_it(tmp_path, seen):
    recording = Recording(seen, tmp_path)
    change_over = recording.replay(written(tmp_path, teach(0, 5), set_product(2, "b")))
    assert [product for product, _ in recording.states] == ["a", "a", "b", "b", "b", "b"]
    assert change_over.heard == ["teach accepted", "set_product accepted"]


def test_a_lesson_that_is_refused_holds_up_nothing(tmp_path, seen):
    recording = Recording(seen, tmp_path)
    change_over = recording.replay(written(tmp_path, set_product(0), teach(1)), refuses="teach")
    assert recording.states == [("a", "inspecting")] * 6
    assert change_over.heard == ["set_product accepted", "teach refused"]
