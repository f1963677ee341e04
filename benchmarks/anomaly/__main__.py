"""How well models that are taught from six good parts find the others: no server, one thread.

    python -m benchmarks.anomaly                    product runs beside the checkout, surfaces
    python -m benchmarks.anomaly --painted 24       also so many product runs painted for it
    python -m benchmarks.anomaly --seed 500         others than those of last time

The code that a station teaches with, and the graph that it serves, run by onnxruntime in process. A
part's score is the middle one of its three frames', as more than half of them have to agree.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.anomaly.pictures import Product, Unit, products_of, products_painted
from benchmarks.anomaly.surfaces import SURFACES, shown
from benchmarks.line.product_runs import PRODUCT_RUNS
from inspector.core.records import Image
from inspector.products.memory import remember
from inspector.products.memory_graph import taught_graph
from inspector.products.model_teaching import FeaturesSource, ModelTeacher, placed_pictures
from inspector.products.reference import Learned, learn

SHARED = Path(__file__).parents[3] / "shared/data"
NETWORK = Path(__file__).parents[2] / "model_repository/unit_features/1/model.onnx"
TAUGHT, TRIED = 6, 40
BORDER = 0.5
_GREY = 114


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one product."""

    name: str
    good: Sequence[float]
    bad: Sequence[float]
    usual_times: float
    teach_s: float
    frame_ms: float

    def __str__(self) -> str:
        alarms, found = sum(s >= BORDER for s in self.good), sum(s >= BORDER for s in self.bad)
        return (
            f"{self.name:24} bad found {found}/{len(self.bad)} (least {min(self.bad):.2f}), alarms"
            f" {alarms}/{len(self.good)} (most {max(self.good):.2f}), good ones differ by"
            f" {self.usual_times:.1f}, taught in {self.teach_s:.1f} s,"
            f" {self.frame_ms:.0f} ms a frame"
        )


class InProcess(FeaturesSource):
    """The features' network without a server."""

    def __init__(self) -> None:
        self._session = session(self.network())

    @property
    def size_px(self) -> tuple[int, int]:
        """As unit_features takes them."""
        return 640, 640

    def network(self) -> bytes:
        """The file that is shipped."""
        return NETWORK.read_bytes()

    def of(self, picture: Image) -> NDArray[np.floating[Any]]:
        """See `FeaturesSource`."""
        [features] = self._session.run(None, {"image": picture[None]})
        return np.asarray(features[0], np.float16)


def session(file: bytes) -> Any:
    """One thread, as is measured."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Print a line for each product, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--painted", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=500)
    options = parser.parse_args()
    judged = []
    for one in (*_boards(options), *map(surface, SURFACES)):
        judged.append(one)
        sys.stdout.write(f"{one}\n")
        sys.stdout.flush()
    good = [score for one in judged for score in one.good]
    bad = [score for one in judged for score in one.bad]
    sys.stdout.write(
        f"all: bad found {sum(s >= BORDER for s in bad)}/{len(bad)}, alarms"
        f" {sum(s >= BORDER for s in good)}/{len(good)}\n"
    )


def _boards(options: argparse.Namespace) -> Iterator[Judged]:
    for video in sorted((SHARED / "runs").glob("*.mp4")):
        yield from map(boards, products_of(video))
    archive = SHARED / "deeppcb.zip"
    for scenario in PRODUCT_RUNS[: options.painted]:
        run = replace(scenario.run, taught=TAUGHT, designs=1, inspected=12, foreign=False)  # type: ignore[type-var]
        other = replace(scenario, seed=scenario.seed + options.seed, run=run)
        found = products_painted(other, archive if archive.exists() else None)
        yield from map(boards, found)


def boards(product: Product) -> Judged:
    """Taught from the boards of a run that are to be learned from."""
    source = InProcess()
    inside = product.inside

    def alone(unit: Unit) -> list[Image]:
        return [np.where(inside[..., None], one, np.uint8(_GREY)) for one in unit.pictures]

    began_s = time.process_time()
    features = [np.stack([source.of(p) for p in alone(unit)]) for unit in product.taught]
    rows, columns = features[0].shape[-2:]
    by_cell = inside.reshape(rows, len(inside) // rows, columns, -1)
    cells = np.asarray(by_cell.all(axis=(1, 3)), np.bool_)
    memory = remember(features, cells)
    model = session(taught_graph(source.network(), memory))
    teach_s = time.process_time() - began_s
    good = [alone(unit) for unit in product.tried if unit.is_good]
    bad = [alone(unit) for unit in product.tried if not unit.is_good]
    return _judged(product.name, model, good, bad, times=memory.usual_times, teach_s=teach_s)


def surface(name: str) -> Judged:
    """Taught from parts that are drawn."""
    units = [shown(name, number, bad=False) for number in range(TAUGHT)]
    learned = learn(units)
    if not isinstance(learned, Learned):
        raise SystemExit(f"{name}: {learned.sentence}")
    source = InProcess()
    began_s = time.process_time()
    taught = ModelTeacher(source).teach(units, learned)
    teach_s = time.process_time() - began_s
    good, bad = (
        [
            placed_pictures(shown(name, number, bad=is_bad), learned, source.size_px)
            for number in range(100, 100 + TRIED)
        ]
        for is_bad in (False, True)
    )
    model = session(taught.graph)
    return _judged(name, model, good, bad, times=taught.usual_times, teach_s=teach_s)


def _judged(
    name: str,
    model: Any,
    good: Sequence[Sequence[Image]],
    bad: Sequence[Sequence[Image]],
    *,
    times: float,
    teach_s: float,
) -> Judged:
    took_ms: list[float] = []

    def score(pictures: Sequence[Image]) -> float:
        scores = []
        for picture in pictures:
            began_s = time.process_time()
            scores.append(float(model.run(["pred_score"], {"image": picture[None]})[0][0, 0]))
            took_ms.append(1000 * (time.process_time() - began_s))
        return float(np.median(scores))

    good_scores, bad_scores = [score(one) for one in good], [score(one) for one in bad]
    return Judged(
        name=name,
        good=good_scores,
        bad=bad_scores,
        usual_times=times,
        teach_s=teach_s,
        frame_ms=float(np.median(took_ms)),
    )


if __name__ == "__main__":
    main()
