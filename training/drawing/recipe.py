"""How training pictures are mixed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.drawing import defects


@dataclass(frozen=True)
class Recipe:
    """How samples are mixed; probabilities."""

    size_px: int = 320
    golden: bool = False
    flat: float = 0.4
    """The file's picture as it is, not photographed: binarised, where it is a scan."""
    reference: float = 0.25
    """The defect-free reference shown as the board: what must not raise an alarm."""
    anywhere: float = 0.2
    """The crop is not chosen to hold a defect."""
    redesigned: float = 0.15
    """Wanted copper and holes are drawn that the board does not have, on scans: no defects."""
    invented: float = 0.15
    """Another design in the board's place, on scans that have a reference; see `designs`."""
    circuits: float = 0.3
    """Of those, the circuits of the simulated line; the others are references, distorted."""
    drawn: float = 0.35
    """Defects are drawn besides the real ones, on scans; on most invented boards, too."""
    margin: float = 0.6
    """Bare laminate surrounds a scan: copper may end at a straight cut within the board."""
    off_board: float = 0.25
    """The crop reaches over the board's edge."""
    alike: float = 0.0
    """Beside a reference: marks that look like damage are on both of them, and are no defects."""
    taught: float = 0.0
    """Of the photographed samples beside a reference: the reference is one that was taught."""
    smallest: float = 0.88
    """The scale of a photographed board; a station shrinks a unit that is larger than the input."""
    largest: float = 1.13
    belt: float = 0.01
    """Nothing but belt."""

    def suited_to(self, classes: tuple[str, ...]) -> Recipe:
        """Without drawn defects, where the classes are not those that can be drawn."""
        return self if classes == defects.CLASSES else replace(self, drawn=0.0)


BESIDE_REFERENCES = Recipe(
    golden=True,
    flat=0.35,
    redesigned=0.2,
    invented=0.25,
    drawn=0.45,
    alike=0.2,
    taught=0.65,
    smallest=0.78,
)
"""For the golden variant: beside its reference, no drawing is taken for damage or for design."""
