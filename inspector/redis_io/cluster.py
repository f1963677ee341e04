"""Connections to the one node of a Redis Cluster that owns a station's keys.

A station's keys share a hash tag, so they lie in one slot and on one node. With a connection that
finds that node, everything works as with a single server: WATCH and MULTI, blocking reads, the
node's own clock. redis-py's cluster client would add retries of its own, which we must not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.crc import key_slot

from inspector.redis_io.url import Address

MAX_KNOWN_NODES = 64
_ELSEWHERE = (
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
)


class Topology:
    """Knows some nodes of a Cluster, and asks them which one owns a key's slot. Event loop only."""

    def __init__(
        self, seeds: Sequence[Address], *, key: str, server_options: Mapping[str, Any]
    ) -> None:
        self._seeds = tuple(seeds)
        self._known: list[Address] = list(seeds)
        """The node that answered last comes first; the seeds are never forgotten."""
        self._slot = key_slot(key.encode())
        self._options = dict(server_options)

    async def owner(self) -> Address:
        """The node that owns the slot now.

        Raises:
            redis.exceptions.RedisError: no node answers, or none owns the slot.

        """
        failure: Exception = exceptions.ConnectionError("no node of the Redis Cluster is known")
        for node in list(self._known):
            try:
                ranges = await self._ask(node)
            except (exceptions.RedisError, OSError) as error:
                failure = error
                continue
            return self._owner_in(ranges, node)
        raise failure

    async def _ask(self, node: Address) -> Sequence[Any]:
        host, port = node
        client = Redis(host=host, port=port, **self._options)
        # Raw, because redis-py's own reading of the reply drops what it does not know.
        client.response_callbacks.pop("CLUSTER SLOTS", None)
        try:
            ranges: Sequence[Any] = await client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()
        return ranges

    def _owner_in(self, ranges: Sequence[Any], asked: Address) -> Address:
        owner: Address | None = None
        nodes = [asked]
        for first, last, *servers in ranges:
            found = [_address(server, asked) for server in servers]
            nodes += found
            if first <= self._slot <= last and found:
                owner = found[0]  # the master; its replicas follow
        self._known = list(dict.fromkeys([*nodes, *self._seeds]))[:MAX_KNOWN_NODES]
        if owner is None:
            raise exceptions.ClusterDownError(
                f"no node of the Redis Cluster owns slot {self._slot}"
            )
        return owner


def _address(server: Sequence[Any], asked: Address) -> Address:
    host = server[0].decode() if isinstance(server[0], bytes) else server[0]
    # Empty or "?": the node does not know its own name; use the address that reached it.
    return (host if host and host != "?" else asked[0]), int(server[1])


class OwnerConnection(Connection):
    """Connects to the owner of the station's slot, whichever node that is at the time."""

    def __init__(self, *, topology: Topology, **options: Any) -> None:
        super().__init__(**options)
        self._topology = topology

    async def connect(self) -> None:
        """Look up the owner, and connect to it."""
        if not self.is_connected:
            self.host, self.port = await self._topology.owner()
        await super().connect()  # type: ignore[no-untyped-call]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """As its base class; a node that no longer owns the slot counts as lost."""
        try:
            return await super().read_response(*args, **options)
        except _ELSEWHERE as error:
            await self.disconnect()
            raise exceptions.ConnectionError(
                f"the Redis Cluster is being changed ({type(error).__name__})"
            ) from error


class OwnerSSLConnection(OwnerConnection, SSLConnection):
    """The same over TLS."""
