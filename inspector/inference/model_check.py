"""Compares Triton's description of a model with what the settings expect: pure decisions."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import HEADS, NOTHING_STATED, ModelName, Stated, Triple
from inspector.core.records import PADDING_GREY, UNIT_AND_REFERENCE, ModelInput, ModelSpec
from inspector.inference.description import ModelDescription, TensorDescription
from inspector.inference.exporter_notes import notes_in_file, notes_of, order_objection
from inspector.inference.outputs.kind import AUTO, Described
from inspector.inference.outputs.registry import reader_of
from inspector.settings.sections import InferenceSettings

UNBATCHED_RANK = 3
MOST_FILLED = 64
"""The largest value of `batching.max_regions`."""
REFERENCE_CHANNELS = ("unit", "reference")
"""The `channels` parameter of a model whose input shows a unit beside its reference."""
OWN_SCALE = "own"
"""The `scale` parameter of a model that was trained on pictures at their own scale."""
REGISTERED_CHANNELS = ("unit",)
"""The same for one whose input shows a unit alone, in the geometry of its reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeeds:
    """What a recipe and the station expect of a model."""

    codes: tuple[str, ...]
    """The names of its classes, in its order."""
    lowest_threshold: float
    """It must report findings down to this confidence."""
    stated: Stated = NOTHING_STATED
    """What the settings state about it; the rest is the model's own description."""
    is_for_reference: bool | None = None
    """Whether it must take a unit beside its reference; None: either is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTerms:
    """How the server is reached, and what its models must be."""

    server: InferenceSettings
    """The station's model is named here too."""
    needs: ModelNeeds
    """What the station's own model must be."""
    also: Mapping[ModelName, ModelNeeds] = field(default_factory=dict)
    """What each further model of the station must be."""


def configured_model(inference: InferenceSettings) -> ModelName:
    """The model of the station, for products whose recipe names no other."""
    return ModelName(name=inference.model, version=inference.version, stated=inference.stated)


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
    model_input = _input(description, needs)
    notes = notes_of(description.parameters, description.files.get(name, {}))
    reader = reader_of(
        Described(
            model=name,
            outputs=[_as_read(tensor) for tensor in description.outputs],
            input=model_input,
            classes=len(needs.codes),
            notes=notes,
            head=_head(description, needs),
            good=_good(description, needs),
            codes=needs.codes,
        )
    )
    _check_names(description, needs.codes)
    _check_parameters(description, needs)
    return ModelSpec(
        name=name,
        version=description.version,
        input=model_input,
        reader=reader,
        instances=max(1, description.instances),
        range_is_assumed=model_input.dtype != "UINT8"
        and not model_input.takes_reference
        and not notes.takes_ones
        and _levels(description, "FP32", needs).pixel_range == "auto",
    )


def _as_read(tensor: TensorDescription) -> TensorDescription:
    """The tensor as readers get it: half floats are converted to floats first."""
    return replace(tensor, dtype="FP32") if tensor.dtype == "FP16" else tensor


def _batch(description: ModelDescription) -> tuple[int, int]:
    """The largest and the exact number of pictures in a request; 0: any number."""
    if description.max_batch_size > 0:
        return description.max_batch_size, 0
    shapes = [tensor.shape for tensor in description.inputs]
    first = shapes[0][0] if shapes and len(shapes[0]) > UNBATCHED_RANK else 0
    if first == 0:
        raise ConfigurationError(
            f"model {description.name}: takes no batches; expected max_batch_size of 1 or more"
        )
    if first > MOST_FILLED:
        raise ConfigurationError(
            f"model {description.name}: takes exactly {first} pictures per request; expected any "
            f"number up to a limit (export it with a dynamic batch), or at most {MOST_FILLED}"
        )
    # Triton refuses any number but the graph's own: such a request is filled up.
    return (0, 0) if first < 0 else (first, first if first > 1 else 0)


def _input_tensor(description: ModelDescription, needs: ModelNeeds) -> TensorDescription:
    """The one that takes the picture."""
    name = description.name
    by_name = {tensor.name: tensor for tensor in description.inputs}
    asked = needs.stated.input
    if asked is not None and asked not in by_name:
        raise ConfigurationError(
            f'inference.input is "{asked}", but model {name} has: {", ".join(by_name)}'
        )
    if len(by_name) != 1:
        raise ConfigurationError(_several_inputs(description, asked))
    tensor = by_name[asked or next(iter(by_name))]
    if tensor.dtype not in ("UINT8", "FP32", "FP16"):
        raise ConfigurationError(
            f'model {name}: input "{tensor.name}" is {tensor.dtype}; expected UINT8, FP32 or FP16'
        )
    return tensor


