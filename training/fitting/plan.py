"""What a training is told, and what every process of it needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training.data.boards import Board
from training.drawing.recipe import Recipe
from training.model.network import Shape


@dataclass(frozen=True)
class TrainOptions:
    """How to train; see the README of this folder."""

    out: Path
    """Folder for checkpoint.pt and log.jsonl; made if needed."""
    minutes: float = 60.0
    """Time to train, pauses not counted. The learning rate ends at zero then."""
    resume: Path | None = None
    """checkpoint.pt or a model.onnx to go on from."""
    golden: bool = False
    """Show the network a defect-free reference beside the board."""
    seed: int = 1
    device: str = "auto"
    batch: int = 16
    """Samples per process and step."""
    learning_rate: float | None = None
    """The highest; None takes 0.002 from nothing, and half of it when going on."""
    weight_decay: float = 0.02
    processes: int = 0
    """Processes that train side by side; 0 takes one per core up to 8, and one on a GPU.
    Threads inside one process wait for each other dozens of times a step: on a machine that does
    other work as well, that made a step ten times slower."""
    workers: int = 0
    """Processes that make samples for a GPU, 0: one per core up to 16; on a CPU each training
    process makes its own."""
    validation_boards: int = 40
    """So many training boards are kept out of training, to see the progress on."""
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def highest_rate(self) -> float:
        """The learning rate after warming up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 2e-3 if self.resume is None else 1e-3

    @property
    def checkpoint(self) -> Path:
        """Where the best weights so far are kept."""
        return self.out / "checkpoint.pt"


@dataclass(frozen=True)
class Run:
    """What every process of a training needs to know."""

    shape: Shape
    options: TrainOptions
    device: str
    learning: tuple[Board, ...]
    watching: tuple[Board, ...]
    processes: int
    workers: int
    """Per training process; 0: it makes its samples itself."""
    cache_bytes: int
    """Of pictures, in each process that makes samples."""
    stretch: int
    """Part of the seed: another stretch of training must not see the same samples again."""
