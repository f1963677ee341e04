"""Endless batches of samples, made by this process or by helpers beside it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from training.drawing.samples import Sample, Sampler
from training.fitting.loss import Truth
from training.fitting.plan import Run
from training.model.truth import NOTHING


def batches(run: Run, rank: int, device: torch.device) -> Iterator[tuple[Tensor, Truth]]:
    """[N, 3, size, size] float32 0..1 and its truth, on the device, without end."""
    loader = DataLoader(
        _Stream(run, rank),
        batch_size=None,
        num_workers=run.workers,
        prefetch_factor=4 if run.workers else None,
        # A forked process inherits locks of threads torch has started, and waits for ever.
        multiprocessing_context="spawn" if run.workers else None,
    )
    for pictures, boxes, kinds in loader:
        moved = pictures.to(device).permute(0, 3, 1, 2).float() / 255
        yield moved, Truth(boxes.to(device), kinds.to(device))


class _Stream(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless batches as `collate` makes them."""

    def __init__(self, run: Run, rank: int) -> None:
        self._run, self._rank = run, rank

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        options = self._run.options
        seed = [options.seed, self._rank, worker.id if worker else 0, self._run.stretch]
        sampler = Sampler(
            self._run.learning, options.recipe, seed=seed, cache_bytes=self._run.cache_bytes
        )
        samples = iter(sampler)
        while True:
            yield collate([next(samples) for _ in range(options.batch)])


def collate(samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """[N, size, size, 3] uint8, boxes [N, M, 4] float32, classes [N, M] int64."""
    most = max(1, *(len(sample.classes) for sample in samples))
    boxes = torch.zeros(len(samples), most, 4)
    kinds = torch.full((len(samples), most), NOTHING)
    for index, sample in enumerate(samples):
        count = len(sample.classes)
        boxes[index, :count] = torch.from_numpy(sample.boxes)
        kinds[index, :count] = torch.from_numpy(sample.classes)
    pictures = torch.from_numpy(np.stack([sample.picture for sample in samples]))
    return pictures, boxes, kinds
