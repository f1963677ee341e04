"""Kinds of model output from outside this package, exactly as docs/developing.md says.

A score for the unit as a whole, which is the page's, and shapes. Each goes from the reply to event
and IPC-CFX.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.core.errors import ConfigurationError
from inspector.core.geometry import on_picture
from inspector.core.places import Polygon
from inspector.core.records import Finding, OutputReader, Region
from inspector.events.cfx import units_inspected
from inspector.events.schemas import DefectPart
from inspector.inference.outputs import registry
from inspector.inference.outputs.checks import require_numbers, require_outputs, require_scores
from inspector.inference.outputs.kind import Described, Recognised
from inspector.inference.triton import TritonModel
from inspector.page.briefs import brief
from inspector.pipeline.buffers import tensor_pool
from inspector.pipeline.terms import model_terms
from tests.kit.fake_triton import BRIGHT, Deployed, FakeTriton, serving
from tests.kit.packages import install, recipe
from tests.kit.pipeline import Picture, frames, line, settings_for

Reply = Mapping[str, NDArray[Any]]


# --- shapes ---


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeReader(OutputReader):
    """Reads `shape` [N, 4, 2], corners in the model's pixels, and `sure` [N, 1]."""

    @property
    def kind(self) -> str:
        return "shapes"

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("shape", "sure")

    def decode(
        self, reply: Reply, regions: tuple[Region, ...], *, floor: float, nms_iou: float
    ) -> list[list[Finding]]:
        del nms_iou
        require_outputs(reply, self.outputs)
        require_numbers(reply["shape"], "shape")
        require_scores(reply["sure"])
        found: list[list[Finding]] = []
        for shape, sure, region in zip(reply["shape"], reply["sure"], regions, strict=True):
            points = tuple((float(x), float(y)) for x, y in shape)
            place = on_picture(Polygon(points_px=points), region)
            confidence = float(sure[0])
            is_seen = place is not None and confidence >= floor
            found.append(
                [Finding(code_index=1, confidence=confidence, place=place)]
                if is_seen and place is not None
                else []
            )
        return found


class Shapes:
    EXPECTS = "shape and sure"

    def recognise(self, described: Described) -> Recognised:
        named = {tensor.name for tensor in described.outputs}
        return ShapeReader() if named == {"shape", "sure"} else None


# --- models that answer so ---


@dataclass(kw_only=True)
class ScoringModel(Deployed):
    """Sure of a fault where anything is bright."""

    @property
    def outputs(self) -> list[tuple[str, str, list[int]]]:
        return [("anomaly", "FP32", [1])]

    def answer(self, pictures: NDArray[Any]) -> dict[str, NDArray[Any]]:
        is_bright = (pictures.reshape(len(pictures), -1) > BRIGHT).any(axis=1)
        return {"anomaly": np.where(is_bright, 0.8, 0.1).astype(np.float32)[:, None]}


@dataclass(kw_only=True)
class ShapingModel(Deployed):
    """Reports what is bright as the rhombus in its box."""

    @property
    def outputs(self) -> list[tuple[str, str, list[int]]]:
        return [("shape", "FP32", [4, 2]), ("sure", "FP32", [1])]

    def answer(self, pictures: NDArray[Any]) -> dict[str, NDArray[Any]]:
        shapes = np.zeros((len(pictures), 4, 2), np.float32)
        sure = np.zeros((len(pictures), 1), np.float32)
        for row, picture in enumerate(pictures):
            ys, xs = np.nonzero(picture.max(axis=2) > BRIGHT)
            if not xs.size:
                continue
            left, right, top, bottom = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
            x, y = (left + right) / 2, (top + bottom) / 2
            shapes[row], sure[row] = [(x, top), (right, y), (x, bottom), (left, y)], 0.9
        return {"shape": shapes, "sure": sure}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's kind is installed as a package of its own, the other is a line in the registry."""
    install(
        tmp_path,
        "score_output",
        entry_points=recipe("score_output/pyproject.toml"),
        module=recipe("score_output.py"),
        group="inspector.model_outputs",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "score_output", raising=False)
    monkeypatch.setattr(registry, "KINDS", [*registry.KINDS, Shapes()])
    registry.installed_kinds.cache_clear()
    yield
    registry.installed_kinds.cache_clear()


def inspected(model: Deployed, *, spot: tuple[int, int, int, int] | None) -> list[dict[str, Any]]:
    """The unit events of a few frames that show this."""

    async def main() -> list[dict[str, Any]]:
        async with serving(FakeTriton(model)) as fake:
            settings = settings_for(fake.url, {"a": {}})
            script = frames(400, fps=50, spot=spot)
            async with line(settings, {"a": script}) as run:
                await run.until(lambda: run.tally()["PASSED"] + run.tally()["FAILED"] > 3)
            for defect in run.sink.defects:
                DefectPart.model_validate(defect["defect"])
            return run.units

    units = asyncio.run(main(), debug=True)
    return [unit for unit in units if unit["counts"]["frames_inspected"]]


