"""Footage through the very same stages: every frame, and the same verdicts every time."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from inspector.core.errors import EndOfFootageError
from inspector.core.records import CameraId
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.sources.opening import Opening
from inspector.sources.registry import parse_source
from tests.kit.inspector_command import on_terminal
from tests.kit.line import AMBER, BOARD_REGION, PICTURE, ROOT, Line, needs_amber

FRAMES = 60
FROM_US = 4_000_000
"""The third board passes from here on; the first with defects."""


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short piece of the line's video, packet by packet, from a key frame on."""
    target = tmp_path_factory.mktemp("footage") / "cut.mp4"
    with av.open(str(AMBER)) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        copy = out.add_stream_from_template(video)
        source.seek(FROM_US)
        start: int | None = None
        for packet in itertools.islice(source.demux(video), FRAMES):
            assert packet.pts is not None
            assert packet.dts is not None
            if start is None:
                assert packet.is_keyframe
                start = packet.pts
            packet.pts -= start
            packet.dts -= start
            packet.stream = copy
            out.mux(packet)
    return target


@pytest.fixture(scope="module")
def pictures(cut: Path) -> Path:
    """The same frames as PNG files."""
    folder = cut.parent / "pictures"
    folder.mkdir()
    width, height = map(int, PICTURE.split("x"))
    image = np.zeros((height, width, 3), np.uint8)
    video = parse_source(f"file:{cut}").make_source(
        Opening(
            camera_id=CameraId("cut"),
            size=(width, height),
            read_timeout_s=1,
            connect_timeout_s=1,
            stop=threading.Event(),
            pace="max",
        )
    )
    video.open()
    try:
        for number in range(FRAMES + 1):
            video.grab()
            video.retrieve_into(image)
            cv2.imwrite(str(folder / f"{number}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    except EndOfFootageError:
        pass
    finally:
        video.close()
    assert len(list(folder.iterdir())) == FRAMES
    return folder


@needs_amber
def test_a_replay_inspects_every_frame_and_repeats_itself(
    cut: Path, pictures: Path, tmp_path: Path, triton: EmbeddedTriton
) -> None:
    settings = Line(
        tmp_path,
        cameras={
            "top": {"source": "rtsp://192.0.2.1/a", "size": PICTURE, "region": BOARD_REGION},
            # On the empty belt, which is inspected too, there is nothing.
            "top.optics": {"least_contrast": 0},
        },
        triton=triton.grpc_url,
        redis_url="redis://127.0.0.1:1/0",
    ).config

    def replayed(source: Path, name: str) -> list[dict[str, Any]]:
        out = tmp_path / name
        command = ["replay", str(source), "--config", str(settings), "--out", str(out)]
        done = subprocess.run(
            [sys.executable, "-m", "inspector", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        units = [json.loads(line) for line in out.read_text().splitlines()]
        assert [unit["seq"] for unit in units] == list(range(1, FRAMES + 1))
        assert [unit["unit"]["number"] for unit in units] == list(range(1, FRAMES + 1))
        assert {unit["result"] for unit in units} <= {"PASSED", "FAILED"}
        assert all(unit["replayed"] and not unit["simulated"] for unit in units)
        return units

    once, twice = replayed(cut, "once.jsonl"), replayed(cut, "twice.jsonl")
    assert {unit["result"] for unit in once} == {"PASSED", "FAILED"}
    assert [repeatable(unit) for unit in once] == [repeatable(unit) for unit in twice]

    from_pictures = replayed(pictures, "pictures.jsonl")
    assert [unit["unit"]["id"] for unit in from_pictures] == [f"{n}.png" for n in range(FRAMES)]
    assert [without_name(unit) for unit in from_pictures] == [without_name(unit) for unit in once]


@needs_amber
def test_on_a_terminal_the_bar_counts_the_frames_that_were_read(
    cut: Path, tmp_path: Path, triton: EmbeddedTriton
) -> None:
    settings = Line(
        tmp_path,
        cameras={"top": {"source": "rtsp://192.0.2.1/a", "size": PICTURE, "trigger": "presence"}},
        triton=triton.grpc_url,
        redis_url="redis://127.0.0.1:1/0",
    ).config
    code, seen = on_terminal(
        "replay", cut, "--config", settings, "--out", tmp_path / "presence.jsonl"
    )
    counted = [int(frames) for frames in re.findall(rf"(\d+)/{FRAMES}\b", seen)]
    assert counted == sorted(counted)
    assert counted[-1] == FRAMES
    # Two units: one is whole, and of the next only a part was seen, so that the exit code is 1.
    assert "2 units in" in seen
    assert code == 1


def repeatable(unit: dict[str, Any]) -> dict[str, Any]:
    """What two replays of the same footage must agree on: all but IDs, clocks and timings."""
    passing = {"id", "time", "published_at", "trigger", "timing_ms", "deadline_met", "defects"}
    kept = {name: value for name, value in unit.items() if name not in passing}
    kept["trigger"] = unit["trigger"]["kind"]
    kept["defects"] = [{k: v for k, v in d.items() if k != "id"} for d in unit["defects"]]
    return kept


def without_name(unit: dict[str, Any]) -> dict[str, Any]:
    """A picture's file names the unit, a video's frame is numbered."""
    return repeatable(unit) | {"unit": unit["unit"]["number"]}
