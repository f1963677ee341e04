"""Recordings as people have them: damaged, broken off, called anything."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import ROOT, Line, wait_for
from tests.kit.line_events import entries
from tests.kit.redis_server import RedisServer

PICTURE = (320, 240)
WHOLE = ["PASSED", "FAILED"]


@pytest.fixture
def settings(tmp_path: Path, triton: EmbeddedTriton) -> Path:
    (tmp_path / "station").mkdir()
    return Line(
        tmp_path / "station",
        cameras={"top": {"source": "rtsp://192.0.2.1/a", "size": "640x640"}},
        triton=triton.grpc_url,
        redis_url="redis://127.0.0.1:1/0",
    ).config


class Replay:
    """What a replay printed, and what became of each unit."""

    def __init__(self, source: str | bytes, settings: Path, at: Path) -> None:
        out = at / "units.jsonl"
        command = [sys.executable, "-m", "inspector", "replay", "--config", str(settings)]
        done = subprocess.run(
            [*command, "--out", str(out), "--", source],
            cwd=at,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            timeout=60,
        )
        self.code = done.returncode
        self.said = (done.stdout + done.stderr).decode("utf-8")
        lines = out.read_text("utf-8").splitlines() if out.exists() else []
        self.units: list[dict[str, Any]] = [json.loads(line) for line in lines]

    @property
    def results(self) -> list[str]:
        return [unit["reason"] or unit["result"] for unit in self.units]

    @property
    def names(self) -> list[str]:
        return [unit["unit"]["id"] for unit in self.units]


def cases(shared: Path, name: str) -> Path:
    folder = shared / "cases/cam" / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def test_damaged_jpegs_are_not_inspected(shared: Path, settings: Path, tmp_path: Path) -> None:
    replay = Replay(str(cases(shared, "jpeg-damaged-with-end")), settings, tmp_path)
    assert replay.results == ["FAILED", *["frame_unreadable"] * 4]
    assert replay.code == 1


def test_a_file_name_that_is_no_utf8_ends_nothing(
    shared: Path, settings: Path, tmp_path: Path
) -> None:
    with tarfile.open(cases(shared, "file-name-not-utf8") / "pictures.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    replay = Replay("pictures", settings, tmp_path)
    assert replay.results == ["PASSED"] * 3
    assert replay.code == 0
    assert sum("\N{REPLACEMENT CHARACTER}" in name for name in replay.names) == 1


def test_each_page_of_a_tiff_has_a_verdict(shared: Path, settings: Path, tmp_path: Path) -> None:
    (tmp_path / "tiffs").mkdir()
    shutil.copy(cases(shared, "multipage-tiff") / "two_pages.tif", tmp_path / "tiffs")
    replay = Replay("tiffs", settings, tmp_path)
    assert replay.results == WHOLE
    assert replay.names == ["two_pages.tif page 1", "two_pages.tif page 2"]


def test_a_broken_off_copy_is_told_and_counted(
    shared: Path, settings: Path, tmp_path: Path
) -> None:
    folder = cases(shared, "video-cut-short")
    whole = Replay(str(folder / "fs.mp4"), settings, tmp_path)
    assert (whole.code, len(whole.units)) == (0, 40)
    cut = Replay(str(folder / "fs_cut.mp4"), settings, tmp_path)
    assert (cut.code, len(cut.units)) == (1, 40)
    assert cut.results.count("frame_unreadable") == 20
    assert "broke off" in " ".join(cut.said.split())
    assert "frames missed" in cut.said


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("10:30.mp4", "10:30.mp4"),
        ("cam1:line.mp4", "./cam1:line.mp4"),
        ("cam1:line.mp4", "file:cam1:line.mp4"),
        ("what?.mp4", "file://{folder}/what%3F.mp4"),
        ("100%.mp4", "100%.mp4"),
        ("gr\udcfcn.mp4", "gr\udcfcn.mp4"),
    ],
)
def test_a_recording_may_be_called_anything(
    shared: Path, settings: Path, tmp_path: Path, name: str, source: str
) -> None:
    shutil.copy(cases(shared, "video-cut-short") / "fs.mp4", tmp_path / name)
    replay = Replay(os.fsencode(source.format(folder=tmp_path)), settings, tmp_path)
    assert (replay.code, len(replay.units)) == (0, 40), replay.said


def test_a_folder_may_be_called_anything_and_keeps_its_options(
    settings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gr\udcfcn: 100%?"
    folder.mkdir()
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 255, (640, 640, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "one.png"), picture)
        (tmp_path / "one.png").rename(folder / f"{number}.png")
    assert Replay(os.fsencode(folder), settings, tmp_path).names == ["0.png", "1.png", "2.png"]
    missing = Replay(os.fsencode(tmp_path / "n\udcfc"), settings, tmp_path)
    assert missing.code == 78
    assert "no such file or folder" in " ".join(missing.said.split())
    (tmp_path / "plain").mkdir()
    (folder / "0.png").rename(tmp_path / "plain" / "0.png")
    (folder / "1.png").rename(tmp_path / "plain" / "1.png")
    paced = Replay("file:plain?fps=2&pace=recorded", settings, tmp_path)
    first, second = (datetime.fromisoformat(unit["trigger"]["at"]) for unit in paced.units)
    assert (second - first).total_seconds() > 0.4
    assert paced.code == 0


def test_a_station_publishes_a_unit_whose_name_is_no_utf8(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("a.png", "gr\udcfcn\x1b.png", "z.png")):
        picture = np.random.default_rng(number).integers(0, 255, (240, 320, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "one.png"), picture)
        (tmp_path / "one.png").rename(folder / name)
    (folder / "gr\udcfc_broken.png").write_bytes(b"no picture")
    with (
        Line(
            tmp_path,
            cameras={"top": {"source": f"file:{folder}?loop=1&fps=5", "size": "320x240"}},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        wait_for(
            lambda: len(entries(client, "units")) >= 12,
            within_s=30,
            what="three rounds of the folder decided",
        )
        line.stop()
        units = [entry.event for entry in entries(client, "units")]
    names = [unit["unit"]["id"] for unit in units[:4]]
    replaced = "\N{REPLACEMENT CHARACTER}"
    assert names == ["a.png", f"gr{replaced}_broken.png", f"gr{replaced}n{replaced}.png", "z.png"]
    # The first ones may come before the model is there.
    reasons = {unit["unit"]["id"]: unit["reason"] for unit in units[-4:]}
    assert reasons == dict(zip(names, (None, "frame_unreadable", None, None), strict=True))
