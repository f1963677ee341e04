"""The batching stage between a real inbox, real tensors and a real channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import structlog

from inspector.batching.regions import pieces
from inspector.batching.window import ModelWindows
from inspector.batching.worker import BatchWorker
from inspector.core.recipes import Cropping, Job, ModelName
from inspector.core.records import (
    Batch,
    CameraId,
    Frame,
    FrameRef,
    Image,
    MissedFrame,
    MissReason,
    ModelInput,
    Outline,
    Rect,
)
from inspector.flow.channel import Channel
from inspector.flow.inbox import FrameInbox, Lane
from inspector.flow.model_pace import ModelPaces
from inspector.flow.tensor_pool import TensorPool
from inspector.ops.metrics import Metrics
from tests.kit import compared_units as compared
from tests.kit import jobs
from tests.kit.units_in_view import unit

CAMERA, OTHER = CameraId("a"), CameraId("b")
NAME = ModelName(name="m")
MODEL = ModelInput(
    name="image", width_px=64, height_px=64, channels_first=False, dtype="UINT8", rgb=False
)
TILED = Cropping(rect=Rect(0, 0, 200, 120), crop="tiles", tile_overlap_px=16)
PLAIN = Cropping(rect=Rect(0, 0, 64, 64))
MAX_REGIONS = 4


class Picture:
    def __init__(self, image: Image) -> None:
        self.image = image

    def release(self) -> None:
        pass


def frame(sequence: int, camera: CameraId = CAMERA, outline: Outline | None = None) -> Frame:
    image = np.random.default_rng(sequence).integers(0, 256, (120, 200, 3), np.uint8)
    ref = FrameRef(
        camera_id=camera,
        sequence=sequence,
        captured_mono_ns=time.monotonic_ns(),
        captured_unix_ns=0,
        outline=outline,
    )
    return Frame(ref=ref, lease=Picture(image))


class Stage:
    """The worker, its surroundings, and what it sent; tensors are given back by `receive`."""

    def __init__(self, views: dict[CameraId, Cropping], *, model_input: ModelInput | None) -> None:
        self.views = views
        lane = Lane(capacity=16, max_age_ns=None)
        self.inbox = FrameInbox(dict.fromkeys(views, lane), on_drop=lambda _f, _r: None)
        self.tensors = TensorPool(tensors=2, max_regions=MAX_REGIONS, shared=False)
        if model_input is not None:
            self.tensors.form_for({NAME: model_input})
        self.batches: Channel[Batch] = Channel(1)
        self.missed: list[MissedFrame] = []
        self.metrics = Metrics(list(views), [])
        self.worker = BatchWorker(
            self.inbox,
            ModelWindows(
                max_regions=MAX_REGIONS, max_wait_ns=0, paces=ModelPaces(keeps_fresh=False)
            ),
            self.tensors,
            self.batches,
            metrics=self.metrics,
            tell=self.missed.append,
        )
        self.sent: list[Batch] = []

    def offer_compared(self, sequence: int, job: Job, *, product: int = 0) -> Frame:
        """A frame of a product's board, under a job that compares it."""
        picture = compared.board(sequence, product=product).picture
        one = compared.frame(picture, job, sequence=sequence)
        self.inbox.offer(one)
        return one

    def offer(self, one: Frame, view: Cropping | None = None, model: ModelName = NAME) -> None:
        """A frame of a unit whose job says so of it; None: as the stage was made with."""
        camera = one.ref.camera_id
        job = jobs.job(cropping=view or self.views[camera], model=model)
        of = replace(unit(one.ref.sequence, camera), job=job)
        self.inbox.offer(replace(one, ref=replace(one.ref, unit=of)))

    async def receive(self) -> Batch | None:
        batch = await self.batches.receive()
        if batch is not None:
            self.sent.append(batch)
            check_pixels(batch)
            if batch.tensor is not None:
                batch.tensor.release()
        return batch

    def end(self) -> None:
        for _camera in self.views:
            self.inbox.close_lane()


