"""A stream of triggers that is replaced, set back or deleted: each trigger gets one verdict."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import redis

from inspector.core.verdicts import Verdict
from inspector.intake.stream_reader import BLOCK_MS
from tests.kit.redis_server import RedisServer, any_binary, binaries
from tests.kit.trigger_station import KEY, Station, running, until

MINUTE_MS = 60_000
YEAR_2100_MS = 4_102_444_800_000


@pytest.fixture(params=binaries())
def server(request, tmp_path):
    with RedisServer(request.param, tmp_path / "redis") as server:
        yield server


@pytest.fixture
def any_redis(tmp_path):
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with RedisServer(binary, tmp_path / "redis") as server:
        yield server


def now_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def send(client: redis.Redis, *units: str, ahead_ms: int = 0) -> None:
    """With `ahead_ms`: as a Redis numbers them whose clock is ahead."""
    at_ms = now_ms(client) + ahead_ms
    for number, unit in enumerate(units):
        client.xadd(KEY, {"unit_id": unit}, id=f"{at_ms}-{number}" if ahead_ms else "*")


def names(told: list[Verdict]) -> list[str | None]:
    return [verdict.unit.given_id for verdict in told]


async def given(told: list[Verdict], *units: str) -> None:
    await until(lambda: set(units) <= set(names(told)), 4 * BLOCK_MS / 1000)
    assert len(names(told)) == len(set(names(told))), names(told)


def replaced(server: RedisServer) -> None:
    server.kill()
    server.empty()
    server.start()


def test_triggers_of_a_replaced_redis_whose_clock_is_right_again_are_answered(server, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        async with running(tmp_path, server.url, told) as station:
            with server.client() as client:
                send(client, "a1", "a2", ahead_ms=10 * MINUTE_MS)
            await given(told, "a1", "a2")
            await asyncio.to_thread(replaced, server)
            with server.client() as client:
                send(client, "b1", "b2", "b3")
                await given(told, "b1", "b2", "b3")
            assert len(station.heard.begun_anew) == 1
            assert "was read up to" in station.heard.begun_anew[0]
        with server.client() as client:
            send(client, "b4")  # while the service is not running
        async with running(tmp_path, server.url, told) as station:
            await given(told, "b4")
            with server.client() as client:
                send(client, "b5")
                await given(told, "b5")
            assert station.heard.begun_anew == [], "and is the same from then on"

    asyncio.run(main(), debug=True)


def test_the_service_starts_after_redis_was_replaced(any_redis, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        async with running(tmp_path, any_redis.url, told):
            with any_redis.client() as client:
                send(client, "a1", ahead_ms=10 * MINUTE_MS)
            await given(told, "a1")
        await asyncio.to_thread(replaced, any_redis)
        with any_redis.client() as client:
            send(client, "b1", "b2")
            async with running(tmp_path, any_redis.url, told) as station:
                await given(told, "b1", "b2")
                assert {v.detail for v in told[1:]} == {"it came while the service was not running"}
                assert len(station.heard.begun_anew) == 1

    asyncio.run(main(), debug=True)


def test_a_key_deleted_after_an_id_made_by_hand_is_read_anew(server, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        with server.client() as client:
            async with running(tmp_path, server.url, told) as station:
                client.xadd(KEY, {"unit_id": "c0"})
                client.xadd(KEY, {"unit_id": "c1"}, id=f"{YEAR_2100_MS}-0")
                await given(told, "c0", "c1")
                assert station.worker._reader._is_ahead, (
                    "so it looks often whether the stream is another"
                )
                client.delete(KEY)
                send(client, "c2", "c3")
                await given(told, "c2", "c3")
                assert len(station.heard.begun_anew) == 1
                assert not station.worker._reader._is_ahead
            async with running(tmp_path, server.url, told) as station:
                send(client, "c4")
                await given(told, "c4")
                assert station.heard.begun_anew == []

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_an_older_copy_of_the_stream_is_not_answered_twice(any_redis, tmp_path, restarts):
    """As a replica has that takes over, with a clock that is behind."""

    async def main() -> None:
        told: list[Verdict] = []
        old = [f"old{n}" for n in range(20)]
        station = await started(tmp_path, any_redis.url, told)
        with any_redis.client() as client:
            send(client, *old, ahead_ms=10 * MINUTE_MS)
        await given(told, *old)
        await asyncio.to_thread(any_redis.stop)
        any_redis.save_copy(tmp_path / "copy")
        await asyncio.to_thread(any_redis.start)
        with any_redis.client() as client:
            send(client, "lost1", "lost2", ahead_ms=20 * MINUTE_MS)
        await given(told, "lost1", "lost2")
        if restarts:
            await station.stop()
        await asyncio.to_thread(any_redis.kill)
        any_redis.restore_copy(tmp_path / "copy")
        await asyncio.to_thread(any_redis.start)
        if restarts:
            with any_redis.client() as client:
                send(client, "new1", "new2")  # Redis numbers them on after its last
            station = await started(tmp_path, any_redis.url, told)
        else:
            await until(lambda: station.heard.begun_anew)
            with any_redis.client() as client:
                send(client, "new1", "new2")
        await given(told, "new1", "new2")
        assert set(names(told)) == {*old, "lost1", "lost2", "new1", "new2"}
        assert len(station.heard.begun_anew) == 1
        await station.stop()

    asyncio.run(main(), debug=True)


async def started(folder: Path, url: str, told: list[Verdict]) -> Station:
    station = Station(folder, url, told, rng=random.Random(1))
    station.start()
    await until(lambda: station.worker.has_begun and station.heard.is_reading)
    return station


def test_a_stream_that_grew_beyond_the_old_one_while_nobody_read_is_known_as_another(
    any_redis, tmp_path
):
    """Its end tells nothing then: what was read last is not in it."""

    async def main() -> None:
        told: list[Verdict] = []
        async with running(tmp_path, any_redis.url, told):
            with any_redis.client() as client:
                send(client, "a1", ahead_ms=MINUTE_MS)
            await given(told, "a1")
        await asyncio.to_thread(replaced, any_redis)
        with any_redis.client() as client:
            send(client, "b1", "b2")
            send(client, "b3", ahead_ms=2 * MINUTE_MS)
            async with running(tmp_path, any_redis.url, told) as station:
                await given(told, "b1", "b2", "b3")
                assert len(station.heard.begun_anew) == 1

    asyncio.run(main(), debug=True)


def test_a_stream_that_is_trimmed_is_the_same(any_redis, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as client:
            for trims in ("one", "all"):
                async with running(tmp_path, any_redis.url, told) as station:
                    send(client, f"{trims}1", f"{trims}2")
                    await given(told, f"{trims}1", f"{trims}2")
                    assert station.heard.begun_anew == []
                client.xtrim(KEY, maxlen=0 if trims == "all" else 1, approximate=False)
            async with running(tmp_path, any_redis.url, told) as station:
                send(client, "last")
                await given(told, "last")
                assert station.heard.begun_anew == []

    asyncio.run(main(), debug=True)


def test_ids_made_by_hand_beyond_all_clocks_are_answered_once_through_restarts(any_redis, tmp_path):
    """Nanoseconds, and a counter: positions that do not fit are looked up in the journal."""

    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as client:
            for life in range(3):
                client.xadd(KEY, {"unit_id": f"d{life}"}, id=f"{1_800_000_000 * 10**9 + life}-0")
                async with running(tmp_path, any_redis.url, told):
                    client.xadd(
                        KEY, {"unit_id": f"e{life}"}, id=f"{1_800_000_000 * 10**9 + life}-1"
                    )
                    wanted = [f"e{n}" for n in range(life + 1)] + [f"d{n}" for n in range(1, life)]
                    await given(told, *wanted)

    asyncio.run(main(), debug=True)


def test_a_trigger_before_the_second_start_is_answered_where_the_stream_was_empty_before(
    any_redis, tmp_path
):
    async def main() -> None:
        told: list[Verdict] = []
        async with running(tmp_path, any_redis.url, told):
            pass
        with any_redis.client() as client:
            send(client, "f1")
            async with running(tmp_path, any_redis.url, told):
                await given(told, "f1")

    asyncio.run(main(), debug=True)


# --- rights and commands that are missing ---


@pytest.mark.parametrize("missing", ["xread", "time", "xinfo"])
def test_missing_rights_are_told_and_triggers_are_read_once_they_are_there(
    any_redis, tmp_path, missing
):
    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as admin:
            admin.execute_command(
                *("ACL", "SETUSER", "station", "on", ">pw-station", "~*", "+@all", f"-{missing}")
            )
            url = any_redis.url.replace("//", "//station:pw-station@")
            station = Station(tmp_path, url, told, rng=random.Random(1))
            station.start()
            await until(lambda: station.heard.reading)
            reading, cause = station.heard.reading[0]
            assert not reading
            assert "does not allow this user" in cause
            assert missing in cause.lower()
            send(admin, "before")
            admin.execute_command("ACL", "SETUSER", "station", "+@all")
            await until(lambda: station.heard.is_reading)
            send(admin, "after")
            await given(told, "after")
            await station.stop()

    asyncio.run(main(), debug=True)


def test_rights_taken_away_while_it_runs_are_told(any_redis, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as admin:
            admin.execute_command("ACL", "SETUSER", "station", "on", ">pw", "~*", "+@all")
            url = any_redis.url.replace("//", "//station:pw@")
            async with running(tmp_path, url, told) as station:
                await until(lambda: station.heard.is_reading)
                admin.execute_command("ACL", "SETUSER", "station", "-time")
                send(admin, "g1")
                await until(lambda: not station.heard.is_reading)
                admin.execute_command("ACL", "SETUSER", "station", "+time")
                await given(told, "g1")
                assert station.heard.is_reading

    asyncio.run(main(), debug=True)


def test_a_redis_without_time_is_told_as_that(tmp_path):
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")

    async def main(server: RedisServer) -> None:
        station = Station(tmp_path, server.url, [], rng=random.Random(1))
        station.start()
        await until(lambda: station.heard.reading)
        assert station.heard.reading[0][1].startswith("Redis lacks a command that reading them")
        await station.stop()

    with RedisServer(binary, tmp_path / "redis", "--rename-command", "TIME", "") as server:
        asyncio.run(main(server), debug=True)


def test_a_connection_that_is_closed_once_is_not_told(any_redis, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as client:
            async with running(tmp_path, any_redis.url, told) as station:
                await until(lambda: station.heard.is_reading)
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                send(client, "h1")
                await given(told, "h1")
                assert [reading for reading, _cause in station.heard.reading] == [True]

    asyncio.run(main(), debug=True)


# --- triggers that open no unit ---


def test_each_refused_trigger_is_answered_and_each_kind_logged_once(
    any_redis, tmp_path, capsys: pytest.CaptureFixture[str]
):
    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as client:
            async with running(tmp_path, any_redis.url, told):
                sent = [
                    client.xadd(KEY, fields)
                    for fields in (
                        {"unit_id": "Gehäuse".encode("latin-1")},
                        {"unit_id": b"Geh\xe4use 2"},
                        {"unit_id": "PCB\t1"},
                        {"unit_id": "u", "at": "2026-01-01T00:00:00"},
                        {"unit_id": "u", "camera": "nose"},
                    )
                ]
                client.xadd(KEY, {"unit_id": "good\r\n"})
                await given(told, "good")
                answers = client.xrange(KEY.replace("triggers", "refusals"))
        assert [fields["trigger"] for _, fields in answers] == sent
        assert {fields["schema"] for _, fields in answers} == {"inspector.refusal/1"}
        assert [fields["kind"] for _, fields in answers] == [
            "unit_id: not UTF-8",
            "unit_id: not UTF-8",
            "unit_id: holds TAB",
            "at: no offset",
            "",
        ]
        assert answers[-1][1]["outcome"] == "unknown_camera"
        assert all(fields["problem"].isprintable() for _, fields in answers)

    asyncio.run(main(), debug=True)
    logged = capsys.readouterr().out.count("trigger refused")
    assert logged == 4


def test_answers_that_may_not_be_written_hold_up_nothing(any_redis, tmp_path):
    async def main() -> None:
        told: list[Verdict] = []
        with any_redis.client() as admin:
            admin.execute_command(
                *("ACL", "SETUSER", "station", "on", ">pw", f"~{KEY}", "+@all", "-xadd")
            )
            url = any_redis.url.replace("//", "//station:pw@")
            async with running(tmp_path, url, told) as station:
                admin.xadd(KEY, {"unit_id": ""})
                admin.xadd(KEY, {"unit_id": "good"})
                await given(told, "good")
                assert station.heard.is_reading

    asyncio.run(main(), debug=True)
