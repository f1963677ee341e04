"""What a kind of model output is, and what it can say about a model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inspector.core.records import ModelInput, OutputReader
from inspector.inference.description import TensorDescription
from inspector.inference.exporter_notes import ExporterNotes

AUTO = "auto"
END_TO_END = "end_to_end"
RT_DETR = "rt_detr"
RT_DETR_ROWS = "rt_detr_rows"
_RT_DETR_DECODER = "RTDETRDecoder"
"""Ultralytics' name of the last layer, in files that have such rows."""
_END_TO_END_SHAPE = (-1, 1000, 6)
"""The shape of an export with suppression: at most this many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is known about a model's answers before it gives one."""

    model: str
    outputs: Sequence[TensorDescription]
    input: ModelInput
    classes: int
    """How many codes its recipe has."""
    notes: ExporterNotes
    """What the program that exported it noted in it."""
    head: str = AUTO
    """The layout that the settings or the model's configuration state."""
    good: frozenset[int] = frozenset()
    """The classes that are no defect, by number."""
    codes: tuple[str, ...] = ()
    """The names of its classes, in its order."""

    def told(self, output: TensorDescription) -> str:
        """An output for people: its name, type and shape."""
        return f'output "{output.name}" {output.dtype} {list(output.shape)}'


def stated_head(described: Described) -> str:
    """The layout that is stated, also by the exporting program; or ""."""
    if described.head != AUTO:
        return described.head
    shape = described.outputs[0].shape if len(described.outputs) == 1 else ()
    is_row = len(shape) == len(_END_TO_END_SHAPE) and shape[2] == _END_TO_END_SHAPE[2]
    if is_row and described.notes.head == _RT_DETR_DECODER:
        return RT_DETR_ROWS
    is_suppressed = (
        described.notes.suppresses
        and len(shape) == len(_END_TO_END_SHAPE)
        and shape[2] == _END_TO_END_SHAPE[2]
        and shape[1] <= _END_TO_END_SHAPE[1]
    )
    return END_TO_END if is_suppressed else ""


@dataclass(frozen=True, slots=True)
class Unfit:
    """The model seems meant as this kind but does not fit: reported if no kind can read it."""

    sentence: str
    """Names the model, what was found and what was expected."""


def good_is_unknown(described: Described) -> Unfit:
    """Every picture is of some class: the settings have to say which of them is no defect."""
    names = ", ".join(described.codes) or f"{described.classes} classes"
    return Unfit(
        f"model {described.model}: gives every part one of {names}; which of them is no defect has "
        'to be said: [inference] good = ["…"]'
    )


def only_output(described: Described, heads: Sequence[str]) -> TensorDescription | None:
    """Its single output, unless a layout other than one of `heads` is stated."""
    if len(described.outputs) != 1 or described.head not in (AUTO, *heads):
        return None
    return described.outputs[0]


def values_are_unknown(described: Described, looks_like: str, heads: tuple[str, str]) -> Unfit:
    """Probabilities and logits look alike in a description: the settings have to say which."""
    probabilities, logits = heads
    return Unfit(
        f"model {described.model}: {described.told(described.outputs[0])} looks like {looks_like}; "
        "whether it holds probabilities or logits has to be said: [inference] head = "
        f'"{probabilities}" or "{logits}"'
    )


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """The output may mean something else: refused, even if another kind could read it.

    A model that is misread reports nothing at all, and every unit passes.
    """

    sentence: str


Recognised = OutputReader | Unfit | Ambiguity | None
"""A reader; why there is none; or None: it is another kind of answer altogether."""


class OutputKind(Protocol):
    """One kind of answer; a module of its own."""

    @property
    def EXPECTS(self) -> str:  # noqa: N802 - a module's constant
        """What such a model gives, in a few words that follow "expected"."""

    def recognise(self, described: Described) -> Recognised:
        """Whether a model with such outputs answers in this way."""
