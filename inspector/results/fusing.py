"""Finds the defects that several frames of a unit agree on: pure.

Every frame's findings are in the unit's own pixels already, so the same defect lies at the
same place in each of them, up to the few pixels by which the outline found in a frame jitters.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inspector.core.places import Box, Place
from inspector.core.recipes import DIFFERENCES, SUPPORT_SHARE, FusingRules
from inspector.core.records import Finding
from inspector.results.boxes import Corners, content, corners_of, overlaps
from inspector.results.zones import PlaceRules

SAME_IOU = 0.25
JITTER_PX = 4.0
REACH_SHARE = 0.5
"""As a share of the smaller box's longer side: two centres no further apart than this, plus the
jitter, are one place. Small boxes that jitter by half their size have next to no overlap left."""
_LEAST_WEIGHT = 1e-6
"""A threshold of 0 lets findings of confidence 0 in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """One place on the unit where enough frames show the same defect."""

    finding: Finding
    """Its box is the mean of what the frames saw, weighted by confidence; where they saw its shape,
    that of the surest."""
    frames_seen: int


@dataclass(frozen=True, slots=True)
class _Sight:
    frame: int
    finding: Finding

    @property
    def box(self) -> Box:
        """Around it; of those that have a place."""
        box = self.finding.box
        if box is None:
            msg = "a finding about the whole unit has no box"
            raise RuntimeError(msg)
        return box


def fuse(
    frames: Sequence[Sequence[Finding]],
    rules: FusingRules,
    *,
    frames_expected: int,
    places: PlaceRules | None = None,
) -> list[Fused]:
    """The defects that the inspected frames of one unit agree on, most confident first.

    The order of the frames makes no difference. A cluster holds at most one finding of each frame,
    so what one frame shows separately stays separate, and the defects of a unit of one frame are
    that frame's findings at or above their thresholds, unchanged.

    A threshold is applied to the defect, not to each frame: its confidence is the mean of the
    best `frames_needed` sightings. A frame that saw it a little below the threshold still agrees
    (0.48, 0.52 and 0.55 are one defect at 0.535, seen three times), one more sighting never
    removes a defect, and one very confident frame does not decide alone.

    Findings about the unit as a whole make one defect per code, however many frames have them.

    Frames agree per model, because the confidences of models are not comparable. A defect that two
    models find, each by itself, is one defect, as the more confident one has it. Close-ups, and
    differences from the reference by pixels, count only where nothing else claims a defect.

    `places` says where on the unit other thresholds apply, and where nothing is a defect; None:
    nowhere. A zone is applied to the defect and not to each frame: boxes jitter, and a frame that
    sees it beyond the zone's border still supports the others.
    """
    at = places or PlaceRules(rules)
    needed = rules.frames_needed(inspected=len(frames), expected=frames_expected)
    sights = [
        _Sight(frame, finding)
        for frame, findings in enumerate(frames)
        for finding in findings
        if finding.confidence >= SUPPORT_SHARE * at.threshold(finding)
    ]
    per_code: dict[tuple[int, str, bool, bool], list[_Sight]] = {}
    for sight in sights:
        seen_as, has_place = sight.finding, sight.finding.box is not None
        key = (seen_as.code_index, seen_as.model, seen_as.is_close_up, has_place)
        per_code.setdefault(key, []).append(sight)
    defects = []
    for (_code, _model, _close, has_place), alike in per_code.items():
        for cluster in _clusters(alike) if has_place else [_of_the_whole(alike)]:
            seen = sorted((s.finding for s in cluster), key=content)
            if len(seen) < needed:
                continue
            fused = _fused(seen, needed)
            is_sure = fused.confidence >= at.threshold(fused)
            if is_sure and is_large(fused, rules) and not at.ignores(fused):
                defects.append(Fused(finding=fused, frames_seen=len(seen)))
    defects = _supported(sorted(defects, key=lambda d: content(d.finding)), rules)
    return _unexplained(_of_several_models(defects))


def _supported(defects: list[Fused], rules: FusingRules) -> list[Fused]:
    """Without what a model that has to be surer where it stands alone claims alone."""
    return [
        defect
        for defect in defects
        if (seen := defect.finding).confidence >= rules.least_alone.get(seen.model, 0.0)
        or any(one is not defect and _touch(one.finding, seen) for one in defects)
    ]


def _unexplained(defects: list[Fused]) -> list[Fused]:
    """Without duplicates: the whole picture comes first, then close-ups, then differing pixels.

    A place is shown again because it differs, and it differs because of the defect there.
    """
    kept = [one for one in defects if _rank(one.finding) == 0]
    if len(kept) == len(defects):
        return defects
    for defect in sorted(defects, key=lambda one: _rank(one.finding)):
        is_told = any(_touch(defect.finding, one.finding) for one in kept)
        if _rank(defect.finding) and not is_told:
            kept.append(defect)
    return sorted(kept, key=lambda d: content(d.finding))


def _rank(finding: Finding) -> int:
    if finding.model == DIFFERENCES:
        return 2
    return 1 if finding.is_close_up else 0


def _touch(one: Finding, other: Finding) -> bool:
    """Whether two places overlap; a finding about the whole unit overlaps none."""
    if (a := one.box) is None or (b := other.box) is None:
        return False
    return min(a.right_px, b.right_px) > max(a.left_px, b.left_px) and min(
        a.bottom_px, b.bottom_px
    ) > max(a.top_px, b.top_px)


