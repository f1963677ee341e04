"""Combines the results of a frame's pieces: pure.

A frame larger than the model's input is inspected in tiles that overlap. A defect where two tiles
overlap is seen twice, and one that a tile's border cuts is seen in part.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector.core.places import Box, Place, Polygon, WholeUnit, hull
from inspector.core.recipes import ModelName
from inspector.core.records import CameraId, Finding, Rect, Region
from inspector.core.verdicts import FrameResult
from inspector.results.boxes import (
    Corners,
    areas,
    content,
    corners_of,
    overlaps,
    shared_areas,
)
from inspector.results.judging import most_telling
from inspector.results.on_unit import of_region

SAME_IOU = 0.4
"""Two tiles show the same pixels where they overlap: there, both boxes of one defect agree."""
SAME_SHARE = 0.6
"""As a share of the smaller box, for a defect that one of the tiles shows only in part."""
CUT_WITHIN_PX = 2.0
"""A box that ends this close to its tile's border continues beyond it."""


@dataclass(frozen=True, slots=True)
class _Tile:
    region: Region
    result: FrameResult


_Tiles = dict[int, _Tile]
"""Results by the piece's number."""


class FrameParts:
    """Collects the pieces of frames, in any order, until all of a frame are there.

    Holds what is under way: at most as many frames as the pipeline has buffers for, since a
    frame's buffer is not released before its last piece is here.
    """

    def __init__(self) -> None:
        self._frames: dict[tuple[CameraId, int], dict[ModelName | None, _Tiles]] = {}

    @property
    def waiting(self) -> int:
        """Frames whose pieces are partly there."""
        return len(self._frames)

    def add(
        self,
        region: Region,
        result: FrameResult,
        *,
        model: ModelName | None = None,
        models: int = 1,
    ) -> FrameResult | None:
        """Add a piece that was inspected or missed; returns its frame's result once complete.

        `model` inspected it, one of this many that each frame is shown to. Findings come in the
        region's pixels, and are returned in those of the unit's picture.

        Exactly then the frame's buffer is free. A frame of which any piece was missed is missed,
        for the most telling of the reasons.

        Raises:
            RuntimeError: the piece came twice; a programming error.

        """
        if region.pieces == 1 and models == 1:
            return _by_one_model([_Tile(region, result)])
        key = (result.ref.camera_id, result.ref.sequence)
        frame = self._frames.setdefault(key, {})
        tiles = frame.setdefault(model, {})
        if region.piece in tiles:
            raise RuntimeError(f"piece {region.piece} of frame {key[1]} of {key[0]} came twice")
        tiles[region.piece] = _Tile(region, result)
        is_whole = all(
            len(some) == next(iter(some.values())).region.pieces for some in frame.values()
        )
        if len(frame) < models or not is_whole:
            return None
        del self._frames[key]
        return _together(
            [_by_one_model([some[piece] for piece in sorted(some)]) for some in frame.values()]
        )


def _by_one_model(tiles: Sequence[_Tile]) -> FrameResult:
    """What one model says about a frame."""
    result = _one_result([tile.result for tile in tiles])
    if result.findings is None:
        return result
    close = [tile for tile in tiles if tile.region.close_ups]
    if close:
        whole = _by_one_model([tile for tile in tiles if not tile.region.close_ups])
        more = of_region(close[0].result.findings or (), close[0].region)
        faint = (*whole.faint, *of_region(close[0].result.faint, close[0].region))
        return replace(result, findings=(*(whole.findings or ()), *more), faint=faint)
    region = tiles[-1].region
    seen = [(tile.region.rect, tile.result.findings or ()) for tile in tiles]
    findings = result.findings if len(tiles) == 1 else tuple(without_doubles(seen))
    on_unit = of_region(findings, region)
    # Doubles do no harm here: only the nearest of them is ever asked for.
    faint = tuple(f for t in tiles for f in of_region(t.result.faint, t.region))
    if on_unit is result.findings and not faint:
        return result
    return replace(result, findings=on_unit, faint=faint)


def _together(results: Sequence[FrameResult]) -> FrameResult:
    """What several models say about a frame; findings of two models are fused later."""
    result = _one_result(results)
    if len(results) == 1 or result.findings is None:
        return result
    found = sorted(itertools.chain(*(one.findings or () for one in results)), key=content)
    faint = tuple(itertools.chain(*(one.faint for one in results)))
    versions = {name: version for one in results for name, version in one.versions.items()}
    return replace(result, findings=tuple(found), faint=faint, versions=versions)


def _one_result(results: Sequence[FrameResult]) -> FrameResult:
    """The last one's, missed where any is, with the times of all."""
    last = results[-1]
    if len(results) == 1:
        return last
    misses = [(r.miss, r.detail) for r in results if r.miss is not None]
    if misses:
        miss, detail = most_telling(misses)
        return replace(last, findings=None, miss=miss, detail=detail)
    queue_ns = min(r.queue_ns for r in results)
    ended_ns = max(r.queue_ns + r.inference_ns for r in results)
    return replace(last, queue_ns=queue_ns, inference_ns=ended_ns - queue_ns)


