"""An MES that changes the product at random moments, and who checks afterwards what came of it.

The products differ in one threshold, and every picture has two doubts on it whose confidence lies
between them: so what is claimed of a unit shows by which product it was really judged.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import redis
from numpy.typing import NDArray

from tests.kit.fake_triton import ROOM, Deployed, FakeTriton, serving
from tests.kit.line import STATION

CODES = ("open", "short")
DOUBTS = ((0, 0.6), (1, 0.8))
"""Class and confidence of what the model sees in every picture."""
THRESHOLDS = {"a": 0.5, "b": 0.7, "c": 0.9}
CLAIMED = {"a": {"open", "short"}, "b": {"short"}, "c": set[str]()}
"""What each product claims of these doubts."""
UNKNOWN = "nobody-knows"
COMMANDS_KEY = f"inspector:{{{'.'.join(STATION.values())}}}:commands"
RETRY_S = 0.05

Event = Mapping[str, Any]


def write_products(folder: Path) -> None:
    """A file for each."""
    folder.mkdir(parents=True)
    for name, threshold in THRESHOLDS.items():
        (folder / f"{name}.toml").write_text(f"[inspection]\nthreshold = {threshold}\n")


@dataclass(kw_only=True)
class Doubtful(Deployed):
    """A model that has the same two doubts about every picture."""

    def answer(self, pictures: NDArray[Any]) -> dict[str, NDArray[Any]]:
        many = len(pictures)
        boxes = np.zeros((many, ROOM, 4), np.float32)
        scores = np.zeros((many, ROOM), np.float32)
        classes = np.zeros((many, ROOM), np.int32)
        for place, (code, confidence) in enumerate(DOUBTS):
            corner = 20.0 * place
            boxes[:, place] = (corner, corner, corner + 12, corner + 12)
            scores[:, place], classes[:, place] = confidence, code
        count = np.full((many, 1), len(DOUBTS), np.int32)
        return {"boxes": boxes, "scores": scores, "classes": classes, "count": count}


@contextmanager
def doubtful_triton() -> Iterator[str]:
    """Its address; it runs in a thread of its own."""
    address: Future[str] = Future()
    stop: Future[None] = Future()

    async def serve() -> None:
        async with serving(FakeTriton(Doubtful(), shares=False)) as fake:
            address.set_result(fake.url)
            await asyncio.wrap_future(stop)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="doubtful-triton")
    thread.start()
    try:
        yield address.result(timeout=10)
    finally:
        stop.set_result(None)
        thread.join()


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that Redis has taken."""

    entry: str
    product: str
    order: str

    @property
    def unix_ms(self) -> int:
        return int(self.entry.partition("-")[0])


class Mes:
    """Sends so many commands at random moments, in a thread; each has an order of its own.

    What Redis did not confirm is sent again, under the same order: as an MES does.
    """

    def __init__(self, port: int, *, commands: int, rng: random.Random, pause_s: float) -> None:
        self._redis = redis.Redis(port=port, decode_responses=True, socket_timeout=2)
        self._commands = commands
        self._rng = rng
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="mes")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._redis.close()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def _send_all(self) -> None:
        for number in range(self._commands):
            names = [*THRESHOLDS] if self._rng.random() > 0.05 else [UNKNOWN]
            fields = {
                "command": "set_product",
                "product": self._rng.choice(names),
                "order": str(number),
            }
            self._send(fields)
            self._ended.wait(self._rng.random() * 2 * self._pause_s)
            if self._ended.is_set():
                return

    def _send(self, fields: dict[str, str]) -> None:
        while not self._ended.is_set():
            try:
                self._redis.xadd(COMMANDS_KEY, fields)  # type: ignore[arg-type]
            except (redis.RedisError, OSError):
                self._ended.wait(RETRY_S)
            else:
                return

    @staticmethod
    def sent(client: redis.Redis) -> list[Sent]:
        """All that Redis has, in order; a confirmation that was lost makes two of one."""
        found: Any = client.xrange(COMMANDS_KEY)
        return [Sent(entry, f["product"], f["order"]) for entry, f in found]