def test_a_score_for_the_whole_unit_fails_it_and_claims_no_place() -> None:
    for unit in inspected(ScoringModel(), spot=(40, 30, 20, 10)):
        assert unit["result"] == "FAILED"
        (defect,) = unit["defects"]
        assert (defect["code"], defect["confidence"]) == ("open", 0.8)
        assert (defect["bbox_px"], defect["polygon_px"], defect["area_px"]) == (None, None, None)
        assert brief(unit)["defects"][0]["bbox_px"] is None
        cfx = units_inspected({**unit, "seq": 1, "published_at": unit["time"]})
        (inspection,) = cfx["MessageBody"]["InspectedUnits"][0]["Inspections"]
        assert inspection["DefectsFound"][0]["RegionOfInterest"] is None
    assert {unit["result"] for unit in inspected(ScoringModel(), spot=None)} == {"PASSED"}


def test_a_shape_arrives_where_it_was_seen() -> None:
    x, y, width, height = spot = (40, 30, 24, 12)
    for unit in inspected(ShapingModel(), spot=spot):
        (defect,) = unit["defects"]
        assert defect["code"] == "short"
        # The picture is shrunk to the model's 64 pixels: a pixel there is 2.5 in it.
        left, top, wide, high = defect["bbox_px"]
        assert (left, top) == pytest.approx((x, y), abs=4)
        assert (wide, high) == pytest.approx((width, height), abs=6)
        (apex_x, apex_y), *_ = defect["polygon_px"]
        assert (apex_x, apex_y) == pytest.approx((left + wide / 2, top), abs=0.2)
        assert defect["area_px"] == pytest.approx(wide * high / 2, rel=0.05)
        cfx = units_inspected({**unit, "seq": 1, "published_at": unit["time"]})
        (inspection,) = cfx["MessageBody"]["InspectedUnits"][0]["Inspections"]
        region = inspection["DefectsFound"][0]["RegionOfInterest"]
        assert (region["StartPointX"], region["StartPointY"]) == (apex_x, apex_y)
        assert len(region["RegionSegments"]) == 4
        assert region["RegionSegments"][-1] == {"X": apex_x, "Y": apex_y}


def refusal(model: Deployed) -> tuple[str, ...]:
    async def main() -> tuple[str, ...]:
        async with serving(FakeTriton(model)) as fake:
            settings = settings_for(fake.url, {"a": {}}, inference={"tensors": "inline"})
            asked = TritonModel(fake.url, model_terms(settings), tensor_pool(settings))
            with pytest.raises(ConfigurationError) as refused:
                await asked.connect()
            await asked.close()
            return refused.value.problems

    return asyncio.run(main(), debug=True)


def test_what_two_kinds_can_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KINDS", [*registry.KINDS, Shapes()])
    (problem,) = refusal(ShapingModel())
    assert "its outputs can be read as shapes and as shapes" in problem


def test_what_may_be_something_else_is_refused_whoever_could_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An end-to-end head of 300 rows of six has the shape of others, too."""

    class EndToEnd(Deployed):
        @property
        def outputs(self) -> list[tuple[str, str, list[int]]]:
            return [("anomaly", "FP32", [300, 6])]

    class TakesAll(Shapes):
        def recognise(self, described: Described) -> Recognised:
            del described
            return ShapeReader()

    monkeypatch.setattr(registry, "KINDS", [*registry.KINDS, TakesAll()])
    (problem,) = refusal(EndToEnd())
    assert "looks like an end-to-end export" in problem


def test_a_model_that_no_kind_can_read_is_told_what_each_would_have_needed() -> None:
    class Odd(ScoringModel):
        @property
        def outputs(self) -> list[tuple[str, str, list[int]]]:
            return [("anomaly", "FP32", [3, 2])]

    problems = refusal(Odd())
    assert any("is no YOLO head for pictures of 64x64; expected" in told for told in problems)
    said = 'model pcb_inspection: output "anomaly" is FP32 [-1, 3, 2]; expected FP32 [N,1]'
    assert said in problems


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("raise RuntimeError('out of order')", "cannot be imported (RuntimeError: out of order)"),
        ("EXPECTS = 'nothing'", "is none; expected a module with EXPECTS and recognise"),
    ],
)
def test_a_package_whose_kind_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    (tmp_path / "score_output.py").write_text(module)
    monkeypatch.delitem(sys.modules, "score_output", raising=False)
    (problem,) = refusal(Deployed())
    assert problem.startswith(
        "the kind of model output 'score', which is installed as score_output"
    )
    assert problem.endswith(why)


def test_unreadable_pictures_beside_it_change_nothing() -> None:
    """The kinds meet the same pipeline as any other."""

    async def main() -> None:
        async with serving(FakeTriton(ScoringModel())) as fake:
            settings = settings_for(fake.url, {"a": {}})
            script = [Picture(at_s=n / 50, unreadable=n % 2 == 0) for n in range(60)]
            async with line(settings, {"a": script}) as run:
                await run.until(lambda: len(run.units) >= 40)
                assert set(run.tally()) <= {"PASSED", "frame_unreadable", "model_unavailable"}

    asyncio.run(main(), debug=True)
