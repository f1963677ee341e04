"""Compares what Triton says of a model with what the settings expect: pure decisions."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import ModelName
from inspector.core.records import UNIT_AND_REFERENCE, ModelInput, ModelSpec
from inspector.inference.description import ModelDescription
from inspector.inference.exporter_notes import ExporterNotes, notes_of, order_objection
from inspector.inference.outputs.kind import AUTO, HEADS, Described
from inspector.inference.outputs.registry import reader_of
from inspector.settings.sections import InferenceSettings

UNBATCHED_RANK = 3
REFERENCE_CHANNELS = ("unit", "reference")
"""How a model's configuration says that its input shows a unit beside its reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeeds:
    """What a recipe and the station expect of a model."""

    codes: tuple[str, ...]
    """The names of its classes, in its order."""
    lowest_threshold: float
    """It must report what is at least so sure."""
    max_regions: int
    """A request holds so many."""
    is_for_reference: bool | None = None
    """Whether it is to see a unit beside its reference; None: either will do."""
    input: str | None = None
    colour: Literal["auto", "bgr", "rgb"] = "auto"
    pixel_range: Literal["auto", "0..1", "0..255"] = "auto"
    enlarge: bool = False
    head: str = AUTO
    """The layout of its one output; see `outputs.kind.HEADS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTerms:
    """How the server is reached, and what its models have to be."""

    server: InferenceSettings
    """The station's model is named here too."""
    needs: ModelNeeds
    """What the station's own model has to be."""
    also: Mapping[ModelName, ModelNeeds] = field(default_factory=dict)
    """What each further model of the station has to be."""


def configured_model(inference: InferenceSettings) -> ModelName:
    """The model of the station, which inspects what no product's recipe says otherwise of."""
    return ModelName(name=inference.model, version=inference.version)


