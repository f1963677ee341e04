"""Known parts that are shown wrongly, or not at all, through kills and power cuts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any

from tests.drills.machine_drills import Disk
from tests.drills.redis_drills import let_pass
from tests.drills.stand import Stand
from tests.drills.witness import Witness
from tests.kit.challenged_line import CAMERA, Shift, sections, told_triton, write_set
from tests.kit.line import Line, measured, wait_for
from tests.kit.line_events import entries
from tests.kit.redis_server import RedisServer

EVERY_UNITS = 4
"""So many may pass after a challenge that held."""
UNSEEN = ((), (None,), ("open", None), (None, None), (None, "short"))
"""What is seen on the parts of a challenge that must not hold: none shown; one left out; in the
wrong order; a good one in place of the bad one; the bad one with another defect."""

Event = Mapping[str, Any]


def shown_wrongly_through_kills_and_power_cuts(stand: Stand) -> None:
    """In each round a challenge goes wrong, one holds, and the station is cut off at any moment."""
    disk = stand.stack.enter_context(Disk(stand.folder, "disk"))
    redis = RedisServer("redis-server", disk.mount_point / "redis")
    stand.stack.push(redis.__exit__)
    redis.start()
    stand.use_redis(redis)
    url, model = stand.stack.enter_context(told_triton())
    line = stand.line(
        cameras={"top": CAMERA},
        triton=url,
        journal={"directory": str(disk.mount_point / "state")},
        evidence={"enabled": False},
        **sections(every_units=EVERY_UNITS),
    )
    write_set(disk.mount_point / "state")
    line.start()
    line.wait_ready()
    witness = stand.stack.enter_context(Witness(redis.port))
    client = stand.stack.enter_context(contextlib.closing(redis.client()))
    shift = Shift(line, client, model)
    cut = Cut(stand, line, disk, redis)
    for _ in range(stand.repetitions):
        _round(stand, shift, cut)
        stand.tally.repetitions += 1
    line.stop(within_s=20)
    _check(stand, client)
    measured("cut off, by kill and by power cut", (cut.kills, cut.power_cuts))
    stand.tally.add(witness.audit(verdicts=None))


class Cut:
    """Cuts the station off, and lets it start again."""

    def __init__(self, stand: Stand, line: Line, disk: Disk, redis: RedisServer) -> None:
        self._stand, self._line, self._disk, self._redis = stand, line, disk, redis
        self.kills = self.power_cuts = 0

    def perhaps(self) -> bool:
        """At a random moment within the time that a verdict takes, or not now; says which."""
        rng = self._stand.random
        if rng.random() < 0.4:
            return False
        let_pass(rng.uniform(0.0, 0.25))
        if rng.random() < 0.5:
            self._line.kill()
            self.kills += 1
        else:
            self._disk.cut_power()
            self._line.kill()
            self._redis.kill()
            self._disk.power_up()
            self._redis.start()
            self.power_cuts += 1
        self._line.start()
        self._line.wait_ready()
        return True


def _round(stand: Stand, shift: Shift, cut: Cut) -> None:
    wrongly = stand.random.choice(UNSEEN)
    _ask(shift, "begin")
    for number, sees in enumerate(wrongly):
        shift.send(sees)
        if number == 0 and cut.perhaps():
            continue
        _settle(shift)
    for _ in range(2):
        shift.send()
        _settle(shift)
    shift.send()
    cut.perhaps()
    _hold(shift)
    for number in range(EVERY_UNITS + 2):
        shift.send()
        if number == 1 and cut.perhaps():
            continue
        _settle(shift)


def _hold(shift: Shift) -> None:
    """Show the parts as they are known until that is in the journal."""
    before = len(_held(shift.challenges()))
    for _ in range(5):
        _ask(shift, "abort")
        _ask(shift, "begin")
        shift.unit()
        shift.unit("open")
        ended = [event for event in shift.challenges() if event["kind"] == "check"]
        if len(_held(ended)) > before:
            return
    raise AssertionError("no challenge held")


def _ask(shift: Shift, step: str) -> None:
    """Refused where there is nothing of that kind to do, which is as good."""
    with contextlib.suppress(OSError, HTTPException):
        shift.challenge(step=step)


def _settle(shift: Shift) -> None:
    """Until nothing that was sent waits for its verdict."""
    name = f"u{shift.named}"
    wait_for(
        lambda: any(unit["unit"]["id"] == name for unit in shift.units()),
        within_s=20,
        what=f"a verdict on {name}",
        every_s=0.01,
    )


def _held(challenges: Sequence[Event]) -> list[Event]:
    return [event for event in challenges if event["result"] == "held"]


def _check(stand: Stand, client: Any) -> None:
    units = [entry.event for entry in entries(client, "units")]
    challenges = [entry.event for entry in entries(client, "challenges")]
    false = passed_in_vain(units, challenges)
    stand.tally.false_passed += len(false)
    if false:
        stand.tally.problems.append(f"PASSED without a challenge: {json.dumps(false)[:500]}")
    products = [unit for unit in units if unit["challenge"] is None]
    passed = sum(unit["result"] == "PASSED" for unit in products)
    locked = sum(unit["reason"] == "locked" for unit in products)
    if not passed or not locked:
        stand.tally.problems.append(f"{passed} units passed and {locked} were locked")
    measured(
        "products PASSED, products locked, known parts",
        (
            passed,
            locked,
            len(units) - len(products),
        ),
    )
    measured("checks that held", len(_held(challenges)))


def passed_in_vain(units: Sequence[Event], challenges: Sequence[Event]) -> list[int]:
    """Numbers of products that passed while the last known part did not allow it.

    From what an MES reads alone: after a check that held so many may pass, up to the next known
    part that was seen otherwise.
    """
    numbers = {unit["id"]: unit["unit"]["number"] for unit in units}
    turns = {}
    for event in challenges:
        if event["kind"] == "part" and event["result"] == "differs":
            turns[numbers[event["unit_event_id"]]] = False
        elif event["result"] == "held":
            turns[numbers[event["parts"][-1]["unit_event_id"]]] = True
    false, allowed_up_to = [], -1
    for unit in sorted(units, key=lambda one: one["unit"]["number"]):
        number = unit["unit"]["number"]
        if number in turns:
            allowed_up_to = number + EVERY_UNITS if turns[number] else -1
        elif unit["result"] == "PASSED" and unit["challenge"] is None and number > allowed_up_to:
            false.append(number)
    return false
