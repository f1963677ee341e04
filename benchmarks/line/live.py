"""How soon each board has its verdict: a live RTSP camera, the real service, the embedded Triton.

`python -m benchmarks.line.live VIDEO [--seconds N]` streams an H.264 video of a line over and over
at its own pace and prints what the unit events say; exit code 1 where a board waited longer than
two seconds. RTSP server, Redis, Triton and the service share this machine. Needs what the tests of
RTSP need: GStreamer's RTSP server and redis-server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.kit.line import Line
from tests.kit.line_events import Entry, entries
from tests.kit.processes import descendants
from tests.kit.redis_server import RedisServer, any_binary
from tests.kit.rtsp_server import RtspServer, Serving

PROMISED_MS = 2000.0
CPU_SECONDS_FIELDS = slice(11, 13)
"""utime and stime in /proc/PID/stat, counted behind the program's name."""


def main() -> int:
    """Run, print, and say whether the promise was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--travel", default="left", choices=("left", "right", "up", "down"))
    asked = parser.parse_args()
    binary = any_binary()
    if binary is None or (missing := RtspServer.missing()) is not None:
        raise SystemExit("no redis-server" if binary is None else missing)
    serials: Any = {"cameras.top.serial": {}}
    with tempfile.TemporaryDirectory(prefix="live-line-") as name:
        folder = Path(name)
        with (
            RedisServer(binary, folder / "redis") as redis_server,
            RtspServer(Serving(video=asked.video.resolve())) as camera,
            Line(
                folder,
                cameras={"top": _camera(camera.url(), asked)},
                triton="embedded",
                redis_url=redis_server.url,
                **serials,
            ) as line,
        ):
            line.wait_ready(within_s=120)
            cpu_before_s, began_s = _cpu_seconds(line.pid), time.monotonic()
            time.sleep(asked.seconds)
            cpu_s = {k: v - cpu_before_s.get(k, 0) for k, v in _cpu_seconds(line.pid).items()}
            took_s = time.monotonic() - began_s
            line.stop(within_s=20)
            with contextlib.closing(redis_server.client()) as client:
                units = entries(client, "units")
    return _report(units, cpu_s, took_s)


def _camera(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    with av.open(str(asked.video)) as video:
        stream = video.streams.video[0]
        size = f"{stream.width}x{stream.height}"
    return {"source": url, "size": size, "trigger": "presence", "travel": asked.travel}


def _cpu_seconds(pid: int) -> dict[str, float]:
    """By program: the service, and what it started."""
    spent: dict[str, float] = {}
    for process, program in {pid: "inspector", **descendants(pid)}.items():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks = sum(map(int, fields[CPU_SECONDS_FIELDS]))
            spent[program] = spent.get(program, 0) + ticks / os.sysconf("SC_CLK_TCK")
    return spent


def _report(units: Sequence[Entry], cpu_s: dict[str, float], took_s: float) -> int:
    # The last boards were in view when the service was told to stop.
    whole = [u.event for u in units if u.event["reason"] != "shutting_down"]
    results = Counter(e["reason"] or e["result"] for e in whole)
    _say("units", f"{len(whole)}, one every {took_s / max(1, len(whole)):.2f} s")
    _say("verdicts", ", ".join(f"{k} {v}" for k, v in results.most_common()))
    _say("named by", dict(Counter(e["unit"]["id_source"] for e in whole)))
    _say("frames inspected", dict(Counter(e["counts"]["frames_inspected"] for e in whole)))
    for timing in ("trigger_to_verdict", "queue", "inference"):
        _say(f"{timing}, ms", _spread(e["timing_ms"][timing] for e in whole))
    _say("CPU, cores", {k: round(v / took_s, 2) for k, v in cpu_s.items()})
    late = [e for e in whole if e["timing_ms"]["trigger_to_verdict"] > PROMISED_MS]
    _say(f"later than {PROMISED_MS:g} ms", len(late))
    return 1 if late or not whole else 0


def _spread(values: Iterable[float]) -> str:
    found = np.array(list(values) or [np.nan])
    points = np.percentile(found, (50, 90, 100)).round(0).astype(int)
    return "p50 {}, p90 {}, max {}".format(*points)


def _say(what: str, value: object) -> None:
    sys.stdout.write(f"{what:24} {value}\n")


if __name__ == "__main__":
    sys.exit(main())
