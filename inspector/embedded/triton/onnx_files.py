"""Reads and runs ONNX files in the embedded server's environment, which has onnxruntime."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.errors import ConfigurationError
from inspector.embedded.triton.environment import EmbeddedEnvironment

_PROGRAM = Path(__file__).with_name("onnx_runs.py")
_NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}
_TYPES = {
    "tensor(uint8)": "UINT8",
    "tensor(int8)": "INT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "STRING",
}

Answer = Mapping[str, NDArray[Any]]
"""The outputs of one request, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphTensor:
    """An input or output of a graph, with its first dimension; -1 where any length fits."""

    name: str
    dtype: str
    """As Triton names it, or as onnxruntime does where Triton has none."""
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """The description inside an ONNX file."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    metadata: Mapping[str, str]
    producer: str


async def read_graph(environment: EmbeddedEnvironment, file: Path) -> GraphFacts:
    """The description in the file.

    Raises:
        ConfigurationError: it is no ONNX file, or one that onnxruntime cannot load.

    """
    told = json.loads(await _run(environment, "facts", file))

    def tensors(kind: str) -> tuple[GraphTensor, ...]:
        return tuple(
            GraphTensor(
                name=one["name"],
                dtype=_TYPES.get(one["type"], one["type"]),
                shape=tuple(one["shape"]),
            )
            for one in told[kind]
        )

    return GraphFacts(
        inputs=tensors("inputs"),
        outputs=tensors("outputs"),
        metadata=told["metadata"],
        producer=told["producer"],
    )


async def run_graph(
    environment: EmbeddedEnvironment, file: Path, requests: Sequence[NDArray[Any]]
) -> tuple[list[Answer], list[float]]:
    """What the graph answers to each request, on one thread, and the seconds that each took.

    Raises:
        ConfigurationError: it cannot be run so; carries onnxruntime's own words.

    """
    with tempfile.TemporaryDirectory(prefix="inspector-model-") as folder:
        asked, answered = Path(folder) / "asked.npz", Path(folder) / "answered.npz"
        await asyncio.to_thread(_write, asked, requests)
        await _run(environment, "run", file, asked, answered)
        return await asyncio.to_thread(_read, answered, len(requests))


async def require_same_answers(environment: EmbeddedEnvironment, one: Path, steps: Path) -> None:
    """Return if one graph answers, bit for bit, what the steps listed in a JSON file answer.

    Raises:
        ConfigurationError: it does not, or one of them cannot be run.

    """
    await _run(environment, "same", one, steps)


def _write(path: Path, requests: Sequence[NDArray[Any]]) -> None:
    np.savez(path, **{str(number): array for number, array in enumerate(requests)})  # type: ignore[arg-type]


def _read(path: Path, requests: int) -> tuple[list[Answer], list[float]]:
    answers: list[dict[str, NDArray[Any]]] = [{} for _ in range(requests)]
    with np.load(path) as arrays:
        seconds = arrays["seconds"].tolist()
        for key in arrays.files:
            number, slash, name = key.partition("/")
            if slash:
                answers[int(number)][name] = arrays[key]
    return list(answers), seconds


async def _run(environment: EmbeddedEnvironment, command: str, *files: Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(str(environment.python), "-I", str(_PROGRAM), command, *map(str, files)),
        env={**os.environ, **environment.variables, **_NO_TELEMETRY},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no message"]
        raise ConfigurationError(f"{files[0]}: {lines[-1]}")
    return output
