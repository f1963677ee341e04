import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from inspector.core.errors import ConfigurationError, SinkUnavailableError
from inspector.core.records import Stream
from inspector.embedded.redis.server import EmbeddedRedis
from inspector.journal import clocks
from inspector.journal.file import FILE_NAME
from inspector.journal.station_time import Reading
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from tests.kit.line import wait_for
from tests.kit.redis_server import RedisServer, any_binary, binaries
from tests.kit.redis_station import (
    DEFECTS_KEY,
    STATION,
    UNITS_KEY,
    assert_once_in_order_gapless,
    event,
    in_loop,
    running,
)


@pytest.fixture(params=binaries())
def redis_server(request, tmp_path):
    with RedisServer(request.param, tmp_path / "redis") as server:
        yield server


@pytest.fixture
def one_redis(tmp_path):
    """Where the version of the server makes no difference."""
    binary = any_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with RedisServer(binary, tmp_path / "redis") as server:
        yield server


def test_a_stream_newer_than_the_rights_in_redis_holds_up_no_other(
    tmp_path: Path, redis_server: RedisServer
):
    with redis_server.client() as client:
        old = [UNITS_KEY.replace("units", s.value) for s in Stream if s is not Stream.CHANGES]
        client.acl_setuser("old", enabled=True, nopass=True, keys=old, commands=["+@all"])

    async def main() -> None:
        url = redis_server.url.replace("redis://", "redis://old:any@")
        async with running(tmp_path / "state", url) as station:
            await station.send(3)
            await station.delivered()
            assert not station.seen.is_down()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 3)


def test_an_entry_has_the_fields_of_the_contract(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(1)
        assert station.seen.states == [(True, "")]
        assert station.seen.published[Stream.UNITS] == 1
        assert station.seen.pending == 0

    in_loop(main)
    with redis_server.client() as client:
        ((_, fields),) = client.xrange(UNITS_KEY)
    assert list(fields) == ["id", "seq", "schema", "time", "unit_id", "result", "data"]
    body = orjson.loads(fields["data"])
    assert body.pop("published_at").endswith("+00:00")
    assert body.pop("seq") == 1
    assert body == event(1).body


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_redis_that_goes_and_returns_has_every_event_once(redis_server, tmp_path, end):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            for _ in range(3):
                await station.send(40)
                sending = asyncio.create_task(station.send(40))
                await asyncio.to_thread(getattr(redis_server, end))
                await sending
                await station.seen.until(station.seen.is_down)
                await station.send(5)
                assert station.journal.main.pending_count >= 5
                await asyncio.to_thread(redis_server.start)
                began_s = asyncio.get_running_loop().time()
                await station.delivered()
                took_s = asyncio.get_running_loop().time() - began_s
                assert took_s < 5, station.seen.states
        causes = [cause for up, cause in station.seen.states if not up]
        assert any("cannot be reached" in cause for cause in causes), causes

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 255)


def test_a_redis_that_stops_answering_gets_nothing_twice(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(20)
            sending = asyncio.create_task(station.send(200))
            await station.seen.until(lambda: station.seen.published[Stream.UNITS] > 20)
            redis_server.freeze()
            frozen_s = asyncio.get_running_loop().time()
            await station.seen.until(station.seen.is_down)
            # Let several attempts pile up in the frozen server's socket buffers.
            wait_s = 3 - (asyncio.get_running_loop().time() - frozen_s)
            await asyncio.sleep(max(0, wait_s))
            redis_server.resume()
            await sending
            await station.delivered()
        assert "in time" in station.seen.states[1][1] or "reached" in station.seen.states[1][1]

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 220)


def test_redis_may_be_down_at_start(one_redis, tmp_path):
    one_redis.stop()

    async def main() -> None:
        async with running(tmp_path / "state", one_redis.url) as station:
            await station.send(10)
            await station.seen.until(lambda: station.seen.states != [])
            assert station.seen.states[0][0] is False
            await asyncio.to_thread(one_redis.start)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(one_redis, 10)


