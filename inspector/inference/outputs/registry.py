"""Every kind of model output that is understood, and which of them a model gives. Pure."""

from __future__ import annotations

from inspector.core.errors import ConfigurationError
from inspector.core.records import OutputReader
from inspector.inference.outputs import detections, yolo
from inspector.inference.outputs.kind import Ambiguity, Described, OutputKind, Unfit

KINDS: list[OutputKind] = [
    detections,
    yolo,
]


def reader_of(described: Described) -> OutputReader:
    """What reads this model's replies.

    Raises:
        ConfigurationError: no kind can read it, or it may be read in more than one way.

    """
    found = [kind.recognise(described) for kind in KINDS]
    for one in found:
        if isinstance(one, Ambiguity):
            raise ConfigurationError(one.sentence)
    readers = [one for one in found if one is not None and not isinstance(one, Unfit | Ambiguity)]
    if len(readers) > 1:
        kinds = " and as ".join(reader.kind for reader in readers)
        raise ConfigurationError(
            f"model {described.model}: its outputs can be read as {kinds}; expected outputs that "
            "mean one thing"
        )
    if readers:
        return readers[0]
    if unfit := [one.sentence for one in found if isinstance(one, Unfit)]:
        raise ConfigurationError(*unfit)
    names = ", ".join(tensor.name for tensor in described.outputs)
    expected = ", or ".join(kind.EXPECTS for kind in KINDS)
    raise ConfigurationError(f"model {described.model} has outputs {names}; expected {expected}")
