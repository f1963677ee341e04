"""Whatever the model server does, every frame gets one true verdict and inspection comes back."""

from __future__ import annotations

import asyncio

import pytest

from inspector.core.errors import ConfigurationError
from tests.kit.fake_triton import Act, Deployed, FakeTriton, serving
from tests.kit.pipeline import frames, line, recording, settings_for

BOTH = pytest.mark.parametrize("transport", ["stream", "unary"])
RESUMES_WITHIN_S = 5.0


@BOTH
def test_a_stream_broken_under_load_costs_only_what_was_in_flight(transport: str) -> None:
    async def main() -> None:
        fake = FakeTriton(script=lambda n, _id: Act(delay_s=0.002, drop=n == 20))
        async with serving(fake):
            settings = settings_for(fake.url, {"a": {}}, inference={"transport": transport})
            async with line(settings, {"a": frames(2000, fps=150)}) as run:
                await run.until(lambda: "PASSED" in run.results())
                before = run.tally()["model_unavailable"]
                await run.until(lambda: run.count("inspector_triton_reconnects_total") == 1)
                lost_at = len(run.units)
                await run.until(lambda: "PASSED" in run.results()[lost_at:], RESUMES_WITHIN_S)
                assert run.tally()["model_unavailable"] > before
                assert run.count("inspector_triton_up") == 1
                assert run.count("inspector_triton_reconnects_total") == 1
        assert set(run.tally()) <= {"PASSED", "model_unavailable", "frame_dropped"}

    asyncio.run(main(), debug=True)


@BOTH
def test_a_server_killed_under_load_and_back_on_its_port_is_used_again(transport: str) -> None:
    async def main() -> float:
        async with serving(FakeTriton(script=lambda *_: Act(delay_s=0.01))) as fake:
            settings = settings_for(fake.url, {"a": {}}, inference={"transport": transport})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.tally()["PASSED"] > 20)
                await fake.stop()
                await run.until(lambda: run.count("inspector_triton_up") == 0)
                await run.until(lambda: run.tally()["model_unavailable"] > 20)
                assert [f.kind for f in run.faults.standing] == ["triton"]
                settled = len(run.units)
                await fake.restart()
                back_s = await run.until(
                    lambda: "PASSED" in run.results()[settled:], RESUMES_WITHIN_S
                )
                assert not run.faults.standing
                assert [state for _, state, *_ in run.health] == ["raised", "cleared"]
            return back_s

    assert asyncio.run(main(), debug=True) < RESUMES_WITHIN_S


def test_frames_before_the_server_is_there_are_not_inspected_and_say_why() -> None:
    async def main() -> None:
        async with serving(FakeTriton(), from_start=False) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.tally()["model_unavailable"] > 10)
                assert set(run.tally()) <= {"model_unavailable", "frame_dropped"}
                assert [f.kind for f in run.faults.standing] == ["triton"]
                await fake.restart()
                await run.until(lambda: run.tally()["PASSED"] > 5, RESUMES_WITHIN_S)
                assert not run.faults.standing

    asyncio.run(main(), debug=True)


def test_units_seen_while_the_models_are_tried_out_are_inspected() -> None:
    async def main() -> None:
        fake = FakeTriton()
        fake.trial_s = 0.3
        async with serving(fake):
            patient = {"max_age_ms": 20_000.0, "lane_capacity": 64}
            settings = settings_for(
                fake.url, {"a": {}}, batching=patient, inspection={"deadline_ms": 30_000.0}
            )
            async with line(settings, {"a": frames(20, fps=100)}) as run:
                await asyncio.wait_for(run.ended, RESUMES_WITHIN_S)
        assert run.tally() == {"PASSED": 20}

    asyncio.run(main(), debug=True)


def test_units_are_not_inspected_once_the_first_trial_takes_longer_than_a_frame_may_wait() -> None:
    async def main() -> None:
        fake = FakeTriton()
        fake.hangs_in_trial = fake.model.name
        async with serving(fake):
            settings = settings_for(fake.url, {"a": {}}, batching={"max_age_ms": 200.0})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.tally()["model_unavailable"] > 5)
                assert "PASSED" not in run.tally()

    asyncio.run(main(), debug=True)


def test_a_recording_waits_for_the_server_and_loses_no_frame() -> None:
    async def main() -> None:
        async with serving(FakeTriton(), from_start=False) as fake:
            settings = settings_for(fake.url, {"a": recording()})
            async with line(settings, {"a": frames(30)}) as run:
                await run.until(lambda: run.faults.standing)
                assert not run.units
                await fake.restart()
                await asyncio.wait_for(run.ended, RESUMES_WITHIN_S)
        assert run.tally() == {"PASSED": 30}

    asyncio.run(main(), debug=True)


