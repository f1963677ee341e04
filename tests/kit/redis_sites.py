"""Real redis-servers that belong together: a Cluster; a master, its replica and Sentinels."""

from __future__ import annotations

import shutil
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import pytest
import redis
from redis.crc import key_slot

from tests.kit.line import wait_for
from tests.kit.redis_server import RedisServer

SLOTS = 16_384
NODE_TIMEOUT_MS = 1500
DOWN_AFTER_MS = 700
LINK_USER = "replication"
"""Replicas log in with it, so that a test can cut them off and nobody else."""


def system_redis() -> str:
    """The distribution's redis-server; skips where there is none."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    return binary


_LINK_LOGIN = ("--masteruser", LINK_USER, "--masterauth", "link", "--repl-diskless-sync-delay", "0")


def let_replicas_in(server: RedisServer) -> None:
    """Make the user that replicas log in with."""
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", LINK_USER, "on", ">link", "+psync", "+replconf", "+ping"
        )


def cut_replicas_off(server: RedisServer) -> None:
    """What the server gets from now on, its replicas never do."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", LINK_USER, "off")
        client.execute_command("CLIENT", "KILL", "USER", LINK_USER)
        wait_for(
            lambda: client.info("replication")["connected_slaves"] == 0,
            within_s=10,
            what="the replica is cut off",
        )


class ClusterNode(RedisServer):
    """A node; its bus has a port of its own too."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.bus_port = probe.getsockname()[1]
            super().__init__(
                binary,
                folder,
                *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
                *("--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
                *("--cluster-replica-validity-factor", "0", *_LINK_LOGIN, *options),
            )

    @property
    def id(self) -> str:
        with self.client() as client:
            return str(client.execute_command("CLUSTER MYID"))


class Cluster:
    """Three masters with a third of the slots each, and a replica of the one that owns a key."""

    def __init__(self, folder: Path, key: str) -> None:
        folder.mkdir(exist_ok=True)
        self._binary = system_redis()
        self.key = key
        self.slot = key_slot(key.encode())
        self.masters = [ClusterNode(self._binary, folder / f"node{n}") for n in range(3)]
        self.replica = ClusterNode(self._binary, folder / "replica")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for node in (*self.masters, self.replica):
            self._stack.enter_context(node)
            let_replicas_in(node)
        for number, node in enumerate(self.masters):
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        with self.masters[0].client() as client:
            for node in (*self.masters[1:], self.replica):
                client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, node.bus_port)
        wait_for(self._is_whole, within_s=30, what="the Cluster is whole")
        owner_id = self.owner.id

        def accepted() -> bool:
            with self.replica.client() as client, suppress(redis.ResponseError):
                client.execute_command("CLUSTER REPLICATE", owner_id)
                return True
            return False

        def follows() -> bool:
            with self.replica.client() as client:
                return bool(client.info("replication").get("master_link_status") == "up")

        wait_for(accepted, within_s=30, what="the replica knows the owner of the key")
        wait_for(follows, within_s=30, what="the replica follows the owner of the key")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _is_whole(self) -> bool:
        for node in (*self.masters, self.replica):
            with node.client() as client:
                info = client.execute_command("CLUSTER INFO")
            if info["cluster_state"] != "ok" or info["cluster_known_nodes"] != "4":
                return False
        return True

    @property
    def owner(self) -> ClusterNode:
        """The master that owns the key's slot, as the Cluster was made."""
        return self.masters[self.slot * 3 // SLOTS]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.masters)
        return f"redis+cluster://{hosts}"

    def move_slot(self, source: ClusterNode, to: ClusterNode, keys: list[str]) -> None:
        """Bring the slot with these keys to another master, as resharding does."""
        slot = self.slot
        with source.client() as old, to.client() as new:
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to.id)
            old.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
            new.execute_command("CLUSTER SETSLOT", slot, "NODE", to.id)
            old.execute_command("CLUSTER SETSLOT", slot, "NODE", to.id)

    def wait_promoted(self) -> None:
        """Until the replica is the master of the slot."""

        def promoted() -> bool:
            with self.replica.client() as client:
                return bool(client.info("replication")["role"] == "master")

        wait_for(promoted, within_s=40, what="the Cluster promotes the replica")


class Sentinels:
    """A master, one replica of it, and three Sentinels that agree by two."""

    service = "line"

    def __init__(self, folder: Path, *, sentinel_password: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self._binary = system_redis()
        self._folder = folder
        self._password = sentinel_password
        self.master = RedisServer(self._binary, folder / "master", *_LINK_LOGIN)
        self.replica = RedisServer(self._binary, folder / "replica", *_LINK_LOGIN)
        self.sentinels: list[RedisServer] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for server in (self.master, self.replica):
            self._stack.enter_context(server)
            let_replicas_in(server)
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", str(self.master.port))
        for number in range(3):
            self.sentinels.append(self._stack.enter_context(self._sentinel(number)))
        wait_for(self._agree, within_s=30, what="the Sentinels know each other and the replica")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _sentinel(self, number: int) -> RedisServer:
        folder = self._folder / f"sentinel{number}"
        folder.mkdir()
        lines = [
            f"sentinel monitor {self.service} 127.0.0.1 {self.master.port} 2",
            f"sentinel down-after-milliseconds {self.service} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {self.service} 4000",
        ]
        if self._password:
            lines += [f"requirepass {self._password}", f"sentinel sentinel-pass {self._password}"]
        config = folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        return SentinelServer(self._binary, folder, config, self._password)

    def _agree(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                told = client.sentinel_master(self.service)
            if told["num-other-sentinels"] != 2 or told["num-slaves"] != 1:
                return False
        with self.replica.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}/0"

    def wait_promoted(self) -> None:
        """Until the replica is the master."""

        def promoted() -> bool:
            with self.replica.client() as client:
                return bool(client.info("replication")["role"] == "master")

        wait_for(promoted, within_s=40, what="the Sentinels promote the replica")


class SentinelServer(RedisServer):
    """redis-server as a Sentinel: no data, a configuration file that it rewrites."""

    def __init__(self, binary: str, folder: Path, config: Path, password: str) -> None:
        super().__init__(binary, folder)
        self._password = password or None
        self._command = [
            *(binary, str(config), "--sentinel", "--port", str(self.port)),
            *("--bind", "127.0.0.1", "--dir", str(folder)),
        ]

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True, password=self._password)
