from __future__ import annotations

import re
import threading

from inspector.ops.metrics import Metrics
from inspector.records import CameraId, MissReason

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
    "inspector_camera_dark",
    "inspector_camera_frozen",
    "inspector_certificate_expiry_timestamp_seconds",
    "inspector_deadline_seconds",
    "inspector_disk_free_bytes",
    "inspector_fault",
    "inspector_last_unit_timestamp_seconds",
    "inspector_ready",
    "inspector_time_seconds",
    "inspector_units_again_total",
}


def exposed() -> tuple[Metrics, str]:
    metrics = Metrics([CameraId("left"), CameraId("right")], ["open", "short"])
    metrics.build_info.labels("1", "m").set(1)
    metrics.certificate_expiry.labels("redis", "shown").set(1)
    metrics.disk_free.labels("journal").set(1)
    metrics.last_unit.labels("left").set(1)
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
    assert 'inspector_units_total{result="NOT_INSPECTED"} 0.0' in text
    assert 'inspector_defects_total{code="short"} 0.0' in text
    assert 'inspector_fault{fault="disk",subject="evidence"} 0.0' in text


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
