"""Structured logs: for people on a terminal, JSON lines for everything else."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import orjson
import structlog

from inspector.ops import standard_error
from inspector.settings.sections import LogSettings
from inspector.sources.uri import redact

SHORTEST_SECRET = 4
"""A shorter one is part of too many words to be starred out everywhere."""


class _Redaction:
    """Removes passwords from log lines, whatever was passed: the last line of defence."""

    def __init__(self, secrets: Collection[str]) -> None:
        usable = (secret for secret in secrets if len(secret) >= SHORTEST_SECRET)
        forms = {form for secret in usable for form in _forms(secret)}
        # The longest first: one may be a part of another.
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(
        self, logger: Any, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        del logger, method
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._clean_text(str(key)): self._clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return self._clean_text(text)

    def _clean_text(self, text: str) -> str:
        # Before `redact`: it ends at a blank or a &, and what a secret has after that would stay.
        for form in self._forms:
            text = text.replace(form, "***")
        text = redact(text)
        # A file name that is no UTF-8 cannot be written as JSON, and the line matters more.
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _forms(secret: str) -> set[str]:
    """The forms of a secret: as it is, quoted by Python or as JSON, in a URL."""
    quoted = repr(f"'\"{secret}")[4:-1]  # with both quotes before it: so ' gets a backslash
    return {
        secret,
        quoted,
        quoted.replace("\\'", "'"),
        ascii(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
    }


class _IntoStructlog(logging.Handler):
    """Passes messages of libraries through the standard library on in our own format."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        log = structlog.get_logger(record.name)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a log call never fails
            message = f"{record.msg!s} {record.args!r}"  # its arguments do not fit its words
        log.log(record.levelno, message, exc_info=record.exc_info)


def _never_failing(base: Any) -> Any:
    """A logger of this class whose calls never raise."""

    class NeverFailing(base):  # type: ignore[misc]
        def _proxy_to_logger(self, method: str, event: str | None = None, **more: Any) -> Any:
            try:
                return super()._proxy_to_logger(method, event, **more)
            except Exception as error:  # noqa: BLE001 - a log call never fails
                with suppress(Exception):
                    cause = type(error).__name__
                    super()._proxy_to_logger("error", "a line could not be logged", cause=cause)
                return None

    return NeverFailing


def _tell_losses(lost: int) -> None:
    structlog.get_logger("log").warning("log lines were lost", lost=lost)


def _line(event: dict[str, Any], **_: object) -> bytes:
    """JSON; only numbers beyond 64 bits are left that it has no word for."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        return orjson.dumps({key: str(value) for key, value in event.items()})


def configure_logging(settings: LogSettings, secrets: Collection[str] = ()) -> None:
    """Set up logging for the process, libraries' warnings included; writes to standard error.

    None of `secrets` is ever written, and no password in a URL. No log call fails; none waits where
    `standard_error.take_over` was called before.
    """
    standard_error.tell_of_losses(_tell_losses)
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    level = getattr(logging, settings.level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not sys.stderr.isatty()),
        structlog.processors.format_exc_info,
        _Redaction(secrets),
    ]
    wrapper = _never_failing(structlog.make_filtering_bound_logger(level))
    if as_json:
        structlog.configure(
            processors=[*shared, structlog.processors.JSONRenderer(serializer=_line)],
            wrapper_class=wrapper,
            logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
            cache_logger_on_first_use=False,
        )
    else:
        structlog.configure(
            processors=[*shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())],
            wrapper_class=wrapper,
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            cache_logger_on_first_use=False,
        )
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[_IntoStructlog()], level=max(level, logging.WARNING), force=True)
