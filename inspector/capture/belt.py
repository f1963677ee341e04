"""Knows how the empty belt looks, and so where something lies on it: pure arithmetic.

It works on a small picture of cells: float32 (3, rows, columns), BGR planes, with the travel
along the columns. Nothing is assumed of the belt but that it looks alike along the travel, and
that its columns are plainer than those that cross a unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inspector.capture.cells import Cells, Mask, shaded, shrunk, unevenness

_BLACK = 8.0
"""Grey levels: a picture darker than this on average says nothing."""
_DARK, _GLARE = 0.6, 1.7
"""Light, as a share of what it was, beyond which a picture says nothing."""
_JUMP = 0.25
_LIGHT_MEMORY_LESSONS = 150
"""So slowly the light of now becomes the usual light."""
_LEARNING, _LEARNING_EVERY = 0.1, 4
_STEP_FLOOR, _STEP_CEILING = 5.0, 40.0
"""Grey levels that make a cell something else than belt: bounds of what is learned."""
_MARGIN_COLUMNS, _SHADOW_COLUMNS = 3, 8
"""Beside a unit: shadows and reflections, not to be learned; more of them where that is final."""
_AGREEING = 0.1
_ALIKE = 16.0
"""Grey levels between columns of belt, at the start: the lens darkens corners."""
_PATIENCE_FRAMES = 300
"""Light that stays so changed so long is the new light; a view without any belt, a new belt."""
_ENOUGH = 0.01
"""Share of the cells by which the light can be told."""


@dataclass(slots=True, eq=False)
class _Model:
    cells: Cells
    """The belt in usual light."""
    known: Mask
    """Columns that were seen empty; the others are copied from the nearest that was."""
    noise: float
    """How far nine of ten cells of belt stay within."""
    free: Mask
    """(rows, columns): cells seen empty last time, and not beside a unit, where shadows are."""
    gain: Cells
    """(3,): light of last time, as a share of the usual."""


class Belt:
    """The learned belt of one camera; one thread."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = rows, columns
        self._spots = max(1, round(rows * 0.03))
        """So many cells of a column may differ and it is still empty: dirt, noise."""
        self._model: _Model | None = None
        self._previous: Cells | None = None
        """(3, columns): the last lit picture, each column's mean."""
        self._frames = self._dark_frames = self._crowded_frames = 0
        self._dark_level = 0.0

    @property
    def _is_lost(self) -> bool:
        """For so long nothing looked like the belt that it must be another."""
        return self._dark_frames > _PATIENCE_FRAMES or self._crowded_frames > 3 * _PATIENCE_FRAMES

    @property
    def step(self) -> float:
        """Grey levels from which on a cell is not belt."""
        if self._model is None:
            return _STEP_CEILING
        return float(np.clip(3 * self._model.noise, _STEP_FLOOR, _STEP_CEILING))

    @property
    def cells(self) -> Cells:
        """(3, rows, columns): how the empty belt would look in the light of now."""
        if self._model is None:
            return np.zeros((3, self._rows, self._columns), np.float32)
        return self._model.cells * self._model.gain[:, None, None]

    def row(self, index: int) -> Cells:
        """(3, columns): one row of `cells`."""
        if self._model is None:
            return np.zeros((3, self._columns), np.float32)
        return self._model.cells[:, index] * self._model.gain[:, None]

    def look(self, cells: Cells) -> Mask | None:
        """(rows, columns): where something lies. None: the picture says nothing (no light)."""
        means: Cells = cells[:, ::3].mean(axis=1)
        if self._model is None or self._is_lost:
            self._begin(cells)
            if self._model is None:
                return None
            means_before = means
        else:
            means_before = means if self._previous is None else self._previous
        model = self._model
        was_dark = self._dark_frames > 0
        gain = self._light(model, cells, (means, means_before))
        if not self._is_lit(model, cells, means, gain):
            return None
        if was_dark:  # what was free before need not be: by what looks like belt, or as it was
            gain = self._light(model, cells, (means, means))
        model.gain = gain
        self._previous = means
        differs = self._differs(model, cells, model.gain)
        # A column never seen empty is compared with a copy of another: less strictly.
        mask: Mask = differs > np.where(model.known, self.step, 2 * self.step)
        free = ~mask
        model.free = shrunk(shrunk(free, 1).T, _MARGIN_COLUMNS).T
        self._crowded_frames = 0 if _is_seen(free) else self._crowded_frames + 1
        self._learn(model, cells, differs, free)
        return mask

    def unshaded(self, cells: Cells) -> Mask:
        """(rows, columns): what is not belt even if a shadow may lie on it."""
        belt = self.cells
        differs = np.abs(cells - shaded(cells, belt))
        return np.asarray(np.maximum(np.maximum(*differs[:2]), differs[2]) > self.step, np.bool_)

    def _light(self, model: _Model, cells: Cells, means: tuple[Cells, Cells]) -> Cells:
        """The light of now: by the cells that were empty, and by all against the last picture.

        A unit that rushes into the last empty cells spoils one, a long gap between frames the
        other: the less startling of the two is right.
        """
        by_all = model.gain * np.median((means[0] + 1) / (means[1] + 1), axis=1)
        sample = np.s_[:, ::3, ::4]
        free = model.free[sample[1:]]
        if not _is_seen(free):
            # What moves through the view would add up to a drift: only a jump is the light.
            jumps = float(np.abs(np.log(by_all / model.gain)).max()) > _JUMP
            return np.asarray(by_all if jumps else model.gain, np.float32)
        ratio = cells[sample][:, free] / np.maximum(model.cells[sample][:, free], 1)
        by_belt = np.median(ratio, axis=1)
        startling = [
            float(np.abs(np.log(np.maximum(light, 1e-3) / model.gain)).max())
            for light in (by_belt, by_all)
        ]
        calm = by_belt if startling[0] <= startling[1] + _AGREEING else by_all
        return np.asarray(calm, np.float32)

    def _is_lit(self, model: _Model, cells: Cells, means: Cells, gain: Cells) -> bool:
        level = float(means.mean())
        usual = _DARK <= float(gain.mean()) <= _GLARE and level >= _BLACK / 2
        if self._dark_frames == 0:
            if usual:
                return True
            self._dark_frames, self._dark_level = 1, level
            return False
        if self._comes_back(model, cells, level):
            self._dark_frames = 0
            return True
        self._dark_frames += level >= _BLACK  # who waits in a black picture waits for light
        self._dark_level += (level - self._dark_level) / 4
        return False

    def _comes_back(self, model: _Model, cells: Cells, level: float) -> bool:
        """Whether belt is seen again as it was, or the picture is as bright as it was."""
        differs = self._differs(model, cells, model.gain)
        alike = np.count_nonzero(differs > 2 * self.step, axis=0) <= 2 * self._spots
        if np.count_nonzero(alike) >= max(3, self._columns // 32):
            model.free = np.broadcast_to(alike, (self._rows, self._columns))
            return True
        last = self._previous
        bright = last is not None and level >= _DARK * float(last.mean())
        model.free = np.zeros_like(model.free)
        return bright and level > 1.5 * self._dark_level

    def _differs(self, model: _Model, cells: Cells, gain: Cells) -> Cells:
        """(rows, columns): the largest difference of the three colours, in usual light."""
        worst = np.zeros((self._rows, self._columns), np.float32)
        for plane in range(3):
            difference = cells[plane] * np.float32(1 / max(gain[plane], 1e-3))
            difference -= model.cells[plane]
            np.maximum(worst, np.abs(difference, out=difference), out=worst)
        return worst

    def _learn(self, model: _Model, cells: Cells, differs: Cells, free: Mask) -> None:
        """The empty columns teach how the belt looks now; every few frames once all are known."""
        self._frames += 1
        if model.known.all() and self._frames % _LEARNING_EVERY:
            return
        model.cells *= (model.gain ** np.float32(1 / _LIGHT_MEMORY_LESSONS))[:, None, None]
        model.gain = np.asarray(model.gain ** np.float32(1 - 1 / _LIGHT_MEMORY_LESSONS), np.float32)
        columns = np.count_nonzero(free, axis=0) >= self._rows - self._spots
        empty = shrunk(columns, _MARGIN_COLUMNS)
        if not empty.any():
            return
        sample = differs[:: max(1, self._rows // 16), empty]
        noise = float(
            np.partition(sample, int(sample.size * 0.9), axis=None)[int(sample.size * 0.9)]
        )
        model.noise += (noise - model.noise) * _LEARNING
        scaled = cells[:, :, empty] / model.gain[:, None, None]
        if model.known.all():
            model.cells[:, :, empty] += (scaled - model.cells[:, :, empty]) * np.float32(_LEARNING)
            return
        model.cells[:, :, empty] = scaled
        model.known |= empty
        self._spread(model, cells)

    def _begin(self, cells: Cells) -> None:
        """Take the plainest columns for belt."""
        self._model, self._dark_frames, self._crowded_frames = None, 0, 0
        if float(cells.mean()) < _BLACK:
            return
        uneven = unevenness(cells)
        rank = self._columns // 50
        base = float(np.partition(uneven, rank)[rank])
        plain: Mask = uneven <= 1.4 * base + 0.6
        row = np.median(cells[:, :, plain], axis=2)
        off = np.abs(cells - row[:, :, None]).max(axis=0).mean(axis=0)
        plain &= off <= max(_ALIKE, float(np.median(off[plain])) * 2)
        inner = shrunk(plain, _MARGIN_COLUMNS)
        plain = inner if inner.any() else plain
        row = np.median(cells[:, :, plain], axis=2)
        model = _Model(
            cells=np.repeat(row[:, :, None], self._columns, axis=2).astype(np.float32),
            known=plain,
            noise=1.0,
            free=np.broadcast_to(plain, (self._rows, self._columns)),
            gain=np.ones(3, np.float32),
        )
        model.cells[:, :, plain] = cells[:, :, plain]
        residue = np.abs(np.diff(cells[:, :, plain], axis=1)).max(axis=0)
        model.noise = float(np.percentile(residue, 90)) if residue.size else 1.0
        self._model = model
        self._spread(model, cells)

    def _spread(self, model: _Model, cells: Cells) -> None:
        """Columns never seen empty: belt if they go on smoothly from a neighbour; else a copy."""
        scaled = cells / model.gain[:, None, None]
        for columns in (range(1, self._columns), range(self._columns - 2, -1, -1)):
            fresh: list[int] = []
            like: Cells | None = None
            for column in columns:
                before = column - columns.step
                if model.known[column]:
                    _accept(model, scaled, fresh)
                    like, fresh = None, []
                elif model.known[before] or like is not None:
                    like = model.cells[:, :, before].copy() if like is None else like
                    here = scaled[:, :, column]
                    differs = np.abs(here - like).max(axis=0)
                    if np.count_nonzero(differs > self.step) > self._spots:
                        _accept(model, scaled, fresh[:-_SHADOW_COLUMNS])
                        like, fresh = None, []
                        continue
                    like += (here - like) * np.float32(0.3)
                    fresh.append(column)
            _accept(model, scaled, fresh)
        _copy_nearest(model)


def _accept(model: _Model, scaled: Cells, columns: list[int]) -> None:
    """These columns show belt."""
    model.cells[:, :, columns] = scaled[:, :, columns]
    model.known[columns] = True


def _is_seen(free: Mask) -> bool:
    """Enough empty cells to tell the light by."""
    return bool(np.count_nonzero(free) >= _ENOUGH * free.size)


def _copy_nearest(model: _Model) -> None:
    known = np.flatnonzero(model.known)
    unknown = np.flatnonzero(~model.known)
    if not known.size or not unknown.size:
        return
    after = np.clip(np.searchsorted(known, unknown), 0, known.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(known[before] - unknown) <= np.abs(known[after] - unknown)
    nearest = np.where(nearer, known[before], known[after])
    model.cells[:, :, unknown] = model.cells[:, :, nearest]
