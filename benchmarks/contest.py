"""Runs contenders in turn, each in a process of its own, several rounds."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import perf_analyzer
from benchmarks.perf_analyzer import Asking

ROOT = Path(__file__).parent.parent
SETUP = ROOT / "benchmarks/contenders/setup.sh"
READY_TIMEOUT_S = 180.0
RUN_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A process that speaks the protocol of `benchmarks.contenders.protocol`."""

    name: str
    module: str
    model: str
    share: float = 1.0
    """Of the frames of the fastest: slow ones need fewer."""
    way: str = ""
    environment: str = ""
    """Its own, made by setup.sh; else the application's."""
    http: bool = False
    takes_picture: bool = True

    @property
    def python(self) -> str:
        """Its interpreter."""
        if not self.environment:
            return sys.executable
        return str(ROOT / ".cache/contenders" / self.environment / "bin/python")


@dataclass(slots=True)
class Standing:
    """What one contender reached in each round."""

    name: str
    frames_per_s: list[float] = field(default_factory=list)
    cpu_ms_per_frame: list[float] = field(default_factory=list)
    rss_mib: float = 0.0
    detections_per_frame: float = float("nan")
    versions: dict[str, str] = field(default_factory=dict)
    failure: str = ""

    @property
    def speed(self) -> float:
        """Median frames/s; 0 where it never ran."""
        return statistics.median(self.frames_per_s) if self.frames_per_s else 0.0

    @property
    def cpu_ms(self) -> float:
        """Median client CPU per frame; NaN where it is not known."""
        return statistics.median(self.cpu_ms_per_frame) if self.cpu_ms_per_frame else float("nan")

    def add(self, answer: dict[str, Any]) -> None:
        """One round."""
        frames = answer["frames"]
        self.frames_per_s.append(frames / answer["wall_s"])
        self.cpu_ms_per_frame.append(1000 * answer["cpu_s"] / frames)
        self.rss_mib = answer["rss_mib"]
        self.detections_per_frame = answer["detections"] / frames
        self.versions = answer["versions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Where they meet."""

    grpc_url: str
    http_url: str
    picture: Path
    frames: int
    seconds: float
    """Of each measurement of perf_analyzer."""
    rounds: int
    say: Callable[[str], None]


async def contest(
    ring: Ring, contenders: Sequence[Contender], ceilings: Sequence[tuple[str, Asking]]
) -> list[Standing]:
    """All in turn, then all again; one that fails is left out of later rounds, and says why."""
    binary = await perf_analyzer.fetch() if ceilings else Path()
    standings = {name: Standing(name) for name, _asking in ceilings}
    standings |= {contender.name: Standing(contender.name) for contender in contenders}
    for number in range(ring.rounds):
        for name, asking in ceilings:
            await _climb(ring, standings[name], binary, asking)
        for contender in contenders:
            await _take_part(ring, standings[contender.name], contender)
        ring.say(f"round {number + 1} of {ring.rounds} done")
    return list(standings.values())


async def _climb(ring: Ring, standing: Standing, binary: Path, asking: Asking) -> None:
    if standing.failure:
        return
    try:
        frames_per_s = await perf_analyzer.run(binary, ring.grpc_url, asking, ring.seconds)
    except (OSError, RuntimeError) as error:
        standing.failure = str(error)
    else:
        standing.frames_per_s.append(frames_per_s)
    ring.say(f"{standing.name}: {_last(standing)}")


async def _take_part(ring: Ring, standing: Standing, contender: Contender) -> None:
    if standing.failure:
        return
    try:
        if contender.environment:
            await _make(contender.environment)
        async with asyncio.timeout(RUN_TIMEOUT_S):
            standing.add(await _run(ring, contender))
    except (OSError, RuntimeError, TimeoutError, ValueError) as error:
        standing.failure = str(error) or type(error).__name__
    ring.say(f"{standing.name}: {_last(standing)}")


def _last(standing: Standing) -> str:
    return standing.failure or f"{standing.frames_per_s[-1]:.1f} frames/s"


async def _make(environment: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(SETUP), environment, stderr=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[1].decode(errors="replace").strip().splitlines()
    if process.returncode:
        raise RuntimeError(said[-1] if said else "its environment cannot be made")


async def _run(ring: Ring, contender: Contender) -> dict[str, Any]:
    url = ring.http_url if contender.http else ring.grpc_url
    command = [contender.python, "-m", contender.module, "--url", url, "--model", contender.model]
    command += ["--frames", str(max(8, round(ring.frames * contender.share)))]
    command += ["--way", contender.way] if contender.way else []
    command += ["--picture", str(ring.picture)] if contender.takes_picture else []
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None  # noqa: S101, PT018 - piped
    try:
        last = ""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while (line := (await process.stderr.readline()).decode(errors="replace")) != "ready\n":
                if not line:
                    raise RuntimeError(last or "it ended before it was ready")
                last = line.strip() or last
        process.stdin.write(b"go\n")
        out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"it ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(out)
    return answer