def check_pixels(batch: Batch) -> None:
    """Every region that needs no scaling lies in its row as it is in the frame."""
    for row, region in enumerate(batch.regions):
        rect, box = region.rect, region.letterbox
        is_moved = region.upright is not None or region.on_reference
        if batch.tensor is None or is_moved or box.scale != 1:
            continue
        expected = region.frame.lease.image[
            rect.y_px : rect.y_px + rect.height_px, rect.x_px : rect.x_px + rect.width_px
        ]
        found = batch.tensor.array[row][
            box.top_px : box.top_px + rect.height_px, box.left_px : box.left_px + rect.width_px
        ]
        assert np.array_equal(found, expected)


def run(
    feed: Callable[[Stage], Awaitable[None]],
    views: dict[CameraId, Cropping],
    *,
    model_input: ModelInput | None = MODEL,
) -> Stage:
    async def main() -> Stage:
        stage = Stage(views, model_input=model_input)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(stage.worker.run())
            await feed(stage)
            stage.end()
            while await stage.receive() is not None:
                pass
        return stage

    return asyncio.run(main(), debug=True)


def test_a_frame_with_more_pieces_than_a_request_takes_is_sent_in_several() -> None:
    async def feed(stage: Stage) -> None:
        stage.offer(frame(0))

    stage = run(feed, {CAMERA: TILED})
    count = pieces(TILED, frame(0), MODEL)
    assert count == 12
    assert [len(batch.regions) for batch in stage.sent] == [4, 4, 4]
    regions = [region for batch in stage.sent for region in batch.regions]
    assert [r.piece for r in regions] == list(range(count))
    assert {r.pieces for r in regions} == {count}
    assert [batch.batch_id for batch in stage.sent] == [0, 1, 2]


def test_pieces_and_whole_frames_share_requests_and_none_is_lost() -> None:
    async def feed(stage: Stage) -> None:
        for sequence in range(5):
            stage.offer(frame(sequence, CAMERA))
            stage.offer(frame(sequence, OTHER))

    stage = run(feed, {CAMERA: TILED, OTHER: PLAIN})
    assert all(len(batch.regions) <= MAX_REGIONS for batch in stage.sent)
    seen = [
        (r.frame.ref.camera_id, r.frame.ref.sequence, r.piece)
        for batch in stage.sent
        for r in batch.regions
    ]
    assert len(seen) == len(set(seen)) == 5 * 12 + 5
    # The pieces of a frame follow one another: it is complete before the next one begins.
    tiles = [(sequence, piece) for camera, sequence, piece in seen if camera == CAMERA]
    assert tiles == sorted(tiles)


def test_the_unit_is_cut_out_where_its_outline_is_known() -> None:
    outline = Outline(centre_x_px=90, centre_y_px=60, width_px=50, height_px=40, turn_deg=5)

    async def feed(stage: Stage) -> None:
        stage.offer(frame(0, outline=outline))
        stage.offer(frame(1))

    stage = run(feed, {CAMERA: replace(PLAIN, crop="unit")})
    regions = [region for batch in stage.sent for region in batch.regions]
    assert [r.upright for r in regions] == [outline, None]
    assert [r.rect for r in regions] == [Rect(0, 0, 50, 40), PLAIN.rect]


def test_frames_under_way_keep_the_view_of_the_job_their_unit_was_opened_under() -> None:
    other = replace(PLAIN, rect=Rect(8, 8, 40, 40))

    async def feed(stage: Stage) -> None:
        for sequence, view in enumerate((PLAIN, PLAIN, other, TILED, other)):
            stage.offer(frame(sequence), view)

    stage = run(feed, {CAMERA: PLAIN})
    rects = [r.rect for batch in stage.sent for r in batch.regions if r.pieces == 1]
    assert rects == [PLAIN.rect, PLAIN.rect, other.rect, other.rect]
    assert sum(r.pieces == 12 for batch in stage.sent for r in batch.regions) == 12