def _of_several_models(defects: list[Fused]) -> list[Fused]:
    """Without those that another model claims at the same place with more confidence."""
    if len({defect.finding.model for defect in defects}) < 2:  # noqa: PLR2004 - no other
        return defects
    kept: list[Fused] = []
    for defect in defects:
        same = next((n for n, one in enumerate(kept) if _is_same(one, defect)), None)
        if same is None:
            kept.append(defect)
        elif defect.frames_seen > kept[same].frames_seen:
            kept[same] = replace(kept[same], frames_seen=defect.frames_seen)
    return kept


def _is_same(one: Fused, other: Fused) -> bool:
    a, b = one.finding, other.finding
    if a.code_index != b.code_index or a.model == b.model:
        return False
    if a.box is None or b.box is None:
        return a.box is b.box
    nearness, iou = _compare(corners_of([a])[0], corners_of([b]))
    return bool(nearness[0] <= 1 or iou[0] >= SAME_IOU)


def is_large(finding: Finding, rules: FusingRules) -> bool:
    """Whether it is as large as a defect must be; a finding about the whole unit always is."""
    if (box := finding.box) is None:
        return True
    return max(box.right_px - box.left_px, box.bottom_px - box.top_px) >= rules.min_size_px


def _of_the_whole(sights: list[_Sight]) -> list[_Sight]:
    """Findings of one code about the unit as a whole: the most confident of each frame."""
    best: dict[int, _Sight] = {}
    for sight in sights:
        before = best.get(sight.frame)
        if before is None or sight.finding.confidence > before.finding.confidence:
            best[sight.frame] = sight
    return list(best.values())


def _clusters(sights: list[_Sight]) -> Iterator[list[_Sight]]:
    """Join the nearest pairs first, as long as no frame is in a cluster twice."""
    if len({sight.frame for sight in sights}) == 1:
        yield from ([sight] for sight in sights)
        return
    clusters = {index: [index] for index in range(len(sights))}
    home = list(range(len(sights)))
    for one, other in _pairs(sights):
        a, b = home[one], home[other]
        if a == b or {sights[i].frame for i in clusters[a]} & {
            sights[i].frame for i in clusters[b]
        }:
            continue
        for index in clusters[b]:
            home[index] = a
        clusters[a] += clusters.pop(b)
    yield from ([sights[index] for index in members] for members in clusters.values())


def _pairs(sights: list[_Sight]) -> list[tuple[int, int]]:
    """Sightings of one place in two frames, nearest first.

    Equally near ones are ordered by their content, never by the order of the frames.
    """
    # By their left sides, so that each is compared with its neighbours and not with all.
    order = sorted(range(len(sights)), key=lambda i: sights[i].box.left_px)
    corners = corners_of([sights[i].finding for i in order])
    frames = np.array([sights[i].frame for i in order])
    longer_px = (corners[:, 2:] - corners[:, :2]).max(axis=1)
    ends_px = np.maximum(
        corners[:, 2], corners[:, ::2].mean(axis=1) + REACH_SHARE * longer_px + JITTER_PX
    )
    ends = np.searchsorted(corners[:, 0], ends_px, side="right").tolist()
    found = []
    for first, end in enumerate(ends):
        near = slice(first + 1, end)
        nearness, iou = _compare(corners[first], corners[near])
        same = ((nearness <= 1) | (iou >= SAME_IOU)) & (frames[near] != frames[first])
        for step in np.flatnonzero(same).tolist():
            one, other = order[first], order[first + 1 + step]
            both = sorted(content(sights[i].finding) for i in (one, other))
            key = (float(nearness[step]), -float(iou[step]), *itertools.chain(*both))
            found.append((key, one, other))
    return [(one, other) for _key, one, other in sorted(found)]


def _compare(box: Corners, others: Corners) -> tuple[Corners, Corners]:
    """Distance of the centres, in reaches of the smaller box, and intersection over union."""
    centre, centres = (box[:2] + box[2:]) / 2, (others[:, :2] + others[:, 2:]) / 2
    distance_px = np.hypot(*(centres - centre).T)
    longer_px = np.minimum((box[2:] - box[:2]).max(), (others[:, 2:] - others[:, :2]).max(axis=1))
    nearness: Corners = distance_px / (REACH_SHARE * longer_px + JITTER_PX)
    return nearness, overlaps(box, others)


def _fused(seen: list[Finding], needed: int) -> Finding:
    """`seen` holds one finding per frame, most confident first."""
    if len(seen) == 1:
        return seen[0]
    confidences = np.array([finding.confidence for finding in seen])
    best = confidences[:needed]
    return Finding(
        code_index=seen[0].code_index,
        # Three times 0.7 is 0.7, also where rounding makes the mean a little less.
        confidence=float(np.clip(best.mean(), best.min(), best.max())),
        place=_fused_place(seen, confidences),
        model=seen[0].model,
        is_close_up=seen[0].is_close_up,
    )


def _fused_place(seen: list[Finding], confidences: Corners) -> Place:
    """Boxes are averaged; shapes are not: that of the most confident frame is used."""
    shapes = [finding.place for finding in seen if not isinstance(finding.place, Box)]
    if shapes:
        return shapes[0]
    weights = np.maximum(confidences, _LEAST_WEIGHT)
    left, top, right, bottom = (weights @ corners_of(seen) / weights.sum()).tolist()
    return Box(left_px=left, top_px=top, right_px=right, bottom_px=bottom)
