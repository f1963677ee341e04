"""Separates what came in over a border and goes with the belt from what changes in place: pure.

A belt moves everything on it by the same distance at once. A clock in the picture, a lamp mirrored
by the belt, dirt on the lens, a hand, artefacts of a frugal encoder: none of these comes in over a
border and moves with the belt. So things on the belt are remembered in the belt's coordinates: they
are accepted where they come in, moved by as much as the belt moved, and shown where they are still
seen. Things that were in view from the start are accepted once they were seen to move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inspector.triggers.presence.cells import Cells, Mask, grown, runs

_Plane = TypeVar("_Plane", Cells, Mask)

_BANDS = 6
"""Stretches across the travel whose sums are correlated along it."""
_PEAKS = 4
ALIKE = 12.0
"""Grey levels, summed over the colours, within which two cells show the same."""
_BASELINE_COLUMNS = 8
"""How far the belt moves at least between two pictures that are compared."""
_NEAR_COLUMNS = 2
"""How far something may be from its expected place, because of rounding."""
_NEW_SHARE = 0.15
"""The weight of a cell that came in over a border, or went out, relative to one that fits
nowhere."""
_EXPECTED, _STANDS = 0.9, 0.8
"""How much better the expected movement explains a picture; so does a belt that stands."""
_GOOD = 0.6
"""As a share of what a standing belt leaves unexplained: below it, no further distance is tried."""
_MATCHED = 0.05
"""The share of what a standing belt leaves unexplained that must be seen again after the
movement."""
_STILL = 0.03
"""As a share of what is seen: with less than this unexplained, the belt stands."""
_FITS = 0.5
"""As a share of what is seen: with more than this unexplained, the movement is unknown."""
_FIRST_MOVE = 0.45
"""Share of the view that things go at most from a picture to the next, at first."""
_GATE, _FASTER = 0.04, 1.6
"""Share of the view, and of the usual speed, by which a belt may jerk."""
_COST_ROWS = 3
"""One row of cells out of this many is compared for each movement that is tried."""
_STALE, _STALE_MEMORY = 0.8, 0.1
"""Things seen in one place in this share of the last pictures did not come in over a border."""


class _Picture:
    """The parts that stood out from the belt in one picture."""

    def __init__(self, off: Cells, mask: Mask, starts: NDArray[np.intp], fft: int) -> None:
        self.off = off
        """(3, rows, columns): grey levels by which it differs from the belt; else 0."""
        self.mask = mask
        self.seen = int(np.count_nonzero(mask))
        self._starts, self._fft = starts, fft
        self._bands: tuple[NDArray[np.complexfloating], Cells] | None = None

    @property
    def bands(self) -> tuple[NDArray[np.complexfloating], Cells]:
        """Spectra of some stretches along the travel; their energy, summed from the border on."""
        if self._bands is None:
            bands = np.add.reduceat(self.off, self._starts, axis=1).reshape(-1, self.off.shape[2])
            energy = np.concatenate(([0.0], np.cumsum((bands * bands).sum(axis=0))))
            self._bands = (np.fft.rfft(bands, self._fft, axis=1), energy.astype(np.float32))
        return self._bands


class Carried:
    """Remembers, in the belt's coordinates, what lies on it; one thread."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = rows, columns
        self._spots = max(1.0, rows * 0.03)
        self._fft = _fast_size(2 * columns)
        bands = min(_BANDS, rows)
        self._starts = np.arange(bands) * rows // bands
        self.believed: Mask = np.zeros((rows, columns), np.bool_)
        """Things that came in and should be here, seen or not."""
        self.near: Mask = self.believed
        """Where accepted things may be."""
        self.stale: Mask = self.believed
        """Things that have been seen in one place for long and are not accepted."""
        self.in_place: Mask | None = None
        """Things that stayed while the belt moved under them; None if the latest picture does not
        show it."""
        self.moved_columns: float | None = None
        """How far the belt moved to the latest picture; None if unknown."""
        self._stale_share: Cells = np.zeros((rows, columns), np.float32)
        self._last: _Picture | None = None
        """An earlier picture, that the latest is compared with."""
        self._went = self._shifted = 0.0
        """Columns since then; and those by which accepted things were moved."""
        self._expected = self._cruise = 0.0
        """Columns from picture to picture, now and usually."""
        self._alike = ALIKE

    def observe(self, mask: Mask, off: Cells, unsure: Mask, *, alike: float, blind: bool) -> Mask:
        """Return the part of `mask` that came in over a border and went with the belt.

        `off` is the signed difference from the belt. In cells that are `unsure` nothing can be
        seen: their accepted content is shown. `alike`: grey levels within which two cells are the
        same. `blind`: no picture was examined for a while.
        """
        now = _Picture(off * mask, mask, self._starts, self._fft)
        self._alike, self.in_place, self.moved_columns = alike, None, None
        self._age(mask)
        last = self._last
        if last is None:
            self._compare_from(now)
            return self._shown(mask, unsure)
        went = self._displacement(last, now, blind=blind)
        if went is None:
            if blind:
                self.believed = mask.copy()
            self._enter_unmeasured(last, now)
            self._compare_from(now)
            return self._shown(mask, unsure)
        self._learn_speed(went - self._went, blind=blind)
        self._went = went
        self._move_on(mask)
        if abs(went) >= _BASELINE_COLUMNS:
            self._verify(last, now, round(went), unsure)
            self._compare_from(now)
        return self._shown(mask, unsure)

    def _compare_from(self, now: _Picture) -> None:
        self._last, self._went, self._shifted = now, 0.0, self._shifted - self._went

    def _shown(self, mask: Mask, unsure: Mask) -> Mask:
        self.near = grown(self.believed, _NEAR_COLUMNS)
        shown = (mask & ~self.stale) | (unsure & self.believed)
        return np.asarray(shown & self.near, np.bool_)

    def _age(self, mask: Mask) -> None:
        """Let things become stale that are long seen in one place, unless something passes."""
        if self._last is None:
            self._stale_share[:] = mask
        else:
            held = self.near & mask
            change = np.where(held, 0, mask - self._stale_share)
            self._stale_share += change * np.float32(_STALE_MEMORY)
        self.stale = self._stale_share > _STALE

    def _learn_speed(self, moved: float, *, blind: bool) -> None:
        self.moved_columns = moved
        if blind:
            return
        self._expected += (moved - self._expected) / (2 if self._cruise else 1)
        if self._expected > self._cruise / 2:
            share = 0.1 if self._cruise else 1.0
            self._cruise += (self._expected - self._cruise) * share

    def _displacement(self, last: _Picture, now: _Picture, *, blind: bool) -> float | None:
        """Columns from the one to the other: that which explains most of what changed.

        Cells seen again in their place are explained by any movement, so that a clock or dirt says
        nothing; cells that came in over a border nearly so.
        """
        if not last.seen or not now.seen:
            return None
        ways: dict[int, tuple[float, int, float]] = {}

        def cost(columns: int) -> float:
            if columns not in ways:
                ways[columns] = self._cost(last, now, columns)
            return ways[columns][0]

        standing = cost(0)
        seen = (last.seen + now.seen) / _COST_ROWS
        best = 0
        if standing > _STILL * seen:
            tried = self._candidates(last, now, ways, _GOOD * standing)
            best = self._best(tried, cost, ways, standing, blind=blind)
        if cost(best) > _FITS * seen:
            return None
        if not best:
            return 0.0
        return best + _between(cost(best - 1), cost(best), cost(best + 1))

    def _best(
        self,
        tried: Iterator[int],
        cost: Callable[[int], float],
        ways: dict[int, tuple[float, int, float]],
        standing: float,
        *,
        blind: bool,
    ) -> int:
        """The movement that leaves least unexplained; 0 unless another is clearly better."""
        expected = self._went + self._expected
        is_fast = abs(self._expected) > _GATE * self._columns
        best, best_cost = 0, standing * _STANDS
        for columns in tried:
            if not blind and not self._is_plausible(columns - self._went):
                continue
            here = cost(columns)
            if abs(columns - expected) <= _NEAR_COLUMNS:
                # Cells that cross the borders of a fast belt must not count for a shorter movement:
                # boards that look alike also fit the next one's place.
                here = (here - is_fast * ways[columns][2]) * _EXPECTED
            if here < best_cost and ways[columns][1] >= max(3, _MATCHED * standing):
                best, best_cost = columns, here
        return min((best - 1, best, best + 1), key=cost) if best else 0

    def _is_plausible(self, moved: float) -> bool:
        """Whether a belt can move this far from one picture to the next."""
        if not self._cruise:
            return abs(moved) <= _FIRST_MOVE * self._columns
        gate, fastest = _GATE * self._columns, max(self._cruise, abs(self._expected))
        if abs(self._expected) > gate and moved * self._expected < 0:
            return abs(moved) <= gate  # from full speed it may stop, and not go back as fast
        return -gate - fastest <= moved <= gate + _FASTER * fastest

    def _candidates(
        self,
        last: _Picture,
        now: _Picture,
        ways: dict[int, tuple[float, int, float]],
        good: float,
    ) -> Iterator[int]:
        """Movements to try: the expected first; more only if that leaves doubts."""
        expected = round(self._went + self._expected)
        tried = (expected, expected + 1, expected - 1)
        yield from tried
        found = [ways[columns] for columns in tried if columns in ways]
        is_slow = abs(self._expected) <= _BASELINE_COLUMNS  # a fast belt may be taken for another
        enough = max((matched for _, matched, _ in found), default=0) >= good / 2
        if is_slow and found and enough and min(found)[0] < good:
            return
        yield from _peaks(last, now, self._columns, self._fft)

    def _cost(self, last: _Picture, now: _Picture, shift: int) -> tuple[float, int, float]:
        """Count the cells that this movement does not explain.

        Also those seen again elsewhere, and the part of the first for cells that came in or went
        out.
        """
        columns = self._columns
        if abs(shift) >= columns:
            return float("inf"), 0, 0.0
        rows = slice(None, None, _COST_ROWS)
        here = slice(max(shift, 0), columns + min(shift, 0))
        there = slice(max(-shift, 0), columns - max(shift, 0))
        mask, before = now.mask[rows, here], last.mask[rows, there]
        unlike = self._unlike(now.off[:, rows, here], last.off[:, rows, there]) & (mask | before)
        if not shift:
            return float(np.count_nonzero(unlike)), 0, 0.0
        changed = self._unlike(now.off[:, rows, here], last.off[:, rows, here])
        matched = int(np.count_nonzero(mask & before & ~unlike & changed))
        if shift > 0:
            came, gone = now.mask[rows, :shift], last.mask[rows, columns - shift :]
        else:
            came, gone = now.mask[rows, columns + shift :], last.mask[rows, :-shift]
        crossed = _NEW_SHARE * float(np.count_nonzero(came) + np.count_nonzero(gone))
        return np.count_nonzero(unlike & changed) + crossed, matched, crossed

    def _unlike(self, one: Cells, other: Cells) -> Mask:
        off = np.abs(one[0] - other[0])
        off += np.abs(one[1] - other[1])
        off += np.abs(one[2] - other[2])
        return np.asarray(off > self._alike, np.bool_)

    def _move_on(self, mask: Mask) -> None:
        """Shift the accepted things; cells that a border reveals are accepted as they are seen."""
        by = round(self._went - self._shifted)
        if not by:
            return
        self._shifted += by
        self.believed = _shifted(self.believed, by, fill=False)
        part = slice(0, by + 1) if by > 0 else slice(by - 1, None)
        self.believed[:, part] |= mask[:, part] & ~self.stale[:, part]

    def _enter_unmeasured(self, last: _Picture, now: _Picture) -> None:
        """For an unknown movement: new things that reach in from a border have come in."""
        fresh = now.mask & ~self.stale
        filled = np.count_nonzero(fresh & ~last.mask, axis=0) > self._spots
        most = round(_FIRST_MOVE * self._columns) + 2
        for reaches, at_entry in ((filled, True), (filled[::-1], False)):
            if not reaches[:2].any():
                continue
            end = 2 + int(np.argmin(np.append(reaches[2:], False)))
            if end <= most:  # so much at once is light
                part = slice(0, end) if at_entry else slice(self._columns - end, None)
                self.believed[:, part] |= fresh[:, part]

    def _verify(self, last: _Picture, now: _Picture, shift: int, unsure: Mask) -> None:
        """Accept things that moved with the belt, not those that stayed or are gone."""
        moved = np.stack([_shifted(plane, shift, fill=np.nan) for plane in last.off])
        known = ~np.isnan(moved[0])
        goes = ~self._unlike(now.off, moved) & known
        stays = ~self._unlike(now.off, last.off) & known
        self.believed &= now.mask | _shifted(last.mask, shift, fill=True) | unsure
        counts = [
            np.count_nonzero(cells & now.mask, axis=0)
            for cells in (goes & ~stays, stays & ~goes, known & ~goes & ~stays)
        ]
        filled = np.count_nonzero(now.mask, axis=0) > self._spots
        for first, end in runs(filled):
            part = slice(first, end)
            go, stay, odd = (int(count[part].sum()) for count in counts)
            if go > 2 * (stay + odd):
                self.believed[:, part] |= now.mask[:, part] & (goes | ~known)[:, part]
                reach = abs(shift) + _BASELINE_COLUMNS // 2
                self._stale_share[:, max(0, first - reach) : end + reach] = 0
                self.stale = self._stale_share > _STALE
            elif stay > 2 * (go + odd):
                self.believed[:, part] = False
                if self.in_place is None:
                    self.in_place = np.zeros_like(now.mask)
                self.in_place[:, part] = now.mask[:, part] & stays[:, part]