def test_without_a_known_model_input_frames_go_on_whole_and_without_pixels() -> None:
    async def feed(stage: Stage) -> None:
        for sequence in range(6):
            stage.offer(frame(sequence))

    stage = run(feed, {CAMERA: TILED}, model_input=None)
    assert all(batch.tensor is None and batch.model_input is None for batch in stage.sent)
    assert all(len(batch.regions) <= MAX_REGIONS for batch in stage.sent)
    assert [r.frame.ref.sequence for b in stage.sent for r in b.regions] == list(range(6))
    assert {r.pieces for b in stage.sent for r in b.regions} == {1}


def test_a_model_that_changes_its_input_in_the_middle_of_a_frame_gets_all_of_it() -> None:
    smaller = replace(MODEL, width_px=48, height_px=48)

    async def feed(stage: Stage) -> None:
        stage.offer(frame(0))
        await stage.receive()
        stage.tensors.form_for({NAME: smaller})

    stage = run(feed, {CAMERA: TILED})
    regions = [region for batch in stage.sent for region in batch.regions]
    assert [r.piece for r in regions] == list(range(12))
    for batch in stage.sent:
        assert batch.tensor is not None
        assert batch.model_input is not None
        side_px = batch.model_input.width_px
        assert batch.tensor.array.shape[1:] == (side_px, side_px, 3)
        assert all(64 * r.letterbox.scale <= side_px for r in batch.regions)
    assert stage.sent[-1].model_input == smaller


def test_frames_for_two_models_never_share_a_request_and_fit_the_input_of_theirs() -> None:
    other_name = ModelName(name="other")
    larger = replace(MODEL, width_px=96, height_px=96)

    async def feed(stage: Stage) -> None:
        stage.tensors.form_for({NAME: MODEL, other_name: larger})
        for sequence in range(6):
            stage.offer(frame(sequence, CAMERA))
            stage.offer(frame(sequence, OTHER), model=other_name)

    stage = run(feed, {CAMERA: PLAIN, OTHER: PLAIN}, model_input=None)
    for batch in stage.sent:
        camera, model_input = (CAMERA, MODEL) if batch.model == NAME else (OTHER, larger)
        assert {r.frame.ref.camera_id for r in batch.regions} == {camera}
        assert batch.model_input == model_input
        assert batch.tensor is not None
        assert batch.tensor.array.shape[1:] == model_input.shape
    for camera in (CAMERA, OTHER):
        seen = [r.frame.ref for batch in stage.sent for r in batch.regions]
        assert [ref.sequence for ref in seen if ref.camera_id == camera] == list(range(6))


def test_frames_of_a_model_that_is_not_prepared_go_on_and_hold_up_no_other() -> None:
    async def feed(stage: Stage) -> None:
        unknown = ModelName(name="unknown")
        for sequence in range(3):
            stage.offer(frame(sequence, CAMERA))
            stage.offer(frame(sequence, OTHER), model=unknown)

    stage = run(feed, {CAMERA: PLAIN, OTHER: PLAIN})
    assert all((batch.tensor is not None) == (batch.model == NAME) for batch in stage.sent)
    assert sum(len(batch.regions) for batch in stage.sent) == 6


def released(one: Frame) -> int:
    assert isinstance(one.lease, compared.Picture)
    return one.lease.released


def test_a_frame_that_fits_is_placed_and_shown_beside_its_reference() -> None:
    async def feed(stage: Stage) -> None:
        stage.tensors.form_for({compared.GOLDEN: compared.INPUT})
        stage.offer_compared(2, compared.job())

    stage = run(feed, {CAMERA: PLAIN}, model_input=None)
    (batch,) = stage.sent
    assert batch.model == compared.GOLDEN
    assert batch.tensor is not None
    (region,) = batch.regions
    placed = region.frame.ref.placed
    assert placed is not None
    assert placed.likeness > 0.95
    shown = batch.tensor.array[0]
    assert shown.shape == compared.INPUT.shape
    assert np.abs(shown[..., 0].astype(int) - shown[..., 1]).mean() < 5
    assert not stage.missed


