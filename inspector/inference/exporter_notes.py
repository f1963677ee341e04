"""Reads what the program that exported a model noted in it: Ultralytics' `metadata`. Pure.

The Ultralytics guide to Triton has it copied into config.pbtxt as a parameter, as Python or JSON
writes a dictionary. A text that cannot be read is ignored, because it was not written for us.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

LONGEST_CHARACTERS = 100_000
_AUTHOR = "Ultralytics"
"""The exporter all of whose networks take pictures in 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterNotes:
    """What is known; empty where nothing is noted."""

    names: tuple[str, ...] = ()
    """Names of the classes, in the model's order."""
    task: str = ""
    suppresses: bool = False
    """Whether its answer comes after non-maximum suppression."""
    head: str = ""
    """The exporting program's name of its last layer."""
    takes_ones: bool = False
    """Whether it was exported by a program whose networks take pictures in 0..1."""


def read_notes(text: str) -> ExporterNotes:
    """The notes in a `metadata` parameter."""
    content = _parsed(text)
    return _notes_in(content) if isinstance(content, Mapping) else ExporterNotes()


def _notes_in(content: Mapping[str, Any]) -> ExporterNotes:
    arguments = content.get("args")
    nms = arguments.get("nms") if isinstance(arguments, Mapping) else None
    task, head = content.get("task"), content.get("head")
    return ExporterNotes(
        names=_names(content.get("names")),
        task=task if isinstance(task, str) else "",
        suppresses=_is_true(content.get("end2end")) or _is_true(nms),
        head=head if isinstance(head, str) else "",
        takes_ones=content.get("author") == _AUTHOR,
    )


def notes_of(parameters: Mapping[str, str], file: Mapping[str, str] | None = None) -> ExporterNotes:
    """The notes in a model's parameters; a separate `names` is used if `metadata` has none.

    If there are none, those in the metadata of its file are used.
    """
    notes = read_notes(parameters.get("metadata", ""))
    if not notes.names and (text := parameters.get("names", "")):
        told = _names(_parsed(text)) or tuple(part.strip() for part in text.split(","))
        notes = replace(notes, names=told)
    if file is None:
        return notes
    of_file = notes_in_file(file)
    return ExporterNotes(
        names=notes.names or of_file.names,
        task=notes.task or of_file.task,
        suppresses=notes.suppresses or of_file.suppresses,
        head=notes.head or of_file.head,
        takes_ones=notes.takes_ones or of_file.takes_ones,
    )


def notes_in_file(metadata: Mapping[str, str]) -> ExporterNotes:
    """The notes in an ONNX file's metadata: the same keys, each as a separate text."""
    content = {key: _parsed(metadata.get(key, "")) for key in ("names", "args")}
    plain = {key: metadata.get(key, "") for key in ("task", "end2end", "author", "head")}
    return _notes_in({**plain, **content})


def order_objection(told: tuple[str, ...], codes: tuple[str, ...]) -> bool:
    """Whether the codes contradict the model's names: another number, or another order.

    Codes may be other words for the names, as an MES has them; then they are not comparable.
    """
    if not told:
        return False
    names, wanted = [_plain(name) for name in told], [_plain(code) for code in codes]
    if len(names) != len(wanted):
        return True
    return any(code in names and names[place] != code for place, code in enumerate(wanted))


def _parsed(text: str) -> Any:
    if not 0 < len(text) <= LONGEST_CHARACTERS:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _names(told: Any) -> tuple[str, ...]:
    """A list, or a dictionary from numbers (in JSON: digits) to names; else nothing."""
    if isinstance(told, Mapping):
        try:
            by_number = {int(number): name for number, name in told.items()}
        except (TypeError, ValueError):
            return ()
        if sorted(by_number) != list(range(len(by_number))):
            return ()
        told = [by_number[number] for number in range(len(by_number))]
    if not isinstance(told, list | tuple) or not all(isinstance(name, str) for name in told):
        return ()
    return tuple(told)


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _plain(name: str) -> str:
    """A name without case and separators: `Pin_Hole` and `pin-hole` are the same."""
    return name.strip().casefold().replace("_", "-").replace(" ", "-")