def _input(description: ModelDescription, needs: ModelNeeds) -> ModelInput:
    most, exactly = _batch(description)
    tensor = _input_tensor(description, needs)
    channels = _channels(description, needs)
    shape = tensor.shape[1:]
    channels_first = len(shape) == UNBATCHED_RANK and shape[0] == channels
    channels_last = len(shape) == UNBATCHED_RANK and shape[2] == channels
    sides = shape[1:] if channels_first else shape[:2]
    if not (channels_first or channels_last) or min(sides) < 1:
        raise ConfigurationError(
            f'model {description.name}: input "{tensor.name}" has shape {list(tensor.shape)}; '
            f"expected [N,{channels},height,width] or [N,height,width,{channels}] with fixed "
            f"height and width{_hint(shape, channels)}"
        )
    levels = _levels(description, tensor.dtype, needs)
    return ModelInput(
        name=tensor.name,
        width_px=sides[1],
        height_px=sides[0],
        channels_first=channels_first,
        channels=channels,
        registered=_told_channels(description) == REGISTERED_CHANNELS,
        dtype=tensor.dtype,
        rgb=_is_rgb(description, tensor.dtype, needs),
        white=255.0 if levels.pixel_range == "0..255" else 1.0,
        mean=levels.mean,
        deviation=levels.deviation,
        padding=_padding(description, needs),
        enlarges=needs.stated.enlarge or _says_true(description, "enlarge"),
        stretches=needs.stated.stretch or _says_true(description, "stretch"),
        own_scale=_is_of_own_scale(description),
        most=most,
        exactly=exactly,
    )


def _several_inputs(description: ModelDescription, asked: str | None) -> str:
    """The sentence for a model with several inputs, of which only the picture is sent."""
    names = [tensor.name for tensor in description.inputs]
    rest = [name for name in names if name != asked]
    told = f"model {description.name} has {len(names)} inputs ({', '.join(names)})"
    if asked is None:
        return f"{told}; expected one picture"
    return f"{told}, and only {asked} is sent; expected {', '.join(rest)} within the model"


def _channels(description: ModelDescription, needs: ModelNeeds) -> int:
    """The number of channels of the model's input, by its configuration."""
    name, told = description.name, description.parameters.get("channels", "")
    has_reference = _told_channels(description) == REFERENCE_CHANNELS
    if needs.is_for_reference is not None and has_reference != needs.is_for_reference:
        takes = "a unit beside its reference" if has_reference else "a picture alone"
        wanted = "a picture alone" if has_reference else "a unit beside its reference"
        raise ConfigurationError(
            f'model {name} takes {takes} (its parameter channels is "{told}"); expected one that '
            f"takes {wanted}"
        )
    return UNIT_AND_REFERENCE if has_reference else 3


def _told_channels(description: ModelDescription) -> tuple[str, ...]:
    told = description.parameters.get("channels", "")
    return tuple(part.strip() for part in told.split(","))


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
    # A picture in bytes is assumed to be as OpenCV makes it; a float tensor as training made it.
    order = declared or ("bgr" if dtype == "UINT8" else "rgb")
    if needs.stated.colour != "auto":
        order = needs.stated.colour
    return order == "rgb"


@dataclass(frozen=True, slots=True)
class _Levels:
    """The range and normalisation that a float input expects."""

    pixel_range: str
    """`auto` if neither the settings nor the model state it."""
    mean: Triple | None
    deviation: Triple | None


def _levels(description: ModelDescription, dtype: str, needs: ModelNeeds) -> _Levels:
    name, stated = description.name, needs.stated
    declared = description.parameters.get("pixel_range", "auto")
    if declared not in ("auto", "0..1", "0..255"):
        raise ConfigurationError(
            f'model {name}: its parameter pixel_range is "{declared}"; expected 0..1 or 0..255'
        )
    wanted = stated.pixel_range if stated.pixel_range != "auto" else declared
    mean = stated.mean or _numbers(description, "mean")
    deviation = stated.deviation or _numbers(description, "deviation")
    if deviation is not None and min(deviation) <= 0:
        raise ConfigurationError(
            f"model {name}: its parameter deviation is {deviation}; expected numbers above 0"
        )
    if dtype == "UINT8" and (wanted == "0..1" or mean or deviation):
        told = 'pixel_range is "0..1"' if wanted == "0..1" else "mean or deviation is set"
        raise ConfigurationError(
            f"inference.{told}, but the input of model {name} is UINT8, which is 0..255"
        )
    if wanted == "auto" and (mean or deviation):
        # A mean of 0.485 is a share, and one of 123.7 is in grey levels.
        wanted = "0..255" if max(*(mean or ()), *(deviation or ()), 0.0) > 1 else "0..1"
    return _Levels(wanted, mean, deviation)