def without_doubles(tiles: Sequence[tuple[Rect, Sequence[Finding]]]) -> list[Finding]:
    """The findings of overlapping tiles of one picture, each defect once, best first.

    Whether two tiles saw one defect is judged where both looked: there its two boxes agree. The
    whole one stays. Of a defect too large to be whole in any tile the pieces are joined. What tiles
    say of the unit as a whole is one finding per code, the surest.
    """
    rects = [rect for rect, _findings in tiles]
    whole = _around(rects)
    found = [
        (_is_cut(box, rect, whole), content(finding), tile, finding)
        for tile, (rect, findings) in enumerate(tiles)
        for finding in findings
        if (box := finding.box) is not None
    ]
    found.sort(key=lambda row: row[:3])
    seen = _Seen(
        rects=[_corners(rect) for rect in rects],
        findings=[row[3] for row in found],
        boxes=corners_of([row[3] for row in found]),
        tiles=np.array([row[2] for row in found], np.int64),
        codes=np.array([row[3].code_index for row in found], np.int64),
        cut=np.array([row[0] for row in found], np.bool_),
    )
    kept = np.zeros(len(found), np.bool_)
    for index in range(len(found)):
        double = seen.double_of(index, kept)
        if double is None:
            kept[index] = True
        elif seen.cut[double]:
            seen.join(double, index)
    placed = [seen.findings[i] for i in np.flatnonzero(kept).tolist()]
    return sorted([*placed, *_about_the_whole(tiles)], key=content)


def _about_the_whole(tiles: Sequence[tuple[Rect, Sequence[Finding]]]) -> list[Finding]:
    surest: dict[int, Finding] = {}
    for finding in itertools.chain(*(findings for _rect, findings in tiles)):
        before = surest.get(finding.code_index)
        if finding.box is None and (before is None or finding.confidence > before.confidence):
            surest[finding.code_index] = finding
    return list(surest.values())


@dataclass(slots=True, kw_only=True)
class _Seen:
    """Every finding of every tile, column by column; whole ones first, the best first."""

    rects: list[tuple[int, int, int, int]]
    """By tile."""
    findings: list[Finding]
    boxes: Corners
    tiles: NDArray[np.int64]
    codes: NDArray[np.int64]
    cut: NDArray[np.bool_]
    """Whether it touches the border of its tile where the picture continues."""

    def double_of(self, index: int, kept: NDArray[np.bool_]) -> int | None:
        """The finding among those kept before that is the same defect, seen in another tile."""
        box, others = self.boxes[index], self.boxes[:index]
        alike = kept[:index] & (self.codes[:index] == self.codes[index])
        alike &= (self.tiles[:index] != self.tiles[index]) & (
            (box[:2] < others[:, 2:]) & (others[:, :2] < box[2:])
        ).all(axis=1)
        best: tuple[float, int] | None = None
        for other in np.flatnonzero(alike).tolist():
            iou, share = self._where_both_looked(index, other)
            is_cut = self.cut[index] or self.cut[other]
            same = iou >= SAME_IOU or (is_cut and share >= SAME_SHARE)
            if same and (best is None or iou > best[0]):
                best = (iou, other)
        return None if best is None else best[1]

    def _where_both_looked(self, one: int, other: int) -> tuple[float, float]:
        """Intersection over union, and over the smaller box, within the pixels both tiles have."""
        a, b = self.rects[self.tiles[one]], self.rects[self.tiles[other]]
        boxes = self.boxes[[one, other]]
        boxes[:, :2] = np.maximum(boxes[:, :2], np.maximum(a[:2], b[:2]))
        boxes[:, 2:] = np.minimum(boxes[:, 2:], np.minimum(a[2:], b[2:]))
        shared = float(shared_areas(boxes[0], boxes[1:])[0])
        smaller = float(areas(boxes).min())
        return float(overlaps(boxes[0], boxes[1:])[0]), shared / max(smaller, 1e-9)

    def join(self, kept: int, other: int) -> None:
        """Two parts of a defect that no tile saw whole become one."""
        box, more = self.boxes[kept], self.boxes[other]
        box[:2], box[2:] = np.minimum(box[:2], more[:2]), np.maximum(box[2:], more[2:])
        left, top, right, bottom = box.tolist()
        place: Place = Box(left_px=left, top_px=top, right_px=right, bottom_px=bottom)
        parts = [self.findings[index].place for index in (kept, other)]
        if any(isinstance(part, Polygon) for part in parts):
            corners = [p.corners_px for p in parts if not isinstance(p, WholeUnit)]
            place = Polygon(points_px=hull(itertools.chain(*corners)))
        self.findings[kept] = replace(self.findings[kept], place=place)


def _is_cut(box: Box, tile: Rect, whole: tuple[int, int, int, int]) -> bool:
    left, top, right, bottom = _corners(tile)
    return (
        (left > whole[0] and box.left_px - left < CUT_WITHIN_PX)
        or (top > whole[1] and box.top_px - top < CUT_WITHIN_PX)
        or (right < whole[2] and right - box.right_px < CUT_WITHIN_PX)
        or (bottom < whole[3] and bottom - box.bottom_px < CUT_WITHIN_PX)
    )


def _corners(rect: Rect) -> tuple[int, int, int, int]:
    return (rect.x_px, rect.y_px, rect.x_px + rect.width_px, rect.y_px + rect.height_px)


def _around(rects: Sequence[Rect]) -> tuple[int, int, int, int]:
    left, top, right, bottom = zip(*map(_corners, rects), strict=True)
    return min(left), min(top), max(right), max(bottom)
