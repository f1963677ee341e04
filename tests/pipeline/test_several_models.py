"""One connection asks several models: prepared while others answer, and kept over reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.recipes import ModelName
from inspector.core.records import MissReason
from inspector.inference.triton import TritonModel
from inspector.pipeline.buffers import tensor_pool
from inspector.pipeline.terms import model_terms
from inspector.settings.settings import Settings
from tests.kit.fake_triton import Act, Deployed, FakeTriton, serving
from tests.kit.inference_stage import InferenceStage, inference_stage
from tests.kit.pipeline import settings_for

STATION = ModelName(name="pcb_inspection")
GOLDEN = ModelName(name="golden")
CODES = Settings.model_fields["inspection"].default.codes
REFERENCE = {"channels": "unit,reference"}


def golden(side_px: int = 96, **changes: Any) -> Deployed:
    fields = {"name": "golden", "side_px": side_px, "channels": 2, "parameters": REFERENCE}
    return Deployed(**{**fields, **changes})


@asynccontextmanager
async def stage(fake: FakeTriton, **inference: Any) -> AsyncIterator[InferenceStage]:
    async with serving(fake), inference_stage(fake.url, **inference) as made:
        yield made


@pytest.mark.parametrize("tensors", ["auto", "inline"])
def test_two_models_are_asked_on_one_stream_and_each_reply_finds_its_own(tensors: str) -> None:
    async def main() -> None:
        fake = FakeTriton(more=[golden()])
        async with stage(fake, tensors=tensors) as made:
            spec = await made.model.prepare(GOLDEN, CODES)
            assert (spec.name, spec.input.channels, spec.input.takes_reference) == (
                "golden",
                2,
                True,
            )
            asked = [STATION, GOLDEN, GOLDEN, STATION, GOLDEN, STATION]
            numbers = [await made.send(model) for model in asked]
            for number, model in zip(numbers, asked, strict=True):
                outcome = await made.outcome(number)
                assert outcome.spec is not None
                assert outcome.spec.name == model.name
                assert outcome.outputs is not None
            assert fake.asked == {"pcb_inspection": 3, "golden": 3}
            assert fake.streams == 1
            assert (fake.shared_requests == 6) == (tensors == "auto")

    asyncio.run(main(), debug=True)


def test_a_refusal_between_two_models_finds_its_batch_although_it_names_none() -> None:
    async def main() -> None:
        refuses_second = lambda n, _id: Act(refuse="not this one" if n == 1 else "")  # noqa: E731
        async with stage(FakeTriton(script=refuses_second, more=[golden()])) as made:
            await made.model.prepare(GOLDEN, CODES)
            numbers = [await made.send(model) for model in (STATION, GOLDEN, STATION)]
            found = [(await made.outcome(number)).miss for number in numbers]
            assert found == [None, MissReason.INFERENCE_FAILED, None]

    asyncio.run(main(), debug=True)


def test_nothing_is_lost_while_a_model_with_a_larger_input_is_prepared() -> None:
    """What was lent from the old block is answered from it, and then the server lets it go."""

    async def main() -> None:
        release = asyncio.Event()

        def answers_late(_number: int, _id: str) -> Act:
            return Act(delay_s=0 if release.is_set() else 0.2)

        fake = FakeTriton(script=answers_late, more=[golden(side_px=160)])
        async with stage(fake, tensors="shared_memory") as made:
            before = made.tensors.block
            assert before is not None
            held = await made.tensors.lease(STATION)
            assert held is not None
            numbers = [await made.send(STATION) for _ in range(3)]
            await made.model.prepare(GOLDEN, CODES)
            assert made.tensors.block is not before
            assert before.lent
            assert len(fake.regions) == 2
            release.set()
            numbers += [await made.send(model) for model in (GOLDEN, STATION)]
            for number in numbers:
                assert (await made.outcome(number)).outputs is not None
            assert fake.shared_requests == len(numbers)
            held.release()
            await made.until(lambda: len(fake.regions) == 1)
            assert before.key is None
            again = made.tensors.block
            await made.model.prepare(GOLDEN, CODES)
            assert made.tensors.block is again, "an input that fits needs no other block"

    asyncio.run(main(), debug=True)


def test_every_prepared_model_is_there_again_after_a_reconnect_until_it_is_released() -> None:
    async def main() -> None:
        fake = FakeTriton(more=[golden()])
        async with stage(fake) as made:
            await made.model.prepare(GOLDEN, CODES)
            await fake.stop()
            await made.until(lambda: made.told and not made.told[-1][0])
            fake.more = []
            await fake.restart()
            await made.until(lambda: "golden" in made.told[-1][1])
            assert 'a recipe\'s model is "golden"' in made.told[-1][1]
            fake.more = [golden()]
            await made.until(lambda: made.told[-1][0])
            assert (await made.outcome(await made.send(GOLDEN))).outputs is not None
            made.model.release(GOLDEN)
            # What is under way, or comes late, is answered still.
            assert (await made.outcome(await made.send(GOLDEN))).outputs is not None
            fake.more = []
            await fake.stop()
            await made.until(lambda: not made.told[-1][0])
            await fake.restart()
            await made.until(lambda: made.told[-1][0])
            assert made.model.spec_of(GOLDEN) is None
            assert made.tensors.input_of(GOLDEN) is None

    asyncio.run(main(), debug=True)


def test_a_model_that_nothing_in_use_needs_holds_up_no_line_when_it_is_gone() -> None:
    async def main() -> None:
        fake = FakeTriton(more=[golden()])
        async with stage(fake) as made:
            await made.model.prepare(GOLDEN, CODES)
            made.model.use({(STATION, CODES)})
            fake.more = []
            await fake.stop()
            await made.until(lambda: not made.told[-1][0])
            await fake.restart()
            await made.until(lambda: made.told[-1][0])
            assert not made.model.knows(GOLDEN, CODES)
            assert made.model.knows(STATION, CODES)
            assert (await made.outcome(await made.send(STATION))).outputs is not None
            # Its product is asked for again, and no line without it.
            fake.more = [golden()]
            await made.model.prepare(GOLDEN, CODES)
            made.model.use({(GOLDEN, CODES)})
            assert (await made.outcome(await made.send(GOLDEN))).outputs is not None
            fake.model.ready, fake.more = False, []
            await fake.stop()
            await fake.restart()
            await made.until(lambda: "golden" in made.told[-1][1])
            fake.more = [golden()]
            await made.until(lambda: made.told[-1][0])
            assert not made.model.knows(STATION, CODES), "the station's own, which nobody needs now"

    asyncio.run(main(), debug=True)


def test_a_model_that_was_never_loaded_is_asked_for_and_one_that_was_unloaded_is_not() -> None:
    """Who takes a model out of service on a server does not want a station to undo it."""

    async def main() -> None:
        fake = FakeTriton(more=[golden(ready=False)])
        fake.loads = True
        async with stage(fake) as made:
            await made.model.prepare(GOLDEN, CODES)
            assert fake.loaded == ["golden"]
            fake.more = [golden(name="other", ready=False, reason="unloaded")]
            with pytest.raises(InferenceUnavailableError, match="UNAVAILABLE unloaded"):
                await made.model.prepare(ModelName(name="other"), CODES)
            assert fake.loaded == ["golden"]

    asyncio.run(main(), debug=True)


def test_a_model_is_compared_for_each_recipe_that_names_its_classes_in_its_own_words() -> None:
    async def main() -> None:
        words = tuple(code.upper() for code in CODES)
        async with stage(FakeTriton(more=[golden()])) as made:
            await made.model.prepare(GOLDEN, CODES)
            await made.model.prepare(GOLDEN, words)
            assert made.model.knows(GOLDEN, CODES)
            assert made.model.knows(GOLDEN, words)
            assert not made.model.knows(GOLDEN, CODES[:3])

    asyncio.run(main(), debug=True)


def test_a_model_that_is_required_from_the_start_is_part_of_the_connection() -> None:
    async def main() -> None:
        knows = golden(parameters={**REFERENCE, "classes": ",".join(CODES)})
        async with serving(FakeTriton(more=[knows])) as fake:
            settings = settings_for(fake.url, {"a": {}}, inference={"tensors": "inline"})
            model = TritonModel(fake.url, model_terms(settings), tensor_pool(settings))
            model.require(GOLDEN, CODES)
            assert set(await model.connect()) == {STATION, GOLDEN}
            model.require(GOLDEN, CODES[:2])
            with pytest.raises(ConfigurationError, match="golden"):
                await model.connect()
            await model.close()

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize(
    ("deployed", "codes", "why"),
    [
        ([], CODES, 'a recipe\'s model is "golden", but the server has: pcb_inspection'),
        ([golden(parameters={})], CODES, r"parameter.* channels"),
        (
            [golden(parameters={**REFERENCE, "classes": ",".join(CODES)})],
            CODES[:3],
            "model golden was built for: ",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused_by_name_and_changes_nothing(
    deployed: list[Deployed], codes: tuple[str, ...], why: str
) -> None:
    async def main() -> None:
        async with stage(FakeTriton(more=deployed)) as made:
            block = made.tensors.block
            with pytest.raises(ConfigurationError, match=why):
                await made.model.prepare(GOLDEN, codes)
            assert made.model.spec_of(GOLDEN) is None
            assert made.tensors.input_of(GOLDEN) is None
            assert made.tensors.block is block
            assert (await made.outcome(await made.send(STATION))).outputs is not None
            assert [up for up, _ in made.told] == [True]

    asyncio.run(main(), debug=True)


def test_a_threshold_below_what_the_model_reports_is_refused_before_it_is_used() -> None:
    async def main() -> None:
        reports = golden(parameters={**REFERENCE, "score_threshold": "0.3"})
        async with stage(FakeTriton(more=[reports])) as made:
            with pytest.raises(ConfigurationError, match=r"down to 0\.2, but model golden"):
                await made.model.prepare(GOLDEN, CODES, lowest_threshold=0.2)
            await made.model.prepare(GOLDEN, CODES, lowest_threshold=0.3)

    asyncio.run(main(), debug=True)


def test_a_model_cannot_be_prepared_while_the_server_is_away() -> None:
    async def main() -> None:
        fake = FakeTriton(more=[golden()])
        async with stage(fake) as made:
            await fake.stop()
            with pytest.raises(InferenceUnavailableError):
                await made.model.prepare(GOLDEN, CODES)
            await fake.restart()
            await made.until(lambda: made.told[-1][0] and len(made.told) > 1)
            await made.model.prepare(GOLDEN, CODES)

    asyncio.run(main(), debug=True)


def test_a_connection_that_is_lost_while_a_model_is_prepared_is_no_cancellation() -> None:
    async def main() -> None:
        fake = FakeTriton(script=lambda n, _id: Act(drop=n == 0), more=[golden()])
        fake.hangs_in_trial = "golden"
        async with stage(fake) as made:
            preparing = asyncio.create_task(made.model.prepare(GOLDEN, CODES))
            await fake.is_hanging.wait()
            await made.send(STATION)  # breaks the stream
            with pytest.raises(InferenceUnavailableError):
                await preparing
            await made.until(lambda: made.told[-1][0] and len(made.told) > 1)
            fake.hangs_in_trial = ""
            await made.model.prepare(GOLDEN, CODES)

    asyncio.run(main(), debug=True)


def test_the_stations_own_model_takes_no_reference() -> None:
    async def main() -> None:
        deployed = Deployed(channels=2, parameters=REFERENCE)
        async with serving(FakeTriton(deployed)) as fake:
            settings = settings_for(fake.url, {"a": {}}, inference={"tensors": "inline"})
            model = TritonModel(fake.url, model_terms(settings), tensor_pool(settings))
            with pytest.raises(ConfigurationError, match="expected one that takes a picture alone"):
                await model.connect()
            await model.close()

    asyncio.run(main(), debug=True)


def test_another_version_of_one_model_has_the_connection_made_anew() -> None:
    async def main() -> None:
        fake = FakeTriton(more=[golden()])
        async with stage(fake) as made:
            await made.model.prepare(GOLDEN, CODES)
            assert (await made.outcome(await made.send(GOLDEN))).outputs is not None
            fake.more = [golden(version="2")]
            outcome = await made.outcome(await made.send(GOLDEN))
            assert outcome.miss is MissReason.MODEL_UNAVAILABLE
            assert "version 2 of the model answers, 1 was checked" in outcome.detail
            await made.until(lambda: made.told[-1][0] and len(made.told) > 2)
            outcome = await made.outcome(await made.send(GOLDEN))
            assert outcome.spec is not None
            assert outcome.spec.version == "2"

    asyncio.run(main(), debug=True)
