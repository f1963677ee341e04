"""Tells a Triton model repository which classes a trained model in it has: shapes, and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.whole_files import write_whole

_CONFIG = "config.pbtxt"
_VALUES_BESIDE = 5
"""Of a candidate, beside a score for each class: its box and its objectness."""
_CANDIDATES = re.compile(r'(name: "output" data_type: TYPE_FP32 dims: \[ *\d+, *)\d+')
_NAMES = re.compile(r'(key: "classes" value: \{ string_value: ")[^"]*')

_BESIDE: Mapping[str, Sequence[str]] = {
    "pcb_detector": ("pcb_detector", "postprocessing", "pcb_inspection"),
    "pcb_golden_inspection": ("pcb_golden_inspection",),
    "pcb_detector_golden": ("pcb_detector_golden",),
}
"""By the name of the model that was trained: whose configurations state its classes."""


def tell_classes(model: Path, classes: Sequence[str]) -> list[Path]:
    """Write the classes of `REPOSITORY/NAME/VERSION/model.onnx` into the configurations beside it.

    Returns the files that changed; those of a file that lies anywhere else are none.

    Raises:
        TrainingError: a configuration cannot be written.

    """
    if len(model.resolve().parents) < 3:  # noqa: PLR2004 - repository, model, version
        return []
    named, repository = model.resolve().parents[1].name, model.resolve().parents[2]
    changed = []
    for name in _BESIDE.get(named, ()):
        path = repository / name / _CONFIG
        if path.is_file() and _rewrite(path, classes):
            changed.append(path)
    return changed


def _rewrite(path: Path, classes: Sequence[str]) -> bool:
    text = path.read_text(encoding="utf-8")
    values = str(_VALUES_BESIDE + len(classes))
    told = _CANDIDATES.sub(lambda found: found[1] + values, text)
    told = _NAMES.sub(lambda found: found[1] + ",".join(classes), told)
    if told == text:
        return False
    write_whole(path, told.encode())
    return True
