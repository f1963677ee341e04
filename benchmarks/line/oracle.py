"""A perfect detector: answers each batch with the truth about its frames, as the ensemble would."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping

import numpy as np

from benchmarks.line.locating import all_located
from benchmarks.line.truth import LineTruth, TrueBoard, TrueBox, to_frame
from inspector.core.geometry import upright_matrix
from inspector.core.recipes import ModelName
from inspector.core.records import (
    Batch,
    EncodedBatch,
    ModelInput,
    ModelSpec,
    Region,
    Reply,
)
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import ModelTerms, configured_model
from inspector.inference.outputs.detections import OUTPUTS, DetectionsReader

SIDE_PX = 640
ROOM = 100
SURE = 0.93
_VISIBLE_SHARE = 0.5
"""A box of which less lies in the region is not reported: a detector would not know it either."""
_DARK = 24.0
"""Mean grey level of a picture in which nobody can see anything."""


class OracleModel:
    """A `Model` that knows the truth; frame `n` of the video is frame `n` of the camera.

    Regions are mapped as the records say: frame, upright picture, rectangle, letterbox. In the
    dark it sees nothing, as any detector. Event loop only.
    """

    def __init__(self, truth: LineTruth, terms: ModelTerms, tensors: TensorPool) -> None:
        self.truth = truth
        self._codes = terms.needs.codes
        self._tensors = tensors
        self._model = configured_model(terms.server)
        picture = ModelInput(
            name="image",
            width_px=SIDE_PX,
            height_px=SIDE_PX,
            channels_first=False,
            dtype="UINT8",
            rgb=False,
        )
        self._spec = ModelSpec(
            name=terms.server.model,
            version="1",
            input=picture,
            reader=DetectionsReader(input=picture, classes=len(self._codes)),
        )
        self.frames: list[int] = []
        """Every frame that was asked about, in order."""

    async def connect(self) -> Mapping[ModelName, ModelSpec]:
        """Always there."""
        self._tensors.form_for({self._model: self._spec.input})
        return {self._model: self._spec}

    def spec_of(self, model: ModelName) -> ModelSpec | None:
        """There is one for all."""
        return self._spec if self._tensors.input_of(model) else None

    def require(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> None:
        """There is one for all."""

    def use(self, needs: Collection[tuple[ModelName, tuple[str, ...]]]) -> None:
        """There is one for all."""
        del needs

    def knows(self, model: ModelName, codes: tuple[str, ...]) -> bool:
        """There is one for all."""
        del model, codes
        return True

    async def prepare(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> ModelSpec:
        """There is one for all."""
        del codes, lowest_threshold
        self._tensors.add({model: self._spec.input})
        return self._spec

    def release(self, model: ModelName) -> None:
        """There is one for all."""

    def encode(self, batch: Batch) -> EncodedBatch:
        """Answer now, while the frames' pixels are there; the reply is sent in its turn."""
        self.frames += [region.frame.ref.sequence for region in batch.regions]
        found = [self._seen_in(region) for region in batch.regions]
        count = len(found)
        boxes = np.zeros((count, ROOM, 4), np.float32)
        scores = np.zeros((count, ROOM), np.float32)
        classes = np.zeros((count, ROOM), np.int32)
        for row, seen in enumerate(found):
            for place, (code, corners) in enumerate(seen):
                boxes[row, place] = corners
                scores[row, place] = SURE
                classes[row, place] = self._codes.index(code)
        counts = np.array([[len(seen)] for seen in found], np.int32)
        outputs = dict(zip(OUTPUTS, (boxes, scores, classes, counts), strict=True))
        return EncodedBatch({"request_id": str(batch.batch_id), "outputs": outputs})

    async def replies(self, requests: AsyncIterator[EncodedBatch]) -> AsyncGenerator[Reply, None]:
        """One reply per request."""
        async for request in requests:
            yield Reply(
                request_id=str(request["request_id"]),
                outputs=request["outputs"],  # type: ignore[arg-type] # we put it there
                error=None,
            )

    async def compare(self, terms: ModelTerms) -> None:
        """It fits all."""

    def change(self, terms: ModelTerms) -> None:
        """It knows what was painted, whatever the settings say."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _seen_in(self, region: Region) -> list[tuple[str, tuple[float, float, float, float]]]:
        frame, image = region.frame.ref.sequence, region.frame.lease.image
        if float(image[::16, ::16].mean()) < _DARK:
            return []
        self.truth = all_located(self.truth, frame, image)
        return [
            (box.code, corners)
            for board in self.truth.boards
            for box in board.defects
            for corners in _in_model(self.truth, board, box, region)
        ]


def _in_model(
    truth: LineTruth, board: TrueBoard, box: TrueBox, region: Region
) -> Iterator[tuple[float, float, float, float]]:
    """The corners of a box in model pixels, where enough of it is in the region."""
    outline = truth.outline(board, region.frame.ref.sequence)
    points = [
        _in_picture(region, *to_frame(outline, box.x_px + x, box.y_px + y))
        for x in (0, box.width_px)
        for y in (0, box.height_px)
    ]
    xs, ys = zip(*points, strict=True)
    rect = region.rect
    left, right = max(min(xs), rect.x_px), min(max(xs), rect.x_px + rect.width_px)
    top, bottom = max(min(ys), rect.y_px), min(max(ys), rect.y_px + rect.height_px)
    whole = (max(xs) - min(xs)) * (max(ys) - min(ys))
    if right <= left or bottom <= top or (right - left) * (bottom - top) < _VISIBLE_SHARE * whole:
        return
    letterbox = region.letterbox
    yield (
        (left - rect.x_px) * letterbox.scale + letterbox.left_px,
        (top - rect.y_px) * letterbox.scale + letterbox.top_px,
        (right - rect.x_px) * letterbox.scale + letterbox.left_px,
        (bottom - rect.y_px) * letterbox.scale + letterbox.top_px,
    )


def _in_picture(region: Region, x_px: float, y_px: float) -> tuple[float, float]:
    """From frame pixels to those that the region's rectangle is in."""
    if region.upright is None:
        return x_px, y_px
    (a, b, c), (d, e, f) = upright_matrix(region.upright)
    return a * x_px + b * y_px + c, d * x_px + e * y_px + f
