"""The station's products as the page gets them, through its routes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.core.recipes import JobState
from inspector.page.product_shelf import job_shown
from tests.kit.page_stand import ODD, SIZE_PX, PageStand, board, serving

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def stand(tmp_path: Path) -> PageStand:
    stand = PageStand(tmp_path)
    stand.teach("controller")
    stand.make("controller", order="88")
    return stand


@dataclass(frozen=True)
class Answer:
    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Asks over a real connection: paths are sent as they are written here."""

    def __init__(self, url: str) -> None:
        self._address = url.removeprefix("http://")

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def put(self, path: str, content: object, headers: Mapping[str, str] = JSON) -> Answer:
        return self._ask("PUT", path, json.dumps(content), headers)

    def _ask(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = JSON
    ) -> Answer:
        connection = HTTPConnection(self._address, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            reply = connection.getresponse()
            names = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, names, reply.read())
        finally:
            connection.close()


@pytest.fixture
def client(stand: PageStand) -> Iterator[Client]:
    with serving(stand) as url:
        yield Client(url)


def test_products_are_named_with_what_is_wrong_with_them(client: Client, stand: PageStand) -> None:
    stand.store.write("broken", b"[inspection]\nthreshold = 7\n")
    found = client.get("/api/products").json()
    assert found["job"]["product"] == "controller"
    by_name = {one["name"]: one for one in found["products"]}
    assert list(by_name) == ["broken", "controller", "default", "sensor"]
    assert by_name["controller"]["reference"] == "controller/1"
    assert by_name["sensor"]["revision"] == "C"
    assert "broken.toml:2" in by_name["broken"]["problem"]
    assert client.get("/api/products/broken").json()["problem"]


def test_a_product_is_told_with_its_references(client: Client) -> None:
    found = client.get("/api/products/controller").json()
    assert (found["in_force"], found["before"], found["problem"]) == (1, None, "")
    [reference] = found["references"]
    assert [unit["number"] for unit in reference["units"] if not unit["used"]] == [ODD]
    assert all(unit["has_picture"] for unit in reference["units"])
    assert client.get("/api/products/nobody").status_code == 404


@pytest.mark.parametrize(
    ("picture", "kind"),
    [("mean.png", "image/png"), ("deviation.png", "image/png"), ("3.jpg", "image/jpeg")],
)
def test_a_references_pictures_are_given(client: Client, picture: str, kind: str) -> None:
    answer = client.get(f"/api/products/controller/reference/1/{picture}")
    assert answer.headers["content-type"] == kind
    pixels = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (SIZE_PX[1], SIZE_PX[0], 3)


@pytest.mark.parametrize(
    "path",
    [
        "controller/reference/1/99.jpg",
        "controller/reference/1/reference.json",
        "controller/reference/1/..%2Freference.json",
        "controller/reference/2/mean.png",
        "nobody/reference/1/mean.png",
        "..%2Fcontroller/reference/1/mean.png",
    ],
)
def test_nothing_else_is_given(client: Client, path: str) -> None:
    assert client.get(f"/api/products/{path}").status_code == 404


def test_a_units_reference_lies_on_it(client: Client, stand: PageStand) -> None:
    moved = np.roll(board(70), (6, -7), axis=(0, 1))
    unit = stand.inspected(70, moved)
    answer = client.get(f"/api/units/{unit}/reference")
    assert answer.status_code == 200
    laid = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert laid is not None
    inside = (slice(20, -20), slice(20, -20))
    apart = np.abs(laid.astype(int) - moved)[inside].mean()
    unmoved = np.abs(board(70).astype(int) - moved)[inside].mean()
    assert apart < 0.4 * unmoved, (apart, unmoved)
    stand.store.approve("controller", stand.teach("controller"), by="test")
    stand.store.forget_reference("controller", 1)
    assert client.get(f"/api/units/{unit}/reference").status_code == 404


ZONE = {"name": "label", "polygon": [[1, 1], [90, 1], [90, 60]], "ignore": True}


def test_zones_are_put_into_the_file(client: Client, stand: PageStand) -> None:
    answer = client.put("/api/products/controller/zones", {"zones": [ZONE]})
    assert answer.status_code == 200
    assert [zone["name"] for zone in answer.json()["zones"]] == ["label"]
    assert b'name = "label"' in stand.store.content("controller")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"zones": "all"}, 400, "zones: found 'all'; expected a list"),
        ({"zones": [7]}, 400, "zones.1: found 7; expected a JSON object"),
        ({"zones": [ZONE | {"name": 7}]}, 400, "zones.1.name: found 7; expected text in quotes"),
        (
            {"zones": [ZONE | {"polygon": [[1, "x"]]}]},
            400,
            "zones.1.polygon.1.2: found 'x'; expected a",
        ),
        ({"zones": [ZONE | {"polygon": [[1, True]]}]}, 400, "zones.1.polygon.1.2: found True"),
        (
            {"zones": [ZONE | {"ignore": "yes"}]},
            400,
            "zones.1.ignore: found 'yes'; expected true or",
        ),
        (
            {"zones": [ZONE | {"thresholds": [1]}]},
            400,
            "zones.1.thresholds: found [1]; expected a JSON object",
        ),
        ({"zones": [ZONE | {"polygon": [[1, 1], [2, 2]]}]}, 409, "zones.1.polygon: "),
        ({"zones": [ZONE | {"polygon": [[1, 1], [9000, 1], [9, 9]]}]}, 409, "zones"),
        ({"zones": [ZONE | {"ignore": False, "thresholds": {"rust": 0.5}}]}, 409, "rust"),
        ({"zones": [ZONE | {"ignore": False, "thresholds": {"open": 7}}]}, 409, "open"),
    ],
)
def test_zones_that_cannot_be_are_refused_and_the_file_stays(
    client: Client, stand: PageStand, body: dict[str, Any], status: int, said: str
) -> None:
    before = stand.store.content("controller")
    answer = client.put("/api/products/controller/zones", body)
    assert (answer.status_code, stand.store.content("controller")) == (status, before)
    assert said in answer.text
    assert answer.text.count("\n") == 1


def test_zones_come_from_no_other_site(client: Client) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Content-Type": "text/plain"}):
        answer = client.put("/api/products/controller/zones", {"zones": []}, JSON | headers)
        assert answer.status_code in (403, 415)


def test_a_job_without_a_product_names_none(stand: PageStand) -> None:
    job = replace(stand.job, state=JobState.NO_PRODUCT, detail="there is no product x")
    shown = job_shown(job)
    assert (shown["product"], shown["state"], shown["detail"]) == (
        None,
        "no_product",
        "there is no product x",
    )
    assert job_shown(None)["state"] == "starting"
