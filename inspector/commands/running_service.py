"""The service of this station, if it runs on this machine; used over HTTP, as its page does."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from inspector.core.errors import InspectorError
from inspector.core.plain_text import plain
from inspector.settings.settings import Settings

TIMEOUT_S = 30.0
"""Long, because a change-over may wait for a model to be loaded."""
_LONGEST_ANSWER_BYTES = 1_000_000
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what the settings may say
_OK = 200


class CommandRefusedError(InspectorError):
    """The service refuses a command; the text is the service's own line."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """The HTTP side of the service of a station."""

    host: str
    port: int
    token: str | None

    @classmethod
    def of(cls, settings: Settings) -> RunningService | None:
        """The service that runs with these settings; None if it does not answer."""
        told = settings.http
        token = told.token.get_secret_value() if told.token else None
        service = cls(_EVERYWHERE.get(told.host, told.host), told.port, token)
        try:
            status, answer = service._ask("GET", "/api/status")
            if status == _OK and orjson.loads(answer).get("station") == settings.station.id:
                return service
        except (OSError, http.client.HTTPException, ValueError):
            pass
        return None

    def command(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Have a command carried out; returns what applies from then on.

        Raises:
            CommandRefusedError: it is refused, or the service went away.

        """
        try:
            status, answer = self._ask("POST", "/api/product", orjson.dumps(fields))
            if status == _OK:
                found: dict[str, Any] = orjson.loads(answer)
                return found
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandRefusedError(f"the service does not answer: {error}") from error
        raise CommandRefusedError(plain(answer.decode("utf-8", "replace").strip()))

    def challenge(self) -> dict[str, Any]:
        """Which sets of known parts are due, and the progress of the one being shown.

        Raises:
            CommandRefusedError: the service went away.

        """
        try:
            status, answer = self._ask("GET", "/api/challenge")
            if status == _OK:
                found: dict[str, Any] = orjson.loads(answer)
                return found
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandRefusedError(f"the service does not answer: {error}") from error
        raise CommandRefusedError(plain(answer.decode("utf-8", "replace").strip()))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        # No proxy: the service is on this machine.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_LONGEST_ANSWER_BYTES)
        finally:
            connection.close()
