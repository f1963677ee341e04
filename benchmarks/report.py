"""Words the results: benchmarks/results.json becomes benchmarks/results.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TARGET = FOLDER / "results.md"
_UNKNOWN = "—"

HEAD = """# Benchmarks

Written by `make bench` from `results.json`; what is measured, and how to do it on your machine, is
in `README.md` beside this. Contenders of one table ran in turn in one run, on the same cores as the
server; medians of the rounds, with the lowest and the highest. Ratios mean something, absolute
figures belong to the machine.

![frames per second and client CPU of every contender](../docs/images/benchmarks.png)

*The first two logarithmic; `scripts/picture_of_benchmarks.py` draws it.*
"""


def write(results: dict[str, Any]) -> None:
    """Write the Markdown file."""
    TARGET.write_text(document(results), encoding="utf-8")


def document(results: dict[str, Any]) -> str:
    """All that was measured, in Markdown."""
    parts = [HEAD]
    for name, (title, worded) in SECTIONS.items():
        if name in results:
            measured = results[name]
            parts += [f"## {title}\n", worded(measured["found"]), _where(measured["about"])]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _contest(found: list[dict[str, Any]]) -> str:
    ceiling = max((s["speed"] for s in found if _is_ceiling(s)), default=0.0)
    streamed = _speed_of(found, "perf_analyzer, streaming, shared memory")
    floor = _speed_of(found, "tutorial, gRPC FP32, unary")

    def ratio(speed: float, base: float) -> str:
        return f"{speed / base:.2f}" if base and speed else _UNKNOWN

    rows = []
    for standing in sorted(found, key=lambda s: -s["speed"]):
        speed, each = standing["speed"], standing["frames_per_s"]
        if standing["failure"]:
            rows.append([standing["name"], f"failed: {standing['failure']}", *([_UNKNOWN] * 7)])
            continue
        rows.append(
            [
                standing["name"],
                f"{speed:.1f}",
                f"{min(each):.1f} to {max(each):.1f}",
                ratio(speed, streamed),
                ratio(speed, ceiling),
                ratio(speed, floor),
                _figure(standing["cpu_ms"]),
                _figure(standing["rss_mib"] or None, 0),
                _figure(standing["detections_per_frame"], 1),
            ]
        )
    head = ["contender", "frames/s", "lowest to highest", "÷ perf_analyzer streaming shm"]
    head += [
        "÷ its best",
        "times tutorial gRPC",
        "client CPU ms/frame",
        "RSS MiB",
        "detections/frame",
    ]
    return table(head, rows)


def _is_ceiling(standing: dict[str, Any]) -> bool:
    return str(standing["name"]).startswith("perf_analyzer")


def _speed_of(found: list[dict[str, Any]], name: str) -> float:
    return next((float(s["speed"]) for s in found if s["name"] == name), 0.0)


def _figure(value: float | None, digits: int = 2) -> str:
    return _UNKNOWN if value is None or value != value else f"{value:.{digits}f}"  # noqa: PLR0124


def _latency(found: dict[str, Any]) -> str:
    rows = [
        ["capture to verdict", *(_figure(found["to_verdict_ms"][p]) for p in ("50", "95", "99"))],
        [
            "capture to XADD acknowledged, less Triton's own time",
            *(_figure(found["added_ms"][p]) for p in ("50", "95", "99")),
        ],
    ]
    return (
        table(["ms", "p50", "p95", "p99"], rows)
        + f"\n{found['frames']} frames at {found['rate_hz']:g}/s. Triton's own mean request time,"
        f" in the first line and not in the second: {found['triton_ms']:.2f} ms. The client"
        f" took {100 * found['client_cores']:.1f} % of a core. Journal (SQLite, full sync) and a"
        " Redis with `appendfsync always` are on the same disk.\n"
    )


def _overload(found: dict[str, Any]) -> str:
    rows = [
        [
            f"{factor} times",
            f"{load['frames_per_s']:.1f}",
            *(_figure(load["age_ms"][p], 0) for p in ("50", "95")),
            str(load["frames_captured"]),
            str(load["frames_captured"] - load["frames_settled"]),
            ", ".join(f"{n} {reason}" for reason, n in load["reasons"].items()) or "none",
        ]
        for factor, load in found["loads"].items()
    ]
    head = [
        "load",
        "inspected/s",
        "age p50 ms",
        "age p95 ms",
        "frames",
        "unaccounted for",
        "missed",
    ]
    return (
        table(head, rows)
        + f"\nAs fast as it goes: {found['capacity_per_s']:.1f} frames/s; a full batch takes"
        f" {found['batch_ms']:.0f} ms.\n"
    )


def _cameras(found: dict[str, Any]) -> str:
    first = next(iter(found.values()))["cpu_ms_per_frame"]
    rows = [
        [
            number,
            _figure(line["cpu_ms_per_frame"]),
            f"{line['cpu_ms_per_frame'] / first:.2f}",
            *(_figure(line["age_ms"][p], 1) for p in ("50", "95", "99")),
            _figure(line["rss_mib"], 0),
        ]
        for number, line in found.items()
    ]
    head = ["cameras", "client CPU ms/frame", "÷ one camera", "age p50 ms", "p95", "p99", "RSS MiB"]
    return table(head, rows) + "\n120 frames/s in all, however many cameras send them.\n"


def _sizes(found: dict[str, Any]) -> str:
    rows = [
        [name, _figure(line["cpu_ms_per_frame"]), _figure(line["age_ms"]["50"], 1)]
        for name, line in found.items()
    ]
    return table(["frame", "client CPU ms/frame", "age p50 ms"], rows)


def _density(found: dict[str, Any]) -> str:
    rows = [
        [
            str(step["cameras"]),
            str(step["units"]),
            _figure(step["age_p95_ms"], 0),
            _figure(step["cores"]),
            "yes" if step["held"] else step["why_not"],
        ]
        for step in found["steps"]
    ]
    return f"**{found['cameras']} cameras.**\n\n" + table(
        ["cameras", "boards", "verdict p95 ms", "client cores", "held"], rows
    )


def _million(found: dict[str, Any]) -> str:
    samples = found["rss_mib_at_s"]
    late = [mib for _at, mib in samples[len(samples) // 4 :]]
    return (
        f"{found['units']} frames at {found['frames_per_s']:.0f}/s. Resident memory after the first"
        f" quarter: {min(late):.1f} to {max(late):.1f} MiB, {late[0]:.1f} at its begin and"
        f" {late[-1]:.1f} at its end.\n"
    )


def _where(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return f"\n*{about['measured']}; {about['machine']}; Python {about['python']}; {versions}.*\n"


SECTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "null": ("A model that does nothing: what the client costs", _contest),
    "shipped": ("The shipped ensemble", _contest),
    "latency": ("Added latency, open loop", _latency),
    "overload": ("Overload", _overload),
    "cameras": ("More cameras", _cameras),
    "sizes": ("Larger frames", _sizes),
    "density": ("How many cameras with a board every 2.5 s", _density),
    "million": ("Memory over a million frames", _million),
}


if __name__ == "__main__":
    write(json.loads((FOLDER / "results.json").read_text(encoding="utf-8")))
