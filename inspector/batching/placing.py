"""Keeps registrars ready, which find where frames lie on the references of their products."""

from __future__ import annotations

from dataclasses import replace

from inspector.batching.differences import Differences
from inspector.core.geometry import upright_matrix
from inspector.core.newest import Newest
from inspector.core.recipes import Reference
from inspector.core.records import Frame, Placed
from inspector.products.registration import Pose, Registrar

REFERENCES_KEPT = 8
"""A registrar takes about 10 MB and 20 ms to make; a station inspects one product, or a few in
turn."""


class Placing:
    """Finds frames on their references, and where they differ. One thread at a time."""

    def __init__(self) -> None:
        self._registrars: Newest[str, Registrar] = Newest(REFERENCES_KEPT)
        self._differences = Differences()

    def place(self, frame: Frame, reference: Reference) -> Pose:
        """Where a frame lies on a reference, expected where its outline says."""
        outline = frame.ref.outline
        return self._of(reference).register(
            frame.lease.image, None if outline is None else upright_matrix(outline)
        )

    def placed(self, frame: Frame, reference: Reference) -> tuple[Frame, Pose]:
        """The frame with its place on the reference, and with its differences if it fits."""
        pose = self.place(frame, reference)
        place = Placed(likeness=pose.likeness, shift_px=pose.shift_px, matrix=pose.matrix)
        recipe = frame.ref.under.recipe
        if recipe.differences != "ignored" and pose.fits(recipe.least_likeness):
            found = self._differences.of(frame.lease.image, place, reference)
            place = replace(place, differences=found)
        return replace(frame, ref=replace(frame.ref, placed=place)), pose

    def _of(self, reference: Reference) -> Registrar:
        return self._registrars.used(
            reference.sha256, lambda: Registrar(reference.mean, reference.deviation)
        )


def misfit(pose: Pose, reference: Reference, least_likeness: float) -> str:
    """Why a frame does not fit, for people."""
    like = f"its likeness to reference {reference.id} is {pose.likeness:.2f}"
    if pose.turned:
        return f"it would fit if it were turned by 180 degrees; as it lies {like}"
    if pose.likeness < least_likeness:
        return f"{like}, expected at least {least_likeness:g}"
    return (
        f"{like}, but it lies {pose.shift_px:.0f} pixels from where it is expected, turned by "
        f"{pose.turn_deg:.1f} degrees and {pose.scale:.2f} times as large"
    )
