"""The entry of an ONNX file in a model repository: its configuration, and why. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inspector.core.errors import ConfigurationError
from inspector.core.recipes import NOTHING_STATED, Stated, Triple
from inspector.embedded.triton.onnx_files import GraphFacts, GraphTensor
from inspector.inference.description import ModelDescription, TensorDescription
from inspector.inference.exporter_notes import ExporterNotes, notes_in_file

LARGEST_BATCH = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST_NAME = 64
_PICTURE_RANK = 4
_DATA_TYPES = {"FP32": "TYPE_FP32", "FP16": "TYPE_FP16", "FP64": "TYPE_FP64", "BOOL": "TYPE_BOOL"}
_TOLD_BY_FILES = ("names", "task", "head", "end2end", "author", "args", "imgsz", "classes")
"""Keys of a file's metadata that are copied into the configuration, for services without the
file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model of a repository, as it will be."""

    name: str
    facts: GraphFacts
    height_px: int
    width_px: int
    max_batch_size: int
    """0: the graph has its own number of pictures."""
    pictures: int = 1
    """That number."""
    shapes: Mapping[str, tuple[int, ...]]
    """Shapes of the outputs, without the picture's dimension; -1 if it differs between answers."""
    stated: Stated = NOTHING_STATED
    names: tuple[str, ...] = ()
    """Names of its classes, if they were stated and the file has none."""

    @property
    def notes(self) -> ExporterNotes:
        """The exporting program's notes."""
        return notes_in_file(self.facts.metadata)

    @property
    def picture(self) -> GraphTensor:
        """The input."""
        (tensor,) = self.facts.inputs
        return tensor

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """The shape of one picture, without the batch dimension."""
        return _sized(self.picture, self.height_px, self.width_px)


def model_name(text: str) -> str:
    """Check a name for a model, which becomes a folder's.

    Raises:
        ConfigurationError: it is none.

    """
    if not _NAME.fullmatch(text) or len(text) > _LONGEST_NAME:
        raise ConfigurationError(
            f'the name "{text}": expected letters, digits, - and _, at most {_LONGEST_NAME}; give '
            "one with --name"
        )
    return text


def picture_of(file: str, facts: GraphFacts) -> GraphTensor:
    """The input that takes pictures.

    Raises:
        ConfigurationError: there is none, or it is not the only one; says what to export instead.

    """
    if len(facts.inputs) != 1:
        names = ", ".join(tensor.name for tensor in facts.inputs)
        raise ConfigurationError(
            f"{file}: has {len(facts.inputs)} inputs ({names}); expected a picture alone: "
            "export it without its post-processor (D-FINE, RT-DETR: --no-postprocess, or the bare "
            "model), so that it gives logits and boxes"
        )
    (tensor,) = facts.inputs
    if tensor.dtype not in ("UINT8", "FP32", "FP16"):
        raise ConfigurationError(
            f'{file}: input "{tensor.name}" is {tensor.dtype}; expected FP32, FP16 or UINT8'
        )
    if len(tensor.shape) != _PICTURE_RANK:
        raise ConfigurationError(
            f'{file}: input "{tensor.name}" has shape {list(tensor.shape)}; expected one '
            "picture or more, [N,3,height,width] or [N,height,width,3]: export it with a batch "
            "dimension"
        )
    return tensor


def size_of(
    file: str, picture: GraphTensor, metadata: Mapping[str, str], wanted: tuple[int, int] | None
) -> tuple[int, int]:
    """Height and width of the pictures that it will get.

    Raises:
        ConfigurationError: the file leaves it open and nobody says it, or says otherwise.

    """
    channels_last = picture.shape[3] == 3 and picture.shape[1] != 3  # noqa: PLR2004
    height, width = picture.shape[1:3] if channels_last else picture.shape[2:]
    told = _told_size(metadata.get("imgsz", ""))
    size = wanted or told or (height, width)
    size = (height if height > 0 else size[0], width if width > 0 else size[1])
    if wanted and size != wanted:
        raise ConfigurationError(
            f"{file}: takes pictures of {width}x{height}; --size says {wanted[1]}x{wanted[0]}"
        )
    if min(size) < 1:
        raise ConfigurationError(
            f"{file}: takes pictures of any size; expected --size WIDTHxHEIGHT, as it was trained"
        )
    return size


