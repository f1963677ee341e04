"""Triton behind TLS and a token, as the service meets it: a real server that asks for both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.core.errors import ConfigurationError
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.triton import TritonModel
from inspector.pipeline.terms import model_terms
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings
from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.guarded_triton import HEADER, TOKEN, GuardedTriton, guarded_triton
from tests.kit.line import Line, wait_for
from tests.kit.line_events import assert_accounted, entries
from tests.kit.redis_server import RedisServer

CAMERA = {"source": "sim:?fps=5&seed=3", "size": "640x640"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedTriton]:
    with guarded_triton(tmp_path_factory.mktemp("triton")) as server:
        yield server


def line_at(
    folder: Path, redis_server: RedisServer, guarded: GuardedTriton, **inference: Any
) -> Line:
    options = {
        "model": "null_inspection",
        "tls": True,
        "tls_ca": str(guarded.ca),
        "token": TOKEN,
        "token_header": HEADER,
    }
    return Line(
        folder,
        cameras={"top": CAMERA},
        triton=guarded.url,
        redis_url=redis_server.url,
        inference={k: v for k, v in (options | inference).items() if v is not None},
    )


@pytest.mark.parametrize("transport", ["stream", "unary"])
def test_units_are_inspected_over_tls_with_a_token(
    tmp_path: Path, redis_server: RedisServer, guarded: GuardedTriton, transport: str
) -> None:
    with line_at(tmp_path, redis_server, guarded, transport=transport) as line:
        line.wait_ready()
        wait_for(
            lambda: line.scrape().frames().inspected >= 5, within_s=30, what="frames inspected"
        )
        line.stop()
        captured = line.said("stopped")["captured"]
        assert TOKEN not in line.log_path.read_text()
    with contextlib.closing(redis_server.client()) as client:
        units = entries(client, "units")
    assert_accounted(units, captured)
    assert sum(unit.is_inspected for unit in units) >= 5


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"token": None}, "restricted"),
        ({"token": "canary-wrong-token"}, "restricted"),
        ({"token_header": "authorization"}, "restricted"),
        ({"tls_ca": None}, "triton"),
        ({"tls": False, "tls_ca": None}, "triton"),
    ],
)
def test_without_the_right_token_or_certificate_no_unit_is_looked_at(
    tmp_path: Path,
    redis_server: RedisServer,
    guarded: GuardedTriton,
    wrong: dict[str, Any],
    told: str,
) -> None:
    with line_at(tmp_path, redis_server, guarded, **wrong) as line:
        down = wait_for(
            lambda: [said for said in line.log() if said["event"] == "triton down"],
            within_s=40,
            what="Triton is reported down",
        )
        assert told in down[0]["cause"].lower()
        with contextlib.closing(redis_server.client()) as client:
            units = wait_for(
                lambda: entries(client, "units"), within_s=30, what="a unit that nobody looked at"
            )
        assert {unit.event["result"] for unit in units} == {"NOT_INSPECTED"}
        assert {unit.event["reason"] for unit in units} == {"model_unavailable"}
        line.stop()
        assert "canary" not in line.log_path.read_text()


class Listening(FakeTriton):
    """Remembers what came with the calls: the real server shows that to nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.came_with: list[dict[str, str]] = []

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.came_with.append({item.key: item.value for item in context.invocation_metadata()})
        return await super().ModelReady(request, context)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"token": TOKEN}, {"authorization": f"Bearer {TOKEN}"}),
        ({"token": TOKEN, "token_header": "x-api-key"}, {"x-api-key": TOKEN}),
        ({"token_header": "x-api-key"}, {}),
    ],
)
def test_the_token_goes_as_a_bearer_or_in_a_header_of_its_own(
    options: dict[str, str], expected: dict[str, str]
) -> None:
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x640"}},
        "inference": {"tensors": "inline", **options},
    }
    settings = build_settings(Settings, content)

    async def main() -> None:
        async with serving(Listening()) as fake:
            tensors = TensorPool(tensors=1, max_regions=4, shared=False)
            model = TritonModel(fake.url, model_terms(settings), tensors)
            await model.connect()
            await model.close()
            tensors.close()
            assert isinstance(fake, Listening)
            (found,) = fake.came_with
            names = {"authorization", "x-api-key"}
            assert {k: v for k, v in found.items() if k in names} == expected

    asyncio.run(main(), debug=True)


def test_a_token_that_no_header_can_carry_is_refused_unseen() -> None:
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x640"}},
        "inference": {"token": "canary-t\u00f6ken"},
    }
    with pytest.raises(ConfigurationError, match=r"inference\.token.*printable ASCII") as refused:
        build_settings(Settings, content)
    assert "canary" not in str(refused.value)
