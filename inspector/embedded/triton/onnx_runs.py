"""Opens ONNX files with the embedded server's own onnxruntime, in its environment.

The application has no onnxruntime: that environment does, so this file is run there, as a program
(`onnx_files` beside it calls it). Nothing of this project can be imported here.

    python onnx_runs.py facts MODEL.onnx        what the file says of itself, as JSON
    python onnx_runs.py run MODEL.onnx IN OUT   IN: arrays `0`, `1`, ... of an .npz file, each one
                                                request; OUT: `0/<output>`, ... and the seconds
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import onnxruntime


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


def main() -> None:
    """Run one command; a failure is one line on standard error."""
    command, *arguments = sys.argv[1:]
    try:
        if command == "facts":
            sys.stdout.write(json.dumps(_facts(*arguments)))
        else:
            _run(*arguments)
    except Exception as failed:  # noqa: BLE001 - onnxruntime has no common base class
        sys.exit(" ".join(str(failed).split()) or type(failed).__name__)


if __name__ == "__main__":
    main()
