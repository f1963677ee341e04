"""Opens ONNX files with the embedded server's own onnxruntime, in its environment.

The application has no onnxruntime: that environment does, so this file is run there, as a program
(`onnx_files` beside it calls it). Nothing of this project can be imported here.

    python onnx_runs.py facts MODEL.onnx        what the file says of itself, as JSON
    python onnx_runs.py run MODEL.onnx IN OUT   IN: arrays `0`, `1`, ... of an .npz file, each one
                                                request; OUT: `0/<output>`, ... and the seconds
    python onnx_runs.py same ONE.onnx STEPS.json    fails unless one graph answers, bit for bit,
                                                what the steps answer one after another
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

_FREE_LENGTH = 64
"""Of a dimension that takes any length and is not the batch."""
_BLOCK = 16
_DTYPES = {
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


def _session(file: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        file, sess_options=options, providers=["CPUExecutionProvider"]
    )


def _facts(file: str) -> dict[str, Any]:
    session = _session(file)

    def listed(tensors: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": tensor.name,
                "type": tensor.type,
                "shape": [size if isinstance(size, int) else -1 for size in tensor.shape],
            }
            for tensor in tensors
        ]

    about = session.get_modelmeta()
    return {
        "inputs": listed(session.get_inputs()),
        "outputs": listed(session.get_outputs()),
        "metadata": dict(about.custom_metadata_map),
        "producer": about.producer_name,
    }


def _run(file: str, requests: str, answers: str) -> None:
    session = _session(file)
    (picture,) = session.get_inputs()
    names = [tensor.name for tensor in session.get_outputs()]
    found: dict[str, Any] = {}
    seconds = []
    with np.load(requests) as arrays:
        for number in range(len(arrays.files)):
            began_s = time.perf_counter()
            outputs = session.run(names, {picture.name: arrays[str(number)]})
            seconds.append(time.perf_counter() - began_s)
            found |= {f"{number}/{name}": array for name, array in zip(names, outputs, strict=True)}
    np.savez(answers, seconds=np.array(seconds), **found)


def _same(one: str, described: str) -> None:
    """Compare on noise, on blocks of it and on zeros, alone and in a batch of two.

    Raises:
        ValueError: they differ; says in what.

    """
    told = json.loads(Path(described).read_text(encoding="utf-8"))
    parts = [_session(step["file"]) for step in told["steps"]]
    whole, shown = _session(one), _session(told["shown"])
    names = [tensor.name for tensor in whole.get_outputs()]
    random = np.random.default_rng(1)
    for batch, kind in ((1, "noise"), (2, "blocks"), (1, "zeros")):
        asked = {t.name: _made(t, batch, kind, random) for t in whole.get_inputs()}
        tensors = dict(asked)
        for step, session in zip(told["steps"], parts, strict=True):
            given = {own: tensors[common] for own, common in step["inputs"].items()}
            answers = session.run(list(step["outputs"]), given)
            tensors |= dict(zip(step["outputs"].values(), answers, strict=True))
        for session, wanted in ((whole, {n: n for n in names}), (shown, told["between"])):
            for name, found in zip(wanted, session.run(list(wanted), asked), strict=True):
                _require_same(f"{wanted[name]} on {kind}", found, tensors[wanted[name]])


def _require_same(what: str, found: Any, wanted: Any) -> None:
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        raise ValueError(f"{what} has another type or shape")
    if found.tobytes() != wanted.tobytes():
        raise ValueError(f"{what} differs")


def _made(tensor: Any, batch: int, kind: str, random: Any) -> Any:
    shape = [
        size if isinstance(size, int) else batch if not axis else _FREE_LENGTH
        for axis, size in enumerate(tensor.shape)
    ]
    dtype = _DTYPES[tensor.type]
    if kind == "zeros":
        return np.zeros(shape, dtype)
    made = random.random(shape)
    if kind == "blocks":
        for axis, size in enumerate(shape):
            made = np.take(made, np.arange(size) // _BLOCK * _BLOCK, axis=axis)
    return (made * (255 if np.issubdtype(dtype, np.integer) else 1)).astype(dtype)


def main() -> None:
    """Run one command; a failure is one line on standard error."""
    command, *arguments = sys.argv[1:]
    try:
        if command == "facts":
            sys.stdout.write(json.dumps(_facts(*arguments)))
        elif command == "same":
            _same(*arguments)
        else:
            _run(*arguments)
    except Exception as failed:  # noqa: BLE001 - onnxruntime has no common base class
        sys.exit(" ".join(str(failed).split()) or type(failed).__name__)


if __name__ == "__main__":
    main()
