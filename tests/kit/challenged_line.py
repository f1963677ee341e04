"""A line that has to show on known parts that it can see, and whoever puts units on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from inspector.products import durable
from tests.kit.fake_triton import ROOM, Deployed, FakeTriton, serving
from tests.kit.line import STATION, Line, wait_for
from tests.kit.line_events import entries

CAMERA = {
    "source": "sim:?view=strobe&fps=12&seed=3",
    "size": "160x128",
    "trigger": "external",
    "trigger_wait_ms": 4000.0,
}
CODES = ["open", "short", "mousebite", "spur", "copper", "pin-hole"]
OPEN_AT = (20.0, 20.0, 12.0, 12.0)
COMMANDS = f"inspector:{{{'.'.join(STATION.values())}}}:commands"
SET = """
retries = {retries}

[[parts]]
name = "a good one"
result = "PASSED"

[[parts]]
name = "one with an open track"
result = "FAILED"
defects = [{{ code = "open" }}]
"""

Event = Mapping[str, Any]


@dataclass(kw_only=True)
class Told(Deployed):
    """A model that sees what it is told: no defect, or one, on every picture."""

    sees: int | None = None
    """The class of the defect."""
    sees_light: bool = False
    """What is bright is a defect all the same, of the class `code`."""

    def answer(self, pictures: NDArray[Any]) -> dict[str, NDArray[Any]]:
        if self.sees_light and self.sees is None:
            return super().answer(pictures)
        many, sees = len(pictures), self.sees
        boxes = np.zeros((many, ROOM, 4), np.float32)
        scores = np.zeros((many, ROOM), np.float32)
        classes = np.zeros((many, ROOM), np.int32)
        count = np.zeros((many, 1), np.int32)
        if sees is not None:
            x, y, width, height = OPEN_AT
            boxes[:, 0], scores[:, 0], classes[:, 0] = (x, y, x + width, y + height), 0.9, sees
            count[:] = 1
        return {"boxes": boxes, "scores": scores, "classes": classes, "count": count}


@contextmanager
def told_triton(*, sees_light: bool = False) -> Iterator[tuple[str, Told]]:
    """Its address, and the model; it runs in a thread of its own."""
    address: Future[str] = Future()
    stop: Future[None] = Future()
    model = Told(sees_light=sees_light)

    async def serve() -> None:
        async with serving(FakeTriton(model, shares=False)) as fake:
            address.set_result(fake.url)
            await asyncio.wrap_future(stop)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="told-triton")
    thread.start()
    try:
        yield address.result(timeout=10), model
    finally:
        stop.set_result(None)
        thread.join(timeout=10)


def sections(**challenge: Any) -> dict[str, Any]:
    """The settings of such a line, besides its parts."""
    return {
        "inspection": {"codes": CODES, "deadline_ms": 10_000.0},
        "batching": {"max_age_ms": 8000.0},
        "challenge": challenge,
    }


def write_set(state: Path, *, retries: int = 0, text: str = SET) -> None:
    """Two parts, a good one and a bad one, for every product."""
    folder = state / "challenges"
    # As a person does: long before any power is cut.
    durable.make_folder(folder)
    durable.write_file(folder / "gold.toml", text.format(retries=retries).encode())


class Shift:
    """Puts units on the line, one after another, and reads what becomes of them."""

    def __init__(self, line: Line, client: redis.Redis, model: Told) -> None:
        self.line = line
        self.client = client
        self.model = model
        self.named = 0

    def post(self, path: str, **fields: Any) -> tuple[int, str]:
        host, _, port = self.line.address.partition(":")
        connection = HTTPConnection(host, int(port), timeout=20)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(fields), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def get(self, path: str) -> Any:
        status, text = self.line.get(path)
        assert status == 200, text
        return json.loads(text)

    def send(self, sees: str | None = None) -> str:
        """Put a unit on the line; the model sees this on it. Returns its name."""
        self.model.sees = None if sees is None else CODES.index(sees)
        self.named += 1
        name = f"u{self.named}"
        status, text = self.post("/api/trigger", unit_id=name)
        assert status == 202, text
        return name

    def unit(self, sees: str | None = None) -> Event:
        """Put a unit on the line, and wait for its verdict."""
        name = self.send(sees)
        found: list[Event] = wait_for(
            lambda: [u for u in self.units() if u["unit"]["id"] == name],
            within_s=20,
            what=f"a verdict on {name}",
            every_s=0.01,
        )
        return found[0]

    def challenge(self, **fields: str) -> tuple[int, str]:
        return self.post("/api/commands", command="challenge", by="Kim", **fields)

    def units(self) -> list[Event]:
        return [entry.event for entry in entries(self.client, "units")]

    def challenges(self) -> list[Event]:
        return [entry.event for entry in entries(self.client, "challenges")]

    def wait_ended(self, result: str, ends: int) -> Event:
        """The end of the `ends`-th check."""

        def ended() -> list[Event]:
            return [event for event in self.challenges() if event["kind"] == "check"][ends - 1 :]

        found: list[Event] = wait_for(ended, within_s=20, what=f"{ends} checks have ended")
        assert found[0]["result"] == result, found[0]
        return found[0]