def test_a_recording_of_one_frame_is_inspected_too() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": recording()})
            async with line(settings, {"a": frames(1)}) as run:
                await asyncio.wait_for(run.ended, 5)
        assert run.tally() == {"PASSED": 1}

    asyncio.run(main(), debug=True)


def test_a_recording_that_stopped_waiting_for_the_server_says_shutting_down() -> None:
    async def main() -> None:
        async with serving(FakeTriton(), from_start=False) as fake:
            settings = settings_for(
                fake.url,
                {"a": recording()},
                shutdown={"drain_timeout_s": 1.0},
                inference={"reply_timeout_s": 0.5},
            )
            async with line(settings, {"a": frames(30)}) as run:
                await run.until(lambda: run.faults.standing)
                run.stop.set()
                await run.ended
        assert run.units
        assert set(run.tally()) == {"shutting_down"}

    asyncio.run(main(), debug=True)


def test_a_recording_ends_although_the_server_died_with_its_last_frame() -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda n, _id: Act(hang=n == 3))) as fake:
            settings = settings_for(fake.url, {"a": recording()}, batching={"max_regions": 1})
            async with line(settings, {"a": frames(4)}) as run:
                await run.until(lambda: fake.requests == 4 and len(run.units) == 3)
                await fake.stop()
                await asyncio.wait_for(run.ended, 3)
        assert run.results() == ["PASSED"] * 3 + ["model_unavailable"]

    asyncio.run(main(), debug=True)


def test_a_recording_loses_only_what_was_in_flight_when_the_server_dies() -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda n, _id: Act(hang=n == 5))) as fake:
            settings = settings_for(fake.url, {"a": recording()}, batching={"max_regions": 1})
            in_flight = settings.inference.max_in_flight
            async with line(settings, {"a": frames(60)}) as run:
                await run.until(lambda: fake.requests == 5 + in_flight and len(run.units) == 5)
                await fake.stop()
                await run.until(lambda: run.faults.standing)
                await run.until(lambda: len(run.units) == 5 + in_flight)
                fake.script = lambda *_: Act()
                await fake.restart()
                await asyncio.wait_for(run.ended, RESUMES_WITHIN_S)
        assert run.tally() == {"PASSED": 60 - in_flight, "model_unavailable": in_flight}

    asyncio.run(main(), debug=True)


@BOTH
def test_a_server_that_stops_answering_is_given_up_after_reply_timeout(transport: str) -> None:
    async def main() -> None:
        fake = FakeTriton(script=lambda n, _id: Act(hang=n == 10))
        async with serving(fake):
            inference = {"transport": transport, "reply_timeout_s": 0.3}
            settings = settings_for(fake.url, {"a": {}}, inference=inference)
            async with line(settings, {"a": frames(900, fps=100)}) as run:
                await run.until(lambda: fake.requests > 10)
                silent_s = await run.until(lambda: run.faults.standing)
                assert 0.2 < silent_s < 1.5
                assert "no reply within 0.3 s" in run.faults.standing[0].cause
                settled = len(run.units)
                await run.until(lambda: "PASSED" in run.results()[settled:], RESUMES_WITHIN_S)

    asyncio.run(main(), debug=True)


@BOTH
def test_a_refused_batch_is_inference_failed_and_only_that_batch(transport: str) -> None:
    async def main() -> None:
        refused: list[str] = []

        def script(number: int, request_id: str) -> Act:
            if number % 7 != 3:
                return Act()
            refused.append(request_id)
            return Act(refuse="the picture is not to my taste")

        async with serving(FakeTriton(script=script)) as fake:
            settings = settings_for(
                fake.url,
                {"a": recording()},
                batching={"max_regions": 1},
                inference={"transport": transport},
            )
            async with line(settings, {"a": frames(40)}) as run:
                await run.ended
        failed = [str(i) for i, r in enumerate(run.results()) if r == "inference_failed"]
        assert failed == refused
        assert len(refused) >= 5
        assert run.tally() == {"PASSED": 40 - len(refused), "inference_failed": len(refused)}
        assert all(u["detail"].endswith("taste") for u in run.units if u["reason"])
        assert run.count("inspector_triton_reconnects_total") == 0

    asyncio.run(main(), debug=True)