def _peaks(last: _Picture, now: _Picture, columns: int, fft: int) -> list[int]:
    """The shifts at which the two pictures correlate best, what both show taken as a whole."""
    (now_spectrum, now_energy), (last_spectrum, last_energy) = now.bands, last.bands
    product = np.einsum("bf,bf->f", now_spectrum, np.conj(last_spectrum))
    alike = np.fft.irfft(product, fft)
    alike = np.concatenate((alike[-columns + 1 :], alike[:columns]))
    shifts = np.arange(-columns + 1, columns)
    low, high = np.maximum(shifts, 0), columns + np.minimum(shifts, 0)
    both = now_energy[high] - now_energy[low]
    both += last_energy[high - shifts] - last_energy[low - shifts]
    score = np.where(both > 0.02 * both.max(), 2 * alike / np.maximum(both, 1e-3), -1.0)
    peaks = np.flatnonzero((score[1:-1] >= score[:-2]) & (score[1:-1] >= score[2:])) + 1
    best: list[int] = shifts[peaks[np.argsort(-score[peaks])[:_PEAKS]]].tolist()
    return best


def _fast_size(least: int) -> int:
    """The next size with a fast Fourier transform: of small factors only."""
    size = least
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1


def _between(before: float, here: float, after: float) -> float:
    """The distance of the minimum from the middle of three costs, by a parabola."""
    bend = before - 2 * here + after
    if not 0 < bend < float("inf"):
        return 0.0
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def _shifted(plane: _Plane, by: int, *, fill: float) -> _Plane:
    """(rows, columns): moved along the travel."""
    moved = np.full_like(plane, fill)
    if abs(by) >= plane.shape[1]:
        return moved
    if by > 0:
        moved[:, by:] = plane[:, :-by]
    elif by < 0:
        moved[:, :by] = plane[:, -by:]
    else:
        moved[:] = plane
    return moved
