"""Structured logs: for people on a terminal, JSON lines for everything else."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from inspector.settings import LogSettings
from inspector.source_uri import redact


def _redact_everything(
    logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """No password reaches a log, whatever was passed: the last line of defence."""
    del logger, method
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
        elif isinstance(value, BaseException):
            event[key] = redact(str(value))
    return event


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog for the process; writes to standard error."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    level = getattr(logging, settings.level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not sys.stderr.isatty()),
        structlog.processors.format_exc_info,
        _redact_everything,
    ]
    if as_json:
        structlog.configure(
            processors=[*shared, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
            cache_logger_on_first_use=False,
        )
    else:
        structlog.configure(
            processors=[*shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            cache_logger_on_first_use=False,
        )