def _numbers(description: ModelDescription, key: str) -> Triple | None:
    """Three numbers in a parameter, for red, green and blue."""
    text = description.parameters.get(key)
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        red = green = blue = math.nan
    if not all(map(math.isfinite, (red, green, blue))):
        raise ConfigurationError(
            f'model {description.name}: its parameter {key} is "{text}"; expected three numbers '
            "with commas, for red, green and blue"
        )
    return red, green, blue


def _padding(description: ModelDescription, needs: ModelNeeds) -> int:
    if needs.stated.padding is not None:
        return needs.stated.padding
    text = description.parameters.get("padding", str(PADDING_GREY))
    if not (text.isdecimal() and int(text) <= 255):  # noqa: PLR2004 - a byte
        raise ConfigurationError(
            f'model {description.name}: its parameter padding is "{text}"; expected 0 to 255'
        )
    return int(text)


def _says_true(description: ModelDescription, parameter: str) -> bool:
    return description.parameters.get(parameter, "").lower() == "true"


def _is_of_own_scale(description: ModelDescription) -> bool:
    told = description.parameters.get("scale", "")
    if told not in ("", OWN_SCALE):
        raise ConfigurationError(
            f'model {description.name}: its parameter scale is "{told}"; expected "{OWN_SCALE}" '
            "where it was trained on pictures at their own scale, or no such parameter"
        )
    return told == OWN_SCALE


def _head(description: ModelDescription, needs: ModelNeeds) -> str:
    declared = description.parameters.get("head", AUTO)
    if declared not in HEADS:
        raise ConfigurationError(
            f'model {description.name}: its parameter head is "{declared}"; expected one of: '
            + ", ".join(HEADS)
        )
    return needs.stated.head if needs.stated.head != AUTO else declared


def _good(description: ModelDescription, needs: ModelNeeds) -> frozenset[int]:
    """The classes that are no defect; the list may also name those of other models."""
    declared = description.parameters.get("good", "")
    told = needs.stated.good or tuple(filter(None, (p.strip() for p in declared.split(","))))
    if told and not needs.stated.good and not set(told) & set(needs.codes):
        raise ConfigurationError(
            f'model {description.name}: its parameter good is "{declared}"; expected some of: '
            + ", ".join(needs.codes)
        )
    return frozenset(number for number, code in enumerate(needs.codes) if code in told)


def _check_names(description: ModelDescription, codes: tuple[str, ...]) -> None:
    """Refuse codes that contradict the exporting program's names of the classes."""
    told = [(f"the metadata of model {description.name}", notes_of(description.parameters).names)]
    told += [
        (f"the file of model {model}", notes_in_file(metadata).names)
        for model, metadata in description.files.items()
    ]
    for origin, names in told:
        if order_objection(names, codes):
            raise ConfigurationError(
                f"inspection.codes is {', '.join(codes)}, but {origin} names: {', '.join(names)}"
            )


def _check_parameters(description: ModelDescription, needs: ModelNeeds) -> None:
    """Check the parameters that our own ensembles have; other models may have none."""
    name = description.name
    told = {name: description.parameters.get("classes")}
    # The file of a network shows that it was put into an ensemble of other classes.
    told |= {model: metadata.get("classes") for model, metadata in description.files.items()}
    for model, classes in told.items():
        if classes is None:
            continue
        deployed = tuple(part.strip() for part in classes.split(","))
        if deployed != needs.codes:
            raise ConfigurationError(
                f"inspection.codes is {', '.join(needs.codes)}, but model {model} was built "
                f"for: {', '.join(deployed)}"
            )
    least = description.parameters.get("score_threshold", "nan")
    try:
        floor = float(least)
    except ValueError:
        raise ConfigurationError(
            f'model {name}: its parameter score_threshold is "{least}"; expected a number'
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
    """Detects replies of another version of the model than the one that was compared."""

    def __init__(self) -> None:
        self._objected_to = ""

    def objection(self, spec: ModelSpec, answering: str) -> str:
        """Why this reply must not be used, or ""; an empty version is unknown.

        The new version may have other classes, so it is compared like the first one. This happens
        once: a server whose description keeps naming another version than its replies is accepted.
        """
        if answering in {"", spec.version, self._objected_to}:
            return ""
        self._objected_to = answering
        return f"version {answering} of the model answers, {spec.version} was checked"
