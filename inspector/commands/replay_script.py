"""Commands that are applied to a recording exactly between its units.

A recording waits: a unit is opened only once every command that is due before it was answered,
and once the lesson whose units were all seen is over. So one pass over footage teaches, inspects
and changes over as the service does, whatever the machine is busy with.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inspector.capture.gate import END_OF_RECORDING
from inspector.core.challenges import Step
from inspector.core.changes import Change
from inspector.core.errors import ConfigurationError
from inspector.core.part_names import shown
from inspector.products.commands import Challenge, Request, Teach, read_request
from inspector.products.references import StationReferences
from inspector.products.store import ProductStore

LARGEST_SCRIPT_BYTES = 10_000_000
MOST_UNITS = 1_000_000_000
BY = "replay"
VERDICTS_WITHIN_S = 30.0
ASK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCommand:
    """A command, and its place in a recording."""

    after_unit: int
    """It is answered once this many units were opened, before the next one is."""
    request: Request
    line: int
    """Its line in the file."""

    @property
    def product(self) -> str | None:
        """Which product it names, if any."""
        return getattr(self.request.command, "product", None)


def read_script(file: Path) -> tuple[ScriptedCommand, ...]:
    """The commands of a file, a JSON object a line, in the order in which they are due.

    Raises:
        ConfigurationError: it cannot be read, or lines are wrong: one line each.

    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_SCRIPT_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"--commands {file}: {error.strerror}") from None
    if len(content) > LARGEST_SCRIPT_BYTES:
        raise ConfigurationError(
            f"--commands {file}: larger than {LARGEST_SCRIPT_BYTES} bytes, expected a JSON object a"
            " line"
        )
    found, problems = [], []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(_scripted(line, number))
        except ValueError as error:
            problems.append(f"{file}:{number}: {error}")
    if problems:
        raise ConfigurationError(*problems)
    return tuple(sorted(found, key=lambda one: one.after_unit))


def _scripted(line: bytes, number: int) -> ScriptedCommand:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        quoted = shown(line.decode("utf-8", "replace"))
        raise ValueError(f"found {quoted}, expected a JSON object") from None
    if not isinstance(said, dict):
        raise ValueError(f"found {shown(json.dumps(said))}, expected a JSON object")  # noqa: TRY004
    after_unit = said.pop("after_unit", None)
    is_whole = isinstance(after_unit, int) and not isinstance(after_unit, bool)
    if not is_whole or not 0 <= after_unit <= MOST_UNITS:
        what = "is missing" if after_unit is None else f"is {shown(json.dumps(after_unit))}"
        raise ValueError(f"after_unit {what}, expected a whole number from 0 to {MOST_UNITS}")
    request = read_request(said)
    if request.command is None:
        raise ValueError(request.problem)
    return ScriptedCommand(after_unit=after_unit, request=request, line=number)


def make_products(store: ProductStore, script: Sequence[ScriptedCommand]) -> tuple[str, ...]:
    """Give each named product that is missing an empty file: it is as the settings say.

    Returns their names. Synchronous file I/O.
    """
    known, made = set(store.names()), []
    for scripted in script:
        name = scripted.product
        if name is not None and name not in known:
            store.write(name, b"")
            known.add(name)
            made.append(name)
    return tuple(made)


class AnswersCommands(Protocol):
    """The change-over. Event loop only."""

    async def handle(self, request: Request, *, by: str) -> Change:
        """Carry out a command, or refuse it; see `ChangeOver.handle`."""

    async def taught(self, problem: str = "") -> None:
        """A lesson is over; see `ChangeOver.taught`."""


