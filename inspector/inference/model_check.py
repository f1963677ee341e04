"""Compares what Triton says of a model with what the settings expect: pure decisions."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inspector.core.errors import ConfigurationError
from inspector.core.records import ModelInput, ModelSpec, OutputLayout
from inspector.inference.exporter_notes import order_objection, read_notes
from inspector.inference.heads import HeadShape
from inspector.settings.sections import InferenceSettings
from inspector.settings.settings import Settings

DETECTION_OUTPUTS = ("boxes", "scores", "classes", "count")
UNBATCHED_RANK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDescription:
    """One input or output as Triton's metadata lists it; shape with the batch dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """A deployed model as Triton describes it."""

    name: str
    version: str
    inputs: Sequence[TensorDescription]
    outputs: Sequence[TensorDescription]
    max_batch_size: int
    """0 when the model does not batch, as in its configuration."""
    decoupled: bool
    sequences: bool = False
    """Its requests must belong to sequences."""
    parameters: Mapping[str, str]
    instances: int = 1
    """Requests it works on at once; of an ensemble, those of its narrowest step."""


def check_model(description: ModelDescription, settings: Settings) -> ModelSpec:
    """What the pipeline needs to know to use the model.

    Raises:
        ConfigurationError: model and settings do not fit; each sentence names both sides.

    """
    inference, name = settings.inference, description.name
    if description.decoupled:
        raise ConfigurationError(f"model {name}: decoupled; expected one reply per request")
    if description.sequences:
        raise ConfigurationError(
            f"model {name}: has sequence_batching; expected one that takes each request by itself"
        )
    wanted = settings.batching.max_regions
    limit = _batch_limit(description)
    if limit < wanted:
        raise ConfigurationError(
            f"batching.max_regions is {wanted}, but model {name} takes at most {limit} per request "
            "(its max_batch_size)"
        )
    model_input = _input(description, inference)
    answer = _answer(description, model_input, len(settings.inspection.codes))
    _check_notes(description, answer.layout, settings.inspection.codes)
    _check_parameters(description, settings)
    return ModelSpec(
        name=name,
        version=description.version,
        input=model_input,
        layout=answer.layout,
        outputs=answer.outputs,
        candidates=answer.candidates,
        max_regions=limit,
        instances=max(1, description.instances),
    )


def _batch_limit(description: ModelDescription) -> int:
    if description.max_batch_size > 0:
        return description.max_batch_size
    shapes = [tensor.shape for tensor in description.inputs]
    first = shapes[0][0] if shapes and len(shapes[0]) > UNBATCHED_RANK else 0
    if first == 0:
        raise ConfigurationError(
            f"model {description.name}: takes no batches; expected max_batch_size of 1 or more"
        )
    return 1_000_000 if first < 0 else first


