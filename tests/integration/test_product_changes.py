"""A station that is told what it makes: by a stream, through kills and a Redis that forgets."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import STATION, Line, measured, wait_for
from tests.kit.line_events import Entry, entries
from tests.kit.redis_server import RedisServer

CAMERA = {
    "source": "sim:?view=strobe&fps=8&seed=3",
    "size": "640x480",
    "trigger": "external",
    "trigger_wait_ms": 4000.0,
}
COMMANDS = f"inspector:{{{'.'.join(STATION.values())}}}:commands"


Event = Mapping[str, Any]


class Plant:
    """The line, and what an MES does with it."""

    def __init__(self, line: Line, client: Any) -> None:
        self.line = line
        self.client = client
        self.sent: list[str] = []
        """Entries of commands, in the order in which they are to be answered."""
        self._units = 0

    def command(self, entry_id: str = "*", **fields: str) -> None:
        self.sent.append(self.client.xadd(COMMANDS, fields, id=entry_id))

    def changes(self) -> list[Entry]:
        return entries(self.client, "changes")

    def wait_answered(self) -> None:
        wait_for(
            lambda: len([c for c in self.changes() if c.event["entry"]]) >= len(self.sent),
            within_s=20,
            what=f"{len(self.sent)} answers, not {[c.event for c in self.changes()]}",
            every_s=0.005,
        )

    def post(self, path: str, **fields: Any) -> tuple[int, str]:
        host, _, port = self.line.address.partition(":")
        connection = HTTPConnection(host, int(port), timeout=20)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(fields), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def unit(self, **fields: str) -> Event:
        """Trigger one, and wait for its verdict."""
        self._units += 1
        name = f"u{self._units}"
        status, text = self.post("/api/trigger", unit_id=name, **fields)
        assert status == 202, text

        def verdict() -> Event | None:
            found = [
                u.event for u in entries(self.client, "units") if u.event["unit"]["id"] == name
            ]
            return found[0] if found else None

        found = wait_for(verdict, within_s=15, what=f"a verdict on {name}")
        assert found is not None
        return found

    def product(self, **fields: str) -> str | None:
        product = self.unit(**fields)["product"]
        return None if product is None else str(product["name"])

    def check(self) -> None:
        """Each command once, in order; each unit by the product of the last change before it."""
        changes = [c.event for c in self.changes()]
        assert [c["entry"] for c in changes if c["entry"]] == self.sent
        assert [c["seq"] for c in changes] == list(range(1, len(changes) + 1))
        for unit in (u.event for u in entries(self.client, "units")):
            effective = [
                c for c in changes if c["effective"].get("top", 1 << 60) <= unit["unit"]["number"]
            ]
            if effective:
                assert unit["product"] == effective[-1]["product"], (unit, effective[-1])


@pytest.fixture
def plant(tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer) -> Any:
    products = tmp_path / "state" / "products"
    products.mkdir(parents=True)
    (products / "a.toml").write_text('revision = "C"\n[inspection]\nthreshold = 0.8\n')
    (products / "b.toml").write_text("[inspection]\nthreshold = 0.9\n")
    line = Line(
        tmp_path,
        cameras={"top": CAMERA},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        inspection={"deadline_ms": 10_000.0},
        batching={"max_age_ms": 8000.0},
        evidence={"enabled": False},
    )
    with line, contextlib.closing(redis_server.client()) as client:
        line.wait_ready()
        running = Plant(line, client)
        yield running
        running.check()


def test_commands_before_during_and_after_a_kill_are_answered_once_and_in_order(
    plant: Plant, tmp_path: Path
) -> None:
    assert plant.product() == "default"
    # While it runs: a start with such a file is refused.
    wrong = tmp_path / "state" / "products" / "wrong.toml"
    wrong.write_text("[inspection]\ntreshold = 0.9\n")
    plant.command(command="set_product", product="a", order="88", lot="12", context='{"x": 1}')
    plant.wait_answered()
    unit = plant.unit()
    assert unit["product"] == {"name": "a", "revision": "C"}
    assert [unit[key] for key in ("order", "lot", "context")] == ["88", "12", '{"x": 1}']
    # Two between two units, and some that nobody can carry out.
    plant.command(command="set_product", product="b")
    plant.command(command="dance")
    plant.command(command="set_product", product="wrong")
    plant.command(product="a")
    plant.command(command="set_product", product="a", ordr="1")
    plant.command(command="set_product", product="a")
    plant.wait_answered()
    results = [c.event["result"] for c in plant.changes()]
    assert results == ["accepted", "accepted", *["refused"] * 4, "accepted"]
    assert "wrong.toml:2" in plant.changes()[3].event["problem"]
    wrong.unlink()
    assert plant.product() == "a"

    plant.line.kill()
    plant.command(command="set_product", product="a", order="99")
    plant.command(command="set_product", product="b", order="100")
    plant.line.start()
    plant.wait_answered()
    plant.line.wait_ready()
    unit = plant.unit()
    assert (unit["product"]["name"], unit["order"]) == ("b", "100")

    # In the midst of it: whatever was answered stays answered, and nothing is answered twice.
    for number in range(12):
        plant.command(command="set_product", product="ab"[number % 2], order=str(number))
    wait_for(lambda: len(plant.changes()) > 9, within_s=10, what="some answers")
    plant.line.kill()
    plant.line.start()
    plant.wait_answered()
    plant.line.wait_ready()
    assert plant.product() == "b"
    plant.line.kill()
    plant.line.start()
    plant.line.wait_ready()
    unit = plant.unit()
    assert (unit["product"]["name"], unit["order"]) == ("b", "11"), "it survives without a command"


def test_a_stream_of_commands_that_is_trimmed_gone_or_another_one_is_read_on(plant: Plant) -> None:
    plant.command(command="set_product", product="a")
    plant.wait_answered()
    plant.client.xtrim(COMMANDS, maxlen=0, approximate=False)
    plant.command(command="set_product", product="b")
    plant.wait_answered()
    plant.client.delete(COMMANDS)
    plant.command(command="set_product", product="a", order="after")
    plant.wait_answered()
    # One that begins again with smaller IDs, as of a Redis that was set back.
    plant.client.delete(COMMANDS)
    plant.command("5-1", command="set_product", product="b", order="smaller")
    plant.command("5-2", command="set_product", product="a", order="smaller")
    plant.wait_answered()
    assert plant.product() == "a"
    plant.line.kill()
    plant.client.delete(COMMANDS)
    plant.command("3-1", command="set_product", product="b", order="smallest")
    plant.line.start()
    plant.wait_answered()
    plant.line.wait_ready()
    assert plant.product() == "b"


def test_an_unknown_product_locks_the_line_until_a_known_one_is_set(plant: Plant) -> None:
    plant.command(command="set_product", product="nobody knows")
    plant.wait_answered()
    refused = plant.changes()[-1].event
    assert refused["result"] == "refused"
    assert (
        "there is no product 'nobody knows', expected one of: a, b, default" in refused["problem"]
    )
    unit = plant.unit()
    assert (unit["result"], unit["reason"], unit["product"]) == (
        "NOT_INSPECTED",
        "no_product",
        None,
    )
    plant.line.kill()
    plant.line.start()
    plant.line.wait_ready()
    assert plant.unit()["reason"] == "no_product", "and a start changes nothing"
    status, text = plant.post("/api/product", product="b", by="shift leader")
    assert status == 200, text
    assert json.loads(text)["effective"] == {"top": 3}
    wait_for(lambda: len(plant.changes()) > 1, within_s=10, what="its answer in the stream")
    assert plant.changes()[-1].event["by"] == "http: shift leader"
    assert plant.product() == "b"
    assert plant.post("/api/product", product="zzz")[0] == 409
    assert plant.post("/api/product", product="")[0] == 400


def test_a_trigger_may_name_the_product_of_its_unit_and_of_those_that_follow(plant: Plant) -> None:
    assert plant.product(product="a", order="88", context="first") == "a"
    unit = plant.unit()
    assert (unit["product"]["name"], unit["order"], unit["context"]) == ("a", "88", "first")
    unit = plant.unit(context="x" * 2000, lot="7")
    assert (unit["product"]["name"], unit["lot"], unit["context"]) == ("a", "7", None)
    assert plant.product(product="nobody knows") is None
    assert plant.unit()["reason"] == "no_product"
    assert plant.product(product="b") == "b"
    said = [(c.event["by"], c.event["result"], c.event["effective"]) for c in plant.changes()]
    assert said == [
        ("trigger", "accepted", {"top": 1}),
        ("trigger", "refused", {"top": 4}),
        ("trigger", "accepted", {"top": 6}),
    ]


def test_a_file_that_is_edited_while_its_product_is_in_force_is_the_next_revision(
    plant: Plant, tmp_path: Path
) -> None:
    plant.command(command="set_product", product="b", order="88")
    plant.wait_answered()
    first = plant.unit()
    file = tmp_path / "state" / "products" / "b.toml"
    file.write_text("[inspection]\ntreshold = 0.5\n")

    def faults() -> list[Event]:
        found = (e.event for e in entries(plant.client, "health"))
        return [h for h in found if h["fault"] == "product" and h["subject"] == "file"]

    wait_for(lambda: len(faults()) == 1, within_s=15, what="a fault that names the file")
    assert "b.toml:2" in faults()[0]["cause"]
    assert plant.unit()["recipe"] == first["recipe"], "the old one stays"
    file.write_text("[inspection]\nthreshold = 0.5\n")
    wait_for(
        lambda: [c for c in plant.changes() if c.event["by"] == "file"],
        within_s=15,
        what="a change by the file",
    )
    unit = plant.unit()
    assert unit["product"] == {"name": "b", "revision": "2"}
    assert unit["order"] == "88"
    assert unit["recipe"] != first["recipe"]
    wait_for(lambda: len(faults()) == 2, within_s=15, what="the fault's end")


def test_a_product_with_another_model_waits_for_it_and_one_whose_model_is_missing_goes_back(
    plant: Plant, tmp_path: Path
) -> None:
    products = tmp_path / "state" / "products"
    (products / "raw.toml").write_text('[model]\nname = "pcb_detector"\n')
    (products / "none.toml").write_text('[model]\nname = "nobody_has_it"\n')
    assert plant.product() == "default"
    plant.command(command="set_product", product="raw")
    asked_s = time.time()
    units = []
    while not plant.changes():
        units.append(plant.unit())
    change = plant.changes()[-1].event
    assert change["result"] == "accepted", change
    took_s = datetime.fromisoformat(change["time"]).timestamp() - asked_s
    measured("another model in force after, s", round(took_s, 2))
    meanwhile = [u for u in units if u["unit"]["number"] < change["effective"]["top"]]
    assert {(u["product"]["name"], u["reason"]) for u in meanwhile} <= {
        ("default", None),
        ("raw", "changing_over"),
    }
    unit = plant.unit()
    assert (unit["product"]["name"], unit["model"]["name"]) == ("raw", "pcb_detector")

    plant.command(command="set_product", product="none")
    plant.wait_answered()
    refused = plant.changes()[-1].event
    assert refused["result"] == "refused"
    assert "nobody_has_it" in refused["problem"]
    assert refused["product"]["name"] == "raw"
    assert plant.product() == "raw"
    # The model of the product in force is asked for at a start, too.
    plant.line.kill()
    plant.line.start()
    plant.line.wait_ready()
    unit = plant.unit()
    assert (unit["product"]["name"], unit["model"]["name"]) == ("raw", "pcb_detector")
    assert unit["result"] in {"PASSED", "FAILED"}


def test_commands_one_after_another_are_answered_as_they_come(plant: Plant) -> None:
    took_ms = []
    for number in range(20):
        began_s = time.monotonic()
        plant.command(command="set_product", product="ab"[number % 2])
        plant.wait_answered()
        took_ms.append(round((time.monotonic() - began_s) * 1000))
    measured("answered and published after, ms", sorted(took_ms))


def test_a_serial_of_another_product_changes_it_from_the_next_unit_on(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    products = tmp_path / "state" / "products"
    products.mkdir(parents=True)
    (products / "board.toml").write_text("")
    patterns: Any = {"products.by_serial": {"board": "SIM-[0-9]+"}}
    line = Line(
        tmp_path,
        cameras={
            "top": {
                "source": "sim:?view=strobe&takt_s=1&seed=3",
                "size": "1280x720",
                "trigger": "every_frame",
            },
            "side": {"source": "sim:?view=strobe&takt_s=1&seed=3", "size": "640x480"},
            "top.serial": {"timeout_ms": 5000.0},
        },
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        inspection={"deadline_ms": 10_000.0},
        batching={"max_age_ms": 8000.0},
        evidence={"enabled": False},
        **patterns,
    )
    with line, contextlib.closing(redis_server.client()) as client:
        line.wait_ready()
        wait_for(lambda: entries(client, "changes"), within_s=20, what="a change by the serial")
        (change,) = [c.event for c in entries(client, "changes")]
        assert (change["by"], change["result"]) == ("serial", "accepted")
        assert change["product"]["name"] == "board"
        first = change["effective"]["top"]

        def units(camera: str) -> list[Event]:
            found = (u.event for u in entries(client, "units"))
            return [u for u in found if u["camera"] == camera]

        wait_for(
            lambda: len([u for u in units("top") if u["unit"]["number"] >= first]) >= 2,
            within_s=20,
            what="two units of the new product",
        )
        shown = [u for u in units("top") if u["unit"]["serial"]["text"]]
        for unit in shown:
            if unit["unit"]["number"] < first:
                assert (unit["result"], unit["reason"]) == ("NOT_INSPECTED", "changing_over")
            else:
                assert unit["product"]["name"] == "board"
                assert unit["result"] in {"PASSED", "FAILED"}
        assert shown
        # The camera that reads none goes along.
        side = [u for u in units("side") if u["unit"]["number"] >= change["effective"]["side"]]
        assert {u["product"]["name"] for u in side} <= {"board"}
