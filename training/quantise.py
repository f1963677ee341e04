"""Makes an INT8 detector of a float one, by calibration; needs onnxruntime and onnx, no torch.

    python -m training.quantise model.onnx model.int8.onnx --data deeppcb.zip

Weights become INT8 per channel, activations UINT8; input, output and metadata stay as they are, so
the result takes the place of the original wherever that is served on a CPU. The last convolutions
and what follows them stay float: boxes have no room in 256 steps.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from training.data.boards import Board, DataSet, FloatArray, Picture, read_picture
from training.data.opening import open_data_set
from training.errors import TrainingError, WrongInputError
from training.model.model_input import SIZE_PX, assemble, tiles_of
from training.model.onnx_detector import is_quantised, sees_reference
from training.whole_files import write_whole

INPUT = "images"
SEED = 11
BOARDS, DRAWN = 200, 100


@dataclass(frozen=True)
class Quantised:
    """What was made: `float_nodes` are the names of the nodes that were left as they were."""

    pictures: int
    float_nodes: tuple[str, ...]
    bytes_before: int
    bytes_after: int


def quantise(
    model: Path, out: Path, inputs: Iterable[FloatArray], *, float_nodes: Iterable[str] = ()
) -> Quantised:
    """Write `out`, whole or not at all; the same file for the same model and inputs.

    `inputs` are what the detector gets, [3, 640, 640] float32 0..1: every kind of picture that it
    will see, since the largest activations found set the scales; a network of another size gets
    them scaled to its own. Their source must not be the test part. `float_nodes` names further
    nodes to leave in float. The input's own step is 1/255, so that a picture loses nothing, and
    serving may let its bytes in as they are.

    Raises:
        WrongInputError: no float ONNX file with an input `images` and a convolution.
        TrainingError: no inputs, or `out` cannot be written.

    """
    width_px, height_px = _require_detector(model)
    reader = _Reader(_scaled(one, width_px, height_px) for one in inputs)
    if reader.is_empty:
        raise TrainingError(f"{model}: no picture to calibrate with")
    with tempfile.TemporaryDirectory() as folder:
        content, left = _quantised(model, Path(folder), reader, tuple(float_nodes))
    content = _with_metadata(content, model)
    write_whole(out, content)
    return Quantised(reader.count, left, model.stat().st_size, len(content))


def calibration_inputs(
    data_set: DataSet | None, *, golden: bool = False, boards: int = BOARDS, drawn: int = DRAWN
) -> Iterator[FloatArray]:
    """Pictures as the detector will see them: scans, the same through a camera, and drawn boards.

    Of the data set `boards` training pictures are taken, evenly; scans appear a second time as a
    camera sees them. `drawn` boards are those of the simulated line. With `golden`, each comes
    beside its reference: as it is, photographed by itself, or taught of several boards.
    """
    if data_set is not None:
        yield from _from_training_part(data_set.train, boards, golden=golden)
    yield from _drawn(drawn, golden=golden)


def _from_training_part(
    train: Sequence[Board], count: int, *, golden: bool
) -> Iterator[FloatArray]:
    picks = np.linspace(0, len(train) - 1, min(count, len(train))).round().astype(int)
    rng = np.random.default_rng(SEED)
    for board in (train[index] for index in picks):
        picture = read_picture(board.picture)
        reference = read_picture(board.reference) if golden and board.reference else None
        for tile in tiles_of(picture):
            beside = None if reference is None else tile.cut(reference)
            yield assemble(tile.cut(picture), beside)
        if picture.shape == (SIZE_PX, SIZE_PX):
            yield assemble(*_through_camera(picture, reference, board.boxes, rng))


def _through_camera(
    scan: Picture, reference: Picture | None, boxes: FloatArray, rng: np.random.Generator
) -> tuple[Picture, Picture | None]:
    """As a station of the training sees it, without video: codecs differ by release."""
    from training.drawing.look import Look  # noqa: PLC0415 - as above
    from training.drawing.posing import pose  # noqa: PLC0415
    from training.drawing.taught import photograph_beside_taught  # noqa: PLC0415

    middle = (SIZE_PX / 2, SIZE_PX / 2)
    at = (middle[0] + rng.uniform(-30, 30), middle[1] + rng.uniform(-30, 30))
    where = pose(
        middle, size_px=SIZE_PX, at=at, scale=rng.uniform(0.9, 1.1), turn_deg=rng.uniform(-3, 3)
    )
    look = replace(Look.random(rng), h264_rate_factor=0)
    taken = where.boxes(boxes)
    if reference is None:
        return look.photograph(scan, where, taken, rng), None
    if rng.random() < 0.5:  # noqa: PLR2004
        return photograph_beside_taught(look, scan, reference, where, taken, rng)
    shown = look.photograph(scan, where, taken, rng)
    return shown, look.photograph_reference(reference, where, rng)


def _drawn(count: int, *, golden: bool) -> Iterator[FloatArray]:
    from inspector.simulation.board import draw_board  # noqa: PLC0415 - as above
    from inspector.simulation.defects import codes_of_board  # noqa: PLC0415

    draw = partial(draw_board, seed=SEED, width_px=SIZE_PX, height_px=SIZE_PX)
    for number in range(count):
        product = number % 8
        defects = codes_of_board(number, seed=SEED, defect_rate=0.7)
        picture = draw(number, defects=defects, product=product).picture
        # Another board of the product: its label, its light.
        beside = draw(count + number, product=product).picture if golden else None
        yield assemble(picture, beside)


class _Reader:
    """What onnxruntime's calibrator pulls its inputs from."""

    def __init__(self, inputs: Iterable[FloatArray]) -> None:
        self._inputs = iter(inputs)
        self._next = next(self._inputs, None)
        self.count = 0

    @property
    def is_empty(self) -> bool:
        """Nothing is left."""
        return self._next is None

    def get_next(self) -> dict[str, FloatArray] | None:
        """The next input as a batch of one, or None after the last."""
        one = self._next
        if one is None:
            return None
        self._next = next(self._inputs, None)
        self.count += 1
        return {INPUT: one[None]}


