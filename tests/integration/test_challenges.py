"""A station that has to show on known parts that it can see: until it did, nothing is passed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.kit.challenged_line import CAMERA, COMMANDS, Shift, sections, told_triton, write_set
from tests.kit.json_schema import violations
from tests.kit.line import Line, wait_for
from tests.kit.line_events import assert_gapless, entries
from tests.kit.page_kit import Visit, chromium
from tests.kit.redis_server import RedisServer


@pytest.fixture
def shift(tmp_path: Path, redis_server: RedisServer, request: Any) -> Iterator[Shift]:
    with told_triton() as (url, model):
        terms = getattr(request, "param", {"every_units": 3})
        line = Line(
            tmp_path,
            cameras={"top": CAMERA},
            triton=url,
            redis_url=redis_server.url,
            **sections(**terms),
        )
        write_set(line.state)
        with line, contextlib.closing(redis_server.client()) as client:
            line.wait_ready()
            yield Shift(line, client, model)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def outcome(unit: Any) -> tuple[str, str | None]:
    return unit["result"], unit["reason"]


LOCKED = ("NOT_INSPECTED", "locked")
PASSED = ("PASSED", None)
FAILED = ("FAILED", None)


def test_nothing_is_passed_until_a_challenge_holds_through_whatever_goes_wrong(
    shift: Shift,
) -> None:
    assert outcome(shift.unit()) == LOCKED, "it has never shown that it sees"
    assert outcome(shift.unit("open")) == FAILED
    status = shift.get("/api/status")
    assert [lock["kind"] for lock in status["locks"]] == ["challenge"]
    assert not status["locks"][0]["is_acknowledged"]
    refused, why = shift.post("/api/commands", command="acknowledge", by="Kim")
    assert (refused, "does not end by being acknowledged" in why) == (409, True)

    # In the wrong order.
    assert shift.challenge()[0] == 200
    bad = shift.unit("open")
    assert outcome(bad) == FAILED
    assert (bad["challenge"]["part"], bad["challenge"]["as_expected"]) == ("a good one", False)
    assert "a good one: it is good and failed" in shift.wait_ended("failed", 1)["problem"]
    assert outcome(shift.unit()) == LOCKED

    # A good part in place of the bad one; the service is killed between the two.
    assert shift.challenge()[0] == 200
    good = shift.unit()
    assert outcome(good) == PASSED, "of a known part the truth is told"
    assert good["challenge"]["as_expected"]
    shift.line.kill()
    shift.line.start()
    shift.line.wait_ready()
    running = shift.get("/api/challenge")["running"]
    assert (running["next"], running["recognised"]) == (2, [1])
    assert shift.unit()["challenge"]["as_expected"] is False
    failed = shift.wait_ended("failed", 2)
    assert failed["problem"] == "one with an open track: it is bad and passed; expected open"
    shift.line.kill()
    shift.line.start()
    shift.line.wait_ready()
    assert outcome(shift.unit()) == LOCKED

    # Ended by somebody; then as it should be, asked for by a PLC.
    assert shift.challenge()[0] == 200
    assert shift.challenge(step="abort")[0] == 200
    assert shift.wait_ended("aborted", 3)["by"] == "http: Kim"
    assert outcome(shift.unit()) == LOCKED
    shift.client.xadd(COMMANDS, {"command": "challenge", "by": "plc 7"})
    wait_for(lambda: shift.get("/api/challenge")["running"], within_s=10, what="it is begun")
    shift.unit()
    assert outcome(shift.unit("open")) == FAILED
    assert shift.wait_ended("held", 4)["by"] == "commands: plc 7"

    # So many units pass now, and no more.
    assert [outcome(shift.unit()) for _ in range(4)] == [PASSED, PASSED, PASSED, LOCKED]
    metrics = shift.line.scrape()
    assert metrics.total("inspector_locked", lock="challenge") == 1
    assert metrics.total("inspector_challenges_total", result="held") == 1
    assert metrics.total("inspector_challenge_due_timestamp_seconds", set="gold") > 0
    assert metrics.total("inspector_fault", fault="challenge", subject="") == 1
    check_events(shift)


def check_events(shift: Shift) -> None:
    """The stream is as its schema says, and its parts are as the units say."""
    found = entries(shift.client, "challenges")
    assert_gapless(found)
    schema = json.loads(
        subprocess.run(
            [sys.executable, "-m", "inspector", "schema", "challenges"],
            check=True,
            capture_output=True,
        ).stdout
    )
    units = {unit["id"]: unit for unit in shift.units()}
    for entry in found:
        published = {**entry.event}
        assert violations(published, schema) == []
        if published["kind"] == "part":
            unit = units[published["unit_event_id"]]
            assert unit["challenge"]["id"] == published["challenge"]
            assert unit["result"] == published["seen"]["result"]
            assert published["evidence"] == unit["evidence"]
            assert published["evidence"], "its picture is kept, whatever the result"
    passed = [u for u in shift.units() if u["result"] == "PASSED" and u["challenge"] is None]
    held = next(e.event for e in found if e.event["result"] == "held")
    assert all(unit["time"] > held["time"] for unit in passed)


@pytest.mark.parametrize("shift", [{"after_change_over": True, "locks": False}], indirect=True)
def test_without_locks_it_is_reported_and_units_are_passed(shift: Shift) -> None:
    assert outcome(shift.unit()) == PASSED
    status = shift.get("/api/status")
    assert not status["locks"]
    assert "challenge" in [fault["kind"] for fault in status["faults"]]
    assert shift.challenge(set="other")[0] == 409
    assert shift.challenge()[0] == 200
    shift.unit()
    shift.unit("open")
    shift.wait_ended("held", 1)
    assert "challenge" not in [f["kind"] for f in shift.get("/api/status")["faults"]]


@pytest.mark.parametrize("shift", [{"after_new_revision": True}], indirect=True)
def test_the_command_asks_for_one_part_after_another_and_ends_with_the_result(shift: Shift) -> None:
    command = [sys.executable, "-m", "inspector", "challenge", "-c", str(shift.line.config)]
    status = subprocess.run([*command, "--status"], capture_output=True, text=True, check=False)
    assert status.returncode == 1
    assert status.stdout.startswith("gold: due since")
    for bad, code, last in (
        (None, 1, "failed: one with an open track: it is bad and passed; expected open"),
        ("open", 0, "held"),
    ):
        with subprocess.Popen(
            [*command, "--by", "Kim"], stdout=subprocess.PIPE, text=True
        ) as shown:
            assert shown.stdout is not None
            assert next(shown.stdout).startswith("begin: accepted, from unit")
            assert next(shown.stdout) == "show part 1 of 2: a good one\n"
            good = shift.unit()
            assert next(shown.stdout) == f"a good one ({good['unit']['id']}): as expected\n"
            assert next(shown.stdout) == "show part 2 of 2: one with an open track\n"
            shift.unit(bad)
            assert shown.stdout.read().splitlines()[-1] == last
            assert shown.wait() == code
    assert shift.challenges()[-1]["by"] == "http: Kim"
    status = subprocess.run([*command, "--status"], capture_output=True, text=True, check=False)
    assert (status.returncode, "not due; held last: 20" in status.stdout) == (0, True)


def test_a_set_that_is_wrong_keeps_the_service_from_starting(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    line = Line(
        tmp_path,
        cameras={"top": {"source": "sim:", "size": "160x128"}},
        triton="127.0.0.1:1",
        redis_url=redis_server.url,
    )
    write_set(line.state, text='[[parts]]\nname = "x"\nresult = "BAD"\n')
    with line:
        assert line.wait_end(30) == 78
    assert "gold.toml:3: parts.1.result: found 'BAD'" in line.log_tail()


@pytest.mark.parametrize("shift", [{"every_units": 1}], indirect=True)
def test_the_page_leads_through_it_part_by_part(browser: Browser, shift: Shift) -> None:
    write_set(shift.line.state, retries=1)
    shift.line.stop()
    shift.line.start()
    shift.line.wait_ready()
    with Visit(browser, f"http://{shift.line.address}") as visit:
        page = visit.open("#/now")
        banner = page.locator("#locks [data-lock=challenge]")
        expect(banner).to_contain_text("a challenge with the parts of set gold is due")
        banner.get_by_role("link", name="Show the known parts …").click()
        card = page.locator(".challenge")
        expect(card).to_contain_text("It has never held.")
        card.get_by_role("button", name="Begin").click()
        expect(page.locator(".problem")).to_have_text("Type your name first.")
        page.get_by_label("Your name").fill("Kim")
        card.get_by_role("button", name="Begin").click()
        expect(card.locator(".next")).to_have_text("Put part 1 of 2 on the line: a good one")
        shift.unit()
        expect(card.locator(".next")).to_contain_text("part 2 of 2 on the line: one with an open")
        expect(card).to_contain_text("It is known as: open")
        shift.unit()
        expect(card).to_contain_text("it is bad and passed; expected open")
        card.get_by_role("button", name="Show it again").click()
        expect(card.locator(".next")).to_contain_text("part 2 of 2")
        shift.unit("open")
        expect(page.locator(".challenge[data-result=held]")).to_contain_text("gold: held")
        expect(banner).to_have_count(0)
    assert shift.wait_ended("held", 1)["by"] == "http: Kim"