@dataclass(kw_only=True)
class ChangeAudit:
    """What is wrong; every list is empty when nothing is."""

    units: int = 0
    changes: int = 0
    unanswered: list[str] = field(default_factory=list)
    answered_otherwise: list[str] = field(default_factory=list)
    """Twice, out of order, or nothing that was asked."""
    misjudged: list[str] = field(default_factory=list)
    """Units of another product than the changes say, or judged by another than they say."""
    took_ms: list[float] = field(default_factory=list)
    """By answer and camera: from the command until the last unit that was seen under the product of
    before; 0.0 where none was."""

    @property
    def is_clean(self) -> bool:
        return not (self.unanswered or self.answered_otherwise or self.misjudged)

    def __str__(self) -> str:
        lists = ("unanswered", "answered_otherwise", "misjudged")
        told = [f"{n}: {len(getattr(self, n))}, {getattr(self, n)[:3]}" for n in lists]
        return f"{self.units} units, {self.changes} changes; {'; '.join(told)}"


def audit_changes(
    sent: Sequence[Sent],
    changes: Sequence[Event],
    units: Sequence[Event],
    *,
    undisturbed: Collection[str] = (),
) -> ChangeAudit:
    """Compare what was asked, what was answered, and what each unit says and claims.

    `undisturbed`: entries of commands that were sent while nothing was away, to time them.
    """
    audit = ChangeAudit(units=len(units), changes=len(changes))
    answers = [c for c in changes if c["entry"] is not None]
    answered = [c["entry"] for c in answers]
    asked = [s.entry for s in sent]
    audit.unanswered = [e for e in asked if e not in set(answered)]
    if answered != [e for e in asked if e in set(answered)]:
        audit.answered_otherwise.append(f"asked {asked}, answered {answered}")
    by_entry = {s.entry: s for s in sent}
    audit.answered_otherwise += [
        str(c) for c in answers if c["result"] != _expected(by_entry.get(c["entry"]))
    ]
    by_number = {(u["camera"], u["unit"]["number"]): u for u in units}
    for unit in by_number.values():
        audit.misjudged += _misjudged(unit, changes)
    audit.took_ms = [
        max(0.0, _seen_ms(before) - by_entry[c["entry"]].unix_ms)
        for c in answers
        if c["entry"] in undisturbed
        for camera, first in c["effective"].items()
        for before in [by_number.get((camera, first - 1))]
        if before is not None
    ]
    return audit


def _expected(sent: Sent | None) -> str:
    if sent is None:
        return "nothing: nobody asked"
    return "refused" if sent.product == UNKNOWN else "accepted"


def _misjudged(unit: Event, changes: Sequence[Event]) -> list[str]:
    camera, number = unit["camera"], unit["unit"]["number"]
    if unit["reason"] == "changing_over":
        return []  # between two products: judged by neither
    in_force = [c for c in changes if c["effective"].get(camera, number + 1) <= number]
    if not in_force:
        return (
            [] if unit["product"]["name"] == "default" else [f"{camera} {number} before any change"]
        )
    truth = in_force[-1]
    wrong = [
        f"{camera} {number}: {name} {unit[name]}, in force was {truth[name]}"
        for name in ("product", "order")
        if unit[name] != truth[name]
    ]
    if unit["result"] in ("PASSED", "FAILED"):
        claimed = {d["code"] for d in unit["defects"]}
        if claimed != CLAIMED[truth["product"]["name"]]:
            wrong.append(f"{camera} {number} of {truth['product']} claims {sorted(claimed)}")
    return wrong


def _seen_ms(unit: Event) -> float:
    return datetime.fromisoformat(unit["time"]).timestamp() * 1000
