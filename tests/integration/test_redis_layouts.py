"""Redis as a Cluster and behind Sentinels, named by URL: the same promises as with one server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from redis.crc import key_slot

from inspector.core.records import Stream
from inspector.events.consumer import Gap, ReceivedEvent, read_events
from tests.kit.line import wait_for
from tests.kit.redis_access import ShippedRedis
from tests.kit.redis_sites import SLOTS, Cluster, Sentinels, cut_replicas_off
from tests.kit.redis_station import (
    DEFECTS_KEY,
    STATION,
    UNITS_KEY,
    assert_once_in_order_gapless,
    in_loop,
    running,
)


async def _read(url: str) -> list[int]:
    """What the reference consumer finds there, by its number."""
    events = [item async for item in read_events(url, station_id=STATION)]
    assert not [item for item in events if isinstance(item, Gap)]
    return [item.seq for item in events if isinstance(item, ReceivedEvent)]


def test_a_cluster_that_loses_the_owner_and_is_resharded_has_every_event_once(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path / "cluster", UNITS_KEY) as cluster:
        other = next(node for node in cluster.masters if node is not cluster.owner)

        async def main() -> None:
            async with running(tmp_path / "state", cluster.url) as station:
                await station.send(30)
                await station.delivered()
                cut_replicas_off(cluster.owner)
                await station.send(20)
                await station.delivered()
                await asyncio.to_thread(cluster.owner.kill)
                sending = asyncio.create_task(station.send(10))
                await asyncio.to_thread(cluster.wait_promoted)
                await sending
                await station.delivered()
                assert await _read(cluster.url) == list(range(1, 61))
                # The promoted node had 30: the rest is a refill.
                assert station.seen.published[Stream.UNITS] == 80

                await asyncio.to_thread(
                    cluster.move_slot, cluster.replica, other, [UNITS_KEY, DEFECTS_KEY]
                )
                await station.send(20)
                await station.delivered()
                assert await _read(cluster.url) == list(range(1, 81))
                with other.client() as client:
                    assert client.xlen(UNITS_KEY) == 80

        in_loop(main)
        assert_once_in_order_gapless(other, 80)


def test_a_cluster_takes_the_events_of_all_stations_each_on_its_owner(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", UNITS_KEY) as cluster:
        # One station for each node, by the slots of their keys.
        named: dict[int, str] = {}
        for number in range(1, 200):
            slot = key_slot(f"inspector:{{plant.line-{number}.aoi}}:units".encode())
            named.setdefault(slot * 3 // SLOTS, f"plant.line-{number}.aoi")
        assert sorted(named) == [0, 1, 2]

        async def one(station_id: str) -> None:
            folder = tmp_path / station_id
            async with running(folder, cluster.url, station_id=station_id) as station:
                await station.send(40)
                await station.delivered()

        async def main() -> None:
            async with asyncio.TaskGroup() as stations:
                for station_id in named.values():
                    stations.create_task(one(station_id))

        in_loop(main)
        for node, station_id in named.items():
            with cluster.masters[node].client() as client:
                for stream in ("units", "defects"):
                    entries = client.xrange(f"inspector:{{{station_id}}}:{stream}")
                    assert [int(f["seq"]) for _, f in entries] == list(range(1, 41))


def test_a_failover_to_a_replica_that_missed_the_last_entries_loses_none(tmp_path: Path) -> None:
    with Sentinels(tmp_path / "site") as site:

        async def main() -> None:
            async with running(tmp_path / "state", site.url) as station:
                await station.send(30)
                await station.delivered()
                cut_replicas_off(site.master)
                await station.send(25)
                await station.delivered()
                await asyncio.to_thread(site.master.kill)
                with site.replica.client() as client:
                    assert client.xlen(UNITS_KEY) == 30
                sending = asyncio.create_task(station.send(5))
                await asyncio.to_thread(site.wait_promoted)
                await sending
                await station.delivered()
                assert station.seen.published[Stream.UNITS] == 85  # 25 of them for the second time
                assert await _read(site.url) == list(range(1, 61))

        in_loop(main)
        assert_once_in_order_gapless(site.replica, 60)


def test_sentinels_may_ask_for_a_login_of_their_own(tmp_path: Path) -> None:
    with Sentinels(tmp_path / "site", sentinel_password="canary-s") as site:

        async def main() -> None:
            url = f"{site.url}?sentinel_password=canary-s"
            async with running(tmp_path / "state", url) as station:
                await station.send(3)
                await station.delivered()
            async with running(tmp_path / "other", site.url) as station:
                await station.seen.until(lambda: station.seen.states != [])
                up, cause = station.seen.states[-1]
                assert not up
                assert "Redis" in cause
                assert "canary" not in cause

        in_loop(main)
        assert_once_in_order_gapless(site.master, 3)


def test_a_cluster_over_tls_with_the_shipped_users_works(tmp_path: Path) -> None:
    bus = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        bus_port = probe.getsockname()[1]
    server = ShippedRedis(tmp_path / "redis", station=STATION, options=(*bus, str(bus_port)))
    with server, server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "inspector", "+cluster|slots")
        admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)
        wait_for(
            lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
            within_s=30,
            what="the Cluster of one is whole",
        )
        url = server.url_of("inspector").replace("rediss://", "rediss+cluster://")

        async def main() -> None:
            async with running(tmp_path / "state", url) as station:
                await station.send(5)
                await station.delivered()

        in_loop(main)
        assert [int(fields["seq"]) for _, fields in admin.xrange(UNITS_KEY)] == [1, 2, 3, 4, 5]
        # The look at a Cluster's nodes is the one thing that is needed besides.
        refused = {entry["object"] for entry in admin.acl_log()}
        assert refused <= {"client|setinfo"}
