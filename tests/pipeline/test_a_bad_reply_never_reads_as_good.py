"""A reply that is not a result gives NOT_INSPECTED: silence and nonsense never pass a unit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.kit.fake_triton import Act, Deployed, FakeTriton, serving
from tests.kit.pipeline import frames, line, recording, settings_for

pytestmark = pytest.mark.usefixtures("eager_captures")

Edit = Callable[[Any], None]
SPOT = (40, 30, 20, 10)
DTYPES: dict[str, Any] = {
    "FP32": np.float32,
    "INT32": np.int32,
    "FP64": np.float64,
    "INT64": np.int64,
}


def _position(reply: Any, name: str) -> int:
    return [output.name for output in reply.outputs].index(name)


def _rewrite(name: str, change: Callable[[Any], Any]) -> Edit:
    def edit(reply: Any) -> None:
        at = _position(reply, name)
        output = reply.outputs[at]
        raw = np.frombuffer(reply.raw_output_contents[at], DTYPES[output.datatype])
        array = change(raw.reshape(list(output.shape)).copy())
        del output.shape[:]
        output.shape.extend(array.shape)
        output.datatype = next(k for k, v in DTYPES.items() if v == array.dtype)
        reply.raw_output_contents[at] = array.tobytes()

    return edit


def _put(name: str, where: Any, value: float) -> Edit:
    def change(array: Any) -> Any:
        array[where] = value
        return array

    return _rewrite(name, change)


def _truncated(name: str) -> Edit:
    def edit(reply: Any) -> None:
        at = _position(reply, name)
        reply.raw_output_contents[at] = reply.raw_output_contents[at][:-3]

    return edit


def _missing(name: str) -> Edit:
    def edit(reply: Any) -> None:
        at = _position(reply, name)
        del reply.outputs[at]
        del reply.raw_output_contents[at]

    return edit


def _no_bytes(reply: Any) -> None:
    del reply.raw_output_contents[:]


def _bytes_typed(reply: Any) -> None:
    at = _position(reply, "count")
    reply.outputs[at].datatype = "BYTES"
    reply.raw_output_contents[at] = b"\x01\x00\x00\x007"


def _with_corners(head: Any) -> Any:
    corners = head.copy()
    corners[..., :2] = head[..., :2] - head[..., 2:4] / 2
    corners[..., 2:4] = head[..., :2] + head[..., 2:4] / 2
    return corners


ENSEMBLE: dict[str, Edit] = {
    "score NaN": _put("scores", (0, 0), np.nan),
    "score infinite": _put("scores", (0, 0), np.inf),
    "score above 1": _put("scores", (0, 0), 1.7),
    "score negative": _put("scores", (0, 0), -0.2),
    "box NaN": _put("boxes", (0, 0, 2), np.nan),
    "box upside down": _put("boxes", (0, 0, 3), -5.0),
    "class too high": _put("classes", (0, 0), 6),
    "class negative": _put("classes", (0, 0), -1),
    "class of float type": _rewrite("classes", lambda a: a.astype(np.float32) + np.float32(0.5)),
    "count too high": _put("count", (0, 0), 9),
    "count negative": _put("count", (0, 0), -1),
    "count NaN": _rewrite("count", lambda a: a.astype(np.float32) * np.nan),
    "count of float type": _rewrite("count", lambda a: a.astype(np.float32) * 0.4),
    "count of text type": _bytes_typed,
    "count is flat": _rewrite("count", lambda a: a[:, 0]),
    "one region too many": _rewrite("scores", lambda a: np.concatenate([a, a])),
    "boxes transposed": _rewrite("boxes", lambda a: a.transpose(0, 2, 1)),
    "boxes missing": _missing("boxes"),
    "count missing": _missing("count"),
    "scores truncated": _truncated("scores"),
    "nothing but names": _no_bytes,
}
HEAD: dict[str, Edit] = {
    "NaN": _put("output", (0, 5, 0), np.nan),
    "NaN among the low scores": _put("output", (0, 3, 7), np.nan),
    "scores above 1": _put("output", (0, 5, 6), 3.0),
    "logits": _rewrite("output", lambda a: a * 10 - 5),
    "negative size": _put("output", (0, 5, 2), -20.0),
    "one class less": _rewrite("output", lambda a: np.ascontiguousarray(a[:, :, :-1])),
    "no region": _rewrite("output", lambda a: a[:0]),
    "no axis for the region": _rewrite("output", lambda a: a[0]),
    "missing": _missing("output"),
    "truncated": _truncated("output"),
    "without bytes": _no_bytes,
    "rows after suppression": _rewrite("output", lambda a: np.ascontiguousarray(a[:, :100])),
    "shares of the picture": _rewrite("output", lambda a: a / [*[64.0] * 4, *[1.0] * 7]),
    "corners": _rewrite("output", _with_corners),
    "offsets and logarithms": _rewrite("output", lambda a: a - [0, 0, 10, 10, *[0] * 7]),
    "class numbers, which are 0": _rewrite("output", lambda a: a * [*[1] * 5, *[0] * 6]),
}


def results_with(model: Deployed, edit: Edit, **inference: Any) -> list[dict[str, Any]]:
    """Ten units of which the fourth gets the edited reply; every unit has a defect."""

    async def main() -> list[dict[str, Any]]:
        script = lambda n, _id: Act(edit=edit if n == 3 else None)  # noqa: E731
        async with serving(FakeTriton(model, script)) as fake:
            settings = settings_for(
                fake.url, {"a": recording()}, batching={"max_regions": 1}, inference=inference
            )
            async with line(settings, {"a": frames(10, spot=SPOT)}) as run:
                await asyncio.wait_for(run.ended, 10)
        assert run.missed("a") == {"malformed_reply": 1}
        return run.units

    return asyncio.run(main(), debug=True)


def check(units: list[dict[str, Any]]) -> None:
    assert [u["reason"] or u["result"] for u in units] == [
        *["FAILED"] * 3,
        "malformed_reply",
        *["FAILED"] * 6,
    ]
    assert units[3]["result"] == "NOT_INSPECTED"
    assert units[3]["detail"]
    assert units[3]["defects"] == []


@pytest.mark.parametrize("edit", ENSEMBLE.values(), ids=ENSEMBLE)
def test_an_ensemble_reply_that_is_no_result_is_malformed(edit: Edit) -> None:
    check(results_with(Deployed(), edit))


@pytest.mark.parametrize("edit", HEAD.values(), ids=HEAD)
def test_a_raw_head_that_is_no_result_is_malformed(edit: Edit) -> None:
    check(results_with(Deployed(layout="objectness"), edit))


def test_a_transposed_head_with_nonsense_is_malformed() -> None:
    check(results_with(Deployed(layout="transposed"), _put("output", (0, 6, 5), np.nan)))


def test_a_bad_reply_to_a_unary_call_is_malformed_too() -> None:
    check(results_with(Deployed(), _truncated("boxes"), transport="unary"))


def test_nonsense_behind_the_count_does_not_matter() -> None:
    async def main() -> list[str]:
        script = lambda *_: Act(edit=_put("scores", (0, 5), np.nan))  # noqa: E731
        async with serving(FakeTriton(script=script)) as fake:
            settings = settings_for(fake.url, {"a": recording()}, batching={"max_regions": 1})
            async with line(settings, {"a": frames(5, spot=SPOT)}) as run:
                await run.ended
        return run.results()

    assert asyncio.run(main(), debug=True) == ["FAILED"] * 5
