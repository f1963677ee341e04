"""Settings change while the line runs: no frame is missed, and a wrong file changes nothing."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import BOARD_REGION, PICTURE, Line, wait_for
from tests.kit.line_events import Entry, assert_accounted, entries
from tests.kit.redis_server import RedisServer

# Boards go by fast, and half of them are bad: units of both kinds come within seconds.
STEADY = {
    "source": "sim:?fps=4&seed=3&speed=48&defect_rate=0.5",
    "size": PICTURE,
    "region": BOARD_REGION,
}
IMPOSSIBLE = 1.0
"""A threshold that no defect of this model reaches."""


def change(line: Line, before: str, after: str) -> None:
    """Edit the settings file as an editor does: another file takes its place."""
    text = line.config.read_text()
    assert before in text
    written = line.config.with_suffix(".new")
    written.write_text(text.replace(before, after))
    written.replace(line.config)


def wait_told(line: Line, event: str, times: int, *, within_s: float = 10.0) -> dict[str, Any]:
    """The last of so many log lines that say so."""

    def told() -> list[dict[str, Any]]:
        found = [said for said in line.log() if said["event"] == event]
        return found if len(found) >= times else []

    return wait_for(told, within_s=within_s, what=f"{times} times {event!r}")[-1]


def wait_units(units: Callable[[], list[Entry]], enough: Callable[[list[Entry]], bool]) -> None:
    wait_for(lambda: enough(units()), within_s=40, what="units judged by the new settings")


def test_settings_change_live_without_a_missed_frame_and_a_wrong_file_changes_nothing(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    line = Line(
        tmp_path,
        cameras={"top": {**STEADY, "look": "auto"}},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        inspection={"threshold": IMPOSSIBLE, "deadline_ms": 20_000.0},
        batching={"max_age_ms": 15_000.0, "lane_capacity": 16},
        evidence={"passed_share": 0.0, "near_threshold": 0.0},
        reload={"watch": False},
    )
    with line, contextlib.closing(redis_server.client()) as client:
        line.wait_ready()

        def units() -> list[Entry]:
            return entries(client, "units")

        wait_units(units, lambda found: len(found) >= 4)
        assert {u.event["result"] for u in units()} == {"PASSED"}
        assert not any(u.event["evidence"] for u in units())
        [first_recipe] = {u.event["recipe"]["sha256"] for u in units()}

        # Thresholds and evidence at once, a model's name not: it says so.
        change(
            line, f"threshold = {json.dumps(IMPOSSIBLE)}", "threshold = 0.3\nmin_frames_seen = 1"
        )
        change(line, "passed_share = 0.0", "passed_share = 1.0\nquota_gb = 1.0")
        change(line, "[inference]", "[inference]\nmax_in_flight = 3")
        line.send(signal.SIGHUP)
        told = wait_told(line, "settings read again; some need a restart", 1)
        assert told["applied"] == [
            "evidence.passed_share",
            "evidence.quota_gb",
            "inspection.min_frames_seen",
            "inspection.threshold",
        ]
        assert told["restart"] == ["inference.max_in_flight"]
        assert json.loads(line.get("/api/status")[1])["needs_restart"] == told["restart"]
        wait_units(
            units,
            lambda found: (
                any(u.event["result"] == "FAILED" for u in found)
                and any(u.event["result"] == "PASSED" and u.event["evidence"] for u in found)
            ),
        )

        # One mistake, and nothing of the file counts: not the good threshold beside it either.
        change(line, "threshold = 0.3", 'threshold = 1.0\nmin_size_px = "large"')
        line.send(signal.SIGHUP)
        refused = wait_told(line, "settings refused, the old ones stay in force", 1)
        [problem] = refused["problems"]
        assert "inspection.min_size_px: found 'large'; expected a number" in problem
        failed = sum(u.event["result"] == "FAILED" for u in units())
        wait_units(
            units, lambda found: sum(u.event["result"] == "FAILED" for u in found) > failed + 2
        )
        scrape = line.scrape()
        assert scrape.total("inspector_settings_reloads_total", outcome="applied") == 1
        assert scrape.total("inspector_settings_reloads_total", outcome="refused") == 1
        # A key by its old name is said once, at the start, however often the file is read.
        renamed = line.said("setting renamed")
        assert renamed["key"].endswith("cameras.top.look")
        assert renamed["now"] == "crop"
        assert scrape.total("inspector_settings_restart_needed") == 1
        line.stop()

        found = units()
        assert_accounted(found, line.said("stopped")["captured"])
        assert all(u.is_inspected or u.event["reason"] == "shutting_down" for u in found)
        assert_judged_by_what_they_name(found, first_recipe)
        kept = tmp_path / "state" / "evidence"
        assert len(list(kept.rglob("*.jpg"))) == sum(len(u.event["evidence"]) for u in found)


def test_new_settings_that_the_model_contradicts_are_refused_as_a_whole(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    """Accepted, they would end the next start with exit code 78."""
    line = Line(
        tmp_path,
        cameras={"top": STEADY},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        inspection={"threshold": IMPOSSIBLE, "deadline_ms": 20_000.0},
        batching={"max_age_ms": 15_000.0, "lane_capacity": 16},
        evidence={"passed_share": 0.0, "near_threshold": 0.0},
        reload={"watch": False},
    )
    too_low = (
        "inspection.threshold goes down to 0.1, but model pcb_inspection reports nothing below 0.25"
        " (its score_threshold)"
    )
    before = f"threshold = {json.dumps(IMPOSSIBLE)}"
    wrong = [
        # A value that is live, beside another one that is right.
        (before + "\ndeadline", "threshold = 0.1\nmin_size_px = 1.0\ndeadline", too_low),
        (before + "\ndeadline", before + "\nthresholds = {short = 0.1}\ndeadline", too_low),
        # Values that wait for a restart, which they would prevent.
        (
            before + "\ndeadline",
            before
            + '\ncodes = ["short", "open", "mousebite", "spur", "copper", "pin-hole"]\ndeadline',
            (
                "inspection.codes is short, open, mousebite, spur, copper, pin-hole, but model "
                "pcb_inspection was built for: open, short, mousebite, spur, copper, pin-hole"
            ),
        ),
        (
            "[inference]",
            '[inference]\nmodel = "pcb_inspektion"',
            'inference.model is "pcb_inspektion", but the server has: ',
        ),
    ]
    with line, contextlib.closing(redis_server.client()) as client:
        line.wait_ready()
        wait_units(lambda: entries(client, "units"), lambda found: len(found) >= 2)
        for times, (right, mistake, problem) in enumerate(wrong, 1):
            change(line, right, mistake)
            line.send(signal.SIGHUP)
            refused = wait_told(line, "settings refused, the old ones stay in force", times)
            assert [told.startswith(problem) for told in refused["problems"]] == [True], refused
            change(line, mistake, right)
        refusals = line.scrape().total("inspector_settings_reloads_total", outcome="refused")
        assert refusals == len(wrong)
        status = json.loads(line.get("/api/status")[1])
        assert status["needs_restart"] == []

        # What the model allows is still taken, and a lost connection is made by the new values.
        change(line, before, "threshold = 0.3")
        line.send(signal.SIGHUP)
        assert wait_told(line, "settings read again", 1)["applied"] == ["inspection.threshold"]
        line.stop()
        recipes = {u.event["recipe"]["sha256"] for u in entries(client, "units")}
        assert len(recipes) <= 2, "a refused file changed what is in force"


def test_thresholds_wait_for_a_model_that_was_never_seen_and_other_settings_do_not(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    line = Line(
        tmp_path,
        cameras={"top": STEADY},
        triton="127.0.0.1:9",
        redis_url=redis_server.url,
        inspection={"threshold": 0.5},
        evidence={"passed_share": 0.0, "near_threshold": 0.0},
        reload={"watch": False},
    )
    with line:
        wait_told(line, "running", 1, within_s=30.0)
        change(line, "threshold = 0.5", "threshold = 0.6")
        line.send(signal.SIGHUP)
        [problem] = wait_told(line, "settings refused, the old ones stay in force", 1)["problems"]
        assert problem.startswith("inspection: the model is not known yet")
        change(line, "threshold = 0.6", "threshold = 0.5")
        change(line, "passed_share = 0.0", "passed_share = 1.0")
        line.send(signal.SIGHUP)
        assert wait_told(line, "settings read again", 1)["applied"] == ["evidence.passed_share"]

        # Serials of a product without a file are refused here, as they are at a start.
        whole = line.config.read_text()
        with_serials = '\n[products]\nunknown = "keep"\n[products.by_serial]\n{} = "S-[0-9]+"\n'
        line.config.write_text(whole + with_serials.format("ghost"))
        line.send(signal.SIGHUP)
        [problem] = wait_told(line, "settings refused, the old ones stay in force", 2)["problems"]
        assert problem == 'products.by_serial names "ghost"; known products are: default'
        line.config.write_text(whole + with_serials.format("default"))
        line.send(signal.SIGHUP)
        told = wait_told(line, "settings read again", 2)
        assert told["applied"] == ["products.by_serial", "products.unknown"]
        line.stop()


def assert_judged_by_what_they_name(units: list[Entry], first_recipe: str) -> None:
    recipes = [u.event["recipe"]["sha256"] for u in units]
    old = recipes.count(first_recipe)
    assert recipes == [first_recipe] * old + [recipes[-1]] * (len(units) - old), "one change"
    assert 0 < old < len(units)
    assert not any(u.event["result"] == "FAILED" for u in units[:old])
    assert not any(u.event["evidence"] for u in units[: old - 1])


def test_a_settings_file_that_changes_is_noticed_and_a_half_written_one_is_refused(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    line = Line(
        tmp_path,
        cameras={"top": STEADY | {"trigger": "external", "trigger_wait_ms": 300.0}},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
    )
    with line:
        line.wait_ready()
        change(line, "trigger_wait_ms = 300.0", "trigger_wait_ms = 700.0")
        told = wait_told(line, "settings read again", 1)
        assert told["applied"] == ["cameras.top.trigger_wait_ms"]

        whole = line.config.read_text()
        line.config.write_text(whole[: whole.index("[inference]") + 14])
        refused = wait_told(line, "settings refused, the old ones stay in force", 1)
        assert "not valid TOML" in refused["problems"][0]
        line.config.unlink()
        line.config.write_text(whole.replace("700.0", "900.0"))
        told = wait_told(line, "settings read again", 2)
        assert told["applied"] == ["cameras.top.trigger_wait_ms"]
        assert line.get("/healthz")[0] == 200
        line.stop()
