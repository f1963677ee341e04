"""Load with a random fault every 20 s for a long time: does anything grow, is anything lost?

python -m tests.drills.soak --minutes 60

Where something grows, `--only "camera SIGKILL" --every 6 --trace samples.csv` repeats one kind of
fault, and writes what the process looked like; such a run leaves the document alone.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspector.embedded.triton.server import EmbeddedTriton
from tests.drills.camera_drills import MOVING, SIZE
from tests.drills.redis_drills import let_pass
from tests.drills.report import DOCUMENT
from tests.drills.stand import STEADY, Stand, stand
from tests.drills.witness import Audit, Witness
from tests.kit.processes import memory_bytes
from tests.kit.rtsp_server import RtspServer
from tests.kit.triton_server import embedded_triton_in_background

FAULT_EVERY_S = 20.0
SAMPLE_EVERY_S = 5.0
SHORT_S = 4.0
WARM_SHARE = 0.25
"""Caches fill and pools are touched for the first time: not part of the slope."""
RETENTION_DAYS = 2 / (24 * 60)
"""The journal keeps two minutes of what Redis has, so that its size can be flat."""
BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment."""

    at_s: float
    rss_mb: float
    descriptors: float
    threads: float
    shared_memory: float
    journal_mb: float


QUANTITIES = {
    "resident memory, MB": "rss_mb",
    "file descriptors": "descriptors",
    "threads": "threads",
    "entries in /dev/shm": "shared_memory",
    "journal, MB": "journal_mb",
}


class Soak:
    """One line, and everything around it that can be broken."""

    def __init__(
        self,
        at: Stand,
        triton: EmbeddedTriton,
        camera: RtspServer,
        *,
        faults: Sequence[str],
        every_s: float = FAULT_EVERY_S,
    ) -> None:
        """Break these of `FAULTS`, in random order; with none of them it only runs."""
        self._at = at
        self._every_s = every_s
        self._triton = triton
        self._camera = camera
        width, height = SIZE
        self._line = at.line(
            cameras={
                "top": {"source": camera.url(), "size": f"{width}x{height}"},
                "side": STEADY | {"source": "sim:?fps=4&seed=5"},
            },
            triton=triton.grpc_url,
            inference={"reply_timeout_s": 2.0},
            journal={"directory": str(at.folder / "state"), "retention_days": RETENTION_DAYS},
            evidence={"quota_gb": 0.02, "free_floor_gb": 0.0},
        )
        self._state = at.folder / "state"
        self._faults = sorted(faults)
        self.faults: Counter[str] = Counter()
        self.samples: list[Sample] = []

    def run(self, minutes: float) -> Audit:
        self._line.start()
        with Witness(self._at.redis.port) as witness:
            self._line.wait_ready(within_s=120)
            self._at.wait_inspecting(witness)
            end_s = time.monotonic() + 60 * minutes
            next_fault_s = time.monotonic() + self._every_s
            while time.monotonic() < end_s:
                self.samples.append(self._sample())
                let_pass(SAMPLE_EVERY_S)
                if time.monotonic() >= next_fault_s:
                    next_fault_s = max(next_fault_s + self._every_s, time.monotonic())
                    self._break_something()
            self._at.recovered(witness)
            self._line.stop(within_s=30)
            verdicts = int(self._line.said("stopped")["verdicts"])
            return witness.audit(verdicts=verdicts)

    def _break_something(self) -> None:
        if not self._faults:
            return
        name = self._at.random.choice(self._faults)
        _say(f"{datetime.now(UTC):%H:%M:%S} {name}")
        self.faults[name] += 1
        FAULTS[name](self)

    def _sample(self) -> Sample:
        pid = self._line.pid
        journal = sum(path.stat().st_size for path in self._state.glob("journal.sqlite*"))
        return Sample(
            at_s=time.monotonic(),
            rss_mb=memory_bytes(pid) / 1e6,
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - links, not files
            threads=len(os.listdir(f"/proc/{pid}/task")),  # noqa: PTH208
            shared_memory=len(list(Path("/dev/shm").glob(f"inspector-{pid}-*"))),
            journal_mb=journal / 1e6,
        )

    def _redis_killed(self) -> None:
        self._at.redis.kill()
        let_pass(SHORT_S)
        self._at.redis.start()

    def _redis_frozen(self) -> None:
        self._at.redis.freeze()
        let_pass(SHORT_S)
        self._at.redis.resume()

    def _triton_killed(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if (pid := self._triton.process_id) is not None:
                os.kill(pid, signal.SIGKILL)

    def _triton_frozen(self) -> None:
        pid = self._triton.process_id
        with contextlib.suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGSTOP)
                let_pass(SHORT_S)
                os.kill(pid, signal.SIGCONT)

    def _camera_killed(self) -> None:
        self._camera.kill()
        let_pass(SHORT_S)
        self._camera.start()

    def _camera_frozen(self) -> None:
        self._camera.stop()
        let_pass(SHORT_S)
        self._camera.cont()

    def _camera_black(self) -> None:
        self._camera.restart(replace(MOVING, pattern="black"))
        let_pass(SHORT_S)
        self._camera.restart(MOVING)

    def _reloaded(self) -> None:
        text = self._line.config.read_text()
        head = text.partition("\n[inspection]")[0]
        threshold = self._at.random.choice((0.3, 0.5, 0.7))
        self._line.config.write_text(f"{head}\n[inspection]\nthreshold = {threshold}\n")
        self._line.send(signal.SIGHUP)