def check_model(description: ModelDescription, needs: ModelNeeds) -> ModelSpec:
    """What the pipeline needs to know to use the model.

    Raises:
        ConfigurationError: the model is not what is needed; each sentence names both sides.

    """
    name = description.name
    if description.decoupled:
        raise ConfigurationError(f"model {name}: decoupled; expected one reply per request")
    if description.sequences:
        raise ConfigurationError(
            f"model {name}: has sequence_batching; expected one that takes each request by itself"
        )
    wanted = needs.max_regions
    limit = _batch_limit(description)
    if limit < wanted:
        raise ConfigurationError(
            f"batching.max_regions is {wanted}, but model {name} takes at most {limit} per request "
            "(its max_batch_size)"
        )
    model_input = _input(description, needs)
    notes = notes_of(description.parameters)
    reader = reader_of(
        Described(
            model=name,
            outputs=description.outputs,
            input=model_input,
            classes=len(needs.codes),
            notes=notes,
            head=_head(description, needs),
        )
    )
    _check_names(name, notes, needs.codes)
    _check_parameters(description, needs)
    return ModelSpec(
        name=name,
        version=description.version,
        input=model_input,
        reader=reader,
        max_regions=limit,
        instances=max(1, description.instances),
        range_is_assumed=model_input.dtype == "FP32"
        and not model_input.takes_reference
        and _pixel_range(description, "FP32", needs) == "auto",
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
    if first > 1:
        # Triton refuses every other number, and how many pictures are due at once varies.
        raise ConfigurationError(
            f"model {description.name}: takes exactly {first} pictures per request; expected any "
            "number up to a limit (export it with a dynamic batch) or one"
        )
    return 1_000_000 if first < 0 else first


def _input(description: ModelDescription, needs: ModelNeeds) -> ModelInput:
    name = description.name
    by_name = {tensor.name: tensor for tensor in description.inputs}
    if needs.input is not None and needs.input not in by_name:
        raise ConfigurationError(
            f'inference.input is "{needs.input}", but model {name} has: {", ".join(by_name)}'
        )
    if needs.input is None and len(by_name) != 1:
        raise ConfigurationError(
            f"model {name} has {len(by_name)} inputs ({', '.join(by_name)}); expected one picture"
        )
    tensor = by_name[needs.input or next(iter(by_name))]
    if tensor.dtype not in ("UINT8", "FP32"):
        raise ConfigurationError(
            f'model {name}: input "{tensor.name}" is {tensor.dtype}; expected UINT8 or FP32'
        )
    channels = _channels(description, needs)
    shape = tensor.shape[1:]
    channels_first = len(shape) == UNBATCHED_RANK and shape[0] == channels
    channels_last = len(shape) == UNBATCHED_RANK and shape[2] == channels
    sides = shape[1:] if channels_first else shape[:2]
    if not (channels_first or channels_last) or min(sides) < 1:
        raise ConfigurationError(
            f'model {name}: input "{tensor.name}" has shape {list(tensor.shape)}; expected '
            f"[N,{channels},height,width] or [N,height,width,{channels}] with fixed height and "
            f"width{_hint(shape, channels)}"
        )
    return ModelInput(
        name=tensor.name,
        width_px=sides[1],
        height_px=sides[0],
        channels_first=channels_first,
        channels=channels,
        dtype=tensor.dtype,
        rgb=_is_rgb(description, tensor.dtype, needs),
        white=255.0 if _pixel_range(description, tensor.dtype, needs) == "0..255" else 1.0,
        enlarges=needs.enlarge,
    )


def _channels(description: ModelDescription, needs: ModelNeeds) -> int:
    """How many the model's input has, by what its configuration says of them."""
    name, told = description.name, description.parameters.get("channels", "")
    has_reference = tuple(part.strip() for part in told.split(",")) == REFERENCE_CHANNELS
    if needs.is_for_reference is not None and has_reference != needs.is_for_reference:
        takes = "a unit beside its reference" if has_reference else "a picture alone"
        wanted = "a picture alone" if has_reference else "a unit beside its reference"
        raise ConfigurationError(
            f'model {name} takes {takes} (its parameter channels is "{told}"); expected one that '
            f"takes {wanted}"
        )
    return UNIT_AND_REFERENCE if has_reference else 3


def _hint(shape: Sequence[int], channels: int) -> str:
    if channels == UNIT_AND_REFERENCE or UNIT_AND_REFERENCE not in (*shape[:1], *shape[-1:]):
        return ""
    told = ",".join(REFERENCE_CHANNELS)
    return f'; one that takes a reference says so in its parameter channels: "{told}"'


def _is_rgb(description: ModelDescription, dtype: str, needs: ModelNeeds) -> bool:
    declared = description.parameters.get("colour", "").lower()
    if declared not in ("", "bgr", "rgb"):
        raise ConfigurationError(
            f'model {description.name}: its parameter colour is "{declared}"; expected bgr or rgb'
        )
    # A picture in bytes is taken to be as OpenCV makes it; a float tensor as training made it.
    order = declared or ("bgr" if dtype == "UINT8" else "rgb")
    if needs.colour != "auto":
        order = needs.colour
    return order == "rgb"


def _pixel_range(description: ModelDescription, dtype: str, needs: ModelNeeds) -> str:
    """What an FP32 input expects; `auto` where neither the settings nor the model say it."""
    declared = description.parameters.get("pixel_range", "auto")
    if declared not in ("auto", "0..1", "0..255"):
        raise ConfigurationError(
            f'model {description.name}: its parameter pixel_range is "{declared}"; expected 0..1 '
            "or 0..255"
        )
    wanted = needs.pixel_range if needs.pixel_range != "auto" else declared
    if dtype == "UINT8" and wanted == "0..1":
        raise ConfigurationError(
            f'inference.pixel_range is "0..1", but the input of model {description.name} is UINT8, '
            "which is 0..255"
        )
    return wanted


def _head(description: ModelDescription, needs: ModelNeeds) -> str:
    declared = description.parameters.get("head", AUTO)
    if declared not in HEADS:
        raise ConfigurationError(
            f'model {description.name}: its parameter head is "{declared}"; expected one of: '
            + ", ".join(HEADS)
        )
    return needs.head if needs.head != AUTO else declared


def _check_names(name: str, notes: ExporterNotes, codes: tuple[str, ...]) -> None:
    """What the exporting program called the classes must not contradict the codes."""
    if order_objection(notes.names, codes):
        raise ConfigurationError(
            f"inspection.codes is {', '.join(codes)}, but the metadata of model {name} names: "
            f"{', '.join(notes.names)}"
        )


def _check_parameters(description: ModelDescription, needs: ModelNeeds) -> None:
    """What our own ensemble says of itself; other models may say nothing."""
    name = description.name
    classes = description.parameters.get("classes")
    if classes is not None:
        deployed = tuple(part.strip() for part in classes.split(","))
        if deployed != needs.codes:
            raise ConfigurationError(
                f"inspection.codes is {', '.join(needs.codes)}, but model {name} was built "
                f"for: {', '.join(deployed)}"
            )
    told = description.parameters.get("score_threshold", "nan")
    try:
        floor = float(told)
    except ValueError:
        raise ConfigurationError(
            f'model {name}: its parameter score_threshold is "{told}"; expected a number'
        ) from None
    lowest = needs.lowest_threshold
    if not math.isnan(floor) and lowest < floor:
        raise ConfigurationError(
            f"inspection.threshold goes down to {lowest}, but model {name} reports nothing below "
            f"{floor} (its score_threshold)"
        )


def no_such_model(
    wanted: str, available: Sequence[str], *, asked_by: str = "inference.model"
) -> str:
    """The sentence for a model the server does not have."""
    close = difflib.get_close_matches(wanted, available, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    listed = ", ".join(available) or "no model at all"
    return f'{asked_by} is "{wanted}", but the server has: {listed}{hint}'


class VersionMonitor:
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