class ReplayScript:
    """Answers the commands of a script between the units of a recording. One camera.

    `is_held` is for the capture thread, all else for the event loop.
    """

    def __init__(
        self,
        script: Sequence[ScriptedCommand],
        references: StationReferences,
        *,
        units_to_teach: int,
        may_ask: Callable[[Step], bool] = lambda _step: True,
    ) -> None:
        """`units_to_teach`: for a command that does not say how many.

        `may_ask`: whether the part that a challenge waits for has come, so that it may go on or
        another may begin; units that were opened may not be judged yet.
        """
        self._may_ask = may_ask
        self._due = deque(script)
        self._references = references
        self._units_to_teach = units_to_teach
        self._lesson_ends: int | None = None
        self._free_until = self._next_stop
        """The index of the unit that waits, with all after it."""
        self._opened = 0
        self._asked_for = 0
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.never_due: list[str] = []
        """Commands for after units that never came, in sentences."""

    def is_held(self, index: int) -> bool:
        """Whether something is due before this unit; if so, it is started."""
        if index < self._free_until:
            self._opened = index + 1
            return False
        self._asked_for = index
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._asked.set)
        return True

    def give_up(self) -> None:
        """Hold no further unit: the replay ends."""
        self._free_until = END_OF_RECORDING + 1

    async def run(self, change_over: AnswersCommands, let_on: Callable[[], None]) -> None:
        """Carry out whatever is due until the recording has ended; `let_on` wakes the capture."""
        while self._free_until <= END_OF_RECORDING:
            await self._asked.wait()
            self._asked.clear()
            index = self._asked_for
            if index < self._free_until:
                continue
            try:
                await self._reach(index, change_over)
            finally:
                # Also where this failed: the capture thread must not wait for ever.
                self._free_until = index + 1 if index == END_OF_RECORDING else self._next_stop
                let_on()

    @property
    def _next_stop(self) -> int:
        stops = [END_OF_RECORDING]
        if self._due:
            stops.append(self._due[0].after_unit)
        if self._lesson_ends is not None:
            stops.append(self._lesson_ends)
        return min(stops)

    async def _reach(self, index: int, change_over: AnswersCommands) -> None:
        """Carry out everything that is due before the unit of this index, in order."""
        opened = min(index, self._opened)
        while (stop := self._next_stop) <= opened:
            if stop == self._lesson_ends:
                await self._end_lesson()
            else:
                await self._answer(self._due.popleft(), change_over)
        if index == END_OF_RECORDING:
            await self._end(change_over)
            self.never_due += self._never_due()

    async def _answer(self, scripted: ScriptedCommand, change_over: AnswersCommands) -> None:
        command = scripted.request.command
        if isinstance(command, Challenge):
            await self._until_it_may(command.step)
        change = await change_over.handle(scripted.request, by=BY)
        if change.accepted and isinstance(scripted.request.command, Teach):
            units = scripted.request.command.units or self._units_to_teach
            self._lesson_ends = scripted.after_unit + units
        elif not self._references.teacher.is_under_way:
            self._lesson_ends = None

    async def _until_it_may(self, step: Step) -> None:
        """Wait until the units before it are judged, except those that are still in view."""
        with suppress(TimeoutError):
            async with asyncio.timeout(VERDICTS_WITHIN_S):
                while not self._may_ask(step):  # noqa: ASYNC110 - verdicts tell nobody here
                    await asyncio.sleep(ASK_EVERY_S)

    async def _end_lesson(self) -> None:
        """End a lesson whose units were all opened: no further frame of them is waited for."""
        self._lesson_ends = None
        self._references.teacher.close()
        await self._references.idle()

    async def _end(self, change_over: AnswersCommands) -> None:
        teaching = self._references.teacher.state
        if self._references.teacher.is_under_way and teaching is not None:
            problem = (
                f"the recording ended after {len(teaching.seen)} of {teaching.lesson.units} units"
            )
            self._references.teacher.cancel(problem)
            await self._references.idle()
            await change_over.taught(problem)

    def _never_due(self) -> Iterator[str]:
        while self._due:
            left = self._due.popleft()
            yield (
                f"line {left.line}: {left.request.name}: the recording has fewer than"
                f" {left.after_unit} units"
            )
