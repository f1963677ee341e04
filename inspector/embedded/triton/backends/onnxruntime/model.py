"""Serves ONNX models in a Triton that lacks the C++ ONNX Runtime backend.

Triton calls this a Python-based backend: the embedded server finds this file as
`<backend directory>/onnxruntime/model.py` and runs one copy of it per model instance, for every
model whose configuration says `platform: "onnxruntime_onnx"` or `backend: "onnxruntime"`. So one
model repository serves here and, unchanged, in NVIDIA's container with its C++ backend.

It runs in the server's own environment, where only numpy and onnxruntime exist: nothing of this
project can be imported here. With numpy 2, strings are refused (see python/numpy_2_tensors.py).

Read from config.pbtxt, as by the C++ backend: `input`, `output`, `max_batch_size`,
`default_model_filename`, and the parameters `intra_op_thread_count` and `inter_op_thread_count`.
CPU only.
"""  # noqa: INP001 - Triton finds this folder by its name, Python never imports it

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

Tensors = dict[str, "np.ndarray[Any, Any]"]
"""By tensor name; with max_batch_size above 0, axis 0 is the batch."""

ONNX_TYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
    "TYPE_STRING": "tensor(string)",
}


DEFAULT_MAX_BATCH_SIZE = 4
"""Triton's default for a model that takes batches and whose configuration has no size."""


class TritonPythonModel:
    """One instance of one model; Triton calls each method on one thread."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Complete config.pbtxt from the model file, as the C++ backend does.

        Listed tensors stay as they are. A model with no fixed first dimension takes batches, up to
        DEFAULT_MAX_BATCH_SIZE unless the configuration names a number.
        """
        told = config.as_dict()
        if told["input"] and told["output"]:
            return config
        file = _file_asked_about()
        if not file.is_file():
            return config  # loading it will report that
        session = onnxruntime.InferenceSession(
            str(file), sess_options=_threads(told), providers=["CPUExecutionProvider"]
        )
        listed = [("input", session.get_inputs()), ("output", session.get_outputs())]
        tensors = [tensor for _, some in listed for tensor in some]
        free = all(t.shape and not isinstance(t.shape[0], int) for t in tensors)
        batches = told["max_batch_size"] > 0 or free
        if batches and not told["max_batch_size"]:
            config.set_max_batch_size(DEFAULT_MAX_BATCH_SIZE)
            config.set_dynamic_batching()
        for kind, some in listed:
            if told[kind]:
                continue
            for tensor in some:
                dims = [n if isinstance(n, int) else -1 for n in tensor.shape][batches:]
                described = {"name": tensor.name, "data_type": _triton_type(tensor), "dims": dims}
                (config.add_input if kind == "input" else config.add_output)(described)
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model file, and refuse one that does not fit its config.pbtxt.

        Raises:
            TritonModelException: the file is missing or broken, or a tensor's name, type or shape
                differs.

        """
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        if not config["input"]:
            raise pb_utils.TritonModelException(
                f"{self._name}: there is no config.pbtxt that names its input, and the server was "
                "started without completing configurations: start it again"
            )
        self._refuse_strings([*config["input"], *config["output"]])
        self._batched = config["max_batch_size"] > 0
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        file_name = config.get("default_model_filename") or "model.onnx"
        file = Path(args["model_repository"]) / args["model_version"] / file_name
        self._session = self._load(file, _threads(config))
        self._match("input", config["input"], self._session.get_inputs())
        self._match("output", config["output"], self._session.get_outputs())

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer what Triton batched, in one run where the shapes allow it.

        If the common run fails, each request is run alone, so that only the culprit gets an error.
        """
        feeds = [self._feed(request) for request in requests]
        if len(feeds) > 1 and self._batched and len({_shape_key(feed) for feed in feeds}) == 1:
            try:
                return self._run_together(feeds)
            except Exception as failed:  # noqa: BLE001 - onnxruntime has no common base class
                pb_utils.Logger.log_warn(
                    f"{self._name}: a batch of {len(feeds)} requests failed, trying each alone: "
                    f"{_one_line(failed)}"
                )
        return [self._run_alone(feed) for feed in feeds]

    def _refuse_strings(self, tensors: list[dict[str, Any]]) -> None:
        """Report at loading what would otherwise fail at every request."""
        strings = [tensor["name"] for tensor in tensors if tensor["data_type"] == "TYPE_STRING"]
        if strings and not np.__version__.startswith("1."):
            raise pb_utils.TritonModelException(
                f"{self._name}: '{strings[0]}' is TYPE_STRING, which the embedded Triton exchanges "
                "only on Python 3.11 or 3.12"
            )

    def _load(self, file: Path, options: Any) -> Any:
        if not file.is_file():
            raise pb_utils.TritonModelException(f"{self._name}: model file {file} does not exist")
        try:
            return onnxruntime.InferenceSession(
                str(file), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as failed:
            raise pb_utils.TritonModelException(
                f"{self._name}: {file} cannot be loaded: {_one_line(failed)}"
            ) from failed

    def _match(self, kind: str, configured: list[dict[str, Any]], in_file: list[Any]) -> None:
        """Compare names, types and shapes, as the C++ backend does."""
        types = {tensor.name: tensor.type for tensor in in_file}
        shapes = {tensor.name: list(tensor.shape)[self._batched :] for tensor in in_file}
        for tensor in configured:
            name, wanted = tensor["name"], ONNX_TYPES.get(tensor["data_type"])
            if name not in types:
                raise pb_utils.TritonModelException(
                    f"{self._name}: config.pbtxt names the {kind} '{name}', "
                    f"the model file has {', '.join(sorted(types))}"
                )
            if wanted != types[name]:
                raise pb_utils.TritonModelException(
                    f"{self._name}: {kind} '{name}' is {tensor['data_type']} in config.pbtxt, "
                    f"{types[name]} in the model file"
                )
            dims = _dims(tensor)
            if not _fits(dims, shapes[name]):
                raise pb_utils.TritonModelException(
                    f"{self._name}: {kind} '{name}' is {dims} in config.pbtxt, "
                    f"{[d if isinstance(d, int) else -1 for d in shapes[name]]} in the model file"
                )
        missing = sorted(set(types) - {tensor["name"] for tensor in configured})
        # An extra output costs nothing; a missing input fails every run.
        if kind == "input" and missing:
            raise pb_utils.TritonModelException(
                f"{self._name}: the model file needs the input '{missing[0]}', "
                "config.pbtxt does not name it"
            )

    def _feed(self, request: Any) -> Tensors:
        """Return the request's inputs: views of memory that Triton owns until execute() returns."""
        feed: Tensors = {}
        for name in self._inputs:
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            if tensor is None:
                continue  # optional in config.pbtxt; onnxruntime says so if the graph needs it
            array = tensor.as_numpy()
            # Triton's strings are bytes, onnxruntime's are str.
            feed[name] = _decoded(array) if array.dtype == np.object_ else array
        return feed

    def _run_together(self, feeds: list[Tensors]) -> list[Any]:
        rows = [len(next(iter(feed.values()))) for feed in feeds]
        together = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        outputs = self._session.run(self._outputs, together)
        for name, array in zip(self._outputs, outputs, strict=True):
            if len(array) != sum(rows):
                raise ValueError(f"output '{name}' has {len(array)} rows for {sum(rows)} inputs")
        ends = np.cumsum(rows)
        return [
            self._response([array[end - n : end] for array in outputs])
            for n, end in zip(rows, ends, strict=True)
        ]

    def _run_alone(self, feed: Tensors) -> Any:
        try:
            return self._response(self._session.run(self._outputs, feed))
        except Exception as failed:  # noqa: BLE001 - onnxruntime has no common base class
            error = pb_utils.TritonError(f"{self._name}: {_one_line(failed)}")
            return pb_utils.InferenceResponse(error=error)

    def _response(self, outputs: Sequence[Any]) -> Any:
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, _encoded(array) if array.dtype == np.object_ else array)
                for name, array in zip(self._outputs, outputs, strict=True)
            ]
        )


