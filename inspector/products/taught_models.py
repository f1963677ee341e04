"""The folder of the models that were taught, in the layout of a Triton model repository.

    models/
      anomaly-controller-3-1f2e3d4c/     product, reference, the beginning of the file's hash
        config.pbtxt
        1/model.onnx

The content is a copy: the model itself is stored with its reference, and is put here when a recipe
needs it. The embedded server serves this folder beside its own.

Synchronous file I/O: never on the event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from inspector.core.errors import ConfigurationError
from inspector.core.product_names import stem_of
from inspector.core.recipes import ModelName
from inspector.products import durable

PREFIX = "anomaly-"
_HASH_CHARACTERS = 8
_CONFIG = """\
# A model of what good units of {product} look like, taught with reference {reference}.
# The service wrote it; docs/products.md says what it is.
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 8

# uint8, rows x columns x (blue, green, red): the unit as it lies on its reference
input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ {height_px}, {width_px}, 3 ] }} ]
output [
  {{ name: "pred_score" data_type: TYPE_FP32 dims: [ 1 ] }},
  {{ name: "anomaly_map" data_type: TYPE_FP32 dims: [ 1, {map_rows}, {map_columns} ] }},
  {{ name: "pred_mask" data_type: TYPE_BOOL dims: [ 1, {map_rows}, {map_columns} ] }}
]

instance_group [ {{ count: 1 }} ]
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "2" }} }}
parameters {{ key: "inter_op_thread_count" value: {{ string_value: "1" }} }}

# Told to clients; Triton itself does not read them.
parameters {{ key: "channels" value: {{ string_value: "unit" }} }}
parameters {{ key: "classes" value: {{ string_value: "anomaly" }} }}

model_warmup [
  {{
    name: "one unit"
    batch_size: 1
    inputs {{ key: "image" value: {{ data_type: TYPE_UINT8 dims: [ {height_px}, {width_px}, 3 ] zero_data: true }} }}
  }}
]
"""  # noqa: E501 - as Triton's own documentation writes it


class TaughtModels:
    """Puts models where a server finds them."""

    def __init__(self, directory: Path, *, is_served: bool) -> None:
        """`is_served`: the station's server has this folder as a repository."""
        self.directory = directory
        self.is_served = is_served

    def name_of(self, product: str, number: int, graph_sha256: str) -> ModelName:
        """The name of the model: another file gets another name, also on a running server."""
        told = f"{PREFIX}{stem_of(product)}-{number}-{graph_sha256[:_HASH_CHARACTERS]}"
        return ModelName(name=told, version="1", file_sha256=graph_sha256)

    def installed(self, product: str, number: int, graph: bytes) -> ModelName:
        """Put a model there.

        Raises:
            ConfigurationError: the folder cannot be written to.

        """
        model = self.name_of(product, number, hashlib.sha256(graph).hexdigest())
        folder = self.directory / model.name
        try:
            if not (folder / "1/model.onnx").is_file():
                from inspector.products.memory_graph import sizes_of  # noqa: PLC0415 - onnx loads slowly

                sizes = sizes_of(graph)
                config = _CONFIG.format(
                    product=product,
                    reference=f"{product}/{number}",
                    name=model.name,
                    width_px=sizes.width_px,
                    height_px=sizes.height_px,
                    map_rows=sizes.map_rows,
                    map_columns=sizes.map_columns,
                )
                if folder.exists():
                    durable.remove(folder)
                durable.write_folder(
                    folder, {"config.pbtxt": config.encode(), "1/model.onnx": graph}
                )
        except OSError as error:
            raise ConfigurationError(
                f"{folder}: the model of {product} cannot be written: {error.strerror}"
            ) from error
        return model

    def others_than(self, known: Collection[ModelName]) -> list[ModelName]:
        """The taught models in the folder besides these."""
        names = {model.name for model in known}
        return [
            ModelName(name=folder.name)
            for folder in sorted(self.directory.glob(f"{PREFIX}*"))
            if folder.name not in names
        ]

    def remove(self, models: Iterable[ModelName]) -> None:
        """Remove models whose references are gone; a server keeps what it has loaded.

        Others stay: several stations may put their models into one folder.

        Raises:
            ConfigurationError: the folder cannot be written to.

        """
        for model in models:
            folder = self.directory / model.name
            try:
                if folder.exists():
                    durable.remove(folder)
            except OSError as error:
                raise ConfigurationError(
                    f"{folder}: a forgotten model cannot be removed: {error.strerror}"
                ) from error
