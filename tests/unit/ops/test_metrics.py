from __future__ import annotations

import re
import threading

import pytest

from inspector.core.records import CameraId, Doubt, MissReason, Result
from inspector.ops.metrics import STAGES, Metrics

CONTRACT = {
    "inspector_evidence_bytes",
    "inspector_evidence_failures_total",
    "inspector_frames_captured_total",
    "inspector_frames_inspected_total",
    "inspector_frames_idle_total",
    "inspector_frames_missed_total",
    "inspector_units_total",
    "inspector_defects_total",
    "inspector_stage_seconds_bucket",
    "inspector_verdict_seconds_bucket",
    "inspector_deadline_missed_total",
    "inspector_batch_regions_bucket",
    "inspector_requests_in_flight",
    "inspector_frame_buffers_free",
    "inspector_camera_up",
    "inspector_camera_reconnects_total",
    "inspector_camera_last_frame_timestamp_seconds",
    "inspector_triton_up",
    "inspector_triton_reconnects_total",
    "inspector_redis_up",
    "inspector_journal_pending_events",
    "inspector_journal_oldest_pending_seconds",
    "inspector_events_published_total",
    "inspector_build_info",
    "inspector_clock_off_seconds",
    "inspector_clock_synchronised",
    "inspector_redis_memory_bytes",
    "inspector_redis_memory_expected_bytes",
    "inspector_redis_memory_limit_bytes",
    "inspector_camera_dark",
    "inspector_camera_frozen",
    "inspector_certificate_expiry_timestamp_seconds",
    "inspector_deadline_seconds",
    "inspector_disk_free_bytes",
    "inspector_camera_units_total",
    "inspector_uptime_seconds",
    "inspector_fault",
    "inspector_log_lines_lost_total",
    "inspector_last_unit_timestamp_seconds",
    "inspector_ready",
    "inspector_time_seconds",
    "inspector_units_again_total",
    "inspector_units_doubtful_total",
}


def exposed() -> tuple[Metrics, str]:
    metrics = Metrics([CameraId("left"), CameraId("right")], ["open", "short"])
    metrics.build_info.labels("1", "m").set(1)
    metrics.count_lost_log_lines(lambda: 3)
    metrics.certificate_expiry.labels("redis", "shown").set(1)
    metrics.disk_free.labels("journal").set(1)
    metrics.stage("inference", 2_000_000)
    return metrics, metrics.exposition().decode()


def test_every_name_of_the_contract_is_exposed() -> None:
    _, text = exposed()
    names = set(re.findall(r"^(inspector_\w+)", text, flags=re.MULTILINE))
    assert CONTRACT - names == set()


def test_labelled_series_exist_before_anything_happened() -> None:
    _, text = exposed()
    for reason in MissReason:
        series = f'inspector_frames_missed_total{{camera="left",reason="{reason}"}} 0.0'
        assert series in text
    for doubt in Doubt:
        assert f'inspector_units_doubtful_total{{camera="left",doubt="{doubt}"}} 0.0' in text
    assert 'inspector_fault{fault="optics",subject="left"} 0.0' in text
    assert 'inspector_units_total{result="NOT_INSPECTED"} 0.0' in text
    assert 'inspector_defects_total{code="short"} 0.0' in text
    assert 'inspector_fault{fault="disk",subject="evidence"} 0.0' in text


def test_every_series_that_a_rule_uses_exists_before_anything_happened() -> None:
    """Also the times: a rule over what does not exist yet is silent."""
    _, text = exposed()
    for camera in ("left", "right"):
        for result in Result:
            series = (
                f'inspector_camera_units_total{{camera="{camera}",late="yes",result="{result}"}}'
            )
            assert f"{series} 0.0" in text
        assert f'inspector_last_unit_timestamp_seconds{{camera="{camera}"}} 1' in text
    for stage in STAGES:
        assert f'inspector_stage_seconds_count{{stage="{stage}"}}' in text


def test_a_verdict_is_counted_for_its_camera_and_noted_by_our_own_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall_s, mono_s = [1000.0], [50.0]
    monkeypatch.setattr("inspector.ops.metrics.time", lambda: wall_s[0])
    monkeypatch.setattr("inspector.ops.metrics.monotonic", lambda: mono_s[0])
    metrics = Metrics([CameraId("left"), CameraId("right")], [])

    def age_s(camera: str) -> float:
        value = metrics.registry.get_sample_value
        last_s = value("inspector_last_unit_timestamp_seconds", {"camera": camera})
        now_s = value("inspector_time_seconds")
        assert last_s is not None
        assert now_s is not None
        return now_s - last_s

    mono_s[0], wall_s[0] = 60.0, 1010.0
    metrics.unit_decided(CameraId("left"), Result.FAILED, late=True)
    mono_s[0], wall_s[0] = 65.0, 1015.0
    assert (age_s("left"), age_s("right")) == (5.0, 15.0), "without a unit: since the start"
    for year in (1971, 2199):
        wall_s[0] = (year - 1970) * 365.25 * 86400
        assert (age_s("left"), age_s("right")) == (5.0, 15.0), "whoever sets the clock"
    value = metrics.registry.get_sample_value
    labels = {"camera": "left", "result": "FAILED", "late": "yes"}
    assert value("inspector_camera_units_total", labels) == 1
    assert value("inspector_units_total", {"result": "FAILED"}) == 1
    assert value("inspector_deadline_missed_total") == 1
    assert value("inspector_uptime_seconds") == 15.0


def test_a_restart_is_seen() -> None:
    _, text = exposed()
    assert re.search(r"^process_start_time_seconds \S+$", text, flags=re.MULTILINE)


def test_time_in_a_stage_is_counted_in_seconds() -> None:
    metrics, _ = exposed()
    value = metrics.registry.get_sample_value("inspector_stage_seconds_sum", {"stage": "inference"})
    assert value == 0.002


def test_counts_of_many_threads_add_up() -> None:
    metrics, _ = exposed()
    count = metrics.frames_captured.labels("left")

    def count_up() -> None:
        for _ in range(2000):
            count.inc()

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    labels = {"camera": "left"}
    assert metrics.registry.get_sample_value("inspector_frames_captured_total", labels) == 8000