def _file_asked_about() -> Path:
    """The model's file: it is not in Triton's configuration, but among this process's arguments."""
    _program, file, *_ = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    return Path(file.decode())


def _triton_type(tensor: Any) -> str:
    for name, in_file in ONNX_TYPES.items():
        if in_file == tensor.type:
            return name
    raise pb_utils.TritonModelException(f"'{tensor.name}' is {tensor.type}, which Triton knows not")


def _threads(config: dict[str, Any]) -> Any:
    """Session options from the parameters that the C++ backend knows by the same names."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = (
        4  # its errors reach us as exceptions; the other messages are about graphs
    )
    # Waiting threads sleep instead of spinning: the cameras and this server share the cores.
    # Measured with two threads and one of two cores busy: 41 ms per frame instead of 68.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, attribute in (
        ("intra_op_thread_count", "intra_op_num_threads"),
        ("inter_op_thread_count", "inter_op_num_threads"),
    ):
        text = config.get("parameters", {}).get(key, {}).get("string_value", "0")
        if not text.isdecimal():
            raise pb_utils.TritonModelException(
                f"{config['name']}: parameter {key} is {text!r}, expected a number, 0 for all cores"
            )
        setattr(options, attribute, int(text))
    return options


def _dims(tensor: dict[str, Any]) -> list[int]:
    """The configured shape as the model sees it, without the batch; -1 is any length."""
    seen = tensor.get("reshape", {}).get("shape", tensor["dims"])
    return [int(length) for length in seen]


def _fits(dims: list[int], shape: list[int | str | None]) -> bool:
    """A length that is free on either side matches any."""
    return len(dims) == len(shape) and all(
        length == -1 or not isinstance(found, int) or length == found
        for length, found in zip(dims, shape, strict=True)
    )


def _shape_key(feed: Tensors) -> tuple[Any, ...]:
    """Equal for requests whose tensors can be joined along the batch axis."""
    return tuple((name, array.shape[1:]) for name, array in feed.items())


def _decoded(array: Any) -> Any:
    return np.array([text.decode() for text in array.flat], np.object_).reshape(array.shape)


def _encoded(array: Any) -> Any:
    return np.array([text.encode() for text in array.flat], np.object_).reshape(array.shape)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