FAULTS: dict[str, Callable[[Soak], None]] = {
    "Redis SIGKILL": Soak._redis_killed,
    "Redis SIGSTOP": Soak._redis_frozen,
    "Triton SIGKILL": Soak._triton_killed,
    "Triton SIGSTOP": Soak._triton_frozen,
    "camera SIGKILL": Soak._camera_killed,
    "camera SIGSTOP": Soak._camera_frozen,
    "camera black": Soak._camera_black,
    "settings read again": Soak._reloaded,
}


def slope_per_hour(samples: Sequence[Sample], quantity: str) -> float:
    """By least squares, over all but the first part."""
    warm = samples[int(len(samples) * WARM_SHARE) :]
    times = [(s.at_s - warm[0].at_s) / 3600 for s in warm]
    values = [float(getattr(s, quantity)) for s in warm]
    mean_t, mean_v = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - mean_t) ** 2 for t in times)
    return sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values, strict=True)) / spread


def report(soak: Soak, audit: Audit, took_s: float) -> str:
    """The section of docs/drills.md."""
    samples = soak.samples
    warm = samples[int(len(samples) * WARM_SHARE) :]
    rows = [
        "| | after warming up | at the end | least | most | slope per hour |",
        "|---|---|---|---|---|---|",
    ]
    for name, quantity in QUANTITIES.items():
        values = [float(getattr(s, quantity)) for s in warm]
        cells = [values[0], values[-1], min(values), max(values)]
        shown = " | ".join(f"{value:.1f}" for value in cells)
        rows.append(f"| {name} | {shown} | {slope_per_hour(samples, quantity):+.1f} |")
    faults = ", ".join(f"{name} {count}" for name, count in sorted(soak.faults.items()))
    what = (
        f"{datetime.now(UTC):%Y-%m-%d}: {took_s / 60:.0f} minutes, {sum(soak.faults.values())}"
        f" faults ({faults})."
    )
    found = (
        f"{audit.units} units, {audit.events} events; lost {len(audit.lost)}, duplicated"
        f" {len(audit.duplicated)}, out of order {len(audit.out_of_order)}, false PASSED"
        f" {len(audit.false_passed)}. The first quarter is warming up and not in the figures."
    )
    lines = [what, found, "", *rows]
    return "\n".join(lines)


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, fieldnames=list(asdict(samples[0])))
        rows.writeheader()
        rows.writerows(asdict(sample) for sample in samples)


def write(text: str) -> None:
    document = DOCUMENT.read_text()
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "docs/drills.md has no place for the soak"
    assert end, "docs/drills.md has no place for the soak"
    DOCUMENT.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--only", default="", help='faults with this in their name; "none": none')
    parser.add_argument("--every", type=float, default=FAULT_EVERY_S, metavar="S")
    parser.add_argument("--trace", type=Path, metavar="CSV", help="write every sample here")
    arguments: Any = parser.parse_args()
    faults = [name for name in FAULTS if arguments.only.lower() in name.lower()]
    if not faults and arguments.only != "none":
        parser.error(f"--only {arguments.only!r}: found in none of: {', '.join(FAULTS)}")
    if (why := RtspServer.missing()) is not None:
        _say(f"left out: {why}")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    started_s = time.monotonic()
    with (
        embedded_triton_in_background() as triton,
        RtspServer(MOVING) as camera,
        stand(folder, triton_url=triton.grpc_url, seed=arguments.seed, repetitions=1) as at,
    ):
        soak = Soak(at, triton, camera, faults=faults, every_s=arguments.every)
        audit = soak.run(arguments.minutes)
    text = report(soak, audit, time.monotonic() - started_s)
    _say(text)
    _say(str(audit))
    if arguments.trace is not None:
        write_samples(soak.samples, arguments.trace)
    if not arguments.only:
        write(text)
    return 0 if audit.is_clean else 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