def _other_id(reply: object) -> None:
    reply.id = "123456"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "act", [Act(edit=_other_id), Act(twice=True), Act(end=True)], ids=["wrong id", "twice", "ended"]
)
def test_a_stream_out_of_step_is_dropped_and_nothing_on_it_trusted(act: Act) -> None:
    async def main() -> None:
        script = lambda n, _id: act if n == 15 else Act(delay_s=0.001)  # noqa: E731
        async with serving(FakeTriton(script=script)) as fake:
            settings = settings_for(fake.url, {"a": {}}, batching={"max_regions": 1})
            async with line(settings, {"a": frames(900, fps=200)}) as run:
                await run.until(lambda: "PASSED" in run.results())
                before = run.tally()["model_unavailable"]
                await run.until(lambda: run.count("inspector_triton_reconnects_total") == 1)
                settled = len(run.units)
                await run.until(lambda: "PASSED" in run.results()[settled + 5 :], 5)
                assert run.tally()["model_unavailable"] > before
                assert fake.streams == 2

    asyncio.run(main(), debug=True)


def test_a_server_that_breaks_every_stream_is_not_hammered() -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda *_: Act(drop=True))) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(900, fps=200)}) as run:
                await run.until(lambda: len(run.units) > 200)
                # 0.1 s, 0.2 s, 0.4 s ... apart, so not many in a second.
                assert fake.streams <= 6
                assert run.count("inspector_triton_reconnects_total") <= 6
            assert set(run.tally()) <= {"model_unavailable", "frame_dropped"}

    asyncio.run(main(), debug=True)


def test_a_model_with_another_input_size_is_taken_up_at_reconnect() -> None:
    async def main() -> None:
        async with serving(FakeTriton(Deployed(side_px=64))) as fake:
            settings = settings_for(fake.url, {"a": {}})
            spot = (40, 30, 20, 10)
            async with line(settings, {"a": frames(2000, fps=100, spot=spot)}) as run:
                await run.until(lambda: run.tally()["FAILED"] > 5)
                await fake.stop()
                fake.model = Deployed(side_px=96)
                await run.until(lambda: run.tally()["model_unavailable"])
                settled = len(run.units)
                await fake.restart()
                await run.until(lambda: "FAILED" in run.results()[settled:], RESUMES_WITHIN_S)
                failed = next(u for u in run.units[settled:] if u["result"] == "FAILED")
                left, top, width, height = failed["defects"][0]["bbox_px"]
                assert abs(left - 40) < 3
                assert abs(top - 30) < 3
                assert abs(width - 20) < 4
                assert abs(height - 10) < 4

    asyncio.run(main(), debug=True)


def test_a_model_that_no_longer_fits_is_a_fault_and_not_the_end() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.tally()["PASSED"] > 5)
                await fake.stop()
                fake.model = Deployed(dtype="INT8")
                await fake.restart()
                await run.until(lambda: run.faults.standing)
                await run.until(lambda: run.tally()["model_unavailable"] > 5)
                await fake.stop()
                fake.model = Deployed()
                settled = len(run.units)
                await fake.restart()
                await run.until(lambda: "PASSED" in run.results()[settled:], RESUMES_WITHIN_S)

    asyncio.run(main(), debug=True)


def test_a_model_that_does_not_fit_at_the_first_connection_is_a_configuration_error() -> None:
    async def main() -> None:
        async with serving(FakeTriton(Deployed(dtype="INT8"))) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                with pytest.raises(ExceptionGroup) as caught:
                    await asyncio.wait_for(run.ended, 5)
        assert caught.group_contains(ConfigurationError, match="INT8; expected UINT8, FP32 or FP16")

    asyncio.run(main(), debug=True)


def test_a_model_that_is_still_loading_is_waited_for() -> None:
    async def main() -> None:
        async with serving(FakeTriton(Deployed(ready=False))) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.faults.standing)
                assert "not ready: UNAVAILABLE" in run.faults.standing[0].cause
                fake.model.ready = True
                await run.until(lambda: run.tally()["PASSED"] > 3, RESUMES_WITHIN_S)

    asyncio.run(main(), debug=True)


def test_a_model_that_refuses_everything_is_a_fault_until_it_answers() -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda *_: Act(refuse="out of memory"))) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.faults.standing)
                assert "refuses every batch: out of memory" in run.faults.standing[0].cause
                await run.until(lambda: fake.streams > 3)
                assert [state for _, state, *_ in run.health] == ["raised"]
                fake.script = lambda *_: Act()
                await run.until(lambda: not run.faults.standing, RESUMES_WITHIN_S)
                await run.until(lambda: run.tally()["PASSED"])
                assert run.tally()["inference_failed"]

    asyncio.run(main(), debug=True)


def test_a_model_swapped_while_the_server_runs_is_noticed() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.tally()["PASSED"])
                fake.model = Deployed(side_px=96)
                await run.until(lambda: run.tally()["inference_failed"])
                settled = len(run.units)
                await run.until(lambda: "PASSED" in run.results()[settled:], RESUMES_WITHIN_S)
                refused = [u for u in run.units if u["reason"] == "inference_failed"]
                assert "unexpected shape" in refused[0]["detail"]

    asyncio.run(main(), debug=True)
