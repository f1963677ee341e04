"""All kinds of model output, and finding the one that a model gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint

from inspector.core.errors import ConfigurationError
from inspector.core.plugins import loaded, naming, points_of
from inspector.core.records import OutputReader
from inspector.inference.outputs import (
    anomaly,
    classification,
    detections,
    detr_rows,
    labels,
    masks,
    oriented,
    queries,
    semantic,
    stated,
    yolo,
    yolox,
)
from inspector.inference.outputs.kind import Ambiguity, Described, OutputKind, Unfit

KINDS: Sequence[OutputKind] = (
    detections,
    yolo,
    stated,
    detr_rows,
    yolox,
    masks,
    oriented,
    queries,
    labels,
    classification,
    semantic,
    anomaly,
)
"""Other packages add theirs as entry points of the group `ENTRY_POINTS`."""

ENTRY_POINTS = "inspector.model_outputs"


def reader_of(described: Described) -> OutputReader:
    """The reader for this model's replies.

    Raises:
        ConfigurationError: no kind can read it, or it may be read in more than one way; or a kind
            that is installed is none.

    """
    kinds = (*KINDS, *installed_kinds())
    found = [kind.recognise(described) for kind in kinds]
    for one in found:
        if isinstance(one, Ambiguity):
            raise ConfigurationError(one.sentence)
    readers = [one for one in found if one is not None and not isinstance(one, Unfit | Ambiguity)]
    if len(readers) > 1:
        told = " and as ".join(reader.kind for reader in readers)
        raise ConfigurationError(
            f"model {described.model}: its outputs can be read as {told}; expected outputs that "
            "mean one thing"
        )
    if readers:
        return readers[0]
    if unfit := [one.sentence for one in found if isinstance(one, Unfit)]:
        raise ConfigurationError(*unfit)
    names = ", ".join(tensor.name for tensor in described.outputs)
    expected = ", or ".join(dict.fromkeys(kind.EXPECTS for kind in kinds))
    raise ConfigurationError(f"model {described.model} has outputs {names}; expected {expected}")


@cache
def installed_kinds() -> tuple[OutputKind, ...]:
    """The kinds of other packages, by their names; later installations count after a restart.

    Raises:
        ConfigurationError: one of them cannot be imported, or is no kind of output.

    """
    return tuple(_loaded(point) for point in points_of(ENTRY_POINTS))


def _loaded(point: EntryPoint) -> OutputKind:
    what = "the kind of model output"
    try:
        kind: OutputKind = loaded(point, what)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if not isinstance(getattr(kind, "EXPECTS", None), str) or not callable(
        getattr(kind, "recognise", None)
    ):
        raise ConfigurationError(
            f"{naming(point, what)} is none; expected a module with EXPECTS and recognise"
        )
    return kind
