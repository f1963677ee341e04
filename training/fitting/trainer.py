"""One process of a training: steps, the running average of the weights, and what is kept of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from torch import Tensor, nn

from training.errors import TrainingError
from training.fitting.batches import batches
from training.fitting.loss import Truth, loss_of
from training.fitting.plan import Run
from training.fitting.validation import validate
from training.fitting.working_time import WorkingTime
from training.model import checkpoint
from training.model.network import Cells, Detector

_WARM_UP = 0.02
_LOWEST_RATE = 0.005
_AVERAGE_STEPS = 2000
_RESUMED_STEPS = 500
"""Loaded weights count in the average as if so many steps had led to them."""
_REPORT_S = 15.0
_SAVE_S = 240.0
_LARGEST_GRADIENT = 10.0
_SAME_SCORE = 0.004
"""Scores on a few dozen boards that differ by less are the same."""

Losses = tuple[float, float, float]


class Trainer:
    """One process of a training; the first one reports and saves."""

    def __init__(self, run: Run, rank: int) -> None:
        """Make the network, or load it; WrongInputError where it cannot be gone on from."""
        options = run.options
        self._options, self._run, self._rank = options, run, rank
        self._device = torch.device(run.device)
        self._network = Detector(run.shape)
        self._steps = 0
        self._best: float | None = None
        state = None
        if options.resume is not None:
            state = checkpoint.load(options.resume, self._network, golden=options.golden)
        self._network.to(self._device, memory_format=torch.channels_last)
        self._average = torch.optim.swa_utils.AveragedModel(
            self._network, avg_fn=self._mix, use_buffers=True
        )
        if state is not None:
            self._average.n_averaged.fill_(_RESUMED_STEPS)
        self._optimiser = torch.optim.AdamW(
            _groups(self._network, options.weight_decay), lr=options.highest_rate, fused=True
        )
        if state is not None and state.optimiser is not None:
            self._optimiser.load_state_dict(state.optimiser)
        self._before = state.history if state is not None else []

    def train(self) -> None:
        """Train until the time is used; a failure leaves the last checkpoint in place."""
        size = self._options.recipe.size_px
        cells = Cells.of(size, size, self._device)
        total_s = self._options.minutes * 60
        if self._run.processes > 1:
            torch.distributed.barrier()  # all have read what `_begin` may move away
        if self._rank == 0:
            self._begin()
        worked = WorkingTime()
        reported = saved = part = 0.0
        losses: list[Losses] = []
        self._network.train()
        for pictures, truth in batches(self._run, self._rank, self._device):
            self._set_rate(part)
            parts, part = self._step(pictures, truth, cells, worked.seconds / total_s)
            losses.append(parts)
            worked.count("step")
            done = part >= 1.0
            if self._rank == 0 and (done or worked.seconds - reported > _REPORT_S):
                reported = worked.seconds
                self._report(losses, worked.seconds, total_s)
                losses.clear()
            if self._rank == 0 and (done or worked.seconds - saved > _SAVE_S):
                self._save(worked.seconds, done=done)
                saved = worked.count("save")
            if done:
                return

    def _step(
        self, pictures: Tensor, truth: Truth, cells: Cells, part: float
    ) -> tuple[Losses, float]:
        """One step; the part of the time used that all processes agree on."""
        with torch.autocast(self._device.type, torch.bfloat16):
            raw = self._network(pictures)
        loss = loss_of(raw, truth, cells)
        losses = loss.objectness.item(), loss.box.item(), loss.kind.item()
        if not all(map(math.isfinite, losses)):
            raise TrainingError(
                f"{self._options.out}: the loss is not finite at step {self._steps + 1}, expected"
                " a number; a lower --learning-rate may help"
            )
        self._optimiser.zero_grad()
        loss.total.backward()
        if self._run.processes > 1:
            part = self._agree(part)
        nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        self._average.update_parameters(self._network)
        self._steps += 1
        return losses, part

    def _agree(self, part: float) -> float:
        """Every process gets the mean of all gradients, and the first one's clock."""
        gradients = [p.grad for p in self._network.parameters() if p.grad is not None]
        mine = torch.tensor([part if self._rank == 0 else 0.0])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), mine])
        torch.distributed.all_reduce(flat)
        flat[:-1] /= self._run.processes
        parts = flat[:-1].split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return float(flat[-1])

    def _mix(self, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return new
        steps = int(count)
        kept = min(1 - 1 / _AVERAGE_STEPS, (steps + 1) / (steps + 10))
        return average * kept + new * (1 - kept)

    def _set_rate(self, part: float) -> None:
        """Warm up always: moments of gradients are missing, or are those of a tiny rate's end."""
        warm = min(1.0, part / _WARM_UP)
        falling = max(0.5 * (1 + math.cos(math.pi * min(part, 1.0))), _LOWEST_RATE)
        for group in self._optimiser.param_groups:
            group["lr"] = self._options.highest_rate * max(warm * falling, _LOWEST_RATE)

    def _report(self, losses: list[Losses], used_s: float, total_s: float) -> None:
        objectness, box, kind = np.mean(losses, axis=0)
        typer.echo(
            f"step {self._steps}  objectness {objectness:.3f}  box {box:.3f}  class {kind:.3f}"
            f"  {used_s / self._steps:.2f} s/step"
            f"  {used_s / 60:.1f} min done, {max(0.0, total_s - used_s) / 60:.1f} left"
        )

    def _begin(self) -> None:
        """Make sure that nothing good is lost: what is there already, and what was loaded."""
        kept, resume = self._options.checkpoint, self._options.resume
        if kept.exists() and (resume is None or not kept.samefile(resume)):
            previous = kept.with_name("previous.pt")
            kept.replace(previous)
            typer.echo(f"{kept} of an earlier run is now {previous}")
        if resume is None:
            return
        self._best = self._score(self._judge())
        if not kept.exists():
            self._write(kept, self._before)

    def _judge(self) -> dict[str, float]:
        watching, golden = self._run.watching, self._options.golden
        seen = validate(self._average.module, watching, golden=golden) if watching else {}
        self._average.train()
        if seen:
            typer.echo("validation  " + "  ".join(f"{k} {v:.4f}" for k, v in seen.items()))
        return seen

    def _save(self, used_s: float, *, done: bool) -> None:
        """Keep the weights as checkpoint.pt, unless they are worse than what is there."""
        seen = self._judge()
        entry = {"seconds": round(used_s), "steps": self._steps, **seen}
        with (self._options.out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        score = self._score(seen)
        best = score if self._best is None else self._best
        is_worse = score < best - _SAME_SCORE
        target = self._options.out / "latest.pt" if is_worse else self._options.checkpoint
        self._write(target, [*self._before, entry])
        self._best = max(best, score)
        if done and is_worse:
            typer.echo(
                f"these weights score {score:.4f}, the best so far {best:.4f}: they are kept as"
                f" {target}, and {self._options.checkpoint} stays as it was"
            )

    def _write(self, path: Path, history: list[dict[str, Any]]) -> None:
        state = self._optimiser.state_dict()
        golden = self._options.golden
        checkpoint.save(path, self._average.module, state, golden=golden, history=history)

    @staticmethod
    def _score(seen: dict[str, float]) -> float:
        """One number to compare by; nothing is worse than another without boards to judge by."""
        scores = [value for name, value in seen.items() if name.endswith("_map")]
        return sum(scores) / len(scores) if scores else 0.0


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weights of convolutions decay; biases and normalisation do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
