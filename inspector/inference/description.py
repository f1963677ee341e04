"""A deployed model as its server describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
    """Whether its requests must belong to sequences."""
    parameters: Mapping[str, str]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Metadata of the ONNX files, by model or step; empty if they cannot be read."""
    instances: int = 1
    """How many requests it processes at once; for an ensemble, those of its narrowest step."""