def _input(description: ModelDescription, inference: InferenceSettings) -> ModelInput:
    name = description.name
    by_name = {tensor.name: tensor for tensor in description.inputs}
    if inference.input is not None and inference.input not in by_name:
        raise ConfigurationError(
            f'inference.input is "{inference.input}", but model {name} has: {", ".join(by_name)}'
        )
    if inference.input is None and len(by_name) != 1:
        raise ConfigurationError(
            f"model {name} has {len(by_name)} inputs ({', '.join(by_name)}); expected one picture"
        )
    tensor = by_name[inference.input or next(iter(by_name))]
    if tensor.dtype not in ("UINT8", "FP32"):
        raise ConfigurationError(
            f'model {name}: input "{tensor.name}" is {tensor.dtype}; expected UINT8 or FP32'
        )
    shape = tensor.shape[1:]
    channels_first = len(shape) == UNBATCHED_RANK and shape[0] == UNBATCHED_RANK
    channels_last = len(shape) == UNBATCHED_RANK and shape[2] == UNBATCHED_RANK
    sides = shape[1:] if channels_first else shape[:2]
    if not (channels_first or channels_last) or min(sides) < 1:
        raise ConfigurationError(
            f'model {name}: input "{tensor.name}" has shape {list(tensor.shape)}; '
            "expected [N,3,height,width] or [N,height,width,3] with fixed height and width"
        )
    declared = description.parameters.get("colour", "").lower()
    if declared not in ("", "bgr", "rgb"):
        raise ConfigurationError(
            f'model {name}: its parameter colour is "{declared}"; expected bgr or rgb'
        )
    # A picture in bytes is taken to be as OpenCV makes it; a float tensor as training made it.
    order = declared or ("bgr" if tensor.dtype == "UINT8" else "rgb")
    if inference.colour != "auto":
        order = inference.colour
    return ModelInput(
        name=tensor.name,
        width_px=sides[1],
        height_px=sides[0],
        channels_first=channels_first,
        dtype=tensor.dtype,
        rgb=order == "rgb",
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """How the model answers."""

    layout: OutputLayout
    outputs: tuple[str, ...]
    candidates: tuple[int, ...] = ()


def _answer(description: ModelDescription, model_input: ModelInput, classes: int) -> Answer:
    name = description.name
    by_name = {tensor.name: tensor for tensor in description.outputs}
    if all(wanted in by_name for wanted in DETECTION_OUTPUTS):
        for output, kind in zip(DETECTION_OUTPUTS, ("FP", "FP", "INT", "INT"), strict=True):
            dtype = by_name[output].dtype
            if kind not in dtype:
                wanted = "integers" if kind == "INT" else "floats"
                raise ConfigurationError(
                    f'model {name}: output "{output}" is {dtype}; expected {wanted}'
                )
        return Answer(OutputLayout.DETECTIONS, DETECTION_OUTPUTS)
    if len(by_name) != 1:
        raise ConfigurationError(
            f"model {name} has outputs {', '.join(by_name)}; expected "
            f"{', '.join(DETECTION_OUTPUTS)}, or one raw YOLO head"
        )
    return _raw_head(description, next(iter(by_name.values())), model_input, classes)


def _raw_head(
    description: ModelDescription, head: TensorDescription, model_input: ModelInput, classes: int
) -> Answer:
    name, told = description.name, f'output "{head.name}" {list(head.shape)}'
    if head.dtype != "FP32" or len(head.shape) != UNBATCHED_RANK:
        raise ConfigurationError(
            f'model {name}: output "{head.name}" is {head.dtype} {list(head.shape)}; expected a '
            f"YOLO head, FP32 [N,candidates,{5 + classes}] or [N,{4 + classes},candidates]"
        )
    _, rows, columns = head.shape
    width, height = model_input.width_px, model_input.height_px
    shape = HeadShape(rows=rows, columns=columns, width_px=width, height_px=height)
    readings = [] if shape.other_readings() else shape.readings()
    if not readings:
        raise ConfigurationError(f"model {name}: {told} {shape.objection(classes)}")
    for reading in readings:
        if reading.classes == classes:
            return Answer(reading.layout, (head.name,), reading.candidates)
    has = readings[0]
    angle = ""
    if has.layout is OutputLayout.YOLO_TRANSPOSED and has.classes == classes + 1:
        angle = "; a head of oriented boxes, whose last row is an angle, is not read here"
    raise ConfigurationError(
        f"inspection.codes names {classes} classes, but model {name} has {has.classes} "
        f"({told}){angle}"
    )


def _check_notes(
    description: ModelDescription, layout: OutputLayout, codes: tuple[str, ...]
) -> None:
    """What the exporting program wrote must not contradict how the model is read."""
    name, notes = description.name, read_notes(description.parameters.get("metadata", ""))
    if notes.task not in ("", "detect"):
        raise ConfigurationError(
            f'model {name}: its metadata names the task "{notes.task}"; expected detect'
        )
    if notes.suppresses and layout is not OutputLayout.DETECTIONS:
        raise ConfigurationError(
            f"model {name}: its metadata says that it answers after non-maximum suppression "
            "(end2end or nms); expected the head without it (nms=False, end2end=False)"
        )
    if order_objection(notes.names, codes):
        raise ConfigurationError(
            f"inspection.codes is {', '.join(codes)}, but the metadata of model {name} names: "
            f"{', '.join(notes.names)}"
        )


def _check_parameters(description: ModelDescription, settings: Settings) -> None:
    """What our own ensemble says of itself; other models may say nothing."""
    name, inspection = description.name, settings.inspection
    classes = description.parameters.get("classes")
    if classes is not None:
        deployed = tuple(part.strip() for part in classes.split(","))
        if deployed != inspection.codes:
            raise ConfigurationError(
                f"inspection.codes is {', '.join(inspection.codes)}, but model {name} was built "
                f"for: {', '.join(deployed)}"
            )
    told = description.parameters.get("score_threshold", "nan")
    try:
        floor = float(told)
    except ValueError:
        raise ConfigurationError(
            f'model {name}: its parameter score_threshold is "{told}"; expected a number'
        ) from None
    lowest = min(inspection.threshold_of(code) for code in inspection.codes)
    if not math.isnan(floor) and lowest < floor:
        raise ConfigurationError(
            f"inspection.threshold goes down to {lowest}, but model {name} reports nothing below "
            f"{floor} (its score_threshold)"
        )


def no_such_model(wanted: str, available: Sequence[str]) -> str:
    """The sentence for a model the server does not have."""
    close = difflib.get_close_matches(wanted, available, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    listed = ", ".join(available) or "no model at all"
    return f'inference.model is "{wanted}", but the server has: {listed}{hint}'


class VersionWatch:
    """Notices that another version of the model answers than the one that was compared."""

    def __init__(self) -> None:
        self._objected_to = ""

    def objection(self, spec: ModelSpec, answering: str) -> str:
        """Why this reply must not be used, or nothing; an empty version is not known.

        The new version may have other classes, so it is compared like the first one. That happens
        once: a server whose description goes on to name another version than its replies is
        believed all the same.
        """
        if answering in {"", spec.version, self._objected_to}:
            return ""
        self._objected_to = answering
        return f"version {answering} of the model answers, {spec.version} was checked"
