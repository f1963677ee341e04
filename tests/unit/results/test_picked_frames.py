"""One picture of each undecided unit, and no buffer is lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.core.records import CameraId, Frame, FrameRef
from inspector.core.verdicts import FrameResult
from inspector.flow.frame_pool import FramePool
from inspector.results.picked_frames import KEPT_PER_CAMERA, UnitPictures
from inspector.settings.types import Size
from tests.kit.findings import boxed
from tests.kit.units_in_view import SIDE, TOP, unit

BUFFERS = 2 * KEPT_PER_CAMERA + 1


def frame(pool: FramePool, sequence: int, camera: CameraId) -> Frame:
    lease = pool.lease()
    assert lease is not None, "there is a buffer for each that is kept, and one for the next"
    ref = FrameRef(camera_id=camera, sequence=sequence, captured_mono_ns=0, captured_unix_ns=0)
    return Frame(ref=ref, lease=lease)


def seen(ref: FrameRef, confidences: list[float]) -> FrameResult:
    box = {"left_px": 0.0, "top_px": 0.0, "right_px": 1.0, "bottom_px": 1.0}
    found = tuple(boxed(code_index=0, confidence=c, **box) for c in confidences)
    return FrameResult(ref=ref, findings=found, miss=None)


offers = st.tuples(
    st.just("offer"),
    st.sampled_from([TOP, TOP, SIDE]),
    st.integers(0, KEPT_PER_CAMERA),
    st.lists(st.sampled_from([0.2, 0.9]), max_size=2),
)
nothing: list[float] = []
takes = st.tuples(
    st.just("take"),
    st.sampled_from([TOP, TOP, SIDE]),
    st.integers(0, KEPT_PER_CAMERA),
    st.just(nothing),
)


@given(st.lists(offers | offers | offers | takes, min_size=15, max_size=50))
def test_a_unit_gets_the_first_of_its_frames_that_shows_most_and_every_buffer_comes_back(
    steps: list[tuple[str, CameraId, int, list[float]]],
) -> None:
    pool, pictures = FramePool(buffers=BUFFERS, size=Size(4, 4)), UnitPictures()
    best: dict[tuple[CameraId, int], tuple[float, int]] = {}
    for number, (what, camera, index, confidences) in enumerate(steps):
        key = (camera, index)
        if what == "offer":
            shown = frame(pool, number, camera)
            is_kept = pictures.offer(unit(index, camera), shown, seen(shown.ref, confidences))
            score = max(confidences, default=0.0)
            waiting = sum(kept[0] == camera for kept in best)
            if key in best:
                best[key] = max(best[key], (score, number), key=lambda one: one[0])
            elif waiting < KEPT_PER_CAMERA:
                best[key] = (score, number)
            assert is_kept == (key in best)
        else:
            found = pictures.take(unit(index, camera))
            expected = best.pop(key, None)
            assert (found and found.ref.sequence) == (expected and expected[1])
            if found is not None:
                found.lease.release()
        assert pool.free == BUFFERS - len(best)
