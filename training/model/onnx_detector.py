"""Runs a detector's ONNX file with onnxruntime; knows no torch."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.data.boards import FloatArray, Picture
from training.errors import TrainingError, WrongInputError
from training.model.detections import OBJECTNESS, Detections, decode, suppress
from training.model.model_input import SIZE_PX, assemble, tiles_of

CHANNELS = 3
EXPECTED_INPUT = f"one input FP32 [N, {CHANNELS}, {SIZE_PX}, {SIZE_PX}]"
EXPECTED_OUTPUT = "one output FP32 [N, candidates, 5 + classes]"

CLASSES_KEY, INPUT_KEY = "classes", "input"
"""Of the file's metadata: the classes in order, separated by commas; what the channels show."""
PLAIN_INPUT, GOLDEN_INPUT = "red,green,blue", "board,reference,difference"


@dataclass(eq=False)
class OnnxDetector:
    """A loaded model: pictures in, detections out. One thread may use it at a time."""

    path: Path
    needs_reference: bool
    """Each picture must come with its defect-free reference: the file says GOLDEN_INPUT."""
    class_count: int
    class_names: tuple[str, ...] | None
    """As the file's metadata lists them; None where it does not."""
    runtime: str
    _session: Any = field(repr=False)
    inference_s: list[float] = field(default_factory=list, repr=False)
    """What each run of the model took."""

    @classmethod
    def load(cls, path: Path, *, threads: int = 1) -> OnnxDetector:
        """Read the file and check its shapes; WrongInputError where it is no detector."""
        session, runtime = open_session(path, threads=threads)
        check_input(path, session)
        metadata = session.get_modelmeta().custom_metadata_map
        names = metadata.get(CLASSES_KEY)
        return cls(
            path=path,
            needs_reference=metadata.get(INPUT_KEY) == GOLDEN_INPUT,
            class_count=_checked_output(path, session),
            class_names=tuple(names.split(",")) if names else None,
            runtime=runtime,
            _session=session,
        )

    def require_classes(self, names: tuple[str, ...]) -> None:
        """Raise WrongInputError unless the model was made for these classes."""
        if self.class_names is not None and self.class_names != names:
            raise WrongInputError.found(
                self.path, f"classes {', '.join(self.class_names)}", f"{', '.join(names)}"
            )
        if self.class_count != len(names):
            raise WrongInputError.found(
                self.path, f"{self.class_count} classes", f"{len(names)}: {', '.join(names)}"
            )

    def detect(self, picture: Picture, reference: Picture | None = None) -> Detections:
        """All detections down to the floor, in pixels of the picture, best first."""
        if (reference is not None) != self.needs_reference:
            wanted = "with" if self.needs_reference else "without"
            raise TrainingError(f"{self.path}: looks at boards {wanted} a reference")
        found = []
        for tile in tiles_of(picture):
            golden = None if reference is None else tile.cut(reference)
            candidates = self._run(assemble(tile.cut(picture), golden))
            found.append(tile.in_picture(decode(candidates)))
        return found[0] if len(found) == 1 else suppress(_joined(found))

    def _run(self, tensor: FloatArray) -> FloatArray:
        name = self._session.get_inputs()[0].name
        started = time.perf_counter()
        try:
            output = self._session.run(None, {name: tensor[None]})[0][0]
        except Exception as error:  # as above
            reason = str(error).rpartition(": ")[2] or type(error).__name__
            raise TrainingError(f"{self.path}: failed on a picture ({reason})") from error
        self.inference_s.append(time.perf_counter() - started)
        if output.ndim != 2 or output.shape[1] != OBJECTNESS + 1 + self.class_count:  # noqa: PLR2004
            raise WrongInputError.found(self.path, f"output {output.shape}", EXPECTED_OUTPUT)
        return np.asarray(output, np.float32)


def open_session(path: Path, *, threads: int) -> tuple[Any, str]:
    """An onnxruntime session on the CPU, and the runtime's name and version.

    Raises WrongInputError where there is no file, or none that can be loaded.
    """
    if not path.is_file():
        raise WrongInputError.found(path, "is missing", "an ONNX file")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library loads
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its classes have no common base of their own
        reason = str(error).rpartition(": ")[2] or type(error).__name__
        raise WrongInputError.found(path, f"cannot be loaded ({reason})", "a detector") from error
    return session, f"onnxruntime {onnxruntime.__version__}"


def _joined(found: list[Detections]) -> Detections:
    return Detections(
        np.concatenate([one.boxes for one in found]),
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.classes for one in found]),
    )


def check_input(path: Path, session: Any) -> None:
    """Raise WrongInputError unless the model takes pictures as a detector does."""
    inputs = session.get_inputs()
    shown = ", ".join(f"{one.type} {one.shape}" for one in inputs)
    fits = (
        len(inputs) == 1
        and inputs[0].type == "tensor(float)"
        and inputs[0].shape[1:] == [CHANNELS, SIZE_PX, SIZE_PX]
    )
    if not fits:
        raise WrongInputError.found(path, f"input {shown}", EXPECTED_INPUT)


def _checked_output(path: Path, session: Any) -> int:
    outputs = session.get_outputs()
    shown = ", ".join(f"{one.type} {one.shape}" for one in outputs)
    width = outputs[0].shape[-1] if len(outputs) == 1 else None
    if outputs[0].type != "tensor(float)" or not isinstance(width, int) or width <= OBJECTNESS + 1:
        raise WrongInputError.found(path, f"output {shown}", EXPECTED_OUTPUT)
    return width - OBJECTNESS - 1


def sees_reference(path: Path) -> bool:
    """Whether a detector's file says that each picture comes with its defect-free reference.

    Raises WrongInputError for what is no ONNX file.
    """
    session, _ = open_session(path, threads=1)
    return bool(session.get_modelmeta().custom_metadata_map.get(INPUT_KEY) == GOLDEN_INPUT)


def is_quantised(graph: Any) -> bool:
    """Whether an ONNX graph is one that `training.quantise` wrote, or another in INT8."""
    return any(node.op_type == "QuantizeLinear" for node in graph.node)
