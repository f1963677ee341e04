"""Models as they are taught, of made-up features: for tests of where they go."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from inspector.products.memory import remember
from inspector.products.memory_graph import taught_graph as graph_of

NETWORK = Path(__file__).parents[2] / "model_repository/unit_features/1/model.onnx"


@lru_cache(maxsize=2)
def taught_graph(seed: int = 1) -> bytes:
    """The same for the same number."""
    rng = np.random.default_rng(seed)
    units = [rng.normal(0, 1, (1, 128, 80, 80)).astype(np.float16) for _ in range(3)]
    return graph_of(NETWORK.read_bytes(), remember(units, np.ones((80, 80), np.bool_)))
