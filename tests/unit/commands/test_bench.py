from __future__ import annotations

from typing import Any

from benchmarks import report


def standing(name: str, speed: float, **more) -> dict[str, Any]:
    figures = {"frames_per_s": [speed, speed + 2], "speed": speed, "cpu_ms": 0.5, "rss_mib": 80.0}
    return {"name": name, "failure": "", "detections_per_frame": 2.0} | figures | more


ABOUT = {"measured": "then", "machine": "that", "python": "3", "versions": {"numpy": "2"}}


def test_the_report_shows_ratios_failures_and_what_is_not_known() -> None:
    found = [
        standing("perf_analyzer, streaming, shared memory", 1000.0, cpu_ms=float("nan")),
        standing("perf_analyzer, unary async, shared memory", 1250.0, cpu_ms=float("nan")),
        standing("inspector, shared memory", 500.0),
        standing("tutorial, gRPC FP32, unary", 25.0),
        standing("Ultralytics, grpc://", 0.0, failure="no network", frames_per_s=[]),
    ]
    text = report.document({"null": {"about": ABOUT, "found": found}})
    row = next(line for line in text.splitlines() if line.startswith("| inspector"))
    assert [cell.strip() for cell in row.strip("|").split("|")][3:7] == [
        "0.50",
        "0.40",
        "20.00",
        "0.50",
    ]
    assert "failed: no network" in text
    assert "then; that; Python 3; numpy 2" in text


def test_frames_without_a_result_are_told() -> None:
    line = {
        "frames_per_s": 9.0,
        "age_ms": {"50": 1.0, "95": 2.0, "99": 3.0},
        "frames_captured": 100,
        "frames_settled": 97,
        "reasons": {"stale": 3},
    }
    found = {"capacity_per_s": 10.0, "batch_ms": 400.0, "loads": {"5": line}}
    text = report.document({"overload": {"about": ABOUT, "found": found}})
    assert "| 5 times | 9.0 | 1 | 2 | 100 | 3 | 3 stale |" in text