def _scaled(one: FloatArray, width_px: int, height_px: int) -> FloatArray:
    """The same planes, [3, height, width]."""
    if one.shape[1:] == (height_px, width_px):
        return one
    size = (width_px, height_px)
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in one]
    return np.stack(planes).astype(np.float32)


def _require_detector(path: Path) -> tuple[int, int]:
    """Width and height of its input; 640 where it takes any."""
    import onnx  # noqa: PLC0415 - its import takes a while, and a wrong command line none

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf's and onnx's errors have no common base
        reason = getattr(error, "strerror", None) or "no ONNX"
        raise WrongInputError.found(path, f"cannot be read ({reason})", "an ONNX file") from error
    inputs = [tensor.name for tensor in graph.input]
    if inputs != [INPUT]:
        found = f"input {', '.join(inputs) or 'none'}"
        raise WrongInputError.found(path, found, f"one input named {INPUT}")
    if is_quantised(graph):
        raise WrongInputError.found(path, "quantised already", "a float network")
    if all(node.op_type != "Conv" for node in graph.node):
        raise WrongInputError.found(path, "no convolution", "a convolutional network")
    kind = graph.input[0].type.tensor_type
    sides = [side.dim_value for side in kind.shape.dim]
    if kind.elem_type != onnx.TensorProto.FLOAT or len(sides) != 4 or sides[1] not in {0, 3}:  # noqa: PLR2004
        found = f"input {INPUT} {onnx.TensorProto.DataType.Name(kind.elem_type)} {sides}"
        raise WrongInputError.found(path, found, f"{INPUT} FLOAT [n, 3, height, width]")
    return sides[3] or SIZE_PX, sides[2] or SIZE_PX


def _from_the_last_convolutions(path: Path) -> tuple[str, ...]:
    """Nodes behind which there is no convolution: the last ones, and what follows them."""
    import onnx  # noqa: PLC0415

    last: list[str] = []
    towards_convolution: set[str] = set()  # tensors
    for node in reversed(onnx.load(path).graph.node):  # ONNX sorts: readers come later
        leads = any(name in towards_convolution for name in node.output)
        if not leads:
            last.append(node.name)
        if leads or node.op_type == "Conv":
            towards_convolution.update(node.input)
    return tuple(reversed(last))


def _quantised(
    model: Path, folder: Path, reader: _Reader, float_nodes: tuple[str, ...]
) -> tuple[bytes, tuple[str, ...]]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library loads
    from onnxruntime.quantization import (  # noqa: PLC0415
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    exact = {"scale": np.array(1 / 255, np.float32), "zero_point": np.array(0, np.uint8)}
    prepared, result = folder / "prepared.onnx", folder / "quantised.onnx"
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    left = (*_from_the_last_convolutions(prepared), *float_nodes)
    quantize_static(
        str(prepared),
        str(result),
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # Weights in 7 bits: without VNNI (most PCs before 2021) a CPU adds two products in 16 bits,
        # which 8 bits times 8 bits overflow, silently. Costs no accuracy that was measurable.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(left),
        # Measured on the first detector: clipping at a percentile lost 15 points of recall.
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"TensorQuantOverrides": {INPUT: [exact]}},
    )
    return result.read_bytes(), left


def _with_metadata(quantised: bytes, original: Path) -> bytes:
    """What the original says of itself, and which file it was."""
    import onnx  # noqa: PLC0415

    source = onnx.load(original)
    model = onnx.load_from_string(quantised)
    told = {entry.key: entry.value for entry in source.metadata_props}
    told["quantised_from_sha256"] = hashlib.sha256(original.read_bytes()).hexdigest()
    onnx.helper.set_model_props(model, told)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def main() -> int:
    """Exit code 0, 1 when it failed, 78 when what it was given is wrong."""
    parser = argparse.ArgumentParser(prog="python -m training.quantise", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, help="data set; its training part calibrates")
    parser.add_argument("--boards", type=int, default=BOARDS, help="training pictures to take")
    parser.add_argument("--drawn", type=int, default=DRAWN, help="drawn boards to add")
    parser.add_argument("--keep-float", action="append", default=[], metavar="NODE")
    chosen = parser.parse_args()
    try:
        data_set = open_data_set(chosen.data) if chosen.data else None
        golden = sees_reference(chosen.model)
        inputs = calibration_inputs(
            data_set, golden=golden, boards=chosen.boards, drawn=chosen.drawn
        )
        made = quantise(chosen.model, chosen.out, inputs, float_nodes=chosen.keep_float)
    except TrainingError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(
        f"{chosen.out}: {made.bytes_after} bytes instead of {made.bytes_before}, calibrated with "
        f"{made.pictures} pictures; {len(made.float_nodes)} nodes stay float\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
