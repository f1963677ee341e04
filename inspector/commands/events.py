"""What `inspector events` prints: the reference consumer, for people and for pipes."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import urlsplit

from rich.console import Console

from inspector.core.errors import ConfigurationError
from inspector.embedded.redis.server import URL_FILE
from inspector.events.cfx import units_inspected
from inspector.events.consumer import Group, Item, ReceivedEvent, SetAside, read_events
from inspector.events.text import HEADER, as_json, as_line, notice, printable
from inspector.redis_io.client import EXPECTED_URL
from inspector.redis_io.rights import station_key
from inspector.redis_io.url import parse_redis_url
from inspector.settings.settings import Settings

Form = Literal["text", "json", "cfx"]
MEMBERS_PER_USER = 1000
"""How many readers of one group one user of one machine can run at a time with derived names."""


async def show_events(
    settings: Settings,
    stream: str,
    *,
    group: str | None,
    consumer: str | None,
    follow: bool,
    form: Form,
    redis_url: str | None,
) -> None:
    """Print a stream's events as they are read; everything else goes to standard error.

    Raises:
        ConfigurationError: the settings name the embedded Redis, which never ran or is another
            user's, and no other was given.
        SinkUnavailableError: Redis is away, and nobody asked to follow.

    """
    if redis_url is None and settings.redis.is_embedded:
        redis_url = _embedded_url(settings)
    key = station_key(settings.station.id, stream)
    shown = _Shown(form)
    url = redis_url or settings.redis.address()
    try:
        where = _address(url)
        with _Membership(key, group, consumer) as member:
            reading = read_events(
                url,
                station_id=settings.station.id,
                stream=stream,
                password=settings.redis.secret(),
                group=member,
                follow=follow,
                on_notice=shown.say,
            )
            as_whom = f" as {member.member!r} of group {member.name!r}" if member else ""
            if follow:
                shown.say(f"following {key} at {where}{as_whom} (Ctrl-C ends)")
            await shown.show(reading)
    except ConfigurationError:
        if redis_url is None:
            raise
        # Not quoted: it may hold a password.
        raise ConfigurationError(f"--redis-url: cannot be read; expected {EXPECTED_URL}") from None
    if not shown.events:
        shown.say(f"no event in {key}" if member is None else f"nothing new in {key}{as_whom}")


def _embedded_url(settings: Settings) -> str:
    """The address of the service's own Redis, as it was written down for this user."""
    file = settings.journal.directory / "redis" / URL_FILE
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f'redis.url is "embedded", and {file} cannot be read ({error.strerror}): start the'
            " service first, read as its user, or give --redis-url"
        ) from error


def _address(url: str) -> str:
    """The address, without the login."""
    if url.startswith("unix://"):
        return urlsplit(url).path
    try:
        return ",".join(f"{host}:{port}" for host, port in parse_redis_url(url).addresses)
    except ValueError:
        raise ConfigurationError(f"redis.url: cannot be read; expected {EXPECTED_URL}") from None


class _Shown:
    """Standard output and standard error."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._notices = Console(
            stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True
        )
        self.events = 0

    def say(self, text: str, style: str | None = None) -> None:
        """Print a notice."""
        lines = text.split("\n")
        self._notices.print("\n".join(printable(line) for line in lines), style=style)

    async def show(self, reading: AsyncIterator[Item]) -> None:
        """Print what comes until it ends."""
        async for item in reading:
            if isinstance(item, ReceivedEvent):
                if self._form == "text" and not self.events:
                    self._write(HEADER)
                self.events += 1
                self._show_event(item)
            else:
                self.say(notice(item), "yellow" if isinstance(item, SetAside) else "red")

    def _show_event(self, event: ReceivedEvent) -> None:
        try:
            self._write(self._formed(event))
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            # An event of another producer may lack fields, or nest deeper than JSON can be written.
            why = f"it cannot be shown as {self._form}: {type(error).__name__} {error}"
            self.say(notice(SetAside(entry_id=event.entry_id, why=why)), "yellow")

    def _formed(self, event: ReceivedEvent) -> str:
        match self._form:
            case "text":
                return as_line(event)
            case "json":
                return as_json(event.body)
            case "cfx":
                return as_json(units_inspected(event.body))

    def _write(self, line: str) -> None:
        # As UTF-8 whatever the terminal's encoding: a code page must not end the reader.
        sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.buffer.flush()


class _Membership:
    """A member of the group under a name that stays the same over restarts.

    The user's name and the machine's, with a number where several run at a time: two with one name
    would get each other's entries. A socket's name in Linux's abstract space says which numbers are
    taken; it goes with the process, however that ends.
    """

    def __init__(self, key: str, group: str | None, consumer: str | None) -> None:
        self._held: socket.socket | None = None
        self._group = (
            None if group is None else Group(name=group, member=consumer or self._free(key, group))
        )

    def __enter__(self) -> Group | None:
        return self._group

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()

    def _free(self, key: str, group: str) -> str:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container's user that has no name
            user = str(os.getuid())
        base = f"{socket.gethostname()}-{user}"
        for number in range(1, MEMBERS_PER_USER + 1):
            name = base if number == 1 else f"{base}-{number}"
            told = hashlib.sha256(f"{key}\0{group}\0{name}".encode()).hexdigest()[:32]
            held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                held.bind(f"\0inspector-events-{told}")
            except OSError:
                held.close()
                continue
            self._held = held
            return name
        return f"{base}-{os.getpid()}"
