"""Temporary: moves here."""

from inspector.capture.source_uri import *  # noqa
from inspector.capture.source_uri import redact, traits, parse_source  # noqa
