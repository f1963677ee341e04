"""The line with a real RTSP camera that dies, comes back and freezes; its password stays secret."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.kit.line import (
    AMBER,
    BOARD_REGION,
    PICTURE,
    Line,
    Scrape,
    measured,
    needs_amber,
    wait_for,
)
from tests.kit.line_events import assert_accounted, assert_gapless, entries
from tests.kit.processes import arguments, descendants
from tests.kit.redis_server import RedisServer
from tests.kit.rtsp_server import RtspServer, Serving

USER, PASSWORD = "viewer", "s3cr:t/@ü%"  # with characters that a URL has another use for
NOTICED_WITHIN_S = 3.0
BACK_WITHIN_S = 5.0


@pytest.fixture
def camera():
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)
    with RtspServer(Serving(video=AMBER, user=USER, password=PASSWORD)) as server:
        yield server


@needs_amber
def test_an_rtsp_camera_is_inspected_lost_found_again_and_keeps_its_password(
    tmp_path: Path, camera: RtspServer, redis_server: RedisServer
) -> None:
    source = camera.url(user=USER, password=PASSWORD)
    with (
        Line(
            tmp_path,
            cameras={
                "top": {"source": source, "size": PICTURE, "region": BOARD_REGION},
            },
            triton="embedded",
            redis_url=redis_server.url,
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(
            lambda: line.scrape().total("inspector_defects_total") > 0,
            within_s=40,
            what="a defect on one of the boards",
        )
        told = pages_and_arguments(line)

        def health() -> list[tuple[str, str]]:
            told = [e.event for e in entries(client, "health")]
            # Every frame is a unit here, and an empty belt is not like the boards.
            return [(e["subject"], e["state"]) for e in told if e["fault"] != "optics"]

        def timed(states: list[tuple[str, str]], up: int, within_s: float) -> float:
            """Seconds until health events and metrics both say so."""
            started_s = time.monotonic()
            wait_for(
                lambda: (
                    health() == states
                    and line.scrape().total("inspector_camera_up", camera="top") == up
                ),
                within_s=within_s,
                what=f"camera_up {up} and health events {states}",
            )
            return time.monotonic() - started_s

        states: list[tuple[str, str]] = []
        took_s: dict[str, float] = {}
        breakdowns: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "killed": (camera.kill, camera.start),
            "frozen": (camera.stop, camera.cont),
            "frozen, then started anew": (camera.stop, camera.restart),
        }
        for name, (breakdown, repair) in breakdowns.items():
            breakdown()
            states += [("top", "raised")]
            took_s[f"{name}: noticed"] = timed(states, 0, NOTICED_WITHIN_S)
            told += pages_and_arguments(line)
            assert_conserved_at_rest(line)
            repair()
            states += [("top", "cleared")]
            took_s[f"{name}: back"] = timed(states, 1, BACK_WITHIN_S)
            wait_until_inspected(line, line.scrape().frames().inspected + 5)
        told += pages_and_arguments(line)
        line.stop()
        captured = line.said("stopped")["captured"]
        units = entries(client, "units")
        assert_accounted(units, captured)
        assert_gapless(entries(client, "defects"))
        inspected = sum(u.is_inspected for u in units)
        failed = sum(u.event["result"] == "FAILED" for u in units)
        told += [str(entry) for s in ("units", "defects", "health") for entry in entries(client, s)]
    # The first pictures may come before the model has answered once. Nothing is on the empty belt.
    allowed = {
        None, "frame_dropped", "stale", "model_unavailable", "shutting_down", "camera_blank",
    }  # fmt: skip
    assert {e.event["reason"] for e in units} <= allowed
    assert failed > 0
    measured("frames, inspected, FAILED", (captured, inspected, failed))
    measured("seconds", {name: round(seconds, 2) for name, seconds in took_s.items()})
    assert_secret(tmp_path, told)


def wait_until_inspected(line: Line, frames: int) -> None:
    wait_for(
        lambda: line.scrape().frames().inspected >= frames,
        within_s=10,
        what=f"{frames} frames inspected",
    )


def assert_conserved_at_rest(line: Line) -> None:
    """No frame comes any more: what is inside gets its verdict, and then the sum is exact."""

    def settled() -> bool:
        frames = line.scrape().frames(camera="top")
        return frames.captured == frames.inspected + frames.idle + sum(frames.missed.values())

    wait_for(settled, within_s=5, what="captured == inspected + idle + missed")


def pages_and_arguments(line: Line) -> list[str]:
    """Everything the service shows, and the command lines of its processes."""
    pages = [line.get(path)[1] for path in ("/metrics", "/api/status", "/healthz", "/readyz", "/")]
    assert Scrape(pages[0]).frames().captured > 0
    return pages + [arguments(pid) for pid in (line.pid, *descendants(line.pid))]


def assert_secret(folder: Path, told: list[str]) -> None:
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "line.toml"]
    assert quote(PASSWORD, safe="") in (folder / "line.toml").read_text()
    assert any(p.name == "journal.sqlite" for p in files)
    assert any(p.name == "line.log" and p.stat().st_size for p in files)
    plain, percent = PASSWORD, quote(PASSWORD, safe="")
    for secret in (plain, percent, quote(PASSWORD), plain.partition("@")[0]):
        assert not [text[:200] for text in told if secret in text]
        found = [p.name for p in files if secret.encode() in p.read_bytes()]
        assert not found, f"the password is in {found}"
