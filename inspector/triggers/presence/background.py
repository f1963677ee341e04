"""Learns the look of the empty belt, and finds where something lies on it: pure arithmetic.

It works on a small picture of cells: float32 (3, rows, columns), BGR planes, with the travel along
the columns. It assumes only that the belt looks alike along the travel, and that its columns are
plainer than those that cross a unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inspector.triggers.presence.cells import Cells, Mask, shaded, shrunk, unevenness

_BLACK = 8.0
"""Grey levels: a picture darker than this on average says nothing."""
_DARK, _GLARE = 0.6, 1.7
"""Light, as a share of what it was, beyond which a picture says nothing."""
_JUMP = 0.25
_STEADY, _TINT = 0.1, 0.05
"""Light that changes by no more is followed by the belt alone; its colour is followed slowly."""
_LIGHT_MEMORY_LESSONS = 150
"""How slowly the present light becomes the usual light."""
_LEARNING, _LEARNING_EVERY, _FIRST_FRAMES = 0.1, 4, 30
_RESIDUE = 12.0
"""Grey levels that an encoder leaves behind of what passed; more is no noise."""
_STEP_FLOOR, _STEP_CEILING = 5.0, 40.0
"""Grey levels that make a cell something else than belt: bounds of what is learned."""
_MARGIN_COLUMNS, _SHADOW_COLUMNS = 3, 8
"""Beside a unit are shadows and reflections, which must not be learned; wider where that is
final."""
_RESTLESS, _RESTLESS_MEMORY = 0.2, 0.04
_JUMPY = 15.0
"""Grey levels, over three colours, by which a cell jumps from one picture to the next."""
_BAND_SAMPLE = 8
_GREY, _MOST_UNEVEN = 0.1, 0.35
"""Light, as a share: by how much it may differ between colours, and between rows."""
_EVEN, _ABRUPT = 0.012, 0.25
"""Light, as a share: less than this is even; more than this from row to row is no light."""
_ALIKE = 16.0
"""Grey levels between columns of belt, at the start: the lens darkens corners."""
_PATIENCE_FRAMES = 300
"""After this many frames, changed light is accepted as the new normal; without any belt, a new one
is learned."""
_ENOUGH = 0.01
"""Share of the cells that is enough to measure the light."""


@dataclass(slots=True, eq=False)
class _Model:
    cells: Cells
    """The belt in usual light."""
    known: Mask
    """Columns that were seen empty; the others are copied from the nearest such one."""
    noise: float
    """The deviation that nine of ten cells of belt do not exceed."""
    free: Mask
    """(rows, columns): cells seen empty last time, and not beside a unit, where shadows are."""
    gain: Cells
    """(3,): light of the last picture, as a share of the usual."""


class Belt:
    """The learned belt of one camera; one thread."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = rows, columns
        self._spots = max(1, round(rows * 0.03))
        """How many cells of an empty column may differ: dirt, noise."""
        self._busy: Mask = np.zeros((rows, columns), np.bool_)
        """Where something lies, or may lie: set by `learn`."""
        self._usual: Cells = np.zeros((3, rows, columns), np.float32)
        """The latest picture in usual light."""
        self.off: Cells = self._usual
        """(3, rows, columns): by how much it differs from the belt, signed."""
        self._differs_now: Cells = self.off[0]
        self._free: Mask = ~self._busy
        self._off_before: Cells | None = None
        self._busy_before = self._busy
        self._restless: Cells = np.zeros((rows, columns), np.float32)
        """The share of the latest pictures in which a cell jumped while nothing passed."""
        self.unsure: Mask = self._busy
        """Cells that change by themselves, as a clock's: nothing can be seen there."""
        self._bands: Cells | None = None
        """(rows,): light by row, as a share of the gain; None: alike."""
        self._rows_before: Cells | None = None
        self.band_wander = 0.0
        """By how much the light of rows changed since the picture before, on average."""
        self.band_share = 0.0
        """By how much a row is lighter or darker than the rows on average."""
        self._model: _Model | None = None
        self._previous: Cells | None = None
        """(3, columns): the last lit picture, each column's mean."""
        self._frames = self._dark_frames = self._crowded_frames = 0
        self._dark_level = 0.0

    @property
    def _is_lost(self) -> bool:
        """Whether nothing has looked like the belt for so long that it must be another belt."""
        return self._dark_frames > _PATIENCE_FRAMES or self._crowded_frames > 3 * _PATIENCE_FRAMES

    @property
    def step(self) -> float:
        """The grey levels above which a cell is not belt."""
        if self._model is None:
            return _STEP_CEILING
        return min(max(3 * self._model.noise, _STEP_FLOOR), _STEP_CEILING)

    @property
    def cells(self) -> Cells:
        """(3, rows, columns): how the empty belt would look in the light of now."""
        if self._model is None:
            return np.zeros((3, self._rows, self._columns), np.float32)
        cells = self._model.cells * self._model.gain[:, None, None]
        return cells if self._bands is None else cells * self._bands[:, None]

    def row(self, index: int) -> Cells:
        """(3, columns): one row of `cells`."""
        if self._model is None:
            return np.zeros((3, self._columns), np.float32)
        row = self._model.cells[:, index] * self._model.gain[:, None]
        return row if self._bands is None else row * self._bands[index]

    def observe(self, cells: Cells) -> Mask | None:
        """(rows, columns): where something lies. None: the picture shows nothing (no light)."""
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
        gain = self._light_by_rows(model, cells)
        if gain is None:
            gain = self._light(model, cells, (means, means_before))
        if not self._is_lit(model, cells, means, gain):
            return None
        if was_dark:  # formerly free columns may be taken now
            gain = self._light(model, cells, (means, means))
        model.gain = gain
        self._previous = means
        self._usual = cells / gain[:, None, None]
        if self._bands is not None:
            self._usual /= self._bands[:, None]
        return self._occupied(model)

    def _occupied(self, model: _Model) -> Mask:
        self.off = self._usual - model.cells
        self._differs_now = np.abs(self.off).max(axis=0)
        self.unsure = self._restless > _RESTLESS
        # A column never seen empty is compared with a copy of another: less strictly.
        step = np.where(model.known, self.step, 2 * self.step)
        mask: Mask = (self._differs_now > step) & ~self.unsure
        free = ~mask
        model.free = shrunk(shrunk(free, 1).T, _MARGIN_COLUMNS).T
        self._crowded_frames = 0 if _is_seen(free) else self._crowded_frames + 1
        self._free = free
        return mask

    def learn(self, occupied: Mask, in_place: Mask | None) -> None:
        """Learn from the last picture.

        `occupied`: where something lies, or may; `in_place`: things seen there belong to the view,
        such as dirt on the lens, and become part of the belt's look.
        """
        model = self._model
        if model is None:
            return
        self._busy = occupied
        if self._off_before is None or self._frames % 2:
            self._off_before, self._busy_before = self.off, occupied
        else:
            jumped = np.abs(self.off - self._off_before).sum(axis=0) > _JUMPY
            passed = occupied | self._busy_before
            change = np.where(passed, 0, jumped - self._restless)
            self._restless += change * np.float32(_RESTLESS_MEMORY)
        if in_place is not None:
            model.cells[:, in_place] = self._usual[:, in_place]
        self._learn(model)

    def _light_by_rows(self, model: _Model, cells: Cells) -> Cells | None:
        """The light, and how it differs from row to row: None if too little belt is seen.

        Lamps that flicker leave bands across the rows of a rolling shutter's picture. They are grey
        and soft, and extend along the whole row.
        """
        self._bands, self.band_share, self.band_wander = None, 0.0, 0.0
        sample = np.s_[:, :, ::_BAND_SAMPLE]
        inside = ~self._busy[sample[1:]]
        ratios = cells[sample] / np.maximum(model.cells[sample] * model.gain[:, None, None], 1)
        share = ratios.mean(axis=0)
        plain = inside & (np.abs(share - 1) < _MOST_UNEVEN)
        plain &= ratios.max(axis=0) - ratios.min(axis=0) < _GREY * share
        rows = _middles(share, plain, inside)
        if rows is None or np.abs(np.diff(rows)).max() > _ABRUPT:
            return None
        middle = max(float(np.median(rows)), 1e-3)
        self.band_share = float(np.abs(rows / middle - 1).max())
        even = np.asarray(rows / middle, np.float32)
        if self._rows_before is not None:
            self.band_wander = float(np.abs(even - self._rows_before).mean())
        self._rows_before = even
        if self.band_share >= _EVEN:
            self._bands = even
        if self._frames % _LEARNING_EVERY:
            return np.asarray(model.gain * middle, np.float32)
        tints = np.array([np.median(plane[plain] / share[plain]) for plane in ratios])
        return np.asarray(model.gain * middle * tints ** (_TINT * _LEARNING_EVERY), np.float32)

    def unshaded(self, cells: Cells) -> Mask:
        """(rows, columns): cells that are not belt even in a shadow."""
        belt = self.cells
        differs = np.abs(cells - shaded(cells, belt))
        return np.asarray(np.maximum(np.maximum(*differs[:2]), differs[2]) > self.step, np.bool_)

    def _light(self, model: _Model, cells: Cells, means: tuple[Cells, Cells]) -> Cells:
        """The light now: unchanged if belt is still seen in it.

        Otherwise by the cells that were empty, or by all against the last picture: a unit that
        enters the last empty cells spoils the first, a long gap between frames the second. The
        light in which most cells show belt is right.
        """
        change = np.asarray(np.median((means[0] + 1) / (means[1] + 1), axis=1), np.float32)
        by_all: Cells = np.asarray(model.gain * change, np.float32)
        sample = np.s_[:, ::3, ::4]
        free = model.free[sample[1:]]
        sees_belt = _is_seen(free)
        ratio = np.asarray(cells[sample] / np.maximum(model.cells[sample], 1), np.float32)
        jump = float(np.abs(np.log(np.maximum(by_all, 1e-3) / model.gain)).max())
        near = _near(ratio, model.gain) & free
        if jump < _STEADY and _is_seen(near):
            return _followed(model.gain, ratio[:, near])
        if not sees_belt:
            # Things that move through the view would add up to a drift: only a jump is the light.
            return by_all if jump > _JUMP else model.gain
        lights = [model.gain, np.asarray(np.median(ratio[:, free], axis=1), np.float32)]
        if jump > _STEADY:
            lights.append(by_all)
        support = [np.count_nonzero(_near(ratio, light)) for light in lights]
        stays = support[0] >= max(support) / 2
        best = model.gain if stays else lights[int(np.argmax(support))]
        near = _near(ratio, best)
        if stays:
            near &= free
        return _followed(best, ratio[:, near]) if _is_seen(near) else best

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
        self._dark_frames += level >= _BLACK  # in a black picture, wait for light
        self._dark_level += (level - self._dark_level) / 4
        return False

    def _comes_back(self, model: _Model, cells: Cells, level: float) -> bool:
        """Whether the belt is seen again unchanged, or the picture is as bright as before."""
        differs = self._differs(model, cells)
        alike = np.count_nonzero(differs > 2 * self.step, axis=0) <= 2 * self._spots
        if np.count_nonzero(alike) >= max(3, self._columns // 32):
            model.free = np.broadcast_to(alike, (self._rows, self._columns))
            return True
        last = self._previous
        bright = last is not None and level >= _DARK * float(last.mean())
        model.free = np.zeros_like(model.free)
        return bright and level > 1.5 * self._dark_level

    def _differs(self, model: _Model, cells: Cells) -> Cells:
        """(rows, columns): the largest difference of the three colours, in usual light."""
        worst = np.zeros((self._rows, self._columns), np.float32)
        for plane in range(3):
            difference = cells[plane] * np.float32(1 / max(model.gain[plane], 1e-3))
            difference -= model.cells[plane]
            np.maximum(worst, np.abs(difference, out=difference), out=worst)
        return worst

    def _learn(self, model: _Model) -> None:
        """Learn the belt's look from the empty columns; every few frames once all are known."""
        self._frames += 1
        is_lesson = self._frames % _LEARNING_EVERY == 0
        if model.known.all() and not is_lesson:
            return
        model.cells *= (model.gain ** np.float32(1 / _LIGHT_MEMORY_LESSONS))[:, None, None]
        model.gain = np.asarray(model.gain ** np.float32(1 - 1 / _LIGHT_MEMORY_LESSONS), np.float32)
        if self._frames > _FIRST_FRAMES and not is_lesson:
            return
        columns = np.count_nonzero(self._free, axis=0) >= self._rows - self._spots
        empty = shrunk(columns, _MARGIN_COLUMNS)
        if not empty.any():
            return
        sample = self._differs_now[::3, ::4][~self._busy[::3, ::4]]
        sample = sample[sample < _RESIDUE]
        if sample.size:
            ninth = int(sample.size * 0.9)
            noise = float(np.partition(sample, ninth)[ninth])
            model.noise += (noise - model.noise) * _LEARNING
        usual = self._usual[:, :, empty]
        if self._bands is not None:  # permanent unevenness is the belt's look, and not light
            usual = usual * (self._bands ** np.float32(_LEARNING))[:, None]
        if model.known.all():
            model.cells[:, :, empty] += (usual - model.cells[:, :, empty]) * np.float32(_LEARNING)
            return
        model.cells[:, :, empty] = usual
        model.known |= empty
        self._spread(model, self._usual)

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
        """Fill columns never seen empty: belt if smooth beside a neighbour; else a copy."""
        for columns in (range(1, self._columns), range(self._columns - 2, -1, -1)):
            fresh: list[int] = []
            like: Cells | None = None
            for column in columns:
                before = column - columns.step
                if model.known[column]:
                    _accept(model, cells, fresh)
                    like, fresh = None, []
                elif model.known[before] or like is not None:
                    like = model.cells[:, :, before].copy() if like is None else like
                    here = cells[:, :, column]
                    differs = np.abs(here - like).max(axis=0)
                    if np.count_nonzero(differs > self.step) > self._spots:
                        _accept(model, cells, fresh[:-_SHADOW_COLUMNS])
                        like, fresh = None, []
                        continue
                    like += (here - like) * np.float32(0.3)
                    fresh.append(column)
            _accept(model, cells, fresh)
        _copy_nearest(model)


def _accept(model: _Model, cells: Cells, columns: list[int]) -> None:
    """These columns show belt."""
    model.cells[:, :, columns] = cells[:, :, columns]
    model.known[columns] = True


def _middles(share: Cells, plain: Mask, inside: Mask) -> Cells | None:
    """(rows,): the median of each row's plain cells; None if there are too few."""
    counts = np.count_nonzero(plain, axis=1)
    enough = (counts >= 0.5 * np.count_nonzero(inside, axis=1)) & (counts >= 0.08 * share.shape[1])
    if np.count_nonzero(enough) < 0.6 * len(enough):
        return None
    ordered = np.sort(np.where(plain, share, np.inf), axis=1)
    middles = ordered[np.arange(len(counts)), np.maximum(counts - 1, 0) // 2]
    places = np.arange(len(enough))
    return np.asarray(np.interp(places, places[enough], middles[enough]), np.float32)


def _near(ratio: Cells, light: Cells) -> Mask:
    """The cells that show belt in that light."""
    off = np.abs(ratio - light[:, None, None]) <= _STEADY * light[:, None, None]
    return np.asarray(off.all(axis=0), np.bool_)


def _followed(gain: Cells, ratio: Cells) -> Cells:
    """Lamps change for all colours at once; the colour of light changes slowly."""
    share = np.float32(np.median((ratio / np.maximum(gain, 1e-3)[:, None]).mean(axis=0)))
    tint = np.maximum(np.median(ratio, axis=1), 1e-3) / np.maximum(gain * share, 1e-3)
    return np.asarray(gain * share * tint ** np.float32(_TINT), np.float32)


def _is_seen(free: Mask) -> bool:
    """Enough empty cells to measure the light."""
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