def test_what_redis_did_not_take_before_the_stop_follows_after_the_next_start(one_redis, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", one_redis.url) as station:
            await station.send(10)
            await station.delivered()
            await asyncio.to_thread(one_redis.stop)
            await station.send(10)
        assert station.seen.pending == 20
        await asyncio.to_thread(one_redis.start)
        async with running(tmp_path / "state", one_redis.url) as station:
            station.sent = 20
            await station.send(10)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(one_redis, 30)


def test_a_redis_that_comes_back_empty_is_filled_again(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(300)
            await station.delivered()
            await asyncio.to_thread(redis_server.stop)
            redis_server.empty()
            await station.send(10)
            await asyncio.to_thread(redis_server.start)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 310)


def test_a_redis_restored_from_an_older_copy_gets_the_rest(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(100)
            await station.delivered()
            await asyncio.to_thread(redis_server.stop)
            redis_server.save_copy(tmp_path / "copy")
            await asyncio.to_thread(redis_server.start)
            await station.send(150)
            await station.delivered()
            await asyncio.to_thread(redis_server.stop)
            redis_server.restore_copy(tmp_path / "copy")
            await station.send(10)
            await asyncio.to_thread(redis_server.start)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 260)


def test_flushall_under_a_live_connection_is_noticed_and_repaired(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(50)
            await station.delivered()
            with redis_server.client() as client:
                client.flushall()
                # A waiting consumer makes its group, and with it the stream, at once.
                client.xgroup_create(UNITS_KEY, "mes", id="0", mkstream=True)
            published = dict(station.seen.published)
            await station.send(1)
            await station.seen.until(
                lambda: station.seen.published[Stream.DEFECTS] == published[Stream.DEFECTS] + 51
            )
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 51)


def test_a_redis_out_of_memory_is_down_with_its_cause_and_heals(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(20)
            await station.delivered()
            with redis_server.client() as client:
                client.config_set("maxmemory", 1)
                await station.send(20)
                await station.seen.until(station.seen.is_down)
                assert "no memory left" in station.seen.states[-1][1]
                assert "filling" not in station.seen.states[-1][1]
                client.config_set("maxmemory", 0)
            await station.delivered()
            assert station.seen.states[-1] == (True, "")

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 40)


def test_a_redis_that_fills_keeps_room_for_the_triggers_of_others(one_redis, tmp_path):
    """And takes the events as soon as there is room again: none is lost, none comes twice."""
    units, limit_bytes = 12_000, 8_000_000

    async def main() -> None:
        async with running(tmp_path / "state", one_redis.url) as station:
            with one_redis.client() as client:
                client.config_set("maxmemory", limit_bytes)
                await station.send(units)
                await station.seen.until(station.seen.is_down, timeout_s=60)
                _up, cause = station.seen.states[-1]
                assert "nearly full" in cause
                assert "of 8.0 MB (maxmemory) are used, and the rest is left to triggers" in cause
                assert station.journal.main.pending_count > 0
                used = client.info("memory")["used_memory"]
                assert 0.85 * limit_bytes < used < 0.95 * limit_bytes
                for number in range(200):
                    client.xadd(UNITS_KEY + ":triggers", {"unit_id": f"T-{number}"})
                memory, _expected_bytes = station.seen.memory[-1]
                assert memory.limit_bytes == limit_bytes
                client.config_set("maxmemory", 100_000_000)
            await station.seen.until(lambda: station.seen.states[-1][0], timeout_s=60)
            await station.seen.until(lambda: station.seen.pending == 0, timeout_s=60)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(one_redis, units)


def test_a_user_that_may_not_ask_how_full_redis_is_delivers_all_the_same(one_redis, tmp_path):
    async def main() -> None:
        with one_redis.client() as client:
            rights = ["on", ">pw", "~*", "+@all", "-info", "-time"]
            client.execute_command("ACL", "SETUSER", "line", *rights)
            client.config_set("maxmemory", 8_000_000)
        url = one_redis.url.replace("redis://", "redis://line:pw@")
        async with running(tmp_path / "state", url) as station:
            await station.send(50)
            await station.delivered()
            assert station.seen.memory == []
            assert station.seen.clocks == [None]

    in_loop(main)
    assert_once_in_order_gapless(one_redis, 50)


def test_a_read_only_redis_is_down_with_its_cause(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(5)
            await station.delivered()
            with redis_server.client() as client:
                client.replicaof("127.0.0.1", "1")
                await station.send(5)
                await station.seen.until(station.seen.is_down)
                assert "replica" in station.seen.states[-1][1]
                client.replicaof("NO", "ONE")
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 10)


def test_a_wrong_password_is_down_with_its_cause_and_never_shown(one_redis):
    with one_redis.client() as client:
        client.config_set("requirepass", "right-one")

    async def main() -> None:
        url = one_redis.url.replace("//", "//default:wrong-secret@")
        writer = RedisStreamWriter(url, station_id=STATION)
        with pytest.raises(SinkUnavailableError, match="password") as refused:
            await writer.tips()
        assert "wrong-secret" not in str(refused.value)
        await writer.close()
        writer = RedisStreamWriter(one_redis.url, station_id=STATION, password="right-one")
        assert len(await writer.tips()) == len(Stream)
        await writer.close()
        with pytest.raises(ConfigurationError, match=r"redis\.url") as unreadable:
            RedisStreamWriter("http://me:hidden@host", station_id=STATION)
        assert "hidden" not in str(unreadable.value)

    in_loop(main)


def test_two_services_of_one_station_are_told_and_lose_nothing(one_redis, tmp_path, monkeypatch):
    monkeypatch.setattr("inspector.publish.rivals.WITHIN_S", 6.0)

    async def main() -> None:
        async with (
            asyncio.timeout(60),
            running(tmp_path / "one", one_redis.url) as one,
            running(tmp_path / "other", one_redis.url) as other,
        ):
            other.sent = 100  # no two events of the two have the same id
            for number in range(16):
                await (other if number % 2 else one).send(1)
                await asyncio.to_thread(wait_for_entries, number + 1)
            await one.seen.until(lambda: one.seen.rival == [True, False])
            await other.seen.until(lambda: other.seen.rival == [True, False])

    def wait_for_entries(count: int) -> None:
        wait_for(lambda: client.xlen(DEFECTS_KEY) >= count, within_s=20, what=f"{count} entries")

    with one_redis.client() as client:
        in_loop(main)
        for key in (UNITS_KEY, DEFECTS_KEY):
            entries = client.xrange(key)
            assert [int(fields["seq"]) for _, fields in entries] == list(range(1, 17))
            units = {fields["unit_id"] for _, fields in entries}
            assert units == {f"unit-{n}" for n in (*range(1, 9), *range(101, 109))}


def test_a_journal_that_is_new_takes_its_own_stream_for_no_rivals(one_redis, tmp_path):
    async def main() -> None:
        for number in range(3):
            async with running(tmp_path / str(number), one_redis.url) as station:
                await station.send(3)
                await station.delivered()
            assert station.seen.rival == []

    in_loop(main)


def test_a_strangers_entry_loses_and_reorders_nothing(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(10)
            await station.delivered()
            with redis_server.client() as client:
                client.xadd(UNITS_KEY, {"who": "stranger"}, id="99999999999999-7")
            await station.send(10)
            await station.delivered()

    in_loop(main)
    with redis_server.client() as client:
        entries = client.xrange(UNITS_KEY)
    strangers = [fields for _, fields in entries if "who" in fields]
    ours = [int(fields["seq"]) for _, fields in entries if "who" not in fields]
    assert len(strangers) == 1
    assert ours == list(range(1, 21))


def test_after_a_damaged_journal_the_numbering_goes_on_where_redis_ends(one_redis, tmp_path):
    state = tmp_path / "state"

    async def main() -> None:
        async with running(state, one_redis.url) as station:
            await station.send(30)
            await station.delivered()
        await asyncio.to_thread(one_redis.stop)
        (state / FILE_NAME).write_bytes(b"\x5a" * 20_000)
        async with running(state, one_redis.url) as station:
            assert station.journal.set_aside is not None
            station.sent = 30
            await station.send(5)
            await asyncio.to_thread(one_redis.start)
            await station.delivered()
            await station.send(5)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(one_redis, 40)


def test_a_clock_that_goes_back_loses_nothing(one_redis, tmp_path):
    async def main() -> None:
        walls = iter(range(2_000_000_000_000, 0, -1_000))

        def read_clocks() -> Reading:
            now = clocks.read_clocks()
            return dataclasses.replace(now, unix_ms=next(walls))

        async with running(tmp_path / "state", one_redis.url, read_clocks=read_clocks) as station:
            await station.send(30)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(one_redis, 30)


def test_trimming_keeps_what_the_journal_keeps(redis_server, tmp_path):
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(300)
            await station.delivered()
            with redis_server.client() as client:
                client.xadd(DEFECTS_KEY + ":other", {"a": 1}, id="1-1")
            await station.worker.main.delivery.trim(-120.0)
            await station.worker.main.delivery.agree()
            assert station.journal.main.pending_count == 0
            await station.writer.trim(
                Stream.DEFECTS, station.journal.main.delivered[Stream.DEFECTS]
            )
            await station.send(1)
            await station.delivered()

    in_loop(main)
    with redis_server.client() as client:
        assert client.xlen(UNITS_KEY) == 301
        assert client.xlen(DEFECTS_KEY) < 301
        assert client.xinfo_stream(DEFECTS_KEY)["last-entry"][1]["seq"] == "301"


@pytest.mark.parametrize("binary", binaries())
def test_the_embedded_redis_is_restarted_and_keeps_its_events(tmp_path, binary):
    async def main() -> None:
        embedded = EmbeddedRedis(tmp_path / "redis", binary=Path(binary))
        with structlog.testing.capture_logs() as logs:
            supervising = asyncio.create_task(embedded.run())
            await asyncio.wait_for(embedded.wait_ready(), 15)
        login = tmp_path / "redis" / "url"
        told = {"event": "embedded_redis_ready", "log_level": "info", "url": embedded.shown_url}
        assert logs == [told | {"login": str(login)}]
        assert login.read_text().strip() == embedded.url
        assert login.stat().st_mode & 0o777 == 0o600, "this user's alone"
        async with running(tmp_path / "state", embedded.url) as station:
            await station.send(10)
            await station.delivered()
            tips = await station.writer.tips()
            info = await station.writer._redis.info("server")
            ours = os.getsid(os.getpid())
            assert os.getsid(info["process_id"]) != ours, "Ctrl-C at the terminal is not for it"
            os.kill(info["process_id"], signal.SIGKILL)
            await station.send(10)
            await station.delivered()
            assert (await station.writer.tips())[Stream.UNITS].seq == 20
            assert tips[Stream.UNITS].seq == 10
            again = await station.writer._redis.info("server")
            policy = (await station.writer._redis.info("memory"))["maxmemory_policy"]
            assert policy == "noeviction"
        supervising.cancel()
        await asyncio.wait([supervising])
        with pytest.raises(ProcessLookupError):
            os.kill(again["process_id"], 0)

    in_loop(main)


@pytest.mark.parametrize("binary", binaries())
def test_the_embedded_redis_lets_nobody_in_without_its_password_and_nobody_run_scripts(
    tmp_path, binary
):
    folder = tmp_path / "a folder 'of' \"ours\" é"

    async def main() -> None:
        embedded = EmbeddedRedis(folder, binary=Path(binary))
        supervising = asyncio.create_task(embedded.run())
        await asyncio.wait_for(embedded.wait_ready(), 15)
        try:
            await asyncio.to_thread(_try_the_door, embedded)
        finally:
            supervising.cancel()
            await asyncio.wait([supervising])

    in_loop(main)


def _try_the_door(embedded: EmbeddedRedis) -> None:
    with (
        redis.Redis.from_url(embedded.shown_url) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    with redis.Redis.from_url(embedded.url) as ours:
        assert ours.xadd("stream", {"a": "b"})
        for command in (
            *(("EVAL", "return 1", "0"), ("SCRIPT", "LOAD", "return 1"), ("EVALSHA", "0", "0")),
            *(("CONFIG", "SET", "dir", "/"), ("CONFIG", "GET", "requirepass"), ("DEBUG", "SLEEP")),
            *(("MODULE", "LOAD", "/x"), ("REPLICAOF", "h", "1"), ("SHUTDOWN",), ("FLUSHALL",)),
            *(("ACL", "LIST"), ("MIGRATE", "h", "1", "k", "0", "1"), ("KEYS", "*")),
        ):
            with pytest.raises(redis.ResponseError, match=r"permissions|not allowed"):
                ours.execute_command(*command)
        arguments = Path(f"/proc/{ours.info('server')['process_id']}/cmdline").read_bytes()
    password = embedded.url.partition("://:")[2].partition("@")[0]
    assert password.encode() not in arguments


CHILD = """
import asyncio, sys
from pathlib import Path
from inspector.ops.log import configure_logging
from inspector.embedded.redis.server import EmbeddedRedis
from inspector.settings.sections import LogSettings

async def main():
    configure_logging(LogSettings())  # to standard error
    embedded = EmbeddedRedis(Path(sys.argv[1]), binary=Path(sys.argv[2]))
    running = asyncio.create_task(embedded.run())
    await embedded.wait_ready()
    print(embedded.url, flush=True)
    await running

asyncio.run(main())
"""


@pytest.mark.parametrize("binary", binaries())
def test_the_embedded_redis_dies_with_a_killed_inspector(tmp_path, binary):
    arguments = [sys.executable, "-c", CHILD, str(tmp_path / "redis"), binary]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        client = redis.Redis.from_url(child.stdout.readline().strip(), retry=Retry(NoBackoff(), 0))
        assert client.ping()
        child.kill()
        with pytest.raises(redis.ConnectionError):
            # Blocks until the server's end closes the connection.
            client.blpop("nothing", timeout=4)
        client.close()


def test_a_task_told_to_end_while_it_talks_to_redis_ends(one_redis):
    async def main() -> None:
        for turns in range(60):
            writer = RedisStreamWriter(one_redis.url, station_id=STATION)

            async def talk(writer: RedisStreamWriter = writer) -> None:
                while True:
                    await writer.tips()

            talking = asyncio.create_task(talk())
            for _ in range(turns):
                await asyncio.sleep(0)
            talking.cancel()
            await asyncio.wait([talking], timeout=5)
            assert talking.cancelled()
            await writer.close()

    in_loop(main)
