"""What a drill works with: a line, its Triton, its Redis, a witness, and a stop-watch."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.drills.witness import Audit, Blind, Witness
from tests.kit.line import BOARD_REGION, PICTURE, Line, wait_for
from tests.kit.redis_server import RedisServer

FPS = 6
STEADY = {"source": f"sim:?fps={FPS}&seed=3", "size": PICTURE, "region": BOARD_REGION}
DEADLINE_S = 2.0
"""inspection.deadline_ms: what was seen longer ago has its verdict."""
BACK_WITHIN_S = 60.0
"""Until the drill gives up; what it took is in the table."""


class CannotDrillError(Exception):
    """A part is missing on this machine; says which."""


@dataclass(kw_only=True)
class Tally:
    """One drill's row, over its repetitions."""

    repetitions: int = 0
    units: int = 0
    events: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    false_passed: int = 0
    detect_s: list[float] = field(default_factory=list)
    recover_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, audit: Audit) -> None:
        self.units += audit.units
        self.events += audit.events
        self.lost += len(audit.lost)
        self.duplicated += len(audit.duplicated)
        self.out_of_order += len(audit.out_of_order)
        self.false_passed += len(audit.false_passed)
        if not audit.is_clean:
            self.problems.append(str(audit))

    @property
    def is_clean(self) -> bool:
        return not self.problems


@dataclass(kw_only=True)
class Stand:
    """One drill's parts; everything it starts ends with it."""

    folder: Path
    triton_url: str
    """A server that nobody breaks."""
    random: random.Random
    repetitions: int
    tally: Tally
    stack: ExitStack
    blind: list[Blind] = field(default_factory=list)
    _redis: RedisServer | None = None
    _lines: int = 0

    @property
    def redis(self) -> RedisServer:
        """The station's Redis, running from the first use on."""
        if self._redis is None:
            binary = shutil.which("redis-server")
            if binary is None:
                raise CannotDrillError("no redis-server on this machine")
            self._redis = self.stack.enter_context(RedisServer(binary, self.folder / "redis"))
        return self._redis

    def use_redis(self, server: RedisServer) -> None:
        """Another Redis than the usual one, which was not started yet."""
        assert self._redis is None
        self._redis = server

    def line(
        self,
        *,
        cameras: Mapping[str, Mapping[str, Any]] | None = None,
        triton: str | None = None,
        **more: Any,
    ) -> Line:
        """A line that is not started yet; killed at the drill's end if it still runs."""
        self._lines += 1
        folder = self.folder / f"line{self._lines}"
        folder.mkdir()
        line = Line(
            folder,
            cameras=cameras or {"top": STEADY},
            triton=triton or self.triton_url,
            redis_url=more.pop("redis_url", None) or self.redis.url,
            **more,
        )
        self.stack.push(line.__exit__)
        return line

    def running(self, **options: Any) -> tuple[Line, Witness]:
        """A line that inspects, and a witness that has read of it."""
        line = self.line(**options)
        line.start()
        witness = self.stack.enter_context(Witness(self.redis.port))
        self.wait_inspecting(witness)
        return line, witness

    def wait_inspecting(self, witness: Witness, *, units: int = 5) -> None:
        """Until so many more units were looked at."""
        began_s = time.time()

        def enough() -> bool:
            fresh = [u for u in witness.units() if u.seen_unix_s > began_s]
            return sum(u.result in {"PASSED", "FAILED"} for u in fresh) >= units

        wait_for(enough, within_s=BACK_WITHIN_S, what=f"{units} units inspected")

    def detected(self, what: str, look: Callable[[], object], since_s: float) -> None:
        """Wait until the line says so; `since_s` is when the fault began, monotonic."""
        wait_for(look, within_s=BACK_WITHIN_S, what=what, every_s=0.02)
        self.tally.detect_s.append(time.monotonic() - since_s)

    def recovered(self, witness: Witness) -> None:
        """Everything works again since this moment: wait for a verdict on a unit seen since."""
        repaired_s, repaired_unix_s = time.monotonic(), time.time()
        wait_for(
            lambda: witness.inspected_after(repaired_unix_s),
            within_s=BACK_WITHIN_S,
            what="a unit inspected that was seen after the repair",
            every_s=0.02,
        )
        self.tally.recover_s.append(time.monotonic() - repaired_s)

    def nobody_looks(
        self, from_unix_s: float, to_unix_s: float, *, camera: str | None = None
    ) -> None:
        """A unit seen in this time must not be PASSED."""
        self.blind.append(Blind(from_unix_s, to_unix_s, camera))

    def close(self, line: Line, witness: Witness, *, lives: bool = False) -> None:
        """Stop the line and audit what it published; `lives`: it was killed in between."""
        if line.is_alive:
            line.stop(within_s=20)
        verdicts = None if lives else int(line.said("stopped")["verdicts"])
        self.tally.add(witness.audit(verdicts=verdicts, blind=self.blind))
        self.tally.repetitions += 1


def triton_down(line: Line) -> Callable[[], bool]:
    return lambda: _metric(line, "inspector_triton_up") == 0


def redis_down(line: Line) -> Callable[[], bool]:
    return lambda: _metric(line, "inspector_redis_up") == 0


def camera_down(line: Line, camera: str = "top") -> Callable[[], bool]:
    return lambda: _metric(line, "inspector_camera_up", camera=camera) == 0


def camera_up(line: Line, camera: str = "top") -> Callable[[], bool]:
    return lambda: _metric(line, "inspector_camera_up", camera=camera) == 1


def lost_again(line: Line, camera: str = "top") -> Callable[[], bool]:
    """Whether the camera was lost once more than until now."""

    def times() -> float:
        return _metric(line, "inspector_camera_reconnects_total", camera=camera)

    before = times()
    return lambda: times() > before


def has_cause(line: Line, words: str) -> Callable[[], bool]:
    """Whether /api/status has a fault whose cause says so."""
    return lambda: words in line.get("/api/status")[1]


def has_fault(line: Line, kind: str) -> Callable[[], bool]:
    """Whether /api/status names a fault of this kind."""
    return lambda: f'"kind":"{kind}"' in line.get("/api/status")[1].replace(" ", "")


def has_no_fault(line: Line, kind: str) -> Callable[[], bool]:
    def gone() -> bool:
        status, text = line.get("/api/status")
        return status == 200 and f'"kind":"{kind}"' not in text.replace(" ", "")

    return gone


def _metric(line: Line, name: str, **labels: str) -> float:
    status, _ = line.get("/healthz")
    return line.scrape().total(name, **labels) if status else -1.0


def since() -> tuple[float, float]:
    """Now, monotonic and by the wall clock."""
    return time.monotonic(), time.time()


@contextmanager
def stand(folder: Path, *, triton_url: str, seed: int, repetitions: int) -> Iterator[Stand]:
    """A stand for one drill."""
    with ExitStack() as stack:
        yield Stand(
            folder=folder,
            triton_url=triton_url,
            random=random.Random(seed),
            repetitions=repetitions,
            tally=Tally(),
            stack=stack,
        )
