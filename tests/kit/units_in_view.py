"""Units and where they lie, for tests that care for little else of them."""

from __future__ import annotations

from hypothesis import strategies as st

from inspector.core.records import CameraId, Outline, TriggerKind, UnitRef

TOP, SIDE = CameraId("top"), CameraId("side")


def unit(index: int, camera: CameraId = TOP) -> UnitRef:
    return UnitRef(
        camera_id=camera,
        index=index,
        kind=TriggerKind.PRESENCE,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
    )


def outlines(
    *, centre_px: tuple[float, float], side_px: tuple[float, float]
) -> st.SearchStrategy[Outline]:
    """Of any turn; middles and sides in these ranges."""
    return st.builds(
        Outline,
        centre_x_px=st.floats(*centre_px),
        centre_y_px=st.floats(*centre_px),
        width_px=st.floats(*side_px),
        height_px=st.floats(*side_px),
        turn_deg=st.floats(-45, 45),
    )
