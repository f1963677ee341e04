"""Measures what people who look at the operator's page cost the line.

    python -m benchmarks.page_cost [--seconds 20] [--rounds 2]

Starts the service with its embedded servers twice: with a belt, whose pace the boards give, for the
processor time of the service's process; and with more frames than the model can take, for what is
inspected per second. In each, rounds without viewers alternate with rounds of one and of eight, so
that whatever else the machine does hits all alike. A viewer takes every picture it can get.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import mean

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inspector.page.preview import MAX_WIDTH_PX, PICTURES_PER_S, PREVIEW_JPEG_QUALITY, encoded

VIEWERS = (0, 1, 8)
READY_WITHIN_S = 300.0
SETTLE_S = 3.0
STATION = '[station]\nsite = "bench"\nline = "one"\nname = "aoi"\n'
BELT = 'source = "sim:?speed=20&gap=200&seed=8"\nsize = "1280x720"\ntrigger = "presence"\n'
FLOOD = 'source = "sim:?view=strobe&takt_s=0.02"\nsize = "1280x720"\n'


@dataclass(slots=True)
class Round:
    """What one stretch of time showed."""

    cpu_percent: float
    """Of a core, by the service's own process, Triton and Redis not included."""
    inspected_per_s: float
    verdicts_per_s: float
    pictures_per_s: float
    """Encoded, however many look."""
    received_per_s: float
    """By each viewer."""


@dataclass(slots=True)
class Viewer:
    """Takes pictures as fast as they come, in a thread."""

    url: str
    pictures: int = 0
    bytes: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until told to stop."""
        with contextlib.suppress(ConnectionClosed), connect(self.url, compression=None) as live:
            live.recv()
            while not self.stop.is_set():
                live.send("next")
                with contextlib.suppress(TimeoutError):
                    message = live.recv(timeout=1, decode=False)
                    self.pictures += b'"type":"frame"' in bytes(message[:200])
                    self.bytes += len(message)


class Service:
    """`inspector run`, with everything embedded."""

    def __init__(self, folder: Path, camera: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        config = folder / "bench.toml"
        config.write_text(
            f'{STATION}[cameras.top]\n{camera}[inference]\nurl = "embedded"\n'
            f'[redis]\nurl = "embedded"\n[journal]\ndirectory = "{folder / "state"}"\n'
            f'[http]\nport = {self.port}\n[log]\nlevel = "error"\n'
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inspector", "run", "--config", str(config)]
        )

    def wait_ready(self) -> None:
        """Until units are inspected; the first time the embedded Triton installs itself."""
        give_up_s = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < give_up_s:
            with contextlib.suppress(OSError):
                if self.get("/readyz")[0] == 200 and self.metric("inspector_units_total") > 0:  # noqa: PLR2004
                    return
            time.sleep(0.5)
        sys.exit("the service was not ready in time")

    def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = self.get("/metrics")[1]
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def cpu_s(self) -> float:
        """User and system time of the process so far."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Drain and end."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)


@contextlib.contextmanager
def watching(service: Service, viewers: int) -> Iterator[list[Viewer]]:
    """So many look."""
    url = f"ws://127.0.0.1:{service.port}/ws/live/top"
    people = [Viewer(url) for _ in range(viewers)]
    threads = [threading.Thread(target=person.run) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield people
    finally:
        for person in people:
            person.stop.set()
        for thread in threads:
            thread.join()


def measure(service: Service, viewers: int, seconds: float) -> Round:
    """One round."""
    names = ("inspector_frames_inspected_total", "inspector_units_total",
             "inspector_live_pictures_total")  # fmt: skip
    with watching(service, viewers) as people:
        time.sleep(SETTLE_S)
        before = [service.metric(name) for name in names]
        seen = sum(person.pictures for person in people)
        cpu_s, started_s = service.cpu_s(), time.monotonic()
        time.sleep(seconds)
        cpu_s, lasted_s = service.cpu_s() - cpu_s, time.monotonic() - started_s
        seen = sum(person.pictures for person in people) - seen
        grown = [service.metric(name) - old for name, old in zip(names, before, strict=True)]
    return Round(
        cpu_percent=100 * cpu_s / lasted_s,
        inspected_per_s=grown[0] / lasted_s,
        verdicts_per_s=grown[1] / lasted_s,
        pictures_per_s=grown[2] / lasted_s,
        received_per_s=seen / lasted_s / viewers if viewers else 0.0,
    )


def rounds_of(camera: str, seconds: float, rounds: int) -> dict[int, list[Round]]:
    """Alternating rounds on one service."""
    found: dict[int, list[Round]] = {viewers: [] for viewers in VIEWERS}
    with tempfile.TemporaryDirectory(prefix="inspector-bench-") as folder:
        service = Service(Path(folder), camera)
        try:
            service.wait_ready()
            for _ in range(rounds):
                for viewers in VIEWERS:
                    found[viewers].append(measure(service, viewers, seconds))
        finally:
            service.stop()
    return found


def encoding_percent() -> float:
    """Of a core, for PICTURES_PER_S copies and encodings of a 1280x720 frame, on this machine."""
    noise = np.random.default_rng(8).integers(0, 40, (720, 1280, 3), np.uint8)
    picture = np.full_like(noise, 90) + noise // 4
    target, times = np.empty_like(picture), 40
    started_s = time.thread_time()
    for _ in range(times):
        np.copyto(target, picture)
        encoded(target, MAX_WIDTH_PX, PREVIEW_JPEG_QUALITY)
    return 100 * PICTURES_PER_S * (time.thread_time() - started_s) / times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    encoding = encoding_percent()
    result: dict[str, object] = {"encoding_percent_of_a_core": round(encoding, 1)}
    for name, camera in (("belt", BELT), ("flood", FLOOD)):
        found = rounds_of(camera, asked.seconds, asked.rounds)
        result[name] = {
            str(viewers): {
                key: round(mean(getattr(r, key) for r in rounds), 2) for key in Round.__slots__
            }
            for viewers, rounds in found.items()
        }
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