def _told_size(text: str) -> tuple[int, int] | None:
    try:
        height, width = json.loads(text)
    except (ValueError, TypeError):
        return None
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _sized(picture: GraphTensor, height_px: int, width_px: int) -> tuple[int, ...]:
    if picture.shape[3] == 3 and picture.shape[1] != 3:  # noqa: PLR2004 - channels
        return height_px, width_px, 3
    return 3, height_px, width_px


def shape_for(picture: GraphTensor, height_px: int, width_px: int) -> tuple[int, ...]:
    """Shapes of one request with one picture, or with as many as the graph takes."""
    return max(1, picture.shape[0]), *_sized(picture, height_px, width_px)


def described(entry: Entry) -> ModelDescription:
    """The description that the server will give."""
    batched = entry.max_batch_size > 0
    first = -1 if batched else entry.pictures
    picture = entry.picture
    return ModelDescription(
        name=entry.name,
        version="1",
        inputs=[
            TensorDescription(
                name=picture.name, dtype=picture.dtype, shape=(first, *entry.picture_shape)
            )
        ],
        outputs=[
            TensorDescription(
                name=t.name,
                dtype=t.dtype,
                shape=(-1 if batched else entry.pictures, *entry.shapes[t.name]),
            )
            for t in entry.facts.outputs
        ],
        max_batch_size=entry.max_batch_size,
        decoupled=False,
        parameters=parameters(entry),
        files={entry.name: entry.facts.metadata},
    )


def parameters(entry: Entry) -> dict[str, str]:
    """The parameters of the entry, by key, as `model_check` reads them."""
    metadata, stated = entry.facts.metadata, entry.stated
    told = {key: metadata[key] for key in _TOLD_BY_FILES if key in metadata}
    is_named = bool(entry.notes.names)
    said = {
        "metadata": _as_dictionary(told) if is_named else "",
        "classes": metadata.get("classes", ""),
        "names": "" if is_named or not entry.names else json.dumps(list(entry.names)),
        "head": stated.head,
        "good": ",".join(stated.good),
        "colour": stated.colour,
        "pixel_range": stated.pixel_range,
        "mean": _numbers(stated.mean),
        "deviation": _numbers(stated.deviation),
        "padding": "" if stated.padding is None else str(stated.padding),
        "enlarge": "true" if stated.enlarge else "",
    }
    return {key: value for key, value in said.items() if value not in ("", "auto")}


def _as_dictionary(told: Mapping[str, str]) -> str:
    """One text of all of it, each value as itself and not as text within text."""
    notes = notes_in_file(told)
    content: dict[str, object] = {"names": dict(enumerate(notes.names))}
    if notes.task:
        content["task"] = notes.task
    if notes.head:
        content["head"] = notes.head
    if notes.suppresses:
        content["end2end"] = True
    if notes.takes_ones:
        content["author"] = told["author"]
    return json.dumps(content)


def _numbers(triple: Triple | None) -> str:
    return "" if triple is None else ",".join(f"{number:g}" for number in triple)


def config_text(entry: Entry, *, made_by: str) -> str:
    """The entry's config.pbtxt."""
    first = [] if entry.max_batch_size else [entry.pictures]
    picture = entry.picture
    lines = [
        f"# {made_by}",
        f'name: "{entry.name}"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {entry.max_batch_size}",
        "",
        f"input [ {_tensor(picture, [*first, *entry.picture_shape])} ]",
        "output [",
        ",\n".join(f"  {_tensor(t, _output_dims(entry, t))}" for t in entry.facts.outputs),
        "]",
    ]
    if entry.max_batch_size:
        lines += ["", "dynamic_batching { max_queue_delay_microseconds: 0 }"]
    lines += ["", "instance_group [ { count: 1 } ]"]
    # Without these, ONNX Runtime takes every core of the machine for each instance.
    threads = {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}
    for key, value in {**threads, **parameters(entry)}.items():
        lines.append(
            f'parameters {{ key: "{key}" value: {{ string_value: "{_escaped(value)}" }} }}'
        )
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    for character, instead in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        text = text.replace(character, instead)
    return text


def _output_dims(entry: Entry, tensor: GraphTensor) -> list[int]:
    shape = entry.shapes[tensor.name]
    return (
        list(shape) if entry.max_batch_size else [tensor.shape[0] if tensor.shape else -1, *shape]
    )


def _tensor(tensor: GraphTensor, dims: Sequence[int]) -> str:
    dtype = _DATA_TYPES.get(tensor.dtype, f"TYPE_{tensor.dtype}")
    listed = ", ".join(map(str, dims))
    return f'{{ name: "{tensor.name}" data_type: {dtype} dims: [ {listed} ] }}'
