from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.geometry import upright_matrix
from inspector.core.records import Image
from inspector.products.model_teaching import FeaturesSource, ModelTeacher
from inspector.products.reference import Learned, ShownUnit, learn
from inspector.products.registration import Registrar
from inspector.simulation.defects import DefectCode
from tests.kit.taught_units import board, good_units, unit

NETWORK = Path(__file__).parents[3] / "model_repository/unit_features/1/model.onnx"


def session(file: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


class OwnFeatures(FeaturesSource):
    """The network without a server."""

    def __init__(self) -> None:
        self.pictures: list[Image] = []
        self._session = session(self.network())

    @property
    def size_px(self) -> tuple[int, int]:
        return 640, 640

    def network(self) -> bytes:
        return NETWORK.read_bytes()

    def of(self, picture: Image) -> NDArray[np.floating[Any]]:
        self.pictures.append(picture)
        [features] = self._session.run(None, {"image": picture[None]})
        return np.asarray(features[0], np.float16)


@pytest.fixture(scope="module")
def units() -> list[ShownUnit]:
    return good_units(5)


@pytest.fixture(scope="module")
def learned(units: list[ShownUnit]) -> Learned:
    found = learn(units)
    assert isinstance(found, Learned)
    return found


def placed(shown: ShownUnit, learned: Learned) -> Image:
    """As the line shows a frame to the model: this product's units are not enlarged."""
    source = OwnFeatures()
    registrar = Registrar(learned.mean, learned.deviation)
    sight = shown.sights[0]
    assert registrar.register(sight.image, upright_matrix(sight.outline)).fits(0.6)
    teacher = ModelTeacher(source)
    teacher.teach([shown, *good_units(5)[1:]], learned)
    return source.pictures[0]


def test_the_model_of_good_units_knows_good_ones_from_damaged_ones(
    units: list[ShownUnit], learned: Learned
) -> None:
    source = OwnFeatures()
    taught = ModelTeacher(source).teach(units, learned)
    assert taught.units == 5
    assert len(source.pictures) == 15
    model = session(taught.graph)
    height_px, width_px = learned.deviation.shape
    left, top = (640 - width_px) // 2, (640 - height_px) // 2
    for picture in source.pictures:
        assert (picture[: top - 1] == 114).all(), "beside a unit there is nothing to see"
        assert (picture[:, : left - 1] == 114).all()
        assert model.run(["pred_score"], {"image": picture[None]})[0] < 0.5
    # Unit 1 of the reference, with something that no other has.
    damaged = unit(1, board(1, (DefectCode.SHORT,)).picture)
    image = placed(damaged, learned)
    assert model.run(["pred_score"], {"image": image[None]})[0] >= 0.5


def test_units_that_were_left_out_teach_nothing(learned: Learned) -> None:
    shown = [*good_units(5), unit(99, board(99, (DefectCode.SHORT,)).picture)]
    source = OwnFeatures()
    assert ModelTeacher(source).teach(shown, learned).units == 5
    assert len(source.pictures) == 15


def test_a_server_that_is_away_is_said(units: list[ShownUnit], learned: Learned) -> None:
    class Away(OwnFeatures):
        def of(self, picture: Image) -> NDArray[np.floating[Any]]:
            del picture
            raise InferenceUnavailableError("nobody answers")

    with pytest.raises(InferenceUnavailableError, match="nobody answers"):
        ModelTeacher(Away()).teach(units, learned)


def test_cells_that_are_no_whole_pixels_are_refused(
    units: list[ShownUnit], learned: Learned
) -> None:
    class Odd(OwnFeatures):
        def of(self, picture: Image) -> NDArray[np.floating[Any]]:
            del picture
            return np.zeros((4, 7, 7), np.float16)

    with pytest.raises(ConfigurationError, match="7x7 cells of 640x640 pixels"):
        ModelTeacher(Odd()).teach(units, learned)
