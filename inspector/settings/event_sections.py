"""The settings sections on where events go and how long they are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator

from inspector.redis_io.url import parse_redis_url, with_sentinel_login
from inspector.settings.types import EMBEDDED, Secret, Section


class RedisSettings(Section):
    """Where events are published."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    username: str | None = None
    password: Secret | None = None
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None
    """The login of the Sentinels themselves, if they require one."""
    tls_ca: Path | None = None
    retention_days: Annotated[float, Field(gt=0, le=3650)] = 14.0
    drain_events_per_s: Annotated[float, Field(ge=10, le=1_000_000)] = 2000.0
    """How fast a backlog goes to Redis at most."""
    drain_step_ms: Annotated[float, Field(ge=1, le=1000)] = 20.0
    """The longest time a verdict may wait for a backlog, before its own write."""

    @field_validator("url")
    @classmethod
    def _url_is_redis(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text == EMBEDDED:
            return url
        try:
            parse_redis_url(text)
        except ValueError:
            msg = (
                "expected redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST:PORT,…/SERVICE/DB,"
                ' redis+cluster://HOST:PORT,… or "embedded"'
            )
            raise ValueError(msg) from None
        return url

    def address(self) -> str:
        """The URL to connect to, with user and certificates if those are set separately.

        The password is not in it, unless it stands in `url`; the Sentinels' is: never print it.
        """
        parts = urlsplit(self.url.get_secret_value())
        netloc, query = parts.netloc, parts.query
        if self.username is not None and parts.username is None:
            netloc = f"{quote(self.username, safe='')}@{netloc}"
        if self.tls_ca is not None:
            extra = urlencode({"ssl_ca_certs": str(self.tls_ca)})
            query = f"{query}&{extra}" if query else extra
        url = urlunsplit(parts._replace(netloc=netloc, query=query))
        sentinel = self.sentinel_password
        return with_sentinel_login(
            url, self.sentinel_username, sentinel.get_secret_value() if sentinel else None
        )

    def secret(self) -> str | None:
        """The password, if it is set separately from the URL."""
        return self.password.get_secret_value() if self.password else None

    @property
    def is_embedded(self) -> bool:
        """Whether we start Redis ourselves."""
        return self.url.get_secret_value() == EMBEDDED


def _state_directory() -> Path:
    """The folder that systemd's `StateDirectory=` made, else one in the current folder."""
    return Path(os.environ.get("STATE_DIRECTORY", "state"))


class JournalSettings(Section):
    """The durable local log that every event enters before Redis sees it."""

    directory: Path = Field(default_factory=_state_directory)
    retention_days: Annotated[float, Field(gt=0, le=3650)] = 14.0
    max_gb: Annotated[float, Field(ge=0.001, le=100_000)] = 10.0
    """Nearly full: delivered events are deleted early. Full: verdicts wait for Redis."""

    @property
    def limit_bytes(self) -> int:
        """`max_gb` in bytes."""
        return round(self.max_gb * 1_000_000_000)
