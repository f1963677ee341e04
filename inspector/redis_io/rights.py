"""The rights that a station's user needs in Redis: the line of `deploy/redis/users.acl`. Pure."""

from __future__ import annotations

from inspector.core.records import Stream

REFUSALS = "refusals"
TRIGGERS = "triggers"
COMMANDS = "commands"
READ = (TRIGGERS, COMMANDS)
"""Streams that others write and the station reads."""
REDIS_COMMANDS = (
    *("xadd", "xtrim", "xinfo|stream", "xinfo|groups", "xpending", "xrange", "xrevrange", "xread"),
    *("watch", "unwatch", "multi", "exec", "discard", "time", "info", "ping"),
)
CLUSTER_COMMAND = "cluster|slots"


def station_keys(station_id: str) -> list[str]:
    """The keys that a station writes."""
    return [station_key(station_id, name) for name in (*(s.value for s in Stream), REFUSALS)]


def station_user(
    station_id: str,
    *,
    user: str = "inspector",
    password: str = "#HASH-OF-INSPECTOR",  # noqa: S107 - a placeholder, as in the file
    separates_reading: bool = True,
    in_cluster: bool = False,
) -> str:
    """The line for users.acl.

    Redis before 7.0 does not distinguish reading a key from writing it.
    """
    reading = "%R" if separates_reading else ""
    read = [f"{reading}~{station_key(station_id, name)}" for name in READ]
    keys = [*read, *(f"~{key}" for key in station_keys(station_id))]
    commands = [
        f"+{name}" for name in (*REDIS_COMMANDS, *((CLUSTER_COMMAND,) if in_cluster else ()))
    ]
    return " ".join(["user", user, "on", password, *keys, *commands])


def station_key(station_id: str, name: str) -> str:
    """The key of a station's stream of this name; the station's id is the hash tag of all."""
    return f"inspector:{{{station_id}}}:{name}"