def test_a_frame_that_does_not_fit_is_missed_and_its_buffer_goes_with_the_notice() -> None:
    offered: list[Frame] = []

    async def feed(stage: Stage) -> None:
        stage.tensors.form_for({compared.GOLDEN: compared.INPUT})
        for sequence, product in enumerate((0, 1, 0, 2)):
            offered.append(stage.offer_compared(sequence, compared.job(), product=product))

    stage = run(feed, {CAMERA: PLAIN}, model_input=None)
    shown = [r.frame.ref.sequence for batch in stage.sent for r in batch.regions]
    assert shown == [0, 2]
    assert [one.ref.sequence for one in stage.missed] == [1, 3]
    assert [released(one) for one in offered] == [0] * 4
    assert [one.lease for one in stage.missed] == [offered[1].lease, offered[3].lease]
    for one in stage.missed:
        assert one.reason is MissReason.REFERENCE_MISMATCH
        assert one.detail.startswith("its likeness to reference 0/1 is ")
        assert one.ref.placed is not None
        assert one.ref.placed.likeness < 0.6


def test_how_like_it_must_be_is_the_products() -> None:
    async def feed(stage: Stage) -> None:
        stage.tensors.form_for({compared.GOLDEN: compared.INPUT})
        stage.offer_compared(0, compared.job(least_likeness=1.0))

    (missed,) = run(feed, {CAMERA: PLAIN}, model_input=None).missed
    assert missed.detail.endswith("expected at least 1")


def test_a_frame_that_both_judge_is_shown_to_both_models() -> None:
    async def feed(stage: Stage) -> None:
        job = compared.job(judge="both")
        stage.tensors.form_for({compared.GOLDEN: compared.INPUT, job.recipe.model: MODEL})
        for sequence in range(3):
            stage.offer_compared(sequence, job)
        stage.offer_compared(3, job, product=1)

    stage = run(feed, {CAMERA: PLAIN}, model_input=None)
    for model in (compared.GOLDEN, jobs.recipe().model):
        batches = [batch for batch in stage.sent if batch.model == model]
        shown = [region for batch in batches for region in batch.regions]
        assert [region.frame.ref.sequence for region in shown] == [0, 1, 2]
        assert {region.on_reference for region in shown} == {model == compared.GOLDEN}
    assert [one.ref.sequence for one in stage.missed] == [3]


def test_where_the_picture_alone_judges_no_frame_is_placed() -> None:
    async def feed(stage: Stage) -> None:
        job = compared.job(judge="single")
        stage.tensors.form_for({job.recipe.model: MODEL})
        stage.offer_compared(0, job, product=1)

    stage = run(feed, {CAMERA: PLAIN}, model_input=None)
    (batch,) = stage.sent
    assert batch.regions[0].frame.ref.placed is None


def test_a_picture_that_is_shrunk_is_logged_once_with_its_factor_and_the_remedy() -> None:
    async def feed(stage: Stage) -> None:
        for sequence in range(3):
            stage.offer(frame(sequence))
            await stage.receive()

    with structlog.testing.capture_logs() as logs:
        stage = run(feed, {CAMERA: Cropping(rect=Rect(0, 0, 128, 100))})
    scale = stage.metrics.registry.get_sample_value("inspector_picture_scale", {"camera": CAMERA})
    assert scale == 0.5
    [told] = [entry for entry in logs if "shrunk" in entry["event"]]
    assert (told["camera"], told["picture"], told["factor"]) == (CAMERA, "128x100", 0.5)
    assert 'cameras.a.crop to "tiles"' in told["hint"]
