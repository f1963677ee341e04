"""Boards that pass a free-running camera, through the real service and the real model."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from inspector.simulation.belt import BOARD_SIDE_PX, SimulatedView
from inspector.simulation.defects import TrueDefect
from inspector.simulation.options import SimulationOptions
from tests.kit.line import PICTURE, Line, measured, needs_amber, needs_redis, wait_for
from tests.kit.line_events import assert_gapless, entries
from tests.kit.redis_server import RedisServer
from tests.kit.rtsp_server import RtspServer, Serving

BOARDS = 4
OPTIONS = SimulationOptions(seed=5, speed=16.0, gap=300, defect_rate=0.7, boards=BOARDS)
SOURCE = f"sim:?seed=5&speed=16&gap=300&defect_rate=0.7&boards={BOARDS}"
BELT = {"source": SOURCE, "size": PICTURE, "trigger": "presence"}
# For what is right, not how soon: a busy machine may take its time.
UNHURRIED: Any = {
    "cameras.top.serial": {"timeout_ms": 5000.0},
    "batching": {"max_age_ms": 8000.0, "lane_capacity": 8},
    "inspection": {"deadline_ms": 8000.0},
}
AGREES_IOU = 0.33


@needs_redis
def test_each_simulated_board_gets_its_verdict_serial_and_picture(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    with (
        Line(
            tmp_path,
            cameras={"top": BELT},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            evidence={"passed_share": 1.0, "free_floor_gb": 0.0, "timeout_ms": 5000.0},
            **UNHURRIED,
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        assert line.wait_end(90) == 0, line.log_tail()  # the line ends after its last board
        units = entries(client, "units")
        assert_gapless(units)
        assert_gapless(entries(client, "defects"))
    view = SimulatedView(OPTIONS, (1280, 720))
    boards = [view.board(number) for number in range(1, BOARDS + 1)]
    events = [unit.event for unit in units]
    assert [e["unit"]["id"] for e in events] == [board.serial for board in boards]
    found = claimed = true = 0
    for event, board in zip(events, boards, strict=True):
        assert event["unit"]["id_source"] == "serial"
        assert event["simulated"]
        assert event["counts"]["frames_inspected"] == 3
        assert_picture_is_the_board(event)
        agreeing = [d for d in event["defects"] if agrees(d, board.truth)]
        found, claimed, true = (
            found + len(agreeing),
            claimed + len(event["defects"]),
            true + len(board.truth),
        )
        if board.truth:
            assert event["result"] == "FAILED", (event["unit"]["id"], board.truth)
    measured("defects drawn, claimed, agreeing", (true, claimed, found))
    assert found >= 0.6 * true


def assert_picture_is_the_board(event: Mapping[str, Any]) -> None:
    [evidence] = event["evidence"]
    content = Path(unquote(urlsplit(evidence["uri"]).path)).read_bytes()
    assert evidence["kind"] == "unit"
    assert (len(content), hashlib.sha256(content).hexdigest()) == (
        evidence["bytes"],
        evidence["sha256"],
    )
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height_px, width_px = picture.shape[:2]
    assert max(abs(height_px - BOARD_SIDE_PX), abs(width_px - BOARD_SIDE_PX)) <= 8
    for defect in event["defects"]:
        x, y, width, height = defect["bbox_px"]
        assert x >= 0
        assert y >= 0
        assert x + width <= width_px
        assert y + height <= height_px


def agrees(defect: Mapping[str, Any], truth: tuple[TrueDefect, ...]) -> bool:
    """The same code at the same place: the board's own pixels are those of its picture."""
    return any(
        defect["code"] == true.code and iou(defect["bbox_px"], true.bbox_px) >= AGREES_IOU
        for true in truth
    )


def iou(one: Any, other: Any) -> float:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    shared = float(max(0, right - left) * max(0, bottom - top))
    both = float(one[2] * one[3] + other[2] * other[3])
    return shared / (both - shared)


@needs_redis
def test_with_a_full_evidence_disk_verdicts_go_on_and_the_fault_is_told(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{disk}" && "$@"'
    with (
        Line(
            tmp_path,
            cameras={"top": {"source": "sim:?view=strobe&takt_s=0.3", "size": "320x240"}},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            prefix=["unshare", "--mount", "sh", "-c", mount, "sh"],
            evidence={"directory": str(disk / "evidence"), "passed_share": 1.0},
            inspection={"deadline_ms": 8000.0},
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(lambda: len(entries(client, "units")) >= 8, within_s=30, what="verdicts")
        assert line.get("/readyz")[0] == 200
        assert line.get("/healthz")[0] == 200
        assert line.scrape().total("inspector_evidence_failures_total") >= 5
        line.stop()
        units = [unit.event for unit in entries(client, "units")]
        faults = [(e.event["fault"], e.event["subject"]) for e in entries(client, "health")]
        assert_gapless(entries(client, "units"))
    assert ("disk", "evidence") in faults
    assert all(event["evidence"] == [] for event in units)
    assert sum(event["result"] in ("PASSED", "FAILED") for event in units) >= 5


@needs_redis
@needs_amber
def test_boards_on_a_live_rtsp_stream_get_their_verdicts_and_serials_in_order(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer, shared: Path
) -> None:
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)
    with (
        RtspServer(Serving(video=shared / "data/line/green_harsh.mp4")) as camera,
        Line(
            tmp_path,
            cameras={"top": {"source": camera.url(), "size": PICTURE, "trigger": "presence"}},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            **UNHURRIED,
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(lambda: len(entries(client, "units")) >= 5, within_s=60, what="five verdicts")
        line.stop()
        units = entries(client, "units")
    assert_gapless(units)
    events = [unit.event for unit in units]
    assert [u.number for u in units] == list(range(1, len(units) + 1))
    serials = [e["unit"]["id"] for e in events if e["unit"]["id_source"] == "serial"]
    assert len(serials) >= 4
    assert serials == sorted(set(serials)), "each board once, in order"
    for event in events:
        assert event["result"] != "PASSED" or event["counts"]["frames_inspected"] == 3
    measured("verdict after", [e["timing_ms"]["trigger_to_verdict"] for e in events])
