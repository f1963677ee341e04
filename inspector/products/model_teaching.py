"""Makes a model of good units: from their features on the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import ConfigurationError
from inspector.core.geometry import fit, scaled_px, upright_matrix
from inspector.core.records import Image, Letterbox, Rect
from inspector.core.warping import write_registered
from inspector.products.memory import UnitFeatures, remember
from inspector.products.reference import Learned, ShownUnit
from inspector.products.registration import Registrar

LEAST_LIKENESS = 0.6
"""Frames of a used unit below this likeness show a hand, or half of the unit."""


class FeaturesSource(Protocol):
    """The network that gives the features of each cell of a picture. The teaching's thread."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the pictures that it takes."""

    def network(self) -> bytes:
        """Its ONNX file, which a taught model begins with.

        Raises:
            ConfigurationError: it is not there.

        """

    def of(self, picture: Image) -> NDArray[np.floating[Any]]:
        """(features, rows, columns) of a picture of its size.

        Raises:
            ConfigurationError: the server has no such model.
            InferenceUnavailableError: the server is away.

        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaughtModel:
    """A model of good units, not stored yet."""

    graph: bytes
    """An ONNX file."""
    units: int
    usual_times: float
    """The largest distance between these units, in usual distances."""


class ModelTeacher:
    """Teaches a model with the units that a reference was made of."""

    def __init__(self, features: FeaturesSource) -> None:
        self._features = features

    def teach(self, units: Sequence[ShownUnit], learned: Learned) -> TaughtModel:
        """Make the model: two seconds for six units of three frames, mostly the features' network.

        Raises:
            ConfigurationError: there is no features' network.
            InferenceUnavailableError: its server is away.

        """
        from inspector.products.memory_graph import taught_graph  # noqa: PLC0415 - onnx loads slowly

        network = self._features.network()
        used = {unit.number for unit in learned.used}
        placing = _Placing(learned, self._features.size_px)
        described = [
            np.stack([self._features.of(picture) for picture in pictures])
            for unit in units
            if unit.number in used and (pictures := list(placing.pictures(unit)))
        ]
        memory = remember(described, placing.inside(described[0]) if described else _NOWHERE)
        return TaughtModel(
            graph=taught_graph(network, memory),
            units=len(described),
            usual_times=memory.usual_times,
        )


def placed_pictures(unit: ShownUnit, learned: Learned, size_px: tuple[int, int]) -> list[Image]:
    """A unit as a model that was taught with this reference sees it, frame by frame."""
    return list(_Placing(learned, size_px).pictures(unit))


_NOWHERE = np.zeros((1, 1), np.bool_)


class _Placing:
    """Lays frames on the reference, as the line does for a model that wants that."""

    def __init__(self, learned: Learned, size_px: tuple[int, int]) -> None:
        self._registrar = Registrar(learned.mean, learned.deviation)
        self._rect = Rect(0, 0, self._registrar.width_px, self._registrar.height_px)
        self._size_px = size_px
        self._box: Letterbox = fit(self._rect, width_px=size_px[0], height_px=size_px[1])

    def pictures(self, unit: ShownUnit) -> Iterator[Image]:
        """The frames of a unit that fit."""
        width_px, height_px = self._size_px
        for sight in unit.sights:
            pose = self._registrar.register(sight.image, upright_matrix(sight.outline))
            if pose.fits(LEAST_LIKENESS):
                canvas = np.empty((height_px, width_px, 3), np.uint8)
                write_registered(sight.image, pose.matrix, self._rect, self._box, canvas)
                yield canvas

    def inside(self, features: UnitFeatures) -> NDArray[np.bool_]:
        """The cells that show nothing but the unit."""
        width_px, height_px = self._size_px
        rows, columns = features.shape[-2:]
        if height_px % rows or width_px % columns:
            raise ConfigurationError(
                f"the features' network makes {columns}x{rows} cells of {width_px}x{height_px}"
                " pixels; expected whole pixels for each cell"
            )
        shows = np.zeros((height_px, width_px), np.bool_)
        left, top = self._box.left_px, self._box.top_px
        right = left + scaled_px(self._rect.width_px, self._box.scale)
        bottom = top + scaled_px(self._rect.height_px, self._box.scale)
        shows[top:bottom, left:right] = True
        cells = shows.reshape(rows, height_px // rows, columns, width_px // columns)
        return np.asarray(cells.all(axis=(1, 3)))
