"""Every alert rule fires when it should and stays quiet when it should not: promtool evaluates."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "operations.md"
STATION = 'job="inspector", instance="pc:8090", station="p.l.s"'
SEVERITIES = {"page", "warning", "info", "none"}
DAY = 24 * 60
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")


@dataclass(frozen=True)
class Case:
    """What was measured, once a minute from minute 0 on, and whether the alert then stands."""

    alert: str
    what: str
    minute: float
    fires: bool
    series: dict[str, str]


def optics(values: str) -> dict[str, str]:
    """How far from usual the light is."""
    return {'inspector_optics_used{camera="top",measure="light"}': values}


def units(
    passed: str, failed: str = "0x3000", *, not_inspected: str = "0x3000", error: str = "0x3000"
):
    """Verdicts counted."""
    return {
        'inspector_units_total{result="PASSED"}': passed,
        'inspector_units_total{result="FAILED"}': failed,
        'inspector_units_total{result="NOT_INSPECTED"}': not_inspected,
        'inspector_units_total{result="ERROR"}': error,
    }


def camera_units(
    camera: str, *, passed: str, late: str = "0x3000", not_inspected: str = "0x3000"
) -> dict[str, str]:
    """Verdicts of a camera counted; `late` are of those that passed."""
    name = f'inspector_camera_units_total{{camera="{camera}"'
    return {
        f'{name}, result="PASSED", late="no"}}': passed,
        f'{name}, result="PASSED", late="yes"}}': late,
        f'{name}, result="NOT_INSPECTED", late="no"}}': not_inspected,
    }


def fault(kind: str, subject: str, values: str) -> dict[str, str]:
    return {f'inspector_fault{{fault="{kind}", subject="{subject}"}}': values}


def challenge_due(since: str, now: str) -> dict[str, str]:
    return {
        'inspector_challenge_due_timestamp_seconds{set="gold"}': since,
        "inspector_time_seconds": now,
    }


def camera(up: str, frozen: str, dark: str = "0x10") -> dict[str, str]:
    return {
        'inspector_camera_dark{camera="top"}': dark,
        'inspector_camera_up{camera="top"}': up,
        'inspector_camera_frozen{camera="top"}': frozen,
    }


def journal_size(size: str, pending: str) -> dict[str, str]:
    return {
        "inspector_journal_bytes": size,
        "inspector_journal_limit_bytes": "1e10x30",
        "inspector_journal_pending_events": pending,
    }


def redis_memory(used: str, *, expected: str = "0x20", limit: str = "3.2e9x20") -> dict[str, str]:
    return {
        "inspector_redis_memory_bytes": used,
        "inspector_redis_memory_expected_bytes": expected,
        "inspector_redis_memory_limit_bytes": limit,
    }


def readers(**oldest: str) -> dict[str, str]:
    """By group: the age of the oldest event that it has not acknowledged. Retention is 14 days."""
    return {"inspector_retention_seconds": "1209600x60"} | {
        f'inspector_group_oldest_seconds{{stream="units", group="{group}"}}': values
        for group, values in oldest.items()
    }


def lost(**events: str) -> dict[str, str]:
    """By group: events deleted before it acknowledged them."""
    return {
        f'inspector_group_lost_events{{stream="units", group="{group}"}}': values
        for group, values in events.items()
    }


LINE_RUNS = units("0+30x3000")
SERIAL = "inspector_serials_total{{outcome={}}}"
MISSED = 'inspector_frames_missed_total{{camera="top", reason="{}"}}'
INSPECTED = 'inspector_frames_inspected_total{camera="top"}'
CERTIFICATE = 'inspector_certificate_expiry_timestamp_seconds{subject="redis", certificate="shown"}'
SINK_LOST = 'inspector_sink_events_lost_total{sink="archive", stream="units"}'
TRIGGERS = 'inspector_triggers_total{{camera="top", outcome="{}"}}'
NO_CAMERA = 'inspector_triggers_total{camera="", outcome="malformed"}'
LOST = "inspector_log_lines_lost_total"
CLOSED = 'inspector_http_connections_closed_total{{why="{}"}}'
UPTIME = "inspector_uptime_seconds"
LAST = 'inspector_last_unit_timestamp_seconds{{camera="{}"}}'
DISK = 'inspector_disk_free_bytes{folder="journal"}'
BUCKET = 'inspector_verdict_seconds_bucket{{le="{}"}}'


def verdicts_within(seconds: str) -> dict[str, str]:
    """Sixty verdicts a minute, all between the bucket before and this one; the deadline is 2 s."""
    bounds = ["0.5", "1", "1.5", "2", "3", "+Inf"]
    slow = bounds.index(seconds)
    return {"inspector_deadline_seconds": "2x30"} | {
        BUCKET.format(le): "0+60x30" if i >= slow else "0x30" for i, le in enumerate(bounds)
    }


CASES = [
    Case("InspectorDown", "no answer", 2, True, {"up": "0x10"}),
    Case("InspectorDown", "answers", 2, False, {"up": "1x10"}),
    Case("InspectorDown", "just gone", 2, False, {"up": "1 1 0"}),
    Case("InspectorUnwatched", "left out of the targets", 8, True, {"up": "1 1 1 stale"}),
    Case("InspectorUnwatched", "no target at all", 8, True, {}),
    Case("InspectorUnwatched", "does not answer", 8, False, {"up": "1 1 0x10"}),
    Case(
        *("InspectorUnwatched", "another address", 8, False),
        {'up{pod="a"}': "1 1 stale", 'up{pod="b"}': "_ _ _ 1x10"},
    ),
    Case("InspectorNotReady", "for six minutes", 6, True, {"inspector_ready": "0x10"}),
    Case("InspectorNotReady", "starting", 4, False, {"inspector_ready": "0x10"}),
    Case("InspectorNotReady", "ready", 6, False, {"inspector_ready": "1x10"}),
    Case(
        *("InspectorRestarting", "twice", 30, True),
        {"process_start_time_seconds": "5x10 700x10 1300x10"},
    ),
    Case("InspectorRestarting", "once", 30, False, {"process_start_time_seconds": "5x10 700x20"}),
    Case("RestartNeeded", "all night", 70, True, {"inspector_settings_restart_needed": "1x90"}),
    Case(
        "RestartNeeded", "soon done", 70, False, {"inspector_settings_restart_needed": "1x50 0x40"}
    ),
    Case("LogLost", "some", 5, True, {LOST: "0 0 5x10"}),
    Case(
        "LogLost", "the first, before anybody looked", 3, True, {LOST: "_ 5x9", UPTIME: "_ 9+60x9"}
    ),
    Case("LogLost", "none", 5, False, {LOST: "0x10", UPTIME: "9+60x10"}),
    Case("LogLost", "days ago", 5, False, {LOST: "9x10", UPTIME: "86400+60x10"}),
    Case("HttpCrowded", "a scanner", 5, True, {CLOSED.format("full"): "0 0 700x10"}),
    Case("HttpCrowded", "some are slow", 5, False, {CLOSED.format("late"): "0+1x10"}),
    # promtool's clock starts at 0.
    Case("ClockWrong", "5 s fast", 5, True, {"inspector_time_seconds": "5+60x10"}),
    Case("ClockWrong", "5 s slow", 5, True, {"inspector_time_seconds": "-5+60x10"}),
    Case("ClockWrong", "half a second", 5, False, {"inspector_time_seconds": "0.5+60x10"}),
    Case("PicturesDoubtful", "lamps flicker", 2, True, fault("optics", "top", "0 1x10")),
    Case("PicturesDoubtful", "good again", 8, False, fault("optics", "top", "0 1x5 0x10")),
    Case("ClockJumped", "30 days ahead", 2, True, fault("clock", "", "0 1x10")),
    Case("ClockJumped", "another than Redis's", 2, True, fault("clock", "redis", "1x10")),
    Case("ClockJumped", "right", 2, False, fault("clock", "", "0x10")),
    Case("ClockJumped", "a camera's clock", 8, False, fault("clock", "camera top", "1x10")),
    Case("CameraClockWrong", "runs slow", 3, True, fault("clock", "camera top", "0 1x10")),
    Case("CameraClockWrong", "since the start", 3, True, fault("clock", "camera top", "1x10")),
    Case("CameraClockWrong", "right again", 8, False, fault("clock", "camera top", "1x3 0x10")),
    Case("CameraClockWrong", "the station's", 8, False, fault("clock", "", "1x10")),
    Case("ClockJumped", "right again", 8, False, fault("clock", "", "0 1x5 0x10")),
    Case(
        *("CertificateExpiring", "in ten days", 5, True),
        {CERTIFICATE: "864000x10", "inspector_time_seconds": "0+60x10"},
    ),
    Case(
        *("CertificateExpiring", "in a month", 5, False),
        {CERTIFICATE: "2600000x10", "inspector_time_seconds": "0+60x10"},
    ),
    Case("CameraDown", "silent", 5, True, camera("1 1 0x10", "0x10")),
    Case("CameraDown", "never sent a picture", 2, True, camera("0x10", "0x10")),
    Case(
        *("CameraDown", "one of two", 5, True),
        camera("1x10", "0x10") | {'inspector_camera_up{camera="bottom"}': "0x10"},
    ),
    Case("CameraDown", "works", 5, False, camera("1x10", "0x10")),
    Case("CameraDown", "frozen", 5, False, camera("0x10", "1x10")),
    Case("CameraDown", "dark", 5, False, camera("0x10", "0x10", "1x10")),
    Case("CameraDark", "dark", 5, True, camera("0x10", "0x10", "1x10")),
    Case("CameraDark", "silent", 5, False, camera("0x10", "0x10")),
    Case("CameraFrozen", "frozen", 5, True, camera("0x10", "1x10")),
    Case("CameraFrozen", "works", 5, False, camera("1x10", "0x10")),
    Case("CameraFrozen", "silent", 5, False, camera("0x10", "0x10")),
    Case(
        *("CameraUnstable", "lost all the time", 30, True),
        {
            'inspector_camera_reconnects_total{camera="top"}': "0+1x30",
            'inspector_camera_up{camera="top"}': "1 1 0 1 1 0 1 1 0 1 1 0 1x18",
        },
    ),
    Case(
        *("CameraUnstable", "lost twice", 30, False),
        {
            'inspector_camera_reconnects_total{camera="top"}': "0x10 1x10 2x10",
            'inspector_camera_up{camera="top"}': "1x9 0 1x9 0 1x11",
        },
    ),
    Case(
        *("CameraUnstable", "one long outage", 30, False),
        {
            'inspector_camera_reconnects_total{camera="top"}': "0x10 0+4x5 20x15",
            'inspector_camera_up{camera="top"}': "1x10 0x5 1x15",
        },
    ),
    Case("TritonDown", "away", 2, True, {"inspector_triton_up": "0x10"}),
    Case("TritonDown", "there", 2, False, {"inspector_triton_up": "1x10"}),
    Case("RedisDown", "away", 3, True, {"inspector_redis_up": "0x10"}),
    Case("RedisDown", "there", 3, False, {"inspector_redis_up": "1x10"}),
    Case("RedisFilling", "at 85 %", 10, True, redis_memory("2.7e9x20")),
    Case("RedisFilling", "at 70 %", 10, False, redis_memory("2.2e9x20")),
    Case("RedisFilling", "no maxmemory", 10, False, redis_memory("9e9x20", limit="0x20")),
    Case("RedisFilling", "may not be asked", 10, False, redis_memory("0x20", limit="0x20")),
    Case(
        *("RedisTooSmall", "two weeks at this pace do not fit", 400, True),
        redis_memory("1e8x500", expected="0x20 4e9x480", limit="3.2e9x500"),
    ),
    Case(
        *("RedisTooSmall", "they fit", 400, False),
        redis_memory("1e8x500", expected="2e9x500", limit="3.2e9x500"),
    ),
    Case(
        *("RedisTooSmall", "a busy morning", 300, False),
        redis_memory("1e8x500", expected="4e9x200 2e9x300", limit="3.2e9x500"),
    ),
    Case(
        *("RedisTooSmall", "others fill it within days", 3 * DAY, True),
        redis_memory("1e8+400000x6000", limit="3.2e9x6000"),
    ),
    Case(
        *("RedisTooSmall", "as much goes as comes", 3 * DAY, False),
        redis_memory("2e9x6000", expected="2e9x6000", limit="3.2e9x6000"),
    ),
    Case(
        *("RedisTooSmall", "no maxmemory", 3 * DAY, False),
        redis_memory("1e8+400000x6000", expected="9e9x6000", limit="0x6000"),
    ),
    Case(
        *("TwoProducers", "another service", 2, True),
        {'inspector_fault{fault="redis",subject="producer"}': "1x10"},
    ),
    Case(
        *("TwoProducers", "Redis away", 2, False),
        {'inspector_fault{fault="redis",subject=""}': "1x10"},
    ),
    Case("ReaderBehind", "nobody reads at all", 30, False, readers()),
    Case("ReaderBehind", "keeps up", 30, False, readers(mes="0 12 0x28")),
    Case("ReaderBehind", "six days", 30, False, readers(mes="518400+60x60")),
    Case("ReaderBehind", "eight days", 30, True, readers(mes="691200+60x60")),
    Case("ReaderBehind", "its first value", 6, True, readers(mes="691200+60x60")),
    Case("ReaderBehind", "made in between", 30, True, readers(mes="_x20 691200+60x20")),
    Case(
        *("ReaderBehind", "the station was restarted", 30, True),
        readers(mes="691200+60x15 stale 692220+60x20"),
    ),
    Case(
        *("ReaderBehind", "one of three stands still", 30, True),
        readers(mes="691200+60x60", spc="0x60", archive="3600x60"),
    ),
    Case("ReaderBehind", "it reads again", 30, False, readers(mes="691200+60x10 0x40")),
    Case("ReaderLostEvents", "never", 30, False, lost()),
    Case("ReaderLostEvents", "none", 30, False, lost(mes="0x60", spc="0x60")),
    Case("ReaderLostEvents", "the first", 12, True, lost(mes="0x10 1x50")),
    Case("ReaderLostEvents", "its first value, at the first look", 1, True, lost(mes="8x60")),
    Case("ReaderLostEvents", "seen only once", 20, True, lost(mes="0x10 3 0x50")),
    Case(
        *("ReaderLostEvents", "the station was restarted", 30, True),
        lost(mes="0x5 8x10 stale 8x30"),
    ),
    Case("ReaderLostEvents", "one of two", 30, True, lost(mes="8x60", spc="0x60")),
    Case("ReaderLostEvents", "it read on long ago", 40, False, lost(mes="8x10 0x50")),
    Case(
        *("ReadersUnwatched", "one stream of two", 10, True),
        {
            'inspector_groups_unwatched{stream="units"}': "0x20",
            'inspector_groups_unwatched{stream="health"}': "4x20",
        },
    ),
    Case(
        *("ReadersUnwatched", "few", 10, False),
        {'inspector_groups_unwatched{stream="units"}': "0x20"},
    ),
    Case("JournalGrowing", "grows", 20, True, {"inspector_journal_pending_events": "0+100x30"}),
    Case("JournalGrowing", "drains", 20, False, {"inspector_journal_pending_events": "9000-90x30"}),
    Case("JournalGrowing", "little", 20, False, {"inspector_journal_pending_events": "0+1x30"}),
    Case(
        "JournalOld",
        "eleven minutes",
        11,
        True,
        {"inspector_journal_oldest_pending_seconds": "0+61x20"},
    ),
    Case(
        "JournalOld", "a minute", 11, False, {"inspector_journal_oldest_pending_seconds": "60x20"}
    ),
    Case("JournalFilling", "nine of ten", 20, True, journal_size("9e9x30", "0+1x30")),
    Case("JournalFilling", "half", 20, False, journal_size("5e9x30", "0+1x30")),
    Case("JournalFilling", "all delivered", 20, False, journal_size("9e9x30", "0x30")),
    Case("SinkAway", "stands", 20, True, fault("sink", "archive", "1x20")),
    Case("SinkAway", "came back", 20, False, fault("sink", "archive", "1x9 0x11")),
    Case("SinkLostEvents", "lost some", 5, True, {SINK_LOST: "0x2 7x3"}),
    Case("SinkLostEvents", "lost none", 5, False, {SINK_LOST: "0x5"}),
    Case("TriggersNotRead", "stands", 2, True, fault("triggers", "", "1x10")),
    Case("TriggersNotRead", "the stream began again", 2, False, fault("triggers", "stream", "1x9")),
    Case(
        *("TriggerStreamBeganAgain", "the first time", 5, True),
        {"inspector_trigger_stream_restarts_total": "0 0 1x10"},
    ),
    Case(
        *("TriggerStreamBeganAgain", "never", 5, False),
        {"inspector_trigger_stream_restarts_total": "0x10"},
    ),
    Case(
        *("TriggerStreamBeganAgain", "an hour ago", 80, False),
        {"inspector_trigger_stream_restarts_total": "0 0 1x100"},
    ),
    Case("NoProduct", "unknown", 2, True, fault("product", "", "1x10")),
    Case("ChallengeOverdue", "for 20 minutes", 20, True, challenge_due("1x30", "60+60x30")),
    Case("ChallengeOverdue", "for 10 minutes", 10, False, challenge_due("1x30", "60+60x30")),
    Case("ChallengeOverdue", "not at all", 20, False, challenge_due("0x30", "1.8e9+60x30")),
    Case("StoredPicturesDiffer", "they do", 2, True, fault("challenge", "pictures", "1x10")),
    Case("StoredPicturesDiffer", "parts are due", 2, False, fault("challenge", "", "1x10")),
    Case("NothingPassed", "a lock", 2, True, {'inspector_locked{lock="process"}': "1x10"}),
    Case("NothingPassed", "none", 2, False, {'inspector_locked{lock="process"}': "0x10"}),
    Case("ProcessOutOfOrder", "3 alike", 2, True, fault("process", "same_place top", "0 1x10")),
    Case("ProcessOutOfOrder", "broken", 8, False, fault("process", "failed top", "0 1x5 0x10")),
    Case("OpticsDrift", "a lamp that ages", 4320, True, optics("0.1+0.0001x4400")),
    Case("OpticsDrift", "slower", 4320, False, optics("0.3+0.00001x4400")),
    Case("OpticsDrift", "not long enough", 1400, False, optics("0.1+0.0003x1500")),
    Case("NoProduct", "a file that is wrong", 2, False, fault("product", "file", "1x10")),
    Case("ProductDoubtful", "a file that is wrong", 2, True, fault("product", "file", "1x10")),
    Case("ProductDoubtful", "serials", 2, True, fault("product", "top", "1x10")),
    Case("ProductDoubtful", "a reference", 2, True, fault("product", "reference top", "1x10")),
    Case("ProductDoubtful", "unknown", 2, False, fault("product", "", "1x10")),
    Case("TriggersRefused", "malformed", 5, True, {TRIGGERS.format("malformed"): "0 0 1x10"}),
    Case(
        *("TriggersRefused", "doubled and accepted", 5, False),
        {TRIGGERS.format("doubled"): "0+1x10", TRIGGERS.format("accepted"): "0+1x10"},
    ),
    Case("TriggersRefused", "the first, of an older release", 6, True, {NO_CAMERA: "_x4 1x10"}),
    Case(
        *("TriggersRefused", "the first, before anybody looked", 3, True),
        {NO_CAMERA: "_ 1x10", UPTIME: "_ 30+60x10"},
    ),
    Case(
        *("TriggersRefused", "one before and one after a restart", 25, True),
        {NO_CAMERA: "0x5 1x14 _ 1x10", UPTIME: "86400+60x19 _ 30+60x10"},
    ),
    Case("TriggersRefused", "none ever", 8, False, {NO_CAMERA: "0x20", UPTIME: "30+60x20"}),
    Case(
        *("TriggersRefused", "some, long before Prometheus", 8, False),
        {NO_CAMERA: "_x4 7x20", UPTIME: "_x4 86400+60x20"},
    ),
    Case("JournalUnwritable", "stands", 1, True, fault("disk", "journal", "1x5")),
    Case("JournalUnwritable", "gone", 3, False, fault("disk", "journal", "1 1 0 0")),
    Case("EvidenceNotKept", "stands", 3, True, fault("disk", "evidence", "1x5")),
    Case(
        *("EvidenceNotKept", "now and then", 5, True),
        {"inspector_evidence_failures_total": "0 0 1 1 2 2 3"} | fault("disk", "evidence", "0x9"),
    ),
    Case(
        *("EvidenceNotKept", "kept", 5, False),
        {"inspector_evidence_failures_total": "7x10"} | fault("disk", "evidence", "0x9"),
    ),
    Case(
        *("EvidenceNotKept", "the first, before anybody looked", 4, True),
        {"inspector_evidence_failures_total": "_ 1x9", UPTIME: "_ 30+60x9"}
        | fault("disk", "evidence", "0x9"),
    ),
    Case("DiskAlmostFull", "half a gigabyte", 3, True, {DISK: "5e8x5"}),
    Case("DiskAlmostFull", "three gigabytes", 3, False, {DISK: "3e9x5"}),
    Case(
        *("DeadlinesMissed", "one in ten", 10, True),
        {"inspector_deadline_missed_total": "0+3x30"} | LINE_RUNS,
    ),
    Case(
        *("DeadlinesMissed", "none", 10, False),
        {"inspector_deadline_missed_total": "3x30"} | LINE_RUNS,
    ),
    Case(
        *("DeadlinesMissed", "no unit at all", 10, False),
        {"inspector_deadline_missed_total": "3x30"} | units("9x30"),
    ),
    Case(
        *("DeadlinesMissed", "all of one of two cameras", 10, True),
        LINE_RUNS
        | {"inspector_deadline_missed_total": "0+0.1x30"}
        | camera_units("top", passed="0+30x30")
        | camera_units("bottom", passed="0x30", late="0+0.1x30"),
    ),
    Case(
        *("DeadlinesMissed", "none of two cameras", 10, False),
        LINE_RUNS
        | {"inspector_deadline_missed_total": "0x30"}
        | camera_units("top", passed="0+30x30")
        | camera_units("bottom", passed="0+1x30"),
    ),
    Case("VerdictsSlow", "up to 2 s of 2", 15, True, verdicts_within("2")),
    Case("VerdictsSlow", "up to 1 s of 2", 15, False, verdicts_within("1")),
    Case(
        *("FramesMissed", "one in ten", 15, True),
        {MISSED.format("lane_full"): "0+10x30", INSPECTED: "0+90x30"},
    ),
    Case(
        *("FramesMissed", "one in a thousand", 15, False),
        {MISSED.format("lane_full"): "0+1x30", INSPECTED: "0+999x30"},
    ),
    Case(
        *("FramesMissed", "Triton is away", 15, False),
        {MISSED.format("model_unavailable"): "0+90x30", INSPECTED: "0x30"},
    ),
    Case(
        *("UnitsNotInspected", "one in ten", 12, True),
        units("0+27x30", not_inspected="0+3x30"),
    ),
    Case("UnitsNotInspected", "one", 12, False, units("0+1x30", not_inspected="0x10 1x20")),
    Case("UnitsNotInspected", "all inspected", 12, False, units("0+20x30", "0+7x30")),
    Case(
        *("UnitsNotInspected", "all of one of two cameras", 12, True),
        units("0+99x30", not_inspected="0+1x30")
        | camera_units("top", passed="0+99x30")
        | camera_units("bottom", passed="0x30", not_inspected="0+1x30"),
    ),
    Case(
        *("UnitsNotInspected", "two cameras, all inspected", 12, False),
        units("0+99x30")
        | camera_units("top", passed="0+98x30")
        | camera_units("bottom", passed="0+1x30"),
    ),
    Case(
        *("UnitsNotInspected", "all, before anybody looked", 3, True),
        units("_ 0x30", "_ 0x30", not_inspected="_ 28x30", error="_ 0x30")
        | camera_units("top", passed="_ 0x30", not_inspected="_ 28x30")
        | {UPTIME: "_ 30+60x30"},
    ),
    Case(
        *("InspectorErrors", "one, before anybody looked", 3, True),
        units("_ 30+30x30", error="_ 1x30") | {UPTIME: "_ 30+60x30"},
    ),
    Case(
        *("InspectorErrors", "one in each of two lives", 25, True),
        units("0+30x40", error="0x5 1x14 _ 1x10") | {UPTIME: "86400+60x19 _ 30+60x10"},
    ),
    Case(
        *("InspectorErrors", "one, days ago", 25, False),
        units("0+30x40", error="1x40") | {UPTIME: "86400+60x40"},
    ),
    Case("InspectorErrors", "one", 12, True, units("0+30x30", error="0x10 1x20")),
    Case("InspectorErrors", "none", 12, False, units("0+30x30", not_inspected="0+1x30")),
    Case(
        *("NoUnits", "they stopped ten minutes ago", 190, True),
        LINE_RUNS
        | units("0+30x180 5400x60")
        | {
            'inspector_last_unit_timestamp_seconds{camera="top"}': "0+60x180 10800x60",
            "inspector_time_seconds": "0+60x300",
        },
    ),
    Case(
        *("NoUnits", "none since the restart", 100, True),
        units("0+30x60 0x60")
        | camera_units("top", passed="0+30x60 0x60")
        | {LAST.format("top"): "0+60x60 3630x60", "inspector_time_seconds": "0+60x120"},
    ),
    Case(
        *("NoUnits", "none since the restart, by an older release", 100, True),
        units("0+30x60 0x60")
        | {LAST.format("top"): "0+60x60 stale", "inspector_time_seconds": "0+60x120"},
    ),
    Case(
        *("NoUnits", "of one of two cameras", 115, True),
        units("0+31x120")
        | camera_units("top", passed="0+30x120")
        | camera_units("bottom", passed="0+1x60 60x60")
        | {
            LAST.format("top"): "0+60x120",
            LAST.format("bottom"): "0+60x60 3600x60",
            "inspector_time_seconds": "0+60x120",
        },
    ),
    Case(
        *("NoUnits", "of one of two cameras, by an older release", 100, True),
        units("0+31x120")
        | {
            LAST.format("top"): "0+60x120",
            LAST.format("bottom"): "0+60x60 3600x60",
            "inspector_time_seconds": "0+60x120",
        },
    ),
    Case(
        *("NoUnits", "one of two cameras has few, as ever", 100, False),
        units("0+31x120")
        | camera_units("top", passed="0+30x120")
        | camera_units("bottom", passed=" ".join(str(m // 20) for m in range(120)))
        | {
            LAST.format("top"): "0+60x120",
            LAST.format("bottom"): " ".join(str(m // 20 * 1200) for m in range(120)),
            "inspector_time_seconds": "0+60x120",
        },
    ),
    Case(
        *("NoUnits", "never a unit", 100, False),
        units("0x120")
        | camera_units("top", passed="0x120")
        | {LAST.format("top"): "0x120", "inspector_time_seconds": "0+60x120"},
    ),
    Case(
        *("NoUnits", "they come", 190, False),
        LINE_RUNS
        | {
            'inspector_last_unit_timestamp_seconds{camera="top"}': "0+60x300",
            "inspector_time_seconds": "0+60x300",
        },
    ),
    Case(
        *("NoUnits", "the line rests, says the plant", 190, False),
        units("0+30x180 5400x60")
        | {
            'inspector_last_unit_timestamp_seconds{camera="top"}': "0+60x180 10800x60",
            "inspector_time_seconds": "0+60x300",
            "line_running": "1x181 0x60",
        },
    ),
    Case(
        *("NoUnits", "a slow line between two units", 185, False),
        units(" ".join(str(m // 6) for m in range(240)))
        | {
            'inspector_last_unit_timestamp_seconds{camera="top"}': " ".join(
                str(m // 6 * 360) for m in range(240)
            ),
            "inspector_time_seconds": "0+60x300",
        },
    ),
    Case(
        *("DefectRateUnusual", "five in a hundred, then thirty", DAY + 45, True),
        units(f"0+95x{DAY} {95 * DAY}+70x60", f"0+5x{DAY} {5 * DAY}+30x60"),
    ),
    Case(
        *("DefectRateUnusual", "five in a hundred, then none", DAY + 45, True),
        units(f"0+95x{DAY} {95 * DAY}+100x60", f"0+5x{DAY} {5 * DAY}+0x60"),
    ),
    Case(
        *("DefectRateUnusual", "as ever", DAY + 45, False),
        units(f"0+95x{DAY + 60}", f"0+5x{DAY + 60}"),
    ),
    Case(
        *("DefectRateUnusual", "few units", DAY + 45, False),
        units(f"0+95x{DAY} {95 * DAY}+0.7x60", f"0+5x{DAY} {5 * DAY}+0.3x60"),
    ),
    Case(
        *("SerialsUnread", "one in five", 40, True),
        {SERIAL.format('"good"'): "0+8x60", SERIAL.format('"unreadable"'): "0+2x60"},
    ),
    Case(
        *("SerialsUnread", "read", 40, False),
        {SERIAL.format('"good"'): "0+8x60", SERIAL.format('"not_looked"'): "0+8x60"},
    ),
    Case("WatchingWorks", "always", 1, True, {}),
]
NEVER_QUIET = {"WatchingWorks"}


def alert_rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def labelled(series: str) -> str:
    """With the labels that Prometheus puts on what it scrapes."""
    name, _, labels = series.rstrip("}").partition("{")
    return f"{name}{{{', '.join(filter(None, [labels, STATION]))}}}"


def promtool(folder: Path, tests: list[dict[str, Any]], *, every: str = "1m") -> None:
    file = folder / "case.yml"
    document = {
        "rule_files": [str(RULES / "recording.yml"), str(RULES / "alerts.yml")],
        "evaluation_interval": every,
        "tests": tests,
    }
    file.write_text(json.dumps(document))
    run = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.alert}: {c.what}")
def test_an_alert_fires_when_it_should_and_only_then(tmp_path: Path, case: Case) -> None:
    count = f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    promtool(
        tmp_path,
        [
            {
                "interval": "1m",
                "input_series": [
                    {"series": labelled(series), "values": values}
                    for series, values in case.series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": count,
                        "eval_time": f"{round(case.minute * 60)}s",
                        "exp_samples": [{"labels": "{}", "value": 1}] if case.fires else [],
                    }
                ],
            }
        ],
        every="5m" if case.minute > 100 else "1m",  # a day of every minute takes seconds
    )


def test_every_alert_is_seen_firing_and_quiet() -> None:
    rules = set(alert_rules())
    assert {case.alert for case in CASES if case.fires} == rules
    assert {case.alert for case in CASES if not case.fires} == rules - NEVER_QUIET


def test_every_alert_says_how_bad_it_is_and_has_a_runbook() -> None:
    headings = set(re.findall(r"^### (\w+)$", RUNBOOKS.read_text(), flags=re.MULTILINE))
    for name, rule in alert_rules().items():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"].endswith((".", "?")), name
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert name in headings, f"docs/operations.md has no page for {name}"
    assert headings == set(alert_rules()), "a runbook without an alert"


@needs_promtool
def test_figures_over_an_hour(tmp_path: Path) -> None:
    """Nine of ten good; of ten units one came again, and was good then."""
    minutes = 70
    again = 'inspector_units_again_total{{result="{}"}}'
    measured = units(f"0+9x{minutes}", f"0+1x{minutes}", not_inspected=f"0+10x{minutes}") | {
        again.format("PASSED"): f"0+1x{minutes}",
        again.format("FAILED"): f"0x{minutes}",
        'inspector_defects_total{code="short"}': f"0+2x{minutes}",
        "inspector_ready": f"0x30 1x{minutes}",
        "up": f"1x{minutes}",
    }
    expected = {
        "instance:inspector_yield:ratio1h": 0.9,
        "instance:inspector_first_pass_yield:ratio1h": 8 / 9,
        "instance:inspector_inspected:ratio1h": 0.5,
        'instance:inspector_defects_per_unit:ratio1h{code="short"}': 0.2,
        "instance:inspector_available:now": 1,
        'instance:inspector_units:rate5m{result="PASSED"}': 9 / 60,
    }
    promtool(
        tmp_path,
        [
            {
                "interval": "1m",
                "input_series": [{"series": labelled(s), "values": v} for s, v in measured.items()],
                "promql_expr_test": [
                    {
                        "expr": f"round({series}, 0.001)",
                        "eval_time": "65m",
                        "exp_samples": [
                            {
                                "labels": labelled(series.replace(series.partition("{")[0], "")),
                                "value": round(value, 3),
                            }
                        ],
                    }
                    for series, value in expected.items()
                ],
            }
        ],
    )


@needs_promtool
def test_a_station_that_does_not_answer_is_not_available(tmp_path: Path) -> None:
    promtool(
        tmp_path,
        [
            {
                "interval": "1m",
                "input_series": [
                    {"series": labelled("up"), "values": "1x29 0x40"},
                    {"series": labelled("inspector_ready"), "values": "1x29 stale"},
                ],
                "promql_expr_test": [
                    {
                        "expr": "round(instance:inspector_available:ratio1h, 0.1)",
                        "eval_time": "59m",
                        "exp_samples": [{"labels": labelled(""), "value": 0.5}],
                    }
                ],
            }
        ],
    )


@needs_promtool
def test_prometheus_reads_its_configuration() -> None:
    run = subprocess.run(
        ["promtool", "check", "config", str(RULES / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
